"""One wait: awaitable, and an async iterator of changes.

It awaits what `step` decides and nothing more. It runs in its caller's task and holds
nothing between two awaits, so cancelling it or dropping it leaves nothing behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator
from types import TracebackType
from typing import Any, NoReturn, TypeVar, cast

from ..contract.models import Task
from ..contract.refs import AnyRef, TaskRef
from ..contract.status import TaskState
from ..errors import TaskFailedError
from .clock import Clock
from .step import Decision, Ended, GiveUpAt, PollError, Reply, Terms, Wait, begin, give_up, step

T = TypeVar("T", bound=Task)

Poll = Callable[[Wait[T], float], Awaitable[Reply[T] | PollError]]
"""Asks once how a wait's task stands, by the given moment (infinity for no limit)."""


def not_an_end(error: BaseException) -> BaseException:
    """An error of the caller's, as an iteration can raise it.

    A `StopAsyncIteration` out of a strategy, a source or a hook would end the iteration as if
    there were nothing more to come. Python itself treats that of a generator in the same way.
    """
    if not isinstance(error, StopAsyncIteration):
        return error
    wrapped = RuntimeError("a strategy, a source or a hook raised StopAsyncIteration")
    wrapped.__cause__ = error
    return wrapped


class _Wait(Wait[T], gc=True):
    """A wait that the garbage collector looks at.

    What a waiter raises, or shows as its trouble for the caller to raise, leads to frames, and
    from there back to the waiter. Of those of a batch nobody ever sees one.
    """


class Waiter(Coroutine[Any, Any, T], AsyncIterator[T]):
    """A wait for one task, made by `Client.wait_for`.

    `await` it for the finished task, or iterate it for every change:

        task = await client.wait_for(ref)
        async for task in client.wait_for(ref): ...

    It is for one use at a time. After the end, each further use gives the same end. It is
    also accepted where a coroutine is, as in `asyncio.create_task(client.wait_for(ref))`.
    """

    def __init__(
        self,
        ref: TaskRef[T],
        terms: Terms,
        *,
        raise_on_failure: bool,
        poll: Poll[T],
        clock: Clock,
    ) -> None:
        self._wait: Wait[T] = _Wait(due=0.0, ref=ref)
        self._terms = terms
        self._raise_on_failure = raise_on_failure
        self._poll = poll
        self._clock = clock
        self._decision: Decision[T] | None = None
        self._ended_at: float | None = None
        self._end_was_yielded = False
        self._in_use = False
        self._coroutine: Coroutine[Any, Any, T] | None = None
        self._driver: asyncio.Task[Any] | None = None

    @property
    def ref(self) -> AnyRef:
        """The task waited for."""
        return cast("AnyRef", self._wait.ref)

    @property
    def latest(self) -> T | None:
        """The task as of the last poll that had news of it; None before the first good one.

        A poll that finds the status unchanged reads no further.
        """
        return self._wait.latest

    @property
    def trouble(self) -> PollError | None:
        """The error of the last poll, if it had one."""
        return self._wait.trouble

    @property
    def seen(self) -> dict[str, int]:
        """What came back, and how often: `{"InProgress": 12, "HTTP 502": 3}`."""
        return dict(self._wait.seen)

    @property
    def polls(self) -> int:
        """How often the service was asked."""
        return self._wait.polls

    @property
    def elapsed(self) -> float:
        """How long the wait has lasted, in seconds from the first poll; 0 before it."""
        if self._decision is None:
            return 0.0
        until = self._clock.time() if self._ended_at is None else self._ended_at
        return until - self._wait.started

    def __repr__(self) -> str:
        latest = self._wait.latest
        state = (latest.state if latest else TaskState.RUNNING).name
        word = f" {latest.status!r}" if latest else ""
        over = " over" if self._ended_at is not None else ""
        return f"<Waiter {self.ref} {state}{word}{over} polls={self.polls}>"

    def __await__(self) -> Generator[Any, Any, T]:
        return self._run().__await__()

    def __aiter__(self) -> Waiter[T]:
        return self

    async def __anext__(self) -> T:
        if self._end_was_yielded:
            raise StopAsyncIteration
        try:
            task = await self._until(changed=True)
        except StopAsyncIteration as exc:
            raise not_an_end(exc) from exc
        self._end_was_yielded = isinstance(self._decision, Ended)
        return task

    async def _run(self) -> T:
        task = await self._until(changed=False)
        if task.state is TaskState.FAILED and self._raise_on_failure:
            raise TaskFailedError(task)  # type: ignore[arg-type]
        return task

    async def _until(self, *, changed: bool) -> T:
        """Go on until the task has ended; or, if `changed`, until there is news of it."""
        if self._in_use:
            raise self._already_in_use()
        self._in_use = True
        try:
            while True:
                decision: Decision[T] = self._decision or self._begin()
                if isinstance(decision, Ended):
                    task: T = decision.task
                    return task
                if isinstance(decision, GiveUpAt):
                    await self._give_up(decision)
                elif await self._poll_at(decision.moment) and changed:
                    assert self._wait.latest is not None
                    return self._wait.latest
        finally:
            self._in_use = False

    def _already_in_use(self) -> RuntimeError:
        return RuntimeError(
            f"this wait for {self.ref} is already under way; call wait_for() again for a second one"
        )

    def _begin(self) -> Decision[T]:
        self._decision = begin(self._wait, self._terms, self._clock.time())
        return self._decision

    async def _poll_at(self, moment: float) -> bool:
        """Sleep, poll, decide. Returns whether the poll brought news."""
        if moment > self._clock.time():
            await self._clock.sleep_until(moment)
        asked = self._clock.time()
        if asked >= self._wait.deadline(self._terms):  # whoever iterates was elsewhere
            self._decision = give_up(self._wait, self._terms, asked)
            return False
        back_by = self._wait.back_by(self._terms, asked, moment)
        answer = await self._poll(self._wait, back_by)
        now = self._clock.time()
        self._decision = after = step(self._wait, self._terms, answer, asked, now)
        if isinstance(after, Ended):
            self._ended_at = now
            return True
        return after.changed

    async def _give_up(self, decision: GiveUpAt) -> NoReturn:
        if decision.moment > self._clock.time():
            await self._clock.sleep_until(decision.moment)
        if self._ended_at is None:
            self._ended_at = self._clock.time()
        raise decision.error.with_traceback(None)

    # A coroutine's own methods, so that create_task() and TaskGroup take a Waiter as it is.

    def send(self, value: Any) -> Any:
        """As of a coroutine; called by asyncio's tasks."""
        return self._drive("send", value)

    def throw(
        self,
        typ: Any,
        val: BaseException | object = None,
        tb: TracebackType | None = None,
    ) -> Any:
        """As of a coroutine; called by asyncio's tasks."""
        return self._drive("throw", typ if val is None else val)

    def close(self) -> None:
        """As of a coroutine; called by asyncio's tasks."""
        if self._coroutine is not None:
            self._coroutine.close()
            self._coroutine = None

    def _drive(self, method: str, value: Any) -> Any:
        driver = asyncio.current_task()
        if self._coroutine is None:
            self._coroutine, self._driver = self._run(), driver
        elif self._driver is not driver:
            raise self._already_in_use()
        try:
            return getattr(self._coroutine, method)(value)
        except BaseException:
            self._coroutine = None  # it has ended; another use of the wait is another one
            raise
