"""Wait for a handful of tasks at once, and tell a reporter how it goes.

Each status of each task is seen here. A long list, of which only the ends are, is `batch_run`'s.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterable
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from aitoearn_async import AiToEarnError, AnyRef, Client, TaskRef, Waiter

from ..report import words
from ..report.choice import reporter_for
from ..report.echo import echo_error
from ..report.exit_status import ExitStatus, worst
from ..report.reporters import Reporter
from ..report.snapshot import WaitSnapshot, failure_of, snapshot_of
from .settings import Settings

_FRAME_SECONDS = 0.125
"""The time between two frames of a view."""


class Watch:
    """Waits that are under way at the same time; `wait`: more arguments of `Client.wait_for`."""

    def __init__(
        self, client: Client, refs: Iterable[AnyRef], settings: Settings, **wait: Any
    ) -> None:
        limits = settings.limits
        wait |= {"timeout": limits.timeout, "patience": limits.patience}
        self.waiters: list[Waiter[Any]] = [client.wait_for(ref, **wait) for ref in refs]
        self._client = client
        self._settings = settings
        self._ends: dict[TaskRef[Any], WaitSnapshot] = {}

    def snapshots(self) -> list[WaitSnapshot]:
        """Return how all of them stand now, in the order they were given in."""
        return [self._ends.get(waiter.ref) or snapshot_of(waiter) for waiter in self.waiters]

    async def run(self, reporter: Reporter) -> ExitStatus:
        """Wait for all of them, and return the exit status this makes."""
        async with ticking(reporter), asyncio.TaskGroup() as group:
            for waiter in self.waiters:
                group.create_task(self._follow(waiter, reporter))
        return worst(snapshot.status for snapshot in self.snapshots())

    async def report(self) -> ExitStatus:
        """Run with the reporter that suits stdout, and say how to go on with what is left."""
        with reporter_for(self.snapshots, as_json=self._settings.service.as_json) as reporter:
            status = await self.run(reporter)
        open_ends = (ExitStatus.GAVE_UP, ExitStatus.NOT_SAVED)
        refs = [snapshot.ref for snapshot in self.snapshots() if snapshot.status in open_ends]
        self._settings.tell_how_to_go_on("wait", refs)
        return status

    async def _follow(self, waiter: Waiter[Any], reporter: Reporter) -> None:
        error: AiToEarnError | None = None
        paths: list[Path] = []
        try:
            async for task in waiter:
                if not task.done:
                    reporter.changed(snapshot_of(waiter))
                elif (error := failure_of(task)) is None:
                    paths = await self._settings.save(self._client, task)
        except AiToEarnError as raised:
            error = raised
        end = replace(snapshot_of(waiter), ended=True, error=error, paths=tuple(paths))
        self._ends[waiter.ref] = end
        reporter.ended(end)

    def interrupted(self) -> ExitStatus:
        """Write what has not ended, and how to go on with it."""
        echo_error(words.interrupted_text(self.snapshots()))
        self._settings.tell_how_to_go_on("wait", words.unfinished(self.snapshots()))
        return ExitStatus.INTERRUPTED


@contextlib.asynccontextmanager
async def ticking(reporter: Reporter) -> AsyncGenerator[None]:
    """Within this block, tell a reporter that time passes."""
    async with asyncio.TaskGroup() as group:
        clock = group.create_task(_tick(reporter))
        try:
            yield
        finally:
            clock.cancel()


async def _tick(reporter: Reporter) -> None:
    while True:
        await asyncio.sleep(_FRAME_SECONDS)
        reporter.tick()
