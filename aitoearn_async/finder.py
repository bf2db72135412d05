"""What else can be asked for: the list of videos a page at a time, and what models there are.

`contract` and `exchange` meet here. Which pages to ask for is `listing`'s to say.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from .contract.catalog import Model, objection
from .contract.endpoints import VIDEO_LIST, Catalog, endpoint_of, entries_decoder, page_decoder
from .contract.envelope import Broken, read_row
from .contract.models import VideoTask
from .contract.refs import VideoRef, is_id
from .contract.requests import TaskRequest
from .errors import ContractError
from .exchange import Exchange
from .listing import Rows, spoils_a_page

M = TypeVar("M", bound=Model)

logger: logging.Logger = logging.getLogger("aitoearn_async")

_FRESH = 300.0
"""Seconds for which a list of models is good enough to check a request against."""

_video = endpoint_of(VideoRef("0"))


class Finder:
    """Finds things at one service."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._known: dict[str, tuple[float, Sequence[Any]]] = {}
        self._asking = asyncio.Lock()

    async def page(self, number: int, size: int) -> Rows:
        """One page of the list of videos.

        Raises:
            AiToEarnError: It did not come.
        """
        path = VIDEO_LIST.format(page=number, size=size)
        final = spoils_a_page if size > 1 else None
        page = await self._exchange.get(path, page_decoder, final=final)
        return Rows([self._row(bytes(row)) for row in page.rows], page.total)

    def _row(self, row: bytes) -> VideoTask | ContractError:
        task = read_row(row, _video)
        scrubbed = self._exchange.http.trouble.scrubbed
        if isinstance(task, Broken):
            return ContractError(scrubbed(task.reason))
        if not is_id(task.id):
            return ContractError(f"a task of the list has the id {scrubbed(task.id)!r:.60}")
        return task

    async def models(self, catalog: Catalog[M]) -> list[M]:
        """The models there are, asked for afresh.

        Raises:
            AiToEarnError: The list did not come.
        """
        entries = await self._exchange.get(catalog.path, entries_decoder)
        models: list[M] = []
        for entry in entries:
            try:
                models.append(msgspec.json.decode(entry, type=catalog.model))
            except (ValueError, RecursionError) as exc:
                reason = self._exchange.http.trouble.scrubbed(str(exc))
                logger.warning("a model of %s is left out: %s", catalog.path, reason)
        self._known[catalog.path] = self._exchange.now(), tuple(models)
        return models

    async def check(self, request: TaskRequest[Any], catalog: Catalog[Any]) -> None:
        """Check a request against what its model accepts.

        Raises:
            ValueError: It does not fit.
            AiToEarnError: The list of models did not come.
        """
        async with self._asking:
            at, models = self._known.get(catalog.path, (0.0, ()))
            if not models or self._exchange.now() > at + _FRESH:
                models = await self.models(catalog)
        if (problem := objection(request, models)) is not None:
            raise ValueError(problem)
