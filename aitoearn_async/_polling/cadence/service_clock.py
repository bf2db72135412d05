"""The service's clock, as far as its answers tell it. Pure: dates and moments are handed in."""

from __future__ import annotations

import math

_MOST_JUMPS = 3
"""Jumps, one soon after the other, after which the service's clock is not believed any more."""
_SOON = 600.0
"""Seconds. Jumps that are further apart are no sign of a bad clock: the client's own stands still
while the machine sleeps."""


class ServiceClock:
    """The service's clock, as its `Date` headers tell it: whole seconds, sent some time ago.

    Attributes:
        offset: Seconds from the client's clock to it; 0 while it is not known.
        known: Whether it is.
    """

    def __init__(self) -> None:
        self.offset: float = 0.0
        self.known: bool = False
        self._low = self._high = self._at = 0.0
        self._jumps = 0
        self._jumped_at = -math.inf

    def time(self, now: float) -> float | None:
        """Return its time at a moment of the client's clock; None where it is not known."""
        return now + self.offset if self.known else None

    def note(self, date: float, sent: float, received: float) -> None:
        """Note the `Date` of an answer, and when its request went out and it came in."""
        if self._jumps >= _MOST_JUMPS:
            return
        low, high = date - received, date + 1.0 - sent
        # Clocks drift apart: what was known grows vague.
        vague = 0.02 * (received - self._at)
        self._at = received
        if not self.known:
            self.known, self._low, self._high = True, low, high
        elif low > self._high + vague or high < self._low - vague:
            self._jumps = self._jumps + 1 if received < self._jumped_at + _SOON else 1
            self._jumped_at = received
            self._low, self._high = low, high
            self.known = self._jumps < _MOST_JUMPS
        else:
            self._low = max(self._low - vague, low)
            self._high = min(self._high + vague, high)
        self.offset = (self._low + self._high) / 2 if self.known else 0.0
