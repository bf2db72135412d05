"""Calls of which one goes on at a time: whoever has waited for one that failed fails with it.

What is called is not known here.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable, Hashable
from typing import TypeVar
from weakref import WeakValueDictionary

T = TypeVar("T")


class JointCalls:
    """Calls that bring the same for all, by what they are for.

    One after the other, a hundred callers would try in vain for a hundred times as long as one.

    Args:
        shared: The kinds of errors that all who have waited fail with. After others, and where the
            call was cancelled, the next one makes a call of its own.
    """

    def __init__(self, *shared: type[Exception]) -> None:
        self._shared = shared
        self._queues: WeakValueDictionary[Hashable, _Queue] = WeakValueDictionary()

    def leave_loop(self) -> None:
        """Forget what is bound to a loop that is closed."""
        self._queues = WeakValueDictionary()

    async def call(self, subject: Hashable, call: Callable[[], Awaitable[T]]) -> T:
        """Call it, after those that were here before for the same.

        Raises:
            Exception: What it raises, or what another one's call came to meanwhile.
        """
        queue = self._queues.setdefault(subject, _Queue())
        before = queue.failures
        async with queue.lock:
            if queue.error is not None and queue.failures != before:
                raise _again(queue.error)
            try:
                return await call()
            except self._shared as error:
                queue.failures += 1
                queue.error = _again(error)
                raise


class _Queue:
    """Those who want the same. It lives as long as one of them is there."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.failures = 0
        self.error: Exception | None = None


def _again(error: Exception) -> Exception:
    """Return an error to be raised once more, without the frames it was raised through."""
    another = copy.copy(error)
    another.__cause__ = error.__cause__
    return another
