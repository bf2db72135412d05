"""A client's statistics: what it has done, is doing, and knows of the service's health."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from .._polling.cadence.rhythm import LearnedRhythm, Rhythm
from .._resilience.breaker import BreakerState

if TYPE_CHECKING:
    from .caller import ApiCaller


class ClientStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """A client's statistics at one moment."""

    requests: int
    """Requests begun."""
    failures: int
    """Requests that brought nothing: refused, broken off, unreadable, or out of time, which may be
    over before they begin."""
    in_flight: int
    """Requests under way now."""
    queued: int
    """Requests waiting now for a place among `concurrency`, or for their turn."""
    breaker: BreakerState
    """The state of the circuit breaker."""
    outages: int
    """The number of outages so far."""
    held: int
    """Requests that were not sent, because it was down or had asked to be left alone."""
    paused_for: float
    """Seconds for which it has asked to be left alone, from now (429, `Retry-After`)."""
    rhythm: dict[str, LearnedRhythm] = {}
    """The durations learned so far, for each kind of task that was waited for."""


def statistics_of(caller: ApiCaller, rhythm: Rhythm) -> ClientStatistics:
    """Return how things stand now."""
    limiter, monitor = caller.http.limiter, caller.http.monitor
    return ClientStatistics(
        requests=limiter.begun,
        failures=caller.failed,
        in_flight=limiter.in_flight,
        queued=limiter.queued,
        breaker=monitor.state,
        outages=monitor.outages,
        held=monitor.held_back,
        paused_for=monitor.paused_for(),
        rhythm=rhythm.learned(),
    )
