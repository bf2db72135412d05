"""What a client learns of when tasks end, as a user sees it: fewer requests, and sooner."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
import tenacity

from aitoearn_async import Client, ImageRef, ImageTask, Outcome, VideoRef
from aitoearn_async.emulator import Emulator

pytestmark = pytest.mark.usefixtures("always_the_same_chance")


@pytest.fixture
def always_the_same_chance() -> None:
    random.seed(7)


async def _images(service: Emulator, count: int) -> AsyncIterator[ImageRef]:
    """Submit a task every half second: one model takes 9 seconds or so, the other 45."""
    for number in range(count):
        model, seconds = ("quick", 9.0) if number % 2 else ("slow", 45.0)
        seconds *= random.uniform(0.9, 1.1)
        request = {"model": model, "prompt": "a cat"}
        yield service.add_image(("generating", seconds), "success", request=request)
        await asyncio.sleep(0.5)


async def _polls(client: Client, service: Emulator, count: int = 120) -> list[Outcome[ImageTask]]:
    outcomes: list[Outcome[ImageTask]] = []
    async with client.as_completed(_images(service, count)) as batch:
        async for outcome in batch:
            assert outcome.ok
            outcomes.append(outcome)
    return sorted(outcomes, key=_created)


def _created(outcome: Outcome[ImageTask]) -> datetime:
    assert outcome.task is not None
    assert outcome.task.created_at is not None
    return outcome.task.created_at


@pytest.mark.slow
async def test_later_tasks_cost_fewer_polls(
    aitoearn_service: Emulator, aitoearn_client: Client
) -> None:
    """What the first tasks took says when to ask for the next ones.

    A share of 0.56 is usual, and 1 where nothing is learned, each to a hundredth. Now and then the
    ends of a model look, by chance, like those of a changed world, and it is learned anew: that
    costs up to 0.15 more once, which is why so many tasks are counted.
    """
    aitoearn_service.routes = aitoearn_service.routes - {"logs"}
    outcomes = await _polls(aitoearn_client, aitoearn_service, 240)
    early = sum(outcome.polls for outcome in outcomes[:60])
    late = sum(outcome.polls for outcome in outcomes[-120:]) / 2
    assert late < 0.85 * early
    learned = aitoearn_client.statistics().rhythm["image"]
    assert learned.samples.keys() == {"quick", "slow"}


@pytest.mark.slow
async def test_what_was_learned_serves_the_next_client(aitoearn_service: Emulator) -> None:
    """Kept as JSON, it spares the next process the learning."""
    aitoearn_service.routes = aitoearn_service.routes - {"logs"}
    url, key = aitoearn_service.url, aitoearn_service.api_key
    async with Client(key, base_url=url) as first:
        before = sum(outcome.polls for outcome in await _polls(first, aitoearn_service))
        kept = first.rhythm()
    async with Client(key, base_url=url, rhythm=kept) as second:
        after = sum(outcome.polls for outcome in await _polls(second, aitoearn_service))
    assert after < 0.85 * before
    assert key.encode() not in kept


async def test_a_strategy_of_the_callers_own_is_followed_to_the_letter(
    aitoearn_service: Emulator, aitoearn_client: Client
) -> None:
    """`wait=` replaces what was learned, and nothing is learned by it."""
    async for _ in _images(aitoearn_service, 30):
        pass
    refs = [task async for task in _images(aitoearn_service, 30)]
    strategy = tenacity.wait_fixed(5)
    outcomes = await aitoearn_client.wait_all(refs, wait=strategy)
    assert all(outcome.polls == int(outcome.elapsed / 5) + 1 for outcome in outcomes)
    assert aitoearn_client.statistics().rhythm == {}


@pytest.mark.slow
async def test_swept_videos_are_asked_for_after_the_sweep() -> None:
    """The grid of the service's sweeps is found by its `Date` and the ends that were seen."""
    routes = {"video"}
    async with (
        Emulator(sweep=30.0, routes=routes, date=datetime(2026, 1, 1, tzinfo=UTC)) as service,
        Client(service.api_key, base_url=service.url) as client,
    ):

        async def videos() -> AsyncIterator[VideoRef]:
            for _ in range(150):
                yield service.add_video(("InProgress", random.uniform(60, 120)), "SUCCESS")
                await asyncio.sleep(2.0)

        async with client.as_completed(videos()) as batch:
            outcomes = [outcome async for outcome in batch]
        assert client.statistics().rhythm["video"].period == 30.0
    early = sum(outcome.polls for outcome in outcomes[:40])
    late = sum(outcome.polls for outcome in outcomes[-40:])
    assert late < 0.8 * early


