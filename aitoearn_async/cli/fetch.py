"""Saves the files of tasks that have ended, and says so as each of them is there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from aitoearn_async import AiToEarnError, AnyRef, AnyTask, Client, TaskState

from .screens import complain, say
from .standing import Exit, Standing, failure_of, worst
from .view import complaint, outcome_json, shown


class Fetch:
    """Tasks whose files are being saved.

    Args:
        client: Asks for the tasks, and saves.
        refs: The tasks.
        directory: Where to.
        timeout: Seconds for each task's files; None for no limit.

    Attributes:
        left: The tasks nothing has been said of yet.
    """

    def __init__(
        self, client: Client, refs: Sequence[AnyRef], directory: Path, timeout: float | None
    ) -> None:
        self.left: list[AnyRef] = list(refs)
        self._client = client
        self._directory = directory
        self._timeout = timeout

    async def run(self, tell: Callable[[Standing], None]) -> Exit:
        """Save them all.

        Args:
            tell: Says what came of a task.

        Returns:
            The exit status this makes.
        """
        async with self._client, asyncio.TaskGroup() as group:
            ends = [group.create_task(self._one(ref, tell)) for ref in tuple(self.left)]
        return worst(end.result() for end in ends)

    async def _ask(self, ref: AnyRef) -> AnyTask:
        task: AnyTask = await self._client.get(ref)
        return task

    async def _one(self, ref: AnyRef, tell: Callable[[Standing], None]) -> Exit:
        task: AnyTask | None = None
        error: AiToEarnError | None = None
        paths: list[Path] = []
        began = asyncio.get_running_loop().time()
        try:
            task = found = await self._ask(ref)
            error = failure_of(found)
            if found.state is TaskState.SUCCEEDED:
                paths = await self._client.download(found, self._directory, timeout=self._timeout)
        except AiToEarnError as raised:
            error = raised
        elapsed = asyncio.get_running_loop().time() - began
        standing = Standing(ref, task, None, 1, elapsed, error, tuple(paths))
        self.left.remove(ref)
        tell(standing)
        if error is not None:
            complain(complaint(ref, error))
        elif task is not None and not task.done:
            complain(f"{ref}: nothing to save yet, its status is {shown(task.status)}")
            return Exit.GAVE_UP
        return standing.exit


def fetched(standing: Standing) -> None:
    """Say where a task's files are: a path a line."""
    for path in standing.paths:
        say(shown(str(path)))


def fetched_json(standing: Standing) -> None:
    """Say what came of a task, in JSON."""
    say(outcome_json(standing))
