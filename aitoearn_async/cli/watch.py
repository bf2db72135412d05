"""Waits for a handful of tasks at once and tells a screen how it goes. Writes nothing itself.

Each status of each task is seen here. A long list, of which only the ends are, is `sweep`'s.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

from aitoearn_async import AiToEarnError, AnyTask, Client, TaskRef, TaskState, Waiter

from .screens import Screen
from .standing import Standing, standing_of

Save = Callable[[AnyTask], Awaitable[list[Path]]]
"""Saves what a task has made."""

FRAME = 0.125
"""Seconds between two looks at how things stand."""


def saver(client: Client, directory: Path | None) -> Save | None:
    """What saves into a directory; None if there is none."""
    return None if directory is None else lambda task: client.download(task, directory)


class Watch:
    """Waits that are under way at the same time.

    Args:
        waiters: The waits, none of them begun.
        save: What is done when a task has succeeded, if anything.
    """

    def __init__(self, waiters: Iterable[Waiter[Any]], save: Save | None = None) -> None:
        self._waiters = list(waiters)
        self._save = save
        self._ends: dict[TaskRef[Any], Standing] = {}

    def look(self) -> list[Standing]:
        """How all of them stand now, in the order they were given in."""
        return [self._ends.get(waiter.ref) or self._now(waiter) for waiter in self._waiters]

    def _now(self, waiter: Waiter[Any]) -> Standing:
        now = standing_of(waiter)
        return now._replace(saving=self._save is not None and now.ended and now.error is None)

    async def run(self, screen: Screen) -> list[Standing]:
        """Wait for all of them; how they ended."""
        async with drawn(screen), asyncio.TaskGroup() as group:
            for waiter in self._waiters:
                group.create_task(self._follow(waiter, screen))
        return self.look()

    async def _follow(self, waiter: Waiter[Any], screen: Screen) -> None:
        error = None
        paths: list[Path] = []
        try:
            async for task in waiter:
                if not task.done:
                    screen.changed(standing_of(waiter))
                elif self._save is not None and task.state is TaskState.SUCCEEDED:
                    paths = await self._save(task)
        except AiToEarnError as raised:
            error = raised
        end = standing_of(waiter, error)._replace(paths=tuple(paths))
        self._ends[waiter.ref] = end
        screen.ended(end)


@contextlib.asynccontextmanager
async def drawn(screen: Screen) -> AsyncGenerator[None]:
    """Within this block a screen is told that time passes."""
    async with asyncio.TaskGroup() as group:
        drawing = group.create_task(_draw(screen))
        try:
            yield
        finally:
            drawing.cancel()


async def _draw(screen: Screen) -> None:
    while True:
        await asyncio.sleep(FRAME)
        screen.draw()
