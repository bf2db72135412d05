"""The time for which a download may stand still. It begins anew when bytes come."""

from __future__ import annotations

import math
from collections.abc import Callable

from .._runtime.lifetime import Lifetime, Timeout

LEAST_BYTES = 1024
"""The number of bytes that count as progress. A host that gives one now and then stands still."""


class StallTimer:
    """The deadline of a download, which moves. At first the time stands.

    Args:
        lifetime: The client's.
        seconds: Seconds for which it may stand still.

    Attributes:
        time: Returns the moment, by the client's clock.
        timeout: What ends it; to be entered.
        moved: Whether anything has come.
    """

    def __init__(self, lifetime: Lifetime, seconds: float) -> None:
        self.time: Callable[[], float] = lifetime.time
        self.deadline: float = math.inf
        self.timeout: Timeout = Timeout(lifetime)
        self.moved: bool = False
        self._lifetime = lifetime
        self._seconds = seconds
        self._since = 0
        self._left = seconds

    def advance(self, size: int) -> None:
        """Count bytes that have come."""
        self._since += size
        if self._since >= LEAST_BYTES:
            self._since, self._left, self.moved = 0, self._seconds, True
            self.start()

    def start(self) -> None:
        """Start the time, or go on with what is left of it."""
        self.deadline = deadline = self.time() + self._left
        if self.timeout.is_over:
            return
        self.timeout.deadline = deadline
        if deadline < self._lifetime.expires_at:  # it stood when the timeouts were looked at
            self._lifetime.schedule_expiry(deadline)

    def stop(self) -> None:
        """Stop the time, until the next start."""
        self._left = self.deadline - self.time()
        self.deadline = math.inf
        if not self.timeout.is_over:
            self.timeout.deadline = math.inf
