"""Blocking calls, off the event loop. Knows threads; has no idea what is called."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Threads:
    """Threads of our own: those of the loop may all be taken, for as long as the caller likes.

    Args:
        most: How many at most. They come when there is something to do.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._executor: ThreadPoolExecutor | None = None

    async def call(self, call: Callable[[*Ts], T], *args: *Ts) -> T:
        """Call it in one of the threads.

        A cancellation comes through when the thread is done: nothing may close or reopen a file
        under it. Calls are short for that reason.
        """
        if self._executor is None:
            self._executor = ThreadPoolExecutor(self._most, "aitoearn-async files")
        done = asyncio.get_running_loop().run_in_executor(self._executor, call, *args)
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

    def leave(self) -> None:
        """Let the threads end. They come again if they are needed."""
        if self._executor is not None:
            self._executor.shutdown(wait=False)
            self._executor = None
