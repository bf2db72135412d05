"""A batch and its time: deadlines, patience, what is due, and what is overdue."""

from __future__ import annotations

import asyncio
import contextvars
import math
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import TypeVarTuple

import pytest
import tenacity

from aitoearn_async import (
    ImageRef,
    ImageTask,
    RateLimitError,
    ServerError,
    ServiceUnreachableError,
    TaskNotFoundError,
    WaitTimeoutError,
)
from aitoearn_async._polling.wait.state import PollResult, WaitState
from aitoearn_async._verdict import Verdict
from aitoearn_async.emulator import VirtualTimeLoop
from tests.polling.model import Service, as_image, batch, collect, images, now, run
from tests.support.clock import ROUNDING

Ts = TypeVarTuple("Ts")

TIMELY = 0.05
FOREVER = 1e9


def endless(refs: list[ImageRef]) -> dict[ImageRef, float]:
    return dict.fromkeys(refs, FOREVER)


async def test_deadlines_when_hardly_any_poll_goes_out() -> None:
    """With four polls a second for a thousand tasks, most of them overdue, all end in time."""
    refs = images(1_000)
    service = Service(endless(refs), latency=1.0)
    # They begin within the first 250 s: each ends 400 s after that.
    outcomes = await collect(batch(refs, service, timeout=400, concurrency=4))
    assert len(outcomes) == len(refs)
    for outcome in outcomes:
        assert isinstance(outcome.error, WaitTimeoutError)
        assert 400 - ROUNDING <= outcome.elapsed <= 400 + TIMELY


class HangingService(Service):
    """A service that does not answer any more, once it is told to; nor hears of deadlines."""

    hangs = False

    async def poll(self, wait: WaitState[ImageTask], end: float) -> PollResult[ImageTask] | Verdict:
        return await super().poll(wait, FOREVER + now() if self.hangs else end)


async def test_deadlines_while_all_workers_hang() -> None:
    """Those that wait for a worker end in time; those that one polls, with their poll."""
    refs = images(1_000)
    service = HangingService(endless(refs))
    begun = now()
    late = 0
    async with batch(refs, service, timeout=100, concurrency=16) as waiting:
        asyncio.get_running_loop().call_later(50, setattr, service, "hangs", True)
        asyncio.get_running_loop().call_later(50, setattr, service, "latency", FOREVER)
        for _ in range(1_000 - 16):
            outcome = await anext(waiting)
            late += outcome.elapsed > 100 + TIMELY
        assert now() - begun < 110
        assert waiting.statistics().in_flight == 16
    assert not late


@pytest.mark.slow
async def test_patience_is_each_tasks_own() -> None:
    """A task the service keeps failing for is given up, in time; the others go on."""
    refs = images(50)
    service = Service(
        dict.fromkeys(refs, 1000.0),
        trouble=lambda ref, number: ServerError(500) if ref == refs[7] and number > 3 else None,
    )
    outcomes = await collect(batch(refs, service, patience=100))
    assert outcomes[0].ref == refs[7]
    assert isinstance(outcomes[0].error, ServiceUnreachableError)
    assert outcomes[0].elapsed == pytest.approx(15.3 + 100, abs=TIMELY + 0.1)
    assert outcomes[0].task is not None
    assert all(outcome.ok for outcome in outcomes[1:])


async def test_patience_that_runs_out_while_all_workers_hang() -> None:
    """A wait that is only to be given up needs no worker for it."""
    refs = images(12)
    service = HangingService(
        endless(refs),
        trouble=lambda ref, number: ServerError(503, retry_after=500) if ref == refs[0] else None,
    )
    async with batch(refs, service, patience=100, concurrency=4) as waiting:
        asyncio.get_running_loop().call_later(50, setattr, service, "hangs", True)
        asyncio.get_running_loop().call_later(50, setattr, service, "latency", FOREVER)
        outcome = await anext(waiting)
        assert isinstance(outcome.error, ServiceUnreachableError)
        assert outcome.elapsed == pytest.approx(100, abs=TIMELY)


async def test_patience_with_a_service_that_is_hardly_asked() -> None:
    """One failure, and a next poll that is late since there are so many: it is made all the same,
    and with as much time as any other."""
    refs = images(200)
    service = Service(
        latency=1.0, trouble=lambda ref, number: ServerError(502) if number == 1 else None
    )
    outcomes = await collect(batch(refs, service, patience=30, concurrency=2))
    assert all(outcome.ok for outcome in outcomes)
    assert {outcome.polls for outcome in outcomes} == {2}


async def test_a_definite_answer_is_told_at_once() -> None:
    """That there is no such task does not queue up behind the polls that are overdue."""
    refs = images(2_000)
    answered = math.nan

    def trouble(ref: ImageRef, number: int) -> TaskNotFoundError | None:
        nonlocal answered
        if (ref, number) != (refs[0], 2):
            return None
        answered = now()
        return TaskNotFoundError(404)

    service = Service(endless(refs), latency=1.0, trouble=trouble)
    async with batch(refs, service, concurrency=4) as waiting:
        outcome = await anext(waiting)
        assert outcome.ref == refs[0]
        assert now() == answered
        assert waiting.statistics().lag > 100


async def test_no_time_at_all() -> None:
    """timeout=0 looks at each once and ends everything, soon."""
    refs = images(1_000)
    service = Service()
    begun = now()
    outcomes = await collect(batch(refs, service, timeout=0))
    assert len(outcomes) == len(refs)
    assert {type(outcome.error) for outcome in outcomes} == {WaitTimeoutError}
    assert all(outcome.elapsed == pytest.approx(0.1, abs=TIMELY) for outcome in outcomes)
    assert service.polls == Counter(refs)
    assert now() - begun == pytest.approx(len(refs) * 0.1 / 8, abs=1), "8 at a time"


