"""Reads the refs of a batch: one at a time, and none before there is room for it.

The source may be endless, slow or broken. What is made of a ref is decided elsewhere.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

_AT_A_TIME = 64
"""Refs read in one turn of the loop, however fast the source is."""


class Intake(Generic[T]):
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
        if not isinstance(source, AsyncIterable | Iterable):
            raise TypeError(f"expected refs, in an iterable of any kind, not {source!r:.80}")
        self.done: bool = False
        self.failure: Exception | None = None
        self._source: Iterable[T] | AsyncIterable[T] = source
        self._admit = admit
        self._has_room = has_room
        self._finished = finished
        self._room: asyncio.Future[None] | None = None

    async def run(self) -> None:
        """Read until the source ends or fails."""
        # Held no longer than it is read: it may be a list of a million.
        source, self._source = self._source, ()
        try:
            if isinstance(source, AsyncIterable):
                reading = self._read_async(aiter(source))
            else:
                reading = self._read(iter(source))
            del source
            await reading
        except Exception as exc:
            # Not lost: the batch raises it after the outcomes of what could be read.
            self.failure = exc
        self.done = True
        self._finished()

    def make_room(self) -> None:
        """Say that there may be room again."""
        if self._room is not None and not self._room.done() and self._has_room():
            self._room.set_result(None)

    async def _read(self, items: Iterator[T]) -> None:
        for number in itertools.count(1):
            await self._wait_for_room(number)
            try:
                item = next(items)
            except StopIteration:
                return
            self._admit(item)

    async def _read_async(self, items: AsyncIterator[T]) -> None:
        for number in itertools.count(1):
            await self._wait_for_room(number)
            try:
                item = await anext(items)
            except StopAsyncIteration:
                return
            self._admit(item)

    async def _wait_for_room(self, number: int) -> None:
        if number % _AT_A_TIME == 0:
            await asyncio.sleep(0)
        while not self._has_room():
            self._room = asyncio.get_running_loop().create_future()
            await self._room
            self._room = None
