"""A batch: which outcomes come, in what order, from which sources."""

from __future__ import annotations

import asyncio
import copy
import pickle
import traceback
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any

import pytest
import tenacity

from aitoearn_async import (
    AiToEarnError,
    ApiError,
    AuthenticationError,
    ConnectionFailedError,
    ImageRef,
    Outcome,
    TaskFailedError,
    TaskNotFoundError,
    WaitTimeoutError,
)
from aitoearn_async._polling.wait.state import PollError
from tests.polling.model import Service, Trouble, batch, collect, images, now, until_error
from tests.support.clock import ROUNDING

REFS = images(30)


def failing_with(error: PollError, ref: ImageRef, number: int = 1) -> Trouble:
    """Trouble with the n-th poll of one task."""
    return lambda asked, count: error if (asked, count) == (ref, number) else None


async def test_outcomes_come_in_the_order_tasks_end() -> None:
    """The task that ends first is the first outcome, whatever the order asked."""
    lives = {ref: 200.0 - 6 * number for number, ref in enumerate(REFS)}
    outcomes = await collect(
        batch(REFS, Service(lives), wait=tenacity.wait_fixed(1), concurrency=64)
    )
    assert [outcome.ref for outcome in outcomes] == REFS[::-1]
    for outcome in outcomes:
        assert outcome.ok
        assert outcome.unwrap().ref == outcome.ref
        assert -ROUNDING <= outcome.elapsed - lives[outcome.ref] <= 2


async def test_how_each_task_ended() -> None:
    """Success, failure, refusal and a wait out of time are each said, and none hides another."""
    well, failed, missing, slow = REFS[:4]
    service = Service(
        {slow: 1e6},
        words={failed: "failed"},
        trouble=failing_with(TaskNotFoundError(404, "never heard of it"), missing),
    )
    outcomes = await collect(batch([well, failed, missing, slow], service, timeout=60))
    by_ref = {outcome.ref: outcome for outcome in outcomes}
    assert by_ref[well].error is None
    assert isinstance(by_ref[failed].error, TaskFailedError)
    assert by_ref[failed].task is not None
    assert by_ref[missing].task is None
    assert isinstance(by_ref[missing].error, TaskNotFoundError)
    assert isinstance(by_ref[slow].error, WaitTimeoutError)
    for ref in (failed, missing, slow):
        assert not by_ref[ref].ok
        with pytest.raises(AiToEarnError) as caught:
            by_ref[ref].unwrap()
        assert caught.value is by_ref[ref].error
        with pytest.raises(AiToEarnError) as again:
            by_ref[ref].unwrap()
        assert len(again.traceback) == 2, "it does not grow"
    assert {ref: outcome.polls for ref, outcome in by_ref.items()} == service.polls


async def test_a_wait_given_up_carries_what_was_known() -> None:
    """The last status is in the outcome and in the error, though a batch keeps no tasks."""
    [outcome] = await collect(batch(REFS[:1], Service({REFS[0]: 1e6}), timeout=60))
    assert isinstance(outcome.error, WaitTimeoutError)
    assert outcome.task is not None
    assert outcome.task.ref == REFS[0]
    assert outcome.task.status == "generating"
    assert outcome.error.latest == outcome.task
    assert outcome.error.seen == {"generating": outcome.polls}
    assert outcome.elapsed == pytest.approx(60, abs=0.05)


async def test_outcomes_are_plain_data() -> None:
    """They pickle and copy, errors and tasks and all."""
    service = Service({REFS[2]: 1e6}, words={REFS[1]: "failed"})
    for outcome in await collect(batch(REFS[:3], service, timeout=60)):
        for twin in (pickle.loads(pickle.dumps(outcome)), copy.copy(outcome)):
            assert isinstance(twin, Outcome)
            assert (twin.ref, twin.task, twin.polls) == (outcome.ref, outcome.task, outcome.polls)
            assert repr(twin.error) == repr(outcome.error)
        with pytest.raises(AttributeError):
            outcome.polls = 0  # type: ignore[misc]


