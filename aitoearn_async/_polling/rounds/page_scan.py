"""Pages of a list by their rows, and which of them one round asks for. No clock and no HTTP.

    from the newest on, until all that are waited for have been met, or the list has ended,
    or some pages past the last one of ours have none of them; more where many are looked for

A page that fails for the sake of one row is taken apart: halves or fifths of it are asked for
instead, until the bad row stands alone and is passed over.
"""

from __future__ import annotations

from collections import deque

import msgspec

SIZES = (1000, 500, 250, 125, 25)
"""Rows a page, each a part of the one before."""
_FEWEST_BARREN, _MOST_BARREN = 3, 20
_MISSED_A_PAGE = 5
"""Pages in a row without a task that is waited for, after which no more are asked for: one for
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


class PageScan:
    """One round through the pages of a list.

    Args:
        size: Rows a page.
        wanted: Tasks that are looked for.
        reach: Rows up to which they stood in the last round.

    Attributes:
        missing: Those of them that have not been met.
        reach: Rows up to which they stand now.
        is_failing: Whether it is no single row that makes pages fail.
        is_stopped: Whether it was stopped before its end.
    """

    def __init__(self, size: int, wanted: int, reach: int) -> None:
        self.missing = wanted
        self.reach = 0
        self.is_failing = False
        self.is_stopped = False
        self._size = size
        self._known_to = reach
        self._wanted: deque[PageRange] = deque([PageRange(0, size)])
        self._next = size
        self._barren = 0
        self._failures = 0
        self._ended = False

    def next(self) -> PageRange | None:
        """Return the page to ask for; None when the round is over."""
        if self.missing <= 0 or self.is_failing or self.is_stopped:
            return None
        if not self._wanted:
            most = min(max(_FEWEST_BARREN, self.missing // _MISSED_A_PAGE), _MOST_BARREN)
            is_past = self._next >= self._known_to and self._barren >= most
            if self._ended or is_past:
                return None
            self._wanted.append(PageRange(self._next, self._size))
            self._next += self._size
        return self._wanted.popleft()

    def took(self, wanted: PageRange, rows: int, found: int, last: int, total: int | None) -> None:
        """Note a page that came.

        Args:
            wanted: The page.
            rows: Rows on it.
            found: Tasks among them that were looked for.
            last: The position of the last of these on the page.
            total: Rows of the whole list, as the page says.
        """
        self.missing -= found
        self._barren = 0 if found else self._barren + 1
        if found:
            self.reach = max(self.reach, wanted.at + last + 1)
        end = wanted.at + wanted.size
        if rows < wanted.size or total == end:  # a full page past the total says that it is wrong
            self._ended = True
            self._wanted = deque(other for other in self._wanted if other.at < wanted.at)

    def stop(self) -> None:
        """Ask for no further page."""
        self.is_stopped = True

    def failed(self, wanted: PageRange) -> None:
        """Note a page that fails for the sake of a row: ask for its parts, or pass over it."""
        self._failures += 1
        self.is_failing = self._failures > _MOST_FAILURES
        self._wanted.extendleft(reversed(wanted.parts()))


def smaller(size: int) -> int:
    """Return the next smaller size of a page."""
    return next((other for other in SIZES if other < size), SIZES[-1])


def larger(size: int) -> int:
    """Return the next larger size of a page."""
    return next((other for other in reversed(SIZES) if other > size), SIZES[0])
