"""Many tasks of the caller's own, asked about by whole pages: fewer requests, the same outcomes."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
import tenacity

from aitoearn_async import Client, ImageRef, TaskFailedError, WaitTimeoutError
from aitoearn_async.emulator import Emulator, Fault, tasks
from aitoearn_async.emulator.task_table import TaskTable
from tests.support import own_tasks
from tests.support.own_tasks import asked as _asked
from tests.support.own_tasks import images as _images
from tests.support.own_tasks import videos as _videos

always_the_same_chance = own_tasks.always_the_same_chance
service, client = own_tasks.service, own_tasks.client


async def test_images_cost_little_more_than_their_last_answer(
    service: Emulator, client: Client
) -> None:
    """One answer each is the result itself; pages tell when to ask for it."""
    outcomes = await client.wait_all(_images(service, 100))
    assert all(outcome.ok and outcome.task.images for outcome in outcomes)
    asked = _asked(service)
    assert asked["image"] <= 125
    assert asked["logs"] <= 40


async def test_videos_are_fetched_by_pages_of_their_list(service: Emulator, client: Client) -> None:
    """Those that a sweep has ended come together, whole."""
    refs = _videos(service, 300)
    outcomes = await client.wait_all(refs)
    assert [outcome.ref for outcome in outcomes] == refs
    assert all(outcome.ok and outcome.task.video_url for outcome in outcomes)
    asked = _asked(service)
    assert asked["video"] <= 45
    assert asked["videos"] <= 20
    assert sum(asked.values()) <= 0.5 * 300


@pytest.mark.slow
async def test_the_oldest_of_a_bulk_are_found_on_its_last_pages(
    service: Emulator, client: Client
) -> None:
    """One of several processes that take their parts of it, the oldest first, begins with those."""
    refs = _images(service, 200)
    for _ in range(4_000):
        service.add_image(("generating", 1e6), "success")
    outcomes = await client.wait_all(refs)
    assert all(outcome.ok for outcome in outcomes)
    assert _asked(service)["image"] <= 220


async def test_pages_with_none_of_them_are_not_asked_for_again(
    service: Emulator, client: Client
) -> None:
    """Tasks that others made since fill many pages before them, and push them further."""
    refs = [service.add_image(("generating", 4.0 * n), "success") for n in range(1, 13)]
    for _ in range(2_500):
        service.add_image(("generating", 1e6), "success")
    wait = asyncio.create_task(client.wait_all(refs))
    while not wait.done():
        for _ in range(30):
            service.add_image(("generating", 1e6), "success")
        await asyncio.wait([wait], timeout=5.0)
    assert all(outcome.ok for outcome in wait.result())
    logs = [request for request in service.requests if request.route == "logs"]
    pages = Counter(parse_qs(urlsplit(request.path).query)["page"][0] for request in logs)
    assert pages["2"] == 1
    assert pages["1"] == pages["3"] > 3


async def test_the_first_round_waits_for_refs_that_are_on_their_way(
    service: Emulator, client: Client
) -> None:
    """Where pages are slow, those that come after it would be polled singly until the next one."""
    service.fault(Fault(delay=1.0), route="logs", times=None)

    async def taken() -> AsyncIterator[ImageRef]:
        for _ in range(7):
            for ref in _images(service, 20):
                yield ref
            await asyncio.sleep(0.3)

    async with client.as_completed(taken()) as batch:
        outcomes = [outcome async for outcome in batch]
    assert all(outcome.ok for outcome in outcomes)
    assert _asked(service)["image"] <= 160


async def test_a_few_tasks_are_asked_about_one_by_one(service: Emulator, client: Client) -> None:
    """Nine of a kind are no reason to look for pages."""
    outcomes = await client.wait_all([*_images(service, 9), *_videos(service, 9)])
    assert all(outcome.ok for outcome in outcomes)
    assert not _asked(service)["logs"]


async def test_a_slow_page_is_not_asked_for_again_so_soon(
    service: Emulator, client: Client
) -> None:
    """Rounds take up a twentieth of the service's time, if the pause is not too long with that."""
    service.fault(Fault(delay=0.4), route="logs", times=None)
    refs = [service.add_image(("generating", 900.0), "success") for _ in range(40)]
    async with client.as_completed(refs):
        await asyncio.sleep(7.5)
        assert _asked(service)["logs"] == 1
        await asyncio.sleep(9)
        assert _asked(service)["logs"] == 2


@pytest.mark.sampled(2)
@pytest.mark.parametrize("seconds", [0.9, 4.0, 8.0])
async def test_slow_pages_tell_of_an_end_no_later_than_single_polls_would(
    service: Emulator, client: Client, seconds: float
) -> None:
    """Those come every ten seconds or so. A page that is on its way may not know an end yet."""
    service.fault(Fault(delay=seconds), route="logs", times=None)
    refs = [service.add_image(("generating", 45.0 + number), "success") for number in range(40)]
    outcomes = await client.wait_all(refs)
    late = [outcome.elapsed - 45.0 - number for number, outcome in enumerate(outcomes)]
    assert max(late) < 12 + 2 * seconds