_REVERSED = '{"kinds": {"video": {"intervals": [[10, 40], [40, 10]]}}}'


@pytest.mark.parametrize("kept", [b"", b"{", b"[]", b'{"no": 1}', "null", b"\xff", _REVERSED])
def test_what_is_no_rhythm_is_refused(kept: bytes | str) -> None:
    """By name, at once."""
    with pytest.raises(ValueError, match=r"rhythm=: give what Client\.rhythm\(\) returned"):
        Client("key", rhythm=kept)


async def test_the_end_that_is_expected_is_told_as_a_range(
    aitoearn_service: Emulator, aitoearn_client: Client
) -> None:
    """By how long earlier tasks of the model took; before that nothing is told."""
    request = {"model": "steady", "prompt": "a cat"}

    def one_more() -> ImageRef:
        seconds = random.uniform(18, 22)
        return aitoearn_service.add_image(("generating", seconds), "success", request=request)

    waiter = aitoearn_client.wait_for(one_more())
    assert waiter.expected_end is None
    first = asyncio.create_task(waiter)
    await asyncio.sleep(1)
    assert waiter.expected_end is None
    await first
    await aitoearn_client.wait_all([one_more() for _ in range(40)])
    waiter = aitoearn_client.wait_for(one_more())
    waiting = asyncio.create_task(waiter)
    await asyncio.sleep(1)
    assert waiter.expected_end is not None
    low, high = ((end - datetime.now(UTC)).total_seconds() for end in waiter.expected_end)
    assert 12 < low < 20
    assert 18 < high < 30
    await waiting
    assert waiter.expected_end is None


async def test_a_batch_tells_how_long_it_will_take(
    aitoearn_service: Emulator, aitoearn_client: Client
) -> None:
    """A range that the last end lies in; unknown while refs are read, or nothing was learned."""

    def some() -> list[ImageRef]:
        request = {"model": "steady", "prompt": "a cat"}
        return [
            aitoearn_service.add_image(
                ("generating", random.uniform(15, 25)), "success", request=request
            )
            for _ in range(60)
        ]

    async with aitoearn_client.as_completed(some()) as batch:
        await asyncio.sleep(1)
        assert batch.statistics().time_left is None
        async for _ in batch:
            pass
    async with aitoearn_client.as_completed(some()) as batch:
        began = asyncio.get_running_loop().time()
        await asyncio.sleep(3)
        left = batch.statistics().time_left
        assert left is not None
        async for _ in batch:
            pass
        took = asyncio.get_running_loop().time() - began - 3
        # Learned from polls some seconds apart: each end of the range is off by one, or two.
        assert left[0] - 5 <= took <= left[1] + 6
        assert left[0] < left[1] < left[0] + 15
        assert batch.statistics().time_left is None

    async def not_all_yet() -> AsyncIterator[ImageRef]:
        for ref in some():
            yield ref
        await asyncio.sleep(10)

    async with aitoearn_client.as_completed(not_all_yet()) as batch:
        await asyncio.sleep(3)
        assert batch.statistics().time_left is None
        await asyncio.sleep(10)
        assert batch.statistics().time_left is not None
