"""The workers of a batch: they poll each wait when it is due, with one timer for all.

A waiting task is an entry on the agenda and nothing else: no asyncio task, no timer, no
coroutine. Nothing here knows where refs come from, or what becomes of an outcome.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar, cast

from ..._runtime.clock import NextTimer
from ..._runtime.lifetime import Lifetime
from ...contract.kinds import AnyTask
from ...contract.tasks import Task, TaskRef
from ...errors import (
    AiToEarnError,
    AuthenticationError,
    ConnectionFailedError,
    NotAskedError,
    TaskFailedError,
)
from ..cadence.schedule import StartStagger
from ..rounds.groups import Rounds
from ..rounds.pages import PageSource
from ..wait.ends import response_deadline, warn_of_first_failure
from ..wait.settings import WaitSettings
from ..wait.state import OWED, PollResult, WaitState
from ..wait.step import (
    Decision,
    Ended,
    Poll,
    PollAt,
    Step,
    begin,
    give_up,
)
from .agenda import Agenda
from .statistics import PollMeter

T = TypeVar("T", bound=Task)

_AT_A_TIME = 50
"""The most waits that are handed out or ended in one turn of the loop."""


class WorkerPool(Generic[T]):
    """Polls waits as they are due.

    Args:
        settings_of: The settings of the wait for a ref.
        timeout: Seconds from the first poll of each wait to its end.
        concurrency: The largest number of workers.
        poll: Polls once for a wait.
        step: Decides what follows a poll.
        lifetime: Tells the time.
        is_paused: Returns whether no wait may go on now: the consumer is behind, or the batch is
            over.
        spawn: Starts a worker, which the batch owns.
        ended: Takes a wait that is over, its task as far as it is known, its error, and the moment.
        held: All waits, by ref.
        pages: Asks for pages that show many tasks at once; None to poll all waits singly.

    Attributes:
        in_flight: Waits that are being polled.
        meter: Counts the polls.
    """

    def __init__(
        self,
        settings_of: Callable[[TaskRef[T]], WaitSettings],
        *,
        timeout: float,
        concurrency: int,
        poll: Poll[T],
        step: Step[T],
        lifetime: Lifetime,
        is_paused: Callable[[], bool],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
        ended: Callable[[WaitState[T], T | None, AiToEarnError | None, float], None],
        held: dict[TaskRef[T], WaitState[T]],
        pages: PageSource | None,
    ) -> None:
        self.in_flight: int = 0
        self.meter: PollMeter = PollMeter()
        self.held: dict[TaskRef[T], WaitState[T]] = held
        self.settings_of: Callable[[TaskRef[T]], WaitSettings] = settings_of
        self.is_paused: Callable[[], bool] = is_paused
        self.spawn: Callable[[Coroutine[Any, Any, None]], None] = spawn
        self._concurrency = concurrency
        self._poll = poll
        self._step = step
        self._lifetime = lifetime
        self._ended = ended
        self._agenda: Agenda[T] = Agenda(timeout)
        self._stagger = StartStagger()
        self._idle: deque[asyncio.Future[WaitState[T]]] = deque()
        self._workers = 0
        self._is_stopped = False
        self._final_errors: dict[TaskRef[T], AiToEarnError] = {}  # of few waits
        self._timer = NextTimer(lifetime, self._dispatch)
        self._rounds: Rounds[T] = Rounds(pages, lifetime, self)

    def add(self, wait: WaitState[T], delay: float, *, is_one_of_many: bool) -> None:
        """Put a new wait on the agenda. First polls of many are staggered."""
        now = self._lifetime.time()
        group = self._rounds.join(wait.ref)
        is_taken = group is not None and group.take(wait, now)
        if is_taken and math.isnan(wait.started):
            begin(wait, self.settings_of(wait.ref), now)
        if not math.isnan(wait.started):  # else it begins with its first poll
            self.arm(self._agenda.begin(wait))
        if not is_taken:
            is_staggered = is_one_of_many and not delay
            self._poll_at(wait, self._stagger.next(now) if is_staggered else now + delay)

    def _poll_at(self, wait: WaitState[T], moment: float) -> None:
        self._agenda.add(wait, moment)
        self.arm(moment)

    def forget(self, wait: WaitState[T], *, has_ended: bool = False) -> None:
        """Forget a wait. The result of a poll that is under way is dropped."""
        if (group := self._rounds.of(wait.ref)) is not None:
            group.leave(wait, has_ended=has_ended)
        self.settings_of(wait.ref).evidence.unconfirmed.pop(wait.ref, None)
        self._agenda.end(wait)
        self._final_errors.pop(wait.ref, None)

    def arm(self, new: float = -math.inf, *, again: bool = False) -> None:
        """Set the timer for the next wait, unless it is set for an earlier moment already.

        Args:
            new: The moment of the wait that is new, if that is all that has changed.
            again: Set it in any case.
        """
        if new >= self._timer.at:
            return
        moment = math.inf
        if not self.is_paused():
            moment = self._agenda.next_deadline()
            if self._has_free_worker():
                moment = min(moment, self._agenda.next_due())
        if again or moment < self._timer.at:
            self._timer.set(moment)

    def stop(self) -> None:
        """Cancel the timers. A worker that misses its cancellation stops after its poll."""
        self._is_stopped = True
        self._timer.set(math.inf)
        self._rounds.stop()

    def hand_back(self, wait: WaitState[T], decision: Decision[T]) -> None:
        """Go on with a wait that rounds had, as is decided."""
        if self._is_stopped:
            return
        if isinstance(decision, PollAt):
            self._poll_at(wait, decision.moment)
            return
        now = self._lifetime.time()
        if isinstance(decision, Ended):  # a page has brought the task's answer
            self.meter.note(now, 0.0, unchanged=False)
        self._act(wait, self.settings_of(wait.ref), decision, now)

    def _dispatch(self) -> None:
        """Give due waits to workers, end those that are out of time, and set the timer again."""
        now = self._lifetime.time()
        for _ in range(_AT_A_TIME):
            if self.is_paused():
                break
            if (wait := self._agenda.take_expired(now)) is not None:
                self._expire(wait, now)
            elif self._has_free_worker() and (wait := self._agenda.take(now)) is not None:
                self._hand_over(wait)
            else:
                break
        self.arm(again=True)

    def _has_free_worker(self) -> bool:
        return bool(self._idle) or self._workers < self._concurrency

    def _hand_over(self, wait: WaitState[T]) -> None:
        if self._idle:
            self._idle.popleft().set_result(wait)
        else:
            self._workers += 1
            self.spawn(self._work(wait))

    def _expire(self, wait: WaitState[T], now: float) -> None:
        # A wait that is being polled ends by itself: its request has the deadline of the wait.
        if wait.due == math.inf:
            return
        error = self._final_errors.get(wait.ref)
        if error is not None or wait.final_poll_for != OWED:
            error = error or give_up(wait, self.settings_of(wait.ref), now).error
            self._end(wait, wait.latest_known(), error, now, has_ended=False)
        elif wait.due < 0 and (group := self._rounds.of(wait.ref)) is not None:
            group.release(wait)
            self._agenda.add(wait, now)

    async def _work(self, wait: WaitState[T]) -> None:
        now = self._lifetime.time()
        while True:
            if not wait.over:  # its time may have run out since it was handed over
                now = await self._serve(wait, now)
            if (next_wait := self._take(now)) is None:
                if self._is_stopped:
                    return
                next_wait = await self._wait_for_work()
            else:
                # All answers of a turn are read first, and then all requests are sent. To do the
                # same thing over and over takes the processor a tenth less time.
                await asyncio.sleep(0)
            wait, now = next_wait, self._lifetime.time()

    def _take(self, now: float) -> WaitState[T] | None:
        """Return the next wait for a worker; None if there is none."""
        if self.is_paused():
            return None
        if self._timer.at <= now:
            self._dispatch()  # waits that are out of time come first
            return None
        wait = self._agenda.take(now)
        # A worker that gets no wait becomes idle, and sets the timer then.
        if wait is not None and self._has_free_worker():
            self.arm()
        return wait

    async def _wait_for_work(self) -> WaitState[T]:
        handed: asyncio.Future[WaitState[T]] = asyncio.get_running_loop().create_future()
        self._idle.append(handed)
        self.arm()
        return await handed

    async def _serve(self, wait: WaitState[T], asked: float) -> float:
        """Poll for a wait, and act on the result. Return the moment when it came."""
        settings, due, is_first = self.settings_of(wait.ref), wait.due, math.isnan(wait.started)
        if is_first:
            begin(wait, settings, asked)
        deadline = response_deadline(wait, settings, asked, due)
        wait.due = math.inf  # while it is being polled
        if is_first:
            self.arm(self._agenda.begin(wait))
        self.in_flight += 1
        try:
            result = await self._poll(wait, deadline)
        finally:
            self.in_flight -= 1
        now = self._lifetime.time()
        if wait.over or self._is_stopped:
            return now  # the wait was discarded meanwhile, or the batch left
        decision = self._step(wait, settings, result, asked, now)
        if isinstance(result, PollResult):
            self.meter.note(now, result.sent - due, unchanged=not decision.changed)
        else:
            if (group := self._rounds.of(wait.ref)) is not None:
                decision = await group.after_failure(wait, result, decision, deadline)
                if wait.over or self._is_stopped:
                    return now
                now = self._lifetime.time()
            if not isinstance(result.error, NotAskedError):
                self.meter.note(now, asked - due, unchanged=False)
        self._act(wait, settings, decision, now)
        return now

    def _act(
        self, wait: WaitState[T], settings: WaitSettings, decision: Decision[T], now: float
    ) -> None:
        if isinstance(decision, PollAt):
            if wait.failing_since is not None:
                warn_of_first_failure(wait, settings)
            if wait.final_poll_for is None:
                wait.latest = None  # a million tasks would take gigabytes
            # Rounds take no wait without a learner.
            group = None if settings.learner is None else self._rounds.of(wait.ref)
            if group is None or not group.take(wait, now, is_put_off=decision.is_put_off):
                self._agenda.add(wait, decision.moment)
        elif isinstance(decision, Ended):
            task: T = decision.task
            error = TaskFailedError(cast("AnyTask", task)) if decision.failed else None
            self._end(wait, task, error, now, has_ended=True)
        else:
            if isinstance(decision.error, AuthenticationError | ConnectionFailedError):
                self._agenda.end(wait)  # or the wait would hold the error, and the error its frames
                raise decision.error  # this ends the batch: the other waits would fail as well
            self._final_errors[wait.ref] = decision.error
            self._agenda.fail_at(wait, decision.moment)
            self.arm(decision.moment)

    def _end(
        self,
        wait: WaitState[T],
        task: T | None,
        error: AiToEarnError | None,
        now: float,
        *,
        has_ended: bool,
    ) -> None:
        self.forget(wait, has_ended=has_ended)
        self._ended(wait, task, error, now)
