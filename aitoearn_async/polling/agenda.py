"""Who is due next, and whose time is over. Pure, synchronous, without a clock of its own.

It does not know what happens to a wait that is due, or over.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from typing import Generic, TypeVar

from ..contract.models import Task
from .step import Wait

T = TypeVar("T", bound=Task)

_FIRST_POLLS_PER_SECOND = 1000
_LONGEST_SPREAD = 10.0
"""Seconds within which the first poll of a ref comes, however many others there are."""


class Agenda(Generic[T]):
    """Waits in the order in which they are due; of those due at one moment, by ref.

    A wait can end while it stands here. It is then marked as over, and passed by when its
    turn comes: finding it earlier would cost more.

    Args:
        timeout: What all waits have in common: seconds from their first poll to their end.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._heap: list[Wait[T]] = []
        # All have the same timeout, so they run out of time in the order they began in.
        self._begun: deque[Wait[T]] = deque()
        self._begun_over = 0
        self._doomed: list[Wait[T]] = []

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, wait: Wait[T], due: float) -> None:
        """Put a wait on the agenda. It must not be on it already."""
        wait.due = due
        heapq.heappush(self._heap, wait)

    def next_due(self) -> float:
        """When the first wait is due; infinity if there is none."""
        heap = self._heap
        while heap and heap[0].over:
            heapq.heappop(heap)
        return heap[0].due if heap else math.inf

    def take(self, now: float) -> Wait[T] | None:
        """Take the first wait off the agenda, if it is due."""
        return heapq.heappop(self._heap) if self.next_due() <= now else None

    def begin(self, wait: Wait[T]) -> None:
        """Note that a wait has begun, and from now on has a deadline."""
        if self._timeout < math.inf:
            self._begun.append(wait)

    def doom(self, wait: Wait[T], moment: float) -> None:
        """Note when a wait will be over, with no poll before. It must not be on the agenda."""
        wait.due = moment
        heapq.heappush(self._doomed, wait)

    def end(self, wait: Wait[T]) -> None:
        """Note that a wait is over."""
        wait.over = True
        if self._timeout < math.inf and not math.isnan(wait.started):
            self._begun_over += 1
            if self._begun_over > 1000 + len(self._begun) // 2:
                self._begun = deque(wait for wait in self._begun if not wait.over)
                self._begun_over = 0

    def next_deadline(self) -> float:
        """When the first wait runs out of time, or is doomed to end; infinity if none will."""
        begun, doomed = self._begun, self._doomed
        while begun and begun[0].over:
            begun.popleft()
            self._begun_over -= 1
        while doomed and doomed[0].over:
            heapq.heappop(doomed)
        first = begun[0].started + self._timeout if begun else math.inf
        return min(first, doomed[0].due) if doomed else first

    def take_expired(self, now: float) -> Wait[T] | None:
        """Take the first wait that has come to its end. It stays on the agenda until over."""
        if self.next_deadline() > now:
            return None
        if self._doomed and self._doomed[0].due <= now:
            return heapq.heappop(self._doomed)
        return self._begun.popleft()


class Spread:
    """When first polls are due, where there are many: what begins together stays together."""

    def __init__(self) -> None:
        self._last = -math.inf

    def next(self, now: float) -> float:
        """When one more is due: a little after the last; all mixed, once that is far off."""
        self._last = max(self._last + 1 / _FIRST_POLLS_PER_SECOND, now)
        if self._last < now + _LONGEST_SPREAD:
            return self._last
        return now + _LONGEST_SPREAD * random.random()
