"""Trouble is charged to what caused it: seen from outside, over real sockets."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from aitoearn_async import (
    AiToEarnError,
    BreakerState,
    Client,
    GenerateImage,
    ImageRef,
    NotAskedError,
    RateLimitError,
    ServerError,
    ServiceUnreachableError,
    VideoRef,
)
from aitoearn_async.emulator import Emulator, Fault
from tests.support.raw_server import Heard, RawServer, Script, envelope, good, http, say, together

REQUEST = GenerateImage(model="gpt-image-2", prompt="a cat")


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    "fault",
    [Fault(status=503), Fault(code=500), Fault(close=True)],
    ids=["503", "500", "hung up"],
)
async def test_one_kind_of_task_is_down_and_the_other_notices_nothing(
    aitoearn_service: Emulator, aitoearn_client: Client, fault: Fault
) -> None:
    """Healthy videos end in time beside failing images, none of them held, and none given up."""
    loop = asyncio.get_running_loop()
    aitoearn_service.routes = aitoearn_service.routes - {"logs"}  # or pages would tell
    videos = [aitoearn_service.add_video(("InProgress", 60.0), "SUCCESS") for _ in range(5)]
    images = [aitoearn_service.add_image("generating") for _ in range(20)]
    for ref in images:
        aitoearn_service.fault(fault, ref, times=None)
    waits = [asyncio.create_task(aitoearn_client.wait_for(ref, patience=None)) for ref in images]
    began = loop.time()
    ends = await together(*(aitoearn_client.wait_for(ref) for ref in videos))
    assert [end.ref for end in ends] == videos
    assert loop.time() - began < 60 + 35
    assert aitoearn_client.statistics().outages == 1
    for wait in waits:
        wait.cancel()
    await together(*waits)


async def test_a_quota_on_submits_slows_no_poll(
    aitoearn_service: Emulator, aitoearn_client: Client
) -> None:
    loop = asyncio.get_running_loop()
    refused = Fault(status=429, headers={"Retry-After": "100"})
    aitoearn_service.fault(refused, route="submits", times=None)
    ref = aitoearn_service.add_image(("generating", 20.0), "success")
    submits = [asyncio.create_task(aitoearn_client.submit(REQUEST)) for _ in range(5)]
    began = loop.time()
    await aitoearn_client.wait_for(ref)
    assert loop.time() - began < 32
    assert aitoearn_client.statistics().paused_for > 60, "the submits are paused"
    for submit in submits:
        submit.cancel()
    await together(*submits)


@pytest.mark.parametrize(
    "fault",
    [Fault(status=429, headers={"Retry-After": "100"}), Fault(status=502)],
    ids=["asked to wait", "down"],
)
async def test_what_polls_are_told_slows_no_submit(
    aitoearn_service: Emulator, aitoearn_client: Client, fault: Fault
) -> None:
    loop = asyncio.get_running_loop()
    images = [aitoearn_service.add_image("generating") for _ in range(40)]
    for ref in images:
        aitoearn_service.fault(fault, ref, times=None)
    waits = [asyncio.create_task(aitoearn_client.wait_for(ref)) for ref in images]
    await asyncio.sleep(30)
    began = loop.time()
    assert await aitoearn_client.submit(REQUEST)
    assert loop.time() - began < 1
    for wait in waits:
        wait.cancel()
    await together(*waits)


async def test_while_a_route_is_down_a_submit_asks_first_for_what_costs_nothing(
    aitoearn_service: Emulator,
) -> None:
    """It goes out if that is answered, and does not if it is not."""
    service = aitoearn_service
    refs = [service.add_image("generating") for _ in range(20)]
    for ref in refs:
        service.fault(Fault(status=502), ref, times=None)
    async with Client(service.api_key, base_url=service.url, attempts=1) as client:
        await together(*map(client.get, refs))
        assert client.statistics().breaker is BreakerState.OPEN
        for answered in (True, False):
            if not answered:
                service.fault(Fault(status=502), route="models", times=None)
            before = len(service.requests)
            (end,) = await together(client.submit(REQUEST, check=False))
            asked = [request.method for request in service.requests[before:]]
            assert asked == ["GET", "POST"][: 1 + answered]
            assert isinstance(end, ImageRef if answered else ServerError)


async def test_one_task_that_is_told_to_wait_holds_up_nobody(
    aitoearn_service: Emulator, aitoearn_client: Client
) -> None:
    """A cache's 503 with a constant Retry-After, on one task of many."""
    poisoned = aitoearn_service.add_image("generating")
    told = Fault(status=503, headers={"Retry-After": "120"})
    aitoearn_service.fault(told, poisoned, times=None)
    others = [aitoearn_service.add_image(("generating", 50.0), "success") for _ in range(10)]
    wait = asyncio.create_task(aitoearn_client.wait_for(poisoned))
    outcomes = await aitoearn_client.wait_all(others)
    assert all(outcome.ok and outcome.elapsed < 62 for outcome in outcomes)
    assert aitoearn_client.statistics().held == 0
    wait.cancel()
    await together(wait)


