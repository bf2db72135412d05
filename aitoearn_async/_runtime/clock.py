"""The client's clock: loop time that stands still while the machine sleeps.

A laptop that was shut for an hour has not waited for an hour. On most systems the loop's own
clock stops with the machine; where it runs on, the first timer to come much too late tells of
the gap, and the gap is taken out: whatever waits has as long to go as it had before, so that
nothing times out unheard and nothing is due all at once. What is timed is not known here.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import NamedTuple

_ASLEEP_SECONDS = 30.0
"""Seconds that a timer must be late by. A loop that is merely held up comes back sooner, and
for it no time is taken out: deadlines are exact."""


class Moment(NamedTuple):
    """A moment, by two clocks."""

    client: float
    """By the client's, which stands still while the machine sleeps."""
    wall: float
    """By the machine's own, which can be set."""


class Clock:
    """A clock that tells the time and calls functions, as a loop does.

    It goes by one loop at a time: before it is bound to the first one, by the one that runs.
    """

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        """The loop it goes by."""
        self.time: Callable[[], float] = _running_loop_time
        """Returns the time, in seconds; also of a client that is closed. It is the loop's own
        function as long as nothing is taken out, and so is asked for each time, and not kept."""
        self._slept = 0.0

    def now(self) -> float:
        """Return the same as `time`, for whoever keeps the function that tells it."""
        return self.time()

    def moment(self) -> Moment:
        """Return the moment that is now."""
        return Moment(self.time(), time.time())

    def age(self, moment: Moment) -> float:
        """Return the seconds since a moment, the machine's sleep included.

        It is too long where the machine's clock has been set forward meanwhile.
        """
        return max(self.time() - moment.client, time.time() - moment.wall)

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        """Go by this loop from now on. The time goes on: another loop may begin at 0."""
        slept = 0.0 if self.loop is None else loop.time() - self.time()
        self.loop = loop
        self._take_out(slept)

    def _take_out(self, slept: float) -> None:
        """Let so many seconds of the loop's time count for nothing."""
        assert self.loop is not None
        self._slept = slept
        self.time = self._time_awake if slept else self.loop.time

    def _time_awake(self) -> float:
        assert self.loop is not None
        return self.loop.time() - self._slept

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer:
        """Call at a moment of this clock: not before it, even if the loop's timer is early.

        What is overdue already is called soon, and not late: it tells of no sleep.
        """
        timer = Timer(max(when, self.time()), callback)
        self._set(timer)
        return timer

    def _set(self, timer: Timer) -> None:
        assert self.loop is not None
        moment = timer.when + self._slept
        while moment - self._slept < timer.when:  # rounding must not make it early
            moment = math.nextafter(moment, math.inf)
        timer.timer = self.loop.call_at(moment, self._ring, timer)

    def _ring(self, timer: Timer) -> None:
        late = self.time() - timer.when
        if late > _ASLEEP_SECONDS:
            self._take_out(self._slept + late)
        elif late < 0:
            self._set(timer)
            return
        timer.callback()


def _running_loop_time() -> float:
    return asyncio.get_running_loop().time()


class Timer:
    """One call that is scheduled."""

    __slots__ = ("callback", "timer", "when")

    def __init__(self, when: float, callback: Callable[[], object]) -> None:
        self.when: float = when
        self.callback: Callable[[], object] = callback
        self.timer: asyncio.TimerHandle | None = None

    def cancel(self) -> None:
        """Cancel the call."""
        if self.timer is not None:
            self.timer.cancel()


class NextTimer:
    """One timer that is set for one moment at a time, at which it calls `ring`."""

    def __init__(self, clock: Clock, ring: Callable[[], object]) -> None:
        self.at: float = math.inf
        """The moment; infinity while it is not set."""
        self._clock = clock
        self._ring = ring
        self._timer: Timer | None = None

    def set(self, moment: float) -> None:
        """Set it for another moment; infinity cancels it."""
        if self._timer is not None:
            self._timer.cancel()
        self.at = moment
        self._timer = self._clock.call_at(moment, self._ring) if moment < math.inf else None
