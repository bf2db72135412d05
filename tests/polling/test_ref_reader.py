"""Reading refs: from every kind of source, one at a time, and none before there is room."""

from __future__ import annotations

import asyncio
import time
import weakref
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from typing import Any

import pytest

from aitoearn_async._polling.batch.ref_reader import RefReader


class Countdown:
    """An iterator that is neither a generator nor a container."""

    def __init__(self, start: int) -> None:
        self.left = start

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        if not self.left:
            raise StopIteration
        self.left -= 1
        return self.left


class Queue:
    """An async iterator that is no generator, as of a message queue."""

    def __init__(self, items: Iterable[int]) -> None:
        self.items = deque(items)

    def __aiter__(self) -> AsyncIterator[int]:
        return self

    async def __anext__(self) -> int:
        await asyncio.sleep(0.01)
        if not self.items:
            raise StopAsyncIteration
        return self.items.popleft()


async def numbers(count: int) -> AsyncIterator[int]:
    for number in range(count):
        yield number


SOURCES: list[Callable[[int], Iterable[int] | AsyncIterable[int]]] = [
    lambda count: list(range(count)),
    lambda count: tuple(range(count)),
    lambda count: set(range(count)),
    lambda count: dict.fromkeys(range(count)).keys(),
    lambda count: (number for number in range(count)),
    Countdown,
    numbers,
    lambda count: Queue(range(count)),
]


@pytest.mark.parametrize("count", [0, 1, 200])
@pytest.mark.parametrize("source", SOURCES)
async def test_every_kind_of_source(
    source: Callable[[int], Iterable[int] | AsyncIterable[int]], count: int
) -> None:
    """All of it is read, each item once, and then it is done and says so."""
    taken: list[int] = []
    said: list[bool] = []
    intake = RefReader(source(count), taken.append, lambda: True, lambda: said.append(True))
    assert not intake.done
    await intake.run()
    assert sorted(taken) == list(range(count))
    assert intake.done
    assert intake.failure is None
    assert said == [True]


@pytest.mark.parametrize("source", SOURCES)
async def test_nothing_is_read_without_room(
    source: Callable[[int], Iterable[int] | AsyncIterable[int]],
) -> None:
    """No item is taken before there is room for it, and each room is filled once."""
    taken: list[int] = []
    room = 0
    intake = RefReader(source(100), taken.append, lambda: len(taken) < room, lambda: None)
    reading = asyncio.create_task(intake.run())
    for room in (0, 1, 2, 30, 99, 150):
        intake.make_room()
        intake.make_room()
        await asyncio.sleep(10)
        assert len(taken) == min(room, 100)
    assert intake.done
    await reading


async def test_a_fast_source_does_not_hold_the_loop() -> None:
    """Others have their turn while a source without an end is read."""
    taken: list[int] = []
    intake = RefReader(iter(int, 1), taken.append, lambda: True, lambda: None)
    reading = asyncio.create_task(intake.run())
    for turn in range(1, 20):
        await asyncio.sleep(0)
        assert len(taken) <= turn * 64
    reading.cancel()
    await asyncio.wait([reading])
    assert not intake.done


async def failing_later() -> AsyncIterator[int]:
    yield 1
    raise LookupError("lost")


def failing() -> Iterator[int]:
    yield 1
    raise LookupError("lost")


class FailingAtOnce:
    def __iter__(self) -> Iterator[int]:
        raise LookupError("lost")


@pytest.mark.parametrize(
    ("source", "count"), [(failing_later(), 1), (failing(), 1), (FailingAtOnce(), 0)]
)
async def test_what_a_source_raises_is_kept(source: Any, count: int) -> None:
    """A source that fails is done; what it gave before counts, and the error is there."""
    taken: list[int] = []
    intake: RefReader[int] = RefReader(source, taken.append, lambda: True, lambda: None)
    await intake.run()
    assert len(taken) == count
    assert intake.done
    assert isinstance(intake.failure, LookupError)


async def test_what_is_refused_ends_it() -> None:
    """An item that is not taken is the source's failure."""

    def refuse(item: int) -> None:
        raise TypeError(f"not {item}")

    intake = RefReader([1, 2], refuse, lambda: True, lambda: None)
    await intake.run()
    assert str(intake.failure) == "not 1"


@pytest.mark.parametrize("source", [None, 5, object(), len])
def test_no_source_at_all(source: Any) -> None:
    """What cannot be iterated is refused at once."""
    with pytest.raises(TypeError, match="iterable"):
        RefReader(source, print, lambda: True, lambda: None)


async def test_what_has_been_read_is_let_go_of() -> None:
    """A list of a million refs is not held for as long as the last of them takes."""

    class Source(list[int]):
        """A list that can be watched."""

    source = Source(range(100))
    gone = weakref.ref(source)
    read: list[int] = []
    intake: RefReader[int] = RefReader(source, read.append, lambda: True, lambda: None)
    del source
    await intake.run()
    assert read == list(range(100))
    assert gone() is None


async def test_a_slow_iterable_ends_its_turn_by_time() -> None:
    """One that takes its time for each ref holds the loop for one ref, and not for 64 of them."""
    taken: list[int] = []

    def cursor() -> Iterator[int]:
        for number in range(10):
            until = time.monotonic() + 0.006
            while time.monotonic() < until:
                pass
            yield number

    reader = RefReader(cursor(), taken.append, lambda: True, lambda: None)
    reading = asyncio.create_task(reader.run())
    before = 0
    while not reading.done():
        await asyncio.sleep(0)
        assert len(taken) - before <= 1
        before = len(taken)
    assert taken == list(range(10))


@pytest.mark.parametrize("kind", ["plain", "async"])
@pytest.mark.parametrize("how", ["cancelled", "refused"])
async def test_a_generator_is_closed_on_the_way_out(kind: str, how: str) -> None:
    """It may hold a cursor, which is not to wait for the garbage collector."""
    closed: list[bool] = []

    def plain() -> Iterator[int]:
        try:
            yield from range(100)
        finally:
            closed.append(True)

    async def later() -> AsyncIterator[int]:
        try:
            for number in range(100):
                yield number
        finally:
            await asyncio.sleep(0)
            closed.append(True)

    taken: list[int] = []

    def take(item: int) -> None:
        taken.append(item)
        if how == "refused":
            raise TypeError(f"not {item}")

    source: Any = plain() if kind == "plain" else later()
    reader: RefReader[int] = RefReader(source, take, lambda: len(taken) < 10, lambda: None)
    reading = asyncio.create_task(reader.run())
    await asyncio.sleep(1)
    assert closed == ([True] if how == "refused" else [])
    reading.cancel()
    await asyncio.wait([reading])
    assert closed == [True]
    assert reading.cancelled() is (how == "cancelled")


@pytest.mark.parametrize("kind", ["plain", "async"])
async def test_a_source_that_fails_when_it_is_closed_is_told_of(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The error that ended the reading is still the one that is kept."""

    def plain() -> Iterator[int]:
        try:
            yield 1
        finally:
            raise LookupError("on closing")

    async def later() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            raise LookupError("on closing")

    def refuse(item: int) -> None:
        raise TypeError(f"not {item}")

    source: Any = plain() if kind == "plain" else later()
    reader: RefReader[int] = RefReader(source, refuse, lambda: True, lambda: None)
    await reader.run()
    assert isinstance(reader.failure, TypeError)
    assert caplog.messages == [
        "a source of refs failed when it was closed: LookupError('on closing')"
    ]
