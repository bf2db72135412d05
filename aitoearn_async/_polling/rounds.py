"""Rounds: a source of answers besides single polls, for many tasks of the caller's own.

    single polls     each task is asked about when it is likely to have ended
    a round          some pages of the service's logs tell how a thousand tasks stand at once

A wait that rounds can serve is taken off the agenda. It comes back as soon as a page shows that its
task has ended, and is then polled once, for the whole task. It also comes back when no page has its
task, when its time is nearly over, and when pages cannot be had. So a page only decides whom to
ask: what ends a wait is the task's own answer.

How pages are asked for is in `_api.task_pages`, which of them in `page_scan`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Generic, TypeVar

from .._verdict import Verdict, spoils_a_page
from ..contract.tasks import Task, TaskRef, VideoRef
from ..errors import TaskNotFoundError
from .clock import Clock, NextTimer
from .ends import deadline_of
from .failing_waits import FailingWaits
from .observation import meet, observe_running
from .page_scan import PageRange, PageScan
from .pages import PageSource, RowPage
from .reported_end import ReportedEnd
from .round_group import (
    AWAITED,
    BETWEEN_CHECKS,
    FEWEST,
    GATHERING,
    LEAST_TIME_LEFT,
    PAGE_SECONDS,
    PARKED,
    SHORTEST,
    PollScheduler,
    RoundGroup,
)
from .settings import WaitSettings
from .state import OWED, WaitState
from .step import Decision, GiveUpAt, PollAt
from .whole_videos import WholeVideos

T = TypeVar("T", bound=Task)

_ID_LENGTH = 24
_MOST_CONTRADICTIONS = 5
"""Tasks that were told to have ended and run on, after which pages are not believed any more."""


class Rounds(Generic[T]):
    """Serves the waits of one batch that pages can tell of.

    Args:
        source: Asks for pages.
        clock: Tells the time.
        settings_of: The settings of the wait for a ref.
        held: All waits of the batch.
        polls: Polls waits singly.
        spawn: Starts a round; the batch owns it.
        is_paused: Tells that no wait goes on now.
    """

    def __init__(
        self,
        source: PageSource,
        clock: Clock,
        settings_of: Callable[[TaskRef[T]], WaitSettings],
        *,
        held: Mapping[TaskRef[T], WaitState[T]],
        polls: PollScheduler[T],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
        is_paused: Callable[[], bool],
    ) -> None:
        self._source = source
        self._clock = clock
        self._settings_of = settings_of
        self._held = held
        self._polls = polls
        self._spawn = spawn
        self._is_paused = is_paused
        self._whole: WholeVideos[T] = WholeVideos(source, clock, held, polls)
        self._groups: dict[type[TaskRef[T]], RoundGroup[T] | None] = {}

    # What comes and goes.

    def note_new(self, ref: TaskRef[T]) -> None:
        """Note that there is one more wait."""
        if (group := self._group(ref)) is not None:
            group.waiting += 1

    def note_over(self, wait: WaitState[T], *, has_ended: bool) -> None:
        """Note that a wait is over, wherever it is; and whether its task has ended."""
        if (group := self._group(wait.ref)) is not None:
            group.waiting -= 1
            group.parked -= wait.due in PARKED
            group.unlisted.discard(wait.ref)
            group.contradicted.discard(wait.ref)
            group.failing.forget(wait.ref)
            group.overheard.pop(wait.ref, None)
            if group.reported.pop(wait.ref, None) is not None and has_ended:
                group.check_at = self._clock.time() + BETWEEN_CHECKS
            if has_ended:
                group.ended.append(wait.ref)

    def release(self, wait: WaitState[T]) -> None:
        """Let go of a wait that has been taken."""
        if (group := self._group(wait.ref)) is not None:
            group.parked -= wait.due in PARKED
        wait.due = math.inf

    def take(self, wait: WaitState[T], *, is_held: bool = False) -> bool:
        """Take a wait that would be polled singly otherwise. Return whether it is taken.

        Args:
            wait: The wait.
            is_held: Whether the service asks to leave its task alone: a page would have it asked
                for too soon.
        """
        group = self._group(wait.ref)
        if group is None:
            return False
        if wait.last_error is None:
            group.overheard.pop(wait.ref, None)
            if wait.ref in group.reported:
                self._contradicted(group, wait)
        now = self._clock.time()
        settings = self._settings_of(wait.ref)
        if is_held or not group.may_take(wait, settings, now):
            return False
        wait.due = AWAITED
        if wait.final_poll_for != OWED:
            wait.final_poll_for = None
        if wait.failing_since is not None:
            group.failing.note(wait, settings)
        group.newcomers.append(wait)
        group.check_at = min(group.check_at, now + BETWEEN_CHECKS)
        group.note_newcomer(now)
        moment = max(now + GATHERING, group.earliest + group.learner.backoff.maximum / 10)
        if wait.polls and group.timer.at < math.inf:
            return True  # the next round comes in time for one that has been seen running
        if not group.is_running and moment < group.timer.at:
            group.timer.set(moment)
        return True

    async def after_failure(
        self, wait: WaitState[T], verdict: Verdict, decision: Decision[T], deadline: float
    ) -> Decision[T]:
        """Return what follows a failed poll, by what pages show of its task.

        Args:
            wait: The wait.
            verdict: On its poll.
            decision: What would follow it alone.
            deadline: The moment at which another question about it is to be over.
        """
        group = self._group(wait.ref)
        if group is None:
            return decision
        if (reported := group.reported_end_of(wait.ref)) is not None:
            return await reported.after_failure(wait.ref, verdict, decision, self._source, deadline)
        is_unknown = isinstance(verdict.error, TaskNotFoundError)
        if is_unknown and isinstance(decision, GiveUpAt) and self._held.get(wait.ref) is wait:
            # Unless a page shows it all the same; who is on none is asked once more.
            now = self._clock.time()
            wait.failing_since = now if wait.failing_since is None else wait.failing_since
            if group.may_take(wait, self._settings_of(wait.ref), now):
                return PollAt(now)
        return decision

    def _group(self, ref: TaskRef[T]) -> RoundGroup[T] | None:
        if len(ref.id) != _ID_LENGTH:
            return None  # the service has never given such an id
        ref_type = type(ref)
        if ref_type not in self._groups:
            learner = self._settings_of(ref).learner
            route = self._source.route(ref.kind)
            if learner is None or route.gone:
                self._groups[ref_type] = None
            else:
                timer = NextTimer(self._clock, lambda: self._start(ref_type))
                failing: FailingWaits[T] = FailingWaits(
                    self._clock, lambda wait: group.hand_back(wait)
                )
                group = self._groups[ref_type] = RoundGroup(
                    ref,
                    learner,
                    route,
                    timer=timer,
                    failing=failing,
                    held=self._held,
                    polls=self._polls,
                )
        return self._groups[ref_type]

    def give_up(self) -> None:
        """Hand all waits back, since a round has failed."""
        for group in self._groups.values():
            if group is not None:
                group.rest(self._clock.time())
                group.dissolve(self._clock.time())

    def stop(self) -> None:
        """Cancel all timers."""
        for group in self._groups.values():
            if group is not None:
                group.timer.set(math.inf)
                group.failing.stop()

    # One round.

    def _start(self, ref_type: type[TaskRef[T]]) -> None:
        group = self._groups[ref_type]
        assert group is not None
        now = self._clock.time()
        begins = now + SHORTEST if self._is_paused() else group.gathering_ends()
        if begins > now:
            group.timer.set(begins)
        else:
            group.timer.set(math.inf)
            group.is_running = True
            self._spawn(self._round(group))

    async def _round(self, group: RoundGroup[T]) -> None:
        group.busy = group.searched = 0.0
        try:
            await self._go_round(group)
        finally:
            group.is_running = False
        now = self._clock.time()
        group.rest_after_round(now)
        if group.parked or group.newcomers:
            group.timer.set(max(group.earliest, group.learner.round_after(now, group.pause())))

    async def _go_round(self, group: RoundGroup[T]) -> None:
        group.park_newcomers()
        group.choose_whole(self._clock.time())
        if group.route.gone or group.waiting < FEWEST // 2:
            group.dissolve(self._clock.time())
        if group.parked:
            group.turn = 1 - group.turn
            scan = PageScan(group.route.size, group.parked, group.reach)
            ended = await self._ask(group, scan)
            group.searched = group.busy
            group.barren = 0 if ended else group.barren + 1
            if ended is not None:
                now = self._clock.time()
                group.release_unmet(scan, now)
                group.check(now)
                if group.ref_type is VideoRef:  # of others there is no list
                    await self._whole.fetch(group, ended)
            if ended is None or group.rests(self._clock.time()):
                group.dissolve(self._clock.time())

    async def _ask(
        self, group: RoundGroup[T], scan: PageScan
    ) -> list[tuple[int, WaitState[T]]] | None:
        """Go through the pages. Return who has ended, and where; None if pages cannot be had."""
        ended: list[tuple[int, WaitState[T]]] = []
        over = {ref.id for ref in group.ended}
        while (wanted := scan.next()) is not None:
            asked = self._clock.time()
            page = await self._source.logs(
                group.kind, wanted, asked + PAGE_SECONDS, whole=group.wants_whole
            )
            if isinstance(page, Verdict):
                group.busy += self._clock.time() - asked
                if spoils_a_page(page.error):
                    scan.failed(wanted)
                    continue
                return ended if group.survives(page, self._clock.time()) else None
            now = self._clock.time()
            group.busy += page.seconds
            before = len(ended)
            if any(row.id in over and row.runs for row in page.rows):
                self._count_contradiction(group)
            found, last = self._read(group, wanted, page, asked, ended)
            scan.took(wanted, len(page.rows), found, last, page.total)
            group.route.adapt(page, wanted.size)
            group.is_cut = group.route.note_cut(page, wanted)
            if page.retry_after is not None:
                group.leave_alone(page.retry_after, now)
                scan.stop()
            if group.ref_type is not VideoRef:  # there is no list of others: each is asked for
                for _, wait in ended[before:]:
                    self._polls.poll_at(wait, now)
        if scan.is_failing:
            return None if not group.survives(None, self._clock.time()) else ended
        group.failures = 0
        return ended

    def _read(
        self,
        group: RoundGroup[T],
        wanted: PageRange,
        page: RowPage,
        asked: float,
        ended: list[tuple[int, WaitState[T]]],
    ) -> tuple[int, int]:
        """See how the tasks of a page stand. Return how many were met, and the last one's place."""
        unseen, seen = PARKED[1 - group.turn], PARKED[group.turn]
        now, found, last, missed = self._clock.time(), 0, 0, 0.0
        for place, row in enumerate(page.rows):
            if row.type is not None and row.type != group.kind:
                continue
            try:
                wait = self._held.get(group.ref_type(row.id))
            except (ValueError, TypeError):
                continue
            if wait is None or wait.due != unseen:
                if wait is not None:
                    group.overhear(wait, row)
                continue
            found, last = found + 1, place
            if wait.cohort is None:
                meet(wait, group.learner, row.times, now)
            if row.runs:
                missed += observe_running(wait, asked)
                wait.due, wait.failing_since = seen, None
                settings = self._settings_of(wait.ref)
                if deadline_of(wait, settings) - now < LEAST_TIME_LEFT:
                    group.hand_back(wait)
            else:
                # The learner is told by the task's own answer: a page may be wrong.
                group.parked -= 1
                wait.due = AWAITED
                group.reported[wait.ref] = ReportedEnd(row.status)
                group.failing.forget(wait.ref)
                ended.append((wanted.at + place, wait))
        if page.is_unchanged:
            group.missed += missed
        return found, last

    def _contradicted(self, group: RoundGroup[T], wait: WaitState[T]) -> None:
        """Note that a task runs on which a page said had ended."""
        del group.reported[wait.ref]
        group.contradicted.add(wait.ref)
        self._count_contradiction(group)

    def _count_contradiction(self, group: RoundGroup[T]) -> None:
        group.route.contradictions += 1
        group.barren = -1  # what is the matter is to be seen soon
        if group.route.contradictions > _MOST_CONTRADICTIONS:
            group.route.gone = True
            group.dissolve(self._clock.time())
