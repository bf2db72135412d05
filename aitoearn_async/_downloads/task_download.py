"""One task's files on their way to the disk, with more attempts where they may help.

`transfer` fetches one file, and `retry_policy` says when to make another one. Before
that, the task is polled for the address that it has by then, if there was nothing at the old one.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

from .._runtime.lifetime import Lifetime
from .._runtime.threads import Threads
from ..contract.endpoints import endpoint_of
from ..contract.kinds import AnyTask
from ..contract.outputs import Result
from ..contract.status import TaskState
from ..contract.tasks import Task
from ..errors import AiToEarnError, ClientClosedError, DownloadError, MediaAddressError
from .filenames import FileName, file_name
from .media_client import MediaClient
from .network_guard import ForbiddenAddressError
from .retry_policy import FRESH_SECONDS, RetryPolicy
from .stall_timer import StallTimer
from .transfer import DownloadOptions, Transfer
from .transfer_error import Reason, TransferError

logger: logging.Logger = logging.getLogger("aitoearn_async")

Refresh = Callable[[Any, float], Awaitable[Any]]
"""Polls a task once; over by the given moment of the client's clock."""
ServiceTime = Callable[[float], float | None]
"""Returns the service's time at a moment of the client's clock; None where it is not known."""


class _PendingFile(msgspec.Struct, eq=False):
    """One file of the task, and what came of the attempts at it."""

    result: Result
    """The file, as the first answer that names it has it."""
    transfer: Transfer
    policy: RetryPolicy | None = None
    failure: TransferError | None = None
    """The failure of the last attempt."""
    due: float = 0.0
    """The moment of the next one."""
    end: Path | DownloadError | None = None
    """The file itself in the end, or the error for one that could not be saved."""


class Shared(msgspec.Struct):
    """The parts that all downloads of a client share."""

    lifetime: Lifetime
    places: asyncio.Semaphore
    """One for each download that may be under way."""
    threads: Threads
    """For the work on files."""
    client: MediaClient
    refresh: Refresh
    """For a task whose addresses have expired."""
    service_time: ServiceTime
    """This machine's clock may be wrong."""


