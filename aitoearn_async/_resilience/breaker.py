"""A circuit breaker for a route of the service, or for its host.

    CLOSED      all is well: every request goes out
    OPEN        one answer after the other was trouble: now and then a request goes out, as a
                probe, and all others are held
    RECOVERING  a probe was answered: requests go out again, first few, then more (`ramp`)

Only what the route as a whole does counts: a task that fails for ever counts a few times and
no more, and answers to requests of an earlier state count for nothing. Pure: what came of a
request and what time it is are handed in, and who is held, told or logged is not known here.
"""

from __future__ import annotations

import enum
import math
import random


class BreakerState(enum.Enum):
    """The state of a circuit breaker."""

    CLOSED = "closed"
    """All is well: every request goes out."""
    OPEN = "open"
    """The service is down: it is asked by a probe now and then, and by nobody else."""
    RECOVERING = "recovering"
    """It has answered a probe: requests go out again, more and more of them."""


_FAILURES = 20
"""Failures in a row until the service counts as down. Where every second answer is a failure, one
in a million rows is as long; where one in a hundred is, none ever is."""
_FAILURES_AGAIN = 5
"""Failures in a row until it counts as down again, before it is well."""
_MOST_OF_ONE_TASK = 4
"""Failures of one and the same task that count, since they may be its own."""
_FIRST_PROBE_SECONDS, _PROBE_FACTOR, _LAST_PROBE_SECONDS = 1.0, 1.5, 2.0
"""Seconds between two probes. The load is next to nothing, and the sooner one finds the
service well again, the shorter everybody waits."""
_MOST_PROBES = 5
"""Probes under way, where each hangs."""
_FORGOTTEN_SECONDS = 60.0
"""Seconds after which a probe without an answer does not count as under way."""


class Breaker:
    """Counts trouble, and decides which requests may go out."""

    def __init__(self) -> None:
        self.state: BreakerState = BreakerState.CLOSED
        self.outages: int = 0
        """The number of times it has opened."""
        self.since: float = math.nan
        """The moment when the present or last outage began, in loop time."""
        self.generation: int = 0
        """The number of the present state: answers to requests of another one count for nothing."""
        self.streak: int = 0
        """Failures in a row, as far as they count."""
        self._of_task: dict[str, int] = {}
        self._probes = 0
        self._probed_at = -math.inf
        self._next_probe = 0.0
        self._interval = _FIRST_PROBE_SECONDS

    def is_due(self, now: float) -> bool:
        """Return whether a request may go out: where it is open, as the next probe."""
        if self.state is not BreakerState.OPEN:
            return True
        if self._probes >= _MOST_PROBES and now - self._probed_at < _FORGOTTEN_SECONDS:
            return False
        return now >= self._next_probe

    def admit(self, now: float) -> None:
        """Note that a request goes out: as a probe, where it is open."""
        if self.state is not BreakerState.OPEN:
            return
        self._probes += 1
        self._probed_at = now
        self._next_probe = now + self._interval * random.uniform(0.75, 1.25)
        self._interval = min(self._interval * _PROBE_FACTOR, _LAST_PROBE_SECONDS)

    def record_success(self, generation: int) -> bool:
        """Note a good answer. Return whether the service counts as back from then on."""
        if generation != self.generation:
            return False
        if self.streak:
            self._forget_failures()
        if self.state is not BreakerState.OPEN:
            return False
        self._enter(BreakerState.RECOVERING)
        return True

    def record_failure(self, generation: int, task: str | None, now: float) -> bool:
        """Note trouble. Return whether the service counts as down from then on.

        Args:
            generation: That of the moment when the request went out.
            task: Whose request it was, if the trouble may be the task's own.
            now: Loop time.
        """
        if generation != self.generation:
            return False
        if self.state is BreakerState.OPEN:
            self._probes -= 1
            return False
        if not self._counts(task):
            return False
        self.streak += 1
        was_closed = self.state is BreakerState.CLOSED
        if self.streak < (_FAILURES if was_closed else _FAILURES_AGAIN):
            return False
        self.outages += was_closed
        self.open(now)
        return True

    def open(self, now: float) -> None:
        """Open, whatever was counted."""
        if self.state is BreakerState.CLOSED:
            self.since = now
            self._interval = _FIRST_PROBE_SECONDS
        self._enter(BreakerState.OPEN)
        self._next_probe = now + self._interval * random.uniform(0.75, 1.25)

    def record_ignored(self, generation: int) -> None:
        """Note a request that says nothing of the service, or was cancelled."""
        if generation == self.generation and self.state is BreakerState.OPEN:
            self._probes -= 1

    def recovered(self) -> None:
        """Close: requests go out as they come again."""
        if self.state is BreakerState.RECOVERING:
            self._enter(BreakerState.CLOSED)

    def _counts(self, task: str | None) -> bool:
        if task is None:
            return True
        times = self._of_task.get(task, 0)
        self._of_task[task] = times + 1
        return times < _MOST_OF_ONE_TASK

    def _enter(self, state: BreakerState) -> None:
        self.state = state
        self.generation += 1
        self._probes = 0
        self._forget_failures()

    def _forget_failures(self) -> None:
        self.streak = 0
        self._of_task.clear()