@pytest.mark.slow
async def test_no_wait_ends_without_having_been_asked_for(
    aitoearn_service: Emulator, aitoearn_client: Client
) -> None:
    """Where a route is down for longer than patience lasts, each task has its last question."""
    aitoearn_service.routes = aitoearn_service.routes - {"logs"}  # or pages would tell
    refs = [aitoearn_service.add_image("generating") for _ in range(40)]
    await aitoearn_client.get(refs[0])
    for ref in refs:
        aitoearn_service.fault(Fault(status=502), ref, times=None)
    async with aitoearn_client.as_completed(refs, patience=60) as batch:
        outcomes = [outcome async for outcome in batch]
        assert batch.statistics().polls == sum(outcome.polls for outcome in outcomes)
    assert {type(outcome.error) for outcome in outcomes} == {ServiceUnreachableError}
    assert all(outcome.polls for outcome in outcomes)
    assert all("HTTP 502" in outcome.error.seen for outcome in outcomes)  # type: ignore[union-attr]


@pytest.mark.slow
async def test_a_last_question_that_is_answered_is_none() -> None:
    """The wait goes on: its patience is renewed, and so are the polls of all others."""

    def choose(heard: Heard) -> Script:
        return say(http(b"", 502)) if heard.at - server.heard[0].at < 58 else good("success")

    async with RawServer(choose=choose) as server, server.client() as client:
        refs = [ImageRef(f"task-{number}") for number in range(40)]
        outcomes = await client.wait_all(refs, patience=60)
        assert [outcome.error for outcome in outcomes if not outcome.ok] == []


@pytest.mark.slow
async def test_several_routes_that_are_down_are_down_together(
    aitoearn_service: Emulator, aitoearn_client: Client
) -> None:
    """Each has its own probe, and a submit asks for something that costs nothing first."""
    aitoearn_service.fault(Fault(status=502), times=None)
    refs: list[ImageRef | VideoRef] = []
    for _ in range(30):
        refs += [aitoearn_service.add_image(), aitoearn_service.add_video()]
    waits = [asyncio.create_task(aitoearn_client.wait_for(ref)) for ref in refs]
    await asyncio.sleep(60)
    assert aitoearn_client.statistics().outages == 2
    before = len(aitoearn_service.requests)
    with pytest.raises(AiToEarnError) as caught:
        await aitoearn_client.submit(REQUEST)
    assert isinstance(caught.value, NotAskedError) or caught.value.transient
    sent = [request for request in aitoearn_service.requests[before:] if request.method == "POST"]
    assert not sent
    for wait in waits:
        wait.cancel()
    await together(*waits)


async def test_two_gets_that_are_told_to_wait_hold_the_third() -> None:
    """It takes two, of one route."""
    busy = say(http(b"", 429, {"Retry-After": "9"}))
    async with RawServer(busy) as server, server.client(attempts=1) as client:
        for number, error in enumerate((RateLimitError, RateLimitError, NotAskedError)):
            with pytest.raises(error):
                await client.get(ImageRef(f"task-{number}"))
        with pytest.raises(RateLimitError):
            await client.get(VideoRef("film"))


async def test_retry_after_of_a_good_answer_is_the_hint_for_the_next_poll() -> None:
    """It is obeyed as any other; and it holds nobody else."""
    body = envelope({"logId": "a", "status": "generating"})
    hinted = say(http(body, headers={"Retry-After": "30"}))
    async with RawServer(hinted, hinted, good("success")) as server, server.client() as client:
        await client.wait_for(ImageRef("a"))
        gaps = [b.at - a.at for a, b in itertools.pairwise(server.heard)]
        assert all(30 <= gap <= 36.1 for gap in gaps)
        assert client.statistics().held == 0
