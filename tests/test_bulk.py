"""Many tasks, as a user sees it: real requests to the emulator, in virtual time."""

from __future__ import annotations

import asyncio
import inspect
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import tenacity

from aitoearn_async import (
    AuthenticationError,
    BatchStatistics,
    Client,
    ClientClosedError,
    ImageRef,
    ImageTask,
    Outcome,
    ServiceUnreachableError,
    TaskFailedError,
    TaskNotFoundError,
    VideoRef,
    VideoTask,
    WaitTimeoutError,
)
from aitoearn_async.emulator import Emulator, Fault
from tests.polling.model import now, timers, until_error

HOUR = 3600.0


async def test_outcomes_as_they_come(aitoearn_service: Emulator, aitoearn_client: Client) -> None:
    """Of both kinds, each task whole, in the order they end."""
    refs: list[ImageRef] = [
        aitoearn_service.add_image(("generating", 40.0 - 3 * number), "success")
        for number in range(12)
    ]
    async with aitoearn_client.as_completed(refs, wait=tenacity.wait_fixed(1)) as batch:
        ended = [outcome.unwrap() async for outcome in batch]
    assert [task.ref for task in ended] == refs[::-1]
    assert all(task.images and task.request for task in ended), "whole tasks"


async def test_outcomes_in_the_order_asked(
    aitoearn_service: Emulator, aitoearn_client: Client
) -> None:
    """wait_all answers place by place, for what is asked twice too, whatever fails."""
    slow = aitoearn_service.add_image(("generating", 50), "success")
    failed = aitoearn_service.add_image(("generating", 5), "failed", error_message="no cats")
    missing = ImageRef("f" * 24)
    endless = aitoearn_service.add_image(("generating", HOUR), "success")
    asked = [slow, failed, slow, missing, endless, failed, slow]
    outcomes: list[Outcome[ImageTask]] = await aitoearn_client.wait_all(asked, timeout=100)
    assert [outcome.ref for outcome in outcomes] == asked
    assert [type(outcome.error) for outcome in outcomes] == [
        type(None),
        TaskFailedError,
        type(None),
        TaskNotFoundError,
        WaitTimeoutError,
        TaskFailedError,
        type(None),
    ]
    assert "no cats" in str(outcomes[1].error)
    polls = Counter(request.ref for request in aitoearn_service.requests)
    assert {outcome.ref: outcome.polls for outcome in outcomes} == polls


async def test_mixed_kinds(aitoearn_service: Emulator, aitoearn_client: Client) -> None:
    """Images and videos go together, each at its own cadence."""
    image = aitoearn_service.add_image(("generating", 100), "success")
    video = aitoearn_service.add_video(("InProgress", 100), "SUCCESS")
    refs: list[Any] = [image, video]
    first, second = await aitoearn_client.wait_all(refs)
    assert isinstance(first.task, ImageTask)
    assert isinstance(second.task, VideoTask)
    assert first.polls > second.polls


@pytest.mark.parametrize("source", [list, set, iter, lambda refs: (ref for ref in refs)])
@pytest.mark.parametrize("count", [0, 1, 20])
async def test_refs_come_from_anywhere(
    source: Callable[[list[ImageRef]], Any],
    count: int,
    aitoearn_service: Emulator,
    aitoearn_client: Client,
) -> None:
    """Any iterable will do, also an empty one, and an async one."""
    refs = [aitoearn_service.add_image() for _ in range(count)]
    outcomes = await aitoearn_client.wait_all(source(refs))
    assert sorted(outcome.ref for outcome in outcomes) == sorted(refs)

    async def later() -> AsyncIterator[ImageRef]:
        for ref in refs:
            await asyncio.sleep(1)
            yield ref

    outcomes = await aitoearn_client.wait_all(later())
    assert [outcome.ref for outcome in outcomes] == refs


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"refs": 5}, TypeError),
        ({"refs": ImageRef("a")}, TypeError),
        ({"timeout": -1}, ValueError),
        ({"timeout": float("nan")}, ValueError),
        ({"patience": "5"}, ValueError),
        ({"max_pending": 0}, ValueError),
        ({"max_pending": 1.5}, ValueError),
        ({"wait": 5}, ValueError),
    ],
    ids=str,
)
async def test_wrong_arguments_are_refused_at_the_call(
    arguments: dict[str, Any], error: type[Exception], aitoearn_client: Client
) -> None:
    """Before anything is read or sent."""
    with pytest.raises(error) as caught:
        aitoearn_client.as_completed(**{"refs": [], **arguments})
    # What a debugger shows of a batch that was not made does not fail in its turn.
    frames = [frame.frame.f_locals for frame in inspect.getinnerframes(caught.tb)]
    assert all(repr(frame.get("self")) for frame in frames)


