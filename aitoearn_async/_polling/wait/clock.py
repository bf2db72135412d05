"""The clock that the rest of the room is handed instead of a loop.

How time is kept is not known here.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any, Protocol


class Timer(Protocol):
    """A call that is scheduled."""

    def cancel(self) -> None:
        """Cancel the call."""


class Clock(Protocol):
    """Moments are seconds of this clock, which never goes back."""

    def time(self) -> float:
        """Return the time."""
        ...

    def call_at(self, when: float, callback: Callable[[], object], /) -> Timer:
        """Call at a moment, not before it."""
        ...

    async def sleep_until(self, when: float, wake: asyncio.Future[Any] | None = None, /) -> None:
        """Sleep to a moment, or until `wake` is done; at that moment it is done with None."""
        ...


class NextTimer:
    """One timer that is set for one moment at a time.

    Args:
        clock: The clock.
        ring: Called at that moment.
    """

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
