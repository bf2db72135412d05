"""Trouble is shared knowledge: what one request learns of the service, all others go by.

Reads from what requests came to whether the service is down (`breaker`) or has asked to be
left alone (429, `Retry-After`), holds requests back meanwhile, and sets the pace (`pace`) at
which they go out again. It logs a line when that changes. What a held request does then is for
whoever wanted it to decide.
"""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Callable

from ..errors import (
    AiToEarnError,
    AuthenticationError,
    ConnectionFailedError,
    NotAskedError,
    RateLimitError,
    RequestTimeoutError,
    ServerError,
    UnexpectedResponseError,
)
from .breaker import Breaker, BreakerState
from .limits import Limits
from .pace import UsualRate, after_complaint, after_outage

logger: logging.Logger = logging.getLogger("aitoearn_async")

_FIRST_PAUSE, _LAST_PAUSE = 1.0, 30.0
"""Seconds, where the service complains and does not say for how long; doubled each time."""
_SELDOM = 0.1
"""The share of complaints among the last answers, some fifty, up to which one is an accident of
something on the way, and no sign that this client asks too much."""
_FADE = 0.98
_REST = 9.0
"""So many times as long as it lasted, a pause for an accident is not followed by another one:
accidents hold everybody up for a tenth of the time at most."""
_SHORT = 5.0
"""Seconds of a pause after which those held need not come back gradually."""


