"""Single waits of one client that are many: pages tell of them, and each ends as it would alone."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from typing import Any

import pytest
import tenacity

from aitoearn_async import (
    AuthenticationError,
    Client,
    ClientClosedError,
    ImageRef,
    ServiceUnreachableError,
    TaskFailedError,
    TaskNotFoundError,
    VideoRef,
    WaitTimeoutError,
)
from aitoearn_async._api.task_pages import TaskPages
from aitoearn_async.emulator import Emulator, Fault
from tests.support import own_tasks
from tests.support.clock import ROUNDING
from tests.support.own_tasks import asked as _asked
from tests.support.own_tasks import images as _images
from tests.support.own_tasks import videos as _videos

always_the_same_chance = own_tasks.always_the_same_chance
service, client = own_tasks.service, own_tasks.client


async def _end(client: Client, ref: ImageRef | VideoRef, **options: Any) -> Any:
    """Return what a wait comes to, whatever that is."""
    try:
        return await client.wait_for(ref, **options)
    except Exception as error:
        return error


async def test_a_hundred_images_cost_little_more_than_their_last_answer(
    service: Emulator, client: Client
) -> None:
    """The first nine are asked about before there are ten."""
    refs = _images(service, 100)
    tasks = await asyncio.gather(*map(client.wait_for, refs))
    assert [task.ref for task in tasks] == refs
    assert all(task.images for task in tasks)
    asked = _asked(service)
    assert asked["image"] <= 125
    assert asked["logs"] <= 40


async def test_a_hundred_videos_are_fetched_by_pages_of_their_list(
    service: Emulator, client: Client
) -> None:
    refs = _videos(service, 100)
    tasks = await asyncio.gather(*map(client.wait_for, refs))
    assert [task.ref for task in tasks] == refs
    assert all(task.video_url for task in tasks)
    assert sum(_asked(service).values()) <= 100


async def test_waits_that_pages_have_ended_tell_how_long_they_lasted(
    service: Emulator, client: Client
) -> None:
    """Until their ends, and not until they are asked."""
    waiters = [client.wait_for(ref) for ref in _videos(service, 100)]
    clock = asyncio.get_running_loop()
    begun = clock.time()
    await asyncio.gather(*waiters)
    lasted = clock.time() - begun
    await asyncio.sleep(50)
    assert all(0 < waiter.elapsed <= lasted + ROUNDING for waiter in waiters)


async def test_nine_waits_ask_for_themselves(service: Emulator, client: Client) -> None:
    await asyncio.gather(*map(client.wait_for, [*_images(service, 9), *_videos(service, 9)]))
    assert not _asked(service)["logs"]


async def test_pages_are_left_when_few_waits_are_left(service: Emulator, client: Client) -> None:
    """And are asked for again when there are many once more."""
    slow = [service.add_image(("generating", 300.0), "success") for _ in range(3)]
    waits = [asyncio.create_task(client.wait_for(ref)) for ref in slow]
    await asyncio.gather(*map(client.wait_for, _images(service, 20)))
    await asyncio.sleep(20)
    seen = _asked(service)["logs"]
    await asyncio.sleep(60)
    assert _asked(service)["logs"] == seen
    await asyncio.gather(*map(client.wait_for, _images(service, 20)))
    assert _asked(service)["logs"] > seen
    await asyncio.gather(*waits)


async def test_a_service_without_the_route_is_asked_for_it_once(
    service: Emulator, client: Client
) -> None:
    """Code 404 is remembered for good, for batches too."""
    service.routes = service.routes - {"logs"}
    for _ in range(2):
        await asyncio.gather(*map(client.wait_for, _images(service, 12)))
    await client.wait_all(_images(service, 12))
    assert _asked(service)["logs"] == 1


async def test_tasks_of_another_key_are_asked_about_one_by_one(
    service: Emulator, client: Client
) -> None:
    mine = _images(service, 40)
    others = _images(service, 10, api_key="another-key")
    await asyncio.gather(*map(client.wait_for, [*mine, *others]))
    polls = Counter(request.ref for request in service.requests if request.route == "image")
    assert sum(polls[ref] for ref in mine) < 90
    assert all(polls[ref] > 2 for ref in others)


async def test_each_end_is_its_own(service: Emulator, client: Client) -> None:
    """A failure has its reason, and an unknown task is not found."""
    refs = _images(service, 20)
    bad = service.add_image(("generating", 30.0), "failed", error_message="no cats")
    no_task = ImageRef("f" * 24)
    ends = await asyncio.gather(*(_end(client, ref) for ref in [*refs, bad, no_task]))
    assert [end.ref for end in ends[:20]] == refs
    assert isinstance(ends[20], TaskFailedError)
    assert ends[20].task.failure == "no cats"
    assert isinstance(ends[21], TaskNotFoundError)


async def test_deadlines_are_each_waits_own(service: Emulator, client: Client) -> None:
    """They are exact, and the task has been asked about just before."""
    refs = [service.add_image(("generating", 1000.0), "success") for _ in range(15)]
    loop = asyncio.get_running_loop()
    began = loop.time()
    ended: dict[int, float] = {}

    async def one(number: int) -> None:
        error = await _end(client, refs[number], timeout=50 + 10 * number)
        ended[number] = loop.time() - began
        assert isinstance(error, WaitTimeoutError)
        assert error.latest is not None
        last = [request.at for request in service.requests if request.ref == refs[number]][-1]
        assert loop.time() - last < 1.0

    await asyncio.gather(*map(one, range(15)))
    for number, seconds in ended.items():
        assert seconds == pytest.approx(50 + 10 * number, abs=0.1)


async def test_waits_without_a_deadline_end_with_their_tasks(
    service: Emulator, client: Client
) -> None:
    refs = _images(service, 20)
    tasks = await asyncio.gather(*(client.wait_for(ref, timeout=None) for ref in refs))
    assert all(task.done for task in tasks)


async def test_a_wait_that_is_cancelled_leaves_the_others_alone(
    service: Emulator, client: Client
) -> None:
    """Nothing is asked about it any more, and its running on is no contradiction."""
    refs = _images(service, 40)
    waits = [asyncio.create_task(client.wait_for(ref)) for ref in refs]
    await asyncio.sleep(10)
    for wait in waits[:15]:
        wait.cancel()
    done, _ = await asyncio.wait(waits)
    assert sum(wait.cancelled() for wait in done) == 15
    asked = Counter(request.ref for request in service.requests if request.route == "image")
    assert all(asked[ref] <= 1 for ref in refs[9:15])
    assert sum(asked[ref] for ref in refs[15:]) <= 40


async def test_the_last_wait_takes_the_rounds_with_it(service: Emulator, client: Client) -> None:
    """Even out of the middle of a page."""
    waits = [asyncio.create_task(client.wait_for(ref)) for ref in _images(service, 30)]
    await asyncio.sleep(5)
    service.fault(Fault(stall="head"), route="logs", times=None)
    await asyncio.sleep(5)
    for wait in waits:
        wait.cancel()
    await asyncio.wait(waits)
    seen = len(service.requests)
    await asyncio.sleep(120)
    assert len(service.requests) == seen


async def test_waits_that_begin_as_the_last_one_leaves_have_rounds_of_their_own(
    service: Emulator, client: Client
) -> None:
    """A round that is cancelled with the waits it was for says nothing of the next ones."""
    refs = _images(service, 40)
    service.fault(Fault(delay=5.0), route="logs")
    earlier = [asyncio.create_task(client.wait_for(ref)) for ref in refs]
    while not _asked(service)["logs"]:  # noqa: ASYNC110 - virtual time
        await asyncio.sleep(0.1)
    for wait in earlier:
        wait.cancel()
    later = [asyncio.create_task(client.wait_for(ref)) for ref in refs]
    await asyncio.gather(*earlier, return_exceptions=True)
    before = _asked(service)["logs"]
    await asyncio.sleep(20)
    assert _asked(service)["logs"] > before
    await asyncio.gather(*later)


async def test_a_client_that_closes_ends_all_of_them(service: Emulator) -> None:
    async with Client(service.api_key, base_url=service.url) as client:
        waits = [asyncio.create_task(_end(client, ref)) for ref in _images(service, 30)]
        await asyncio.sleep(5)
    ends = await asyncio.gather(*waits)
    assert all(isinstance(end, ClientClosedError) for end in ends)


async def test_a_cancelled_wait_can_be_taken_up_again(service: Emulator, client: Client) -> None:
    others = [asyncio.create_task(client.wait_for(ref)) for ref in _images(service, 30)]
    waiter = client.wait_for(service.add_image(("generating", 40.0), "success"))
    for _ in range(2):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await waiter
    assert (await waiter).done
    assert waiter.elapsed >= 39
    await asyncio.gather(*others)


async def test_two_waits_for_one_task_have_the_same_end(service: Emulator, client: Client) -> None:
    refs = _images(service, 20)
    tasks = await asyncio.gather(*map(client.wait_for, refs + refs))
    assert tasks[:20] == tasks[20:]


async def test_who_iterates_hears_of_each_change(service: Emulator, client: Client) -> None:
    """A page has no word for it, so each is asked about singly."""
    life = ("Queued", 20.0), ("InProgress", 40.0), "SUCCESS"
    others = [asyncio.create_task(client.wait_for(ref)) for ref in _videos(service, 30)]
    words = [task.status async for task in client.wait_for(service.add_video(*life))]
    assert words == ["Queued", "InProgress", "SUCCESS"]
    await asyncio.gather(*others)


@pytest.mark.slow
async def test_a_strategy_of_the_callers_own_knows_no_rounds(
    service: Emulator, client: Client
) -> None:
    strategy = tenacity.wait_fixed(5)
    refs = _images(service, 30)
    await asyncio.gather(*(client.wait_for(ref, wait=strategy) for ref in refs))
    assert not _asked(service)["logs"]


@pytest.mark.sampled(4)
@pytest.mark.parametrize(
    "fault", [Fault(status=502), Fault(reset=True), Fault(code=500), Fault(status=404)]
)
async def test_pages_that_fail_leave_the_waits_to_themselves(
    service: Emulator, client: Client, fault: Fault
) -> None:
    service.fault(fault, route="logs", times=None)
    tasks = await asyncio.gather(*map(client.wait_for, _images(service, 15)))
    assert all(task.done for task in tasks)


async def test_patience_with_a_service_that_is_gone(service: Emulator, client: Client) -> None:
    """A page that fails is trouble of no single task: patience begins with its own polls."""
    waits = [asyncio.create_task(_end(client, ref, patience=60)) for ref in _images(service, 15)]
    await asyncio.sleep(10)
    service.fault(Fault(reset=True), times=None)
    began = asyncio.get_running_loop().time()
    ends = await asyncio.gather(*waits)
    assert all(isinstance(end, ServiceUnreachableError) for end in ends)
    assert 60 <= asyncio.get_running_loop().time() - began < 100


async def test_a_key_that_is_withdrawn_ends_all_of_them(service: Emulator, client: Client) -> None:
    waits = [asyncio.create_task(_end(client, ref)) for ref in _images(service, 15)]
    await asyncio.sleep(10)
    service.fault(Fault(code=401), times=None)
    ends = await asyncio.gather(*waits)
    assert all(isinstance(end, AuthenticationError) for end in ends)


@pytest.mark.parametrize("code", [500, 12302])
async def test_a_row_whose_own_route_fails_has_still_ended(
    service: Emulator, client: Client, code: int
) -> None:
    refs = _images(service, 20) if code == 500 else _videos(service, 20)
    loop = asyncio.get_running_loop()
    began = loop.time()
    waits = [asyncio.create_task(_end(client, ref)) for ref in refs]
    await asyncio.sleep(15)
    service.spoil_row(refs[15], code)
    ends = await asyncio.gather(*waits)
    assert all(end.done for end in ends)
    assert loop.time() - began < 200


async def test_a_round_that_a_stranger_cancels_leaves_the_waits_to_themselves(
    service: Emulator, client: Client
) -> None:
    waits = [asyncio.create_task(client.wait_for(ref)) for ref in _images(service, 30)]
    await asyncio.sleep(5)
    service.fault(Fault(stall="head"), route="logs", times=2)
    await asyncio.sleep(10)
    rounds = [task for task in asyncio.all_tasks() if task.get_name() == "aitoearn-rounds"]
    assert len(rounds) == 1
    rounds[0].cancel()
    tasks = await asyncio.gather(*waits)
    assert all(task.done for task in tasks)


@pytest.mark.parametrize("is_batch", [False, True])
async def test_a_round_that_a_mistake_ends_leaves_the_waits_to_themselves(
    service: Emulator,
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    is_batch: bool,
) -> None:
    """The mistake is logged: no wait is there to raise it."""

    async def mistake(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(TaskPages, "logs", mistake)
    # All are over before rounds are tried once more.
    refs = [service.add_image(("generating", 10.0 + n / 2), "success") for n in range(30)]
    if is_batch:
        assert all(outcome.ok for outcome in await client.wait_all(refs))
    else:
        tasks = await asyncio.gather(*map(client.wait_for, refs))
        assert all(task.done for task in tasks)
    logged = [record for record in caplog.records if "a round failed" in record.getMessage()]
    assert len(logged) == 1
    assert "ZeroDivisionError" in logged[0].getMessage()


async def test_an_iteration_ends_with_the_end_that_pages_know(
    service: Emulator, client: Client
) -> None:
    """Where its own polls fail, while another wait for that task has met it on a page.

    There are so many that some of them still poll when the page comes.
    """
    refs = [service.add_image(("generating", 20.0 + n), "success") for n in range(40)]
    waits = [asyncio.create_task(client.wait_for(ref)) for ref in refs]

    async def last_word() -> str:
        word = ""
        with contextlib.suppress(ServiceUnreachableError):  # of those for whom no page was left
            async for task in client.wait_for(refs[15], patience=60):
                word = task.state.value if task.done else ""
        return word

    words = [asyncio.create_task(last_word()) for _ in range(30)]
    await asyncio.sleep(15)
    service.fault(Fault(status=502), refs[15], route="image", times=None)
    assert "succeeded" in await asyncio.gather(*words)
    await asyncio.gather(*waits)


async def test_a_wait_knows_the_end_that_it_came_to(service: Emulator, client: Client) -> None:
    """Where that is the word of a page, since the task's own route fails."""
    waiters = [client.wait_for(ref) for ref in _images(service, 20)]
    waits = [asyncio.ensure_future(waiter) for waiter in waiters]
    await asyncio.sleep(15)
    for waiter in waiters:
        service.spoil_row(waiter.ref, 500)
    assert await asyncio.gather(*waits) == [waiter.latest for waiter in waiters]
    assert all("SUCCEEDED" in repr(waiter) for waiter in waiters)


async def test_a_failed_poll_of_an_iteration_of_another_kind_is_only_a_failed_poll(
    service: Emulator, client: Client
) -> None:
    """Pages are not asked for a kind that is only iterated, and nothing is known of them."""
    (video,) = _videos(service, 1)
    waits = [asyncio.create_task(client.wait_for(ref)) for ref in _images(service, 12)]
    await asyncio.sleep(0.1)
    service.fault(Fault(status=502), video)
    seen = [task async for task in client.wait_for(video)]
    assert seen[-1].done
    await asyncio.gather(*waits)
