"""Conditional polls: which polls ask for a 304, and which ask for the whole answer all the same."""

from __future__ import annotations

import math

from .._runtime.lifetime import Lifetime

_MOST_UNCONDITIONAL = 1000
"""The most polls without a condition that follow spoiled 304s in a row."""
_BELIEVED_SECONDS = 120.0
"""Seconds for which a client believes that nothing has changed. Then one poll checks it, since an
ETag can stay the same for ever, and a cache can hide that it answers."""


class ConditionalPolls:
    """Decides whether a poll asks for a 304: some proxies spoil them, and some servers lie.

    A spoiled 304 has another ETag than the request, and costs a second request. After it, some
    polls have no condition; after the next one, twice as many.

    Args:
        lifetime: The client's, for its clock.
    """

    def __init__(self, lifetime: Lifetime) -> None:
        self._lifetime = lifetime
        self._checked_at = math.nan
        self._unconditional = 0  # polls that are still to go out without a condition
        self._last_run = 0  # polls without a condition that the last spoiled 304 has cost

    def etag_for(self, validator: str | None) -> str | None:
        """Return the tag to send as `If-None-Match`."""
        if not self._unconditional or validator is None:
            return validator
        self._unconditional -= 1
        return None

    def is_check_due(self) -> bool:
        """Return whether to check now that what is known of a task is still true."""
        now = self._lifetime.time()
        if now < self._checked_at + _BELIEVED_SECONDS:
            return False
        is_first, self._checked_at = math.isnan(self._checked_at), now
        return not is_first

    def note_good(self) -> None:
        """Note a 304 that could be used."""
        self._last_run = 0

    def note_spoiled(self) -> None:
        """Note a 304 that had to be asked for again without a condition."""
        self._last_run = min(2 * self._last_run + 1, _MOST_UNCONDITIONAL)
        self._unconditional = self._last_run

    def note_wrong(self) -> None:
        """Note an ETag that was the same for two statuses."""
        self._unconditional = self._last_run = _MOST_UNCONDITIONAL