async def test_a_wrong_key_ends_it_at_once(aitoearn_service: Emulator) -> None:
    """Thousands of tasks: no more requests than fit at the same time, and one error."""
    refs = [aitoearn_service.add_image() for _ in range(2000)]
    async with Client("wrong", base_url=aitoearn_service.url, concurrency=32) as client:
        begun = now()
        with pytest.raises(AuthenticationError):
            await client.wait_all(refs)
        assert now() - begun < 0.05
        assert len(aitoearn_service.requests) <= 2 * 32
        asked = len(aitoearn_service.requests)
        await asyncio.sleep(HOUR)
        assert len(aitoearn_service.requests) == asked


async def test_a_key_that_is_withdrawn(aitoearn_service: Emulator, aitoearn_client: Client) -> None:
    """The outcomes so far come first, then the error: after a second look, and no more polls."""
    done = [aitoearn_service.add_image("success") for _ in range(10)]
    going = [aitoearn_service.add_image(("generating", HOUR), "success") for _ in range(60)]
    async with aitoearn_client.as_completed([*done, *going]) as batch:
        await asyncio.sleep(30)
        aitoearn_service.fault(Fault(code=401, message="Unauthorized"), times=None)
        asked = len(aitoearn_service.requests)
        begun = now()
        outcomes, error = await until_error(batch)
        assert isinstance(error, AuthenticationError)
        assert {outcome.ref for outcome in outcomes} == set(done)
        assert now() - begun < 25
        assert len(aitoearn_service.requests) - asked <= 2 * len(going)
        asked = len(aitoearn_service.requests)
        await asyncio.sleep(HOUR)
        assert len(aitoearn_service.requests) == asked


async def test_one_401_among_good_answers(
    aitoearn_service: Emulator, aitoearn_client: Client
) -> None:
    """The service says it now and then, also of a task it is asked about for the first time."""
    early = [aitoearn_service.add_image(("generating", 30), "success") for _ in range(20)]
    late = aitoearn_service.add_image(("generating", 30), "success")
    aitoearn_service.fault(Fault(code=401, message="Unauthorized"), ref=late)

    async def source() -> AsyncIterator[ImageRef]:
        for ref in early:
            yield ref
        await asyncio.sleep(10)
        aitoearn_service.fault(Fault(code=401, message="Unauthorized"), ref=early[3])
        yield late

    outcomes = await aitoearn_client.wait_all(source())
    assert all(outcome.ok for outcome in outcomes)


async def test_closing_the_client_ends_it_at_once(aitoearn_service: Emulator) -> None:
    """The consumer is told in the same instant, and one that comes later is told so too."""
    refs = [aitoearn_service.add_image(("generating", HOUR), "success") for _ in range(100)]
    client = Client(aitoearn_service.api_key, base_url=aitoearn_service.url)
    aitoearn_service.fault(Fault(stall="head"), ref=refs[0], times=None)
    waiting = asyncio.create_task(client.wait_all(refs))
    await asyncio.sleep(20)
    begun = now()
    await client.aclose()
    with pytest.raises(ClientClosedError):
        await waiting
    assert now() - begun < 0.05
    with pytest.raises(ClientClosedError):
        await client.wait_all(refs)
    with pytest.raises(ClientClosedError):
        await client.wait_all([])


async def test_leaving_early_leaves_nothing(aitoearn_service: Emulator) -> None:
    """No task, no timer, no request: also where some are under way, or hang."""
    refs = [aitoearn_service.add_image(("generating", HOUR), "success") for _ in range(100)]
    quick = aitoearn_service.add_image("success")
    aitoearn_service.fault(Fault(stall="body"), ref=refs[0], times=None)
    async with Client(aitoearn_service.api_key, base_url=aitoearn_service.url) as client:
        before = asyncio.all_tasks()
        async with client.as_completed([*refs, quick]) as batch:
            async for outcome in batch:
                assert outcome.ref == quick
                break
        ours = {task.get_coro().__qualname__ for task in asyncio.all_tasks() - before}  # type: ignore[union-attr]
        assert not {name for name in ours if "Batch" in name or "RefReader" in name}
        assert client.statistics().in_flight == client.statistics().queued == 0
        asked = len(aitoearn_service.requests)
        await asyncio.sleep(HOUR)
        assert len(aitoearn_service.requests) == asked
        assert (await client.get(quick)).done
    await asyncio.sleep(HOUR)
    assert not timers()


async def test_a_cancelled_wait_for_all(
    aitoearn_service: Emulator, aitoearn_client: Client
) -> None:
    """A timeout of the caller's own ends it like leaving the block."""
    refs = [aitoearn_service.add_image(("generating", HOUR), "success") for _ in range(100)]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(60):
            await aitoearn_client.wait_all(refs)
    asked = len(aitoearn_service.requests)
    await asyncio.sleep(HOUR)
    assert len(aitoearn_service.requests) == asked


