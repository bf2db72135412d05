"""Outcomes that wait for their task's files: a few are saved at a time, beside the polling.

What saving means is not known here: a function that is handed in does it. An outcome
is passed on when the function has returned, or with the error it raised.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from ...contract.tasks import Task
from ...errors import AiToEarnError
from .outcome import Outcome

T = TypeVar("T", bound=Task)

Save = Callable[[T], Awaitable[tuple[Path, ...]]]
"""Saves what a succeeded task has made, and returns the paths of the files."""

_AT_A_TIME = 64
"""Tasks that are being saved; how many files are fetched is decided where that is done. Others
wait for their host to have the file, and hold up nobody."""
_MOST = 256
"""Outcomes that may lie there until the polling pauses: each holds a whole task."""


class SaveQueue(Generic[T]):
    """Workers that come when there is something to do, and go when there is not.

    Args:
        save: Saves the files of each task; None for nothing.
        deliver: Takes an outcome that is complete, and how often it is owed.
        eased: Is told whenever there is room for another one.
        failed: Is told of an error that is no `AiToEarnError`: a mistake, or a worker that was
            cancelled.

    Attributes:
        held: How many outcomes are owed that are not complete.
    """

    def __init__(
        self,
        save: Save[T] | None,
        deliver: Callable[[Outcome[T], int], None],
        eased: Callable[[], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        self.held: int = 0
        self._save = save
        self._deliver = deliver
        self._eased = eased
        self._failed = failed
        self._queue: deque[tuple[Outcome[T], int]] = deque()
        self._workers: set[asyncio.Task[None]] = set()
        self._is_stopped = False

    @property
    def is_full(self) -> bool:
        """Return whether no more should come just now."""
        return self.held >= _MOST

    def take(self, outcome: Outcome[T], times: int) -> None:
        """Take an outcome; it is passed on at once if there is nothing to save."""
        if self._save is None or not outcome.ok:
            self._deliver(outcome, times)
            return
        self.held += times
        self._queue.append((outcome, times))
        if len(self._workers) < _AT_A_TIME:
            worker = asyncio.get_running_loop().create_task(
                self._work(self._save), name="aitoearn-batch-save"
            )
            self._workers.add(worker)
            worker.add_done_callback(self._reap)

    async def _work(self, save: Save[T]) -> None:
        while self._queue:
            outcome, times = self._queue.popleft()
            try:
                paths = await save(outcome.unwrap())
                outcome = msgspec.structs.replace(outcome, paths=paths)
            except AiToEarnError as error:
                outcome = msgspec.structs.replace(outcome, error=error.with_traceback(None))
            if self._is_stopped:
                return  # the cancellation was swallowed
            self.held -= times
            self._deliver(outcome, times)
            self._eased()

    def _reap(self, worker: asyncio.Task[None]) -> None:
        self._workers.discard(worker)
        if (exc := failure_of(worker)) is not None:
            self.stop()
            self._failed(exc)

    def stop(self) -> tuple[asyncio.Task[None], ...]:
        """End all work, and forget what there was to do.

        Returns:
            What ends within a moment.
        """
        self._is_stopped = True
        self._queue.clear()
        self.held = 0
        for worker in self._workers:
            worker.cancel()
        return tuple(self._workers)


def failure_of(task: asyncio.Task[None]) -> BaseException | None:
    """Return what has ended a task of a batch; None if it has done what it was for."""
    if task.cancelled():
        return RuntimeError("a task of this batch was cancelled, and not by the batch")
    return task.exception()
