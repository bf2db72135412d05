"""Reads the refs of a batch: one at a time, and only while there is room.

The source may be endless, slow or broken. What becomes of a ref is decided elsewhere.
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
"""Refs read in one turn of the loop, however fast the source is."""
_TURN = 0.005
"""Real seconds after which a turn ends, however few refs were read: a cursor can take as long
for each of them."""


class RefReader(Generic[T]):
    """Reads a source into `admit`, for as long as `has_room` says so.

    Attributes:
        done: Whether nothing more will come.
        failure: What the source raised, if it did; it is then done.
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
        """Read until the source ends or fails. A generator is closed, however it goes."""
        # It is held no longer than it is read: it may be a list of a million.
        source, self._source = self._source, ()
        self._turn_ends = time.monotonic() + _TURN
        try:
            is_async = isinstance(source, AsyncIterable)
            items: Any = aiter(source) if isinstance(source, AsyncIterable) else iter(source)
            reading = self._read(items, is_async=is_async)
            del source, items
            with blaming("the source of refs"):
                await reading
        except Exception as exc:
            # The batch raises it after the outcomes of the refs that could be read.
            self.failure = exc
        self.done = True
        self._finished()

    def make_room(self) -> None:
        """Note that there may be room again."""
        if self._room is not None and not self._room.done() and self._has_room():
            self._room.set_result(None)

    def stop(self) -> None:
        """Take no further ref; whoever stops it cancels `run`, too."""
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
                    raise asyncio.CancelledError  # again: the source did not let the first through
                self._admit(item)
        except BaseException:
            with _told():
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
            self._turn_ends = time.monotonic() + _TURN
        while not self._has_room():
            self._room = asyncio.get_running_loop().create_future()
            await self._room
            self._room = None


@contextlib.contextmanager
def _told() -> Generator[None]:
    """Log what a source raises when it is closed, on the way out with another error."""
    try:
        yield
    except Exception as second:
        logger.warning("a source of refs failed when it was closed: %r", second, exc_info=second)
