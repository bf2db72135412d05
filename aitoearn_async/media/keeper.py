"""From a succeeded task to its files: what to try, how often, and what to say in the end.

One attempt at one file is `transfer`'s. Attempts are repeated as those of a request are, and
an address that has expired is asked for once more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from ..contract.models import AnyTask
from ..contract.results import Result, results_of
from ..contract.status import TaskState
from ..errors import AiToEarnError, ClientClosedError, DownloadError, MediaAddressError
from ..session.lifetime import Bound, Lifetime
from ..session.retry import repeat
from .disk import Busy
from .hosts import Hosts, Trouble
from .names import stem_of
from .networks import Unfit
from .offload import Threads
from .transfer import Order, Progress, Transfer

Refresh = Callable[[Any, float], Awaitable[Any]]
"""Asks once how a task stands, by the given loop time."""

AT_A_TIME = 8
"""Tasks whose files are fetched at the same time; more wait for their turn."""
MOST_BYTES = 1024**3
"""The size past which a file is given up."""
TIMEOUT = 600.0
"""Seconds for all files of a task."""

_BARREN = 10
"""Attempts in a row without a new byte, after which there are no more."""


class Keeper:
    """Saves what tasks have made.

    Args:
        hosts: Fetches it.
        refresh: Asks for a task whose addresses have expired.
        lifetime: The client's.
    """

    def __init__(self, hosts: Hosts, refresh: Refresh, lifetime: Lifetime) -> None:
        self._hosts = hosts
        self._refresh = refresh
        self._lifetime = lifetime
        self._places = asyncio.Semaphore(AT_A_TIME)
        self._threads = Threads(AT_A_TIME)
        self._saving = 0

    async def save(
        self,
        task: AnyTask,
        directory: Path,
        *,
        timeout: float = TIMEOUT,
        most: int = MOST_BYTES,
        progress: Progress | None = None,
    ) -> list[Path]:
        """Save the files of one task.

        Raises:
            DownloadError: Not all of them could be saved.
            ClientClosedError: The client is closed, or was meanwhile.
        """
        now = self._lifetime.enter().time
        order = Order(directory, now() + timeout, most, progress)
        saving = _Saving(task, order, self._hosts, self._refresh, self._lifetime, self._threads)
        self._saving += 1
        try:
            with Bound(self._lifetime, order.before):
                async with self._places:
                    return await saving.run()
        except TimeoutError:
            if now() < order.before:
                raise  # of a hook of the caller's
        finally:
            self._saving -= 1
            if not self._saving and self._lifetime.closed:
                self._threads.leave()
        raise saving.out_of_time(timeout)

    def into(self, directory: Path) -> Callable[[Any], Awaitable[tuple[Path, ...]]]:
        """What saves one task after the other into a directory."""

        async def save(task: AnyTask) -> tuple[Path, ...]:
            return tuple(await self.save(task, directory))

        return save

    async def aclose(self) -> None:
        """Give up all connections. What is being saved has been told to end."""
        await self._hosts.aclose()
        if not self._saving:
            self._threads.leave()


class _Saving:
    """One task's files on their way to the disk."""

    def __init__(
        self,
        task: AnyTask,
        order: Order,
        hosts: Hosts,
        refresh: Refresh,
        lifetime: Lifetime,
        threads: Threads,
    ) -> None:
        self._task = task
        self._order = order
        self._hosts = hosts
        self._refresh = refresh
        self._lifetime = lifetime
        self._threads = threads
        self._trouble: DownloadError | None = None

    def out_of_time(self, timeout: float) -> DownloadError:
        """What it comes to when its time is over."""
        last = f"; before that: {self._trouble.message}" if self._trouble else ""
        text = f"not complete within {timeout:g} s{last}"
        return DownloadError(text, self._task, transient=True)

    async def run(self) -> list[Path]:
        """Save them, one after the other; also those behind one that cannot be saved."""
        if not results_of(self._task):
            self._task = await self._renewed("it names no file")
        paths: list[Path] = []
        first: DownloadError | None = None
        for result in self._results():
            try:
                paths.append(await self._insist(result))
            except DownloadError as error:
                first = first or error
        if first is not None:
            raise first
        return paths

    def _results(self) -> list[Result]:
        results = results_of(self._task)
        if not results:
            raise DownloadError("the service names no file that it has made", self._task)
        return results

    async def _insist(self, result: Result) -> Path:
        """Try for as long as there is time, and the file grows or has not stood still long."""
        stem = stem_of(self._task.ref, result)
        transfer = Transfer(self._hosts, self._order, result.kind, stem, self._threads)
        first: DownloadError | None = None
        while True:
            reached = transfer.reached
            try:
                if first is None:
                    return await self._attempt(transfer, result)
                return await repeat(
                    lambda: self._attempt(transfer, result),
                    first,
                    attempts=_BARREN,
                    before=self._order.before,
                    lifetime=self._lifetime,
                )
            except DownloadError as error:
                stuck = first is not None and transfer.reached == reached
                if stuck or not error.transient:
                    raise
                first = error.with_traceback(None)

    async def _attempt(self, transfer: Transfer, result: Result) -> Path:
        """One attempt, and a second one at a new address where the first has expired."""
        while True:
            error: DownloadError
            try:
                return await transfer.attempt(self._latest(result))
            except Trouble as trouble:
                expired = trouble.expired and not transfer.renewed
                error = DownloadError(
                    str(trouble),
                    self._task,
                    retry_after=trouble.retry_after,
                    transient=trouble.transient,
                )
                error.__cause__ = trouble.__cause__
            except Unfit as unfit:
                expired, error = False, MediaAddressError(str(unfit), self._task)
            except Busy:
                text = "another download is writing it"
                expired, error = False, DownloadError(text, self._task, transient=True)
            # Raised out here, where no context holds an address.
            self._trouble = error
            if not expired:
                raise error
            self._task = await self._renewed(error.message)
            transfer.renewed = True

    def _latest(self, result: Result) -> Result:
        """The same file, as of when the task was last asked for."""
        for latest in self._results():
            if latest.number == result.number:
                return latest
        raise DownloadError("the service no longer names all files of it", self._task)

    async def _renewed(self, why: str) -> AnyTask:
        """The task with addresses that hold.

        Args:
            why: What is wrong with those there are.
        """
        error: DownloadError
        try:
            task: AnyTask = await self._refresh(self._task.ref, self._order.before)
        except ClientClosedError:
            raise
        except AiToEarnError as exc:
            text = f"{why}, and the task could not be asked for again: {exc}"
            asked = getattr(exc, "retry_after", None)
            error = DownloadError(text, self._task, retry_after=asked, transient=exc.transient)
        else:
            if task.state is TaskState.SUCCEEDED:
                return task
            error = DownloadError(f"{why}, and its status is {task.status!r:.60} now", self._task)
        raise error
