"""Outcomes that wait until the files of their tasks are saved, while the polling goes on.

A function that is handed in saves the files. An outcome is passed on when that function has
returned, or with the error that it raised.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from ...contract.tasks import Task
from ...errors import AiToEarnError
from .outcome import Outcome

T = TypeVar("T", bound=Task)

Save = Callable[[T], Awaitable[Sequence[Path]]]
"""Saves what a succeeded task has made, and returns the paths of the files."""

_AT_A_TIME = 64
"""Tasks that are being saved at a time. Fewer files are fetched at a time: some tasks wait until
their host has the file, and must not hold up others."""
_MOST = 256
"""Outcomes that may wait here before the polling pauses: each holds a whole task."""


class SaveQueue(Generic[T]):
    """A queue of outcomes, with workers that come when there is something to do, and then go.

    Args:
        save: Saves the files of each task; None to save nothing.
        deliver: Takes an outcome that is complete, and the number of times that it is owed.
        eased: Called whenever there is room for another outcome.
        failed: Called with an error that is no `AiToEarnError`: of a mistake, or of a worker that
            was cancelled.

    Attributes:
        held: The number of owed outcomes that are not complete.
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
        """True while no more outcomes should come."""
        return self.held >= _MOST

    def take(self, outcome: Outcome[T], times: int) -> None:
        """Take an outcome. It is passed on at once if there is nothing to save."""
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
                outcome = msgspec.structs.replace(outcome, paths=tuple(paths))
            except AiToEarnError as error:
                outcome = msgspec.structs.replace(outcome, error=error.with_traceback(None))
            if self._is_stopped:
                return  # `save` has swallowed the cancellation
            self.held -= times
            self._deliver(outcome, times)
            self._eased()

    def _reap(self, worker: asyncio.Task[None]) -> None:
        self._workers.discard(worker)
        if (exc := failure_of(worker)) is not None:
            self.stop()
            self._failed(exc)

    def stop(self) -> tuple[asyncio.Task[None], ...]:
        """Cancel all workers, and forget the outcomes that wait.

        Returns:
            The workers, which end within a moment.
        """
        self._is_stopped = True
        self._queue.clear()
        self.held = 0
        for worker in self._workers:
            worker.cancel()
        return tuple(self._workers)


def failure_of(task: asyncio.Task[None]) -> BaseException | None:
    """Return the error that has ended an asyncio task of a batch; None if it has done its work."""
    if task.cancelled():
        return RuntimeError("a task of this batch was cancelled, and not by the batch")
    return task.exception()
