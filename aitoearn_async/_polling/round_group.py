"""The waits of one kind that rounds see to, and whom they are handed back to."""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Generic, Protocol, TypeVar

from .._verdict import Verdict, longer
from ..contract.endpoints import LogRow
from ..contract.tasks import Task, TaskRef
from ..errors import AuthenticationError, NotAskedError
from .clock import NextTimer
from .ends import deadline_of
from .failing_waits import FailingWaits, is_carried
from .page_scan import PageScan
from .pages import RouteState
from .reported_end import ReportedEnd
from .rhythm import Learner
from .settings import WaitSettings
from .state import PollResult, WaitState

T = TypeVar("T", bound=Task)

FEWEST = 10
"""Tasks of a kind from which on rounds are used."""
LEAST_TIME_LEFT = 60.0
"""Seconds to its deadline with which a wait goes back to single polls."""
GATHERING, _MOST_GATHERING = 0.5, 3.0
"""Seconds until a round that is asked for by new waits: others may be on their way. The first
round comes when none has come for so long, or when the first has waited for the second number: what
comes after it may have to wait for long, if pages are slow."""
_LONGEST_GATHERING = 10.0
"""Seconds for which a wait is left to a round that is to come."""
PAGE_SECONDS = 60.0
"""Seconds within which a page has to come."""
_MOST_ENDED = 64
"""Tasks that have ended and are looked for on pages, which must not say that they run."""
_SHARE_OF_TIME = 20
"""The time between two rounds, over the time that the service is busy with one; up to the slowest
delay of a single wait."""
_A_POLL = 0.01
"""Seconds that the service is busy with a poll."""
SHORTEST = 2.0
"""Seconds from one round to the next, at least."""
_GROWTH = 1.6
"""The pause after a round that found no end, over the one before it; up to a third of the slowest
delay of a single wait."""
BETWEEN_CHECKS = 30.0
"""Seconds without an end that came true, until a wait that pages tell of is polled singly all the
same: pages may be stale."""
_MOST_MISSED = 1.0
"""Ends that were to be expected, while pages said that they had not changed."""
_LOOK_AGAIN = 60.0
"""Seconds until those who are on no page are looked for once more."""
_REST = 60.0
"""Seconds without rounds after two that failed."""
AWAITED = -1.0
PARKED = (-2.0, -3.0)
"""The `due` of a wait that is here: its answer is on the way; or a page is to show it, and
by turns whether one of this round has."""


class PollScheduler(Protocol[T]):
    """Takes the waits that a round hands back, and polls them singly."""

    def poll_at(self, wait: WaitState[T], moment: float) -> None:
        """Poll a wait at a moment."""
        ...

    def go_on(self, wait: WaitState[T]) -> None:
        """Poll a wait when its own cadence says so."""
        ...

    def answer(self, wait: WaitState[T], result: PollResult[T], asked: float) -> None:
        """Take a wait's answer, as if it had been polled."""
        ...


