"""Saves the files of succeeded tasks: a few tasks at a time, each within its time limit.

`task_download` saves the files of one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

from .._runtime.lifetime import Lifetime
from .._runtime.threads import Threads
from ..contract.kinds import AnyTask
from .filenames import destination_of
from .media_client import MediaClient
from .task_download import Refresh, ServiceTime, Shared, TaskDownload
from .transfer import DownloadOptions, Progress

AT_A_TIME = 8
"""Tasks whose files are fetched at the same time; more wait for their turn."""

Saver = Callable[[Any], Awaitable[list[Path]]]
"""Saves the files of a task that has succeeded."""
Watch = Callable[[AnyTask, Awaitable[list[Path]]], Awaitable[list[Path]]]
"""Awaits the saving of a task's files, and tells observers of it."""


class Downloader:
    """Saves the files of tasks."""

    def __init__(
        self,
        client: MediaClient,
        refresh: Refresh,
        lifetime: Lifetime,
        service_time: ServiceTime,
    ) -> None:
        self.watch: Watch | None = None
        places, threads = asyncio.Semaphore(AT_A_TIME), Threads(AT_A_TIME)
        self._shared = Shared(lifetime, places, threads, client, refresh, service_time)

    def saver(
        self,
        path: Path,
        timeout: float,
        most: int,
        progress: Progress | None = None,
        *,
        of_many: bool = False,
    ) -> Saver:
        """Return a function that saves the files of a task, when what it returns is awaited.

        Where the path leads is settled here: until files come, the process may move.

        Args:
            path: The directory, or the name of the only file.
            timeout: Seconds for which a download may stand still, once it has its turn.
            most: Bytes past which a file is given up.
            progress: As in `Client.download`.
            of_many: Whether it is for several tasks.

        Raises:
            ValueError: The path is the name of one file, and there are several tasks.
        """
        to = destination_of(path)
        if of_many and to.name is not None:
            raise ValueError(f"save={str(path)!r:.80} is the name of a file: give a directory")
        return partial(self._save, DownloadOptions(to, timeout, most, progress))

    def _save(self, options: DownloadOptions, task: AnyTask) -> Awaitable[list[Path]]:
        """Save the files of one task, when awaited.

        Raises:
            TypeError: It is no task. At the call.
            ValueError: It has not succeeded. At the call.
            DownloadError: Not all of them could be saved.
            ClientClosedError: The client is closed, or was meanwhile.
        """
        work = self._run(TaskDownload(task, options, self._shared))
        return work if self.watch is None else self.watch(task, work)

    async def _run(self, download: TaskDownload) -> list[Path]:
        try:
            return await download.run()
        finally:
            if self._shared.lifetime.closed:
                self.close()

    def leave_loop(self) -> None:
        """Forget what is bound to a loop that is closed."""
        self._shared.places = asyncio.Semaphore(AT_A_TIME)

    def close(self) -> None:
        """Let the threads go. Downloads have been told to end: what they clean up has new ones."""
        self._shared.threads.leave()
