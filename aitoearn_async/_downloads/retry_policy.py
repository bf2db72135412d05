"""The decision whether a file is tried again, and when: pure, given what happened and when."""

from __future__ import annotations

import random

from .._verdict import longer
from .transfer_error import Reason

MOST_FRUITLESS = 10
"""Attempts in a row without a new byte, after which there are no more."""
MOST_CUT = 3
"""Attempts that may bring a file whose own structure says that it is cut off."""
LATE_SECONDS = 60.0
"""The time for which a file is waited for that the host says it does not have."""
FRESH_SECONDS = 900.0
"""The same, where the task ended no longer ago than this: storage is often some seconds behind."""

_FIRST_DELAY = 0.5
_LONGEST_DELAY = {Reason.PASSING: 8.0, Reason.CUT: 8.0, Reason.MISSING: 15.0}


class RetryPolicy:
    """The attempts at one file so far.

    Args:
        is_fresh: Whether its task ended a moment ago.
    """

    def __init__(self, *, is_fresh: bool) -> None:
        self._late = FRESH_SECONDS if is_fresh else LATE_SECONDS
        self._reached = 0
        self._in_a_row = 0
        self._cut = 0
        self._missing_since: float | None = None

    def delay(
        self, reason: Reason, now: float, reached: int, retry_after: float | None = None
    ) -> float | None:
        """Return the seconds until the next attempt; None if there is to be none.

        Args:
            reason: How the last attempt failed.
            now: The time of that.
            reached: The most bytes of the file that there have been.
            retry_after: What the host asks for, in seconds.
        """
        if reached > self._reached:
            self._reached, self._in_a_row, self._missing_since = reached, 0, None
        self._in_a_row += 1
        if reason is not Reason.MISSING:
            self._missing_since = None
        elif self._missing_since is None:
            self._missing_since = now
        self._cut += reason is Reason.CUT
        if reason is Reason.FINAL or self._is_enough(reason, now):
            return None
        return backoff_delay(self._in_a_row, _LONGEST_DELAY[reason], retry_after)

    def _is_enough(self, reason: Reason, now: float) -> bool:
        if reason is Reason.MISSING:
            return self.missing_for(now) >= self._late
        return self._cut >= MOST_CUT or self._in_a_row >= MOST_FRUITLESS

    def missing_for(self, now: float) -> float:
        """Return for how many seconds the host has said that there is no file."""
        return 0.0 if self._missing_since is None else now - self._missing_since


def backoff_delay(attempt: int, longest: float, retry_after: float | None) -> float:
    """Return the seconds after a failed attempt, with jitter: others have failed as well.

    Args:
        attempt: The number of the attempt that failed, from 1.
        longest: The longest delay.
        retry_after: What the host asks for, in seconds.
    """
    if retry_after is not None:
        return longer(retry_after)
    seconds = min(_FIRST_DELAY * 2 ** min(attempt, 20), longest)
    return random.uniform(seconds / 2, seconds)