async def test_a_ref_given_twice_is_polled_once() -> None:
    """While it is pending it is answered for each time it was given; afterwards it is asked."""
    service = Service()
    outcomes = await collect(batch([*REFS, *REFS, *REFS[:5]], service))
    assert Counter(outcome.ref for outcome in outcomes) == Counter([*REFS, *REFS, *REFS[:5]])
    assert set(service.polls.values()) == {3}, "at 0, 5 and 10 s"

    async def again() -> AsyncIterator[ImageRef]:
        yield REFS[0]
        await asyncio.sleep(100)
        yield REFS[0]

    service = Service()
    first, second = await collect(batch(again(), service))
    assert (first.polls, second.polls) == (3, 1)


class Forever:
    """An async iterator without an end, as of a message queue."""

    def __init__(self, refs: Iterable[ImageRef]) -> None:
        self.refs = iter(refs)

    def __aiter__(self) -> AsyncIterator[ImageRef]:
        return self

    async def __anext__(self) -> ImageRef:
        await asyncio.sleep(1)
        for ref in self.refs:
            return ref
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]


async def later(refs: Iterable[ImageRef]) -> AsyncIterator[ImageRef]:
    for ref in refs:
        await asyncio.sleep(0.5)
        yield ref


SOURCES: list[Callable[[list[ImageRef]], Any]] = [
    list,
    tuple,
    set,
    iter,
    lambda refs: (ref for ref in refs),
    lambda refs: dict.fromkeys(refs).keys(),
    later,
]


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("count", [0, 1, 30])
async def test_refs_come_from_anywhere(source: Callable[[list[ImageRef]], Any], count: int) -> None:
    """Any iterable or async iterable will do, also an empty one."""
    outcomes = await collect(batch(source(REFS[:count]), Service()))
    assert sorted(outcome.ref.id for outcome in outcomes) == [ref.id for ref in REFS[:count]]


async def test_a_source_without_an_end() -> None:
    """Outcomes come while the source still waits for more; one leaves when one has enough."""
    async with batch(Forever(REFS[:3]), Service()) as waiting:
        for number in range(3):
            assert (await anext(waiting)).ref == REFS[number]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1000):
                await anext(waiting)
        assert not waiting.statistics().exhausted


def breaking(refs: list[ImageRef]) -> Iterator[ImageRef]:
    yield from refs
    raise LookupError("the database is gone")


async def breaking_later(refs: list[ImageRef]) -> AsyncIterator[ImageRef]:
    for ref in breaking(refs):
        yield ref


@pytest.mark.parametrize("source", [breaking, breaking_later])
@pytest.mark.parametrize("count", [0, 1, 30])
async def test_a_source_that_breaks(source: Callable[[Any], Any], count: int) -> None:
    """All that it gave has its outcome first; then comes its error, with its own traceback."""
    async with batch(source(REFS[:count]), Service()) as waiting:
        outcomes, error = await until_error(waiting)
        assert isinstance(error, LookupError)
        assert traceback.extract_tb(error.__traceback__)[-1].name == "breaking"
        with pytest.raises(LookupError):
            await anext(waiting)
    assert len(outcomes) == count


async def test_a_source_that_is_cancelled_inside() -> None:
    """A source that waits for something cancelled ends the batch; it does not hang."""

    async def source() -> AsyncIterator[ImageRef]:
        yield REFS[0]
        future: asyncio.Future[ImageRef] = asyncio.get_running_loop().create_future()
        future.cancel()
        yield await future

    async with batch(source(), Service()) as waiting:
        with pytest.raises(RuntimeError, match="cancelled"):
            async for _ in waiting:
                pass


@pytest.mark.parametrize("stranger", [b"66", 5, None, {}, [REFS[0]], ("image", "66")], ids=repr)
async def test_an_element_that_is_no_ref(stranger: Any) -> None:
    """It is an error that says what it is, after the outcomes of what came before it."""
    async with batch([REFS[0], stranger, REFS[1]], Service()) as waiting:
        outcomes, error = await until_error(waiting)
    assert isinstance(error, TypeError)
    assert "ImageRef" in str(error)
    hint = "as_completed" if isinstance(stranger, list | tuple) else "parse_ref"
    assert hint in str(error)
    assert [outcome.ref for outcome in outcomes] == REFS[:1]


