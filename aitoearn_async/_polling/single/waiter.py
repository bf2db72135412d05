"""One wait: awaitable, and an async iterator of changes.

It awaits what `step` decides and nothing more. It runs in its caller's task and holds
nothing between two awaits, so cancelling it or dropping it leaves nothing behind.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import NoReturn, TypeVar, cast

from ..._runtime.lifetime import Lifetime
from ..._verdict import Verdict
from ...contract.kinds import AnyRef
from ...contract.status import TaskState
from ...contract.tasks import Task, TaskRef
from ...errors import TaskFailedError
from ..awaitables import Bound, not_an_end
from ..wait.ends import response_deadline, warn_of_first_failure
from ..wait.settings import WaitSettings
from ..wait.state import PollError, WaitState
from ..wait.step import (
    Decision,
    Ended,
    GiveUpAt,
    Poll,
    PollAt,
    Step,
    begin,
    give_up,
    step,
)
from .coroutine_like import CoroutineLike
from .single_waits import SingleWaits

T = TypeVar("T", bound=Task)


class _CollectedState(WaitState[T], gc=True):
    """A wait that the garbage collector looks at.

    An error that a waiter raises, or shows as its `trouble`, leads to frames, and from there back
    to the waiter. Nobody sees the waits of a batch, so they need no look.
    """


class Waiter(Bound, CoroutineLike[T], AsyncIterator[T]):
    """A wait for one task, made by `Client.wait_for`.

    `await` it for the finished task, or iterate it for every change:

        task = await client.wait_for(ref)
        async for task in client.wait_for(ref): ...

    It is for one use at a time. After the end, each further use gives the same end. It is
    also accepted where a coroutine is, as in `asyncio.create_task(client.wait_for(ref))`. One
    that is dropped unused warns, as a coroutine does.
    """

    def __init__(
        self,
        ref: TaskRef[T],
        settings: WaitSettings,
        *,
        raise_on_failure: bool,
        poll: Poll[T],
        lifetime: Lifetime,
        others: SingleWaits,
        step: Step[T] = step,
    ) -> None:
        self._wait: WaitState[T] = _CollectedState(due=0.0, ref=ref)
        self._settings = settings
        self._raise_on_failure = raise_on_failure
        self._poll = poll
        self._step = step
        self._lifetime = lifetime
        self._others = others
        self._decision: Decision[T] | None = None
        self._ended_at: float | None = None
        self._end_was_yielded = False
        self._in_use = False
        self._was_used = False
        # A class's own name cannot be an instance's: tracers and asyncio ask the instance.
        self.__name__ = "wait_for"
        self.__qualname__ = "Client.wait_for"

    def __del__(self) -> None:
        if not self._was_used and warnings is not None:
            warnings.warn(
                f"the wait for {self.ref} was never awaited: nothing was sent",
                RuntimeWarning,
                stacklevel=2,
                source=self,
            )

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
        return self._wait.last_error

    @property
    def seen(self) -> dict[str, int]:
        """Return what came back, and how often: `{"InProgress": 12, "HTTP 502": 3}`."""
        return dict(self._wait.seen)

    @property
    def polls(self) -> int:
        """The number of polls."""
        return self._wait.polls

    @property
    def elapsed(self) -> float:
        """Return how long the wait has lasted, in seconds from the first poll; 0 before it."""
        if math.isnan(self._wait.started):
            return 0.0
        until = self._lifetime.time() if self._ended_at is None else self._ended_at
        return until - self._wait.started

    @property
    def expected_end(self) -> tuple[datetime, datetime] | None:
        """The time between which the task is likely to end, by how long others of its model took.

        Nine of ten such ends lie in between. None while too little is known, after the end, and
        where the wait has a strategy of its own.
        """
        if self._ended_at is not None:
            return None
        left = self._wait.time_left(self._settings.learner, self._lifetime.time())
        if left is None:
            return None
        now = datetime.now(UTC)
        return now + timedelta(seconds=left[0]), now + timedelta(seconds=left[1])

    def __repr__(self) -> str:
        latest = self._wait.latest
        state = (latest.state if latest else TaskState.RUNNING).name
        word = f" {latest.status!r}" if latest else ""
        over = " over" if self._ended_at is not None else ""
        return f"<Waiter {self.ref} {state}{word}{over} polls={self.polls}>"

    def __aiter__(self) -> Waiter[T]:
        self._was_used = True
        return self

    async def __anext__(self) -> T:
        self._was_used = True
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
        if self._raise_on_failure and isinstance(self._decision, Ended) and self._decision.failed:
            raise TaskFailedError(task)  # type: ignore[arg-type]
        return task

    async def _until(self, *, changed: bool) -> T:
        """Go on until the task has ended; or, if `changed`, until there is news of it."""
        if self._in_use:
            raise self._already_in_use()
        self._in_use = True
        if not changed:  # pages do not tell of each change
            self._others.join(self._wait, self._settings)
        try:
            while not isinstance(decision := self._decision, Ended):
                if isinstance(decision, GiveUpAt):
                    await self._give_up(decision)
                elif self._others.takes(self._wait, decision):
                    await self._leave_to_rounds()
                elif await self._poll_when_due(decision) and changed:
                    assert self._wait.latest is not None
                    return self._wait.latest
            return decision.task
        finally:
            self._others.leave(self._wait, has_ended=isinstance(self._decision, Ended))
            self._in_use = False

    def _already_in_use(self) -> RuntimeError:
        return RuntimeError(
            f"this wait for {self.ref} is already under way; call wait_for() again for a second one"
        )

    async def _leave_to_rounds(self) -> None:
        """Wait until rounds hand this wait back, and then do what they say."""
        self._decision = decision = await self._others.wait_for_round(self._wait)
        if isinstance(decision, PollAt):
            await self._poll_when_due(decision)
        elif isinstance(decision, Ended):
            self._ended_at = self._lifetime.time()

    async def _poll_when_due(self, decision: PollAt | None) -> bool:
        """Sleep until a poll is due, poll, decide. Return whether the poll brought news.

        The first one, for which nothing has been decided yet, is due at once.
        """
        # Thousands of waits may sleep here, so what stands in `self` gets no names of its own.
        asked = self._lifetime.time()
        due = asked if decision is None else decision.moment
        if due > asked:
            await self._lifetime.sleep_until(due)
            asked = self._lifetime.time()
        if math.isnan(self._wait.started):
            begin(self._wait, self._settings, asked)
        deadline = response_deadline(self._wait, self._settings, asked, due)
        if asked >= deadline:  # whoever iterates was elsewhere
            self._decision = give_up(self._wait, self._settings, asked)
            return False
        response = await self._poll(self._wait, deadline)
        now = self._lifetime.time()
        after = self._step(self._wait, self._settings, response, asked, now)
        if isinstance(response, Verdict):
            after = await self._others.after_failure(self._wait, response, after, deadline)
            if isinstance(after, PollAt):
                warn_of_first_failure(self._wait, self._settings)
        self._decision = after
        if isinstance(after, Ended):
            self._ended_at, self._wait.latest = now, after.task  # pages may know of it alone
        return after.changed

    async def _give_up(self, decision: GiveUpAt) -> NoReturn:
        if decision.moment > self._lifetime.time():
            await self._lifetime.sleep_until(decision.moment)
        if self._ended_at is None:
            self._ended_at = self._lifetime.time()
        raise decision.error.with_traceback(None)
