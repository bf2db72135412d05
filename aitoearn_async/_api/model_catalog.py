"""The models there are, as the service lists them, and whether a request fits one.

`contract.catalog` tells what a model accepts.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from typing import Any, TypeVar

import msgspec

from .._runtime.clock import Moment
from .._runtime.joint_calls import JointCalls
from ..contract.catalog import Model, model_of, objection, price_of
from ..contract.endpoints import Catalog, entries_decoder, submit_of
from ..contract.requests import TaskRequest
from ..errors import AiToEarnError
from .caller import ApiCaller

M = TypeVar("M", bound=Model)

logger: logging.Logger = logging.getLogger("aitoearn_async")

_FRESH_SECONDS = 300.0
"""Seconds for which a list of models is good enough to check a request against."""


class ModelCatalog:
    """The models of one service."""

    def __init__(self, caller: ApiCaller) -> None:
        self._caller = caller
        self._known: dict[str, tuple[Moment, Sequence[Any]]] = {}
        self._asking = JointCalls(AiToEarnError)

    def leave_loop(self) -> None:
        """Forget what is bound to a loop that is closed."""
        self._asking.leave_loop()

    async def models(self, catalog: Catalog[M]) -> list[M]:
        """Return the models there are, asked for afresh.

        Raises:
            AiToEarnError: The list did not come.
        """
        entries = await self._caller.call(catalog.path, entries_decoder)
        models: list[M] = []
        for entry in entries:
            try:
                models.append(msgspec.json.decode(entry, type=catalog.model))
            except (ValueError, RecursionError) as exc:
                reason = self._caller.http.credentials.shown(str(exc))
                logger.warning("a model of %s is left out: %s", catalog.path, reason)
        self._known[catalog.path] = self._caller.lifetime.moment(), tuple(models)
        return models

    async def check(self, request: TaskRequest[Any], catalog: Catalog[Any]) -> None:
        """Check a request against what its model accepts.

        Raises:
            ValueError: It does not fit.
            AiToEarnError: The list of models did not come.
        """
        if (problem := objection(request, await self._recent(catalog))) is not None:
            raise ValueError(problem)

    async def entry(self, request: TaskRequest[Any], catalog: Catalog[M]) -> M | None:
        """Return the model that a request names; None if it is not listed.

        Raises:
            AiToEarnError: The list of models did not come.
        """
        return model_of(request, await self._recent(catalog))

    async def price(self, request: TaskRequest[Any]) -> float | None:
        """Return the most that a request can cost; None where the list does not tell.

        Raises:
            AiToEarnError: The list of models did not come.
        """
        return price_of(request, await self._recent(submit_of(request).catalog))

    async def check_price(self, request: TaskRequest[Any], at_most: float | None) -> None:
        """Check that a request costs no more than so much; None for any price.

        Raises:
            ValueError: It may cost more, or the list does not tell.
            AiToEarnError: The list of models did not come.
        """
        if at_most is None:
            return
        price = await self.price(request)
        if price is None:
            raise ValueError(
                f"at_most={at_most:.12g}: the service lists no price for this with the model "
                f"{request.model!r:.80}. Nothing was sent"
            )
        if price > at_most:
            costs = f"this may cost {price:.12g}"
            raise ValueError(f"at_most={at_most:.12g}: {costs}. Nothing was sent")

    async def _recent(self, catalog: Catalog[M]) -> Sequence[M]:
        return await self._asking.call(catalog.path, partial(self._known_or_asked, catalog))

    async def _known_or_asked(self, catalog: Catalog[M]) -> Sequence[M]:
        at, models = self._known.get(catalog.path, (None, ()))
        if at is None or not models or self._caller.lifetime.age(at) > _FRESH_SECONDS:
            models = await self.models(catalog)
        return models
