"""The list of videos: which pages to ask for, and what to do with one that fails.

The service fails a whole page for one row it cannot show, and a page of rows that echo large
inputs can be larger than what is read. Such a page is asked for again in smaller ones, until the
bad row stands alone. A page of `size` rows can only begin at a
multiple of it, so a smaller page is always a power of two, and begins at a multiple of itself:

    0 ─────── 100      fails
    0 ── 64 | 64 ─ 96 | 96 ─ 100                       the first fails
    0 ─ 32 | 32 ─ 64 | 64 ── 96 | 96 ─ 100             and so on

`VideoPages` asks; `VideoList` decides which pages, and knows nothing of HTTP.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from .._polling.awaitables import call, not_an_end
from .._polling.rounds.page_scan import PageRange
from .._runtime.bounded_dict import BoundedDict
from .._verdict import Verdict, spoils_a_page
from ..contract.endpoints import ENDPOINTS, VIDEO_LIST, Page
from ..contract.envelope import Malformed, decode_row
from ..contract.tasks import is_id
from ..contract.video_tasks import VideoRef, VideoTask
from ..errors import (
    ApiError,
    ContractError,
    ServerError,
    TaskNotFoundError,
    UnexpectedResponseError,
)
from .task_pages import ask_for_videos

if TYPE_CHECKING:
    from .caller import ApiCaller
    from .turns import Turns

logger: logging.Logger = logging.getLogger("aitoearn_async")

_MOST_SEEN = 10_000
"""The number of rows that are remembered. As many known ones in a row show that it has no end."""
_FAR_AWAY = 1_000_000
_OF_A_PAGE = TaskNotFoundError, ServerError, UnexpectedResponseError


class SkippedVideo(msgspec.Struct, frozen=True):
    """A row of the list that could not be read."""

    position: int
    """Its position, counted from 0, the newest; tasks made meanwhile push it further."""
    error: ApiError | ContractError | UnexpectedResponseError
    """The service's refusal, or the fault of its row, which may be too large for
    `max_response_bytes`."""


class VideoPage(NamedTuple):
    """One page: its rows, of which some may be unreadable, and how many there are in all."""

    rows: list[VideoTask | ContractError]
    total: int | None


Fetch = Callable[[int, int], Awaitable[VideoPage]]
"""Asks for a page: its number from 1, and its size. A page of several rows is not asked for
again when one of them spoils it."""


class VideoPages:
    """Pages of the list of one service.

    Args:
        caller: Calls it.
        turns: Has no page asked for while a video is.
    """

    def __init__(self, caller: ApiCaller, turns: Turns) -> None:
        self._caller = caller
        self._turns = turns

    async def fetch(self, number: int, size: int) -> VideoPage:
        """Return one page of the list of videos.

        Raises:
            AiToEarnError: It did not come.
        """

        async def attempt(deadline: float) -> Page | Verdict:
            answer = await ask_for_videos(self._caller, self._turns, number, size, deadline)
            result = answer[0]
            # A page that one of its rows spoils is not asked for again, but smaller ones.
            if isinstance(result, Verdict) and size > 1 and spoils_a_page(result.error):
                return msgspec.structs.replace(result, retry=False)
            return result

        self._caller.lifetime.enter()  # before another thread takes turns
        await self._caller.leave_alone(VIDEO_LIST)
        page = await self._caller.repeat(attempt)
        return VideoPage([self._row(bytes(row)) for row in page.rows], page.total)

    def newest_first(
        self, page_size: int, skipped: Callable[[SkippedVideo], object] | None
    ) -> VideoList:
        """Return the list, to go through. `skipped` is called for each row that is left out."""
        return VideoList(page_size, self.fetch, skipped)

    def _row(self, row: bytes) -> VideoTask | ContractError:
        task: VideoTask | Malformed = decode_row(row, ENDPOINTS[VideoRef].codec)
        shown = self._caller.http.credentials.shown
        if isinstance(task, Malformed):
            return ContractError(shown(task.reason))
        if not is_id(task.id):
            return ContractError(f"a task of the list has the id {shown(task.id)!r:.60}")
        return task


class VideoList(AsyncIterator[VideoTask]):
    """The caller's video tasks, newest first, made by `Client.list_videos`.

        async for task in client.list_videos():
            print(task.ref, task.status)

    It holds one page and nothing else, so it can be left at any time. After an error the
    iteration can be taken up again where it was.

    Attributes:
        skipped: How many rows could not be read so far.
        total: How many tasks there were when last asked; None before.
    """

    def __init__(
        self,
        page_size: int,
        fetch: Fetch,
        skipped: Callable[[SkippedVideo], object] | None,
    ) -> None:
        self.skipped: int = 0
        self.total: int | None = None
        self._fetch = fetch
        self._report = skipped
        # The parts of a page that failed, and the next page of all. None at the end of the list.
        self._wanted = deque([PageRange(0, page_size)])
        self._ready: deque[VideoTask | SkippedVideo] = deque()
        self._seen: BoundedDict[str, None] = BoundedDict(_MOST_SEEN)
        self._repeated = 0  # rows since the last one that was new
        self._in_use = False

    def __aiter__(self) -> VideoList:
        return self

    async def __anext__(self) -> VideoTask:
        if self._in_use:
            raise RuntimeError("this list is already being read; call list_videos() again")
        self._in_use = True
        try:
            row = await self._following()
        except StopAsyncIteration as exc:
            raise not_an_end(exc) from exc
        finally:
            self._in_use = False
        if row is None:
            raise StopAsyncIteration
        return row

    async def _following(self) -> VideoTask | None:
        while self._ready or self._wanted:
            if not self._ready:
                await self._advance()
            elif isinstance(row := self._ready.popleft(), VideoTask):
                return row
            else:
                await self._skip(row)
        return None

    async def _advance(self) -> None:
        """Deal with the next page: take its rows, or take it apart."""
        wanted = self._wanted[0]
        try:
            page = await self._fetch(wanted.number, wanted.size)
        except _OF_A_PAGE as error:
            if not spoils_a_page(error):
                raise
            if wanted.size == 1:
                await self._blame(error)
            self._leave(wanted)
            if wanted.size > 1:
                self._wanted.extendleft(reversed(wanted.parts()))
            else:
                self._ready.append(SkippedVideo(wanted.at, error.with_traceback(None)))
            return
        self._leave(wanted)
        self.total = page.total
        for number, row in enumerate(page.rows):
            if isinstance(row, ContractError):
                self._ready.append(SkippedVideo(wanted.at + number, row))
            elif self._is_new(row.id):
                self._ready.append(row)
        self._repeated = 0 if self._ready else self._repeated + len(page.rows)
        if self._repeated > _MOST_SEEN:
            raise ContractError("the list of videos goes on and on with rows it has had before")
        self._go_on(wanted.following(len(page.rows), page.total), wanted)

    async def _blame(self, error: ApiError | UnexpectedResponseError) -> None:
        """Make sure that it is the row that fails: a page without rows must not.

        Raises:
            AiToEarnError: All pages fail.
        """
        try:
            await self._fetch(_FAR_AWAY, 1)
        except _OF_A_PAGE:
            raise error from None

    def _go_on(self, following: PageRange | None, wanted: PageRange) -> None:
        """Go on with pages as long as the service makes them, while they bring anything new."""
        if following is None:
            self._wanted.clear()
        elif following.size != wanted.size:
            self._wanted = deque([following] if self._ready else [])

    def _leave(self, wanted: PageRange) -> None:
        self._wanted.popleft()
        if not self._wanted:
            self._wanted.append(PageRange(wanted.at + wanted.size, wanted.size))

    async def _skip(self, row: SkippedVideo) -> None:
        self.skipped += 1
        if self._report is None:
            logger.warning("row %d of the list of videos is left out: %s", row.position, row.error)
        else:
            await call(self._report, row)

    def _is_new(self, id: str) -> bool:
        # Tasks made while the list is read push the others back, onto pages still to come.
        if id in self._seen:
            return False
        self._seen[id] = None
        return True
