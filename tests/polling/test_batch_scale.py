"""Many tasks: what is held, what it costs, and what the rest of the loop sees of it."""

from __future__ import annotations

import asyncio
import gc
import math
import random
import tracemalloc
from collections.abc import AsyncIterator, Iterator

import pytest
import tenacity

from aitoearn_async import ImageRef, ImageTask, Outcome, ServerError, wait_backoff
from aitoearn_async._polling.wait.state import PollResult, WaitState
from aitoearn_async._verdict import Verdict
from tests.polling.model import Service, as_image, batch, collect, images, now, timers

HOUR = 3600.0


class Instant(Service):
    """A service that answers in one turn of the loop, and keeps no record of each poll."""

    count = 0

    async def poll(self, wait: WaitState[ImageTask], end: float) -> PollResult[ImageTask] | Verdict:
        self.count += 1
        await asyncio.sleep(0)
        if (error := self.trouble(as_image(wait.ref), self.count)) is not None:
            return Verdict.on(error)
        over = now() >= wait.started + self.life.get(wait.ref, 10.0)  # type: ignore[call-overload]
        status = "success" if over else "generating"
        known = status == wait.status and wait.final_poll_for is None
        task = None if known else ImageTask(log_id=wait.ref.id, status=status)
        return PollResult(status, task, None, now())


class OnTheSecond(wait_backoff):
    """Delays that end with a whole second, so that many polls are due at once."""

    def after(self, polls: int) -> float:
        return math.ceil(now() + self.initial) - now()


@pytest.mark.usefixtures("untraced")
async def test_very_many_over_two_hours(crowd: int) -> None:
    """All end, in the order they end, with no more tasks and timers of the loop than workers."""
    generator = random.Random(1)
    refs = images(crowd)
    service = Instant({ref: generator.uniform(0, 2 * HOUR) for ref in refs})
    begun, tasks = now(), len(asyncio.all_tasks())
    most_tasks = most_timers = count = 0
    strategy = OnTheSecond(HOUR)
    async with batch(
        iter(refs), service, wait=strategy, timeout=4 * HOUR, concurrency=32
    ) as waiting:
        async for outcome in waiting:
            count += 1
            assert outcome.ok
            if count % 100 == 0:
                most_tasks = max(most_tasks, len(asyncio.all_tasks()) - tasks)
                most_timers = max(most_timers, len(timers()))
    assert count == len(refs)
    assert 1.9 * HOUR < now() - begun < 3.1 * HOUR
    assert most_tasks <= 32 + 2, "the workers, the reader, and the watch over the client"
    assert most_timers <= 2


async def test_a_crowd_that_waits_is_neither_tasks_nor_timers(crowd: int) -> None:
    """With all of them waiting, the loop knows of the workers and one alarm."""
    refs = images(crowd)
    tasks = len(asyncio.all_tasks())
    service = Instant(dict.fromkeys(refs, 1e9))
    async with batch(
        refs, service, timeout=1e6, wait=tenacity.wait_fixed(HOUR), concurrency=16
    ) as waiting:
        await asyncio.sleep(60)
        assert waiting.statistics().pending == crowd
        assert len(asyncio.all_tasks()) - tasks <= 16 + 2
        assert len(timers()) == 1
        loop = asyncio.get_running_loop()
        assert len(loop._scheduled) < 300, "cancelled ones too"  # type: ignore[attr-defined]


@pytest.mark.parametrize("max_pending", [1, 30, 300])
async def test_refs_are_read_as_room_frees_up(max_pending: int) -> None:
    """Never are more refs read than outcomes taken and room; and never is there room unused."""
    count = max(5 * max_pending, 100)
    pulled = taken = 0

    def source() -> Iterator[ImageRef]:
        nonlocal pulled
        for number in range(count):
            pulled += 1
            assert pulled - taken <= max_pending
            yield ImageRef(f"{number}")

    async with batch(source(), Instant(), max_pending=max_pending) as waiting:
        async for outcome in waiting:
            assert pulled - taken <= max_pending
            taken += 1
            assert outcome.ok
    assert pulled == taken == count


async def test_room_is_for_outcomes_too() -> None:
    """A ref given again and again takes up room each time, until its outcome is taken."""
    pulled = 0

    async def source() -> AsyncIterator[ImageRef]:
        nonlocal pulled
        for _ in range(100):
            pulled += 1
            yield ImageRef("same")

    async with batch(source(), Service(), max_pending=7) as waiting:
        await asyncio.sleep(1000)
        assert pulled == 7
        assert waiting.statistics().ready == 7
        assert len([outcome async for outcome in waiting]) == 100


async def test_a_slow_consumer_holds_everything_back() -> None:
    """While nobody takes outcomes, some pile up, and then nothing is polled or read."""
    refs = images(3_000)
    pulled = 0

    def source() -> Iterator[ImageRef]:
        nonlocal pulled
        for ref in refs:
            pulled += 1
            yield ref

    service = Instant(dict.fromkeys(refs, 0.0))
    async with batch(source(), service, max_pending=2000, concurrency=64) as waiting:
        await asyncio.sleep(HOUR)
        ready, asked = waiting.statistics().ready, service.count
        assert 1024 <= ready <= 1024 + 64
        assert asked == ready
        assert pulled == 2000
        await asyncio.sleep(HOUR)
        assert (service.count, pulled) == (asked, 2000)
        for _ in range(ready - 1023):
            await anext(waiting)
        await asyncio.sleep(HOUR)
        assert service.count > asked
        assert waiting.statistics().ready >= 1024
        assert ready - 1023 + len([outcome async for outcome in waiting]) == len(refs)


