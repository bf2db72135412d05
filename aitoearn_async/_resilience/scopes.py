"""The scopes of trouble: the host, and each route.

Each scope has a breaker, and a pace for its requests. It logs a line when it goes down, is back, or
asks to be left alone. Which trouble is charged to which scope is said in `charges` and `monitor`.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

import msgspec

from ..errors import AiToEarnError
from .breaker import Breaker, BreakerState
from .limiter import Pace
from .pauses import Pause, Pauses
from .ramp import UsualRate, after_complaint, after_outage

logger: logging.Logger = logging.getLogger("aitoearn_async")

_SHORT_SECONDS = 5.0
"""Seconds of a pause that is so short that held requests need not come back gradually."""


class Admission(msgspec.Struct, frozen=True):
    """The permission for one request, with the state at the moment it was given."""

    route: RouteScope
    route_generation: int
    host_generation: int


class Scope:
    """A target that trouble is charged to: the host, or a route.

    Args:
        name: Its name in the log.
        pace: The pace of its requests.
        usual_rate: Returns how many good answers a second there are while it is well.
        changed: Called when its breaker is in another state.
    """

    def __init__(
        self, name: str, pace: Pace, usual_rate: Callable[[], float], changed: Callable[[], None]
    ) -> None:
        self.name: str = name
        self.pace: Pace = pace
        self.breaker: Breaker = Breaker()
        self.trouble: AiToEarnError | None = None
        """The last trouble."""
        self._usual_rate = usual_rate
        self._changed = changed
        self._rate_before_outage = 0.0
        self._relapsed = False

    @property
    def is_well(self) -> bool:
        """True while requests go to it as usual."""
        return self.breaker.state is BreakerState.CLOSED

    @property
    def is_down(self) -> bool:
        """True while it is asked by probes alone."""
        return self.breaker.state is BreakerState.OPEN

    def note_success(self, generation: int, now: Callable[[], float]) -> None:
        """Count a good answer to a request of this generation of the breaker."""
        if self.breaker.record_success(generation):
            self._is_back(now())

    def note_failure(
        self, generation: int, subject: str | None, error: AiToEarnError, now: float
    ) -> None:
        """Count trouble; enough of it opens the breaker."""
        if self.breaker.record_failure(generation, subject, now):
            self._is_down(now, error)

    def take_down(self, error: AiToEarnError, now: float) -> None:
        """Open the breaker because of trouble that was counted elsewhere."""
        self.trouble = error
        self.breaker.open(now)
        self._is_down(now, error)

    def see_whether_recovered(self) -> None:
        """Close the breaker if requests go out at their usual pace again."""
        if self.breaker.state is BreakerState.RECOVERING and self.pace.is_calm():
            self.breaker.recovered()
            logger.info("%s is well again", self.name)
            self._changed()

    def _is_back(self, now: float) -> None:
        level = logging.DEBUG if self._relapsed else logging.INFO
        outage = now - self.breaker.since
        logger.log(level, "%s answers again, after %.0f s", self.name, outage)
        self.pace.ramp = after_outage(now, self._rate_before_outage)
        self._changed()

    def _is_down(self, now: float, error: AiToEarnError) -> None:
        self._relapsed = not math.isclose(self.breaker.since, now)
        if not self._relapsed:
            self._rate_before_outage = self._usual_rate()
        self.pace.ramp = None
        # If it is down again before it was well, it is the same outage, which has been logged.
        level = logging.DEBUG if self._relapsed else logging.WARNING
        logger.log(level, "%s is down (%s): asked by probes alone", self.name, error.label)
        self._changed()


class RouteScope(Scope):
    """One kind of endpoint, such as the status of image tasks."""

    def __init__(self, name: str, pace: Pace, changed: Callable[[], None]) -> None:
        self.usual: UsualRate = UsualRate()
        super().__init__(name, pace, self.usual.last, changed)
        self.pauses: Pauses = Pauses()
        self.answered_at: float = -math.inf
        """The moment when the last request went out that was answered well."""
        self.admission: Admission = Admission(self, 0, 0)

    def renew(self, host_generation: int) -> None:
        """Bring `admission` up to date."""
        known, generation = self.admission, self.breaker.generation
        if known.route_generation != generation or known.host_generation != host_generation:
            self.admission = Admission(self, generation, host_generation)

    def pause(self, pause: Pause, now: float) -> None:
        """Log a pause, and set the pace for afterwards."""
        if not pause.is_new:
            return
        # A complaint that goes on is logged again only when the pauses become longer.
        level = logging.WARNING if pause.is_longest else logging.DEBUG
        text = "%s asks to be left alone: no request for %.0f s"
        logger.log(level, text, self.name, pause.seconds)
        until, ramp, usual = now + pause.seconds, self.pace.ramp, self.usual.last()
        if not pause.is_seldom:
            too_many = usual if ramp is None else min(usual or math.inf, 1 / ramp.interval(now))
            self.pace.ramp = after_complaint(until, too_many)
        elif pause.seconds > _SHORT_SECONDS:
            self.pace.ramp = after_outage(until, usual)
