"""Who is due next, and whose time is over. Pure, synchronous, without a clock of its own.

It does not know what happens to a wait that is due, or over.
"""

from __future__ import annotations

import math
import random
from typing import Generic, TypeVar

from ..contract.models import Task
from .queues import Heap, Line
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
        self._waiting: Heap[T] = Heap()
        # All have the same timeout, so they run out of time in the order they began in.
        self._begun: Line[T] = Line()
        self._doomed: Heap[T] = Heap()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, wait: Wait[T], due: float) -> None:
        """Put a wait on the agenda. It must not be on it already."""
        wait.due = due
        self._waiting.push(wait)

    def next_due(self) -> float:
        """When the first wait is due; infinity if there is none."""
        wait = self._waiting.first()
        return math.inf if wait is None else wait.due

    def take(self, now: float) -> Wait[T] | None:
        """Take the first wait off the agenda, if it is due."""
        wait = self._waiting.first()
        if wait is None or wait.due > now:
            return None
        self._waiting.pop()
        return wait

    def begin(self, wait: Wait[T]) -> None:
        """Note that a wait has begun, and from now on has a deadline."""
        if self._timeout < math.inf:
            self._begun.append(wait)

    def doom(self, wait: Wait[T], moment: float) -> None:
        """Note when a wait will be over, with no poll before. It must not be on the agenda."""
        wait.due = moment
        self._doomed.push(wait)

    def end(self, wait: Wait[T]) -> None:
        """Note that a wait is over, and let go of what it holds: it may itself stay for a while."""
        wait.over = True
        wait.latest = wait.trouble = wait.verdict = wait.counts = None
        if self._timeout < math.inf and not math.isnan(wait.started):
            self._begun.note_over()

    def next_deadline(self) -> float:
        """When the first wait runs out of time, or is doomed to end; infinity if none will."""
        begun, doomed = self._begun.first(), self._doomed.first()
        first = math.inf if begun is None else begun.started + self._timeout
        return first if doomed is None else min(first, doomed.due)

    def take_expired(self, now: float) -> Wait[T] | None:
        """Take the first wait that has come to its end. It stays on the agenda until over."""
        doomed, begun = self._doomed.first(), self._begun.first()
        if doomed is not None and doomed.due <= now:
            self._doomed.pop()
            return doomed
        if begun is not None and begun.started + self._timeout <= now:
            self._begun.pop()
            return begun
        return None


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
