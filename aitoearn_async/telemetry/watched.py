"""Waits that tell a watcher when they end, and how, whatever ends them."""

from __future__ import annotations

from typing import Any, TypeVar

from .._polling.batch.batch import Batch
from .._polling.single.waiter import Waiter
from .._polling.wait.state import WaitState
from .._polling.wait.step import Ended, Poll
from ..contract.endpoints import ref_of
from ..contract.tasks import Task, TaskRef
from ..errors import AiToEarnError
from .watcher import Watcher

T = TypeVar("T", bound=Task)


class WatchedWaiter(Waiter[T]):
    """A wait for one task, which tells its watcher."""

    def __init__(self, *args: Any, watch: Watcher, **options: Any) -> None:
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
    """A wait for many tasks, which tells its watcher."""

    def __init__(self, *args: Any, watch: Watcher, poll: Poll[T], **options: Any) -> None:
        self._watch = watch
        super().__init__(*args, poll=watch.polling(poll), step=watch.step, **options)

    def _end(
        self, wait: WaitState[T], task: T | None, error: AiToEarnError | None, now: float
    ) -> None:
        self._watch.end_unseen(wait, task, error)
        super()._end(wait, task, error, now)

    def discard(self, ref: TaskRef[T] | str) -> bool:
        wait = self._held.get(ref_of(ref))
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
