"""Pauses of one route of the service, where it complains: 429, or `Retry-After`.

One complaint costs its task a poll. Two, with hardly a good answer between them, are charged to the
route. Complaints about one task are charged to that task alone, while others are answered well.
Moments are handed in. Which requests are held back meanwhile is decided elsewhere.
"""

from __future__ import annotations

import math

import msgspec

from .._runtime.bounded_dict import BoundedDict

FIRST_PAUSE_SECONDS, _LAST_PAUSE_SECONDS = 1.0, 30.0
"""Seconds of a pause if the service does not say for how long; doubled each time."""
_SELDOM_SHARE = 0.1
"""The share of complaints among the last fifty answers or so, up to which a complaint counts as an
accident on the way, and not as a sign that this client asks too much."""
_MORE_THAN_ONE = 1.5
"""The sum of recent complaints that counts as more than one: each weighs less with each answer."""
_FADE_PER_ANSWER = 0.98
"""The weight of a complaint, or of an answer, after one more answer."""
_REST_PER_PAUSE = 9.0
"""The time without another pause after one for an accident, as a multiple of it. So accidents hold
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
    """Counts the complaints on one route, and decides which of them hold back the whole route."""

    def __init__(self) -> None:
        self.until: float = -math.inf
        """The moment until which the route is left alone."""
        self._pause = FIRST_PAUSE_SECONDS
        self._longest = 0.0
        self._complaints = self._answers = 0.0  # recent ones, weighed
        self._good = 0  # good answers in all
        self._good_before = 0  # good answers before the last complaint
        # The subjects whose last answer was a complaint, and the good answers until then.
        self._complained: BoundedDict[str, int] = BoundedDict(_MOST_REMEMBERED)

    @property
    def are_seldom(self) -> bool:
        """True if the last complaint was an accident: complaints are few among the answers."""
        return self._complaints <= _SELDOM_SHARE * self._answers

    def note_good(self, subject: str) -> None:
        """Note a good answer about a subject: a task, or whatever was asked for."""
        self._good += 1
        if self._complained:
            self._complained.pop(subject, None)

    def note_complaint(self, subject: str, asked: float | None, now: float) -> Pause | None:
        """Note a complaint about a subject: a task, or whatever was asked for.

        Args:
            subject: What was asked for.
            asked: Seconds for which the service asks to be left alone, if it says so.
            now: The moment.

        Returns:
            The pause of the whole route; None if the complaint does not hold it back.
        """
        if self._is_of_subject_alone(subject):
            return None
        self._count_complaint()
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

    def _is_of_subject_alone(self, subject: str) -> bool:
        """Note a complaint about a subject.

        Returns:
            Whether there was one before, and only other subjects were answered well since.
        """
        good = self._complained.get(subject)
        self._complained[subject] = self._good
        return good is not None and good < self._good

    def _count_complaint(self) -> None:
        """Count one more complaint that may be the route's."""
        since_complaint, self._good_before = self._good - self._good_before, self._good
        if since_complaint:
            self._pause, self._longest = FIRST_PAUSE_SECONDS, 0.0
        faded = _FADE_PER_ANSWER**since_complaint
        self._answers = self._answers * faded + (1 - faded) / (1 - _FADE_PER_ANSWER)
        self._complaints *= faded
        self._complaints = self._complaints * _FADE_PER_ANSWER + 1
        self._answers = self._answers * _FADE_PER_ANSWER + 1

    def _own_pause(self, now: float) -> float:
        """Return the seconds of a pause for a complaint that does not say how long to wait."""
        if now < self.until:
            return self.until - now  # it was under way when the first complaint came
        pause, self._pause = self._pause, min(2 * self._pause, _LAST_PAUSE_SECONDS)
        return pause
