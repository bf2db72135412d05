"""Whether the service is well, as far as all requests of one client can tell.

    CLOSED      all is well: every request goes out
    OPEN        one answer after the other was trouble: now and then a request goes out, as a
                probe, and all others are held
    RECOVERING  a probe was answered: requests go out again, first few, then more (`pace`)

Only what the service as a whole does counts: a task that fails for ever counts a few times and
no more, and answers to requests of an earlier state count for nothing. Pure: what came of a
request and what time it is are handed in, and who is held, told or logged is not known here.
"""

from __future__ import annotations

import enum
import math
import random


class BreakerState(enum.Enum):
    """What a client thinks of the service."""

    CLOSED = "closed"
    """All is well: every request goes out."""
    OPEN = "open"
    """The service is down: it is asked by a probe now and then, and by nobody else."""
    RECOVERING = "recovering"
    """It has answered a probe: requests go out again, more and more of them."""


_FAILURES = 20
"""In a row, to take the service for down. With every second answer a failure, one in a million
rows is as long; with one in a hundred, none ever is."""
_FAILURES_AGAIN = 5
"""In a row, to take it for down again before it is well."""
_OF_ONE_TASK = 4
"""Failures of one and the same task that count, since they may be its own."""
_FIRST_PROBE, _FACTOR, _LAST_PROBE = 1.0, 1.5, 2.0
"""Seconds between two probes. The load is next to nothing, and the sooner one finds the
service well again, the shorter everybody waits."""
_MOST_PROBES = 5
"""Probes under way, where each hangs."""
_FORGOTTEN = 60.0
"""Seconds after which a probe of which nothing was heard does not count as under way."""


class Breaker:
    """Counts trouble, and says who may go."""

    def __init__(self) -> None:
        self.state: BreakerState = BreakerState.CLOSED
        self.outages: int = 0
        """How often it has opened."""
        self.since: float = math.nan
        """When the present or last outage began, in loop time."""
        self.term: int = 0
        """What `admit` returns while requests go out; another in each state."""
        self._streak = 0
        self._of_task: dict[str, int] = {}
        self._probes = 0
        self._probed_at = -math.inf
        self._next_probe = 0.0
        self._interval = _FIRST_PROBE

    def admit(self, now: float) -> int | None:
        """Let a request out. Returns what to hand in with its result; None: it is held."""
        if self.state is not BreakerState.OPEN:
            return self.term
        if self._probes >= _MOST_PROBES and now - self._probed_at < _FORGOTTEN:
            return None
        if now < self._next_probe:
            return None
        self._probes += 1
        self._probed_at = now
        self._next_probe = now + self._interval * random.uniform(0.75, 1.25)
        self._interval = min(self._interval * _FACTOR, _LAST_PROBE)
        return self.term

    def is_current(self, term: int) -> bool:
        """Whether nothing has changed since `admit` returned this."""
        return term == self.term

    def good(self, term: int) -> bool:
        """The service has answered. Returns whether that makes it count as back."""
        if term != self.term:
            return False
        if self._streak:
            self._forget_failures()
        if self.state is not BreakerState.OPEN:
            return False
        self._enter(BreakerState.RECOVERING)
        return True

    def bad(self, term: int, task: str | None, now: float) -> bool:
        """The service is in trouble. Returns whether that makes it count as down.

        Args:
            term: What `admit` returned.
            task: Whose request it was, if the trouble may be the task's own.
            now: Loop time.
        """
        if term != self.term:
            return False
        if self.state is BreakerState.OPEN:
            self._probes -= 1
            return False
        if not self._counts(task):
            return False
        self._streak += 1
        was_closed = self.state is BreakerState.CLOSED
        if self._streak < (_FAILURES if was_closed else _FAILURES_AGAIN):
            return False
        if was_closed:
            self.outages += 1
            self.since = now
            self._interval = _FIRST_PROBE
        self._enter(BreakerState.OPEN)
        self._next_probe = now + self._interval * random.uniform(0.75, 1.25)
        return True

    def neither(self, term: int) -> None:
        """A request came to something that says nothing of the service, or was cancelled."""
        if term == self.term and self.state is BreakerState.OPEN:
            self._probes -= 1

    def recovered(self) -> None:
        """Requests go out as they come again."""
        if self.state is BreakerState.RECOVERING:
            self._enter(BreakerState.CLOSED)

    def _counts(self, task: str | None) -> bool:
        if task is None:
            return True
        times = self._of_task.get(task, 0)
        self._of_task[task] = times + 1
        return times < _OF_ONE_TASK

    def _enter(self, state: BreakerState) -> None:
        self.state = state
        self.term += 1
        self._probes = 0
        self._forget_failures()

    def _forget_failures(self) -> None:
        self._streak = 0
        self._of_task.clear()
