"""Calls of a ledger that are cancelled at any await, and stays that are cancelled at each."""

from __future__ import annotations

import asyncio
import itertools
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, TypeVar
from urllib.parse import urlsplit

import pytest

from aitoearn_async import Client
from aitoearn_async.emulator import Emulator
from aitoearn_async.fleet import Fleet
from aitoearn_async.fleet.cancelled import cancelled_once, uncancelled
from aitoearn_async.fleet.ledger import Ledger, Member
from tests.fleet.engines import Engine
from tests.fleet.proxy import Proxy
from tests.fleet.test_contract import READER, WORKER, refs, states
from tests.fleet.workers import Workers, ended, held, images

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


def keep_cancelling(task: asyncio.Task[Any]) -> None:
    """Cancel it in each turn of the loop until it has ended, as a cancelled scope of anyio does."""
    if not task.done():
        task.cancel()
        asyncio.get_running_loop().call_soon(keep_cancelling, task)


async def test_a_worker_in_a_cancelled_scope_hands_over_at_once(
    fleet: Fleet, aitoearn_client: Client, aitoearn_service: Emulator
) -> None:
    """Whatever it awaits on the way out is cancelled too."""
    await fleet.add(images(aitoearn_service, 3))
    working = asyncio.create_task(fleet.work(aitoearn_client))
    await asyncio.sleep(5)
    assert await held(fleet) == [3]
    keep_cancelling(working)
    await asyncio.wait([working])
    assert working.cancelled()
    assert (await fleet.status()).members == []


async def test_a_reader_in_a_cancelled_scope_hands_over_at_once(
    fleet: Fleet, crew: Workers, aitoearn_service: Emulator
) -> None:
    """And what was done before counts as done."""
    await ended(fleet, crew, aitoearn_service, 3)

    async def read() -> None:
        async with fleet.outcomes() as outcomes:
            await anext(outcomes)
            await anext(outcomes)
            await asyncio.sleep(100)

    reading = asyncio.create_task(read())
    await asyncio.sleep(5)
    keep_cancelling(reading)
    await asyncio.wait([reading])
    assert reading.cancelled()
    status = await fleet.status()
    assert (status.done, status.members) == (1, [])


@pytest.mark.parametrize("engine", ["postgres", "valkey"], indirect=True)
async def test_a_fleet_in_a_cancelled_scope_keeps_no_connection(engine: Engine) -> None:
    """Whatever the engine's package awaits as it closes one."""
    port = urlsplit(engine.url).port
    assert port is not None
    async with Proxy(port) as proxy:
        fleet = Fleet(engine.url.replace(f":{port}", f":{proxy.port}"))

        async def use() -> None:
            async with fleet:
                await fleet.add(refs(1))
                keep_cancelling(using)
                await asyncio.sleep(3_600)

        using = asyncio.create_task(use())
        await asyncio.wait([using])
        assert using.cancelled()
        async with asyncio.timeout(5):
            while proxy.open:  # noqa: ASYNC110 - it hears of it a moment later
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("way", [cancelled_once, uncancelled])
async def test_a_cancellation_waits_two_seconds_for_what_cleans_up(
    way: Callable[[Coroutine[Any, Any, None]], Coroutine[Any, Any, None]],
) -> None:
    """Others that come meanwhile are not heard. What the clean-up comes to then is nobody's."""

    async def clean_up() -> None:
        try:
            await asyncio.sleep(10)
        finally:
            await asyncio.sleep(10)
            raise LookupError

    loop = asyncio.get_running_loop()
    began = loop.time()
    leaving = asyncio.create_task(way(clean_up()))
    for _ in range(3):
        await asyncio.sleep(0.5)
        leaving.cancel()
    await asyncio.wait([leaving])
    assert leaving.cancelled()
    assert loop.time() - began == pytest.approx(0.5 + 2.0)
    await asyncio.sleep(30)


@pytest.mark.parametrize("way", [cancelled_once, uncancelled])
async def test_without_a_cancellation_it_is_a_plain_call(
    way: Callable[[Coroutine[Any, Any, int]], Coroutine[Any, Any, int]],
) -> None:
    """It returns what the call returns, and raises what it raises."""

    async def fails() -> int:
        raise LookupError

    assert await way(asyncio.sleep(1, 7)) == 7
    with pytest.raises(LookupError):
        await way(fails())
