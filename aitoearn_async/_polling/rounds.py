"""Rounds: a source of answers besides single polls, for many tasks of the caller's own.

    single polls     each task is asked about when it is likely to have ended
    a round          some pages of the service's logs tell how a thousand tasks stand at once

A wait that can be seen to by rounds is taken off the agenda. It comes back to it as soon as a page
shows that its task has ended, and is then polled once, for the whole task. It also comes back when
no page has its task, when its time is nearly over, and when pages cannot be had. So a page decides
nothing but whom to ask: what ends a wait is the task's own answer.

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
from .doubts import Doubts
from .observation import meet, observe_running
from .page_scan import PageScan, Piece
from .pages import PageSource, RowPage
from .round_line import (
    AWAITED,
    BETWEEN_CHECKS,
    FEWEST,
    GATHERING,
    LEAST_TIME_LEFT,
    PAGE_SECONDS,
    PARKED,
    SHORTEST,
    Line,
    Polls,
)
from .step import Decision, GiveUpAt, PollAt, WaitSettings, WaitState
from .told import Told
from .whole_videos import WholeVideos

T = TypeVar("T", bound=Task)

_ID_LENGTH = 24
_SHARE_OF_TIME = 20
"""The time between two rounds, over the time that the service is busy with one."""
_MOST_CONTRADICTIONS = 5
"""Tasks that were told to have ended and run on, after which pages are not believed any more."""


class Rounds(Generic[T]):
    """Sees to the waits of one batch that pages can tell of.

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
        polls: Polls[T],
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
        self._lines: dict[type[TaskRef[T]], Line[T] | None] = {}

    # What comes and goes.

    def note_new(self, ref: TaskRef[T]) -> None:
        """Note that there is one more wait."""
        if (line := self._line(ref)) is not None:
            line.waiting += 1

    def note_over(self, wait: WaitState[T], *, has_ended: bool) -> None:
        """Note that a wait is over, wherever it is; and whether its task has ended."""
        if (line := self._line(wait.ref)) is not None:
            line.waiting -= 1
            line.parked -= wait.due in PARKED
            line.strangers.discard(wait.ref)
            line.contradicted.discard(wait.ref)
            line.doubts.forget(wait.ref)
            line.overheard.pop(wait.ref, None)
            if line.told.pop(wait.ref, None) is not None and has_ended:
                line.check_at = self._clock.time() + BETWEEN_CHECKS
            if has_ended:
                line.ended.append(wait.ref)

    def release(self, wait: WaitState[T]) -> None:
        """Let go of a wait that has been taken."""
        if (line := self._line(wait.ref)) is not None:
            line.parked -= wait.due in PARKED
        wait.due = math.inf

    def take(self, wait: WaitState[T], *, is_held: bool = False) -> bool:
        """Take a wait that would be polled singly otherwise. Return whether it is taken.

        Args:
            wait: The wait.
            is_held: Whether the service asks to leave its task alone: a page would have it asked
                for too soon.
        """
        line = self._line(wait.ref)
        if line is None:
            return False
        if wait.last_error is None:
            line.overheard.pop(wait.ref, None)
            if wait.ref in line.told:
                self._contradicted(line, wait)
        now = self._clock.time()
        settings = self._settings_of(wait.ref)
        if is_held or not line.may_take(wait, settings, now):
            return False
        wait.due, wait.final_poll_for = AWAITED, None
        if wait.failing_since is not None:
            line.doubts.note(wait, settings)
        line.late.append(wait)
        line.check_at = min(line.check_at, now + BETWEEN_CHECKS)
        line.note_late(now)
        moment = max(now + GATHERING, line.earliest + line.learner.backoff.maximum / 10)
        if wait.polls and line.timer.at < math.inf:
            return True  # the next round comes in time for one that has been seen running
        if not line.is_running and moment < line.timer.at:
            line.timer.set(moment)
        return True

    async def settle(
        self, wait: WaitState[T], verdict: Verdict, decision: Decision[T], deadline: float
    ) -> Decision[T]:
        """Return what follows a failed poll, by what pages show of its task.

        Args:
            wait: The wait.
            verdict: On its poll.
            decision: What would follow it alone.
            deadline: The moment at which another question about it is to be over.
        """
        line = self._line(wait.ref)
        if line is None:
            return decision
        if (told := line.told_of(wait.ref)) is not None:
            return await told.settled(wait.ref, verdict, decision, self._source, deadline)
        is_unknown = isinstance(verdict.error, TaskNotFoundError)
        if is_unknown and isinstance(decision, GiveUpAt) and self._held.get(wait.ref) is wait:
            # Unless a page shows it all the same; who is on none is asked once more.
            now = self._clock.time()
            wait.failing_since = now if wait.failing_since is None else wait.failing_since
            if line.may_take(wait, self._settings_of(wait.ref), now):
                return PollAt(now)
        return decision

    def _line(self, ref: TaskRef[T]) -> Line[T] | None:
        if len(ref.id) != _ID_LENGTH:
            return None  # the service has never given such an id
        ref_type = type(ref)
        if ref_type not in self._lines:
            learner = self._settings_of(ref).learner
            route = self._source.route(ref.kind)
            if learner is None or route.gone:
                self._lines[ref_type] = None
            else:
                timer = NextTimer(self._clock, lambda: self._start(ref_type))
                doubts: Doubts[T] = Doubts(self._clock, lambda wait: line.hand_back(wait))
                line = self._lines[ref_type] = Line(
                    ref,
                    learner,
                    route,
                    timer=timer,
                    doubts=doubts,
                    held=self._held,
                    polls=self._polls,
                )
        return self._lines[ref_type]

    def give_up(self) -> None:
        """Hand all waits back, since a round has failed."""
        for line in self._lines.values():
            if line is not None:
                line.rest(self._clock.time())
                line.dissolve(self._clock.time())

    def stop(self) -> None:
        """Cancel all timers."""
        for line in self._lines.values():
            if line is not None:
                line.timer.set(math.inf)
                line.doubts.stop()

    # One round.

    def _start(self, ref_type: type[TaskRef[T]]) -> None:
        line = self._lines[ref_type]
        assert line is not None
        now = self._clock.time()
        begins = now + SHORTEST if self._is_paused() else line.gathering_ends()
        if begins > now:
            line.timer.set(begins)
        else:
            line.timer.set(math.inf)
            line.is_running = True
            self._spawn(self._round(line))

    async def _round(self, line: Line[T]) -> None:
        line.busy = 0.0
        try:
            await self._go_round(line)
        finally:
            line.is_running = False
        now = self._clock.time()
        line.earliest = max(line.earliest, now + max(1.0, _SHARE_OF_TIME * line.busy))
        if line.parked or line.late:
            line.timer.set(max(line.earliest, line.learner.round_after(now, line.pause())))

    async def _go_round(self, line: Line[T]) -> None:
        line.park_late()
        line.choose_whole(self._clock.time())
        if line.route.gone or line.waiting < FEWEST // 2:
            line.dissolve(self._clock.time())
        if line.parked:
            line.turn = 1 - line.turn
            scan = PageScan(line.route.size, line.parked, line.reach)
            ended = await self._ask(line, scan)
            line.barren = 0 if ended else line.barren + 1
            if ended is not None:
                now = self._clock.time()
                line.settle(scan, now)
                line.check(now)
                if line.ref_type is VideoRef:  # of others there is no list
                    await self._whole.fetch(line, ended)
            if ended is None or line.rests(self._clock.time()):
                line.dissolve(self._clock.time())

    async def _ask(self, line: Line[T], scan: PageScan) -> list[tuple[int, WaitState[T]]] | None:
        """Go through the pages. Return who has ended, and where; None if pages cannot be had."""
        ended: list[tuple[int, WaitState[T]]] = []
        over = {ref.id for ref in line.ended}
        while (piece := scan.next()) is not None:
            asked = self._clock.time()
            page = await self._source.logs(
                line.kind, piece, asked + PAGE_SECONDS, whole=line.wants_whole
            )
            if isinstance(page, Verdict):
                line.busy += self._clock.time() - asked
                if spoils_a_page(page.error):
                    scan.failed(piece)
                    continue
                return ended if line.survives(page, self._clock.time()) else None
            now = self._clock.time()
            line.busy += page.seconds
            before = len(ended)
            if any(row.id in over and row.runs for row in page.rows):
                self._count_contradiction(line)
            found, last = self._read(line, piece, page, asked, ended)
            scan.took(piece, len(page.rows), found, last, page.total)
            line.route.adapt(page, piece.size)
            line.is_cut = line.route.note_cut(page, piece)
            if page.retry_after is not None:
                line.leave_alone(page.retry_after, now)
                scan.stop()
            if line.ref_type is not VideoRef:  # there is no list of others: each is asked for
                for _, wait in ended[before:]:
                    self._polls.poll_at(wait, now)
        if scan.is_failing:
            return None if not line.survives(None, self._clock.time()) else ended
        line.failures = 0
        return ended

    def _read(
        self,
        line: Line[T],
        piece: Piece,
        page: RowPage,
        asked: float,
        ended: list[tuple[int, WaitState[T]]],
    ) -> tuple[int, int]:
        """See how the tasks of a page stand. Return how many were met, and the last one's place."""
        unseen, seen = PARKED[1 - line.turn], PARKED[line.turn]
        now, found, last, missed = self._clock.time(), 0, 0, 0.0
        for place, row in enumerate(page.rows):
            if row.type is not None and row.type != line.kind:
                continue
            try:
                wait = self._held.get(line.ref_type(row.id))
            except (ValueError, TypeError):
                continue
            if wait is None or wait.due != unseen:
                if wait is not None:
                    line.overhear(wait, row)
                continue
            found, last = found + 1, place
            if wait.cohort is None:
                meet(wait, line.learner, row.times, now)
            if row.runs:
                missed += observe_running(wait, asked)
                wait.due, wait.failing_since = seen, None
                settings = self._settings_of(wait.ref)
                if wait.deadline(settings) - now < LEAST_TIME_LEFT:
                    line.hand_back(wait)
            else:
                # The learner is told by the task's own answer: a page may be wrong.
                line.parked -= 1
                wait.due = AWAITED
                line.told[wait.ref] = Told(row.status)
                line.doubts.forget(wait.ref)
                ended.append((piece.at + place, wait))
        if page.is_unchanged:
            line.missed += missed
        return found, last

    def _contradicted(self, line: Line[T], wait: WaitState[T]) -> None:
        """Note that a task runs on which a page said had ended."""
        del line.told[wait.ref]
        line.contradicted.add(wait.ref)
        self._count_contradiction(line)

    def _count_contradiction(self, line: Line[T]) -> None:
        line.route.contradictions += 1
        line.barren = -1  # what is the matter is to be seen soon
        if line.route.contradictions > _MOST_CONTRADICTIONS:
            line.route.gone = True
            line.dissolve(self._clock.time())
