"""Blocking calls, off the event loop. Knows threads; has no idea what is called."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


async def in_thread(call: Callable[[*Ts], T], *args: *Ts) -> T:
    """Call it in a thread of the loop's default executor.

    A cancellation comes through when the thread is done: nothing may close or reopen a file
    under it. Calls are short for that reason.
    """
    done = asyncio.get_running_loop().run_in_executor(None, call, *args)
    cancelled: asyncio.CancelledError | None = None
    while not done.done():
        try:
            await asyncio.wait([done])
        except asyncio.CancelledError as exc:
            cancelled = exc
    if cancelled is not None:
        done.exception()  # looked at, so that nobody complains that it was not
        raise cancelled
    return done.result()
