"""Queues that can grow long, of whose length the garbage collector sees little.

A full collection looks at each item of each list. Of a million waits that lie about in memory
that takes some 75 ms, in which no request gets on; in tuples it takes 4 ms. Tuples of what it
need not look at (`WaitState` is such) it leaves alone for good once it has seen them. So the bulk
of the queues lies in tuples. What the order means, and when who is due, is not known here.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from typing import Any, Generic, TypeVar

from ...contract.tasks import Task
from ..wait.state import WaitState

T = TypeVar("T", bound=Task)

_NEAR = 1024
_PIECE = 4
_LINK = 1024


class SortedQueue(Generic[T]):
    """Waits, the smallest first.

    The smallest are in a heap. When they are too many, the greater half of them is put by, in
    order, as a run; runs are brought back piece by piece, when their turn has come.

    Args:
        near: How many stay in the heap, at least, when the others are put by.
        piece: How many are brought back at a time.
    """

    def __init__(self, near: int = _NEAR, piece: int = _PIECE) -> None:
        self._most_near = near
        self._piece = piece
        self._near: list[WaitState[T]] = []
        # A heap too: of the first wait of each run, a number, the run, and where that wait is.
        self._runs: list[tuple[WaitState[T], int, tuple[WaitState[T], ...], int]] = []
        self._numbers = itertools.count()

    def __len__(self) -> int:
        """Return how many are here, with those that are over and have not been dropped yet."""
        return len(self._near) + sum(len(run) - at for _, _, run, at in self._runs)

    def push(self, wait: WaitState[T]) -> None:
        """Add one. It must not change its place in the order while it is here."""
        heapq.heappush(self._near, wait)
        if len(self._near) > 2 * self._most_near:
            self._near.sort()
            self._put_by(tuple(self._near[self._most_near :]), 0)
            del self._near[self._most_near :]

    def first(self) -> WaitState[T] | None:
        """Return the smallest, or None. Those that are over are dropped on the way."""
        near, runs = self._near, self._runs
        while True:
            while runs and (not near or runs[0][0] < near[0]):
                self._bring_back()
            if not near:
                return None
            if not near[0].over:
                return near[0]
            heapq.heappop(near)

    def pop(self) -> None:
        """Take away the one that `first` has just returned."""
        heapq.heappop(self._near)

    def _put_by(self, run: tuple[WaitState[T], ...], at: int) -> None:
        heapq.heappush(self._runs, (run[at], next(self._numbers), run, at))

    def _bring_back(self) -> None:
        _, _, run, at = heapq.heappop(self._runs)
        rest = at + self._piece
        if rest < len(run):
            # What is gone is let go of, now and then: copying touches each of the others.
            self._put_by(*((run, rest) if 2 * rest < len(run) else (run[rest:], 0)))
        for wait in run[at:rest]:
            self.push(wait)


class FifoQueue(Generic[T]):
    """Waits in the order they came in.

    Args:
        link: How many are together in a tuple.
    """

    def __init__(self, link: int = _LINK) -> None:
        self._link = link
        self._first: list[WaitState[T]] = []  # the last of these is the first of all
        self._links: deque[tuple[WaitState[T], ...]] = deque()
        self._last: list[WaitState[T]] = []
        self._over = 0
        self._swept = 0

    def __len__(self) -> int:
        """Return how many are here, with those that are over and have not been dropped yet."""
        return len(self._first) + sum(map(len, self._links)) + len(self._last)

    def append(self, wait: WaitState[T]) -> None:
        """Add one at the end."""
        self._last.append(wait)
        if len(self._last) >= self._link:
            self._links.append(tuple(self._last))
            self._last = []

    def first(self) -> WaitState[T] | None:
        """Return the first of those that are not over; None if there is none."""
        while True:
            while self._first and self._first[-1].over:
                self._first.pop()
            if self._first:
                return self._first[-1]
            if self._links:
                self._first = list(reversed(self._links.popleft()))
            elif self._last:
                self._first, self._last = self._last[::-1], []
            else:
                return None

    def pop(self) -> None:
        """Take away the one that `first` has just returned."""
        self._first.pop()

    def note_over(self) -> None:
        """Note that one of them is over. It is dropped before long, wherever it is."""
        self._over += 1
        if self._links and self._over >= self._link // 2:
            self._over = 0
            self._sweep()

    def _sweep(self) -> None:
        """Drop what is over in one of the links; each has its turn. Short ones are joined."""
        at = self._swept = self._swept % len(self._links)
        link = tuple(wait for wait in self._links[at] if not wait.over)
        if at and len(self._links[at - 1]) + len(link) <= self._link:
            self._links[at - 1] += link
            del self._links[at]
        else:
            self._links[at] = link
            self._swept += 1


class EarlierQueue(Generic[T]):
    """Waits that come in any order, the one that began first in front.

    The latest to come are in a heap. When they are too many, all of them are put by, in order, as
    a run.

    Args:
        link: How many are together in a run.
    """

    def __init__(self, link: int = _LINK) -> None:
        self._link = self._sweep_at = link
        self._count = 0
        self._near: list[tuple[float, int, WaitState[T]]] = []
        # A heap too: when the first wait of each run began, a number, where it is, and the run.
        self._runs: list[tuple[float, int, int, tuple[WaitState[T], ...]]] = []
        self._numbers = itertools.count()

    def __len__(self) -> int:
        """Return how many are here, with those that are over and have not been dropped yet."""
        return self._count

    def push(self, wait: WaitState[T]) -> None:
        """Add one. Where there are twice as many as were left by the last sweep, sweep again."""
        if self._count >= self._sweep_at:
            self._sweep()
        self._count += 1
        heapq.heappush(self._near, (wait.started, next(self._numbers), wait))
        if len(self._near) >= self._link:
            self._put_by([wait for _, _, wait in sorted(self._near)])
            self._near = []

    def first(self) -> WaitState[T] | None:
        """Return the one that began first; None if there is none. Drop those that are over."""
        near, runs = self._near, self._runs
        while near or runs:
            if runs and (not near or runs[0][0] <= near[0][0]):
                _, _, at, run = runs[0]
                wait = run[at]
            else:
                wait = near[0][2]
            if not wait.over:
                return wait
            self.pop()
        return None

    def pop(self) -> None:
        """Take away the one that `first` has just returned."""
        near, runs = self._near, self._runs
        self._count -= 1
        if not runs or (near and near[0][0] < runs[0][0]):
            heapq.heappop(near)
            return
        _, number, at, run = runs[0]
        if at + 1 < len(run):
            heapq.heapreplace(runs, (run[at + 1].started, number, at + 1, run))
        else:
            heapq.heappop(runs)

    def _put_by(self, waits: list[WaitState[T]]) -> None:
        heapq.heappush(self._runs, (waits[0].started, next(self._numbers), 0, tuple(waits)))

    def _sweep(self) -> None:
        left = [wait for _, _, wait in self._near if not wait.over]
        for _, _, at, run in self._runs:
            left += [wait for wait in run[at:] if not wait.over]
        left.sort(key=_began)
        self._near, self._runs = [], []
        for at in range(0, len(left), self._link):
            self._put_by(left[at : at + self._link])
        self._count = len(left)
        self._sweep_at = max(2 * self._count, self._link)


def _began(wait: WaitState[Any]) -> float:
    return wait.started
