"""How long things last: the client on its loop, and each call within its bounds."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from aitoearn_async import (
    ClientClosedError,
    RequestTimeoutError,
)
from aitoearn_async._runtime.lifetime import Lifetime, Timeout
from tests.support.raw_server import (
    REF,
    STALL,
    Heard,
    Part,
    RawServer,
    good,
    refuse,
    say,
    together,
)


async def test_closing_leaves_no_connection() -> None:
    """Idle connections are closed with the client."""
    async with RawServer(good(delay=1)) as server:
        async with server.client() as client:
            await together(*(client.get(REF) for _ in range(5)))
            assert server.open == 5
        await asyncio.sleep(0.01)
        assert server.open == 0


async def test_close_under_running_calls() -> None:
    """Calls in flight, in the queue, and asleep between tries or polls all end at once."""

    def choose(heard: Heard) -> Iterable[Part]:
        script = good("generating") if "/video/" in heard.path else say(STALL)
        return script(heard)

    from aitoearn_async import VideoRef

    loop = asyncio.get_running_loop()
    async with RawServer(choose) as server, server.client(concurrency=3) as client:
        asleep = asyncio.ensure_future(client.wait_for(VideoRef("a")))
        await asyncio.sleep(1)
        calls = [asyncio.ensure_future(client.get(REF)) for _ in range(10)]
        calls += [asyncio.ensure_future(client.wait_for(REF)) for _ in range(10)]
        await asyncio.sleep(1)
        assert client.statistics().in_flight == 3
        assert client.statistics().queued == 17
        began = loop.time()
        await client.aclose()
        ends = await together(asleep, *calls)
        assert loop.time() - began < 0.05
        assert {type(end) for end in ends} == {ClientClosedError}
        assert (client.statistics().in_flight, client.statistics().queued) == (0, 0)
        await asyncio.sleep(0.01)
        assert server.open == 0


async def test_close_under_a_call_between_its_tries() -> None:
    """A pause before another attempt ends as well."""
    async with RawServer(refuse(500)) as server:
        async with server.client(attempts=100) as client:
            call = asyncio.ensure_future(client.get(REF))
            await asyncio.sleep(0.6)
            assert server.count >= 2
        with pytest.raises(ClientClosedError):
            await call


async def test_close_under_paced_calls() -> None:
    """Those who wait for their turn in a second are sent away too."""
    async with RawServer() as server:
        async with server.client(requests_per_second=0.01) as client:
            calls = [asyncio.ensure_future(client.get(REF)) for _ in range(5)]
            await asyncio.sleep(0.5)
        ends = await together(*calls)
        assert [isinstance(end, ClientClosedError) for end in ends] == [False] + [True] * 4


async def test_a_close_and_a_cancellation_at_once() -> None:
    """Who cancels gets the cancellation, not the client's error."""
    async with RawServer(say(STALL)) as server, server.client() as client:
        call = asyncio.ensure_future(client.get(REF))
        await asyncio.sleep(1)
        closing = asyncio.ensure_future(client.aclose())
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await closing


async def test_an_answer_at_the_very_moment() -> None:
    """An answer that comes as the time runs out is taken; one that comes later is not."""
    async with (
        RawServer(good(delay=10), good(delay=10.001)) as server,
        server.client(request_timeout=10, attempts=1) as client,
    ):
        assert (await client.get(REF)).done
        with pytest.raises(RequestTimeoutError):
            await client.get(REF)


async def test_the_time_in_the_queue_is_not_the_requests() -> None:
    """`request_timeout` counts from the start on the wire."""
    async with (
        RawServer(good(delay=8)) as server,
        server.client(concurrency=1, request_timeout=10, attempts=5) as client,
    ):
        ends = await together(*(client.get(REF) for _ in range(4)))
        assert [getattr(end, "status", end) for end in ends] == ["success"] * 4
        assert server.count == 4


async def test_the_whole_calls_bound_holds_in_the_queue_too() -> None:
    """A call that never gets a place ends in time, and says why."""
    loop = asyncio.get_running_loop()
    async with (
        RawServer(good(delay=9.9)) as server,
        server.client(concurrency=1, request_timeout=10, attempts=1) as client,
    ):
        began = loop.time()
        _, late, queued = await together(*(client.get(REF) for _ in range(3)))
        assert loop.time() - began == pytest.approx(10, abs=0.01)
        assert isinstance(late, RequestTimeoutError)
        assert isinstance(queued, RequestTimeoutError)
        assert "concurrency" in str(queued)
        assert server.count <= 2


async def test_the_wait_for_a_turn_is_named_when_it_was_too_long() -> None:
    """A call that is not sent because of `requests_per_second` says so."""
    async with RawServer() as server, server.client(requests_per_second=0.01, attempts=1) as client:
        await client.get(REF)
        with pytest.raises(RequestTimeoutError, match="requests_per_second"):
            await client.get(REF)
        assert server.count == 1


@pytest.mark.parametrize("seconds", [0.0, 5.0, 10.0])
async def test_a_timeout_of_the_callers(seconds: float) -> None:
    """`asyncio.timeout` ends a call in its own name and leaves the task as it was."""
    task = asyncio.current_task()
    assert task is not None
    async with (
        RawServer(say(STALL), say(STALL), good()) as server,
        server.client(request_timeout=10, attempts=1) as client,
    ):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(seconds):
                await client.get(REF)
        assert task.cancelling() == 0
        server.hang_up()
        assert client.statistics().in_flight == 0


async def test_closed_by_its_own_task_when_its_time_is_just_over() -> None:
    """What closes the client is told that it is closed, and by then nothing else."""
    lifetime = Lifetime()

    async def call() -> None:
        lifetime.enter()
        with Timeout(lifetime, lifetime.time() + 1):
            await asyncio.sleep(1)
            lifetime.close()
            await asyncio.sleep(10)

    with pytest.raises(ClientClosedError):
        await call()


async def test_the_first_end_counts() -> None:
    """A close under a call whose time is over changes nothing any more."""
    lifetime, loop = Lifetime(), asyncio.get_running_loop()
    lifetime.enter()
    bound = Timeout(lifetime, lifetime.time() + 1)

    async def call() -> None:
        with bound:
            try:
                await asyncio.sleep(10)
            finally:
                lifetime.close()

    with pytest.raises(TimeoutError):
        await loop.create_task(call())
    assert lifetime.closed


async def test_a_timeout_moves_until_it_is_over() -> None:
    """A later moment counts and an earlier one does; once it has ended what was inside, none."""
    lifetime = Lifetime()
    began, timeout = lifetime.time(), Timeout(lifetime)

    async def call() -> None:
        with timeout:
            timeout.reschedule(began + 5)
            await asyncio.sleep(4)
            timeout.reschedule(began + 9)
            await asyncio.sleep(4)
            timeout.reschedule(began + 8.5)
            try:
                await asyncio.sleep(4)
            finally:
                timeout.reschedule(began + 10)
                await asyncio.sleep(2)

    with pytest.raises(TimeoutError):
        await call()
    assert lifetime.time() == pytest.approx(began + 10.5, abs=0.05)
    assert not lifetime.under_way


async def test_a_sleep_that_is_cancelled_at_its_very_end() -> None:
    lifetime, loop = Lifetime(), asyncio.get_running_loop()
    end = lifetime.time() + 5
    asleep = asyncio.ensure_future(lifetime.sleep_until(end))
    loop.call_at(loop.time() + 5 - 1e-10, asleep.cancel)
    with pytest.raises(asyncio.CancelledError):
        await asleep
    assert not lifetime.under_way
