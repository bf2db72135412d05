"""The ramp after trouble: first few requests a second, then more.

Ten thousand tasks that were held must not arrive together at a service that has just come
back. Pure arithmetic on loop time; who sleeps for how long is in `limiter`.
"""

from __future__ import annotations

import math

_AVERAGED_SECONDS = 20.0
"""The time over which the rate of good answers is averaged: some periods of the usual cadences."""
_MOMENT_SECONDS = 0.01
"""Seconds within which answers came together, as far as a rate can tell."""
_HARMLESS_RATE = 20.0
"""Requests a second that no service is hurt by."""
_LOWEST_RATE = 5.0
_OUTAGE_FACTOR, _COMPLAINT_FACTOR = 1.2, 0.5
"""The most that is allowed afterwards: so many times the usual rate."""
_OUTAGE_STEADY_SECONDS, _COMPLAINT_STEADY_SECONDS = 60.0, 10.0
"""Seconds until that most begins to grow, where there still is more to do."""
_DOUBLING_SECONDS = 20.0
_CALM_SECONDS = 1.0
"""Seconds without a crowd, after which no pace is needed any longer."""


class UsualRate:
    """The number of good answers in a second, while they come."""

    __slots__ = ("_at", "_since", "_sum")

    def __init__(self) -> None:
        self._sum = 0.0
        self._since = math.nan
        self._at = -math.inf

    def note(self, now: float) -> None:
        """Count a good answer."""
        if now - self._at < _MOMENT_SECONDS:
            self._sum += 1.0
            return
        if not self._sum:
            self._since = now
        self._sum = self._sum * math.exp((self._at - now) / _AVERAGED_SECONDS) + 1.0
        self._at = now

    def last(self) -> float:
        """Return the good answers a second, as of the last of them."""
        if self._sum <= 1.0:
            return 0.0  # of none, or of one
        # Against what an even stream of one a second would have added up to by now. Within
        # the first second that would make a great rate of a few that came together.
        age = max(1.0, self._at - self._since)
        return self._sum / -math.expm1(-age / _AVERAGED_SECONDS) / _AVERAGED_SECONDS


class Ramp:
    """The requests a second to allow from a moment on: twice as many every half second.

    Args:
        now: The moment.
        most: Where the doubling ends, for a while.
        steady: For how long, in seconds. If the pace is still felt then, there is more to do
            than there was, and the most allowed grows too.
    """

    def __init__(self, now: float, most: float, steady: float) -> None:
        self._began = now
        self._most = most
        self._steady = steady
        self._first = min(most, max(_HARMLESS_RATE, most / 10 if most < math.inf else 0.0))

    def interval(self, now: float) -> float:
        """Return the seconds between the starts of two requests."""
        age = max(0.0, now - self._began)
        # Powers overflow within minutes or hours; by then every bound has long been reached.
        doublings = min(max(0.0, age - self._steady) / _DOUBLING_SECONDS, 60.0)
        return 1 / min(self._most * 2**doublings, self._first * 4 ** min(age, 60.0))

    def is_over(self, now: float, felt: float) -> bool:
        """Return whether it is over; `felt`: the moment at which it last was too slow."""
        return now - max(felt, self._began) > _CALM_SECONDS


def after_outage(now: float, usual: float) -> Ramp:
    """Return the pace after an outage: up to somewhat more than usual.

    Requests that were held get their turn, and the service gets no flood of them.

    Too few answers before the outage say little of how many there will be, and set no bound.
    """
    most = usual * _OUTAGE_FACTOR if usual >= _HARMLESS_RATE else math.inf
    return Ramp(now, most, _OUTAGE_STEADY_SECONDS)


def after_complaint(now: float, too_many: float) -> Ramp:
    """Return the pace after a complaint: up to half of what was too much.

    Where that is not known, it is half of a few requests a second.
    """
    most = max((too_many or _HARMLESS_RATE) * _COMPLAINT_FACTOR, _LOWEST_RATE)
    return Ramp(now, most, _COMPLAINT_STEADY_SECONDS)