class RoundGroup(Generic[T]):
    """The waits of one kind.

    Args:
        ref: One of them is for it.
        learner: Learns when tasks of the kind end.
        route: The state of their pages.
        timer: Starts the next round.
        failing: Those whose own polls fail.
        held: All waits of the batch.
        polls: Polls those that are handed back.
    """

    def __init__(
        self,
        ref: TaskRef[T],
        learner: Learner,
        route: RouteState,
        *,
        timer: NextTimer,
        failing: FailingWaits[T],
        held: Mapping[TaskRef[T], WaitState[T]],
        polls: PollScheduler[T],
    ) -> None:
        self.ref_type = type(ref)
        self.kind = ref.kind
        self.learner = learner
        self.route = route
        self.timer = timer
        self.failing = failing
        self._held = held
        self._polls = polls
        self.waiting = 0  # all of the kind, wherever they are
        self.parked = 0
        self.newcomers: list[WaitState[T]] = []  # since the last round began
        self.unlisted: set[TaskRef[T]] = set()  # on no page
        self.contradicted: set[TaskRef[T]] = set()  # of which pages were wrong
        self.look_again_at = math.inf  # for the unlisted
        self._look_again = _LOOK_AGAIN
        self.reported: dict[TaskRef[T], ReportedEnd] = {}  # who has ended, as a page says
        # Who has ended, as a page says that came while they were polled.
        self.overheard: dict[TaskRef[T], str] = {}
        # Some of those whose own answer said that they have ended.
        self.ended: deque[TaskRef[T]] = deque(maxlen=_MOST_ENDED)
        self.check_at = math.inf
        self.turn = 0
        self.reach = 0
        self.failures = 0
        self.is_cut = False  # the last page was, so those that were not met may be past it
        self.wants_whole = False  # the pages of this round must not be answered "unchanged"
        self.missed = 0.0  # ends that pages should have shown which were "unchanged" instead
        self._whole_at = -math.inf
        self.barren = 0  # rounds in a row that found no end
        self.earliest = -math.inf
        self._first_newcomer_at = self._last_newcomer_at = math.nan
        self.is_running = False
        self.busy = 0.0  # seconds that the service has taken for the pages of this round
        self.searched = 0.0  # and for those of them that tell who has ended
        self.is_slow = False  # the last round was, for what it can tell

    def may_take(self, wait: WaitState[T], settings: WaitSettings, now: float) -> bool:
        """Return whether pages can see to a wait."""
        if now >= self.look_again_at:  # their rows may be there by now
            self.unlisted.clear()
            self.look_again_at = math.inf
        if self.route.gone or self.waiting < FEWEST or self._is_beyond_pages(wait.ref):
            return False
        left = settings.timeout if math.isnan(wait.started) else deadline_of(wait, settings) - now
        if left < LEAST_TIME_LEFT or self.rests(now):
            return False
        if wait.last_error is None:
            return True
        return wait.ref not in self.reported and is_carried(wait, settings, now)

    def overhear(self, wait: WaitState[T], row: LogRow) -> None:
        """Note the row of a task that is polled singly now, in case its own polls fail.

        One that runs has patience anew: that is for lack of any evidence.
        """
        if self._is_beyond_pages(wait.ref):
            return
        if row.runs:
            wait.failing_since = None
        elif wait.due != AWAITED:
            self.overheard[wait.ref] = row.status

    def reported_end_of(self, ref: TaskRef[T]) -> ReportedEnd | None:
        """Return the word of a page for a task whose own poll has failed; None if it runs."""
        if (status := self.overheard.pop(ref, None)) is not None:
            self.reported.setdefault(ref, ReportedEnd(status))
        return self.reported.get(ref)

    def _is_beyond_pages(self, ref: TaskRef[T]) -> bool:
        return ref in self.unlisted or ref in self.contradicted

    def _note_unlisted(self, wait: WaitState[T], now: float) -> None:
        """Note that no page has a task. It is looked for again, each time after twice as long."""
        self.unlisted.add(wait.ref)
        if self.look_again_at == math.inf:
            self.look_again_at = now + self._look_again
            self._look_again *= 2

    def note_newcomer(self, now: float) -> None:
        """Note that a wait has come that is left to a round."""
        self._last_newcomer_at = now
        if math.isnan(self._first_newcomer_at):
            self._first_newcomer_at = now

    def gathering_ends(self) -> float:
        """Return when the first round may begin, since others may come; later ones may at once."""
        if self.earliest > -math.inf:
            return -math.inf
        return min(self._last_newcomer_at + GATHERING, self._first_newcomer_at + _MOST_GATHERING)

    def park_newcomers(self) -> None:
        """Have this round look for the waits that came since the last one began."""
        for wait in self.newcomers:
            if not wait.over and wait.due == AWAITED:
                wait.due = PARKED[self.turn]
                self.parked += 1
        self.newcomers.clear()

    def choose_whole(self, now: float) -> None:
        """Decide whether pages have to come whole in this round.

        A cache on the way can say "unchanged" of what has changed. So that is not believed for
        longer than half the slowest delay of a single wait, nor where an end is overdue: such a
        page is likely to have changed anyway.
        """
        oldest = now - self.learner.backoff.maximum / 2
        self.wants_whole = self._whole_at <= oldest or self.missed >= _MOST_MISSED
        if self.wants_whole:
            self._whole_at, self.missed = now, 0.0

    def release_unmet(self, scan: PageScan, now: float) -> None:
        """Hand back the waits that no page of a whole round showed: each is polled singly."""
        self.reach = max(scan.reach, 0)
        if scan.missing <= 0:
            return
        unseen, seen = PARKED[1 - self.turn], PARKED[self.turn]
        unmet = [wait for wait in self._own() if wait.due == unseen]
        if scan.is_failing or scan.is_stopped or self.failures or self.is_cut:
            for wait in unmet:
                wait.due = seen  # to be looked for in the next one
            return
        for number, wait in enumerate(unmet):
            self.parked -= 1
            self._note_unlisted(wait, now)
            if wait.polls:
                self._polls.go_on(wait)
            else:
                self._polls.poll_at(wait, now + number / 1000)

    def check(self, now: float) -> None:
        """Now and then poll one wait singly, chosen at random: its own answer may know better.

        One whose own polls fail knows no better.
        """
        if now < self.check_at:
            return
        self.check_at = now + BETWEEN_CHECKS
        last, chosen = None, random.randrange(max(self.parked, 1))
        for wait in self._own():
            if wait.due in PARKED and wait.last_error is None:
                chosen -= 1
                last = wait
                if chosen < 0:
                    break
        if last is not None:
            self.parked -= 1
            self._polls.poll_at(last, now)

    def dissolve(self, now: float) -> None:
        """Hand all waits back, spread out as they would be by themselves."""
        fresh = 0
        for wait in [*self._own()]:
            if wait.due != AWAITED and wait.due not in PARKED:
                continue
            if wait.polls or wait.ref in self.reported:
                self.hand_back(wait)
            else:
                self.parked -= wait.due in PARKED
                self._polls.poll_at(wait, now + min(fresh / 1000, 10 * random.random()))
                fresh += 1
        self.newcomers.clear()

    def hand_back(self, wait: WaitState[T]) -> None:
        """Let a wait be polled singly, as its own cadence says."""
        self.parked -= wait.due in PARKED
        self._polls.go_on(wait)

    def _own(self) -> Iterator[WaitState[T]]:
        return (wait for wait in self._held.values() if type(wait.ref) is self.ref_type)

    def pause(self) -> float:
        """Return the seconds until the next round.

        The trade of a single wait, between requests and delay, for so many waits at once. Where
        nothing has ended for some rounds, the next end is likely to be as far away.
        """
        slowest = self.learner.backoff.maximum
        pages = math.ceil(self.reach / self.route.size) or 1
        pause = max(slowest * min(math.sqrt(pages / max(self.parked, 1)), 1.0), SHORTEST)
        pause = max(pause, min(pause * _GROWTH**self.barren, slowest / 3))
        return pause * random.uniform(0.85, 1.0)

    def rest_after_round(self, now: float) -> None:
        """Leave pages alone in proportion to the time that the service was busy with them.

        The next ones tell of an end no later than single polls would. Where the service takes too
        long for that, twice, and not as long for polls, these go on instead: pages that are slow
        are asked for in smaller ones first.
        """
        slowest, rest = self.learner.backoff.maximum, _SHARE_OF_TIME * self.busy
        was_slow = self.is_slow
        self.is_slow = self.searched > max(slowest / 2, _A_POLL * self.parked)
        if was_slow and self.is_slow:
            self.earliest = max(self.earliest, now + rest)
            self.dissolve(now)
        else:
            self.earliest = max(self.earliest, now + max(min(rest, slowest - self.busy), 1.0))

    def survives(self, verdict: Verdict | None, now: float) -> bool:
        """Note that a page did not come. Return whether the next round is waited for.

        Args:
            verdict: What came instead; None where many pages failed.
            now: The moment.
        """
        if verdict is not None and verdict.delay is not None:
            self.leave_alone(verdict.delay, now)
        if verdict is not None and not verdict.retry:
            if not isinstance(verdict.error, AuthenticationError | NotAskedError):
                self.route.gone = True
            self.rest(now)
            return False
        self.failures += 1
        if self.failures < 2:
            return not self.rests(now)
        self.failures = 0
        self.rest(now)
        return False

    def rest(self, now: float) -> None:
        """Do without rounds for a while."""
        self.earliest = max(self.earliest, now + _REST)

    def leave_alone(self, seconds: float, now: float) -> None:
        """Ask for no page for so long, and some more, since the service asks for that."""
        self.earliest = max(self.earliest, now + longer(seconds))

    def rests(self, now: float) -> bool:
        """Return whether the next round is too far away for a wait to be left to it."""
        return now < self.earliest - _LONGEST_GATHERING
