"""The agenda: which wait is due next, and which is out of time. Pure, without a clock of its own.

Nothing here knows what happens to a wait that is due, or over.
"""

from __future__ import annotations

import math
from operator import attrgetter
from typing import Generic, TypeVar

from ...contract.tasks import Task
from ..wait.state import WaitState
from .wait_queue import WaitQueue

T = TypeVar("T", bound=Task)


class Agenda(Generic[T]):
    """Waits in the order in which they are due.

    A wait can end while it stands here. Then it is marked as over, and skipped when its turn comes:
    to find it earlier would cost more.

    Args:
        timeout: Seconds from the first poll of each wait to its end.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._waiting: WaitQueue[T] = WaitQueue(attrgetter("due"))
        # All waits have the same timeout, so they run out of time in the order of their beginnings.
        self._begun: WaitQueue[T] = WaitQueue(attrgetter("started"))
        self._failing: WaitQueue[T] = WaitQueue(attrgetter("due"))

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, wait: WaitState[T], due: float) -> None:
        """Put a wait on the agenda. It must not be on it already."""
        wait.due = due
        self._waiting.push(wait)

    def next_due(self) -> float:
        """Return the moment when the first wait is due; infinity if there is none."""
        wait = self._waiting.first()
        return math.inf if wait is None else wait.due

    def take(self, now: float) -> WaitState[T] | None:
        """Take the first wait off the agenda, if it is due."""
        wait = self._waiting.first()
        if wait is None or wait.due > now:
            return None
        self._waiting.pop()
        return wait

    def begin(self, wait: WaitState[T]) -> float:
        """Note that a wait has begun. Return its deadline."""
        if self._timeout < math.inf:
            self._begun.push(wait)
        return wait.started + self._timeout

    def fail_at(self, wait: WaitState[T], moment: float) -> None:
        """Note the moment at which a wait ends without a poll. It must not be on the agenda."""
        wait.due = moment
        self._failing.push(wait)

    def end(self, wait: WaitState[T]) -> None:
        """Note that a wait is over, and drop what it holds: it may itself stay for a while."""
        wait.over = True
        wait.latest = wait.last_error = wait.counts = None
        if self._timeout < math.inf and not math.isnan(wait.started):
            self._begun.note_over()

    def next_deadline(self) -> float:
        """Return the moment when the first wait is out of time or given up; infinity if none is."""
        begun, failing = self._begun.first(), self._failing.first()
        first = math.inf if begun is None else begun.started + self._timeout
        return first if failing is None else min(first, failing.due)

    def take_expired(self, now: float) -> WaitState[T] | None:
        """Take the first wait that has come to its end. It stays on the agenda until over."""
        failing, begun = self._failing.first(), self._begun.first()
        if failing is not None and failing.due <= now:
            self._failing.pop()
            return failing
        if begun is not None and begun.started + self._timeout <= now:
            self._begun.pop()
            return begun
        return None
