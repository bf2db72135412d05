"""The waits of one kind that rounds serve: which wait for a page, and which are handed back.

    join, leave     a wait begins or ends, wherever it is polled
    take            a wait comes here, and is not polled singly any more
    park            it waits for a page that shows its task
    hand back       it goes back to its owner, which polls it singly

What a row of a page means for its wait is decided here; which pages to ask for, in `page_scan`.
"""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any, Generic, Protocol, TypeVar, cast

from ..._runtime.clock import NextTimer
from ..._runtime.lifetime import Lifetime
from ..._verdict import Verdict
from ...contract.endpoints import LogRow
from ...contract.tasks import Task, TaskRef
from ...errors import ClientClosedError, TaskNotFoundError
from ..cadence.rhythm import Learner
from ..cadence.round_times import SHORTEST, RoundTimes
from ..cadence.schedule import StartStagger
from ..wait.ends import deadline_of
from ..wait.settings import WaitSettings
from ..wait.state import OWED, PollResult, WaitState
from ..wait.step import Decision, GiveUpAt, PollAt, go_on, step
from .failing_waits import FailingWaits, is_carried
from .page_reports import PageReports
from .page_scan import Places
from .pages import PageSource, RouteState, RowPage

T = TypeVar("T", bound=Task)

logger: logging.Logger = logging.getLogger("aitoearn_async")

FEWEST = 10
"""Tasks of a kind from which on rounds are used."""
LEAST_TIME_LEFT = 60.0
"""Seconds before its deadline at which a wait goes back to single polls."""
_BETWEEN_CHECKS = 30.0
"""Seconds until one wait is polled singly to check the pages, which may be stale. They begin anew
when a page has told of an end and the task's own answer confirms it."""
_MOST_CONTRADICTIONS = 5
"""Times that a page and a task's own answer contradict each other: after more of them no page is
believed."""
_AWAITED = -1.0
"""The `due` of a wait that is here and not parked: it waits for the next round to begin, or for its
task's own answer."""
_PARKED = (-2.0, -3.0)
"""The `due` of a wait that is parked. One number says that a page of this round has shown its task,
the other that none has yet. They are swapped with each round, so that no wait has to be changed."""


class WaitOwner(Protocol[T]):
    """Owns all waits of a batch, or of a client, and polls those that a round hands back."""

    held: dict[TaskRef[T], WaitState[T]]
    """All waits, of every kind."""
    settings_of: Callable[[TaskRef[T]], WaitSettings]
    """The settings of the wait for a ref."""
    is_paused: Callable[[], bool]
    """Returns whether no wait may go on now."""

    def spawn(self, coroutine: Coroutine[Any, Any, None], /) -> None:
        """Start a round."""
        ...

    def hand_back(self, wait: WaitState[T], decision: Decision[T], /) -> None:
        """Take a wait back, and carry out the decision."""
        ...


