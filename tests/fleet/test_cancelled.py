"""Calls of a ledger that are cancelled wherever they wait: each can be made again."""

from __future__ import annotations

import asyncio
import itertools
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, TypeVar

import pytest

from aitoearn_async.fleet.ledger import Ledger, Member
from tests.fleet.engines import Engine
from tests.fleet.test_contract import READER, WORKER, refs, states

T = TypeVar("T")


@types.coroutine
def watched(call: Coroutine[Any, Any, T], waits: Callable[[Any], None]) -> Generator[Any, Any, T]:
    """Await a call, and tell of each future that it waits for; None where it lets others go on."""
    try:
        future = call.send(None)
        while True:
            waits(future)
            try:
                yield future
            except BaseException as error:
                future = call.throw(error)
            else:
                future = call.send(None)
    except StopIteration as end:
        value: T = end.value
        return value


class Canceller:
    """Cancels a call where it waits for the so-manyth time.

    Args:
        number: Which time, from 1.
        late: Cancel when it waits no more, and has not gone on yet.
    """

    def __init__(self, number: int, *, late: bool) -> None:
        self.number = number
        self.late = late
        self.waits = 0

    async def run(self, call: Coroutine[Any, Any, T]) -> T:
        """Make the call."""
        self.task = asyncio.ensure_future(_awaited(watched(call, self._waits)))
        return await self.task

    def _waits(self, future: Any) -> None:
        self.waits += 1
        if self.waits == self.number and self.late and future is not None:
            future.add_done_callback(lambda _: self.task.cancel())
        elif self.waits == self.number:
            asyncio.get_running_loop().call_soon(self.task.cancel)


async def at_every_await(make: Callable[[], Coroutine[Any, Any, T]], late: bool) -> tuple[T, int]:
    """Make a call again and again, cancelled one wait later each time, until it is through.

    Returns what it came to at last, and how often it was cancelled.
    """
    cancelled = 0
    for number in itertools.count(1):
        canceller = Canceller(number, late=late)
        try:
            value = await canceller.run(make())
        except asyncio.CancelledError:
            cancelled += 1
        else:
            if canceller.waits < number:
                return value, cancelled
    raise AssertionError


async def _awaited(call: Awaitable[T]) -> T:
    return await call


@pytest.mark.sampled(5)
@pytest.mark.parametrize("late", [False, True])
async def test_a_call_cancelled_at_any_await_can_be_made_again(ledger: Ledger, late: bool) -> None:
    """Each ref is taken once, recorded once and read once all the same."""
    mine, reader = await ledger.join(WORKER, "a worker"), await ledger.join(READER, "a reader")
    cancelled = 0

    async def done(make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        nonlocal cancelled
        value, times = await at_every_await(make, late)
        cancelled += times
        return value

    await done(lambda: ledger.add(refs(10)))
    assert await states(ledger) == [10, 0, 0, 0, 0]
    await done(lambda: ledger.beat(mine, lambda _: Member(id=mine, kind=WORKER)))
    taken = await done(lambda: ledger.take(mine, 1, lambda _, free: 6))
    assert sorted(each.ref for each in taken) == refs(6)
    await done(lambda: ledger.give(mine, refs(2)))
    assert sorted(await done(lambda: ledger.held(mine, 10))) == refs(4, 2)
    lines = [(ref, b"{}") for ref in refs(4, 2)]
    await done(lambda: ledger.record(mine, lines))
    assert await states(ledger) == [4, 2, 4, 0, 0]
    rows = await done(lambda: ledger.read(reader, [], 3))
    rows += await done(lambda: ledger.read(reader, [ref for ref, _ in rows], 3))
    assert sorted(rows) == lines
    await done(lambda: ledger.read(reader, refs(4, 2), 0))
    assert not await done(ledger.finished)
    await done(lambda: ledger.leave(mine))
    other = await ledger.join(WORKER, "another")
    taken = await done(lambda: ledger.take(other, 1, lambda _, free: 10))
    assert sorted(each.ref for each in taken) == refs(2) + refs(4, 6)
    assert await states(ledger) == [0, 6, 0, 0, 4]
    assert cancelled > 10


@pytest.mark.parametrize("engine", ["postgres", "valkey"], indirect=True)
async def test_a_take_that_comes_late_takes_nothing(engine: Engine, ledger: Ledger) -> None:
    """It was given up, and its repetition took nothing; then it comes out of the network."""
    mine = await ledger.join(WORKER, "a worker")
    await ledger.add(refs(10))
    taken, cancelled = await at_every_await(lambda: ledger.take(mine, 1, lambda _, free: 0), False)
    assert not taken
    assert cancelled > 0
    async with engine.opened() as late:
        assert not await late.take(mine, 1, lambda _, free: 5)
        assert len(await ledger.take(mine, 3, lambda _, free: 5)) == 5
        assert not await late.take(mine, 2, lambda _, free: 5)
    assert await states(ledger) == [5, 5, 0, 0, 0]
