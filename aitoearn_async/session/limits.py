"""How much at once and how fast, for everything one client does.

The client's connector is unlimited, because its queue can lose a wake-up; this is what
stands before it. Which request is worth sending is decided elsewhere.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable

from .pace import Ramp

_CROWD = 20
"""Requests that wait for their turn where the pace is too slow, and not just uneven."""


class Limits:
    """So many requests at a time, and so many a second, first come first served.

    Args:
        concurrency: Requests under way at the same time.
        requests_per_second: Starts a second, evenly spaced, without a burst after a pause;
            None for no limit.
        now: Tells the time: that of whoever sets the `ramp`.
    """

    def __init__(
        self, concurrency: int, requests_per_second: float | None, now: Callable[[], float]
    ) -> None:
        self._now = now
        self.concurrency = concurrency
        self.requests_per_second = requests_per_second
        self._places = concurrency  # that are free
        self._queue: deque[asyncio.Future[None]] = deque()
        self._interval = 1 / requests_per_second if requests_per_second else 0.0
        self._turn = asyncio.Lock()
        self._next_start = 0.0
        self._felt = -math.inf  # when the pace last was too slow
        self.ramp: Ramp | None = None
        """The pace after trouble, while it lasts."""
        self.begun: int = 0
        self.in_flight: int = 0
        self.queued: int = 0
        self.failed: int = 0
        """Requests that came to nothing, as those say who know what they were for."""

    def __str__(self) -> str:
        rate = self.requests_per_second
        paced = f", requests_per_second={rate:g}" if rate else ""
        return f"concurrency={self.concurrency}{paced}"

    def enter_now(self) -> bool:
        """Go in, where there is a place and nothing to wait for. Returns whether it did.

        Nearly every request does, so this is no coroutine. It owes a `leave`, too.
        """
        if not self._places or self._queue or self._interval or self.ramp is not None:
            return False
        self._places -= 1
        self.begun += 1
        self.in_flight += 1
        return True

    async def enter(self) -> None:
        """Wait for a place, and for its turn. Each `enter` that returns owes a `leave`."""
        self.queued += 1
        try:
            await self._place()
            if self._interval or self.ramp is not None:
                try:
                    await self._pace()
                except BaseException:
                    self._give()
                    raise
        finally:
            self.queued -= 1
        self.begun += 1
        self.in_flight += 1

    def leave(self) -> None:
        """Give the place back."""
        self.in_flight -= 1
        if self._queue:
            self._give()
        else:
            self._places += 1

    def leave_unasked(self) -> None:
        """Give the place back of a request that was not sent after all."""
        self.begun -= 1
        self.leave()

    async def _place(self) -> None:
        if self._places and not self._queue:
            self._places -= 1
            return
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if not place.cancelled():  # it was given at the same moment
                self._give()
            raise

    def _give(self) -> None:
        """Give a place to the first in the queue who still wants it."""
        while self._queue:
            place = self._queue.popleft()
            if not place.done():
                place.set_result(None)
                return
        self._places += 1

    def is_calm(self) -> bool:
        """Whether requests go out as they come, and not at the pace after trouble."""
        if self.ramp is not None and self.ramp.is_over(self._now(), self._felt):
            self.ramp = None
        return self.ramp is None

    async def _pace(self) -> None:
        # Whoever sleeps holds the lock, so those behind queue up in order, and one who is
        # cancelled leaves no gap.
        async with self._turn:
            if (wait := self._next_start - self._now()) > 0:
                await asyncio.sleep(wait)
                if self.queued >= min(_CROWD, self.concurrency // 2):
                    self._felt = self._now()
            now = self._now()
            interval = self._interval
            if not self.is_calm() and self.ramp is not None:
                interval = max(interval, self.ramp.interval(now))
            self._next_start = now + interval