class TaskDownload:
    """The download of one task's files.

    Raises:
        TypeError: `task` is no task.
        ValueError: The task has not succeeded, and so has made nothing.
    """

    def __init__(self, task: AnyTask, options: DownloadOptions, shared: Shared) -> None:
        if not isinstance(task, Task) or task.state is not TaskState.SUCCEEDED:
            raise _objection(task)
        self._options = options
        self._shared = shared
        self._timer = StallTimer(shared.lifetime, options.timeout)
        self._calls = shared.threads.calls()
        self._ref = task.ref
        self._kind = self._ref.kind
        self._endpoint = endpoint_of(self._ref)
        self._task = self._first = task  # the first answer that names files tells its end
        self._results = self._endpoint.results_of(task)
        self._last: TransferError | None = None  # failure of any of them, for the error's text

    async def run(self) -> list[Path]:
        """Save them, when there is a place; also those beside one that cannot be saved.

        Returns:
            Their paths, as the caller reads them.

        Raises:
            DownloadError: One of them could not be saved, or they stood still for too long.
        """
        try:
            with self._timer:
                return await self._save_all()
        except TimeoutError:
            if not self._timer.is_over:
                raise  # of a hook of the caller's
        last = f"; before that: {self._last}" if self._last else ""
        still = " of the last byte that counted" if self._timer.moved else ""
        text = f"not complete within {self._options.timeout:g} s{still}{last}"
        raise DownloadError(text, self._task, transient=True)

    async def _save_all(self) -> list[Path]:
        """Save one file at a time.

        While one is waited for, the others are fetched, since their addresses expire meanwhile;
        and if none is left, other tasks have the place. The wait for a place costs no time.
        """
        files: list[_PendingFile] = []
        while True:
            async with self._shared.places:
                self._timer.start()
                files = files or await self._named_files()
                due = await self._attempt_due(files)
            if due is None:
                break
            await self._shared.lifetime.sleep(due - self._timer.time())
            self._timer.stop()
        for file in files:
            if isinstance(file.end, DownloadError):
                raise file.end
        given = self._options.to.given
        return [given / file.end.name for file in files if isinstance(file.end, Path)]

    async def _named_files(self) -> list[_PendingFile]:
        if not self._results:
            try:
                await self._renew("it names no file")
            except TransferError as error:
                raise self._error(error) from None
            self._first = self._task
        else:
            self._check_results()
        return [self._file(result) for result in self._results]

    async def _attempt_due(self, files: list[_PendingFile]) -> float | None:
        """Make the attempts whose time has come.

        Returns:
            The moment of the next one; None if all files have come to their ends.
        """
        while waiting := [file for file in files if file.end is None]:
            file = min(waiting, key=lambda file: file.due)
            if file.failure is not None and file.due > self._timer.time():
                return file.due
            file.end = await self._attempt(file)
        return None

    def _file(self, result: Result) -> _PendingFile:
        if self._options.to.name is not None:
            name = FileName(self._options.to.name)
        else:
            name = file_name(self._kind, self._ref.id, result)
        transfer = Transfer(
            self._shared.client, self._options, result.kind, name, self._timer, self._calls
        )
        return _PendingFile(result, transfer)

    def _check_results(self) -> None:
        """Raise `DownloadError` where there is no file, or one name for several."""
        if not self._results:
            raise DownloadError("the service names no file that it has made", self._task)
        if self._options.to.name is not None and len(self._results) > 1:
            raise DownloadError(
                f"it has {len(self._results)} files, which cannot all be called "
                f"{self._options.to.name!r}: give a directory",
                self._task,
            )

    async def _attempt(self, file: _PendingFile) -> Path | DownloadError | None:
        """Make one attempt. Return what the file comes to; None if there is to be another one."""
        try:
            return await self._fetch_latest(file)
        except TransferError as error:
            failure = error.with_traceback(None)
        except DownloadError as error:
            return error
        now = self._timer.time()
        # After the first attempt: it may have asked the service, which tells the time.
        policy = file.policy = file.policy or RetryPolicy(is_fresh=self._ended_lately(now))
        asked_for = failure.retry_after
        delay = policy.delay(failure.reason, now, file.transfer.reached, asked_for)
        if delay is None or now + delay >= self._timer.ends_at:
            if failure.reason is not Reason.MISSING:
                return self._error(failure)
            text = f"{failure} (asked for {policy.missing_for(now):.0f} s)"
            may_come = delay is not None
            return DownloadError(text, self._task, retry_after=asked_for, transient=may_come)
        if self._last is None:
            logger.warning("%s is not saved yet: %s", self._ref, failure)
        self._last = file.failure = failure
        file.due = now + delay
        return None

    def _error(self, failure: TransferError) -> DownloadError:
        is_forbidden = isinstance(failure, ForbiddenAddressError)
        error = (MediaAddressError if is_forbidden else DownloadError)(
            str(failure),
            self._task,
            retry_after=failure.retry_after,
            transient=failure.transient,
        )
        error.__cause__ = failure.__cause__
        return error

    def _ended_lately(self, now: float) -> bool:
        """Return whether the task ended a moment ago, by what it says itself."""
        told = self._shared.service_time(now)
        present = time.time() if told is None else told
        ended = self._endpoint.times_of(self._first).ended
        return bool(ended) and abs(present - ended[-1]) < FRESH_SECONDS  # clocks differ

    async def _fetch_latest(self, file: _PendingFile) -> Path:
        """Fetch a file from where the task has it by now; where that has moved, from the new place.

        Raises:
            TransferError: It is not there, or the task has no new address.
            DownloadError: The task names it no longer.
        """
        failure, asked = file.failure, None
        # What was not there at the last attempt is not asked for again before the task is.
        if failure is None or not failure.may_have_moved:
            asked = self._latest(file.result)
            try:
                return await file.transfer.attempt(asked)
            except TransferError as error:
                if not error.may_have_moved:
                    raise
                failure = error
        await self._renew(str(failure))
        latest = self._latest(file.result)
        if latest == asked:
            raise failure
        return await file.transfer.attempt(latest)

    def _latest(self, result: Result) -> Result:
        """Return the same file, as the last answer about the task has it."""
        for latest in self._results:
            if latest.number == result.number:
                return latest
        raise DownloadError("the service no longer names all files of it", self._task)

    async def _renew(self, why: str) -> None:
        """Poll the task, whose addresses may have changed.

        Args:
            why: What is wrong with the addresses it has.

        Raises:
            TransferError: It could not be polled, or has failed by now.
            DownloadError: It names no file, or one name is to do for several.
        """
        try:
            task = await self._shared.refresh(self._ref, self._timer.ends_at)
        except ClientClosedError:
            raise
        except AiToEarnError as exc:
            error = TransferError(
                f"{why}, and the task could not be asked for again: {exc}",
                Reason.PASSING if exc.transient else Reason.FINAL,
                retry_after=getattr(exc, "retry_after", None),
            )
        else:
            if task.state is TaskState.SUCCEEDED:
                self._task, self._results = task, self._endpoint.results_of(task)
                self._check_results()
                return
            error = TransferError(f"{why}, and its status is {task.status!r:.60} now")
        raise error


def _objection(task: Any) -> TypeError | ValueError:
    """Return the error for what has no files to save: no task, or one that has not succeeded."""
    if not isinstance(task, Task):
        return TypeError(
            f"expected an ImageTask or a VideoTask, not {task!r:.80}; wait for it first"
        )
    advice = "; wait for it first" if task.state is TaskState.RUNNING else ""
    return ValueError(f"{task.ref} has made nothing: its status is {task.status!r:.60}{advice}")
