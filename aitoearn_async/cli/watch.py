"""Waits for many tasks at once and tells a screen how it goes. Writes nothing itself.

This is the place to put `Client.as_completed` in, once nobody needs to see every status.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from aitoearn_async import AiToEarnError, TaskRef, Waiter

from .screens import Screen
from .standing import Standing, standing_of

FRAME = 0.125
"""Seconds between two looks at how things stand."""


class Watch:
    """Waits that are under way at the same time.

    Args:
        waiters: The waits, none of them begun.
    """

    def __init__(self, waiters: Iterable[Waiter[Any]]) -> None:
        self._waiters = list(waiters)
        self._ends: dict[TaskRef[Any], Standing] = {}

    def look(self) -> list[Standing]:
        """How all of them stand now, in the order they were given in."""
        return [self._ends.get(waiter.ref) or standing_of(waiter) for waiter in self._waiters]

    async def run(self, screen: Screen) -> list[Standing]:
        """Wait for all of them; how they ended."""
        drawing = asyncio.create_task(_draw(screen))
        try:
            async with asyncio.TaskGroup() as group:
                for waiter in self._waiters:
                    group.create_task(self._follow(waiter, screen))
        finally:
            drawing.cancel()
            await asyncio.wait([drawing])
        return self.look()

    async def _follow(self, waiter: Waiter[Any], screen: Screen) -> None:
        error = None
        try:
            async for task in waiter:
                if not task.done:
                    screen.changed(standing_of(waiter))
        except AiToEarnError as raised:
            error = raised
        end = standing_of(waiter, error)
        self._ends[waiter.ref] = end
        screen.ended(end)


async def _draw(screen: Screen) -> None:
    while True:
        await asyncio.sleep(FRAME)
        screen.draw()
