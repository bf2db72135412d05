"""Many tasks at a rate too low for them, or with a service that hangs: who is served when."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence

import pytest
import tenacity

from aitoearn_async import Client, WaitTimeoutError
from aitoearn_async.emulator import Emulator, Fault, Request
from tests.support.clock import ROUNDING

HOUR = 3600.0


@pytest.fixture
async def limited(aitoearn_service: Emulator) -> AsyncIterator[Client]:
    """A client that may begin 10 requests a second."""
    async with Client(
        aitoearn_service.api_key,
        base_url=aitoearn_service.url,
        requests_per_second=10,
        concurrency=16,
    ) as client:
        yield client


def most_in_a_second(requests: Sequence[Request]) -> int:
    """The most requests in any second, wherever it begins."""
    moments = [request.at for request in requests]
    most = first = 0
    for last, moment in enumerate(moments):
        while moments[first] <= moment - 1.0 + 1e-6:
            first += 1
        most = max(most, last - first + 1)
    return most


@pytest.mark.slow
@pytest.mark.usefixtures("untraced")
async def test_one_rate_for_all_a_client_does(aitoearn_service: Emulator, limited: Client) -> None:
    """Two batches and single waits besides: never more than 10 a second, and all are served."""
    first = [aitoearn_service.add_image(("generating", 60), "success") for _ in range(50)]
    second = [aitoearn_service.add_video(("InProgress", 60), "SUCCESS") for _ in range(50)]
    single = [aitoearn_service.add_image(("generating", 60), "success") for _ in range(25)]
    strategy = tenacity.wait_fixed(5)
    async with limited.as_completed(first, wait=strategy) as batch:
        others = asyncio.create_task(limited.wait_all(second, wait=strategy))
        alone = asyncio.gather(*(limited.wait_for(ref, wait=strategy) for ref in single))
        await asyncio.sleep(45)
        polls = Counter(request.ref for request in aitoearn_service.requests)
        standing = batch.statistics()
        assert all([outcome.ok async for outcome in batch])
        assert all(outcome.ok for outcome in await others)
        assert all(task.done for task in await alone)
    assert most_in_a_second(aitoearn_service.requests) <= 11
    assert len(aitoearn_service.requests) > 0.95 * 10 * 60, "and none of it is wasted"
    for group in (first, second, single):
        counts = [polls[ref] for ref in group]
        assert min(counts) >= 1
        assert max(counts) <= 2 * min(counts) + 1, "everyone in turn"
    assert standing.lag > 5
    assert standing.polls_per_second < 10


async def test_no_burst_after_a_pause(aitoearn_service: Emulator, limited: Client) -> None:
    """What was not used in a quiet hour is not made up for."""
    await limited.wait_all([aitoearn_service.add_image("success")])
    await asyncio.sleep(HOUR)
    del aitoearn_service.requests[:]
    await limited.wait_all([aitoearn_service.add_image("success") for _ in range(100)])
    assert most_in_a_second(aitoearn_service.requests) <= 11


@pytest.mark.slow
@pytest.mark.usefixtures("untraced")
async def test_deadlines_at_a_rate_far_too_low(aitoearn_service: Emulator) -> None:
    """Three hundred tasks at ten requests a second: each that has begun ends in its time."""
    refs = [aitoearn_service.add_image(("generating", HOUR), "success") for _ in range(300)]
    async with Client(
        aitoearn_service.api_key,
        base_url=aitoearn_service.url,
        requests_per_second=10,
        concurrency=8,
    ) as client:
        outcomes = await client.wait_all(refs, timeout=40)
    assert len(outcomes) == 300
    for outcome in outcomes:
        assert isinstance(outcome.error, WaitTimeoutError)
        assert 40 - ROUNDING <= outcome.elapsed <= 40.05


@pytest.mark.slow
@pytest.mark.usefixtures("untraced")
async def test_deadlines_while_every_request_hangs(aitoearn_service: Emulator) -> None:
    """With all workers at a request that gets no answer, all others still end in time."""
    refs = [aitoearn_service.add_image(("generating", HOUR), "success") for _ in range(60)]
    async with (
        Client(aitoearn_service.api_key, base_url=aitoearn_service.url, concurrency=8) as client,
        client.as_completed(refs, timeout=40) as batch,
    ):
        await asyncio.sleep(20)
        aitoearn_service.fault(Fault(stall="head"), times=None)
        outcomes = [outcome async for outcome in batch]
    assert len(outcomes) == 60
    for outcome in outcomes:
        assert isinstance(outcome.error, WaitTimeoutError)
        assert 40 - ROUNDING <= outcome.elapsed <= 40.05
        assert outcome.task is not None
        assert outcome.task.status == "generating"