async def test_a_strategy_of_the_callers_own_knows_no_rounds(
    service: Emulator, client: Client
) -> None:
    """`wait=` says when each task is polled."""
    await client.wait_all(_images(service, 15), wait=tenacity.wait_fixed(5))
    assert not _asked(service)["logs"]


async def test_a_service_without_the_route_is_asked_for_it_once(
    service: Emulator, client: Client
) -> None:
    """Code 404 is remembered for good, by the client's next batches too."""
    service.routes = service.routes - {"logs"}
    for _ in range(2):
        outcomes = await client.wait_all(_images(service, 12))
        assert all(outcome.ok for outcome in outcomes)
    assert _asked(service)["logs"] == 1


async def test_tasks_of_another_key_are_asked_about_one_by_one(
    service: Emulator, client: Client
) -> None:
    """The pages have the caller's own only; the others end as well."""
    mine = _images(service, 40)
    others = _images(service, 10, api_key="another-key")
    outcomes = await client.wait_all([*mine, *others])
    assert all(outcome.ok for outcome in outcomes)
    polls = {outcome.ref: outcome.polls for outcome in outcomes}
    assert sum(polls[ref] for ref in mine) < 70
    assert all(polls[ref] > 2 for ref in others)


async def test_failures_have_their_reason(service: Emulator, client: Client) -> None:
    """A page knows none; the task's own answer does."""
    refs = [
        service.add_image(("generating", 30.0), "failed", error_message=f"no {number}")
        for number in range(20)
    ]
    for number, outcome in enumerate(await client.wait_all(refs)):
        assert isinstance(outcome.error, TaskFailedError)
        assert outcome.task is not None
        assert outcome.task.failure == f"no {number}"


@pytest.mark.parametrize("code", [500, 12302])
async def test_a_row_whose_own_route_fails_has_still_ended(
    service: Emulator, client: Client, code: int
) -> None:
    """Its outcome has the status that the page shows, instead of trouble until patience ends."""
    refs = _images(service, 20) if code == 500 else _videos(service, 20)
    began = asyncio.get_running_loop().time()
    async with client.as_completed(refs) as batch:
        await asyncio.sleep(15)
        service.spoil_row(refs[5], code)
        outcomes = {outcome.ref: outcome async for outcome in batch}
    spoilt = outcomes[refs[5]]
    assert spoilt.ok
    assert spoilt.task is not None
    assert spoilt.task.done
    assert asyncio.get_running_loop().time() - began < 200


@pytest.mark.slow
async def test_a_page_that_a_row_spoils_is_taken_apart(service: Emulator, client: Client) -> None:
    """The row is asked about singly, its neighbours by smaller pages."""
    refs = _images(service, 60)
    service.spoil_row(refs[30], None, in_logs=True)
    outcomes = await client.wait_all(refs)
    assert all(outcome.ok for outcome in outcomes)
    polls = Counter(outcome.polls for outcome in outcomes)
    assert polls[1] >= 45


async def test_a_route_that_dies_half_way_is_done_without(
    service: Emulator, client: Client
) -> None:
    """Every task still ends, by single polls."""
    refs = _images(service, 30)
    async with client.as_completed(refs) as batch:
        await asyncio.sleep(15)
        service.routes = service.routes - {"logs"}
        outcomes = [outcome async for outcome in batch]
    assert len(outcomes) == 30
    assert all(outcome.ok for outcome in outcomes)


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    "fault", [Fault(status=502), Fault(reset=True), Fault(status=200, body="<html>")]
)
async def test_pages_that_fail_for_a_while_cost_nothing_but_time(
    service: Emulator, client: Client, fault: Fault
) -> None:
    """The waits go back to single polls, and come to the same ends."""
    service.fault(fault, route="logs", times=5)
    outcomes = await client.wait_all(_images(service, 30))
    assert all(outcome.ok for outcome in outcomes)


async def test_deadlines_are_kept(service: Emulator, client: Client) -> None:
    """A task that runs on ends its wait in time, and has been asked about just before."""
    refs = [service.add_image(("generating", 1000.0), "success") for _ in range(15)]
    began = asyncio.get_running_loop().time()
    outcomes = await client.wait_all(refs, timeout=200)
    assert asyncio.get_running_loop().time() - began == pytest.approx(200, abs=0.5)
    for outcome in outcomes:
        assert isinstance(outcome.error, WaitTimeoutError)
        assert outcome.polls >= 1
        assert outcome.task is not None


