"""A queue of waits that may be long, and costs the garbage collector little.

A full collection looks at each item of each list. For a million waits in lists that takes some
75 ms, in which no request gets on; in tuples it takes 4 ms. The collector leaves a tuple alone for
good once it has seen that it need look at none of its items, such as a `WaitState`. So most of the
queue lies in tuples. Nothing here knows what the order of the waits means.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from typing import Generic, TypeVar

from ...contract.tasks import Task
from ..wait.state import WaitState

T = TypeVar("T", bound=Task)

_LENGTH_OF_A_RUN = 1024


class WaitQueue(Generic[T]):
    """Waits in the order of a moment that each of them has.

    The waits that came last are in a heap. When it is full, all of it becomes a run: a tuple, in
    order. Waits that are over are dropped when their turn comes, or earlier if that is noted.

    Args:
        moment_of: Returns the moment of a wait. It must stay the same while the wait is here.
        most: The number of waits in a run.
    """

    def __init__(
        self, moment_of: Callable[[WaitState[T]], float], most: int = _LENGTH_OF_A_RUN
    ) -> None:
        self._moment_of = moment_of
        self._most = most
        self._latest: list[tuple[float, int, WaitState[T]]] = []
        # A heap too. Of each run: the moment of its first wait, a number that makes the order
        # definite, the place of that wait in the tuple, and the tuple.
        self._runs: list[tuple[float, int, int, tuple[WaitState[T], ...]]] = []
        self._numbers = itertools.count()
        self._over = 0  # waits that were over since the last sweep, and may still be here
        self._swept = 0  # the place in `_runs` at which the next sweep begins

    def __len__(self) -> int:
        """Return how many waits are here, with those that are over and not dropped yet."""
        return len(self._latest) + sum(len(run) - at for _, _, at, run in self._runs)

    def push(self, wait: WaitState[T]) -> None:
        """Add a wait."""
        heapq.heappush(self._latest, (self._moment_of(wait), next(self._numbers), wait))
        if len(self._latest) >= self._most:
            run = self._new_run([wait for _, _, wait in sorted(self._latest)])
            heapq.heappush(self._runs, run)
            self._latest.clear()

    def first(self) -> WaitState[T] | None:
        """Return the first wait; None if there is none. Drop those before it that are over."""
        latest, runs = self._latest, self._runs
        while latest or runs:
            if runs and (not latest or runs[0][0] <= latest[0][0]):
                _, _, at, run = runs[0]
                wait = run[at]
            else:
                wait = latest[0][2]
            if not wait.over:
                return wait
            self.pop()
        return None

    def pop(self) -> None:
        """Take away the wait that `first` has just returned."""
        if self._over:
            self._over -= 1
        latest, runs = self._latest, self._runs
        if not runs or (latest and latest[0][0] < runs[0][0]):
            heapq.heappop(latest)
            return
        first, number, at, run = runs[0]
        at += 1
        if at == len(run):
            heapq.heappop(runs)
            return
        if 2 * at >= len(run):  # or the waits that have left would be kept in memory
            run, at = run[at:], 0
        moment = self._moment_of(run[at])
        if moment == first:  # as in most of a crowd: the run stays in front
            runs[0] = moment, number, at, run
        else:
            heapq.heapreplace(runs, (moment, number, at, run))

    def note_over(self) -> None:
        """Note that a wait of this queue is over. It is dropped before long, wherever it is."""
        self._over += 1
        if self._runs and self._over >= self._most // 2:
            self._over = 0
            self._sweep()

    def _sweep(self) -> None:
        """Join two runs without the waits that are over. The next sweep joins the next two."""
        begin = self._swept % len(self._runs)
        swept = slice(begin, begin + 2)
        left = [wait for _, _, at, run in self._runs[swept] for wait in run[at:] if not wait.over]
        left.sort(key=self._moment_of)
        joined = [
            self._new_run(left[at : at + self._most]) for at in range(0, len(left), self._most)
        ]
        self._runs[swept] = joined
        self._swept = begin + len(joined)
        heapq.heapify(self._runs)

    def _new_run(
        self, waits: list[WaitState[T]]
    ) -> tuple[float, int, int, tuple[WaitState[T], ...]]:
        return self._moment_of(waits[0]), next(self._numbers), 0, tuple(waits)
