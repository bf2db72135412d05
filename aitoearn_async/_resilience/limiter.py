"""A rate limiter: how many requests of one client at once, and how many in a second.

The client's connector is unlimited, because its queue can lose a wake-up; this limiter stands
before it. Which request is worth sending is decided elsewhere.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from .._runtime.concurrency_limit import ConcurrencyLimit
from .ramp import Ramp

_NEGLIGIBLE_SECONDS = 1e-6
"""Seconds that are too few to sleep for. They are left over by the rounding of floats, and a loop
whose time stands still would sleep for them again and again."""
_LONGEST_SLEEP_SECONDS = 1.0
"""Seconds after which a request that waits looks whether the rate has changed."""
_CROWD_SIZE = 20
"""The number of waiting requests that shows that the pace is too slow, and not just uneven."""


class Pace:
    """The pace at which requests start, first come first served: all of a client, or of a route.

    Args:
        now: Tells the time, on the clock of whoever sets the `ramp`.
        crowd: The number of waiting requests from which on the pace is too slow.
    """

    def __init__(self, now: Callable[[], float], crowd: int) -> None:
        self.ramp: Ramp | None = None
        """The pace after trouble, while it lasts."""
        self.waiting: int = 0
        """Requests that wait for their turn."""
        self._now = now
        self._crowd = crowd
        self._turn = asyncio.Lock()
        self._interval = 0.0
        self._next_start = 0.0
        self._crowded_at = -math.inf  # when many last waited

    @property
    def is_free(self) -> bool:
        """True while a request has nothing to wait for."""
        return not self._interval and self.ramp is None

    def is_calm(self) -> bool:
        """End the ramp if it is over. Return whether there is none now."""
        if self.ramp is not None and self.ramp.is_over(self._now(), self._crowded_at):
            self.ramp = None
        return self.ramp is None

    def set_interval(self, interval: float) -> None:
        """Set the least seconds between two starts, from the next one on."""
        self._interval = interval
        # A request that waits now must not wait for the next start by a slower rate.
        if self._next_start:
            self._next_start = min(self._next_start, self._now() + interval)

    def leave_loop(self) -> None:
        """Forget what is bound to a loop that is closed."""
        self._turn = asyncio.Lock()

    async def turn(self) -> None:
        """Wait until a request may start."""
        # The request that sleeps holds the lock, so the others queue up in order, and one that is
        # cancelled leaves no gap.
        self.waiting += 1
        try:
            async with self._turn:
                if self._next_start > self._now():
                    while (wait := self._next_start - self._now()) > _NEGLIGIBLE_SECONDS:  # noqa: ASYNC110 - time comes by itself
                        await asyncio.sleep(min(wait, _LONGEST_SLEEP_SECONDS))
                    if self.waiting >= self._crowd:
                        self._crowded_at = self._now()
                now = self._now()
                interval = self._interval
                if not self.is_calm() and self.ramp is not None:
                    interval = max(interval, self.ramp.interval(now))
                self._next_start = now + interval
        finally:
            self.waiting -= 1


class RequestLimiter:
    """Limits the requests at a time, and those that begin in a second. First come, first served.

    Args:
        concurrency: Requests under way at the same time.
        requests_per_second: Starts a second, evenly spaced, without a burst after a pause;
            None for no limit.
        now: Tells the time.
    """

    def __init__(
        self, concurrency: int, requests_per_second: float | None, now: Callable[[], float]
    ) -> None:
        self._now = now
        self.places: ConcurrencyLimit = ConcurrencyLimit(concurrency)
        """Each request under way has one, and each that waits for the pace of all."""
        self._paces: list[Pace] = []
        self.pace: Pace = self.new_pace()
        """The pace of all requests."""
        self.requests_per_second = requests_per_second
        self.begun: int = 0
        """Requests that went out, those sent again included."""
        self.queued: int = 0

    def new_pace(self) -> Pace:
        """Return a pace for some of the requests."""
        pace = Pace(self._now, min(_CROWD_SIZE, self.places.count // 2))
        self._paces.append(pace)
        return pace

    @property
    def in_flight(self) -> int:
        """The number of requests under way: each has a place, and does not wait any more."""
        return self.places.taken - self.pace.waiting

    @property
    def requests_per_second(self) -> float | None:
        """Starts a second; None for no limit. A change holds from the next start on."""
        return self._rate

    @requests_per_second.setter
    def requests_per_second(self, rate: float | None) -> None:
        self._rate = rate
        self.pace.set_interval(1 / rate if rate else 0.0)

    def __str__(self) -> str:
        rate = self.requests_per_second
        paced = f", requests_per_second={rate:g}" if rate else ""
        return f"concurrency={self.places.count}{paced}"

    def leave_loop(self) -> None:
        """Forget what is bound to a loop that is closed."""
        for pace in self._paces:
            pace.leave_loop()
        self.places.leave_loop()

    def try_acquire(self, pace: Pace, *, is_final: bool = False) -> bool:
        """Take one of `places`, if there is nothing to wait for. Return whether it was taken.

        Nearly every request gets its place this way, so this is no coroutine.

        Args:
            pace: The pace of the request's route.
            is_final: It is the final poll of a wait, with no time left to wait for others.
        """
        if self._rate is not None:
            return False
        if not is_final and (pace.ramp is not None or self.pace.ramp is not None):
            return False
        is_in = self.places.try_take()
        self.begun += is_in
        return is_in

    async def acquire(self, pace: Pace, *, is_final: bool = False) -> None:
        """Wait for a turn, and take one of `places`, which is to be given back.

        Args:
            pace: The pace of the request's route. No place is held while the request waits for it,
                so requests of other routes may go first.
            is_final: It is the final poll of a wait, with no time left to wait for others.
        """
        self.queued += 1
        try:
            if not is_final and not pace.is_free:
                await pace.turn()
            await self.places.take()
            if self._rate is not None or (not is_final and not self.pace.is_free):
                try:
                    await self.pace.turn()
                except BaseException:
                    self.places.give_back()
                    raise
        finally:
            self.queued -= 1
        self.begun += 1

    async def again(self) -> None:
        """Wait for the turn of a request that keeps its place and is sent once more."""
        self.queued += 1
        try:
            if not self.pace.is_free:
                await self.pace.turn()
        finally:
            self.queued -= 1
        self.begun += 1

    def release_unsent(self) -> None:
        """Give back the place of a request that was not sent after all."""
        self.begun -= 1
        self.places.give_back()
