"""Polls, lists and submits through real proxies and caches, in real time.

They run where `--proxies` asks for them. Each test ends at an event, never after a duration;
the last poll of a wait behind a silent cache is the one that has to be waited for.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from tenacity import wait_fixed

from aitoearn_async import (
    Client,
    GenerateImage,
    GenerateVideo,
    ImageRef,
    ImageTask,
    ServerError,
    SubmitUncertainError,
    UnexpectedResponseError,
    WaitTimeoutError,
)
from tests.proxies.origin import Origin
from tests.proxies.programs import Proxy

KEY = "sk-0123456789-marker-abcdef"
OFTEN = wait_fixed(0.02)
LONG = 60.0
"""Seconds that no test takes, unless something is wrong."""
SHORT = 2.0
"""Seconds after which a wait has its last poll, where only that can bring the end."""


class Counted:
    """The responses that a client gets, as aiohttp tells of them."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.sent = 0
        self._trace = aiohttp.TraceConfig()
        self._trace.on_request_start.append(self._started)
        self._trace.on_request_end.append(self._ended)

    async def _started(self, *_: Any) -> None:
        self.sent += 1

    async def _ended(self, _: object, __: object, end: aiohttp.TraceRequestEndParams) -> None:
        self.statuses.append(end.response.status)

    def session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(trace_configs=[self._trace])


def client_of(proxy: Proxy, path: str = "", **options: Any) -> Client:
    return Client(KEY, base_url=proxy.url + path, **options)


async def until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(LONG):
        while not happened():  # noqa: ASYNC110  # of threads and processes, which set no event
            await asyncio.sleep(0.005)


async def wait_through(
    proxy: Proxy, origin: Origin, ref: ImageRef, counted: Counted, polls: int
) -> ImageTask:
    """Wait for a task that ends after so many responses, and return it."""
    # A silent cache is found out by the last poll, so there the wait has to come to one.
    timeout = SHORT if proxy.kind.is_silent else LONG
    async with (
        counted.session() as session,
        client_of(proxy, session=session) as client,
        asyncio.TaskGroup() as group,
    ):
        waiting = group.create_task(wait(client, ref, timeout))
        await until(lambda: len(counted.statuses) >= polls)
        origin.tasks[ref.id] = "success"
    return waiting.result()


async def wait(client: Client, ref: ImageRef, timeout: float) -> ImageTask:
    for _ in range(5):
        # A busy machine may be too late for a last poll.
        with contextlib.suppress(WaitTimeoutError):
            return await client.wait_for(ref, timeout=timeout, wait=OFTEN)
    raise AssertionError("no last poll has brought the end")


async def test_the_end_of_a_task_is_seen(proxy: Proxy, origin: Origin) -> None:
    """Through a silent cache by the last poll; through all others at once."""
    ref = origin.new_task()
    done = await wait_through(proxy, origin, ref, Counted(), 5)
    assert done.status == "success"


async def test_the_end_of_a_task_is_seen_by_each_of_several_clients(
    proxy: Proxy, origin: Origin
) -> None:
    """A copy that was made for another client is known by its request id, and gone past."""
    ref = origin.new_task()
    async with client_of(proxy) as client, asyncio.TaskGroup() as group:
        waiting = group.create_task(wait(client, ref, LONG))
        await until(lambda: client.statistics().requests > 2)
        waiting.cancel()
    origin.tasks[ref.id] = "success"
    async with client_of(proxy) as client:
        assert (await wait(client, ref, LONG)).status == "success"


@pytest.mark.parametrize("strength", ["weak", "strong"])
async def test_what_did_not_change_is_not_sent_again(
    proxy: Proxy, origin: Origin, strength: str
) -> None:
    """A 304 comes for all polls but the first, and one more where a proxy mistakes a header."""
    if strength == "strong" and not proxy.kind.takes_strong_tags:
        pytest.skip("it takes strong tags off what it compresses")
    if proxy.kind.keeps:
        pytest.skip("it is gone past, and each address is new to it")
    origin.strong_tags = strength == "strong"
    ref, counted = origin.new_task(), Counted()
    await wait_through(proxy, origin, ref, counted, 12)
    assert counted.statuses[2:12] == [304] * 10


async def test_a_poll_is_one_request_on_the_wire(proxy: Proxy, origin: Origin) -> None:
    """At the client and at the service."""
    if proxy.kind.keeps:
        pytest.skip("a cache answers, and a copy is asked for once more")
    ref, counted = origin.new_task(), Counted()
    await wait_through(proxy, origin, ref, counted, 12)
    assert counted.sent == len(counted.statuses)
    assert len(origin.of(ref)) == counted.sent


async def test_a_list_after_a_lost_receipt_is_fresh(proxy: Proxy, origin: Origin) -> None:
    """A copy of an earlier list, whoever asked for it, would hide a task that is paid for."""
    async with client_of(proxy) as other:
        assert [task async for task in other.list_videos()] == []
    async with client_of(proxy) as client:
        assert [task async for task in client.list_videos()] == []
        with pytest.raises(SubmitUncertainError):
            await client.submit(GenerateVideo(model="m", prompt="a cat"), check=False)
        found = [task.id async for task in client.list_videos()]
    assert found == origin.videos
    assert len(found) == 1, "a submit goes out once"


async def test_an_upstream_that_hangs_up_is_told_as_a_proxys_trouble(
    proxy: Proxy, origin: Origin
) -> None:
    async with client_of(proxy, "/dead", attempts=1) as client:
        with pytest.raises(ServerError) as caught:
            await client.get(origin.new_task())
    assert caught.value.http_status == proxy.kind.dead
    assert "a proxy before the service" in str(caught.value)


async def test_an_upstream_that_is_too_slow_is_told_as_a_proxys_trouble(
    proxy: Proxy, origin: Origin
) -> None:
    if proxy.kind.slow is None:
        pytest.skip("it waits for minutes")
    async with client_of(proxy, "/slow", attempts=1, request_timeout=LONG) as client:
        with pytest.raises(ServerError) as caught:
            await client.get(origin.new_task())
    assert caught.value.http_status == proxy.kind.slow
    assert "a proxy before the service" in str(caught.value)


async def test_a_body_that_is_too_large_for_a_proxy_is_refused_for_certain(
    proxy: Proxy, origin: Origin
) -> None:
    """No task was made, and the error names the settings that limit bodies."""
    if not proxy.kind.limits_bodies:
        pytest.skip("it has no limit")
    request = GenerateImage(model="m", prompt="a cat", extra={"note": "x" * 1_100_000})
    async with client_of(proxy) as client:
        with pytest.raises(UnexpectedResponseError) as caught:
            await client.submit(request, check=False)
    assert caught.value.http_status == 413
    assert "client_max_body_size" in str(caught.value)
    assert not origin.videos