async def test_refs_in_their_text_form() -> None:
    """A text is taken for the ref it names; one that names none is an error that says so."""
    async with batch([str(REFS[0]), REFS[1]], Service()) as waiting:
        assert waiting.discard(str(REFS[1])) is False
        assert [outcome.ref async for outcome in waiting] == REFS[:2]
    async with batch([str(REFS[0]), "66f0"], Service()) as waiting:
        outcomes, error = await until_error(waiting)
    assert [outcome.ref for outcome in outcomes] == REFS[:1]
    assert isinstance(error, ValueError)
    assert "write image:ID or video:ID" in str(error)


async def test_a_text_is_no_list_of_refs() -> None:
    """One text is not taken for its letters."""
    for no_source in (None, 5, REFS[0], "image:66"):
        with pytest.raises(TypeError, match="iterable"):
            batch(no_source, Service())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "error",
    [AuthenticationError(401, "no"), ConnectionFailedError("bad certificate", transient=False)],
    ids=repr,
)
async def test_what_no_task_survives_ends_the_batch(error: PollError) -> None:
    """The outcomes so far come first, also to one who comes late; then the error, for good."""
    early, late = REFS[:5], REFS[5:10]
    service = Service(
        dict.fromkeys(early, 0.0),
        # Twice, as a 401 among good answers is doubted.
        trouble=lambda ref, number: error if ref in late and number <= 2 and spoilt else None,
    )
    spoilt = False

    async def source() -> AsyncIterator[ImageRef]:
        nonlocal spoilt
        for ref in early:
            yield ref
        await asyncio.sleep(10)
        spoilt = True
        for ref in late:
            yield ref

    async with batch(source(), service, concurrency=5) as waiting:
        await asyncio.sleep(100)
        asked = service.polls.total()
        outcomes, raised = await until_error(waiting)
        assert raised is error
        with pytest.raises(type(error)):
            await anext(waiting)
        await asyncio.sleep(1000)
    assert {outcome.ref for outcome in outcomes} == set(early)
    assert len(outcomes) == len(early)
    assert service.polls.total() == asked <= len(early) + 10, "no more than were under way"


async def test_a_401_among_good_answers_of_the_task_is_doubted() -> None:
    """Once is not enough; twice is."""
    service = Service(trouble=failing_with(AuthenticationError(401), REFS[3], number=2))
    outcomes = await collect(batch(REFS, service))
    assert all(outcome.ok for outcome in outcomes)
    service = Service(
        trouble=lambda ref, number: AuthenticationError(401) if number in (2, 3) else None
    )
    begun = now()
    with pytest.raises(AuthenticationError):
        await collect(batch(REFS, service, concurrency=64))
    assert now() - begun == pytest.approx(10.3, abs=0.1)


async def test_a_401_among_good_answers_of_others_is_doubted() -> None:
    """The key has just worked, so the first word about another task may be a slip, too."""
    service = Service(trouble=failing_with(AuthenticationError(401), REFS[20], number=1))
    outcomes = await collect(batch(REFS, service, concurrency=2))
    assert all(outcome.ok for outcome in outcomes)


async def test_no_doubt_outlives_its_wait() -> None:
    """Some are refused twice and end, some run out of time, and one is discarded in doubt."""
    refused, slow, dropped, well = REFS[:4]
    service = Service(
        {slow: 1e6, dropped: 1e6, well: 1e6},
        trouble=lambda ref, number: (
            ApiError(12345, "no") if ref is not well and number > 1 else None
        ),
    )
    waiting = batch(
        [refused, slow, dropped, well], service, timeout=60, wait=tenacity.wait_fixed(10)
    )
    doubts = waiting._settings_of(well).evidence.unconfirmed
    seen: set[object] = set()
    async with waiting:
        while dropped not in doubts:
            await asyncio.sleep(1)
            seen |= set(doubts)
        assert waiting.discard(dropped)
        assert dropped not in doubts
        async for _ in waiting:
            seen |= set(doubts)
    assert seen >= {refused, slow, dropped}
    assert not doubts
