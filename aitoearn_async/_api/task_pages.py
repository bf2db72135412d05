"""Pages of the caller's own tasks: how they stand (`/api/ai/logs`), and whole (the video list).

Which pages to ask for, and what to make of their rows, is decided in `_polling.rounds`.
"""

from __future__ import annotations

import math

import msgspec

from .._net.headers import matches
from .._polling.rounds.page_scan import PageRange
from .._polling.rounds.pages import RouteState, RowPage, TaskPage
from .._runtime.bounded_dict import BoundedDict
from .._transport.response import Response
from .._verdict import Verdict
from ..contract.endpoints import (
    ENDPOINTS,
    LOGS,
    VIDEO_LIST,
    LogPage,
    LogRow,
    Page,
    log_decoder,
    log_row_decoder,
    page_decoder,
)
from ..contract.envelope import Envelope, Malformed, decode, decode_row
from ..contract.refusal import Refusal
from ..contract.video_tasks import VideoRef, VideoTask
from ..errors import AiToEarnError, NotAskedError, TransportError
from .caller import ApiCaller
from .draft_lookup import DraftLookup
from .turns import Turns

_MOST_KEPT = 16
"""Pages that are kept, to be asked for again with their `ETag`."""
_UNREADABLE = LogRow(id="", status="")
"""Stands for a row that cannot be read: a page is as long as the service made it."""


class TaskPages:
    """Asks one service for pages of tasks, once each time.

    Args:
        caller: Calls it.
        turns: Has no page of whole videos asked for while one of them is.
        drafts: Looks up tasks whose own route fails.
    """

    def __init__(self, caller: ApiCaller, turns: Turns, drafts: DraftLookup) -> None:
        self._caller = caller
        self._http = caller.http
        self._lifetime = caller.lifetime
        self._turns = turns
        self.draft = drafts.look_up
        self._routes: dict[str, RouteState] = {}
        self._kept: BoundedDict[str, tuple[str, RowPage]] = BoundedDict(_MOST_KEPT)

    def route(self, kind: str) -> RouteState:
        """Return what is known of the route for a kind of task."""
        return self._routes.setdefault(kind, RouteState())

    async def logs(
        self, kind: str, wanted: PageRange, deadline: float, *, whole: bool
    ) -> RowPage | Verdict:
        """Ask for a page of the logs. `whole`: it has to come whole, though it may be unchanged."""
        path = LOGS.format(kind=kind, page=wanted.number, size=wanted.size)
        # Always the same: it is part of the response's bytes, so of its ETag.
        request_id = f"{self._caller.id_prefix}-{kind}s-{wanted.number}-{wanted.size}"
        etag, kept = (None, None) if whole else self._kept.get(path, (None, None))
        fresh = self._caller.path_past_caches(path)
        question = self._caller.question(fresh, _decode_logs, request_id)
        question.etag = etag
        response = await self._http.send(question, deadline)
        if isinstance(response, Response) and response.status == 304 and kept is not None:
            if etag is not None and matches(etag, response.headers):
                self._caller.accept(response, question.subject)
                seconds = self._seconds(response)
                return msgspec.structs.replace(
                    kept,
                    seconds=seconds,
                    retry_after=response.retry_after,
                    is_unchanged=True,
                )
            self._http.monitor.record_ignored(response.admission)
            self._kept.pop(path, None)  # another batch may have dropped it meanwhile
            question.etag = None
            response = await self._http.send(question, deadline)
        seconds = self._seconds(response)
        result = await self._caller.settle(response, question, deadline)
        if isinstance(result, Verdict):
            return result
        assert isinstance(response, Response)
        page = RowPage(
            rows=result.rows,
            total=result.total,
            seconds=seconds,
            bytes=len(response.body),
            retry_after=response.retry_after,
        )
        if (validator := response.validator) is not None:
            self._kept[path] = validator, page
            self._kept.move_to_end(path)
        return page

    async def videos(self, number: int, size: int, deadline: float) -> TaskPage | Verdict:
        """Ask for a page of the list of videos. Rows that cannot be read are left out."""
        if rest := self._caller.rest_of(VIDEO_LIST):
            return Verdict.on(NotAskedError("the list is to be left alone", retry_after=rest))
        answer = await ask_for_videos(self._caller, self._turns, number, size, deadline)
        result, response = answer
        if isinstance(result, Verdict):
            return result
        assert isinstance(response, Response)
        seconds, codec = self._seconds(response), ENDPOINTS[VideoRef].codec
        rows: list[VideoTask | Malformed] = [decode_row(bytes(row), codec) for row in result.rows]
        tasks = [row for row in rows if isinstance(row, VideoTask)]
        return TaskPage(tasks, len(rows), seconds, len(response.body), response.sent)

    def _seconds(self, response: Response | TransportError) -> float:
        """Return how long the service took: no time in which the request waited for its turn."""
        return self._lifetime.time() - response.sent if isinstance(response, Response) else math.nan


async def ask_for_videos(
    caller: ApiCaller, turns: Turns, number: int, size: int, deadline: float
) -> tuple[Page | Verdict, Response | AiToEarnError]:
    """Ask for a page of videos, while none of them is asked for. Return it, and its response."""
    path = VIDEO_LIST.format(page=number, size=size)
    async with turns.page(deadline) as is_its_turn:
        if is_its_turn:
            return await caller.ask(path, page_decoder, deadline, is_list=True)
    verdict = caller.no_turn(path)
    return verdict, verdict.error


def _decode_logs(body: bytes) -> Envelope[LogPage] | Refusal | Malformed:
    """Decode a page of the logs. A row that cannot be read spoils no other."""
    found = decode(body, log_decoder)
    if not isinstance(found, Malformed) or not found.is_json:
        return found
    page = decode(body, page_decoder)
    if not isinstance(page, Envelope):
        return page
    rows: list[LogRow] = []
    for row in page.data.rows:
        try:
            rows.append(log_row_decoder.decode(row))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            rows.append(_UNREADABLE)
    return Envelope(page.code, LogPage(rows, page.data.total), page.request_id)
