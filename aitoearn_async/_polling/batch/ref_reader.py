"""Reads the refs of a batch: one at a time, and only while there is room.

The source may be endless, slow or broken. What is done with a ref is decided elsewhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Generator, Iterable
from typing import Any, Generic, TypeVar

from ..._runtime.lifetime import blaming

T = TypeVar("T")

logger: logging.Logger = logging.getLogger("aitoearn_async")

_AT_A_TIME = 64
"""The most refs that are read in one turn of the loop."""
_TURN_SECONDS = 0.005
"""Seconds of real time after which a turn ends: a database cursor can take as long for one ref."""


class RefReader(Generic[T]):
    """Reads refs from a source, while there is room for them.

    Args:
        source: The refs.
        admit: Takes each ref.
        has_room: Returns whether one more may be read.
        finished: Called when the source has ended or failed.

    Attributes:
        done: The source has ended or failed.
        failure: The error that the source raised, if it failed.
    """

    def __init__(
        self,
        source: Iterable[T] | AsyncIterable[T],
        admit: Callable[[T], None],
        has_room: Callable[[], bool],
        finished: Callable[[], None],
    ) -> None:
        if isinstance(source, str) or not isinstance(source, AsyncIterable | Iterable):
            raise TypeError(f"expected refs, in an iterable of any kind, not {source!r:.80}")
        self.done: bool = False
        self.failure: Exception | None = None
        self._source: Iterable[T] | AsyncIterable[T] = source
        self._admit = admit
        self._has_room = has_room
        self._finished = finished
        self._room: asyncio.Future[None] | None = None
        self._turn_ends = 0.0
        self._in_this_turn = 0
        self._is_stopped = False

    async def run(self) -> None:
        """Read until the source ends or fails. A generator is closed in any case."""
        # The source may be a list of a million, so it is let go of once it has been read.
        source, self._source = self._source, ()
        self._turn_ends = time.monotonic() + _TURN_SECONDS
        try:
            is_async = isinstance(source, AsyncIterable)
            items: Any = aiter(source) if isinstance(source, AsyncIterable) else iter(source)
            reading = self._read(items, is_async=is_async)
            del source, items
            with blaming("the source of refs"):
                await reading
        except Exception as exc:
            # The batch raises this error after the outcomes of the refs that could be read.
            self.failure = exc
        self.done = True
        self._finished()

    def make_room(self) -> None:
        """Note that there may be room again."""
        if self._room is not None and not self._room.done() and self._has_room():
            self._room.set_result(None)

    def stop(self) -> None:
        """Take no further ref. The caller cancels `run`, too."""
        self._is_stopped = True

    async def _read(self, items: Any, *, is_async: bool) -> None:
        end = StopAsyncIteration if is_async else StopIteration
        try:
            while True:
                await self._wait_for_room()
                try:
                    item = await anext(items) if is_async else next(items)
                except end:
                    return
                if self._is_stopped:
                    raise asyncio.CancelledError  # once more: the source swallowed the first one
                self._admit(item)
        except BaseException:
            with _logging_failures():
                if isinstance(items, AsyncGenerator):
                    await items.aclose()
                elif inspect.isgenerator(items):
                    items.close()
            raise

    async def _wait_for_room(self) -> None:
        self._in_this_turn += 1
        if self._in_this_turn >= _AT_A_TIME or time.monotonic() > self._turn_ends:
            await asyncio.sleep(0)
            self._in_this_turn = 0
            self._turn_ends = time.monotonic() + _TURN_SECONDS
        while not self._has_room():
            self._room = asyncio.get_running_loop().create_future()
            await self._room
            self._room = None


@contextlib.contextmanager
def _logging_failures() -> Generator[None]:
    """Log what a source raises when it is closed because of another error."""
    try:
        yield
    except Exception as second:
        logger.warning("a source of refs failed when it was closed: %r", second, exc_info=second)
