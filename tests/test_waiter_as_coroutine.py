"""A waiter is accepted where a coroutine is, once at a time and again after a cancellation."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from aitoearn_async import ImageTask, Waiter
from tests.support.raw_server import REF, RawServer, good


@pytest.fixture(autouse=True)
async def quiet(caplog: pytest.LogCaptureFixture) -> AsyncIterator[None]:
    """Nothing is left to complain about: no lost exception, no unclosed socket."""
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, what: complaints.append(what))
    caplog.set_level(logging.WARNING)
    yield
    gc.collect(1)
    await asyncio.sleep(0)
    assert complaints == []
    assert [record.getMessage() for record in caplog.records] == []


async def test_a_wait_taken_up_after_a_cancellation() -> None:
    """A cancelled wait can be awaited again, and goes on where it was."""
    scripts = good("generating", delay=1), good("generating", delay=1), good(delay=1)
    async with RawServer(*scripts) as server, server.client() as client:
        waiter = client.wait_for(REF)
        for seconds in (0.5, 1.2):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(seconds):
                    await waiter
        assert (await waiter).status == "success"
        assert client.statistics().in_flight == 0


HOWS: dict[str, Callable[[Waiter[ImageTask]], Awaitable[object]]] = {
    "await": lambda waiter: _awaited(waiter),
    "create_task": lambda waiter: asyncio.create_task(waiter),
    "ensure_future": lambda waiter: asyncio.ensure_future(waiter),
    "gather": lambda waiter: asyncio.gather(waiter),
    "wait_for": lambda waiter: asyncio.wait_for(waiter, 100),
    "shield": lambda waiter: asyncio.shield(waiter),
    "as_completed": lambda waiter: next(iter(asyncio.as_completed([waiter]))),
}


async def _awaited(waiter: Waiter[ImageTask]) -> ImageTask:
    return await waiter


@pytest.mark.parametrize("how", HOWS.values(), ids=HOWS)
@pytest.mark.parametrize("debug", [False, True])
async def test_a_waiter_where_a_coroutine_is_expected(
    how: Callable[[Waiter[ImageTask]], Awaitable[object]], debug: bool
) -> None:
    """asyncio takes a waiter as it is, in debug mode too."""
    asyncio.get_running_loop().set_debug(debug)
    async with RawServer(good("generating"), good()) as server, server.client() as client:
        got = await how(client.wait_for(REF))
        task_ = got[0] if isinstance(got, list) else got
        assert isinstance(task_, ImageTask)
        assert task_.status == "success"
        assert server.count == 2


async def test_a_waiter_as_a_task_more_than_once() -> None:
    """After the end each further task gives the same end; after a cancellation it goes on."""
    async with RawServer(good("generating"), good()) as server, server.client() as client:
        waiter = client.wait_for(REF)
        first = asyncio.create_task(waiter)
        await asyncio.sleep(0.1)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        task_ = await asyncio.create_task(waiter)
        assert task_.status == "success"
        assert await asyncio.create_task(waiter) is task_
        assert await waiter is task_
        assert server.count == 2


async def test_a_waiter_used_twice_at_a_time() -> None:
    """A second use at the same time is an error that does not disturb the first."""
    async with RawServer(good(delay=1)) as server, server.client() as client:
        waiter = client.wait_for(REF)
        first = asyncio.create_task(waiter)
        await asyncio.sleep(0.5)
        with pytest.raises(RuntimeError, match="already under way"):
            await waiter
        with pytest.raises(RuntimeError, match="already under way"):
            await anext(waiter)
        assert (await first).done


async def test_a_task_of_a_waiter_cancelled_before_its_first_step() -> None:
    """Nothing is sent then, and nothing is left."""
    async with RawServer() as server, server.client() as client:
        running = asyncio.create_task(client.wait_for(REF))
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert server.count == 0


async def test_waiters_never_awaited() -> None:
    """They are no coroutines that somebody forgot: dropping one is nothing."""
    async with RawServer() as server, server.client() as client:
        for _ in range(10):
            client.wait_for(REF)
        assert server.lines == []
