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
from typing import Any, NamedTuple

from .._runtime.lifetime import Lifetime
from .._runtime.threads import Threads
from ..contract.endpoints import endpoint_of
from ..contract.outputs import Result
from ..contract.status import TaskState
from ..contract.tasks import AnyTask
from ..errors import AiToEarnError, ClientClosedError, DownloadError, MediaAddressError
from .fetch_error import FetchError, Reason
from .filenames import FileName, file_name
from .media_client import MediaClient
from .network_guard import ForbiddenAddressError
from .part_file import FileLockedError
from .retry_policy import RetryPolicy
from .stall_timer import StallTimer
from .transfer import DownloadOptions, Transfer

logger: logging.Logger = logging.getLogger("aitoearn_async")

Refresh = Callable[[Any, float], Awaitable[Any]]
"""Polls a task once; over by the given moment of the client's clock."""
ServiceTime = Callable[[float], float | None]
"""Returns the service's time at a moment of the client's clock; None where it is not known."""

_FRESH_SECONDS = 15 * 60
"""The time after a task's end in which its storage may still be behind. Clocks differ."""


class Place:
    """A place among the downloads that are under way. The wait for one costs no time.

    Args:
        places: All of them.
        lifetime: The client's.
        timer: The time of the download, which runs once it has a place.
    """

    def __init__(self, places: asyncio.Semaphore, lifetime: Lifetime, timer: StallTimer) -> None:
        self._places = places
        self._lifetime = lifetime
        self._timer = timer
        self._is_held = False

    async def take(self) -> None:
        """Wait for a place."""
        await self._places.acquire()
        self._is_held = True
        self._timer.start()

    def leave(self) -> None:
        """Give the place up."""
        if self._is_held:
            self._is_held = False
            self._places.release()

    async def sleep(self, seconds: float) -> None:
        """Give the place up for so many seconds, and wait for another one."""
        if seconds <= 0:
            return
        self.leave()
        await self._lifetime.sleep(seconds)
        self._timer.stop()
        await self.take()


class _Failure(NamedTuple):
    """An attempt that failed."""

    reason: Reason
    error: DownloadError
    is_inline: bool = False
    """True if the file was in the task's answer itself."""

    @property
    def may_have_moved(self) -> bool:
        """True if another answer of the service may have the file, or another address of it."""
        is_cut = self.is_inline and self.reason is Reason.CUT
        return self.reason is Reason.MISSING or is_cut

    def final(self, missing_for: float, *, is_over: bool) -> DownloadError:
        """Return the error that the attempts come to.

        Args:
            missing_for: Seconds for which there was said to be no file.
            is_over: Whether there would be no other attempt, if there were more time.
        """
        if self.reason is not Reason.MISSING:
            return self.error
        return DownloadError(
            f"{self.error.message} (asked for {missing_for:.0f} s)",
            self.error.task,
            retry_after=self.error.retry_after,
            transient=not is_over,
        )


class _PendingFile:
    """One file of the task, and what came of the attempts at it.

    Attributes:
        due: The moment of the next attempt, after one that failed.
        end: What it came to: where it is, or why it could not be saved.
    """

    def __init__(self, result: Result, transfer: Transfer) -> None:
        self.result = result
        self.transfer = transfer
        self.policy: RetryPolicy | None = None
        self.failure: _Failure | None = None
        self.due: float = 0.0
        self.end: Path | DownloadError | None = None