TROUBLE = [
    Fault(status=502),
    Fault(code=500),
    Fault(reset=True),
    Fault(garbage=True),
    Fault(truncate=20),
    Fault(stall="body"),
    Fault(status=429, headers={"Retry-After": "5"}),
    Fault(echo="f" * 24),
]


async def test_trouble_costs_polls_and_no_task(
    aitoearn_service: Emulator, aitoearn_client: Client
) -> None:
    """Faults of every kind, for some tasks now and then: all end well, each once."""
    refs = [aitoearn_service.add_image(("generating", 60), "success") for _ in range(80)]
    for ref, fault in zip(refs[::2], itertools.cycle(TROUBLE), strict=False):
        aitoearn_service.fault(fault, ref=ref, times=2)
    outcomes = await aitoearn_client.wait_all(refs)
    assert all(outcome.ok for outcome in outcomes)


async def test_a_task_that_only_fails_is_given_up(
    aitoearn_service: Emulator, aitoearn_client: Client
) -> None:
    """Its patience is its own, where no page has it; the others do not notice."""
    refs = [aitoearn_service.add_image(("generating", 200), "success") for _ in range(19)]
    strange = aitoearn_service.add_image(("generating", 200), "success", api_key="another-key")
    aitoearn_service.fault(Fault(code=500), ref=strange, times=None)
    outcomes = await aitoearn_client.wait_all([*refs, strange], patience=100)
    assert [outcome.ref for outcome in outcomes if not outcome.ok] == [strange]
    assert isinstance(outcomes[-1].error, ServiceUnreachableError)
    assert outcomes[-1].elapsed == pytest.approx(100, abs=1)  # from its first poll


async def test_unchanged_polls_are_cheap(
    aitoearn_service: Emulator, aitoearn_client: Client
) -> None:
    """One request id a wait, the last ETag with each poll, 304 for an answer; and all counted."""
    refs = [aitoearn_service.add_image(("generating", 60), "success") for _ in range(5)]
    async with aitoearn_client.as_completed(refs) as batch:
        assert all([outcome.ok async for outcome in batch])
        standing = batch.statistics()
    assert standing.polls == len(aitoearn_service.requests)
    # The first poll of each says "generating", the last "success".
    assert standing.unchanged == standing.polls - 2 * len(refs)
    ids: Counter[int] = Counter()
    for ref in refs:
        sent = [r.headers for r in aitoearn_service.requests if r.ref == ref]
        ids[len({headers["X-Request-Id"] for headers in sent})] += 1
        assert ["If-None-Match" in headers for headers in sent] == [False] + [True] * (
            len(sent) - 1
        )
    assert ids == {1: len(refs)}


async def test_a_304_for_something_else_is_not_believed(
    aitoearn_service: Emulator, aitoearn_client: Client
) -> None:
    """It says nothing of the answer that is known; so it is asked once more, without condition."""
    refs = [aitoearn_service.add_image(("generating", 20), "success") for _ in range(5)]
    async with aitoearn_client.as_completed(refs) as batch:
        await asyncio.sleep(5)
        aitoearn_service.fault(Fault(status=304, headers={"ETag": 'W/"other"'}), times=None)
        asyncio.get_running_loop().call_later(60, aitoearn_service.clear_faults)
        outcomes = [outcome async for outcome in batch]
    assert all(outcome.ok for outcome in outcomes)
    assert len(outcomes) == len(refs)


async def test_no_task_of_the_loop_for_each_wait(
    aitoearn_service: Emulator, aitoearn_client: Client
) -> None:
    """A thousand that wait are a thousand entries, and the workers sleep."""
    refs = [aitoearn_service.add_video(("InProgress", HOUR), "SUCCESS") for _ in range(1000)]
    reports: list[BatchStatistics] = []
    async with aitoearn_client.as_completed(refs, progress=reports.append) as batch:
        await asyncio.sleep(4)
        ours = [
            task
            for task in asyncio.all_tasks()
            if "Batch" in repr(task.get_coro()) or "RefReader" in repr(task.get_coro())
        ]
        assert len(ours) <= 64 + 3
        assert batch.statistics().pending == 1000
    assert len(reports) == 3 + 1 or len(reports) == 4 + 1
    assert reports[-1].pending == 1000


async def test_an_outcome_for_a_video(aitoearn_service: Emulator, aitoearn_client: Client) -> None:
    """A failed video is an outcome with the task and the reason."""
    ref = aitoearn_service.add_video(("InProgress", 5), "FAILURE", error_message="no dogs")
    [outcome] = await aitoearn_client.wait_all([ref])
    assert isinstance(outcome.ref, VideoRef)
    assert isinstance(outcome.task, VideoTask)
    with pytest.raises(TaskFailedError, match="no dogs"):
        outcome.unwrap()
