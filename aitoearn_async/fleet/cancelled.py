"""Lets what is cancelled end in order, also where each await is cancelled anew.

A scope of anyio that was cancelled does that: whatever cleans up in it is cancelled, too. So web
frameworks end a request whose client has gone, and task groups the tasks in them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_SECONDS_TO_END = 2.0
"""The most for which a cancellation is held up: twice what a worker may take to hand over."""


async def cancelled_once(call: Coroutine[Any, Any, T]) -> T:
    """Await a call that the first cancellation reaches, and no other one."""
    task = asyncio.create_task(call)
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        task.cancel()
        await ended(task)
        raise
    return task.result()


async def uncancelled(call: Coroutine[Any, Any, T]) -> T:
    """Await a call that cleans up: a cancellation comes through when it is done."""
    task = asyncio.create_task(call)
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        await ended(task)
        task.cancel()
        raise
    return task.result()


async def ended(task: asyncio.Task[Any], seconds: float = _SECONDS_TO_END) -> None:
    """Wait for the end of a task, for so long at most, whoever cancels meanwhile."""
    task.add_done_callback(_look_at)
    waiting = asyncio.create_task(asyncio.wait([task], timeout=seconds))
    while not waiting.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.shield(waiting)


def _look_at(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()  # so that nobody complains that it was not
