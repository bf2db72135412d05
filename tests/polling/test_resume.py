"""A wait that began earlier: its deadline, its cadence, and a ref that is discarded."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

import pytest
import tenacity

from aitoearn_async import (
    Client,
    ImageRef,
    ImageTask,
    Outcome,
    Resume,
    ServerError,
    ServiceUnreachableError,
    TaskRef,
    WaitTimeoutError,
    wait_backoff,
)
from aitoearn_async._polling.wait.resume import polls_until
from aitoearn_async.emulator import Emulator, Fault
from tests.polling.model import Service, batch, images
from tests.support.clock import ROUNDING

BACKOFF = wait_backoff(1, 2, 8, jitter=0)


@pytest.mark.parametrize(
    ("age", "polls", "due"),
    # Polls come at 0, 1, 3, 7, 15, 23, ...
    [
        (0.5, 1, 0.5),
        (1.0, 2, 2.0),
        (6.0, 3, 1.0),
        (7.5, 4, 7.5),
        (20.0, 5, 3.0),
        (8_007, 1004, 8.0),
    ],
)
def test_the_cadence_goes_on_where_it_stood(age: float, polls: int, due: float) -> None:
    """The next poll is due when it would have been, had nobody stopped waiting."""
    reckoned, delay = polls_until(BACKOFF, age, 10_000.0)
    assert reckoned == polls
    assert delay == pytest.approx(due)


def test_a_strategy_that_never_waits_is_due_at_once() -> None:
    """It is not reckoned for ever."""
    assert polls_until(tenacity.wait_none(), 100.0, 0.0)[1] == 0.0


def test_an_age_beyond_all_reason_is_reckoned_at_once() -> None:
    """The polls are so many that no float holds their number."""
    polls, due = polls_until(tenacity.wait_fixed(1e-3), 1e308, 0.0)
    assert polls > 1e15
    assert due == 0.0


async def outcome_of(
    client: Client, ref: ImageRef, resume: Resume, timeout: float
) -> Outcome[ImageTask]:
    async with client.as_completed(
        [ref], timeout=timeout, wait=BACKOFF, resume=lambda _: resume
    ) as waiting:
        return await anext(waiting)


async def test_the_deadline_counts_from_the_beginning(
    aitoearn_service: Emulator, aitoearn_client: Client
) -> None:
    """After 90 of 100 seconds there are ten more."""
    ref = aitoearn_service.add_image(("generating", 1e9), "success")
    loop = asyncio.get_running_loop()
    began = loop.time()
    outcome = await outcome_of(aitoearn_client, ref, Resume(age=90.0), 100.0)
    assert isinstance(outcome.error, WaitTimeoutError)
    assert 10 - ROUNDING <= loop.time() - began <= 10.05
    assert outcome.elapsed == pytest.approx(100, abs=0.05)


async def test_an_older_one_among_younger_ones_ends_in_time(
    aitoearn_service: Emulator, aitoearn_client: Client
) -> None:
    """Deadlines need not come in the order in which refs are given."""
    refs = [aitoearn_service.add_image(("generating", 1e9), "success") for _ in range(5)]
    ages: dict[TaskRef[ImageTask], float] = dict(
        zip(refs, (0.0, 50.0, 20.0, 90.0, 70.0), strict=True)
    )
    loop = asyncio.get_running_loop()
    began = loop.time()
    ends: dict[TaskRef[ImageTask], float] = {}
    async with aitoearn_client.as_completed(
        refs, timeout=100, wait=BACKOFF, resume=lambda ref: Resume(age=ages[ref])
    ) as waiting:
        async for outcome in waiting:
            assert isinstance(outcome.error, WaitTimeoutError)
            ends[outcome.ref] = loop.time() - began
    for ref, age in ages.items():
        assert 100 - age - ROUNDING <= ends[ref] <= 100 - age + 0.05


@pytest.mark.parametrize("age", [80.0, 10.0], ids=["soon", "when polls have waited for long"])
async def test_a_crowd_that_began_earlier_ends_in_time_at_any_rate(
    aitoearn_service: Emulator, age: float
) -> None:
    """Though their polls have to wait for longer than they have left, and in whatever order."""
    service = aitoearn_service
    refs = [service.add_image(("generating", 1e9), "success") for _ in range(300)]
    ages: dict[TaskRef[ImageTask], float] = {
        ref: age - number % 7 for number, ref in enumerate(refs)
    }
    loop = asyncio.get_running_loop()
    began = loop.time()
    late: list[float] = []
    async with (
        Client(service.api_key, base_url=service.url, requests_per_second=1) as client,
        client.as_completed(
            refs, timeout=100, wait=BACKOFF, resume=lambda ref: Resume(age=ages[ref])
        ) as waiting,
    ):
        async for outcome in waiting:
            assert isinstance(outcome.error, WaitTimeoutError)
            late.append(loop.time() - began - (100 - ages[outcome.ref]))
    assert len(late) == 300
    assert max(late) <= 0.05
    assert min(late) >= -ROUNDING


async def test_one_that_is_out_of_time_is_given_up_at_once(
    aitoearn_service: Emulator, aitoearn_client: Client
) -> None:
    """It is not asked any more."""
    ref = aitoearn_service.add_image("success")
    outcome = await outcome_of(aitoearn_client, ref, Resume(age=101.0), 100.0)
    assert isinstance(outcome.error, WaitTimeoutError)
    assert not aitoearn_service.requests


async def test_one_that_is_out_of_time_is_asked_once_where_that_is_wanted(
    aitoearn_service: Emulator, aitoearn_client: Client
) -> None:
    """It has ended maybe, while nobody looked; where it runs on, it is given up then."""
    done = aitoearn_service.add_image("success")
    stuck = aitoearn_service.add_image(("generating", 1e9), "success")
    resume = Resume(age=150.0, at_least_once=True)
    outcome = await outcome_of(aitoearn_client, done, resume, 100.0)
    assert outcome.ok
    outcome = await outcome_of(aitoearn_client, stuck, resume, 100.0)
    assert isinstance(outcome.error, WaitTimeoutError)
    assert outcome.error.latest is not None
    assert outcome.elapsed == pytest.approx(150, abs=0.1)
    assert [request.ref for request in aitoearn_service.requests] == [done, stuck]


async def test_a_poll_that_fails_is_one(
    aitoearn_service: Emulator, aitoearn_client: Client
) -> None:
    """One that the service cannot show would be asked for without end otherwise."""
    ref = aitoearn_service.add_image("success")
    aitoearn_service.fault(Fault(status=500), times=None)
    outcome = await outcome_of(aitoearn_client, ref, Resume(age=150.0, at_least_once=True), 100.0)
    assert isinstance(outcome.error, WaitTimeoutError)
    assert isinstance(outcome.error.__cause__, ServerError)
    assert len(aitoearn_service.requests) == 1


@pytest.mark.parametrize("age", [95.0, 99.0])
async def test_the_first_poll_is_no_later_than_the_deadline(
    aitoearn_service: Emulator, aitoearn_client: Client, age: float
) -> None:
    """Of one that is to be asked before it is given up, though the cadence has it later."""
    ref = aitoearn_service.add_image(("generating", 1e9), "success")
    loop = asyncio.get_running_loop()
    began = loop.time()
    resume = Resume(age=age, at_once=False, at_least_once=True)
    outcome = await outcome_of(aitoearn_client, ref, resume, 100.0)
    assert isinstance(outcome.error, WaitTimeoutError)
    assert 100 - age - ROUNDING <= loop.time() - began <= 100 - age + 0.05
    assert len(aitoearn_service.requests) == 1


@pytest.mark.parametrize("age", [150.0, 95.0, 20.0], ids=["over", "nearly over", "left to pages"])
async def test_a_crowd_is_asked_once_each_at_any_rate(
    aitoearn_service: Emulator, age: float
) -> None:
    """However long that takes, where it is wanted. Those that have ended have their outcome."""
    service = aitoearn_service
    refs = [service.add_image("success") for _ in range(100)]
    async with (
        Client(service.api_key, base_url=service.url, requests_per_second=0.001) as client,
        client.as_completed(
            refs, timeout=100, resume=lambda _: Resume(age=age, at_least_once=True)
        ) as waiting,
    ):
        await asyncio.sleep(200)
        statistics = waiting.statistics()
        assert statistics.pending + statistics.in_flight == 99
        client.requests_per_second = 10
        outcomes = [outcome async for outcome in waiting]
    assert all(outcome.ok for outcome in outcomes)
    assert len(outcomes) == 100
    assert len(service.requests) <= 101


async def test_one_that_cannot_be_asked_is_not_given_up(
    aitoearn_service: Emulator, aitoearn_client: Client
) -> None:
    """A request that did not reach the service is no answer. When it is back each is asked."""
    refs = [aitoearn_service.add_image("success") for _ in range(20)]
    await aitoearn_client.get(refs[0])  # or the address may be wrong
    aitoearn_service.fault(Fault(reset=True), times=None)
    async with aitoearn_client.as_completed(
        refs, timeout=100, patience=None, resume=lambda _: Resume(age=150.0, at_least_once=True)
    ) as waiting:
        await asyncio.sleep(600)
        statistics = waiting.statistics()
        assert statistics.pending + statistics.in_flight == 20
        aitoearn_service.clear_faults()
        outcomes = [outcome async for outcome in waiting]
    assert [outcome.ok for outcome in outcomes] == [True] * 20


async def test_patience_ends_one_that_cannot_be_asked(
    aitoearn_service: Emulator, aitoearn_client: Client
) -> None:
    """As it ends any other, and sooner where the address is wrong, it seems."""
    ref = aitoearn_service.add_image("success")
    aitoearn_service.fault(Fault(reset=True), times=None)
    loop = asyncio.get_running_loop()
    for answered, patience in ((False, 8.0), (True, 60.0)):
        if answered:
            aitoearn_service.clear_faults()
            await aitoearn_client.get(ref)
            aitoearn_service.fault(Fault(reset=True), times=None)
        began = loop.time()
        async with aitoearn_client.as_completed(
            [ref],
            timeout=100,
            patience=60.0,
            resume=lambda _: Resume(age=150.0, at_least_once=True),
        ) as waiting:
            outcome = await anext(waiting)
        assert isinstance(outcome.error, ServiceUnreachableError)
        assert (outcome.error.address is None) == answered
        assert loop.time() - began == pytest.approx(patience, abs=1.0)


@pytest.mark.parametrize(("at_once", "first"), [(True, 0.0), (False, 3.0)])
async def test_the_first_poll_comes_at_once_or_when_the_cadence_has_it(
    aitoearn_service: Emulator, aitoearn_client: Client, at_once: bool, first: float
) -> None:
    """At 20 seconds the next poll is due in 3, and the one after that 8 later."""
    ref = aitoearn_service.add_image(("generating", 11.5), "success")
    loop = asyncio.get_running_loop()
    began = loop.time()
    outcome = await outcome_of(aitoearn_client, ref, Resume(age=20.0, at_once=at_once), 100.0)
    asked = [request.at - began for request in aitoearn_service.requests]
    assert asked == pytest.approx([first, first + 8, first + 16][: len(asked)], abs=0.05)
    assert outcome.ok
    assert outcome.polls == 5 + len(asked)


async def test_none_is_a_wait_that_begins_now(
    aitoearn_service: Emulator, aitoearn_client: Client
) -> None:
    """As if nobody had been asked."""
    ref = aitoearn_service.add_image("success")
    async with aitoearn_client.as_completed([ref], resume=lambda _: None) as waiting:
        outcome = await anext(waiting)
    assert (outcome.ok, outcome.polls) == (True, 1)


def broken(_: object) -> Resume:
    raise LookupError("it is in no table")


def begun(_: object) -> Resume:
    return Resume(age=5.0)


def five(_: object) -> float:
    return 5.0


def nothing(_: object) -> None:
    return None


@pytest.mark.parametrize(
    ("resume", "wait", "mistake"),
    [
        (broken, BACKOFF, "it is in no table"),
        (five, BACKOFF, r"resume= returned 5\.0: return a Resume, or None"),
        (begun, nothing, r"returned None, not seconds"),
    ],
    ids=["it raises", "it returns something else", "the strategy has no answer"],
)
async def test_a_mistake_about_the_age_of_a_ref_ends_the_batch(
    aitoearn_service: Emulator,
    aitoearn_client: Client,
    resume: Callable[[object], Resume],
    wait: Callable[[object], float],
    mistake: str,
) -> None:
    """It is raised as it is; nobody waits for a ref that is never asked for."""
    ref = aitoearn_service.add_image("success")
    async with aitoearn_client.as_completed([ref], wait=wait, resume=resume) as waiting:
        with pytest.raises((LookupError, TypeError, ValueError), match=mistake):
            await asyncio.wait_for(anext(waiting), 100)
        assert waiting.statistics().pending == 0


async def test_a_function_that_is_async_is_refused(aitoearn_client: Client) -> None:
    """At the call: nobody would await it."""

    async def resume(_: object) -> Resume:
        return Resume(age=5.0)

    with pytest.raises(TypeError, match=r"resume= is called where nothing can be awaited"):
        aitoearn_client.as_completed([ImageRef("1")], resume=resume)  # type: ignore[arg-type]


async def test_what_was_read_before_such_a_mistake_has_its_outcome(
    aitoearn_service: Emulator, aitoearn_client: Client
) -> None:
    """As with a source that fails half-way."""
    known, unknown = [aitoearn_service.add_image(("generating", 10), "success") for _ in range(2)]
    ages: dict[TaskRef[ImageTask], Resume] = {known: Resume(age=1.0)}
    async with aitoearn_client.as_completed(
        [known, unknown], resume=lambda ref: ages[ref]
    ) as waiting:
        assert (await anext(waiting)).ref == known
        with pytest.raises(KeyError):
            await anext(waiting)


@pytest.mark.parametrize("age", [math.nan, math.inf, pytest.param(10**400, id="huge"), "5", None])
def test_an_age_is_a_finite_number(age: float) -> None:
    """What is none is refused where it is written."""
    with pytest.raises(ValueError, match=r"age=.*: give seconds, a finite number"):
        Resume(age=age)


async def test_a_discarded_ref_has_no_outcome(
    aitoearn_service: Emulator, aitoearn_client: Client
) -> None:
    """The others end as ever, and the batch with them; its room is free again."""
    refs = [aitoearn_service.add_image(("generating", 10), "success") for _ in range(4)]
    async with aitoearn_client.as_completed([*refs, refs[1]], max_pending=4) as waiting:
        await asyncio.sleep(5)
        assert waiting.discard(refs[1])
        assert not waiting.discard(refs[1])
        outcomes = [outcome.ref async for outcome in waiting]
    assert sorted(outcomes) == sorted([refs[0], refs[2], refs[3], refs[1]])
    assert not waiting.discard(refs[0])


async def test_a_ref_that_was_given_twice_is_discarded_as_often(
    aitoearn_service: Emulator, aitoearn_client: Client
) -> None:
    """Nothing is owed for it any more, so there is room for as many others."""
    twice, *others = [aitoearn_service.add_image(("generating", 10), "success") for _ in range(3)]
    refs = [twice, twice, *others]
    async with aitoearn_client.as_completed(refs, max_pending=2) as waiting:
        await asyncio.sleep(5)
        assert waiting.discard(twice)
        await asyncio.sleep(1)
        assert waiting.statistics().pending == 2
        assert {outcome.ref async for outcome in waiting} == set(others)


async def test_a_ref_can_be_discarded_while_it_is_polled() -> None:
    """The answer is of no interest any more."""
    refs = images(2)
    async with batch(refs, Service(dict.fromkeys(refs, 0.0), latency=1.0)) as waiting:
        await asyncio.sleep(0.5)
        assert waiting.statistics().in_flight == 2
        assert waiting.discard(refs[0])
        assert waiting.statistics().pending == 0
        assert [outcome.ref async for outcome in waiting] == [refs[1]]
