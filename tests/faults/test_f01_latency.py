"""Slow answers, and answers of very different speed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from statistics import quantiles

import pytest

from aitoearn_async import AnyRef, Client, ImageRef, VideoRef, wait_backoff
from tests.support.raw_server import Heard, Part, RawServer, good

from .harness import Row, Trial

ROW = Row(
    1,
    "The service is slow: 50 ms become 5 s, or ten times as long for some as for others",
    "A slow answer is waited for, not asked for again; connections stay within `concurrency`, "
    "and what is quick stays quick.",
)

REFS = [ImageRef(str(number)) for number in range(200)]


@pytest.mark.sampled(5)
@pytest.mark.parametrize("latency", [0.05, 0.5, 5.0])
@pytest.mark.parametrize("spread", [1.0, 10.0], ids=["even", "ten times"])
async def test_slow_is_not_lost(trial: Trial, latency: float, spread: float) -> None:
    """One request a call and one connection a place, whatever the latency."""
    dice = random.Random(1)

    def slow(heard: Heard) -> Iterable[Part]:
        return good(delay=latency * dice.uniform(1, spread) / spread)(heard)

    async with RawServer(slow) as server, server.client(concurrency=16, attempts=5) as client:
        calls = asyncio.ensure_future(trial.ends(client.get, *REFS, status="success"))
        most = await most_open(server, calls, latency / 9)
    trial.wire(server, exactly=len(REFS))
    trial.figure("connections for 16 places", len(server.lines), 16)
    assert most == 16


async def most_open(server: RawServer, calls: asyncio.Future[list[object]], often: float) -> int:
    """How many connections there are at most while calls run, as seen every so many seconds."""
    most = 0
    while not calls.done():
        most = max(most, server.open)
        await asyncio.sleep(often)
    await calls
    return most


@pytest.mark.slow
async def test_a_service_that_gets_slower(trial: Trial) -> None:
    """From 50 ms to 5 s while a batch waits: polls come later, none is repeated, none is lost."""
    loop = asyncio.get_running_loop()
    began = loop.time()

    def slower(heard: Heard) -> Iterable[Part]:
        age = loop.time() - began
        latency = 0.05 if age < 20 else 5.0
        return good("success" if age > 60 else "generating", delay=latency)(heard)

    async with RawServer(slower) as server, server.client(concurrency=64) as client:
        outcomes = await client.wait_all(REFS, wait=wait_backoff(10))
        trial.book(REFS, outcomes, status="success")
        polls = sum(outcome.polls for outcome in outcomes)
        assert client.statistics().failures == 0
    trial.wire(server, exactly=polls)
    trial.figure("connections for 64 places", len(server.lines), 64)


async def test_the_quick_are_not_held_up_by_the_slow(trial: Trial) -> None:
    """With one task in ten a hundred times slower, the p99 of the others is what it was."""
    loop = asyncio.get_running_loop()

    def uneven(heard: Heard) -> Iterable[Part]:
        return good(delay=5.0 if "/video/" in heard.path else 0.05)(heard)

    quick, slow = REFS[:180], [VideoRef(str(number)) for number in range(20)]
    took: list[float] = []

    async def timed(client: Client, ref: AnyRef) -> object:
        began = loop.time()
        task = await client.get(ref)
        if isinstance(ref, ImageRef):
            took.append(loop.time() - began)
        return task

    async with RawServer(uneven) as server, server.client(concurrency=64) as client:
        calls = asyncio.ensure_future(trial.ends(lambda ref: timed(client, ref), *slow))
        await asyncio.sleep(0.01)
        for start in range(0, len(quick), 20):
            await trial.ends(lambda ref: timed(client, ref), *quick[start : start + 20])
        await calls
    trial.wire(server, exactly=200)
    p99 = quantiles(took, n=100)[98]
    trial.figure("p99 of the quick beside the slow, ms (50 alone)", p99 * 1000, 60)


async def test_only_a_request_that_is_too_late_is_repeated(trial: Trial) -> None:
    """An answer just in time is taken; one just too late costs one more request."""
    times = iter([9.9, 10.1, 0.0])

    def just(heard: Heard) -> Iterable[Part]:
        return good(delay=next(times))(heard)

    async with RawServer(just) as server, server.client(request_timeout=10) as client:
        await trial.ends(client.get, REFS[0], status="success")
        await trial.ends(client.get, REFS[1], status="success")
        assert client.statistics().failures == 1
    trial.wire(server, exactly=3)
