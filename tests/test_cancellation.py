"""Cancelled at any step, nothing stays behind: no task, no socket, no place, no word."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

import pytest

from aitoearn_async import Client, ImageTask, RequestTimeoutError, TaskRef, Waiter, wait_backoff
from tests.support.raw_server import (
    ID,
    REF,
    RST,
    STALL,
    Heard,
    Part,
    RawServer,
    Script,
    envelope,
    good,
    http,
    say,
    task,
    together,
)

STEPS = 40
"""Turns of the loop; a call takes ten of them and more."""

Call = Callable[[Client], Awaitable[object]]


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


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def within(seconds: float, call: Awaitable[object]) -> object:
    async with asyncio.timeout(seconds):
        return await call


async def get(client: Client) -> object:
    return await client.get(REF)


async def wait(client: Client) -> object:
    return await client.wait_for(REF)


async def watch(client: Client) -> object:
    return [task.status async for task in client.wait_for(REF)]


async def under_a_timeout(client: Client) -> object:
    async with asyncio.timeout(1000):
        return await client.get(REF)


async def in_a_group(client: Client) -> object:
    async with asyncio.TaskGroup() as group:
        first = group.create_task(client.wait_for(REF))
        group.create_task(client.wait_for(REF))
    return first.result()


CALLS: dict[str, Call] = {
    "get": get,
    "wait": wait,
    "watch": watch,
    "timeout": under_a_timeout,
    "group": in_a_group,
}


def lives() -> Script:
    """Runs when asked first and ends when asked again; in three pieces, now and then."""

    def script(heard: Heard) -> Iterable[Part]:
        whole = http(envelope(task("generating" if heard.number % 2 else "success")))
        return (whole,) if heard.number % 3 else (whole[:40], 0, whole[40:-20], 0, whole[-20:])

    return script


async def check(server: RawServer, client: Client) -> None:
    """All places are free, the client works, and its sockets go when it closes."""
    statistics = client.statistics()
    assert (statistics.in_flight, statistics.queued) == (0, 0)
    assert (await client.get(REF)).log_id == ID
    await client.aclose()
    await asyncio.sleep(0.01)
    assert server.open == 0


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("fresh", [True, False], ids=["new connection", "used connection"])
async def test_cancelled_at_every_turn(call: Call, fresh: bool) -> None:
    """After k turns of the loop, for every k, on one place that the next call needs."""
    ended = 0
    async with RawServer(lives()) as server, server.client(concurrency=1) as client:
        if not fresh:
            await client.get(REF)
        for count in range(STEPS):
            running = asyncio.ensure_future(call(client))
            await turns(count)
            if running.done():
                ended += 1
                running.result()
                continue
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            if fresh:
                server.hang_up()
                await asyncio.sleep(0.001)
        assert STEPS - ended >= 8, "many a cancellation came while something was under way"
        await check(server, client)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize(
    "seconds", [0.001, 0.5, 0.999, 1.0, 1.5, 2.0, 2.5, 4.0, 10.0, 10.001, 11.0, 29.0]
)
async def test_cancelled_in_the_course_of_time(call: Call, seconds: float) -> None:
    """While an answer is awaited, while one sleeps between tries or polls, and between both."""
    scripts: list[Script] = [good("generating", delay=0.5), say(RST), say(0.5, STALL)]
    scripts += [good("generating", delay=1)] * 3
    async with (
        RawServer(*scripts, good(delay=1)) as server,
        server.client(concurrency=1, request_timeout=8) as client,
    ):
        running = asyncio.ensure_future(call(client))
        await asyncio.sleep(seconds)
        running.cancel()
        began = asyncio.get_running_loop().time()
        await together(running)
        assert asyncio.get_running_loop().time() - began < 0.001
        await check(server, client)


@pytest.mark.parametrize("seconds", [0.0, 0.001, 0.5, 1.0, 2.0, 3.0, 9.0])
@pytest.mark.parametrize("call", [get, wait, watch])
async def test_timed_out_by_the_caller(call: Call, seconds: float) -> None:
    """`asyncio.timeout` and `asyncio.wait_for` end a call like a cancellation."""
    async with (
        RawServer(good("generating", delay=1)) as server,
        server.client(concurrency=1) as client,
    ):
        for _ in range(3):
            for end in await together(within(seconds, call(client))):
                assert type(end) is (ImageTask if call is get and seconds > 1 else TimeoutError)
            for end in await together(asyncio.wait_for(call(client), seconds)):
                assert type(end) is (ImageTask if call is get and seconds > 1 else TimeoutError)
        await check(server, client)


async def test_close_cancelled_at_every_turn() -> None:
    """A close that is cancelled half-way has closed; a second one has nothing left to do."""
    for count in range(12):
        async with RawServer(good(delay=0)) as server:
            client = server.client()
            await together(*(client.get(REF) for _ in range(3)))
            call = asyncio.ensure_future(client.get(REF))
            await turns(count)
            closing = asyncio.ensure_future(client.aclose())
            await turns(count % 4)
            closing.cancel()
            await together(closing, call)
            await client.aclose()
            await asyncio.sleep(0.01)
            assert server.open == 0


async def test_leaving_an_iteration() -> None:
    """A `break` leaves nothing under way, and the iterator can be taken up again."""
    scripts = good("generating"), good("generating"), good("success")
    async with RawServer(*scripts) as server, server.client() as client:
        waiter = client.wait_for(REF, wait=wait_backoff(1))
        async for news in waiter:
            assert news.status == "generating"
            break
        await asyncio.sleep(100)
        assert server.count == 1, "nobody polls behind the caller's back"
        assert [news.status async for news in waiter] == ["success"]
        await check(server, client)


async def test_an_error_in_the_loops_body() -> None:
    """An exception of the caller's own passes through, and leaves nothing."""
    async with RawServer(good("generating")) as server, server.client() as client:

        async def fail() -> None:
            async for _ in client.wait_for(REF):
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await fail()
        await check(server, client)


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
        await check(server, client)


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


async def test_a_group_whose_member_fails() -> None:
    """The others of a `TaskGroup` are cancelled at once."""

    def choose(heard: Heard) -> Iterable[Part]:
        return good("failed", delay=1)(heard) if heard.number == 2 else (STALL,)

    refs: list[TaskRef[ImageTask]] = [REF] * 5
    async with RawServer(choose) as server, server.client() as client:
        began = asyncio.get_running_loop().time()

        async def all_of_them() -> None:
            async with asyncio.TaskGroup() as group:
                for ref in refs:
                    group.create_task(client.wait_for(ref))

        with pytest.raises(ExceptionGroup):
            await all_of_them()
        assert asyncio.get_running_loop().time() - began < 1.01
        await asyncio.sleep(0.01)
        assert server.open == 1
        assert client.statistics().in_flight == 0


async def test_cancelled_while_its_time_runs_out() -> None:
    """A cancellation in the very turns in which a request times out is not lost."""
    loop = asyncio.get_running_loop()
    async with (
        RawServer(say(STALL)) as server,
        server.client(request_timeout=5, attempts=1) as client,
    ):
        for count in range(25):
            running = asyncio.ensure_future(client.get(REF))
            await asyncio.sleep(4.9)
            due = server.heard[-1].at + 5
            moment = loop.create_future()
            loop.call_at(due, moment.set_result, None)
            await moment
            await turns(count)
            cancelled = running.cancel()
            end = (await together(running))[0]
            expected = asyncio.CancelledError if cancelled else RequestTimeoutError
            assert isinstance(end, expected), count
        assert client.statistics().in_flight == 0
