"""The first answer about a finished video writes: one client never asks for it twice at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import pytest
from tenacity import wait_fixed

from aitoearn_async import (
    Client,
    GenerateVideo,
    RequestTimeoutError,
    VideoRef,
    WaitTimeoutError,
)
from aitoearn_async._api.turns import Turns
from aitoearn_async._runtime.lifetime import Lifetime
from aitoearn_async.emulator import Emulator, Fault

GROUP = "66f0c0ffee0123456789abcd"


@pytest.fixture
async def service() -> AsyncIterator[Emulator]:
    async with Emulator() as emulator:
        emulator.groups.add(GROUP)
        yield emulator


def client_of(service: Emulator, request_timeout: float = 30.0, attempts: int = 3) -> Client:
    return Client(
        service.api_key,
        base_url=service.url,
        request_timeout=request_timeout,
        attempts=attempts,
    )


async def finished(client: Client) -> VideoRef:
    ref = await client.submit(GenerateVideo(model="sora-2", prompt="p", group_id=GROUP))
    await asyncio.sleep(5)
    return ref


async def test_however_it_is_asked_for_one_row_is_made(service: Emulator) -> None:
    async with client_of(service) as client:
        ref = await finished(client)
        tasks = await asyncio.gather(
            *(client.get(ref) for _ in range(6)),
            *(client.wait_for(ref) for _ in range(6)),
        )
        assert {task.status for task in tasks} == {"SUCCESS"}
        assert service.media_rows == [ref]


async def listed(client: Client) -> list[VideoRef]:
    return [task.ref async for task in client.list_videos()]


@pytest.mark.parametrize("first", ["a page", "a poll"])
async def test_a_page_of_the_list_counts_as_a_poll_of_each(service: Emulator, first: str) -> None:
    """Whichever comes first, the other one comes when it is done, and one row is made."""
    async with client_of(service) as client:
        refs = [await finished(client) for _ in range(3)]
        calls: list[Awaitable[Any]] = [listed(client), *map(client.get, refs), listed(client)]
        if first == "a poll":
            calls.append(calls.pop(0))
        await asyncio.gather(*calls)
        assert sorted(service.media_rows) == sorted(refs)


async def test_a_page_that_stalls_holds_nobody_past_the_deadline(service: Emulator) -> None:
    """Videos that are waited for, and known to be of no group, are not held at all."""
    async with client_of(service, request_timeout=2.0) as client:
        ref = await finished(client)
        plain = service.add_video(("InProgress", 60.0), "SUCCESS")
        wait = asyncio.ensure_future(client.wait_for(plain, wait=wait_fixed(1)))
        await asyncio.sleep(1.5)
        service.fault(Fault(stall="head"), route="videos", times=None)
        page = asyncio.ensure_future(listed(client))
        await asyncio.sleep(0.1)
        before = sum(request.ref == plain for request in service.requests)
        assert (await client.get(ref)).status == "SUCCESS"
        assert sum(request.ref == plain for request in service.requests) > before
        with pytest.raises(RequestTimeoutError):
            await page
        assert (await wait).status == "SUCCESS"
        assert client._parts.poller._turns.are_idle


async def test_a_batch_and_a_wait_make_one_row(service: Emulator) -> None:
    """A batch fetches ended videos by pages, beside what else asks for them."""
    async with client_of(service) as client:
        refs = [
            await client.submit(GenerateVideo(model="sora-2", prompt="p", group_id=GROUP))
            for _ in range(40)
        ]
        batch = asyncio.ensure_future(client.wait_all(refs))
        tasks = await asyncio.gather(*map(client.wait_for, refs[::4]))
        assert all(outcome.ok for outcome in await batch)
        assert {task.status for task in tasks} == {"SUCCESS"}
        assert sorted(service.media_rows) == sorted(refs)


async def test_two_videos_are_asked_for_at_the_same_time(service: Emulator) -> None:
    async with client_of(service) as client:
        refs = [await finished(client) for _ in range(2)]
        service.fault(Fault(delay=5.0), times=None)
        began = asyncio.get_running_loop().time()
        await asyncio.gather(*map(client.get, refs))
        assert asyncio.get_running_loop().time() - began < 9


@pytest.mark.parametrize("how", ["cancelled", "failed"])
async def test_a_turn_that_ends_early_is_passed_on(service: Emulator, how: str) -> None:
    async with client_of(service) as client:
        ref = await finished(client)
        service.fault(Fault(stall="head") if how == "cancelled" else Fault(code=12302))
        calls = [asyncio.ensure_future(client.get(ref)) for _ in range(5)]
        await asyncio.sleep(1)
        calls[0].cancel()
        calls[2].cancel()
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert sum(getattr(result, "status", "") == "SUCCESS" for result in results) >= 3
        assert service.media_rows == [ref]


async def test_nobody_waits_for_a_turn_past_the_deadline(service: Emulator) -> None:
    async with client_of(service, request_timeout=2.0) as client:
        ref = await finished(client)
        service.fault(Fault(stall="head"), times=None)
        began = asyncio.get_running_loop().time()
        results = await asyncio.gather(*(client.get(ref) for _ in range(3)), return_exceptions=True)
        assert all(isinstance(result, RequestTimeoutError) for result in results)
        assert asyncio.get_running_loop().time() - began < 7


async def test_what_gets_no_turn_is_not_sent(service: Emulator) -> None:
    """The service would write twice. It is not blamed for being slow, and was never asked."""
    async with client_of(service) as client:
        ref = await finished(client)
        service.fault(Fault(delay=20.0), times=None)
        first = asyncio.ensure_future(client.get(ref))
        await asyncio.sleep(1)
        with pytest.raises(WaitTimeoutError, match="never asked") as caught:
            await client.wait_for(ref, timeout=10)
        assert "not sent, because another request" in str(caught.value.__cause__)
        assert (await first).status == "SUCCESS"
        assert sum(request.ref == ref for request in service.requests) == 1


async def test_a_page_that_gets_no_turn_is_not_sent(service: Emulator) -> None:
    """Neither one of a list, nor one of a batch, which polls singly then."""
    async with client_of(service, request_timeout=100.0, attempts=1) as client:
        other, refs = await finished(client), [service.add_video("SUCCESS") for _ in range(12)]
        service.fault(Fault(delay=99.0), ref=other, times=None)
        calls: list[asyncio.Future[Any]] = [asyncio.ensure_future(client.get(other))]
        await asyncio.sleep(1)
        assert all(outcome.ok for outcome in await client.wait_all(refs))
        assert not any(request.route == "videos" for request in service.requests)
        service.fault(Fault(stall="head"), route="videos", times=None)
        calls += [asyncio.ensure_future(listed(client)) for _ in range(3)]
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert sum("not sent" in str(result) for result in results) == 2
        assert sum(request.route == "videos" for request in service.requests) == 1


async def test_a_turn_that_nobody_takes_leaves_nothing() -> None:
    """Whoever has one made may be cancelled before it begins."""
    lifetime = Lifetime()
    turns = Turns(lifetime)
    turns.video("one", 60.0)
    turns.page(60.0)
    assert turns.are_idle


async def test_who_gives_up_holds_up_nobody_behind() -> None:
    """A page that waited for a poll, and is cancelled, lets the polls behind it go at once."""
    lifetime = Lifetime()
    lifetime.enter()
    turns = Turns(lifetime)
    until = lifetime.time() + 60.0
    order: list[str] = []

    async def take(name: str) -> None:
        async with turns.page(until) if name == "page" else turns.video(name, until):
            order.append(name)
            await asyncio.sleep(10.0)

    tasks = [asyncio.ensure_future(take(name)) for name in ("one", "page", "two", "three")]
    await asyncio.sleep(1.0)
    assert order == ["one"]
    tasks[1].cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert order == ["one", "two", "three"]
    await asyncio.wait(tasks)
    assert turns.are_idle
    lifetime.close()


@pytest.mark.parametrize("how", ["cancelled", "too late"])
async def test_a_turn_that_is_given_and_not_wanted_any_more_is_passed_on(how: str) -> None:
    """It is given in the very moment in which its taker gives up: nobody else stands still."""
    lifetime = Lifetime()
    lifetime.enter()
    turns = Turns(lifetime)
    began = lifetime.time()
    order: list[int] = []
    tasks: list[asyncio.Task[None]] = []

    async def take(number: int) -> None:
        soon = how == "too late" and number == 1
        async with turns.video("video", began + (10.0 if soon else 60.0)):
            order.append(number)
            if number == 0:
                await asyncio.sleep(10.0)
        if number == 0 and how == "cancelled":
            tasks[1].cancel()

    tasks += [asyncio.ensure_future(take(number)) for number in range(3)]
    await asyncio.wait(tasks)
    assert order == ([0, 2] if how == "cancelled" else [0, 1, 2])
    assert turns.are_idle
    lifetime.close()