class Health:
    """What one client knows of how its service is.

    Args:
        name: The service, for the log.
        limits: Where requests wait for their turn; it is given the pace.
        now: Tells the time.
    """

    def __init__(self, name: str, limits: Limits, now: Callable[[], float]) -> None:
        self.held: int = 0
        """Requests that were not sent."""
        self._now = now
        self._name = name
        self._limits = limits
        self._breaker = Breaker()
        self._usual = UsualRate()
        self._before_outage = 0.0
        self._relapsed = False
        self._trouble: AiToEarnError | None = None
        self._paused_until = -math.inf
        self._pause = _FIRST_PAUSE
        self._told = 0.0  # the longest pause the log has been told of, since the last good answer
        self._all_well = True  # so that nothing more need be asked, and no clock be read
        self._complaints = self._answers = 0.0  # of late: each counts less with each that follows
        self._since_complaint = 0  # good answers

    @property
    def state(self) -> BreakerState:
        """Whether the service is down, as far as is known."""
        self._see_whether_recovered()
        return self._breaker.state

    @property
    def outages(self) -> int:
        """How often it has been down."""
        return self._breaker.outages

    def paused_for(self) -> float:
        """Seconds for which the service has asked to be left alone, from now."""
        # No clock is read of a client not used yet: that would settle it on this loop, if any.
        return 0.0 if self._all_well else max(0.0, self._paused_until - self._now())

    def is_current(self, term: int) -> bool:
        """Whether what `admit` once returned still lets a request go."""
        if not self._breaker.is_current(term):
            return False
        return self._all_well or self._now() >= self._paused_until

    def admit(self, *, probe: bool = True) -> int | NotAskedError:
        """Let a request go on its way, or say why it is not to be sent now.

        Args:
            probe: Whether it will do as a probe, where the service is down.

        Returns:
            What to hand in with what the request came to.
        """
        if self._all_well:
            return self._breaker.term
        now = self._now()
        if now < self._paused_until:
            return self._held(
                f"{self._name} has asked to be left alone", retry_after=self._paused_until - now
            )
        if self._breaker.state is BreakerState.RECOVERING:
            self._see_whether_recovered()
        is_held = not probe and self._breaker.state is BreakerState.OPEN
        term = None if is_held else self._breaker.admit(now)
        if term is None:
            return self._held(f"{self._name} is down, for {now - self._breaker.since:.0f} s so far")
        self._all_well = self._breaker.state is BreakerState.CLOSED
        return term

    def good(self, term: int, sent: float) -> None:
        """A request brought what was asked for; it went out at this moment."""
        self._usual.note(sent)
        self._since_complaint += 1
        if self._breaker.good(term):
            self._is_back()

    def bad(self, term: int, task: str, error: AiToEarnError) -> None:
        """A request brought an error."""
        now = self._now()
        sign = _sign(error)
        if sign is True:
            if self._breaker.good(term):
                self._is_back()
            return
        if sign is None:
            self._breaker.neither(term)
        else:
            own = None if isinstance(error, ConnectionFailedError) else task
            if self._breaker.bad(term, own, now):
                self._down(now, error)
        asked = getattr(error, "retry_after", None)
        if asked is not None or isinstance(error, RateLimitError):
            self._complained(error, asked, now)
        # Not the error itself, which is on its way to the caller, and once it has been raised holds
        # all that stands in his frames.
        self._trouble = copy.copy(error)

    def neither(self, term: int) -> None:
        """A request was broken off by the caller."""
        self._breaker.neither(term)

    def _held(self, why: str, retry_after: float | None = None) -> NotAskedError:
        self.held += 1
        error = NotAskedError(f"not asked, because {why}", retry_after=retry_after)
        error.__cause__ = self._trouble
        return error

    def _is_back(self) -> None:
        now = self._now()
        outage = now - self._breaker.since
        level = logging.DEBUG if self._relapsed else logging.INFO
        logger.log(level, "%s answers again, after %.0f s", self._name, outage)
        self._limits.ramp = after_outage(now, self._before_outage)

    def _down(self, now: float, error: AiToEarnError) -> None:
        self._all_well = False
        self._relapsed = not math.isclose(self._breaker.since, now)
        if not self._relapsed:
            self._before_outage = self._usual.last()
        self._limits.ramp = None
        # Down again before it was well is the same outage still, and has been told.
        level = logging.DEBUG if self._relapsed else logging.WARNING
        logger.log(level, "%s is down (%s): asked by probes alone", self._name, error.label)

    def _complained(self, error: AiToEarnError, asked: float | None, now: float) -> None:
        """The service, or what stands before it, wants fewer requests."""
        seldom = self._note_complaint() <= _SELDOM
        if seldom and (asked is None or now < self._paused_until + _REST * asked):
            return  # it costs the task its poll, and nobody else anything
        if asked is None:
            asked = self._own_pause(now)
            if isinstance(error, RateLimitError):
                error.retry_after = asked
        if now >= self._paused_until:  # else it was under way when the first complaint came
            # One that goes on and on is told again only where the pauses become longer.
            level = logging.WARNING if asked > self._told else logging.DEBUG
            self._told = max(asked, self._told)
            logger.log(level, "%s asks to be left alone: no request for %.0f s", self._name, asked)
            if not seldom:
                self._limits.ramp = after_complaint(now + asked, self._too_many(now))
            elif asked > _SHORT:
                self._limits.ramp = after_outage(now + asked, self._usual.last())
        self._all_well = False
        # Whoever is held adds something of his own, at random.
        self._paused_until = max(self._paused_until, now + asked)

    def _note_complaint(self) -> float:
        """Count one more complaint. Returns their share among the last answers."""
        if self._since_complaint:
            self._pause, self._told = _FIRST_PAUSE, 0.0
        faded = _FADE**self._since_complaint
        self._answers = self._answers * faded + (1 - faded) / (1 - _FADE)
        self._complaints *= faded
        self._since_complaint = 0
        self._complaints = self._complaints * _FADE + 1
        self._answers = self._answers * _FADE + 1
        return self._complaints / self._answers

    def _own_pause(self, now: float) -> float:
        """How long to leave the service alone, where it complains and does not say."""
        if now < self._paused_until:
            return self._paused_until - now  # it was under way when the first complaint came
        pause, self._pause = self._pause, min(2 * self._pause, _LAST_PAUSE)
        return pause

    def _too_many(self, now: float) -> float:
        """The requests a second that it complained of."""
        ramp, usual = self._limits.ramp, self._usual.last()
        return usual if ramp is None else min(usual or math.inf, 1 / ramp.interval(now))

    def _see_whether_recovered(self) -> None:
        if self._breaker.state is BreakerState.RECOVERING and self._limits.is_calm():
            self._breaker.recovered()
            logger.info("%s is well again", self._name)


def _sign(error: AiToEarnError) -> bool | None:
    """What an error says of the service: it is well, in trouble, or nothing at all."""
    if isinstance(error, ConnectionFailedError):
        return False if error.transient else None
    if isinstance(error, RequestTimeoutError | ServerError):
        return False
    # Proxies' pages, and what the service says when it cannot look the key up.
    if isinstance(error, UnexpectedResponseError | RateLimitError | AuthenticationError):
        return None
    return True