async def test_tasks_made_meanwhile_are_waited_for_too(service: Emulator, client: Client) -> None:
    """New rows push the others to later pages."""

    async def made() -> AsyncIterator[ImageRef]:
        for _ in range(150):
            yield service.add_image(("generating", random.uniform(5, 40)), "success")
            await asyncio.sleep(0.2)

    async with client.as_completed(made()) as batch:
        outcomes = [outcome async for outcome in batch]
    assert len({outcome.ref for outcome in outcomes}) == 150
    assert all(outcome.ok for outcome in outcomes)
    assert _asked(service)["image"] < 200


async def test_a_task_polled_singly_brings_no_round_forward(
    service: Emulator, client: Client
) -> None:
    """It has been on a page, and will be on the next one in time."""
    await client.wait_all([service.add_video(("InProgress", 300.0), "SUCCESS") for _ in range(20)])
    asked = [request.at for request in service.requests if request.route == "logs"]
    pauses = [after - before for before, after in itertools.pairwise(asked)][1:]
    assert len(pauses) > 20
    assert min(pauses) > 5.0


async def test_ends_that_come_true_speak_for_the_pages(service: Emulator, client: Client) -> None:
    """Only where none does for half a minute is a task polled singly, to see whether they live."""
    refs = [service.add_image(("generating", 20.0 * n), "success") for n in range(1, 50)]
    outcomes = await client.wait_all(refs)
    assert all(outcome.ok for outcome in outcomes)
    # 15 or 19 more than there are tasks; some 43 if ends spoke for nothing.
    assert _asked(service)["image"] <= 49 + 29


async def test_leaving_a_batch_leaves_nothing_behind(service: Emulator, client: Client) -> None:
    """No round goes on, and no timer rings."""
    async with client.as_completed(_images(service, 50)) as batch:
        await anext(batch)
    seen = len(service.requests)
    await asyncio.sleep(120)
    assert len(service.requests) == seen


async def test_a_batch_that_waits_for_its_consumer_asks_for_no_pages(
    service: Emulator, client: Client
) -> None:
    """Discarded tasks are not asked about either."""
    refs = _images(service, 50)
    async with client.as_completed(refs) as batch:
        await asyncio.sleep(5)
        for ref in refs:
            assert batch.discard(ref)
        seen = len(service.requests)
        await asyncio.sleep(100)
        assert len(service.requests) == seen


async def test_tasks_that_run_on_after_their_wait_contradict_no_page(
    service: Emulator, client: Client
) -> None:
    """Waits that were discarded, or are out of time, say nothing of their tasks."""
    slow = [service.add_image(("generating", 500.0), "success") for _ in range(20)]
    outcomes = await client.wait_all(slow[:10], timeout=90)
    assert not any(outcome.ok for outcome in outcomes)
    async with client.as_completed([*slow[10:], *_images(service, 100)]) as batch:
        await asyncio.sleep(5)
        for ref in slow[10:]:
            assert batch.discard(ref)
        outcomes = [outcome async for outcome in batch]
    assert sum(outcome.polls for outcome in outcomes) <= 110


