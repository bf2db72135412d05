"""What time it is and when it is later: what the rest of the room is handed instead of a loop.

How time is kept is not known here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Alarm(Protocol):
    """A call to come."""

    def cancel(self) -> None:
        """Let it not come."""


class Clock(Protocol):
    """Moments are seconds of this clock, which never goes back."""

    def time(self) -> float:
        """Now."""
        ...

    def call_at(self, when: float, callback: Callable[[], object], /) -> Alarm:
        """Call at a moment, not before it."""
        ...

    async def sleep_until(self, when: float, /) -> None:
        """Sleep to a moment."""
