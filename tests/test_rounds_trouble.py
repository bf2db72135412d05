"""Pages of tasks that fail, are late, or say strange things: every wait still comes to its end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from aiohttp import ClientSession, TraceConfig, TraceRequestStartParams

from aitoearn_async import Client, VideoRef, WaitTimeoutError
from aitoearn_async.emulator import Emulator, Fault, lists, tasks

from .polling.model import timers
from .support import own_tasks
from .support.clock import ROUNDING
from .support.own_tasks import asked as _asked
from .support.own_tasks import images as _images
from .support.raw_server import envelope, http

always_the_same_chance = own_tasks.always_the_same_chance
service, client = own_tasks.service, own_tasks.client


def _videos(service: Emulator, count: int, seconds: float = 60.0) -> list[VideoRef]:
    return [service.add_video(("InProgress", seconds), "SUCCESS") for _ in range(count)]


_PAGE = http(envelope({"list": [], "total": 0}))
_FAULTS = {
    "no date": Fault(raw=_PAGE),
    "a date that is none": Fault(headers={"Date": "yesterday"}),
    "no validator": Fault(headers={"ETag": "none"}),
    "no list": Fault(status=200, body=envelope({"list": 5})),
    "a list of something": Fault(status=200, body=envelope({"list": [5, None], "total": 2})),
    "a key that is refused": Fault(code=401),
    "unchanged since another": Fault(status=304, headers={"ETag": '"another"'}),
}


@pytest.mark.sampled(5)
@pytest.mark.parametrize("fault", _FAULTS)
@pytest.mark.parametrize("times", [1, None])
async def test_strange_pages_cost_no_outcome(
    service: Emulator, client: Client, fault: str, times: int | None
) -> None:
    """Once or always: what they do not tell is asked for singly."""
    refs = _images(service, 30)
    async with client.as_completed(refs) as batch:
        await asyncio.sleep(5)
        service.fault(_FAULTS[fault], route="logs", times=times)
        outcomes = [outcome async for outcome in batch]
    assert {outcome.ref for outcome in outcomes} == set(refs)
    assert all(outcome.ok for outcome in outcomes)
    assert sum(outcome.polls for outcome in outcomes) < 360  # nine each, as without pages


@pytest.mark.sampled(2)
@pytest.mark.parametrize("row", [{"id": ""}, {"type": "video"}])
async def test_rows_of_something_else_are_passed_over(
    service: Emulator, client: Client, monkeypatch: pytest.MonkeyPatch, row: dict[str, Any]
) -> None:
    """Their tasks are on no page, and are asked about one by one."""
    plain = tasks.log_json

    def spoilt(task: Any, *rest: Any) -> bytes:
        return msgspec.json.encode({**msgspec.json.decode(plain(task, *rest)), **row})

    monkeypatch.setattr(tasks, "log_json", spoilt)
    outcomes = await client.wait_all(_images(service, 15))
    assert all(outcome.ok for outcome in outcomes)


@pytest.mark.slow
async def test_a_service_that_fails_every_page_is_asked_singly(
    service: Emulator, client: Client
) -> None:
    """No single row is the cause, so a minute goes by without pages."""
    service.fault(Fault(code=500), route="logs", times=None)
    refs = [*_images(service, 30), *_videos(service, 30)]
    outcomes = await client.wait_all(refs)
    assert all(outcome.ok for outcome in outcomes)
    assert _asked(service)["logs"] <= 500


@pytest.mark.slow
async def test_many_pages_are_kept_and_only_so_many(service: Emulator, client: Client) -> None:
    """Slow pages are asked for in parts, of which the last used ones are asked for as before."""
    service.fault(Fault(delay=1.5), route="logs", times=8)
    refs = [service.add_image(("generating", 200.0), "success") for _ in range(450)]
    outcomes = await client.wait_all(refs)
    assert all(outcome.ok for outcome in outcomes)
    asked = [request.path for request in service.requests if request.route == "logs"]
    assert len({path.partition("page=")[2] for path in asked}) > 16
    assert _asked(service)["image"] < 500


async def test_a_video_alone_on_its_page_is_fetched_by_itself(
    service: Emulator, client: Client
) -> None:
    """A page of the list pays from two ended videos on."""
    lives = [30.0] * 20 + [200.0] * 130 + [30.0]
    refs = [service.add_video(("InProgress", seconds), "SUCCESS") for seconds in lives]
    outcomes = await client.wait_all(refs)
    assert all(outcome.ok for outcome in outcomes)
    polls = {outcome.ref: outcome.polls for outcome in outcomes}
    assert polls[refs[-1]] >= 1


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    "fault",
    [Fault(code=500), Fault(status=502), Fault(status=200, body=envelope({"list": []}))],
    ids=["refused", "failed", "empty"],
)
@pytest.mark.parametrize("times", [1, None])
async def test_videos_whose_list_fails_are_fetched_singly(
    service: Emulator, client: Client, fault: Fault, times: int | None
) -> None:
    """What a page of whole videos does not bring, their own answers do."""
    service.fault(fault, route="videos", times=times)
    outcomes = await client.wait_all(_videos(service, 60))
    assert all(outcome.ok and outcome.task.video_url for outcome in outcomes)
    if times is None:
        assert _asked(service)["video"] >= 60


async def test_a_consumer_that_is_behind_holds_up_the_rounds(
    service: Emulator, client: Client
) -> None:
    """Nothing is asked for while a thousand outcomes lie there, and all comes afterwards."""
    refs = _videos(service, 1100, 30.0) + _videos(service, 20, 300.0)
    async with client.as_completed(refs) as batch:
        await asyncio.sleep(120)
        seen = len(service.requests)
        await asyncio.sleep(120)
        assert len(service.requests) == seen
        outcomes = [outcome async for outcome in batch]
    assert len(outcomes) == len(refs)
    assert all(outcome.ok for outcome in outcomes)


@pytest.mark.parametrize("page", ["/api/ai/logs", "/api/ai/video/generations"])
async def test_a_round_that_does_not_hear_of_the_end_is_the_last_one(page: str) -> None:
    """A hook of the caller's session may swallow the cancellation: nothing comes of it."""
    asking = asyncio.Event()

    async def deaf(_session: object, _context: object, request: TraceRequestStartParams) -> None:
        if request.url.path == page:
            asking.set()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(1)

    trace = TraceConfig()
    trace.on_request_start.append(deaf)
    async with Emulator() as service, ClientSession(trace_configs=[trace]) as session:
        refs = _videos(service, 30)
        async with Client(service.api_key, base_url=service.url, session=session) as client:
            async with client.as_completed(refs) as batch, asyncio.timeout(200):
                await asking.wait()
            assert batch.statistics().succeeded == 0
            asked = len(service.requests)
            await asyncio.sleep(100)
            assert len(service.requests) == asked
    assert not timers()


