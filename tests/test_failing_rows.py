"""Waits whose own polls fail while the pages show how their tasks stand: the pages are believed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from aitoearn_async import (
    AnyRef,
    AnyTask,
    AuthenticationError,
    Client,
    ServiceUnreachableError,
    TaskNotFoundError,
    VideoTask,
    WaitTimeoutError,
)
from aitoearn_async.emulator import Emulator, Fault
from tests.support import own_tasks

always_the_same_chance = own_tasks.always_the_same_chance
service = own_tasks.service

PATIENCE = 60.0
LIFE = 400.0
"""Seconds: far more than the patience."""

Ends = Callable[..., Awaitable[list[AnyTask | Exception]]]


@pytest.fixture
async def client(service: Emulator) -> AsyncIterator[Client]:
    async with Client(service.api_key, base_url=service.url, request_timeout=10) as client:
        yield client


async def _by_batch(client: Client, refs: list[AnyRef], **options: Any) -> list[Any]:
    outcomes = await client.wait_all(refs, patience=PATIENCE, **options)
    return [outcome.error or outcome.task for outcome in outcomes]


async def _by_single_waits(client: Client, refs: list[AnyRef], **options: Any) -> list[Any]:
    waits = (client.wait_for(ref, patience=PATIENCE, **options) for ref in refs)
    return await asyncio.gather(*waits, return_exceptions=True)


both_ways = pytest.mark.parametrize("ends", [_by_batch, _by_single_waits], ids=["batch", "single"])


def _tasks(service: Emulator, kind: str, count: int, seconds: float = LIFE) -> list[AnyRef]:
    if kind == "image":
        return [service.add_image(("generating", seconds), "success") for _ in range(count)]
    return [service.add_video(("InProgress", seconds), "SUCCESS") for _ in range(count)]


def _outputs(task: AnyTask) -> object:
    return task.video_url if isinstance(task, VideoTask) else task.images


_FAULTS = {
    "500": Fault(code=500),
    "timeouts": Fault(stall="head"),
    "garbage": Fault(garbage=True),
    "502": Fault(status=502),
}
_UNKNOWN = {"image": Fault(code=404), "video": Fault(code=12302)}


@pytest.mark.sampled(9)
@both_ways
@pytest.mark.parametrize("kind", ["image", "video"])
@pytest.mark.parametrize(
    ("fault", "drafts"),
    # What else shows the outputs is asked when the pages have told, whatever the polls had said:
    # that they fail and that they know no task are the two ways to get there.
    # Where nothing else does, the page's word is the end: at once after a refusal, and when the
    # patience is over after trouble.
    [
        *((fault, True) for fault in (*_FAULTS, "unknown")),
        *((fault, False) for fault in ("500", "unknown", "502")),
    ],
)
async def test_a_task_that_only_pages_tell_of_is_waited_for(
    service: Emulator, client: Client, kind: str, fault: str, ends: Ends, drafts: bool
) -> None:
    """It ends as the pages say, and not before; with its outputs where drafts show them."""
    if not drafts:
        service.routes = service.routes - {"drafts"}
    refs = _tasks(service, kind, 20)
    # The first nine are polled at once. The others are polled to see whether pages live, and that
    # poll may hang while the last page comes.
    bad = refs[3], refs[15]
    for ref in bad:
        service.fault(_FAULTS.get(fault) or _UNKNOWN[kind], ref=ref, times=None)
    loop = asyncio.get_running_loop()
    began = loop.time()
    found = await ends(client, refs)
    assert LIFE <= loop.time() - began < LIFE + 30 + PATIENCE + 15
    for ref, task in zip(refs, found, strict=True):
        assert not isinstance(task, BaseException), task
        assert task.ref == ref
        assert task.done
        assert (ref in bad and not drafts) or kind == "image" or _outputs(task)
    asked = sum(request.ref in bad for request in service.requests)
    assert asked <= 2 * 20


@both_ways
async def test_the_last_page_is_heard_while_a_poll_hangs(
    service: Emulator, client: Client, ends: Ends
) -> None:
    """The first tasks are polled at once: all have ended, and no page comes after that."""
    refs = _tasks(service, "image", 20, seconds=3.0)
    service.fault(Fault(stall="head"), ref=refs[3], times=None)
    found = await ends(client, refs)
    assert [task for task in found if isinstance(task, Exception)] == []


@pytest.mark.sampled(3)
@both_ways
@pytest.mark.parametrize("kind", ["image", "video"])
@pytest.mark.parametrize(
    "fault",
    [Fault(garbage=True), Fault(status=200, body='{"status":500,"error":"no upstream"}')],
    ids=["garbage", "a gateway"],
)
async def test_a_route_that_is_down_longer_than_patience_costs_no_wait(
    service: Emulator, client: Client, kind: str, ends: Ends, fault: Fault
) -> None:
    """The pages show that all go on; when the route is back, each is fetched whole."""
    refs = _tasks(service, kind, 30)
    service.fault(fault, route=kind, times=None)
    asyncio.get_running_loop().call_later(LIFE - 50, service.clear_faults)
    found = await ends(client, refs)
    assert all(_outputs(task) for task in found if not isinstance(task, Exception))
    assert [isinstance(task, Exception) for task in found] == [False] * 30


@pytest.mark.sampled(2)
@both_ways
async def test_patience_runs_where_pages_fail_too(
    service: Emulator, client: Client, ends: Ends
) -> None:
    """Without any evidence a wait is given up as it is alone."""
    refs = _tasks(service, "image", 30)
    loop = asyncio.get_running_loop()
    moment = 100.0
    service.fault(Fault(status=502), ref=refs[20], times=None)
    loop.call_later(moment, service.fault, Fault(reset=True), None, None)
    found = await ends(client, refs)
    assert all(isinstance(error, ServiceUnreachableError) for error in found)
    assert moment + PATIENCE <= loop.time() < moment + PATIENCE + 45


@pytest.mark.sampled(2)
@both_ways
async def test_a_wait_that_only_pages_tell_of_keeps_its_deadline(
    service: Emulator, client: Client, ends: Ends
) -> None:
    refs = _tasks(service, "video", 20)
    service.fault(Fault(status=502), ref=refs[4], times=None)
    loop = asyncio.get_running_loop()
    began = loop.time()
    found = await ends(client, refs, timeout=250)
    assert loop.time() - began == pytest.approx(250, abs=0.5)
    assert all(isinstance(error, WaitTimeoutError) for error in found)


@both_ways
@pytest.mark.parametrize("kind", ["image", "video"])
async def test_an_unknown_task_that_is_on_no_page_is_refused(
    service: Emulator, client: Client, kind: str, ends: Ends
) -> None:
    """After one look at the pages."""
    refs = _tasks(service, kind, 20, 60.0)
    unknown = type(refs[0])("f" * 24)
    found = await ends(client, [unknown, *refs])
    assert isinstance(found[0], TaskNotFoundError)
    assert not any(isinstance(task, Exception) for task in found[1:])
    assert sum(request.ref == unknown for request in service.requests) <= 4


@both_ways
async def test_pages_do_not_undercut_a_retry_after(
    service: Emulator, client: Client, ends: Ends
) -> None:
    """Who is told to come back later does, whatever the pages say meanwhile."""
    refs = _tasks(service, "image", 20, 30.0)
    told = refs[7]
    service.fault(Fault(status=429, headers={"Retry-After": "120"}), ref=told)
    found = await ends(client, refs)
    assert not any(isinstance(task, Exception) for task in found)
    first, second = (request.at for request in service.requests if request.ref == told)
    assert second - first >= 120


async def test_polls_that_failed_are_repeated_within_patience_though_pages_hang(
    service: Emulator, client: Client
) -> None:
    """Each in time, where they failed at different times: pages have a part of the patience."""
    refs = _tasks(service, "video", 20, 100.0)
    first, later = refs[0], refs[5]
    service.fault(Fault(status=502, delay=9), ref=first)
    service.fault(Fault(status=502, delay=1), ref=later)
    service.fault(Fault(stall="head"), route="logs", times=None)

    async def in_two_parts() -> AsyncIterator[AnyRef]:
        for ref in refs:
            if ref == later:
                await asyncio.sleep(5)
            yield ref

    async with client.as_completed(in_two_parts(), patience=20) as batch:
        outcomes = [outcome async for outcome in batch]
    assert [outcome.error for outcome in outcomes] == [None] * 20


@both_ways
async def test_a_key_that_is_refused_is_no_end_of_a_task(
    service: Emulator, client: Client, ends: Ends
) -> None:
    """Though a page has said that it has ended: with another key its outputs can be had."""
    refs = _tasks(service, "image", 20)
    service.routes = service.routes - {"drafts"}
    refuse = partial(service.fault, Fault(status=401), times=None, route="image")
    asyncio.get_running_loop().call_later(LIFE - 1, refuse)
    (found,) = await asyncio.gather(ends(client, refs), return_exceptions=True)
    errors = [found] if isinstance(found, BaseException) else found
    assert {type(error) for error in errors} == {AuthenticationError}
    assert asyncio.get_running_loop().time() > LIFE


async def test_a_task_discarded_while_its_draft_is_asked_for_has_no_outcome(
    service: Emulator, client: Client
) -> None:
    """A page has said that it has ended, and its own polls fail."""
    refs = [*_tasks(service, "image", 20), *_tasks(service, "image", 1, LIFE + 60)]
    service.fault(Fault(status=502), ref=refs[3], times=None)
    service.fault(Fault(delay=5), route="drafts", times=None)
    async with client.as_completed(refs) as batch:
        while not any(asked.route == "drafts" for asked in service.requests):  # noqa: ASYNC110
            await asyncio.sleep(1)
        assert batch.discard(refs[3])
        outcomes = [outcome async for outcome in batch]
    assert {outcome.ref for outcome in outcomes} == {*refs} - {refs[3]}
    assert all(outcome.ok for outcome in outcomes)
