"""What a batch tells of itself while it runs."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
import tenacity

from aitoearn_async import BatchStatistics, ServerError
from tests.polling.model import Service, batch, images, now

REFS = images(200)
FAILED, ENDLESS = REFS[50:70], REFS[70:80]


def service() -> Service:
    return Service(
        {ref: 10.0 * (number % 10) for number, ref in enumerate(REFS)}
        | dict.fromkeys(ENDLESS, 1e9),
        words=dict.fromkeys(FAILED, "failed"),
    )


def known(standing: BatchStatistics) -> int:
    """All refs that the batch has read, each counted once."""
    ended = standing.succeeded + standing.failed + standing.unresolved
    return standing.pending + standing.in_flight + ended


async def test_the_sums_add_up_at_every_moment() -> None:
    """Every ref read is in one place, every poll is counted, and nothing counts back."""
    asked = service()
    before: BatchStatistics | None = None
    taken = 0
    async with batch(REFS, asked, timeout=300, concurrency=8) as waiting:
        await asyncio.sleep(0.01)
        assert waiting.statistics().exhausted
        for _ in range(4000):
            await asyncio.sleep(0.1)
            standing = waiting.statistics()
            assert known(standing) == len(REFS)
            assert standing.polls + standing.in_flight == asked.polls.total()
            assert standing.in_flight <= 8
            assert standing.unchanged <= standing.polls
            ended = standing.succeeded + standing.failed + standing.unresolved
            assert standing.ready == ended - taken
            if standing.ready:
                await anext(waiting)
                taken += 1
            if before is not None:
                for name in ("succeeded", "failed", "unresolved", "polls", "unchanged"):
                    assert getattr(before, name) <= getattr(standing, name)
            before = standing
        assert taken == len(REFS)
        assert (standing.succeeded, standing.failed, standing.unresolved) == (170, 20, 10)
        assert standing.pending == standing.in_flight == 0


async def test_a_ref_given_twice_counts_twice_when_it_has_ended() -> None:
    """There is one outcome for each time, and the counts are of outcomes."""
    async with batch([REFS[0]] * 5, Service()) as waiting:
        await asyncio.sleep(1)
        assert waiting.statistics().pending == 1
        assert len([outcome async for outcome in waiting]) == 5
        assert waiting.statistics().succeeded == 5


async def test_before_and_after() -> None:
    """It can be asked at any time, and is plain data that does not change any more."""
    waiting = batch(REFS[:3], Service())
    standing = waiting.statistics()
    assert set(msgspec.structs.astuple(standing)) == {0, None}
    with pytest.raises(AttributeError):
        standing.polls = 1  # type: ignore[misc]
    async with waiting:
        assert [outcome.ok async for outcome in waiting] == [True] * 3
    standing = waiting.statistics()
    assert (standing.succeeded, standing.polls, standing.exhausted) == (3, 9, True)
    assert msgspec.json.decode(msgspec.json.encode(standing), type=BatchStatistics) == standing


async def test_unchanged_polls_are_counted() -> None:
    """Those that brought a new word are not among them, nor those that brought nothing."""
    [ref] = REFS[:1]
    asked = Service({ref: 100.0}, trouble=lambda ref, n: ServerError(500) if n in (3, 4) else None)
    async with batch([ref], asked, wait=tenacity.wait_fixed(9.9)) as waiting:
        [outcome] = [outcome async for outcome in waiting]
    standing = waiting.statistics()
    # The first says "generating", the last "success", and two were errors.
    assert standing.polls == outcome.polls == 11
    assert standing.unchanged == 11 - 4


async def test_the_rate_is_what_goes_out() -> None:
    """200 tasks about every 5 s are 40 polls a second, and on time."""
    asked = Service(dict.fromkeys(REFS, 1e9), latency=0.0)
    async with batch(REFS, asked, wait=tenacity.wait_random(3, 7), concurrency=100) as waiting:
        await asyncio.sleep(60)
        standing = waiting.statistics()
        assert standing.polls_per_second == pytest.approx(40, rel=0.2)
        assert standing.lag < 0.01


async def test_the_lag_says_that_the_rate_is_too_low() -> None:
    """200 tasks at four polls a second are polled every 50 s, 45 of them too late."""
    asked = Service(dict.fromkeys(REFS, 1e9), latency=1.0)
    async with batch(REFS, asked, concurrency=4) as waiting:
        await asyncio.sleep(500)
        standing = waiting.statistics()
        assert standing.polls_per_second == pytest.approx(4, rel=0.15)
        assert standing.lag == pytest.approx(44, rel=0.05)


async def test_the_hook_is_called_once_a_second_and_at_the_end() -> None:
    """Each call gets the numbers of its moment, the last one the final ones."""
    reports: list[tuple[float, BatchStatistics]] = []
    begun = now()

    def progress(standing: BatchStatistics) -> None:
        reports.append((now() - begun, standing))

    async with batch(REFS, service(), timeout=300, progress=progress) as waiting:
        count = len([outcome async for outcome in waiting])
    assert count == len(REFS)
    moments = [moment for moment, _ in reports]
    assert moments[:-1] == pytest.approx(range(1, len(reports)))
    assert moments[-1] == now() - begun
    assert 300 <= len(reports) <= 302
    assert reports[-1][1] == waiting.statistics()
    assert known(reports[-1][1]) == len(REFS)


async def test_the_hook_is_called_when_one_leaves_early() -> None:
    """Also then the last call has the final numbers."""
    reports: list[BatchStatistics] = []
    async with batch(REFS, service(), progress=reports.append) as waiting:
        await anext(waiting)
    assert reports == [waiting.statistics()]
    assert reports[0].in_flight == 0
    assert known(reports[0]) == len(REFS)


async def test_a_hook_that_fails_ends_the_batch() -> None:
    """Its error comes out after the outcomes so far, with the line it is from."""

    def progress(standing: BatchStatistics) -> None:
        raise LookupError("no terminal")

    outcomes: list[object] = []

    async def consume() -> None:
        async with batch(REFS[:2], asked, progress=progress) as waiting:
            async for outcome in waiting:
                outcomes.append(outcome.ref)  # noqa: PERF401 - kept when it fails

    asked = Service({REFS[0]: 0.0, REFS[1]: 1e9})
    with pytest.raises(LookupError, match="terminal") as caught:
        await consume()
    assert caught.traceback[-1].name == "progress"
    assert outcomes == REFS[:1]