async def test_no_limit() -> None:
    """Without a timeout and patience, weeks of trouble end well."""
    [ref] = images(1)
    service = Service(
        {ref: 2e6}, trouble=lambda ref, number: ServerError(500) if number < 400 else None
    )
    [outcome] = await collect(batch([ref], service, wait=tenacity.wait_fixed(3600)))
    assert outcome.ok
    assert outcome.polls > 500


async def test_the_service_is_left_alone_when_it_asks_to_be() -> None:
    """The next poll of a task that is told to slow down is no sooner than asked."""
    refs = images(100)
    service = Service(
        trouble=lambda ref, number: RateLimitError(429, retry_after=60) if number == 1 else None
    )
    begun = now()
    outcomes = await collect(batch(refs, service, patience=5, concurrency=100))
    assert all(outcome.ok for outcome in outcomes)
    assert service.starts[99] < begun + 1
    assert begun + 60 - ROUNDING <= service.starts[100]
    assert len({round(start - begun, 1) for start in service.starts[100:200]}) > 20


@pytest.mark.usefixtures("untraced")
async def test_first_polls_of_many_are_spread_out(crowd: int) -> None:
    """No tenth of a second has much more than its share, and all are over in 10 s."""
    refs = images(crowd)
    service = Service(dict.fromkeys(refs, 0.0), latency=0.001)
    begun = now()
    await collect(batch(refs, service, concurrency=64))
    assert len(service.starts) == crowd
    tenths = Counter(int((start - begun) * 10) for start in service.starts)
    assert max(tenths.values()) <= 64 + 1.1 * max(100, crowd / 100), "64 are polled at once"
    assert max(service.starts) - begun <= 10.1


async def test_first_polls_of_few_are_at_once() -> None:
    """What the workers can do at once, they do at once; also later on, when room frees up."""
    refs = images(64)
    service = Service(dict.fromkeys(refs, 0.0))
    begun = now()
    await collect(batch(refs[:32], service, concurrency=32))
    assert now() - begun == pytest.approx(0.1, abs=0.01)

    async def source() -> AsyncIterator[ImageRef]:
        for ref in refs:
            yield ref
            await asyncio.sleep(0.5)

    begun = now()
    service = Service(dict.fromkeys(refs, 0.0))
    await collect(batch(source(), service, concurrency=1))
    delays = [start - begun - 0.5 * number for number, start in enumerate(service.starts)]
    assert delays == pytest.approx([0.0] * 64, abs=0.01)


async def test_everyone_is_served_in_turn() -> None:
    """When there are more tasks than polls, none is polled twice more often than another."""
    refs = images(100)
    service = Service(endless(refs), latency=1.0)
    await collect(batch(refs, service, timeout=1000, concurrency=2))
    assert max(service.polls.values()) - min(service.polls.values()) <= 2
    assert max(service.polls.values()) <= 1000 / 50 + 1


class SettableLoop(VirtualTimeLoop):
    """A loop whose clock can be put forward, as by code that holds the loop."""

    ahead = 0.0

    def time(self) -> float:
        return super().time() + self.ahead


class AwkwardService(Service):
    """The second poll of one task takes no turn of the loop, but some time: 30 ms."""

    def __init__(self, heavy: ImageRef, life: dict[ImageRef, float]) -> None:
        super().__init__(life, latency=0.0)
        self.heavy = heavy

    async def poll(self, wait: WaitState[ImageTask], end: float) -> PollResult[ImageTask] | Verdict:
        loop = asyncio.get_running_loop()
        if as_image(wait.ref) == self.heavy and wait.polls == 1:
            assert isinstance(loop, SettableLoop)
            loop.ahead += 0.03
            return PollResult("success", ImageTask(log_id=wait.ref.id, status="success"))
        return await super().poll(wait, end)


def test_time_that_runs_out_on_the_way_to_a_worker() -> None:
    """A task that has been handed to a worker, and then is out of time, is not polled."""
    heavy, other = images(2)
    service = AwkwardService(heavy, {heavy: 5.0, other: 5.0})

    async def main() -> None:
        # Both are due 20 ms before their deadline.
        strategy = tenacity.wait_fixed(20)
        first, second = await collect(
            batch([heavy, other], service, timeout=10, wait=strategy, concurrency=2)
        )
        assert {first.ref, second.ref} == {heavy, other}
        assert [type(outcome.error) for outcome in (first, second)].count(WaitTimeoutError) == 1

    run(main, SettableLoop)
    assert service.polls[other] == 1


class CountingLoop(VirtualTimeLoop):
    """Counts the timers that are set."""

    timers = 0

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        self.timers += 1
        return super().call_at(when, callback, *args, context=context)


def test_workers_that_are_all_busy_need_no_timer_to_go_on() -> None:
    """What is due is taken by the worker that is free, at once: a timer a poll is for nothing."""
    refs = images(40)
    service = Service(dict.fromkeys(refs, 500.0), latency=1.0)

    async def main() -> int:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, CountingLoop)
        strategy = tenacity.wait_none()
        await collect(batch(refs, service, timeout=5000, wait=strategy, concurrency=4))
        return loop.timers

    timers = run(main, CountingLoop)
    # Two for each poll are the service's own: its latency, and the end it is given.
    assert timers < service.polls.total() * 2.1