async def test_a_task_discarded_before_its_first_round_is_not_waited_for(
    service: Emulator, client: Client
) -> None:
    refs = _images(service, 20)
    async with client.as_completed(refs) as batch:
        await asyncio.sleep(0.1)
        assert batch.discard(refs[3])
        outcomes = [outcome async for outcome in batch]
    assert {outcome.ref for outcome in outcomes} == {*refs} - {refs[3]}


async def test_pages_that_are_refused_just_before_the_deadline(service: Emulator) -> None:
    """Where no time for another poll is left, the waits end in time, with how they stood."""
    refs = _videos(service, 12, 500.0)

    async def given() -> AsyncIterator[VideoRef]:
        for ref in refs[:9]:
            yield ref
        await asyncio.sleep(6)
        for ref in refs[9:]:
            yield ref

    service.fault(Fault(delay=4.0), route="video", times=18)
    service.fault(Fault(delay=58.0, status=404), route="logs", times=None)
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with (
        Client(service.api_key, base_url=service.url, request_timeout=100) as client,
        client.as_completed(given(), timeout=75) as batch,
    ):
        outcomes = [outcome async for outcome in batch]
    assert all(isinstance(outcome.error, WaitTimeoutError) for outcome in outcomes)
    assert all(outcome.elapsed <= 75.5 for outcome in outcomes)
    assert loop.time() - began < 90


async def _small_pages(service: Emulator, client: Client) -> None:
    """Let a client ask for pages of 25 rows."""
    service.fault(Fault(delay=1.5), route="logs", times=6)
    await client.wait_all([service.add_image(("generating", 90.0), "success") for _ in range(12)])
    service.clear_faults()


def _tell_of(monkeypatch: pytest.MonkeyPatch, total: int) -> None:
    """Let pages say that there are so many rows."""
    plain = lists.ListPage.encode
    monkeypatch.setattr(
        lists.ListPage, "encode", lambda page, rows: plain(replace(page, total=total), rows)
    )


