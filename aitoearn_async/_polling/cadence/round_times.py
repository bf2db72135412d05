"""The moments of rounds: when the next one may begin, and whether its pages have to come whole.

Pure rules: moments are handed in. Who waits for a round, and what pages show, is not known here.
"""

from __future__ import annotations

import math
import random

from ..._verdict import longer
from .rhythm import Learner

GATHERING, _MOST_GATHERING = 0.5, 3.0
"""Seconds until a round that is asked for by new waits: others may be on their way. The first
round comes when none has come for so long, or when the first has waited for the second number: what
comes after it may have to wait for long, if pages are slow."""
_LONGEST_GATHERING = 10.0
"""Seconds for which a wait is left to a round that is to come."""
SHORTEST = 2.0
"""Seconds from one round to the next, at least."""
_GROWTH = 1.6
"""The pause after a round that found no end, over the one before it; up to a third of the slowest
delay of a single wait."""
_SHARE_OF_TIME = 20
"""The time between two rounds, over the time that the service is busy with one; up to the slowest
delay of a single wait."""
_A_POLL = 0.01
"""Seconds that the service is busy with a poll."""
_REST = 60.0
"""Seconds without rounds after two that failed."""
_MOST_MISSED = 1.0
"""Ends that were to be expected, while pages said that they had not changed."""


class RoundTimes:
    """The moments of the rounds for one kind of task.

    Attributes:
        rests_until: The moment until which the next round is too far away for a wait to be left to
            it.
    """

    def __init__(self, learner: Learner) -> None:
        self._learner = learner
        self._slowest = learner.backoff.maximum
        self._earliest = self.rests_until = -math.inf
        self._first_newcomer_at = self._last_newcomer_at = math.nan
        self._barren = 0  # rounds in a row that found no end
        self._failures = 0  # rounds in a row whose pages did not come
        self._is_slow = False  # the last round was, for what it can tell
        self._whole_at = -math.inf
        self._missed = 0.0  # ends that pages should have shown which were "unchanged" instead

    # Before a round.

    def note_newcomer(self, now: float) -> float:
        """Note that a wait has come that is left to a round. Return when one may begin for it."""
        self._last_newcomer_at = now
        if math.isnan(self._first_newcomer_at):
            self._first_newcomer_at = now
        return max(now + GATHERING, self._earliest + self._slowest / 10)

    def gathering_ends(self) -> float:
        """Return when the first round may begin, since others may come; later ones may at once."""
        if self._earliest > -math.inf:
            return -math.inf
        return min(self._last_newcomer_at + GATHERING, self._first_newcomer_at + _MOST_GATHERING)

    def wants_whole(self, now: float) -> bool:
        """Return whether pages have to come whole in the round that begins now.

        A cache on the way can say "unchanged" of what has changed. So that is not believed for
        longer than half the slowest delay of a single wait, nor where an end is overdue: such a
        page is likely to have changed anyway.
        """
        if self._whole_at > now - self._slowest / 2 and self._missed < _MOST_MISSED:
            return False
        self._whole_at, self._missed = now, 0.0
        return True

    # What a round finds.

    def note_missed(self, ends: float) -> None:
        """Note how many ends a page should have shown that was "unchanged"."""
        self._missed += ends

    def note_found(self, *, any_end: bool) -> None:
        """Note that a round has found an end, or none."""
        self._barren = 0 if any_end else self._barren + 1

    def note_contradiction(self) -> None:
        """Note that a page was wrong: what is the matter is to be seen soon."""
        self._barren = -1

    def leave_alone(self, seconds: float, now: float) -> None:
        """Ask for no page for so long, and some more, since the service asks for that."""
        self._put_off(now + longer(seconds))

    def rest(self, now: float) -> None:
        """Do without rounds for a while."""
        self._put_off(now + _REST)

    def _put_off(self, moment: float) -> None:
        self._earliest = max(self._earliest, moment)
        self.rests_until = self._earliest - _LONGEST_GATHERING

    def note_failure(self, now: float) -> bool:
        """Note that pages did not come. Return whether the next round is waited for."""
        self._failures += 1
        if self._failures < 2:
            return now >= self.rests_until
        self._failures = 0
        self.rest(now)
        return False

    def note_pages(self) -> None:
        """Note that all pages of a round came."""
        self._failures = 0

    @property
    def is_failing(self) -> bool:
        """Return whether pages of the last round did not come."""
        return self._failures > 0

    # After it.

    def note_over(self, now: float, *, busy: float, searched: float, parked: int) -> bool:
        """Leave pages alone in proportion to the time that the service was busy with them.

        The next ones tell of an end no later than single polls would. Where the service takes too
        long for that, twice, and not as long for polls, these go on instead: pages that are slow
        are asked for in smaller ones first.

        Args:
            now: The end of the round.
            busy: Seconds that the service has taken for its pages.
            searched: The same, for those of them that tell who has ended.
            parked: Waits that are left to the next round.

        Returns:
            Whether single polls have to go on instead.
        """
        was_slow = self._is_slow
        self._is_slow = searched > max(self._slowest / 2, _A_POLL * parked)
        is_too_slow = was_slow and self._is_slow
        rest = _SHARE_OF_TIME * busy
        if not is_too_slow:
            rest = max(min(rest, self._slowest - busy), 1.0)
        self._put_off(now + rest)
        return is_too_slow

    def next_round(self, now: float, parked: int, pages: int) -> float:
        """Return the moment of the next round, for so many waits on so many pages.

        The trade of a single wait, between requests and delay, for so many waits at once. Where
        nothing has ended for some rounds, the next end is likely to be as far away.
        """
        pause = max(self._slowest * min(math.sqrt(pages / max(parked, 1)), 1.0), SHORTEST)
        pause = max(pause, min(pause * _GROWTH**self._barren, self._slowest / 3))
        moment = self._learner.round_after(now, pause * random.uniform(0.85, 1.0))
        return max(self._earliest, moment)
