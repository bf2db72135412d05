"""Pauses of one route of the service, where it complains: 429, or `Retry-After`.

One task's complaint costs that task a poll. Two, with hardly a good answer between them, stand for
the route. A task whose polls are answered by complaints, while others are answered well, stands for
itself alone. Pure: the moments are handed in. Who is held meanwhile is decided elsewhere.
"""

from __future__ import annotations

import math

import msgspec

from .._runtime.bounded_dict import BoundedDict

FIRST_PAUSE_SECONDS, _LAST_PAUSE_SECONDS = 1.0, 30.0
"""Seconds of a pause where the service does not say for how long; doubled each time."""
_SELDOM_SHARE = 0.1
"""The share of complaints among the last fifty answers or so, up to which a complaint counts as an
accident on the way, and not as a sign that this client asks too much."""
_MORE_THAN_ONE = 1.5
"""The sum of recent complaints that counts as more than one: each weighs less with each answer."""
_FADE_PER_ANSWER = 0.98
_REST_PER_PAUSE = 9.0
"""No other pause follows the pause for an accident for so many times its length: accidents hold
requests up for a tenth of the time at most."""
_MOST_REMEMBERED = 10_000


class Pause(msgspec.Struct, frozen=True):
    """A complaint that holds back the route."""

    seconds: float
    is_new: bool
    """No pause was under way already."""
    is_longest: bool
    """It is longer than all since the last good answer."""
    is_seldom: bool
    """It is an accident, and no sign of too many requests."""


class Pauses:
    """Counts the complaints on one route, and decides which of them stand for all of it."""

    def __init__(self) -> None:
        self.until: float = -math.inf
        """The moment until which the route is left alone."""
        self._pause = FIRST_PAUSE_SECONDS
        self._longest = 0.0
        self._complaints = self._answers = 0.0  # recent ones, weighed
        self._good = 0  # good answers in all
        self._good_before = 0  # as many of them came before the last complaint
        # Those whose last answer was a complaint, and how many good ones there were by then.
        self._complained: BoundedDict[str, int] = BoundedDict(_MOST_REMEMBERED)

    @property
    def are_seldom(self) -> bool:
        """Return whether the last complaint was an accident, by its share of the answers."""
        return self._complaints <= _SELDOM_SHARE * self._answers

    def note_good(self, subject: str) -> None:
        """Note a good answer to this task."""
        self._good += 1
        if self._complained:
            self._complained.pop(subject, None)

    def note_complaint(self, subject: str, asked: float | None, now: float) -> Pause | None:
        """Note a complaint about a task, or whatever was asked for.

        In it the service may have asked to be left alone for so many seconds.

        Returns:
            The pause of the whole route; None where it is a matter of this task alone.
        """
        if self._is_its_own(subject):
            return None
        self._note()
        seldom = self.are_seldom
        if self._complaints < _MORE_THAN_ONE:
            return None
        if seldom and (asked is None or now < self.until + _REST_PER_PAUSE * asked):
            return None
        if asked is None:
            asked = self._own_pause(now)
        is_new = now >= self.until  # else it was under way when the first complaint came
        is_longest = is_new and asked > self._longest
        if is_new:
            self._longest = max(asked, self._longest)
        self.until = max(self.until, now + asked)
        return Pause(asked, is_new, is_longest, seldom)

    def _is_its_own(self, subject: str) -> bool:
        """Return whether others were answered since this one complained, and it was not."""
        good = self._complained.get(subject)
        self._complained[subject] = self._good
        return good is not None and good < self._good

    def _note(self) -> None:
        """Count one more complaint."""
        since_complaint, self._good_before = self._good - self._good_before, self._good
        if since_complaint:
            self._pause, self._longest = FIRST_PAUSE_SECONDS, 0.0
        faded = _FADE_PER_ANSWER**since_complaint
        self._answers = self._answers * faded + (1 - faded) / (1 - _FADE_PER_ANSWER)
        self._complaints *= faded
        self._complaints = self._complaints * _FADE_PER_ANSWER + 1
        self._answers = self._answers * _FADE_PER_ANSWER + 1

    def _own_pause(self, now: float) -> float:
        """Return the seconds of a pause, where the complaint does not say for how long."""
        if now < self.until:
            return self.until - now  # it was under way when the first complaint came
        pause, self._pause = self._pause, min(2 * self._pause, _LAST_PAUSE_SECONDS)
        return pause