async def test_a_row_that_cannot_be_read_hides_no_later_page(
    service: Emulator, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page with one readable row less is a full page all the same."""
    await _small_pages(service, client)
    refs = _images(service, 100)
    plain = tasks.log_json

    def spoilt(task: Any, *rest: Any) -> bytes:
        row = msgspec.json.decode(plain(task, *rest))
        return msgspec.json.encode({**row, "duration": "x"} if task.ref == refs[90] else row)

    monkeypatch.setattr(tasks, "log_json", spoilt)
    before = _asked(service)
    outcomes = await client.wait_all(refs)
    assert all(outcome.ok for outcome in outcomes)
    assert _asked(service)["image"] - before["image"] <= 130


async def test_a_total_that_is_too_low_hides_no_later_page(
    service: Emulator, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page that is full up to more rows than there are says so itself."""
    await _small_pages(service, client)
    _tell_of(monkeypatch, 10)
    before = _asked(service)
    outcomes = await client.wait_all(_images(service, 100))
    assert all(outcome.ok for outcome in outcomes)
    assert _asked(service)["image"] - before["image"] <= 130


@pytest.mark.sampled(3)
@pytest.mark.parametrize("most", [20, 7])
@pytest.mark.parametrize("kind", ["image", "video"])
async def test_a_service_that_caps_its_pages_is_asked_for_such_ones(
    service: Emulator, client: Client, monkeypatch: pytest.MonkeyPatch, most: int, kind: str
) -> None:
    """It gives fewer rows than were asked for, numbers its pages by them, and tells of more."""
    plain = lists._read

    def capped(text: str, kind: Any) -> Any:
        query = plain(text, kind)
        return query and msgspec.structs.replace(query, size=min(query.size, most))

    monkeypatch.setattr(lists, "_read", capped)
    refs = _images(service, 100) if kind == "image" else _videos(service, 100, 60.0)
    outcomes = await client.wait_all(refs)
    assert all(outcome.ok for outcome in outcomes)
    asked = _asked(service)
    assert asked["image"] + asked["video"] <= 130
    assert asked["logs"] <= 300


async def test_a_total_that_is_too_high_is_seen_to_be_wrong(
    service: Emulator, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages of others that were asked for in vain are not asked for again."""
    _tell_of(monkeypatch, 10**6)
    refs = [*_images(service, 100), *_images(service, 5, api_key="another-key")]
    outcomes = await client.wait_all(refs)
    assert all(outcome.ok for outcome in outcomes)
    asked = _asked(service)
    assert asked["logs"] <= 60
    assert asked["image"] <= 220


@pytest.mark.parametrize("together", [True, False])
async def test_a_task_that_is_to_be_left_alone_is_not_asked_for_because_of_a_page(
    service: Emulator, client: Client, together: bool
) -> None:
    """What the service asks for with a good answer holds, whatever is known of the task since."""
    refs = [service.add_image(("generating", 70.0), "success") for _ in range(20)]
    waiting = asyncio.ensure_future(
        client.wait_all(refs) if together else asyncio.gather(*map(client.wait_for, refs))
    )
    await asyncio.sleep(20)
    since = asyncio.get_running_loop().time()
    service.fault(Fault(headers={"Retry-After": "60"}), route="image", times=1)
    await waiting
    told, *others = [
        request for request in service.requests if request.route == "image" and request.at >= since
    ]
    assert told.at < since + 40
    again = [request.at for request in others if request.ref == told.ref]
    assert again[0] - told.at >= 60 - ROUNDING


@pytest.mark.sampled(4)
@pytest.mark.parametrize("seconds", [8, 40])
@pytest.mark.parametrize("status", [200, 429, 503])
async def test_pages_that_are_to_be_left_alone_are(
    service: Emulator, client: Client, status: int, seconds: int
) -> None:
    """For as long as one of them says; the tasks are asked singly, if that is long."""
    refs = [service.add_image(("generating", 30.0), "success") for _ in range(20)]
    async with client.as_completed(refs) as batch:
        await asyncio.sleep(15)
        headers = {"Retry-After": str(seconds)}
        fault = Fault(headers=headers, status=None if status == 200 else status)
        service.fault(fault, route="logs", times=1)
        since = asyncio.get_running_loop().time()
        outcomes = [outcome async for outcome in batch]
    assert all(outcome.ok for outcome in outcomes)
    assert max(outcome.elapsed for outcome in outcomes) < 42
    told, *later = [
        request.at for request in service.requests if request.route == "logs" and request.at > since
    ]
    assert not later or later[0] - told >= seconds


@pytest.mark.parametrize("status", [200, 429, 503])
async def test_pages_of_whole_videos_that_are_to_be_left_alone_are(
    service: Emulator, client: Client, status: int
) -> None:
    """Those that such a page would have brought are asked about singly."""
    fault = Fault(headers={"Retry-After": "60"}, status=None if status == 200 else status)
    service.fault(fault, route="videos", times=1)
    outcomes = await client.wait_all(_videos(service, 60))
    assert all(outcome.ok for outcome in outcomes)
    assert max(outcome.elapsed for outcome in outcomes) < 80
    told, *later = [request.at for request in service.requests if request.route == "videos"]
    assert not later or later[0] - told >= 60


async def test_two_batches_that_meet_a_strange_304_at_once_both_go_on(
    service: Emulator, client: Client
) -> None:
    """The second drops the page that the first has dropped, and still asks for."""
    refs = [service.add_image(("generating", 30.0), "success") for _ in range(40)]
    waits = [asyncio.create_task(client.wait_all(some)) for some in (refs[:20], refs[20:])]
    await asyncio.sleep(8)
    strange = Fault(status=304, headers={"ETag": '"another"'}, delay=2.0)
    service.fault(strange, route="logs", times=2)
    service.fault(Fault(delay=2.0), route="logs", times=2)
    for outcomes in await asyncio.gather(*waits):
        assert all(outcome.ok for outcome in outcomes)
