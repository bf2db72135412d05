"""The ramp after trouble: first few requests a second, then more.

Ten thousand requests that were held back must not arrive together at a service that has just come
back. This is pure arithmetic on loop time. The sleeping is done in `limiter`.
"""

from __future__ import annotations

import math

_AVERAGED_SECONDS = 20.0
"""Seconds over which the rate of good answers is averaged: some periods of the usual cadences."""
_MOMENT_SECONDS = 0.01
"""Seconds between two answers, below which they count as of one moment."""
_HARMLESS_RATE = 20.0
"""Requests a second that no service is hurt by."""
_LOWEST_RATE = 5.0
_OUTAGE_FACTOR, _COMPLAINT_FACTOR = 1.2, 0.5
"""The rate at which the doubling ends, as a multiple of the usual one (after an outage), or of the
one that was too high (after a complaint)."""
_OUTAGE_STEADY_SECONDS, _COMPLAINT_STEADY_SECONDS = 60.0, 10.0
"""Seconds for which that rate stays, before it begins to grow as well."""
_DOUBLING_SECONDS = 20.0
"""Seconds in which it then doubles."""
_CALM_SECONDS = 1.0
"""Seconds without a crowd of waiting requests, after which the ramp is over."""


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
        # The sum is divided by what even answers, one a second, would have added up to by now. An
        # age below a second would turn a few answers that came together into a high rate.
        age = max(1.0, self._at - self._since)
        return self._sum / -math.expm1(-age / _AVERAGED_SECONDS) / _AVERAGED_SECONDS


class Ramp:
    """The requests a second to allow from a moment on: twice as many every half second.

    Args:
        now: The moment at which the ramp begins.
        most: The requests a second at which the doubling ends.
        steady: Seconds for which `most` stays. If requests still have to wait then, there is more
            to do than before the trouble, and `most` grows too.
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

    def is_over(self, now: float, crowded_at: float) -> bool:
        """Return whether the ramp is over, given the moment when requests last crowded."""
        return now - max(crowded_at, self._began) > _CALM_SECONDS


def after_outage(now: float, usual: float) -> Ramp:
    """Return the ramp after an outage: up to somewhat more than the usual rate.

    There is no bound if there were few answers before the outage: they do not tell what is usual.
    """
    most = usual * _OUTAGE_FACTOR if usual >= _HARMLESS_RATE else math.inf
    return Ramp(now, most, _OUTAGE_STEADY_SECONDS)


def after_complaint(now: float, too_many: float) -> Ramp:
    """Return the ramp after a complaint: up to half of the rate that was too high.

    If that rate is not known (0), the ramp goes up to half of a rate that hurts no service.
    """
    most = max((too_many or _HARMLESS_RATE) * _COMPLAINT_FACTOR, _LOWEST_RATE)
    return Ramp(now, most, _COMPLAINT_STEADY_SECONDS)
