"""The list of videos: which pages to ask for, and what to do with one that fails.

The service fails a whole page for one row that it cannot show, and a page of rows that echo large
inputs can be larger than what is read. Such a page is asked for again in smaller parts, until the
bad row stands alone. A page of `size` rows can only begin at a multiple of `size`. So the size of
each part is a power of two, and the part begins at a multiple of its size:

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
"""Rows that are remembered. If as many known ones follow each other, the list has no end."""
_FAR_AWAY = 1_000_000
"""The number of a page that no list has: it has no rows."""
_OF_A_PAGE = TaskNotFoundError, ServerError, UnexpectedResponseError
"""The errors that one row of a page may be the reason of."""


class SkippedVideo(msgspec.Struct, frozen=True):
    """A row of the list that could not be read."""

    position: int
    """Its position, counted from 0 for the newest. Tasks that are made meanwhile push it back."""
    error: ApiError | ContractError | UnexpectedResponseError
    """The service's refusal, or the fault of the row, which may be too large for
    `max_response_bytes`."""


class VideoPage(NamedTuple):
    """One page: its rows, or errors in the place of unreadable ones; and the number of all rows."""

    rows: list[VideoTask | ContractError]
    total: int | None


Fetch = Callable[[int, int], Awaitable[VideoPage]]
"""Asks for a page, by its number from 1 and its size. A page of several rows is not asked for again
if one of them spoils it."""


class VideoPages:
    """Pages of the list of one service.

    Args:
        caller: Calls the service.
        turns: Lets no page be asked for at the same time as a video.
    """

    def __init__(self, caller: ApiCaller, turns: Turns) -> None:
        self._caller = caller
        self._turns = turns

    async def fetch(self, number: int, size: int) -> VideoPage:
        """Return one page of the list of videos.

        Raises:
            AiToEarnError: The page did not come.
        """

        async def attempt(deadline: float) -> Page | Verdict:
            answer = await ask_for_videos(self._caller, self._turns, number, size, deadline)
            result = answer[0]
            # A page that one of its rows spoils is not asked for again: its parts are.
            if isinstance(result, Verdict) and size > 1 and spoils_a_page(result.error):
                return msgspec.structs.replace(result, retry=False)
            return result

        await self._caller.leave_alone(VIDEO_LIST)
        page = await self._caller.repeat(attempt)
        return VideoPage([self._row(bytes(row)) for row in page.rows], page.total)

    def newest_first(
        self, page_size: int, skipped: Callable[[SkippedVideo], object] | None
    ) -> VideoList:
        """Return the list, to iterate over. `skipped` is called for each row that is left out."""
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
        skipped: The number of rows that could not be read so far.
        total: The number of tasks, as of the last page; None before the first.
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
            row = await self._next_row()
        except StopAsyncIteration as exc:
            raise not_an_end(exc) from exc
        finally:
            self._in_use = False
        if row is None:
            raise StopAsyncIteration
        return row

    async def _next_row(self) -> VideoTask | None:
        while self._ready or self._wanted:
            if not self._ready:
                await self._advance()
            elif isinstance(row := self._ready.popleft(), VideoTask):
                return row
            else:
                await self._skip(row)
        return None

    async def _advance(self) -> None:
        """Ask for the next page. Take its rows, or its parts if it fails."""
        wanted = self._wanted[0]
        try:
            page = await self._fetch(wanted.number, wanted.size)
        except _OF_A_PAGE as error:
            if not spoils_a_page(error):
                raise
            await self._take_apart(wanted, error)
        else:
            self._take_rows(wanted, page)

    async def _take_apart(
        self, wanted: PageRange, error: ApiError | UnexpectedResponseError
    ) -> None:
        """Put the parts of a page that fails in its place; or skip its row, if it has just one."""
        if wanted.size > 1:
            self._take_off(wanted)
            self._wanted.extendleft(reversed(wanted.parts()))
            return
        await self._check_that_it_is_the_row(error)
        self._take_off(wanted)
        self._ready.append(SkippedVideo(wanted.at, error.with_traceback(None)))

    async def _check_that_it_is_the_row(self, error: ApiError | UnexpectedResponseError) -> None:
        """Make sure that a page fails because of its row: a page without rows must not fail.

        Raises:
            AiToEarnError: All pages fail.
        """
        try:
            await self._fetch(_FAR_AWAY, 1)
        except _OF_A_PAGE:
            raise error from None

    def _take_rows(self, wanted: PageRange, page: VideoPage) -> None:
        """Take the rows of a page that are new, and decide which page is next."""
        self._take_off(wanted)
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

    def _go_on(self, following: PageRange | None, wanted: PageRange) -> None:
        """Go on with pages of the size that the service makes, while they bring anything new."""
        if following is None:
            self._wanted.clear()
        elif following.size != wanted.size:
            self._wanted = deque([following] if self._ready else [])

    def _take_off(self, wanted: PageRange) -> None:
        """Take a page off those that are wanted. After the last one, the page behind it is."""
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
        # Tasks that are made while the list is read push others back, onto pages still to come.
        if id in self._seen:
            return False
        self._seen[id] = None
        return True
