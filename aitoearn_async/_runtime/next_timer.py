"""One timer for many things of which only the next one matters."""

from __future__ import annotations

import math
from collections.abc import Callable

from .clock import Timer
from .lifetime import Lifetime


class NextTimer:
    """One timer that is set for one moment at a time.

    Args:
        lifetime: The client's, whose clock it goes by.
        ring: Called at that moment.
    """

    def __init__(self, lifetime: Lifetime, ring: Callable[[], object]) -> None:
        self.at: float = math.inf
        """The moment; infinity while it is not set."""
        self._lifetime = lifetime
        self._ring = ring
        self._timer: Timer | None = None

    def set(self, moment: float) -> None:
        """Set it for another moment; infinity cancels it."""
        if self._timer is not None:
            self._timer.cancel()
        self.at = moment
        self._timer = self._lifetime.call_at(moment, self._ring) if moment < math.inf else None