class Shared(NamedTuple):
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

    Args:
        task: The task.
        options: What is asked for.
        shared: The parts that it shares with other downloads.
    """

    def __init__(self, task: AnyTask, options: DownloadOptions, shared: Shared) -> None:
        self._options = options
        self._shared = shared
        self._timer = StallTimer(shared.lifetime, options.timeout)
        self._calls = shared.threads.calls()
        self._ref = task.ref
        self._kind = self._ref.kind
        self._endpoint = endpoint_of(self._ref)
        self._task = self._first = task  # the first answer that names files tells its end
        self._results = self._endpoint.results_of(task)
        self._place = Place(shared.places, shared.lifetime, self._timer)
        self._last: DownloadError | None = None

    async def run(self) -> list[Path]:
        """Save them, when there is a place; also those beside one that cannot be saved.

        Raises:
            DownloadError: One of them could not be saved, or they stood still for too long.
        """
        try:
            with self._timer:
                await self._place.take()
                try:
                    return await self._save_all()
                finally:
                    self._place.leave()
        except TimeoutError:
            if not self._timer.is_over:
                raise  # of a hook of the caller's
        raise self._out_of_time()

    def _out_of_time(self) -> DownloadError:
        last = f"; before that: {self._last.message}" if self._last else ""
        still = "of the last byte that counted" if self._timer.moved else ""
        text = f"not complete within {self._options.timeout:g} s {still}".rstrip() + last
        return DownloadError(text, self._task, transient=True)

    async def _save_all(self) -> list[Path]:
        """Save one file at a time.

        While one is waited for, the others are fetched, since their addresses expire meanwhile.
        """
        if not self._results:
            not_renewed = await self._renew("it names no file")
            if not_renewed is not None:
                raise not_renewed.error
            self._first = self._task
        self._check_results()
        files = [self._file(result) for result in self._results]
        while waiting := [file for file in files if file.end is None]:
            file = min(waiting, key=lambda file: file.due)
            if file.failure is not None:
                await self._place.sleep(file.due - self._timer.time())
            file.end = await self._attempt(file)
        for file in files:
            if isinstance(file.end, DownloadError):
                raise file.end
        return [file.end for file in files if isinstance(file.end, Path)]

    def _file(self, result: Result) -> _PendingFile:
        if self._options.name is not None:
            name = FileName(self._options.name)
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
        if self._options.name is not None and len(self._results) > 1:
            raise DownloadError(
                f"it has {len(self._results)} files, which cannot all be called "
                f"{self._options.name!r}: give a directory",
                self._task,
            )

    async def _attempt(self, file: _PendingFile) -> Path | DownloadError | None:
        """Make one attempt. Return what the file comes to; None if there is to be another one."""
        try:
            fetched = await self._fetch_latest(file.transfer, file.result, file.failure)
        except DownloadError as error:
            return error
        if isinstance(fetched, Path):
            return fetched
        timer = self._timer
        failure, now = fetched, timer.time()
        # After the first attempt: it may have asked the service, which tells the time.
        policy = file.policy = file.policy or RetryPolicy(is_fresh=self._ended_lately(now))
        asked_for = failure.error.retry_after
        delay = policy.delay(failure.reason, now, file.transfer.reached, asked_for)
        if delay is None or now + delay >= timer.ends_at:
            return failure.final(policy.missing_for(now), is_over=delay is None)
        if self._last is None:
            logger.warning("%s is not saved yet: %s", self._ref, failure.error.message)
        self._last = failure.error
        file.failure, file.due = failure, now + delay
        return None

    def _ended_lately(self, now: float) -> bool:
        """Return whether the task ended a moment ago, by what it says itself."""
        told = self._shared.service_time(now)
        present = time.time() if told is None else told
        ended = self._endpoint.times_of(self._first).ended
        return bool(ended) and abs(present - ended[-1]) < _FRESH_SECONDS

    async def _fetch_latest(
        self, transfer: Transfer, result: Result, before: _Failure | None
    ) -> Path | _Failure:
        """Fetch a file from where the task has it by now; where that has moved, from the new place.

        Args:
            transfer: The file.
            result: The file, as the task named it at first.
            before: The failure of the last attempt.
        """
        if before is not None and before.may_have_moved:
            not_renewed = await self._renew(before.error.message)
            return not_renewed or await self._fetch(transfer, self._latest(result))
        asked = self._latest(result)
        fetched = await self._fetch(transfer, asked)
        if isinstance(fetched, Path) or not fetched.may_have_moved:
            return fetched
        not_renewed = await self._renew(fetched.error.message)
        if not_renewed is not None:
            return not_renewed
        latest = self._latest(result)
        return fetched if latest == asked else await self._fetch(transfer, latest)

    async def _fetch(self, transfer: Transfer, result: Result) -> Path | _Failure:
        """Fetch a file from one address; return the file, or what is wrong."""
        try:
            return await transfer.fetch(result)
        except FetchError as exc:
            error = DownloadError(
                str(exc),
                self._task,
                retry_after=exc.retry_after,
                transient=exc.reason is not Reason.FINAL,
            )
            error.__cause__ = exc.__cause__
            return _Failure(exc.reason, error, is_inline=result.data is not None)
        except ForbiddenAddressError as exc:
            return _Failure(Reason.FINAL, MediaAddressError(str(exc), self._task))
        except FileLockedError:
            text = "another download is writing it"
            return _Failure(Reason.PASSING, DownloadError(text, self._task, transient=True))

    def _latest(self, result: Result) -> Result:
        """Return the same file, as the last answer about the task has it."""
        self._check_results()
        for latest in self._results:
            if latest.number == result.number:
                return latest
        raise DownloadError("the service no longer names all files of it", self._task)

    async def _renew(self, why: str) -> _Failure | None:
        """Poll the task, whose addresses may have changed.

        Args:
            why: What is wrong with the addresses it has.

        Returns:
            The failure, if the task has no new addresses; None if it has.
        """
        try:
            task = await self._shared.refresh(self._ref, self._timer.ends_at)
        except ClientClosedError:
            raise
        except AiToEarnError as exc:
            text = f"{why}, and the task could not be asked for again: {exc}"
            asked = getattr(exc, "retry_after", None)
            reason = Reason.PASSING if exc.transient else Reason.FINAL
            transient = exc.transient
            return _Failure(
                reason, DownloadError(text, self._task, retry_after=asked, transient=transient)
            )
        if task.state is not TaskState.SUCCEEDED:
            text = f"{why}, and its status is {task.status!r:.60} now"
            return _Failure(Reason.FINAL, DownloadError(text, self._task))
        self._task, self._results = task, self._endpoint.results_of(task)
        return None
