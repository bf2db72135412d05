"""The time for which a download may stand still. It begins anew when bytes come."""

from __future__ import annotations

import math

from .._runtime.lifetime import Lifetime, Timeout

LEAST_BYTES = 1024
"""The number of bytes that count as progress. A host that gives one now and then stands still."""


class StallTimer(Timeout):
    """The timeout of a download that stands still for so many seconds. At first the time stands.

    Attributes:
        ends_at: The moment when it is over, or was.
        moved: Whether anything has come.
    """

    def __init__(self, lifetime: Lifetime, seconds: float) -> None:
        super().__init__(lifetime)
        self.ends_at: float = math.inf
        self.moved: bool = False
        self._seconds = seconds
        self._bytes = 0  # fewer than `LEAST_BYTES`, come since the time began anew
        self._left = seconds

    def time(self) -> float:
        """Return the moment, by the client's clock."""
        return self._lifetime.time()

    def advance(self, size: int) -> None:
        """Count bytes that have come."""
        self._bytes += size
        if self._bytes >= LEAST_BYTES:
            self._bytes, self._left, self.moved = 0, self._seconds, True
            self.start()

    def start(self) -> None:
        """Start the time, or go on with what is left of it."""
        self.ends_at = self.time() + self._left
        self.reschedule(self.ends_at)

    def stop(self) -> None:
        """Stop the time, until the next start."""
        self._left = self.ends_at - self.time()
        self.ends_at = math.inf
        self.reschedule(math.inf)