class RoundGroup(Generic[T]):
    """The waits of one kind. `run_round` goes through the pages for them, once.

    Attributes:
        route: The state of the pages of this kind.
        times: The moments of the rounds.
        parked: The number of waits that are parked.
        places: The places in the lists at which the last round found their tasks.
        pages: The number of pages that the last round asked for.
    """

    def __init__(
        self,
        ref: TaskRef[T],
        learner: Learner,
        source: PageSource,
        lifetime: Lifetime,
        owner: WaitOwner[T],
        run_round: Callable[[RoundGroup[T]], Coroutine[Any, Any, None]],
    ) -> None:
        self.ref_type: type[TaskRef[T]] = type(ref)
        self.kind: str = ref.kind
        self.route: RouteState = source.route(self.kind)
        self.times: RoundTimes = RoundTimes(learner)
        self.parked: int = 0
        self.places: Places = Places()
        self.pages: int = 1
        self._learner = learner
        self._source = source
        self._lifetime = lifetime
        self._owner = owner
        self._run_round = run_round
        self._timer = NextTimer(lifetime, self._start)
        self._is_running = False
        self._is_stopped = False
        self._waiting = 0  # waits of the kind, wherever they are polled
        self._newcomers: list[WaitState[T]] = []  # taken since the last round began
        self._failing: FailingWaits[T] = FailingWaits(lifetime, owner.settings_of, self._hand_back)
        self._reports = PageReports()
        self._check_at = math.inf
        self._unseen, self._seen = _PARKED
        self._stagger = StartStagger()  # of the first polls of waits that are handed back

    # Waits come, and go.

    def join(self) -> None:
        """Note that there is one more wait."""
        self._waiting += 1

    def leave(self, wait: WaitState[T], *, has_ended: bool) -> None:
        """Note that a wait is over, wherever it is polled, and whether its task has ended."""
        self._waiting -= 1
        self._unpark(wait)
        self._failing.forget(wait.ref)
        if self._reports.forget(wait.ref, has_ended=has_ended) and has_ended:
            self._check_at = self._lifetime.time() + _BETWEEN_CHECKS

    def take(self, wait: WaitState[T], now: float, *, is_put_off: bool = False) -> bool:
        """Take a wait that would be polled singly otherwise. Return whether it is taken.

        A wait that `is_put_off` is not taken. The service asks to leave its task alone for a while,
        and a page could show that the task is to be polled before that.
        """
        if wait.last_error is None and self._reports.note_running(wait.ref):
            self._count_contradiction()
        if is_put_off or self.route.gone or not self._may_take(wait, now):
            return False
        wait.due = _AWAITED
        if wait.final_poll_for != OWED:
            wait.final_poll_for = None
        if wait.failing_since is not None:
            self._failing.note(wait)
        self._newcomers.append(wait)
        self._check_at = min(self._check_at, now + _BETWEEN_CHECKS)
        moment = self.times.note_newcomer(now)
        if wait.polls and self._timer.at < math.inf:
            return True  # its task was just seen running, so the next round comes in time
        if not self._is_running and moment < self._timer.at:
            self._timer.set(moment)
        return True

    def _may_take(self, wait: WaitState[T], now: float) -> bool:
        """Return whether pages, if there are any, can serve a wait."""
        if self._waiting < FEWEST or now < self.times.rests_until:
            return False
        if self._reports.is_beyond(wait.ref, now):
            return False
        settings = self._owner.settings_of(wait.ref)
        left = settings.timeout if math.isnan(wait.started) else deadline_of(wait, settings) - now
        if left < LEAST_TIME_LEFT:
            return False
        if wait.last_error is None:
            return True
        return wait.ref not in self._reports and is_carried(wait, settings, now)

    async def after_failure(
        self, wait: WaitState[T], verdict: Verdict, decision: Decision[T], deadline: float
    ) -> Decision[T]:
        """Return what follows a failed poll, by what pages show of its task.

        Args:
            wait: The wait, of which this group may have no page.
            verdict: The result of the poll.
            decision: What would follow without any pages.
            deadline: The moment at which a further question about the task must be over.
        """
        ref = wait.ref
        if (end := self._reports.end_of(ref)) is not None:
            return await end.after_failure(ref, verdict, decision, self._source, deadline)
        is_unknown = isinstance(verdict.error, TaskNotFoundError)
        if is_unknown and isinstance(decision, GiveUpAt) and self._owner.held.get(ref) is wait:
            # A page may show the task all the same. A wait that rounds take is looked for on the
            # pages, and polled once more if it is on none.
            now = self._lifetime.time()
            wait.failing_since = now if wait.failing_since is None else wait.failing_since
            if not self.route.gone and self._may_take(wait, now):
                return PollAt(now)
        return decision

    def release(self, wait: WaitState[T]) -> None:
        """Let go of a wait that has been taken."""
        self._unpark(wait)
        wait.due = math.inf

    def _unpark(self, wait: WaitState[T]) -> None:
        if wait.due in _PARKED:
            self.parked -= 1

    def stop(self) -> None:
        """Cancel all timers. A round that still runs sets no further one."""
        self._is_stopped = True
        self._timer.set(math.inf)
        self._failing.stop()

    # A round goes through the pages.

    def _start(self) -> None:
        now = self._lifetime.time()
        begins = now + SHORTEST if self._owner.is_paused() else self.times.gathering_ends()
        if begins > now:
            self._timer.set(begins)
        else:
            self._timer.set(math.inf)
            self._is_running = True
            self._owner.spawn(self._go_round())

    async def _go_round(self) -> None:
        for wait in self._newcomers:
            if not wait.over and wait.due == _AWAITED:
                wait.due = self._seen
                self.parked += 1
        self._newcomers.clear()
        self._unseen, self._seen = self._seen, self._unseen
        self._reports.begin_round()
        try:
            if self.route.gone or self._waiting < FEWEST // 2:
                self.dissolve()
            if self.parked:
                await self._run_round(self)
        except BaseException as failure:
            self._note_failed_round(failure)
            if not isinstance(failure, Exception):
                raise
        finally:
            self._is_running = False
        if not self._is_stopped and (self.parked or self._newcomers):
            now = self._lifetime.time()
            self._timer.set(self.times.next_round(now, self.parked, self.pages))

    def _note_failed_round(self, failure: BaseException) -> None:
        """Hand all waits back, since a round has failed."""
        if self._is_stopped:
            return  # its last wait has ended, or the batch was left: nobody takes waits back
        if isinstance(failure, Exception) and not isinstance(failure, ClientClosedError):
            logger.warning("tasks are asked about one by one, as a round failed: %r", failure)
        self.times.rest(self._lifetime.time())
        self.dissolve()

    def read(self, page: RowPage, asked: float) -> tuple[list[int], list[tuple[int, WaitState[T]]]]:
        """Take in how the tasks on a page stand.

        Args:
            page: The page.
            asked: The moment when it was asked for.

        Returns:
            The places on the page of all tasks that were looked for; and the waits whose tasks have
            ended, each with its place.
        """
        self._check_against_ends(page.rows)
        found: list[int] = []
        ended: list[tuple[int, WaitState[T]]] = []
        held = self._owner.held.get
        now, missed = self._lifetime.time(), 0.0
        for place, row in enumerate(page.rows):
            if row.type is not None and row.type != self.kind:
                continue
            try:
                wait = held(self.ref_type(row.id))
            except ValueError:
                continue
            if wait is None:
                continue
            if wait.due != self._unseen:
                self._overhear(wait, row, now)
                continue
            found.append(place)
            if wait.cohort is None:
                wait.meet(self._learner, row.times, now)
            if row.runs:
                missed += wait.observe_running(asked)
                wait.due, wait.failing_since = self._seen, None
                if deadline_of(wait, self._owner.settings_of(wait.ref)) - now < LEAST_TIME_LEFT:
                    self._hand_back(wait)
            else:
                # A page may be wrong: the learner is told when the task's own answer comes.
                self._unpark(wait)
                wait.due = _AWAITED
                wait.validator = None  # the page says that the task has changed
                self._reports.note_end(wait.ref, row.status)
                self._failing.forget(wait.ref)
                ended.append((place, wait))
        if page.is_unchanged:
            self.times.note_missed(missed)
        return found, ended

    def _overhear(self, wait: WaitState[T], row: LogRow, now: float) -> None:
        """Note the row of a task that is polled singly now, in case its own polls fail.

        If the row shows that the task runs, its wait has its whole patience again.
        """
        if self._reports.is_beyond(wait.ref, now):
            return
        if row.runs:
            wait.failing_since = None
        elif wait.due != _AWAITED:
            self._reports.overhear(wait.ref, row.status)

    def _check_against_ends(self, rows: Sequence[LogRow]) -> None:
        """Count a contradiction if a task is said to run that has ended by its own answer."""
        if self._reports.are_refuted_by(rows):
            self._count_contradiction()

    def _count_contradiction(self) -> None:
        """Count a page that was wrong. After too many of them, do without pages."""
        self.route.contradictions += 1
        self.times.note_contradiction()
        if self.route.contradictions > _MOST_CONTRADICTIONS:
            self.route.gone = True
            self.dissolve()

    # Waits are handed back.

    def take_answer(self, task: Task, sent: float, asked: float) -> None:
        """Hand back the wait for a whole task that a list has brought, if it has ended."""
        ref = cast("TaskRef[T]", task.ref)
        wait = self._owner.held.get(ref)
        if wait is not None and wait.due == _AWAITED and ref in self._reports and task.done:
            result = PollResult(task.status, cast("T", task), None, sent)
            settings, now = self._owner.settings_of(ref), self._lifetime.time()
            self._owner.hand_back(wait, step(wait, settings, result, asked, now))

    def poll_ended(self, ended: Sequence[tuple[int, WaitState[T]]]) -> None:
        """Hand back the waits whose tasks have ended, as a page says, to be polled now."""
        now = self._lifetime.time()
        for _, wait in ended:
            if wait.due == _AWAITED and not wait.over:
                self._owner.hand_back(wait, PollAt(now))

    def end_round(self, *, any_missing: bool, is_partial: bool) -> None:
        """Hand back the waits that no page of the round showed, to be polled singly.

        If the round did not see all pages, they are looked for in the next round instead.
        """
        now = self._lifetime.time()
        waits = self._own() if any_missing else ()
        missing = [wait for wait in waits if wait.due == self._unseen]
        for wait in missing:
            if is_partial:
                wait.due = self._seen
                continue
            self._reports.note_unlisted(wait.ref, now)
            if wait.polls:
                self._hand_back(wait)
            else:
                self._poll_at(wait, self._stagger.next(now))
        self._check_pages(now)

    def _check_pages(self, now: float) -> None:
        """Now and then hand back one wait, chosen at random: its own poll may refute the pages.

        A wait whose own polls fail is not chosen: they would refute nothing.
        """
        if now < self._check_at:
            return
        self._check_at = now + _BETWEEN_CHECKS
        able = [wait for wait in self._own() if wait.due in _PARKED and wait.last_error is None]
        if able:
            self._poll_at(random.choice(able), now)

    def dissolve(self) -> None:
        """Hand all waits back, each to be polled when its own cadence says."""
        now = self._lifetime.time()
        for wait in [*self._own()]:
            if wait.due != _AWAITED and wait.due not in _PARKED:
                continue
            if wait.polls or wait.ref in self._reports:
                self._hand_back(wait)
            else:
                self._poll_at(wait, self._stagger.next(now))
        self._newcomers.clear()

    def _hand_back(self, wait: WaitState[T]) -> None:
        """Hand a wait back, to be polled singly when its own cadence says."""
        self._unpark(wait)
        settings = self._owner.settings_of(wait.ref)
        self._owner.hand_back(wait, go_on(wait, settings, self._lifetime.time()))

    def _poll_at(self, wait: WaitState[T], moment: float) -> None:
        """Hand a wait back, to be polled singly at a moment."""
        self._unpark(wait)
        self._owner.hand_back(wait, PollAt(moment))

    def _own(self) -> Iterator[WaitState[T]]:
        """Return the waits of this kind, wherever they are polled."""
        return (wait for wait in self._owner.held.values() if type(wait.ref) is self.ref_type)
