"""Many tasks: refs come in, workers poll, outcomes go out as they come.

`ref_reader` reads the refs, `worker_pool` polls, and `save_queue` saves files. An outcome is
handed over and forgotten. All state changes between two awaits, so there are no locks.
"""

from __future__ import annotations

import asyncio
import itertools
import math
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Iterable
from typing import Any, TypeVar, cast

from ..._runtime.lifetime import Lifetime
from ...contract.endpoints import ref_of
from ...contract.tasks import Task, TaskRef
from ...errors import AiToEarnError
from ..awaitables import Bound, call, not_an_end
from ..cadence.rhythm import TimeLeft
from ..rounds.pages import PageSource
from ..wait.resume import Resume, begin_again
from ..wait.settings import WaitSettings
from ..wait.state import WaitState
from ..wait.step import Poll, Step, step
from .outcome import EitherOutcome, Outcome
from .ref_reader import RefReader
from .save_queue import Save, SaveQueue, failure_of
from .statistics import BatchStatistics, report
from .worker_pool import WorkerPool

T = TypeVar("T", bound=Task)

_MOST_ASKED = 16
"""The number of waits that the time left is estimated from: those that began last."""
_MOST_READY = 1024
"""The number of outcomes that may wait to be read before the polling pauses."""


class Batch(Bound, AsyncIterator[EitherOutcome[T]]):
    """The outcomes of many tasks, as they end; made by `Client.as_completed`.

        async with client.as_completed(refs) as batch:
            async for outcome in batch:
                ...

    Every ref has exactly one outcome, whatever fails. Leaving the block ends all work before
    it returns. A slow consumer holds back the polling, and with it the reading of refs.
    """

    def __init__(
        self,
        refs: Iterable[TaskRef[T] | str] | AsyncIterable[TaskRef[T] | str],
        settings_of: Callable[[TaskRef[T]], WaitSettings],
        *,
        timeout: float,
        max_pending: int,
        concurrency: int,
        poll: Poll[T],
        step: Step[T] = step,
        lifetime: Lifetime,
        admitted: Callable[[TaskRef[T]], None] | None = None,
        progress: Callable[[BatchStatistics], object] | None,
        save: Save[T] | None = None,
        resume: Callable[[TaskRef[T]], Resume | None] | None = None,
        pages: PageSource | None = None,
    ) -> None:
        self._settings_of = settings_of
        self._concurrency = concurrency
        self._lifetime = lifetime
        self._admitted = admitted
        self._progress = progress
        self._resume = resume
        self._held: dict[TaskRef[T], WaitState[T]] = {}
        self._pool: WorkerPool[T] = WorkerPool(
            settings_of,
            timeout=timeout,
            concurrency=concurrency,
            poll=poll,
            step=step,
            lifetime=lifetime,
            is_paused=self._is_paused,
            spawn=self._spawn,
            ended=self._end,
            held=self._held,
            pages=pages,
        )
        self._repeats: dict[TaskRef[T], int] = {}
        self._ready: deque[Outcome[T]] = deque()
        self._owed = 0  # refs that were read, and whose outcome has not been taken
        self._tasks: set[asyncio.Task[None]] = set()
        self._wakeup: asyncio.Future[None] | None = None
        self._failure: BaseException | None = None
        self._state = "not entered"
        self._is_over = True  # nothing more is polled
        self._save_queue = SaveQueue(save, self._deliver, self._pool.arm, self._fail)
        # It comes last, since it may raise, and a batch that is half made must have a `repr`.
        self._ref_reader = RefReader(
            refs, self._admit, lambda: self._owed < max_pending, self._wake_consumer
        )

    async def __aenter__(self) -> Batch[T]:
        if self._state != "not entered":
            raise RuntimeError(f"this batch is {self._state}; make another one")
        self._state, self._is_over = "open", False
        self._loop = asyncio.get_running_loop()
        self._spawn(self._lifetime.until_closed())
        self._spawn(self._ref_reader.run())
        if self._progress is not None:
            self._spawn(report(self._progress, self.statistics, lambda: self._is_over))
        return self

    async def __aexit__(self, exc_type: type[BaseException] | None, *_: object) -> None:
        self._state = "closed"
        tasks = *self._tasks, *self._save_queue.stop()
        self._stop()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._progress is not None and exc_type is None:
            await call(self._progress, self.statistics())

    async def __anext__(self) -> EitherOutcome[T]:
        self._check_open()
        while not self._ready:
            if self._failure is not None and not self._save_queue.held:
                raise not_an_end(self._failure)
            if self._ref_reader.done and not self._held and not self._save_queue.held:
                if self._ref_reader.failure is not None:
                    raise not_an_end(self._ref_reader.failure)
                raise StopAsyncIteration
            if self._wakeup is not None:
                raise RuntimeError("this batch is already being iterated by another task")
            self._wakeup = self._loop.create_future()
            try:
                await self._wakeup
            finally:
                self._wakeup = None
            self._check_open()
        outcome = self._ready.popleft()
        self._owed -= 1
        self._ref_reader.make_room()
        if len(self._ready) == _MOST_READY - 1:
            self._pool.arm()
        return cast("EitherOutcome[T]", outcome)

    def _check_open(self) -> None:
        if self._state != "open":
            raise RuntimeError(f"this batch is {self._state}; iterate inside `async with`")

    def statistics(self) -> BatchStatistics:
        """Return the statistics of the batch now. It costs next to nothing: call it often."""
        now = self._lifetime.time() if self._state != "not entered" else 0.0
        pool, meter = self._pool, self._pool.meter
        return BatchStatistics(
            # Some that are in flight may have been discarded.
            pending=max(0, len(self._held) - pool.in_flight),
            in_flight=pool.in_flight,
            ready=len(self._ready),
            saving=self._save_queue.held,
            succeeded=meter.ends["succeeded"],
            failed=meter.ends["failed"],
            unresolved=meter.ends["unresolved"],
            polls=meter.polls,
            unchanged=meter.unchanged,
            polls_per_second=meter.per_second(now),
            lag=meter.lag,
            exhausted=self._ref_reader.done,
            time_left=self._time_left(now),
        )

    def _time_left(self, now: float) -> TimeLeft | None:
        """Return in how many seconds the last task is likely to end, judged by a few of them."""
        if not self._ref_reader.done:
            return None
        ranges: list[TimeLeft] = []
        for wait in itertools.islice(reversed(self._held.values()), _MOST_ASKED):
            left = wait.time_left(self._settings_of(wait.ref).learner, now, len(self._held))
            if left is None:
                return None
            ranges.append(left)
        if not ranges:
            return None
        return max(low for low, _ in ranges), max(high for _, high in ranges)

    def __repr__(self) -> str:
        ended = self._pool.meter.ends.total()
        return f"<Batch {self._state} pending={len(self._held)} ended={ended}>"

    # What comes in.

    def _admit(self, given: TaskRef[T] | str) -> None:
        ref = ref_of(given)
        if ref in self._held:
            self._repeats[ref] = self._repeats.get(ref, 0) + 1
        else:
            wait = WaitState(due=0.0, ref=ref)
            delay = self._begin_again(wait)  # it may raise: what is held must be on the agenda
            self._held[ref] = wait
            is_one_of_many = len(self._held) > self._concurrency
            self._pool.add(wait, delay, is_one_of_many=is_one_of_many)
        self._owed += 1
        if self._admitted is not None:
            self._admitted(ref)

    def _begin_again(self, wait: WaitState[T]) -> float:
        resume = None if self._resume is None else self._resume(wait.ref)
        if resume is None:
            return 0.0
        if not isinstance(resume, Resume):
            raise TypeError(f"resume= returned {resume!r:.60}: return a Resume, or None")
        return begin_again(wait, resume, self._settings_of(wait.ref), self._lifetime.time())

    def discard(self, ref: TaskRef[T] | str) -> bool:
        """Stop waiting for a ref. No outcome of it comes any more.

        Returns:
            Whether it was pending. If not, it was never given, or its outcome has come or is
            about to.
        """
        ref = ref_of(ref)
        if (wait := self._held.pop(ref, None)) is None:
            return False
        self._pool.forget(wait)
        self._owed -= 1 + self._repeats.pop(ref, 0)
        self._ref_reader.make_room()
        self._wake_consumer()
        return True

    def _is_paused(self) -> bool:
        return self._is_over or len(self._ready) >= _MOST_READY or self._save_queue.is_full

    # What comes out.

    def _end(
        self, wait: WaitState[T], task: T | None, error: AiToEarnError | None, now: float
    ) -> None:
        del self._held[wait.ref]
        outcome = Outcome(
            ref=wait.ref,
            task=task,
            error=error,
            polls=wait.polls,
            elapsed=0.0 if math.isnan(wait.started) else now - wait.started,
        )
        times = 1 + self._repeats.pop(wait.ref, 0)
        self._pool.meter.note_end(error, times)
        self._save_queue.take(outcome, times)

    def _deliver(self, outcome: Outcome[T], times: int) -> None:
        self._ready.extend([outcome] * times)
        self._wake_consumer()

    def _wake_consumer(self) -> None:
        if self._wakeup is not None and not self._wakeup.done():
            self._wakeup.set_result(None)

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        name = getattr(coroutine, "__name__", "").strip("_")
        task = self._loop.create_task(coroutine, name=f"aitoearn-batch-{name}")
        self._tasks.add(task)
        task.add_done_callback(self._reap)

    def _reap(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if (exc := failure_of(task)) is not None:
            self._fail(exc)

    def _fail(self, exc: BaseException) -> None:
        if not self._is_over:
            # A mistake in a hook or a strategy must be found by its frames; our own errors need
            # none.
            self._failure = exc.with_traceback(None) if isinstance(exc, AiToEarnError) else exc
            self._stop()
        self._wake_consumer()  # who may wait for files, before an error that came earlier

    def _stop(self) -> None:
        self._is_over = True
        self._ref_reader.stop()
        self._pool.stop()
        for task in self._tasks:
            task.cancel()
        self._wake_consumer()
