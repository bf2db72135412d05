"""How much at once and how fast, as the server sees it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable

import pytest

from aitoearn_async import ImageRef, ImageTask, RequestTimeoutError
from aitoearn_async._resilience.limiter import RequestLimiter
from tests.support.clock import ROUNDING
from tests.support.raw_server import (
    FIN,
    REF,
    RST,
    STALL,
    Heard,
    Part,
    RawServer,
    Script,
    good,
    http,
    refuse,
    say,
    together,
)


class Crowd:
    """A script that counts who is there at the same time."""

    def __init__(self, delay: float = 1.0) -> None:
        self.now = self.most = 0
        self._delay = delay

    def __call__(self, heard: Heard) -> Iterable[Part]:
        self.now += 1
        self.most = max(self.most, self.now)
        yield self._delay
        self.now -= 1
        yield from good()(heard)


def refs(count: int) -> list[ImageRef]:
    return [ImageRef(f"task-{number}") for number in range(count)]


def busiest_second(moments: list[float]) -> int:
    """The most moments within any span of one second (an end excluded)."""
    return max(sum(1 for m in moments if start <= m < start + 0.9999) for start in moments)


@pytest.mark.parametrize("concurrency", [1, 3, 64])
async def test_concurrency_is_used_and_never_exceeded(concurrency: int) -> None:
    """All places are taken while there is work, and none beyond them."""
    crowd = Crowd()
    async with RawServer(crowd) as server:
        async with server.client(concurrency=concurrency, attempts=9) as client:
            await together(*map(client.get, refs(130)))
        assert server.count == 130
        assert crowd.most == concurrency
        assert len(server.lines) == concurrency, "as many connections as places"


async def test_concurrency_over_trouble() -> None:
    """Failed and repeated requests take no more places than others, and give them back."""

    def choose(heard: Heard) -> Iterable[Part]:
        trouble = [say(RST), refuse(500), say(0.5, STALL), good(delay=0.3)]
        return trouble[heard.number % 4](heard)

    async with (
        RawServer(choose) as server,
        server.client(concurrency=4, request_timeout=2, attempts=20) as client,
    ):
        calls = [asyncio.ensure_future(client.get(ref)) for ref in refs(40)]
        while not all(call.done() for call in calls):
            statistics = client.statistics()
            assert statistics.in_flight <= 4
            await asyncio.sleep(0.05)
        await together(*calls)
        statistics = client.statistics()
        assert (statistics.in_flight, statistics.queued) == (0, 0)
        # A connection that has served before may die without that counting as a try.
        assert 40 <= statistics.requests <= server.count


async def test_first_come_first_served() -> None:
    """Those who wait are served in the order they came; who comes later queues up behind."""
    async with RawServer(good(delay=1)) as server, server.client(concurrency=2) as client:
        calls = []
        for ref in refs(20):
            calls.append(asyncio.ensure_future(client.get(ref)))
            await asyncio.sleep(0.3)
        await together(*calls)
        assert [heard.path.rpartition("/")[2] for heard in server.heard] == [
            ref.id for ref in refs(20)
        ]


async def test_a_cancelled_waiter_passes_its_place_on() -> None:
    """Cancelled in the very turn in which it was woken, it does not leave the next one asleep."""
    loop = asyncio.get_running_loop()
    async with RawServer(good(delay=1)) as server, server.client(concurrency=1) as client:
        for _ in range(10):
            first, second, third = (asyncio.ensure_future(client.get(REF)) for _ in range(3))

            def cancel(_: object, call: asyncio.Task[ImageTask] = second) -> None:
                call.cancel()

            first.add_done_callback(cancel)
            began = loop.time()
            await together(first, second, third)
            assert second.cancelled()
            assert third.result().done
            assert loop.time() - began < 2.1
        assert client.statistics().in_flight == 0


async def test_statistics_of_the_queue() -> None:
    """Who is under way and who waits can be seen at any moment."""
    async with RawServer(good(delay=1)) as server, server.client(concurrency=3) as client:
        calls = [asyncio.ensure_future(client.get(REF)) for _ in range(10)]
        await asyncio.sleep(0.5)
        assert (client.statistics().in_flight, client.statistics().queued) == (3, 7)
        assert client.statistics().requests == 3
        await asyncio.sleep(3)
        assert (client.statistics().in_flight, client.statistics().queued) == (1, 0)
        await together(*calls)
        assert (client.statistics().in_flight, client.statistics().queued) == (0, 0)
        assert client.statistics().requests == 10
        assert client.statistics().failures == 0


async def test_statistics_of_what_was_held_after_all() -> None:
    """Those who queued while the service asked to be left alone are held, and no requests."""
    busy = say(0.5, http(b"", 429, {"Retry-After": "9"}))
    async with (
        RawServer(busy, busy, good()) as server,
        server.client(concurrency=2, attempts=1) as client,
    ):
        await together(*map(client.get, refs(20)))
        statistics = client.statistics()
        assert (statistics.requests, statistics.failures, statistics.held) == (2, 2, 18)
        assert server.count == 2


@pytest.mark.parametrize("rate", [0.5, 3, 10.0, 97])
async def test_the_rate_is_used_and_never_exceeded(rate: float) -> None:
    """No second sees more starts than allowed, from the first one on; they are evenly spaced."""
    async with RawServer() as server, server.client(requests_per_second=rate) as client:
        loop = asyncio.get_running_loop()
        began = loop.time()
        count = 40
        async with asyncio.timeout(1000):
            await together(*(client.wait_for(ref) for ref in refs(count)))
        moments = [heard.at - began for heard in server.heard]
        assert len(moments) == count
        assert busiest_second(moments) <= max(rate, 1)
        assert moments == pytest.approx([number / rate for number in range(count)], abs=0.01)


@pytest.mark.parametrize("pause", [0.05, 0.1, 0.95, 5.0, 3600.0])
async def test_the_rate_after_a_pause(pause: float) -> None:
    """Time not used is not saved up for a burst."""
    async with RawServer() as server, server.client(requests_per_second=10) as client:
        await together(*map(client.get, refs(15)))
        await asyncio.sleep(pause)
        await together(*map(client.get, refs(15)))
        assert busiest_second([heard.at for heard in server.heard]) <= 10


async def test_the_rate_counts_every_try() -> None:
    """Repeated requests are requests."""
    async with RawServer(say(RST)) as server:
        async with server.client(requests_per_second=2, attempts=6) as client:
            await together(*map(client.get, refs(3)))
        assert server.count == 18
        assert busiest_second([heard.at for heard in server.heard]) <= 2


async def test_a_request_that_is_sent_again_is_counted_while_it_waits_for_its_turn() -> None:
    """Its connection was dead already."""

    def service(heard: Heard) -> Iterable[Part]:
        return [RST] if heard.number == 1 else good()(heard)

    options = {"requests_per_second": 0.1, "request_timeout": 60}
    async with RawServer(service) as server, server.client(**options) as client:
        await client.get(REF)
        call = asyncio.ensure_future(client.get(REF))
        await asyncio.sleep(5)
        assert (client.statistics().in_flight, client.statistics().queued) == (0, 1)
        await asyncio.sleep(10)
        assert server.count == 2
        assert (client.statistics().in_flight, client.statistics().queued) == (0, 1)
        await call
        assert (client.statistics().in_flight, client.statistics().queued) == (0, 0)


@pytest.mark.parametrize("which", [[1], [1, 2, 3], [4], [1, 3, 5, 7], list(range(1, 9))])
@pytest.mark.parametrize("moment", [0.0, 0.05, 0.15])
async def test_cancelled_waiters_leave_no_gap(which: list[int], moment: float) -> None:
    """Whoever leaves the queue gives up his turn to the next."""
    async with RawServer() as server, server.client(requests_per_second=10) as client:
        calls = [asyncio.ensure_future(client.get(ref)) for ref in refs(10)]
        await asyncio.sleep(moment)
        for number in which:
            calls[number].cancel()
        await together(*calls)
        starts = [heard.at - server.heard[0].at for heard in server.heard]
        assert starts == pytest.approx([n / 10 for n in range(len(starts))], abs=0.005)
        late = [n for n in which if calls[n].cancelled()]
        assert len(starts) == 10 - len(late)
        assert (client.statistics().in_flight, client.statistics().queued) == (0, 0)


async def test_a_cancelled_turn_gives_its_place_back() -> None:
    """Whoever is cancelled while he waits for his turn takes no place with him."""
    async with RawServer() as server:
        async with server.client(requests_per_second=1, concurrency=1) as client:
            for _ in range(5):
                await client.get(REF)
                late = asyncio.ensure_future(client.get(REF))
                await asyncio.sleep(0.5)
                late.cancel()
                await together(late)
                assert late.cancelled()
        assert server.count == 5


async def test_the_rate_and_the_places_together() -> None:
    """Each limit holds, whichever is the tighter."""
    crowd = Crowd(delay=0.55)
    async with RawServer(crowd) as server:
        async with server.client(requests_per_second=10, concurrency=2) as client:
            await together(*map(client.get, refs(20)))
        assert crowd.most == 2
        assert busiest_second([heard.at for heard in server.heard]) <= 10


async def test_places_after_calls_that_timed_out_in_the_queue() -> None:
    """Giving up in the queue takes no place away."""
    async with (
        RawServer(say(STALL), good()) as server,
        server.client(concurrency=1, request_timeout=5, attempts=1) as client,
    ):
        ends = await together(*map(client.get, refs(5)))
        assert {type(end) for end in ends} == {RequestTimeoutError}
        assert (await client.get(REF)).done
        assert client.statistics().in_flight == 0


async def test_a_rate_can_be_changed_under_those_who_wait() -> None:
    """A sleeper notices within a second that there is no reason to wait any longer."""
    loop = asyncio.get_running_loop()
    limits = RequestLimiter(10, 0.01, loop.time)
    began = loop.time()
    await limits.acquire(limits.new_pace())
    waiting = asyncio.create_task(limits.acquire(limits.new_pace()))
    await asyncio.sleep(5)
    limits.requests_per_second = 10
    await waiting
    assert loop.time() - began <= 6 + ROUNDING
    limits.requests_per_second = None
    assert limits.try_acquire(limits.new_pace())


async def test_what_is_sent_again_waits_for_its_turn_too() -> None:
    """A server that hangs up on every used connection gets no more requests a second for it."""
    used: set[int] = set()

    def choose(heard: Heard) -> Script:
        if heard.connection in used:
            return say(FIN)
        used.add(heard.connection)
        return good()

    async with (
        RawServer(choose=choose) as server,
        server.client(requests_per_second=2) as client,
    ):
        for _ in range(3):
            await client.get(REF)
    moments = [heard.at for heard in server.heard]
    assert len(moments) > 3
    assert all(b - a >= 0.5 - ROUNDING for a, b in itertools.pairwise(moments)), moments
