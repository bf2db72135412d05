"""The list of videos: which pages to ask for, and what to do with one that fails.

The service fails a whole page for one row it cannot show. Such a page is asked for again in
smaller ones, until the bad row stands alone. A page of `size` rows can only begin at a
multiple of it, so a piece is always a power of two, and begins at a multiple of itself:

    0 ─────── 100      fails
    0 ── 64 | 64 ─ 96 | 96 ─ 100                       the first fails
    0 ─ 32 | 32 ─ 64 | 64 ── 96 | 96 ─ 100             and so on

Asking is done by a function that is handed in: nothing here has heard of HTTP.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import NamedTuple

import msgspec

from .contract.models import VideoTask
from .errors import AiToEarnError, ApiError, ContractError, ServerError, TaskNotFoundError

logger: logging.Logger = logging.getLogger("aitoearn_async")

_MOST_SEEN = 10_000
"""Rows that are known again; and so many of them in a row that the list leads nowhere."""
_FAR_AWAY = 1_000_000


class SkippedVideo(msgspec.Struct, frozen=True):
    """A row of the list that could not be read."""

    position: int
    """Where it stood, counted from 0, the newest; tasks made meanwhile push it further."""
    error: ApiError | ContractError
    """What the service, or its row, said."""


class Rows(NamedTuple):
    """One page: its rows, of which some may be unreadable, and how many there are in all."""

    rows: list[VideoTask | ContractError]
    total: int | None


Fetch = Callable[[int, int], Awaitable[Rows]]
"""Asks for a page: its number from 1, and its size. A page of several rows is not asked for
again when one of them spoils it."""


class Piece(NamedTuple):
    """Rows that one page covers."""

    at: int
    size: int


def pieces(at: int, size: int) -> list[Piece]:
    """The pages, all smaller, that cover what a page covers."""
    largest = 1 << (size - 1).bit_length() - 1
    found: list[Piece] = []
    end = at + size
    while at < end:
        piece = min(largest, 1 << (end - at).bit_length() - 1, at & -at or largest)
        found.append(Piece(at, piece))
        at += piece
    return found


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
        skipped: Callable[[SkippedVideo], None] | None,
    ) -> None:
        self.skipped: int = 0
        self.total: int | None = None
        self._page_size = page_size
        self._fetch = fetch
        self._report = skipped
        self._next = 0
        self._pieces: deque[Piece] = deque()
        self._ready: deque[VideoTask | SkippedVideo] = deque()
        self._seen: dict[str, None] = {}
        self._repeated = 0  # rows since the last one that was new
        self._ended = False
        self._in_use = False

    def __aiter__(self) -> VideoList:
        return self

    async def __anext__(self) -> VideoTask:
        if self._in_use:
            raise RuntimeError("this list is already being read; call list_videos() again")
        self._in_use = True
        try:
            while True:
                while not self._ready:
                    if self._ended:
                        raise StopAsyncIteration
                    await self._advance()
                row = self._ready.popleft()
                if isinstance(row, VideoTask):
                    return row
                self._skip(row)
        finally:
            self._in_use = False

    async def _advance(self) -> None:
        """Deal with the next piece: take its rows, or take it apart."""
        piece = self._pieces[0] if self._pieces else Piece(self._next, self._page_size)
        try:
            page = await self._fetch(piece.at // piece.size + 1, piece.size)
        except (TaskNotFoundError, ServerError) as error:
            if not spoils_a_page(error):
                raise
            if piece.size == 1:
                await self._blame(error)
            self._leave(piece)
            if piece.size > 1:
                self._pieces.extendleft(reversed(pieces(*piece)))
            else:
                self._ready.append(SkippedVideo(piece.at, error.with_traceback(None)))
            return
        self._leave(piece)
        self.total = page.total
        for number, row in enumerate(page.rows):
            if isinstance(row, ContractError):
                self._ready.append(SkippedVideo(piece.at + number, row))
            elif self._is_new(row.id):
                self._ready.append(row)
        self._repeated = 0 if self._ready else self._repeated + len(page.rows)
        if self._repeated > _MOST_SEEN:
            raise ContractError("the list of videos goes on and on with rows it has had before")
        end = piece.at + piece.size
        if len(page.rows) < piece.size or (page.total is not None and end >= page.total):
            self._ended = True

    async def _blame(self, error: ApiError) -> None:
        """Make sure that it is the row that fails: a page without rows must not.

        Raises:
            ApiError: All pages fail.
        """
        try:
            await self._fetch(_FAR_AWAY, 1)
        except (TaskNotFoundError, ServerError):
            raise error from None

    def _leave(self, piece: Piece) -> None:
        if self._pieces:
            self._pieces.popleft()
        else:
            self._next = piece.at + piece.size

    def _skip(self, row: SkippedVideo) -> None:
        self.skipped += 1
        if self._report is None:
            logger.warning("row %d of the list of videos is left out: %s", row.position, row.error)
        else:
            self._report(row)

    def _is_new(self, id: str) -> bool:
        # Tasks made while the list is read push the others back, onto pages still to come.
        if id in self._seen:
            return False
        self._seen[id] = None
        if len(self._seen) > _MOST_SEEN:
            del self._seen[next(iter(self._seen))]
        return True


def spoils_a_page(error: AiToEarnError) -> bool:
    """Whether it is what the service says of a page for the sake of one row."""
    return (
        isinstance(error, TaskNotFoundError | ServerError)
        and error.http_status == 200
        and error.code in (500, 12302)
    )
