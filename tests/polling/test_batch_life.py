"""Entering a batch, leaving it, and what it leaves behind."""

from __future__ import annotations

import asyncio
import contextlib
import traceback
from collections.abc import AsyncIterator

import pytest
import tenacity

from aitoearn_async import Batch, BatchStatistics, ClientClosedError, ImageRef, ImageTask
from aitoearn_async._polling.wait.state import PollResult, WaitState
from aitoearn_async._runtime.lifetime import Lifetime
from aitoearn_async._verdict import Verdict
from tests.polling.model import Service, batch, collect, images, never, now, timers, until_error

REFS = images(100)
ENDLESS = dict.fromkeys(REFS, 1e9)


async def test_it_is_for_one_use() -> None:
    """It is entered once, iterated inside, and says so if used otherwise."""
    waiting = batch(REFS[:1], Service())
    with pytest.raises(RuntimeError, match="not entered; iterate inside `async with`"):
        await anext(waiting)
    async with waiting:
        with pytest.raises(RuntimeError, match="open; make another one"):
            await waiting.__aenter__()
        assert [outcome.ref async for outcome in waiting] == REFS[:1]
        assert [outcome.ref async for outcome in waiting] == []
    with pytest.raises(RuntimeError, match="closed; iterate inside"):
        await anext(waiting)
    with pytest.raises(RuntimeError, match="closed; make another one"):
        await waiting.__aenter__()


async def test_one_that_is_never_entered_does_nothing() -> None:
    """No ref is read and nothing is asked."""
    refs = iter(REFS)
    service = Service()
    batch(refs, service)
    await asyncio.sleep(100)
    assert next(refs) == REFS[0]
    assert not service.polls


async def test_two_consumers_at_once() -> None:
    """The second is refused; the first goes on."""
    async with batch(REFS[:2], Service()) as waiting:
        first = asyncio.create_task(collect_inside(waiting))
        await asyncio.sleep(1)
        with pytest.raises(RuntimeError, match="already being iterated"):
            await anext(waiting)
        assert await first == 2


async def collect_inside(waiting: object) -> int:
    assert isinstance(waiting, AsyncIterator)
    return len([outcome async for outcome in waiting])


async def test_a_consumer_elsewhere_does_not_hang() -> None:
    """When the block is left, one who still waits for an outcome in another task is told."""
    async with batch(REFS, Service(ENDLESS)) as waiting:
        elsewhere = asyncio.create_task(collect_inside(waiting))
        await asyncio.sleep(1)
    with pytest.raises(RuntimeError, match="closed"):
        await elsewhere


@pytest.mark.parametrize("after", [0.0, 0.05, 0.1, 3.0, 100.0])
async def test_leaving_leaves_nothing(after: float) -> None:
    """No task, no timer and no request of it is left, at whatever moment one leaves."""
    before = asyncio.all_tasks()
    service = Service(ENDLESS)
    async with batch(REFS, service, timeout=1000, progress=lambda statistics: None):
        await asyncio.sleep(after)
        assert len(asyncio.all_tasks()) > len(before)
    assert asyncio.all_tasks() == before
    assert not timers()
    asked = service.polls.total()
    await asyncio.sleep(2000)
    assert service.polls.total() == asked


async def test_what_the_block_raises_goes_through() -> None:
    """It is the caller's error that comes out, and no report of a batch that was not done."""
    reports: list[BatchStatistics] = []
    before = asyncio.all_tasks()

    async def consume() -> None:
        async with batch(REFS, Service(), progress=reports.append) as waiting:
            await anext(waiting)
            raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        await consume()
    count = len(reports)
    assert asyncio.all_tasks() == before
    await asyncio.sleep(10)
    assert len(reports) == count


async def test_a_source_that_is_left_is_not_read_on() -> None:
    """A source that waits is cancelled, and may clean up; leaving waits until it has."""
    cleaned: list[float] = []

    async def source() -> AsyncIterator[ImageRef]:
        try:
            yield REFS[0]
            await never()
        finally:
            await asyncio.sleep(2)
            cleaned.append(now())

    async with batch(source(), Service()) as waiting:
        await anext(waiting)
    assert cleaned == [now()]


