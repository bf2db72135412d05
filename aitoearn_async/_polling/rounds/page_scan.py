"""Pages of a list by their rows, and which of them one round asks for. No clock and no HTTP.

    the newest page, which tells how far newer rows have pushed the others back
    the pages on which ours stood in the last round
    while some are missing, the neighbours of pages that had any, and then the newest ones

Some pages in a row that have none of ours are the last; more where many are missing. Where there is
no total, or most are not met where it says, all pages follow down to where the last one stood.

A page that fails for the sake of one row is taken apart: halves or fifths of it are asked for
instead, until the bad row stands alone and is passed over.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Sequence

import msgspec

SIZES = (1000, 500, 250, 125, 25)
"""Rows a page, each a part of the one before."""
_FEWEST_BARREN, _MOST_BARREN = 3, 20
_MISSED_A_PAGE = 5
"""Pages in a row without a task that is waited for, after which a round looks no further: one for
each so many that are missing still. Who takes the oldest of a bulk finds all of them far behind."""
_MOST_FAILURES = 40
"""Pages that may fail in one round; if more do, the service itself fails."""


class PageRange(msgspec.Struct, frozen=True):
    """Rows that one page covers; they begin at a multiple of its size."""

    at: int
    size: int

    @property
    def number(self) -> int:
        """The number of the page, from 1."""
        return self.at // self.size + 1

    def parts(self) -> list[PageRange]:
        """Return smaller pages that cover the same rows; none for a single row.

        They are halves or fifths of it; where it has neither, their sizes are powers of two.
        """
        if self.size == 1:
            return []
        end = self.at + self.size
        for divisor in (2, 5):
            if self.size % divisor == 0:
                size = self.size // divisor
                return [PageRange(at, size) for at in range(self.at, end, size)]
        found: list[PageRange] = []
        at, largest = self.at, 1 << self.size.bit_length() - 1
        while at < end:
            part = min(1 << (end - at).bit_length() - 1, at & -at or largest)
            found.append(PageRange(at, part))
            at += part
        return found

    def is_cut(self, rows: int, total: int | None) -> bool:
        """Return whether it came with fewer rows than were asked for, though the list goes on.

        Args:
            rows: Rows that it came with.
            total: Rows of the whole list, as the page says.
        """
        return rows < self.size and total is not None and self.at + rows < total

    def following(self, rows: int, total: int | None) -> PageRange | None:
        """Return the page to ask for after this one came with so many rows; None after the last.

        A service may give fewer rows than it is asked for, though its total says that it has more.
        It numbers its pages by those rows then, and so do we. A list that is longer than its total
        shows the total to be wrong.
        """
        seen = self.at + rows
        goes_on = seen != total if rows >= self.size else self.is_cut(rows, total)
        return PageRange(seen - seen % rows, rows) if rows and goes_on else None


class Places(msgspec.Struct, frozen=True):
    """The places of tasks in a list: the first and the last row of each page that had any."""

    stretches: Sequence[tuple[int, int]] = ()
    total: int | None = None
    """Rows that the list had then; newer ones push the others back."""


class PageScan:
    """One round through the pages of a list.

    Args:
        size: Rows a page.
        wanted: Tasks that are looked for.
        before: Where they stood in the last round.

    Attributes:
        missing: Those of them that have not been met.
        is_failing: Whether it is no single row that makes pages fail.
        is_stopped: Whether it was stopped before its end.
    """

    def __init__(self, size: int, wanted: int, before: Places) -> None:
        self.missing = wanted
        self.is_failing = False
        self.is_stopped = False
        self._size = size
        self._before = before
        self._known = deque(before.stretches)
        self._found: list[tuple[int, int, int | None]] = []  # with the total of then
        self._total: int | None = None
        self._end = math.inf
        self._asked: set[int] = set()  # the first row of each page that was asked for
        self._parts: deque[PageRange] = deque()  # of one of them
        self._near: list[int] = []  # a heap: the neighbours of those that had any
        self._met_there = 0  # those that have been met past the newest page
        self._newest = 0  # all newer pages have been asked for
        self._barren = 0
        self._failures = 0

    @property
    def places(self) -> Places:
        """The places of those that have been met, and of those that were not looked for yet."""
        found = list(self._found)
        if self.missing > 0:
            found += [(*stretch, self._before.total) for stretch in self._known]
        stretches: list[tuple[int, int]] = []
        for first, last, then in found:
            moved = self._moved_since(then)
            stretches.append((max(first + moved, 0), max(last + moved, 0)))
        stretches.sort()
        return Places(stretches, self._before.total if self._total is None else self._total)

    @property
    def pages(self) -> int:
        """The number of pages that were asked for."""
        return len(self._asked)

    def next(self) -> PageRange | None:
        """Return the page to ask for; None when the round is over."""
        if self.missing <= 0 or self.is_failing or self.is_stopped:
            return None
        if self._parts:
            return self._parts.popleft()
        at = self._next_at() if self._asked else 0
        if at is None:
            return None
        self._asked.add(at)
        return PageRange(at, self._size)

    def _next_at(self) -> int | None:
        """Return the first row of the next page; None when none is left to ask for."""
        if self._total is None or self._before.total is None:
            self._read_down()
        at = self._next_known()
        if at is None:
            at = self._next_other()
        if at is None and self.missing > self._met_there:
            self._read_down()
            at = self._next_known()
        return at

    def _next_known(self) -> int | None:
        """Return the first row of the next page on which tasks should stand."""
        moved = self._moved_since(self._before.total)
        while self._known:
            first, last = self._known.popleft()
            now = max(first + moved, 0)
            for at in range(now - now % self._size, last + moved + 1, self._size):
                if self._is_new(at):
                    if (rest := at + self._size - moved) <= last:  # no row is looked for again
                        self._known.appendleft((rest, last))
                    return at
        return None

    def _read_down(self) -> None:
        """Ask for all pages down to where the last task stood, once: the total tells no place."""
        if self._before.stretches:
            self._known = deque([(0, self._before.stretches[-1][1])])
            self._before = Places()

    def _moved_since(self, then: int | None) -> int:
        """Return how far rows have moved since the list had so many rows."""
        return 0 if self._total is None or then is None else self._total - then

    def _next_other(self) -> int | None:
        """Return the first row of the page that is most likely to have the others."""
        if self._barren >= min(max(_FEWEST_BARREN, self.missing // _MISSED_A_PAGE), _MOST_BARREN):
            return None
        while self._near:
            if self._is_new(at := heapq.heappop(self._near)):
                return at
        while self._newest in self._asked:
            self._newest += self._size
        return self._newest if self._is_new(self._newest) else None

    def _is_new(self, at: int) -> bool:
        return 0 <= at < self._end and at not in self._asked

    def took(self, wanted: PageRange, rows: int, found: Sequence[int], total: int | None) -> None:
        """Note a page that came.

        Args:
            wanted: The page.
            rows: Rows on it.
            found: The places on it of tasks that were looked for, in order.
            total: Rows of the whole list, as the page says.
        """
        self.missing -= len(found)
        self._met_there += len(found) if wanted.at >= self._size else 0
        self._barren = 0 if found or self._known else self._barren + 1
        self._total = self._total if total is None else total
        if found:
            self._found.append((wanted.at + found[0], wanted.at + found[-1], self._total))
            page = wanted.at - wanted.at % self._size
            heapq.heappush(self._near, page - self._size)
            heapq.heappush(self._near, page + self._size)
        end = wanted.at + wanted.size
        past = end - self._moved_since(self._before.total)
        while self._known and self._known[0][1] < past:
            self._known.popleft()
        if rows < wanted.size or total == end:  # a full page past the total says that it is wrong
            self._end = min(self._end, end)
            self._parts = deque(part for part in self._parts if part.at < end)

    def stop(self) -> None:
        """Ask for no further page."""
        self.is_stopped = True

    def failed(self, wanted: PageRange) -> None:
        """Note a page that fails for the sake of a row: ask for its parts, or pass over it."""
        self._failures += 1
        self.is_failing = self._failures > _MOST_FAILURES
        self._parts.extendleft(reversed(wanted.parts()))


def smaller(size: int) -> int:
    """Return the next smaller size of a page."""
    return next((other for other in SIZES if other < size), SIZES[-1])


def larger(size: int) -> int:
    """Return the next larger size of a page."""
    return next((other for other in reversed(SIZES) if other > size), SIZES[0])
