"""Waits that a watcher is told of: when they end, and how, whatever ends them.

Without a watcher none of this is imported. What a watcher makes of it is not known here.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

from .._verdict import Verdict
from ..contract.tasks import Task, TaskRef
from ..errors import AiToEarnError
from .batch import Batch
from .step import Decision, Ended, PollResult, WaitSettings, WaitState
from .waiter import Poll, Waiter

T = TypeVar("T", bound=Task)


class WaitWatch(Protocol):
    """A watcher of waits."""

    def working_for(self, wait: WaitState[Any]) -> AbstractContextManager[None]:
        """Return a block in which the running task works for a wait. The first is its beginning."""
        ...

    def polling(self, poll: Poll[T]) -> Poll[T]:
        """Return a poll function each of whose polls is such a block."""
        ...

    def step(
        self,
        wait: WaitState[T],
        settings: WaitSettings,
        response: PollResult[T] | Verdict,
        asked: float,
        now: float,
    ) -> Decision[T]:
        """Note a poll. Return what `step` decides on it."""
        ...

    def end(self, wait: WaitState[Any], task: Task | None, error: BaseException | None) -> None:
        """Note that a wait is over; neither task nor error: nobody waits any more.

        A wait that has not been seen to begin is ignored.
        """
        ...

    def end_unseen(
        self, wait: WaitState[Any], task: Task | None, error: BaseException | None
    ) -> None:
        """Note the same of a wait that may have begun without a poll of its own."""
        ...


class WatchedWaiter(Waiter[T]):
    """A wait for one task that is watched."""

    def __init__(self, *args: Any, watch: WaitWatch, **options: Any) -> None:
        self._watch = watch
        self._is_told = False
        super().__init__(*args, step=watch.step, **options)

    async def _until(self, *, changed: bool) -> T:
        if self._in_use or self._is_told:
            return await super()._until(changed=changed)
        try:
            with self._watch.working_for(self._wait):
                task = await super()._until(changed=changed)
        except BaseException as exc:
            self._tell(None, exc)
            raise
        if isinstance(self._decision, Ended):
            self._tell(task, None)
        return task

    def _tell(self, task: T | None, error: BaseException | None) -> None:
        self._is_told = self._ended_at is not None
        self._watch.end_unseen(self._wait, task, error)

    def __del__(self) -> None:
        self._watch.end(self._wait, None, None)  # an iteration that was left
        super().__del__()


class WatchedBatch(Batch[T]):
    """A wait for many tasks that is watched."""

    def __init__(self, *args: Any, watch: WaitWatch, poll: Poll[T], **options: Any) -> None:
        self._watch = watch
        super().__init__(*args, poll=watch.polling(poll), step=watch.step, **options)

    def _end(self, wait: WaitState[T], task: T | None, error: AiToEarnError | None) -> None:
        self._watch.end_unseen(wait, task, error)
        super()._end(wait, task, error)

    def discard(self, ref: TaskRef[T] | str) -> bool:
        wait = self._held.get(self._ref(ref))
        if wait is not None:
            self._watch.end_unseen(wait, None, None)
        return super().discard(ref)

    async def __aexit__(self, exc_type: type[BaseException] | None, *rest: object) -> None:
        try:
            await super().__aexit__(exc_type, *rest)
        finally:
            given = next((each for each in rest if isinstance(each, BaseException)), None)
            error = self._failure or given
            for wait in self._held.values():
                self._watch.end_unseen(wait, None, error)