async def test_a_client_that_closes_ends_it_at_once() -> None:
    """Outcomes that are there come first; then it is over, in the same instant."""
    lifetime = Lifetime()
    service = Service({**ENDLESS, REFS[0]: 0.0})
    async with batch(REFS, service, lifetime=lifetime) as waiting:
        await asyncio.sleep(50)
        lifetime.close()
        begun = now()
        outcomes, error = await until_error(waiting)
        assert [outcome.ref for outcome in outcomes] == REFS[:1]
        assert isinstance(error, ClientClosedError)
        assert now() == begun
        asked = service.polls.total()
        await asyncio.sleep(100)
        assert service.polls.total() == asked


async def test_a_strategy_that_fails_ends_it() -> None:
    """The error of a caller's strategy comes out, and shows the line it is from."""

    def strategy(state: tenacity.RetryCallState) -> float:
        raise LookupError("no such delay")

    async with batch(REFS, Service(), wait=strategy) as waiting:
        outcomes, error = await until_error(waiting)
    assert not outcomes
    assert isinstance(error, LookupError)
    assert traceback.extract_tb(error.__traceback__)[-1].name == "strategy"


async def test_a_worker_that_somebody_cancels() -> None:
    """Nobody waits for ever for an outcome that a cancelled task would have brought."""
    mine = asyncio.all_tasks()
    async with batch(REFS, Service(ENDLESS)) as waiting:
        await asyncio.sleep(0.05)
        for task in asyncio.all_tasks() - mine:
            task.cancel()
        outcomes, error = await until_error(waiting)
    assert not outcomes
    assert isinstance(error, RuntimeError)
    assert "cancelled" in str(error)


async def _leave(waiting: Batch[ImageTask], after: float) -> float:
    """Leave a batch after so many seconds; return how long that takes."""
    mine = asyncio.all_tasks()
    async with asyncio.timeout(100):
        async with waiting:
            await asyncio.sleep(after)
            begun = now()
    assert asyncio.all_tasks() == mine
    assert not timers()
    return now() - begun


async def _deaf(seconds: float) -> None:
    """Sleep, and do not hear a cancellation, as `wait_for` of Python 3.11 now and then."""
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(seconds)


async def test_a_source_that_does_not_hear_of_the_end_is_not_read_on() -> None:
    """What it gives then is not asked for, and it is closed."""
    closed: list[float] = []

    async def source() -> AsyncIterator[ImageRef]:
        try:
            for ref in REFS:
                await _deaf(1)
                yield ref
        finally:
            closed.append(now())

    service = Service()
    assert not await _leave(batch(source(), service), 2.5)
    assert set(service.polls) == set(REFS[:2])
    assert closed == [now()]


async def test_a_hook_that_does_not_hear_of_the_end_is_not_called_again() -> None:
    reports: list[BatchStatistics] = []

    async def progress(statistics: BatchStatistics) -> None:
        reports.append(statistics)
        await _deaf(1)

    waiting = batch(REFS, Service(ENDLESS), progress=progress)
    assert await _leave(waiting, 1.5) == 1
    assert len(reports) == 2, "one while it was open, and the last one"


async def test_a_poll_that_does_not_hear_of_the_end_is_the_last_one() -> None:
    """What it brings ends no wait any more."""

    class Deaf(Service):
        async def poll(
            self, wait: WaitState[ImageTask], end: float
        ) -> PollResult[ImageTask] | Verdict:
            await _deaf(1)
            return await super().poll(wait, end)

    service = Deaf(dict.fromkeys(REFS, 0.0))
    waiting = batch(REFS, service, concurrency=8)
    assert await _leave(waiting, 0.5) == pytest.approx(service.latency)
    assert service.polls.total() == 8
    assert waiting.statistics().succeeded == 0


async def test_it_works_beside_another() -> None:
    """Two batches of the same refs, one inside the other, do not know of each other."""
    service = Service()
    async with batch(REFS, service) as outer:
        first = await anext(outer)
        inner = await collect(batch(REFS, service))
        rest = [outcome async for outcome in outer]
    assert {outcome.ref for outcome in inner} == {o.ref for o in [first, *rest]} == set(REFS)
    assert repr(outer) == "<Batch closed pending=0 ended=100>"
