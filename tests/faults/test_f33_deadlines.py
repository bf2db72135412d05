"""Deadlines shorter than anything, none at all, and thousands at once."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import pytest
import tenacity

from aitoearn_async import (
    Client,
    ImageRef,
    RequestTimeoutError,
    ServiceUnreachableError,
    WaitTimeoutError,
)
from tests.polling.model import Service, batch, images
from tests.support.raw_server import FIN, REF, RST, STALL, Heard, Part, RawServer, good, http, say

from .calls import ref_of
from .harness import MOST_OVERSHOOT, Row, Trial

ROW = Row(
    33,
    "A deadline shorter than the pause before the next try; zero, negative, infinite, NaN",
    "No pause goes past a deadline. Without any time a task is looked at once. What is no "
    "number of seconds is refused at the call. Waits end on time, however many at once.",
)


async def wait_for(client: Client, **limits: float) -> object:
    return await client.wait_for(REF, **limits)  # type: ignore[call-overload]


async def wait_all(client: Client, **limits: float) -> object:
    (outcome,) = await client.wait_all([REF], **limits)  # type: ignore[call-overload]
    return outcome.error


Wait = Callable[..., Awaitable[Any]]
each_wait = pytest.mark.parametrize("wait", [wait_for, wait_all])

AILING = {
    "running": good("generating"),
    "reset": say(RST),
    "stalls": say(STALL),
    "503": say(http(b"", 503)),
    "503, come back in a minute": say(http(b"", 503, {"Retry-After": "60"})),
    "429, come back in an hour": say(http(b"", 429, {"Retry-After": "3600"})),
    "answers slowly": good("generating", delay=2.9),
}


@pytest.mark.sampled(7)
@each_wait
@pytest.mark.parametrize("script", AILING.values(), ids=AILING)
@pytest.mark.parametrize("seconds", [0.001, 0.5, 1.0, 3.0, 20.0])
async def test_shorter_than_the_pause(
    trial: Trial, wait: Wait, script: Any, seconds: float
) -> None:
    """It ends on time, and not before: neither the backoff nor the service's wish counts."""
    async with RawServer(good("generating"), script) as server, server.client() as client:
        await trial.ends(client.get, REF, status="generating")  # it is at this address
        began = asyncio.get_running_loop().time()
        with trial.on_time(began + seconds, early=0):
            (end,) = await trial.ends(lambda _: wait(client, timeout=seconds), REF)
        assert isinstance(end, WaitTimeoutError)
        assert isinstance(end, TimeoutError)
    trial.wire(server, at_most=20)


@each_wait
@pytest.mark.parametrize("script", [say(RST), say(STALL), say(http(b"", 503))])
@pytest.mark.parametrize("seconds", [0.5, 3.0])
async def test_patience_shorter_than_the_pause(
    trial: Trial, wait: Wait, script: Any, seconds: float
) -> None:
    """The same holds of the patience."""
    began = asyncio.get_running_loop().time()
    async with RawServer(script) as server, server.client(request_timeout=0.4) as client:
        with trial.on_time(began + seconds, early=0):
            (end,) = await trial.ends(lambda _: wait(client, patience=seconds), REF)
        assert isinstance(end, ServiceUnreachableError)
    trial.wire(server, at_most=20)


@pytest.mark.parametrize("seconds", [0.2, 1.0, 3.0])
async def test_get_never_sleeps_past_its_end(trial: Trial, seconds: float) -> None:
    """`attempts` times `request_timeout`, whatever the pauses in between."""
    began = asyncio.get_running_loop().time()
    script = say(http(b"", 503, {"Retry-After": "60"}))
    async with (
        RawServer(script) as server,
        server.client(attempts=3, request_timeout=seconds) as client,
    ):
        with trial.on_time(began + 0.05):
            await trial.ends(client.get, REF)
    trial.wire(server, exactly=1)


@each_wait
async def test_no_time_at_all(trial: Trial, wait: Wait) -> None:
    """One look, and no second one."""
    loop = asyncio.get_running_loop()
    async with RawServer(good("generating")) as server, server.client() as client:
        with trial.on_time(loop.time()):
            (end,) = await trial.ends(lambda _: wait(client, timeout=0), REF)
        assert isinstance(end, WaitTimeoutError)
        assert end.seen == {"generating": 1}
    trial.wire(server, exactly=1)


@pytest.mark.parametrize(
    "value", [-1, -0.0001, -math.inf, math.nan, -1e999, 10**400, "5", True, [5]]
)
@pytest.mark.parametrize("name", ["timeout", "patience"])
async def test_no_number_of_seconds(trial: Trial, name: str, value: Any) -> None:
    """Refused by name, at the call; no limit is None."""
    limits = {name: value}
    async with RawServer() as server, server.client() as client:
        for call in (
            lambda: client.wait_for(REF, **limits),
            lambda: client.as_completed([REF], **limits),
        ):
            with pytest.raises(ValueError, match=name):
                call()
        with pytest.raises(ValueError, match=name):
            await client.wait_all([REF], **limits)
        assert server.lines == []
    trial.wire(server, exactly=0)


