"""Polls that ask for a 304: when they do, and when one asks afresh all the same."""

from __future__ import annotations

import math

from .._runtime.lifetime import Lifetime

_MOST_UNCONDITIONAL = 1000
"""The most polls without a condition, after 304s in a row that could not be used."""
_BELIEVED_SECONDS = 120.0
"""Seconds for which a client believes that nothing has changed; then one poll asks afresh. A tag
can stay the same for ever, and a cache can hide that it answers."""


class ConditionalPolls:
    """Decides whether a poll asks for a 304: some proxies spoil them, and some servers lie.

    A spoiled 304 costs a second request. After one, some polls ask without a condition, and twice
    as many after the next one.

    Args:
        lifetime: Tells the time.
    """

    def __init__(self, lifetime: Lifetime) -> None:
        self._lifetime = lifetime
        self._checked_at = math.nan
        self._left = self._next = 0  # polls without a condition

    def etag_for(self, validator: str | None) -> str | None:
        """Return the tag to send as `If-None-Match`."""
        if not self._left or validator is None:
            return validator
        self._left -= 1
        return None

    def is_check_due(self) -> bool:
        """Return whether a task whose status is known is to be asked for afresh."""
        now = self._lifetime.time()
        if now < self._checked_at + _BELIEVED_SECONDS:
            return False
        is_first, self._checked_at = math.isnan(self._checked_at), now
        return not is_first

    def note_good(self) -> None:
        """Note a 304 that could be used."""
        self._next = 0

    def note_spoiled(self) -> None:
        """Note a 304 that had to be asked again."""
        self._next = min(2 * self._next + 1, _MOST_UNCONDITIONAL)
        self._left = self._next

    def note_wrong(self) -> None:
        """Note a tag that stands for two statuses."""
        self._left = self._next = _MOST_UNCONDITIONAL
