"""Many tasks: one agenda, a few workers, outcomes as they come.

A waiting task is an entry on the agenda and nothing else: no asyncio task, no timer, no
coroutine. What to do after a poll is decided in `step`, as for a single wait; how the refs
come in is in `intake`. An outcome is handed over and forgotten. All state changes between two
awaits, so there are no locks.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Iterable
from types import TracebackType
from typing import Any, TypeVar, cast

from ..contract.models import AnyTask, Task
from ..contract.refs import TaskRef
from ..contract.status import TaskState
from ..errors import (
    AiToEarnError,
    AuthenticationError,
    ConnectionFailedError,
    NotAskedError,
    TaskFailedError,
)
from .agenda import Agenda, Spread
from .clock import Alarm, Clock
from .gauge import BatchStatistics, Gauge
from .intake import Intake
from .keeping import Keep, Keeping
from .outcome import Outcome
from .step import Decision, Ended, GiveUpAt, PollAt, Reply, Terms, Wait, begin, give_up, step
from .waiter import Poll, not_an_end

T = TypeVar("T", bound=Task)

_MOST_READY = 1024
"""Outcomes that may lie there unread before the polling pauses."""
_SECONDS_BETWEEN_REPORTS = 1.0
_AT_A_TIME = 50
"""Waits handed out or ended in one turn of the loop, however many are due at once."""


class Batch(AsyncIterator[Outcome[T]]):
    """The outcomes of many tasks, as they end; made by `Client.as_completed`.

        async with client.as_completed(refs) as batch:
            async for outcome in batch:
                ...

    Every ref has exactly one outcome, whatever fails. Leaving the block ends all work before
    it returns. A slow consumer holds back the polling, and with it the reading of refs.
    """

    def __init__(
        self,
        refs: Iterable[TaskRef[T]] | AsyncIterable[TaskRef[T]],
        terms_of: Callable[[TaskRef[T]], Terms],
        *,
        timeout: float,
        max_pending: int,
        concurrency: int,
        poll: Poll[T],
        clock: Clock,
        closed: Callable[[], Coroutine[Any, Any, None]],
        admitted: Callable[[TaskRef[T]], None] | None = None,
        progress: Callable[[BatchStatistics], None] | None,
        keep: Keep[T] | None = None,
    ) -> None:
        self._terms_of = terms_of
        self._concurrency = concurrency
        self._poll = poll
        self._clock = clock
        self._closed = closed
        self._admitted = admitted
        self._progress = progress
        self._agenda: Agenda[T] = Agenda(timeout)
        self._held: dict[TaskRef[T], Wait[T]] = {}
        self._repeats: dict[TaskRef[T], int] = {}
        self._ready: deque[Outcome[T]] = deque()
        self._owed = 0  # outcomes: refs read, and their outcome not yet taken
        self._idle: deque[asyncio.Future[Wait[T]]] = deque()
        self._workers = self._in_flight = 0
        self._spread, self._gauge = Spread(), Gauge()
        self._tasks: set[asyncio.Task[None]] = set()
        self._alarm: Alarm | None = None
        self._alarm_at = math.inf
        self._news: asyncio.Future[None] | None = None
        self._failure: BaseException | None = None
        self._ends = dict.fromkeys(("succeeded", "failed", "unresolved"), 0)
        self._state = "not entered"
        self._keeping = Keeping(keep, self._deliver, self._arm, self._fail)
        # The last, since it may raise: what is half made can then be shown.
        self._intake = Intake(refs, self._admit, lambda: self._owed < max_pending, self._tell)

    async def __aenter__(self) -> Batch[T]:
        if self._state != "not entered":
            raise RuntimeError(f"this batch is {self._state}; make another one")
        self._state = "open"
        self._loop = asyncio.get_running_loop()
        self._spawn(self._closed())
        self._spawn(self._intake.run())
        if self._progress is not None:
            self._spawn(self._report(self._progress))
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._state = "closed"
        tasks = *self._tasks, *self._keeping.stop()
        self._stop()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._progress is not None and exc_type is None:
            self._progress(self.statistics())

    async def __anext__(self) -> Outcome[T]:
        self._check_open()
        while not self._ready:
            if self._failure is not None and not self._keeping.held:
                raise not_an_end(self._failure)
            if self._intake.done and not self._held and not self._keeping.held:
                if self._intake.failure is not None:
                    raise not_an_end(self._intake.failure)
                raise StopAsyncIteration
            if self._news is not None:
                raise RuntimeError("this batch is already being iterated by another task")
            self._news = self._loop.create_future()
            try:
                await self._news
            finally:
                self._news = None
            self._check_open()
        outcome = self._ready.popleft()
        self._owed -= 1
        self._intake.make_room()
        if len(self._ready) == _MOST_READY - 1:
            self._arm()
        return outcome

    def _check_open(self) -> None:
        if self._state != "open":
            raise RuntimeError(f"this batch is {self._state}; iterate inside `async with`")

    def statistics(self) -> BatchStatistics:
        """How the batch stands now. Costs next to nothing, so ask as often as you like."""
        now = self._clock.time() if self._state != "not entered" else 0.0
        return BatchStatistics(
            pending=len(self._held) - self._in_flight,
            in_flight=self._in_flight,
            ready=len(self._ready),
            saving=self._keeping.held,
            polls=self._gauge.polls,
            unchanged=self._gauge.unchanged,
            polls_per_second=self._gauge.per_second(now),
            lag=self._gauge.lag,
            exhausted=self._intake.done,
            **self._ends,
        )

    def __repr__(self) -> str:
        return f"<Batch {self._state} pending={len(self._held)} ended={sum(self._ends.values())}>"

    # What comes in.

    def _admit(self, ref: TaskRef[T]) -> None:
        self._terms_of(ref)  # refuses what is not a ref
        if ref in self._held:
            self._repeats[ref] = self._repeats.get(ref, 0) + 1
        else:
            wait = self._held[ref] = Wait(due=0.0, ref=ref)
            now, is_large = self._clock.time(), len(self._held) > self._concurrency
            self._agenda.add(wait, self._spread.next(now) if is_large else now)
            self._arm()
        self._owed += 1
        if self._admitted is not None:
            self._admitted(ref)

    # Who is polled when: one alarm for all of them.

    def _look(self) -> None:
        """Give what is due to workers; end what is out of time; set the alarm for the next."""
        now = self._clock.time()
        for _ in range(_AT_A_TIME):
            if self._is_crowded() or self._is_over():
                break
            if (wait := self._agenda.take_expired(now)) is not None:
                self._expire(wait, now)
            elif self._has_hands() and (wait := self._agenda.take(now)) is not None:
                self._hand_over(wait)
            else:
                break
        self._arm(again=True)

    def _is_crowded(self) -> bool:
        return len(self._ready) >= _MOST_READY or self._keeping.is_full

    def _is_over(self) -> bool:
        return self._state != "open" or self._failure is not None

    def _has_hands(self) -> bool:
        return bool(self._idle) or self._workers < self._concurrency

    def _hand_over(self, wait: Wait[T]) -> None:
        if self._idle:
            self._idle.popleft().set_result(wait)
        else:
            self._workers += 1
            self._spawn(self._work(wait))

    def _expire(self, wait: Wait[T], now: float) -> None:
        # One that is being polled ends by itself: its request is bounded by the deadline.
        if not math.isinf(wait.due):
            error = wait.verdict or give_up(wait, self._terms_of(wait.ref), now).error
            self._end(wait, wait.latest_known(), error)

    def _arm(self, *, again: bool = False) -> None:
        """Set the alarm, where it is not set for an earlier moment already."""
        moment = math.inf
        if not self._is_crowded():
            moment = self._agenda.next_deadline()
            if self._has_hands():
                moment = min(moment, self._agenda.next_due())
        if self._alarm is not None and (again or moment < self._alarm_at):
            self._alarm.cancel()
            self._alarm, self._alarm_at = None, math.inf
        if self._alarm is None and moment < math.inf and not self._is_over():
            self._alarm_at = moment
            self._alarm = self._clock.call_at(moment, self._look)

    # What a worker does.

    async def _work(self, wait: Wait[T]) -> None:
        now = self._clock.time()
        while True:
            if not wait.over:  # its time can run out on the way here
                now = await self._serve(wait, now)
            if (following := self._take(now)) is None:
                following = await self._rest()
            else:
                # All answers of a turn are read first, then all requests sent: doing the same
                # thing over and over takes the processor a tenth less time.
                await asyncio.sleep(0)
            wait, now = following, self._clock.time()

    def _take(self, now: float) -> Wait[T] | None:
        """What a worker that has its hands free can go on with."""
        if self._is_over() or self._is_crowded():
            return None
        if self._alarm_at <= now:
            self._look()  # who is out of time comes first
            return None
        wait = self._agenda.take(now)
        if self._has_hands():
            self._arm()
        return wait

    async def _rest(self) -> Wait[T]:
        hand: asyncio.Future[Wait[T]] = self._loop.create_future()
        self._idle.append(hand)
        self._arm()
        return await hand

    async def _serve(self, wait: Wait[T], asked: float) -> float:
        """Poll for a wait, and act on what comes of it. Returns the moment when it came."""
        terms, due = self._terms_of(wait.ref), wait.due
        if math.isnan(wait.started):
            first = begin(wait, terms, asked)
            if isinstance(first, GiveUpAt):
                self._act(wait, first, asked)
                return asked
            self._agenda.begin(wait)
            self._arm()
        wait.due = math.inf  # while it is being polled
        self._in_flight += 1
        try:
            answer = await self._poll(wait, wait.back_by(terms, asked, due))
        finally:
            self._in_flight -= 1
        now = self._clock.time()
        decision: Decision[T] = step(wait, terms, answer, asked, now)
        if isinstance(answer, Reply):
            self._gauge.note(now, answer.sent - due, unchanged=not decision.changed)
        elif not isinstance(answer, NotAskedError):
            self._gauge.note(now, asked - due, unchanged=False)
        self._act(wait, decision, now)
        return now

    def _act(self, wait: Wait[T], decision: Decision[T], now: float) -> None:
        if isinstance(decision, PollAt):
            if wait.clipped_to is None:
                wait.latest = None  # a million of them would be gigabytes
            self._agenda.add(wait, decision.moment)
        elif isinstance(decision, Ended):
            task: T = decision.task
            failed = task.state is TaskState.FAILED
            self._end(wait, task, TaskFailedError(cast("AnyTask", task)) if failed else None)
        else:
            if isinstance(decision.error, AuthenticationError | ConnectionFailedError):
                self._agenda.end(wait)  # or it would hold the error, and that its frames, for good
                raise decision.error  # no other task will fare better: ends the batch
            wait.verdict = decision.error
            self._agenda.doom(wait, decision.moment)
            self._arm()

    # What comes out.

    def _end(self, wait: Wait[T], task: T | None, error: AiToEarnError | None) -> None:
        self._agenda.end(wait)
        del self._held[wait.ref]
        outcome = Outcome(
            ref=wait.ref,
            task=task,
            error=error,
            polls=wait.polls,
            elapsed=0.0 if math.isnan(wait.started) else self._clock.time() - wait.started,
        )
        times = 1 + self._repeats.pop(wait.ref, 0)
        failed = "failed" if isinstance(error, TaskFailedError) else "unresolved"
        self._ends["succeeded" if error is None else failed] += times
        self._keeping.take(outcome, times)

    def _deliver(self, outcome: Outcome[T], times: int) -> None:
        self._ready.extend([outcome] * times)
        self._tell()

    def _tell(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    async def _report(self, progress: Callable[[BatchStatistics], None]) -> None:
        while True:
            await asyncio.sleep(_SECONDS_BETWEEN_REPORTS)
            progress(self.statistics())

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._reap)

    def _reap(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        stranger = RuntimeError("a task of this batch was cancelled, and not by the batch")
        if (exc := stranger if task.cancelled() else task.exception()) is not None:
            self._fail(exc)

    def _fail(self, exc: BaseException) -> None:
        if not self._is_over():
            # A mistake in a hook or a strategy is to be found; ours need not keep frames.
            self._failure = exc.with_traceback(None) if isinstance(exc, AiToEarnError) else exc
            self._stop()

    def _stop(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._idle.clear()
        for task in self._tasks:
            task.cancel()
        self._tell()