@pytest.mark.parametrize("value", [0, -1, -0.0001, math.inf, math.nan, "5", True])
async def test_no_request_timeout(trial: Trial, value: Any) -> None:
    """Of aiohttp's own, 0 would be none at all; ours must be one."""
    async with RawServer() as server:
        with pytest.raises(ValueError, match="request_timeout"):
            server.client(request_timeout=value)
    trial.wire(server, exactly=0)


@pytest.mark.parametrize("seconds", [0.001, 4.9, 5.0, 5.2, 29.999])
async def test_the_bound_of_a_request_is_exact(trial: Trial, seconds: float) -> None:
    """Not rounded up to whole seconds, as aiohttp's are from 5 s on."""
    began = asyncio.get_running_loop().time()
    async with (
        RawServer(say(STALL)) as server,
        server.client(request_timeout=seconds, attempts=1) as client,
    ):
        with trial.on_time(began + seconds, early=0):
            (end,) = await trial.ends(client.get, REF)
        assert isinstance(end, RequestTimeoutError)
    trial.wire(server, at_most=1)


@pytest.mark.parametrize("seconds", [4.9, 5.0, 5.2, 29.999])
async def test_the_bound_of_each_request_of_a_wait(trial: Trial, seconds: float) -> None:
    """Nor where something else would end it later."""
    async with (
        RawServer(say(STALL), good()) as server,
        server.client(request_timeout=seconds, wait=tenacity.wait_fixed(1)) as client,
    ):
        await trial.ends(client.wait_for, REF, status="success")
        took = server.heard[1].at - server.heard[0].at - 1
    assert -0.001 <= took - seconds <= MOST_OVERSHOOT
    trial.wire(server, exactly=2)


@pytest.mark.slow
async def test_requests_that_end_one_after_the_other(trial: Trial) -> None:
    """Ends that lie close together may come together, but not late."""
    loop = asyncio.get_running_loop()
    late: list[float] = []

    async def one(client: Client) -> object:
        began = loop.time()
        try:
            return await client.get(REF)
        finally:
            late.append(loop.time() - began - 5)

    async with (
        RawServer(say(STALL)) as server,
        server.client(request_timeout=5, attempts=1, concurrency=300) as client,
    ):
        calls = []
        for _ in range(300):
            calls.append(asyncio.ensure_future(trial.ends(lambda _: one(client), REF)))
            await asyncio.sleep(0.003)
        await asyncio.gather(*calls)
    assert min(late) >= -0.001
    trial.figure("overshoot of 300 requests, s", max(late), MOST_OVERSHOOT)
    trial.wire(server, exactly=300)


async def test_no_limit(trial: Trial) -> None:
    """Without one a wait lasts as long as its task: here a week."""
    week = 7 * 86400.0
    loop = asyncio.get_running_loop()

    def lives(heard: Heard) -> Iterable[Part]:
        yield from good("success" if loop.time() > began + week - 1 else "generating")(heard)
        yield FIN

    async with RawServer(lives) as server, server.client() as client:
        began = loop.time()
        hourly = tenacity.wait_fixed(3600)
        (end,) = await trial.ends(
            lambda ref: client.wait_for(ref, timeout=None, patience=None, wait=hourly),
            REF,
            status="success",
        )
        assert end.done
    trial.wire(server, exactly=7 * 24 + 1)


@pytest.mark.slow
@pytest.mark.usefixtures("untraced")
async def test_a_crowd_of_waits_of_a_batch(trial: Trial, crowd: int) -> None:
    """Each ends at its own deadline, though hardly any poll goes out any more."""
    refs = images(crowd)
    service = Service(dict.fromkeys(refs, 1e9))
    late: list[float] = []
    async with batch(
        refs, service, timeout=100, wait=tenacity.wait_fixed(60), concurrency=64
    ) as waiting:
        async for outcome in waiting:
            assert isinstance(outcome.error, WaitTimeoutError)
            trial.book([ref_of(outcome)], [outcome])
            late.append(outcome.elapsed - 100)
    on_time(trial, late)


@pytest.mark.slow
@pytest.mark.usefixtures("untraced")
async def test_a_crowd_of_single_waits(trial: Trial, crowd: int) -> None:
    """The same of waits that are a task each, most of them queued for a place."""
    loop = asyncio.get_running_loop()
    late: list[float] = []

    async def wait(client: Client, ref: ImageRef) -> object:
        waiter = client.wait_for(ref, timeout=30, wait=tenacity.wait_fixed(60))
        began = loop.time()
        try:
            return await waiter
        finally:
            late.append(loop.time() - began - 30)

    async with RawServer(say(STALL)) as server, server.client(concurrency=8) as client:
        ends = await trial.ends(lambda ref: wait(client, ref), *images(crowd))
    assert {type(end) for end in ends} == {WaitTimeoutError}
    on_time(trial, late)
    trial.wire(server)


def on_time(trial: Trial, late: list[float]) -> None:
    assert min(late) >= -0.001
    late.sort()
    trial.entry.overshoots += [max(one, 0.0) for one in late]
    what = f"overshoot of {len(late):,} deadlines, p99, s"
    trial.figure(what, late[len(late) * 99 // 100], MOST_OVERSHOOT)