async def test_pages_that_say_too_early_that_all_is_over_are_not_believed(
    service: Emulator, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each task is asked itself; and after some of those the pages are left alone."""
    _spoil_rows(monkeypatch, status="success")
    refs = [service.add_image(("generating", 30.0), "success") for _ in range(30)]
    outcomes = await client.wait_all(refs)
    assert all(outcome.ok and outcome.elapsed >= 29 for outcome in outcomes)
    assert _asked(service)["logs"] <= 3


@pytest.mark.slow
async def test_pages_that_say_too_early_that_all_is_over_teach_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not more is asked than of a service without pages: lives are learned from whole answers."""
    _spoil_rows(monkeypatch, status="success")
    polls = []
    for routes in ({"image", "logs"}, {"image"}):
        async with (
            Emulator(routes=routes) as service,
            Client(service.api_key, base_url=service.url, attempts=1) as client,
        ):
            refs = [service.add_image(("generating", 60.0), "success") for _ in range(60)]
            await client.wait_all(refs)
            polls.append(_asked(service)["image"])
    with_pages, without = polls
    assert with_pages <= 1.2 * without + 60


async def test_pages_that_never_see_an_end_are_left(
    service: Emulator, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wait is polled singly now and then; what pages say of it afterwards shows that they lie."""
    _spoil_rows(monkeypatch, status="generating")
    refs = [service.add_image(("generating", 20.0), "success") for _ in range(80)]
    outcomes = await client.wait_all(refs)
    assert all(outcome.ok for outcome in outcomes)
    assert max(outcome.elapsed for outcome in outcomes) < 120


async def test_stale_pages_are_found_out_though_the_oldest_task_runs_on(
    service: Emulator, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is polled to see whether the pages live is chosen by chance."""
    _spoil_rows(monkeypatch, status="generating")
    lives = [600.0, *[20.0] * 60]
    refs = [service.add_image(("generating", seconds), "success") for seconds in lives]
    outcomes = await client.wait_all(refs)
    assert all(outcome.ok for outcome in outcomes)
    assert max(outcome.elapsed for outcome in outcomes[1:]) < 150


@pytest.mark.slow
async def test_rows_that_are_late_are_looked_for_again(
    service: Emulator, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tasks that are on no page at first are polled singly until they are."""
    plain = TaskTable.logged

    def late(table: TaskTable, account: str) -> Any:
        now = asyncio.get_running_loop().time()
        return (task for task in plain(table, account) if now - task.created >= 50)

    monkeypatch.setattr(TaskTable, "logged", late)
    refs = [service.add_image(("generating", 300.0), "success") for _ in range(50)]
    outcomes = await client.wait_all(refs)
    assert all(outcome.ok for outcome in outcomes)
    assert max(outcome.polls for outcome in outcomes) <= 18


async def test_pages_of_another_account_show_none_of_the_tasks(
    service: Emulator, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All are asked about one by one then."""
    refs = _images(service, 30)
    async with client.as_completed(refs) as batch:
        await asyncio.sleep(10)
        _spoil_rows(monkeypatch, id="f" * 24)
        outcomes = [outcome async for outcome in batch]
    assert len(outcomes) == 30
    assert all(outcome.ok for outcome in outcomes)


@pytest.mark.sampled(3)
@pytest.mark.parametrize("row", [{"status": None}, {"id": 5}, {"duration": "x"}, {"model": {}}])
async def test_a_row_that_cannot_be_read_is_passed_over(
    service: Emulator, client: Client, monkeypatch: pytest.MonkeyPatch, row: dict[str, Any]
) -> None:
    """Its task is asked about singly."""
    refs = _images(service, 40)
    _spoil_rows(monkeypatch, only=refs[7], **row)
    outcomes = await client.wait_all(refs)
    assert all(outcome.ok for outcome in outcomes)
    assert sum(outcome.polls for outcome in outcomes) < 80


def _spoil_rows(
    monkeypatch: pytest.MonkeyPatch, only: ImageRef | None = None, **fields: Any
) -> None:
    """Let the emulator's logs say something else of all tasks, or of one."""
    plain = tasks.log_json

    def spoilt(task: Any, *rest: Any) -> bytes:
        row = plain(task, *rest)
        if only is not None and task.ref != only:
            return row
        return msgspec.json.encode({**msgspec.json.decode(row), **fields})

    monkeypatch.setattr(tasks, "log_json", spoilt)


async def test_waiting_for_a_turn_is_not_the_services_time(service: Emulator) -> None:
    """Rounds are rare where pages are slow, and not where the client's own rate is low."""
    refs = [service.add_image(("generating", 5.0 + n / 2), "success") for n in range(100)]
    began = asyncio.get_running_loop().time()
    async with Client(service.api_key, base_url=service.url, requests_per_second=3) as client:
        outcomes = await client.wait_all(refs)
    assert all(outcome.ok for outcome in outcomes)
    # The last one ends after 55 seconds, and 100 answers take 34.
    assert asyncio.get_running_loop().time() - began < 70
    pages = [request.path for request in service.requests if request.ref is None]
    assert {page_size(path) for path in pages} == {1000}


def page_size(path: str) -> int:
    """The rows that a page was asked for."""
    return int(parse_qs(urlsplit(path).query)["pageSize"][0])


@pytest.mark.sampled(2)
@pytest.mark.parametrize("kind", ["image", "video"])
async def test_two_clients_of_one_key_cost_no_more_than_each_alone(kind: str) -> None:
    """Their tasks stand on the same pages; each asks for these itself, and goes by its own."""
    requests: list[int] = []
    for count in (1, 2):
        random.seed(3)
        async with contextlib.AsyncExitStack() as stack:
            date = datetime(2026, 1, 1, tzinfo=UTC)
            service = await stack.enter_async_context(Emulator(sweep=30.0, date=date))
            refs = _images(service, 100) if kind == "image" else _videos(service, 100)
            clients = [
                await stack.enter_async_context(Client(service.api_key, base_url=service.url))
                for _ in range(count)
            ]
            ends = await asyncio.gather(
                *(client.wait_all(refs[n::2]) for n, client in enumerate(clients))
            )
            assert [outcome.ref for outcome in ends[-1]] == refs[count - 1 :: 2]
            assert all(outcome.ok for outcomes in ends for outcome in outcomes)
            assert max(outcome.elapsed for outcomes in ends for outcome in outcomes) < 160
            requests.append(len(service.requests))
    assert requests[1] <= 2.2 * requests[0]
