"""How much at once and how fast, for everything one client does.

The client's connector is unlimited, because its queue can lose a wake-up; this is what
stands before it. Which request is worth sending is decided elsewhere.
"""

from __future__ import annotations

import asyncio
import math

from .pace import Ramp

_CROWD = 20
"""Requests that wait for their turn where the pace is too slow, and not just uneven."""


class Limits:
    """So many requests at a time, and so many a second, first come first served.

    Args:
        concurrency: Requests under way at the same time.
        requests_per_second: Starts a second, evenly spaced, without a burst after a pause;
            None for no limit.
    """

    def __init__(self, concurrency: int, requests_per_second: float | None) -> None:
        self.concurrency = concurrency
        self.requests_per_second = requests_per_second
        self._places = asyncio.Semaphore(concurrency)
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

    async def enter(self) -> None:
        """Wait for a place, and for its turn. Each `enter` that returns owes a `leave`."""
        self.queued += 1
        try:
            await self._places.acquire()
            if self._interval or self.ramp is not None:
                try:
                    await self._pace()
                except BaseException:
                    self._places.release()
                    raise
        finally:
            self.queued -= 1
        self.begun += 1
        self.in_flight += 1

    def leave(self) -> None:
        """Give the place back."""
        self.in_flight -= 1
        self._places.release()

    def is_calm(self) -> bool:
        """Whether requests go out as they come, and not at the pace after trouble."""
        if self.ramp is not None and self.ramp.is_over(_now(), self._felt):
            self.ramp = None
        return self.ramp is None

    async def _pace(self) -> None:
        # Whoever sleeps holds the lock, so those behind queue up in order, and one who is
        # cancelled leaves no gap.
        async with self._turn:
            if (wait := self._next_start - _now()) > 0:
                await asyncio.sleep(wait)
                if self.queued >= min(_CROWD, self.concurrency // 2):
                    self._felt = _now()
            now = _now()
            interval = self._interval
            if not self.is_calm() and self.ramp is not None:
                interval = max(interval, self.ramp.interval(now))
            self._next_start = now + interval


def _now() -> float:
    return asyncio.get_running_loop().time()
