"""How a batch stands: how much, how fast, how late. Numbers, cheap to keep and to read."""

from __future__ import annotations

import msgspec

_SECONDS = 8


class BatchStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """How a batch stands, at one moment."""

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
    """Polls that came back, with whatever."""
    unchanged: int
    """Good polls of them that brought nothing new."""
    polls_per_second: float
    """Over the last eight seconds."""
    lag: float
    """How much later than due polls go out, of late: seconds. High: the rate is too low."""
    exhausted: bool
    """Whether all refs have been read."""
    saving: int = 0
    """Outcomes of tasks that have succeeded, whose files are being saved or are to be."""


class Gauge:
    """Counts polls, and remembers the last seconds of them."""

    __slots__ = ("_buckets", "_second", "_since", "lag", "polls", "unchanged")

    def __init__(self) -> None:
        self.polls: int = 0
        self.unchanged: int = 0
        self.lag: float = 0.0
        self._buckets = [0] * _SECONDS
        self._second = 0
        self._since: float | None = None

    def note(self, now: float, lag: float, *, unchanged: bool) -> None:
        """One poll came back; it had gone out so many seconds later than due."""
        self.polls += 1
        self.unchanged += unchanged
        self.lag += (max(lag, 0.0) - self.lag) * 0.05
        if now >= self._second + 1 or self._since is None:
            self._advance(now)
        self._buckets[self._second % _SECONDS] += 1

    def per_second(self, now: float) -> float:
        """Polls a second, over the last seconds."""
        if self._since is None:
            return 0.0
        self._advance(now)
        # All seconds but the present one are whole.
        return sum(self._buckets) / min(max(now - self._since, 1.0), _SECONDS - 1 + now % 1)

    def _advance(self, now: float) -> None:
        second = int(now)
        if second == self._second and self._since is not None:
            return
        if self._since is None:
            self._since, self._second = now, second
        for passed in range(self._second + 1, min(second, self._second + _SECONDS) + 1):
            self._buckets[passed % _SECONDS] = 0
        self._second = max(second, self._second)