async def test_a_hungry_consumer_leaves_the_loop_to_others(crowd: int) -> None:
    """Thousands of waits that end at once while nobody looks: others get their turns."""
    refs = images(crowd)
    service = Instant(dict.fromkeys(refs, 1e9))
    strategy = tenacity.wait_fixed(HOUR)
    in_a_row = most_in_a_row = count = 0

    def turn() -> None:
        nonlocal in_a_row
        in_a_row = 0

    async with batch(refs, service, timeout=60, wait=strategy) as waiting:
        await asyncio.sleep(2 * HOUR)
        async for _ in waiting:
            count += 1
            if in_a_row == 0:
                asyncio.get_running_loop().call_soon(turn)
            in_a_row += 1
            most_in_a_row = max(most_in_a_row, in_a_row)
    assert count == len(refs)
    assert most_in_a_row <= 1024 + 200


@pytest.fixture
def small_heap() -> None:
    """Nothing that was there before the test is looked at by the collector, or listed by it.

    There is what earlier tests have left in caches, and a test collects a dozen times.
    """
    gc.collect()
    gc.freeze()


async def in_use() -> int:
    """Bytes allocated."""
    await asyncio.sleep(1)  # the loop itself still holds what woke the caller
    for _ in range(3):
        gc.collect()
    return tracemalloc.get_traced_memory()[0]


def outcomes_about() -> int:
    """How many outcomes there are, whoever holds them."""
    gc.collect()
    return sum(type(thing) is Outcome for thing in gc.get_objects())


@pytest.mark.sampled(4)
@pytest.mark.usefixtures("small_heap")
@pytest.mark.parametrize("leave_early", [False, True])
@pytest.mark.parametrize("trouble", [False, True])
async def test_memory_returns_to_base(leave_early: bool, trouble: bool) -> None:
    """After a batch, finished or left, nothing of it is kept; not even with errors about."""
    refs = images(120)
    poisoned = set(refs[::3]) if trouble else set()
    service = Instant(
        dict.fromkeys(refs[::2], 1e9),
        trouble=lambda ref, number: ServerError(500) if ref in poisoned else None,
    )

    async def one() -> None:
        async with batch(
            refs, service, timeout=60, patience=30, progress=lambda standing: None
        ) as waiting:
            async for _ in waiting:
                if leave_early:
                    break

    outcomes = outcomes_about()
    tracemalloc.start()
    try:
        await one()
        before = await in_use()
        await one()
        await one()
        after = await in_use()
    finally:
        tracemalloc.stop()
    assert outcomes_about() == outcomes
    assert after - before < 10_000, f"{after - before} bytes after two batches"


@pytest.mark.slow
@pytest.mark.usefixtures("small_heap")
async def test_a_waiting_task_costs_some_hundred_bytes(crowd: int) -> None:
    """What is held of a task that waits: its ref, its entry, its place in the agenda."""
    count = crowd
    service = Instant({ImageRef(f"{number:024}"): 1e9 for number in range(count)})
    tracemalloc.start()
    try:
        before = await in_use()
        source = (ImageRef(f"{number:024}") for number in range(count))
        async with batch(
            source, service, timeout=1e6, wait=tenacity.wait_fixed(HOUR), concurrency=16
        ) as waiting:
            await asyncio.sleep(60)
            assert waiting.statistics().pending == count
            after = await in_use()
    finally:
        tracemalloc.stop()
    assert (after - before) / count < 512


@pytest.mark.slow
@pytest.mark.usefixtures("small_heap")
async def test_an_outcome_taken_is_forgotten() -> None:
    """While a batch runs it holds no outcome that has been handed over."""
    refs = images(3_000)
    before = outcomes_about()
    async with batch(refs, Instant()) as waiting:
        for _ in range(2_000):
            await anext(waiting)
        standing = waiting.statistics()
        assert outcomes_about() - before <= standing.ready + 1
        assert await collect_rest(waiting) == 1_000


async def collect_rest(waiting: AsyncIterator[Outcome[ImageTask]]) -> int:
    return len([outcome async for outcome in waiting])


async def test_small_batches_in_great_number() -> None:
    """A hundred batches at once, each with its own few refs, all come to their end."""
    service = Service()
    groups = [images(300)[start : start + 3] for start in range(0, 300, 3)]
    results = await asyncio.gather(*(collect(batch(group, service)) for group in groups))
    for group, outcomes in zip(groups, results, strict=True):
        assert {outcome.ref for outcome in outcomes} == set(group)


class Large(Instant):
    """Echoes with each answer what a task was made from."""

    async def poll(self, wait: WaitState[ImageTask], end: float) -> PollResult[ImageTask] | Verdict:
        made_from = {"image": "A" * 50_000 + wait.ref.id}
        task = ImageTask(log_id=wait.ref.id, status="generating", request=made_from)
        return PollResult("generating", task, None, now())


@pytest.mark.usefixtures("small_heap")
async def test_what_answers_echo_is_not_held() -> None:
    """A batch keeps the status of each task, not the task: a million would be gigabytes."""
    count = 200
    tracemalloc.start()
    try:
        before = await in_use()
        async with batch(images(count), Large({}), wait=tenacity.wait_fixed(HOUR)) as waiting:
            await asyncio.sleep(60)
            assert waiting.statistics().pending == count
            after = await in_use()
    finally:
        tracemalloc.stop()
    assert (after - before) / count < 5000
