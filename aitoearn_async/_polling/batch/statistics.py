"""The statistics of a batch: how much, how fast, how late. Cheap to keep and to read."""

from __future__ import annotations

import asyncio
import math
from collections import Counter, deque
from collections.abc import Callable

import msgspec

from ...errors import AiToEarnError, TaskFailedError
from ..awaitables import call

_SECONDS_BETWEEN_REPORTS = 1.0
_SECONDS = 8


class BatchStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """The statistics of a batch at one moment."""

    pending: int
    """Tasks that wait for their next poll."""
    in_flight: int
    """Tasks that are being polled."""
    ready: int
    """Outcomes that nobody has taken yet."""
    succeeded: int
    """Tasks that succeeded."""
    failed: int
    """Tasks that failed."""
    unresolved: int
    """Tasks that were given up or refused."""
    polls: int
    """Polls that came back, whatever they brought."""
    unchanged: int
    """Good polls that brought nothing new."""
    polls_per_second: float
    """Over the last eight seconds."""
    lag: float
    """Seconds by which polls have been late recently. If it is high, the rate is too low."""
    exhausted: bool
    """All refs have been read."""
    time_left: tuple[float, float] | None = None
    """Seconds until the last of the tasks ends: at the earliest, and at the latest, as far as is
    likely. None while refs are still read, or too little is known of how long such tasks take."""
    saving: int = 0
    """Outcomes of tasks that have succeeded, whose files are being saved or are to be."""


class PollMeter:
    """Counts polls and the ends of tasks, and remembers the polls of the last seconds."""

    __slots__ = ("_began", "_next_second", "_since", "ends", "lag", "polls", "unchanged")

    def __init__(self) -> None:
        self.polls: int = 0
        self.unchanged: int = 0
        self.lag: float = 0.0
        self.ends: Counter[str] = Counter()
        # The latest seconds in which polls came back, and how many had by then.
        self._began: deque[tuple[int, int]] = deque(maxlen=_SECONDS)
        self._next_second = -math.inf
        self._since = 0.0

    def note(self, now: float, lag: float, *, unchanged: bool) -> None:
        """Count a poll that came back; it had gone out so many seconds later than due."""
        if now >= self._next_second:
            if not self._began:
                self._since = now
            self._began.append((int(now), self.polls))
            self._next_second = int(now) + 1
        self.polls += 1
        self.unchanged += unchanged
        self.lag += (max(lag, 0.0) - self.lag) * 0.05

    def note_end(self, error: AiToEarnError | None, times: int) -> None:
        """Count the end of a task that was asked for so many times."""
        failed = "failed" if isinstance(error, TaskFailedError) else "unresolved"
        self.ends["succeeded" if error is None else failed] += times

    def per_second(self, now: float) -> float:
        """Return the polls a second, over the last seconds."""
        before = next((polls for at, polls in self._began if at > int(now) - _SECONDS), self.polls)
        # All seconds but the present one are whole.
        seconds = min(max(now - self._since, 1.0), _SECONDS - 1 + now % 1)
        return (self.polls - before) / seconds


async def report(
    progress: Callable[[BatchStatistics], object],
    statistics: Callable[[], BatchStatistics],
    is_over: Callable[[], bool],
) -> None:
    """Call a hook about once a second with the statistics, until cancelled.

    A hook may not let the cancellation through: so there is `is_over`.
    """
    while not is_over():
        await asyncio.sleep(_SECONDS_BETWEEN_REPORTS)
        await call(progress, statistics())
