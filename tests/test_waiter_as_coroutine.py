"""A waiter is accepted where a coroutine is, once at a time and again after a cancellation."""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import logging
import sys
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from aitoearn_async import Client, ImageTask, Waiter
from tests.support.raw_server import REF, RawServer, good

ERROR = ValueError("thrown")


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


async def test_a_waiter_as_two_tasks_at_a_time() -> None:
    """The second task fails, and the first goes on."""
    async with RawServer(good(delay=1)) as server, server.client() as client:
        waiter = client.wait_for(REF)
        first = asyncio.create_task(waiter)
        await asyncio.sleep(0.5)
        with pytest.raises(RuntimeError, match="already under way"):
            await asyncio.create_task(waiter)
        assert (await first).status == "success"
        assert server.count == 1


async def test_a_task_of_a_waiter_cancelled_before_its_first_step() -> None:
    """Nothing is sent then, and nothing is left."""
    async with RawServer() as server, server.client() as client:
        running = asyncio.create_task(client.wait_for(REF))
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert server.count == 0


async def test_a_waiter_never_used() -> None:
    """Dropping one unused warns and names the task, as dropping a coroutine does."""
    async with RawServer() as server, server.client() as client:
        with pytest.warns(RuntimeWarning, match=f"{REF} was never awaited: nothing was sent"):
            client.wait_for(REF)
        assert server.lines == []


USES: dict[str, Callable[[Waiter[ImageTask]], Awaitable[object]]] = {
    **HOWS,
    "anext": lambda waiter: anext(waiter),
    "a loop left at once": lambda waiter: _left(waiter),
    "closed": lambda waiter: _closed(waiter),
    "a task cancelled before its first step": lambda waiter: _cancelled(waiter),
}


async def _left(waiter: Waiter[ImageTask]) -> None:
    async for _ in waiter:
        break


async def _closed(waiter: Waiter[ImageTask]) -> None:
    waiter.close()


async def _cancelled(waiter: Waiter[ImageTask]) -> None:
    task = asyncio.create_task(waiter)
    task.cancel()
    await asyncio.wait([task])


@pytest.mark.parametrize("use", USES.values(), ids=USES)
async def test_a_waiter_that_was_used_says_nothing(
    use: Callable[[Waiter[ImageTask]], Awaitable[object]],
) -> None:
    """However it was used, and however far: a warning would be an error of this test."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        async with RawServer(good()) as server, server.client() as client:
            await use(client.wait_for(REF))
            gc.collect(0)
    assert seen == []


def callers() -> dict[str, Callable[[Callable[..., Any]], bool]]:
    """The tests by which others tell a coroutine function."""
    tests: dict[str, Callable[[Callable[..., Any]], bool]] = {
        "inspect": inspect.iscoroutinefunction
    }
    if sys.version_info < (3, 14):
        tests["asyncio"] = asyncio.iscoroutinefunction
    return tests


@pytest.mark.parametrize("is_coroutine_function", callers().values(), ids=callers())
async def test_wait_for_passes_for_a_coroutine_function(
    is_coroutine_function: Callable[[Callable[..., Any]], bool],
) -> None:
    """What asks before it calls awaits the result, of a method as of a partial of it."""
    async with RawServer() as server, server.client() as client:
        assert is_coroutine_function(client.wait_for)
        assert is_coroutine_function(functools.partial(client.wait_for, REF))
        assert not is_coroutine_function(client.as_completed)
        assert list(inspect.signature(client.wait_for).parameters)[:2] == ["ref", "timeout"]
        assert (client.wait_for.__name__, client.wait_for.__doc__) == (
            "wait_for",
            Client.wait_for.__doc__,
        )


@pytest.mark.parametrize("given", [(ERROR,), (ValueError, ERROR), (ValueError, ERROR, None)])
async def test_an_error_is_thrown_into_a_waiter_as_it_is(given: tuple[Any, ...]) -> None:
    """In each of the forms in which a coroutine takes one."""
    async with RawServer() as server, server.client() as client:
        with pytest.raises(ValueError, match="thrown") as caught:
            client.wait_for(REF).throw(*given)
    assert caught.value is ERROR


async def test_a_waiter_says_where_it_stands() -> None:
    """A task of it has a name, a stack and a frame, as a task of a coroutine has."""
    async with RawServer(good(delay=1)) as server, server.client() as client:
        waiter = client.wait_for(REF)
        assert (inspect.getcoroutinestate(waiter), waiter.cr_frame) == ("CORO_CLOSED", None)
        task = asyncio.create_task(waiter)
        await asyncio.sleep(0.5)
        assert "coro=<Client.wait_for() running at" in repr(task)
        assert [frame.f_code.co_name for frame in task.get_stack()] == ["_run"]
        assert inspect.getcoroutinestate(waiter) == "CORO_SUSPENDED"
        assert (waiter.__name__, waiter.__qualname__) == ("wait_for", "Client.wait_for")
        assert (waiter.cr_running, waiter.cr_await is None) == (False, False)
        assert Waiter.__name__ == "Waiter"
        await task


async def test_the_tasks_of_a_batch_have_names() -> None:
    """A list of all tasks says which are a batch's, and what each is for."""
    before = asyncio.all_tasks()
    async with (
        RawServer(good(delay=1)) as server,
        server.client() as client,
        client.as_completed([REF]),
    ):
        await asyncio.sleep(0.5)
        names = {task.get_name() for task in asyncio.all_tasks() - before}
    names = {name for name in names if name.startswith("aitoearn")}
    assert names == {"aitoearn-batch-until_closed", "aitoearn-batch-work"}
