"""A fleet as users have it, in a file, on virtual time, by which leases run too."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tracemalloc
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from aitoearn_async import (
    AnyTask,
    Client,
    ImageRef,
    Outcome,
    ServerError,
    TaskFailedError,
    VideoRef,
    WaitTimeoutError,
    parse_ref,
)
from aitoearn_async.emulator import Emulator
from aitoearn_async.fleet import Fleet, FleetError
from aitoearn_async.fleet.errors import FleetUnavailableError
from aitoearn_async.fleet.ledger import Kind, Ledger
from aitoearn_async.fleet.sqlite import SqliteLedger
from tests.fleet.engines import SqliteEngine
from tests.fleet.workers import (
    Workers,
    all_outcomes,
    ended,
    endless_ids,
    images,
    until_held,
)
from tests.support.clock import ROUNDING

# Adding.


async def test_refs_of_any_iterable_are_added(fleet: Fleet) -> None:
    """It says how many were new."""

    async def videos() -> AsyncIterator[VideoRef]:
        for number in range(7):
            yield VideoRef(f"{number:024x}")
            await asyncio.sleep(1)

    assert await fleet.add([ImageRef("1"), VideoRef("1"), ImageRef("1")]) == 2
    assert await fleet.add(endless_ids(12_345)) == 12_345
    assert await fleet.add(videos()) == 7
    assert await fleet.add(endless_ids(12_346)) == 1
    assert await fleet.add([]) == 0
    assert (await fleet.status()).waiting == 12_355


async def test_a_slow_source_is_added_as_it_comes(fleet: Fleet) -> None:
    """What has come is kept, though the next takes an hour, and is never to come."""
    arrived = asyncio.Event()

    async def slow() -> AsyncIterator[ImageRef]:
        for number in range(3):
            yield ImageRef(f"{number:024x}")
            await asyncio.sleep(1)
        arrived.set()
        await asyncio.sleep(3_600)
        raise AssertionError

    adding = asyncio.create_task(fleet.add(slow()))
    await arrived.wait()
    await asyncio.sleep(1)
    assert (await fleet.status()).waiting == 3
    adding.cancel()
    await asyncio.gather(adding, return_exceptions=True)
    assert (await fleet.status()).waiting == 3


async def test_adding_that_is_cancelled_at_any_moment_leaves_nothing_running(fleet: Fleet) -> None:
    """Once or twice, after so many steps of the loop as it takes to get everywhere."""
    before = asyncio.all_tasks()

    async def source() -> AsyncIterator[ImageRef]:
        for ref in endless_ids(3):
            yield ref

    for steps in range(20):
        for gap in range(5):
            adding = asyncio.create_task(fleet.add(source()))
            for pause in (steps, gap):
                for _ in range(pause):
                    await asyncio.sleep(0)
                adding.cancel()
            await asyncio.gather(adding, return_exceptions=True)
            assert asyncio.all_tasks() <= before | {adding}


@pytest.mark.parametrize("is_async", [False, True])
async def test_what_was_read_before_a_source_failed_is_added(fleet: Fleet, is_async: bool) -> None:
    """And the source's error is raised."""

    def broken() -> Iterator[ImageRef]:
        yield from endless_ids(3)
        raise KeyError("the source")

    async def broken_later() -> AsyncIterator[ImageRef]:
        for ref in broken():
            yield ref

    with pytest.raises(KeyError, match="the source"):
        await fleet.add(broken_later() if is_async else broken())
    assert (await fleet.status()).waiting == 3


async def test_text_forms_of_refs_are_added(fleet: Fleet) -> None:
    """One that names no task is refused, after those before it have been added."""
    assert await fleet.add(["image:1", ImageRef("1"), "video:1"]) == 2
    with pytest.raises(ValueError, match="audio:1"):
        await fleet.add(["image:2", "audio:1"])
    assert (await fleet.status()).waiting == 3


@pytest.mark.parametrize("refs", [[1], [None], 7, "image:1", None])
async def test_what_is_no_ref_is_refused(fleet: Fleet, refs: Any) -> None:
    """With what was given instead."""
    with pytest.raises(TypeError, match="expected"):
        await fleet.add(refs)


@pytest.mark.slow
@pytest.mark.usefixtures("untraced")
async def test_adding_takes_the_memory_of_a_chunk(fleet: Fleet) -> None:
    """However many refs there are."""
    tracemalloc.start()
    try:
        await fleet.add(endless_ids(60_000))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 6_000_000


# Working and reading.


async def test_every_ref_has_one_outcome(
    fleet: Fleet, crew: Workers, aitoearn_service: Emulator
) -> None:
    """Succeeded and failed ones, images and videos, with three workers."""
    good = images(aitoearn_service, 60)
    bad = [aitoearn_service.add_video(("InProgress", 20), "FAILURE") for _ in range(5)]
    lost = [ImageRef("f" * 24)]
    await fleet.add([*good, *bad, *lost])
    for _ in range(3):
        crew.join()
    outcomes = {outcome.ref: outcome for outcome in await all_outcomes(fleet)}
    assert outcomes.keys() == {*good, *bad, *lost}
    assert all(outcomes[ref].unwrap().ref == ref for ref in good)
    assert all(isinstance(outcomes[ref].error, TaskFailedError) for ref in bad)
    assert not outcomes[lost[0]].ok
    status = await fleet.status()
    assert (status.waiting, status.held, status.ended, status.done) == (0, 0, 0, 66)
    assert status.oldest is None


async def test_files_are_saved_by_the_worker(
    fleet: Fleet, crew: Workers, aitoearn_service: Emulator, tmp_path: Path
) -> None:
    """And the outcome says where they are."""
    await fleet.add(images(aitoearn_service, 1, 1.0))
    worker = asyncio.create_task(_work_with_private_media(crew, tmp_path / "files"))
    (outcome,) = await all_outcomes(fleet)
    assert outcome.ok
    assert [path.parent for path in outcome.paths] == [tmp_path / "files"]
    assert all(path.is_file() for path in outcome.paths)
    worker.cancel()
    await asyncio.gather(worker, return_exceptions=True)


async def _work_with_private_media(crew: Workers, directory: Path) -> None:
    service = crew.service
    client = Client(service.api_key, base_url=service.url, private_media=True)
    async with Fleet(crew.engine.url) as fleet, client:
        await fleet.work(client, save=directory)


async def test_each_outcome_goes_to_one_reader(
    fleet: Fleet, crew: Workers, aitoearn_service: Emulator, file: SqliteEngine
) -> None:
    """Two readers share them, and both end when all have been read."""
    refs = images(aitoearn_service, 40, 5.0)
    await fleet.add(refs)
    crew.join()

    async def read() -> list[Outcome[AnyTask]]:
        async with Fleet(file.url) as mine:
            return await all_outcomes(mine, prefetch=3)

    first, second = await asyncio.gather(read(), read())
    assert Counter(each.ref for each in [*first, *second]) == Counter(refs)


async def test_an_outcome_is_done_when_the_next_is_asked_for(
    fleet: Fleet, crew: Workers, aitoearn_service: Emulator
) -> None:
    """Or when the block is left without an error."""
    await ended(fleet, crew, aitoearn_service, 3)
    async with fleet.outcomes() as outcomes:
        await anext(outcomes)
        assert (await fleet.status()).done == 0
        await anext(outcomes)
        assert (await fleet.status()).done == 1
    assert (await fleet.status()).done == 2


@pytest.mark.parametrize("prefetch", [1, 5])
async def test_one_that_was_not_done_comes_again(
    fleet: Fleet, crew: Workers, aitoearn_service: Emulator, prefetch: int
) -> None:
    """When the block ends with an error: that one, and those that were not given yet."""
    refs = await ended(fleet, crew, aitoearn_service, 5)
    given: list[Any] = []

    async def stumble() -> None:
        async with fleet.outcomes(prefetch=prefetch) as outcomes:
            async for outcome in outcomes:
                given.append(outcome.ref)
                if len(given) == 2:
                    raise KeyError

    with pytest.raises(KeyError):
        await stumble()
    first, second = given
    again = [outcome.ref for outcome in await all_outcomes(fleet)]
    assert sorted(again) == sorted(set(refs) - {first})
    assert second in again


async def test_outcomes_that_come_one_by_one_are_taken_several_at_a_time(
    fleet: Fleet, file: SqliteEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a reader asked for more than there were: each read is work for the engine."""
    reads = 0
    read = SqliteLedger.read

    async def counted(*args: Any) -> Any:
        nonlocal reads
        reads += 1
        return await read(*args)

    monkeypatch.setattr(SqliteLedger, "read", counted)
    async with file.opened() as ledger, fleet.outcomes(prefetch=100) as outcomes:
        recording = asyncio.create_task(record_one_by_one(ledger, 200, 0.01))
        async with asyncio.timeout(60):
            for _ in range(200):
                await anext(outcomes)
        await recording
    assert reads <= 25


async def record_one_by_one(ledger: Ledger, count: int, pause: float) -> None:
    """Take refs, and record an outcome of each."""
    refs = list(map(str, endless_ids(count)))
    await ledger.add(refs)
    mine = await ledger.join(Kind.WORKER, "test")
    await ledger.take(mine, 1, lambda _, free: count)
    for ref in refs:
        error = ServerError(500, "x")
        outcome = Outcome[Any](ref=parse_ref(ref), task=None, error=error, polls=1, elapsed=1.0)
        await ledger.record(mine, [(ref, outcome.to_json())])
        await asyncio.sleep(pause)


@pytest.mark.parametrize(("prefetch", "count"), [(1, 30), (10, 30), (20, 30)])
async def test_outcomes_that_are_there_come_at_once(
    fleet: Fleet, file: SqliteEngine, prefetch: int, count: int
) -> None:
    """However many are taken at a time."""
    loop = asyncio.get_running_loop()
    async with file.opened() as ledger:
        await record_one_by_one(ledger, count, 0.0)
    began = loop.time()
    async with fleet.outcomes(prefetch=prefetch) as outcomes:
        for _ in range(count):
            await anext(outcomes)
    assert loop.time() == pytest.approx(began, abs=ROUNDING)


async def test_an_outcome_is_done_before_others_are_gathered(
    fleet: Fleet, file: SqliteEngine
) -> None:
    """As soon as the next one is asked for; and who asks for short times only gets that one."""
    async with file.opened() as ledger, fleet.outcomes(prefetch=20) as outcomes:
        await record_one_by_one(ledger, 1, 0.0)
        await anext(outcomes)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await anext(outcomes)
        assert (await fleet.status()).done == 1
        await record_one_by_one(ledger, 2, 0.0)  # of which one is new
        async with asyncio.timeout(0.01):
            await anext(outcomes)


async def test_outcomes_are_used_as_they_should_be(fleet: Fleet) -> None:
    """Inside their block, by one task at a time, and once."""
    outcomes = fleet.outcomes()
    with pytest.raises(RuntimeError, match="not entered"):
        await anext(outcomes)
    async with outcomes:
        waiting = asyncio.create_task(anext(outcomes))
        await asyncio.sleep(1)
        with pytest.raises(RuntimeError, match="another task"):
            await anext(outcomes)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    with pytest.raises(RuntimeError, match="closed"):
        await outcomes.__aenter__()
    for prefetch in (0, 1.5, True, 100_000):
        with pytest.raises(ValueError, match="prefetch="):
            fleet.outcomes(prefetch=prefetch)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="Postgres"):
        fleet.outcomes(connection=object())  # type: ignore[arg-type]


async def test_a_closed_fleet_says_so(file: SqliteEngine) -> None:
    """Before it is entered, and after it is left."""
    fleet = Fleet(file.url)
    for call in (fleet.add([]), fleet.status()):
        with pytest.raises(RuntimeError, match="not open"):
            await call
    async with fleet:
        await fleet.add([])
    with pytest.raises(RuntimeError, match="not open"):
        fleet.outcomes()
    await fleet.aclose()


FORKED = """
import asyncio, os, sys
from aitoearn_async.fleet import Fleet

async def refused(call):
    try:
        async with asyncio.timeout(100):
            await call
    except RuntimeError as error:
        assert "forked from" in str(error)
    else:
        raise AssertionError

async def used():
    await refused(fleet.add(["image:1"]))
    await refused(fleet.status())
    await refused(fleet.aclose())
    async with Fleet(url) as own:
        assert await own.add(["image:2"])

url = sys.argv[1]
fleet = Fleet(url)
with asyncio.Runner() as runner:
    runner.run(fleet.__aenter__())
    child = os.fork()
    if not child:
        asyncio.run(used())
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert runner.run(fleet.add(["image:1", "image:2"])) == 1
    runner.run(fleet.aclose())
"""


def test_a_fleet_is_of_no_use_in_a_forked_process(file: SqliteEngine) -> None:
    """It says so, leaves what it has there to its parent, and one of its own serves it."""
    subprocess.run([sys.executable, "-c", FORKED, file.url], check=True, timeout=250)


# Time.


async def test_the_deadline_counts_from_when_a_ref_was_added(
    fleet: Fleet, crew: Workers, aitoearn_service: Emulator
) -> None:
    """Over two take-overs."""
    (ref,) = images(aitoearn_service, 1, 1e6)
    await fleet.add([ref])
    for _ in range(2):
        worker = crew.join(timeout=100)
        await until_held(fleet, 1)
        await asyncio.sleep(40)
        await crew.leave(worker)
    began = asyncio.get_running_loop().time()
    crew.join(timeout=100)
    (outcome,) = await all_outcomes(fleet)
    assert isinstance(outcome.error, WaitTimeoutError)
    assert 18 < asyncio.get_running_loop().time() - began < 22
    assert 100 <= outcome.elapsed < 101


async def test_a_hand_over_shortly_before_the_deadline_does_not_put_it_off(
    fleet: Fleet, crew: Workers, aitoearn_service: Emulator
) -> None:
    """Nor do many: it has been asked for until then."""
    await fleet.add(images(aitoearn_service, 1, 1e6))
    began = asyncio.get_running_loop().time()
    for moment in (93, 96, 99):
        worker = crew.join(timeout=100)
        await asyncio.sleep(began + moment - asyncio.get_running_loop().time())
        await crew.leave(worker)
    crew.join(timeout=100)
    (outcome,) = await all_outcomes(fleet)
    assert isinstance(outcome.error, WaitTimeoutError)
    assert 100 <= asyncio.get_running_loop().time() - began < 102


async def test_what_waited_too_long_for_a_worker_is_asked_for_once_more(
    file: SqliteEngine, fleet: Fleet, crew: Workers, aitoearn_service: Emulator
) -> None:
    """It has ended, most likely: that is not lost because the workers were away."""
    done, stuck = images(aitoearn_service, 1, 5.0), images(aitoearn_service, 1, 1e6)
    await fleet.add([*done, *stuck])
    await asyncio.sleep(10)
    await file.make_older(100_000)
    crew.join(timeout=1_000)
    outcomes = {outcome.ref: outcome for outcome in await all_outcomes(fleet)}
    assert outcomes[done[0]].ok
    assert isinstance(outcomes[stuck[0]].error, WaitTimeoutError)


async def test_a_ref_is_not_given_up_before_its_holder_has_asked_for_it(
    fleet: Fleet, crew: Workers, aitoearn_service: Emulator
) -> None:
    """Though its time is over, at a rate that is too low: it has ended long ago, maybe."""
    await fleet.add(images(aitoearn_service, 60, 0.5))
    await asyncio.sleep(1)
    crew.join(timeout=20, requests_per_second=1)
    outcomes = await all_outcomes(fleet)
    assert [outcome.ok for outcome in outcomes] == [True] * 60
    assert len(aitoearn_service.requests) == 60


@pytest.mark.parametrize("crashes", [1, 4])
async def test_a_crash_shortly_before_the_deadline_does_not_put_it_off(
    file: SqliteEngine, fleet: Fleet, crew: Workers, aitoearn_service: Emulator, crashes: int
) -> None:
    """Nor do many. Whoever takes over asks once, at the deadline or as soon as it can after it."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    await fleet.add(images(aitoearn_service, 1, 1e6))
    crew.join(timeout=100)
    await asyncio.sleep(94)
    for _ in range(crashes):
        for member in (await fleet.status()).members:
            await file.end_lease(member.id)
        await asyncio.sleep(4)
    before = len(aitoearn_service.requests)
    (outcome,) = await all_outcomes(fleet)
    assert isinstance(outcome.error, WaitTimeoutError)
    assert loop.time() - began <= max(100, 94 + 4 * crashes) + 1
    assert len(aitoearn_service.requests) - before <= 1


async def test_the_cadence_goes_on_where_it_stood(
    file: SqliteEngine, fleet: Fleet, crew: Workers, aitoearn_service: Emulator
) -> None:
    """An old ref is not asked for once a second again."""
    (ref,) = images(aitoearn_service, 1, 1e6)
    await fleet.add([ref])
    await file.make_older(500)
    crew.join()
    await asyncio.sleep(100)
    assert 10 <= len(aitoearn_service.requests) <= 14


# What cannot be used.


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"requests_per_second": 0}, "requests_per_second=0"),
        ({"requests_per_second": float("nan")}, "requests_per_second=nan"),
        ({"requests_per_second": 10**400}, "requests_per_second=1"),
        ({"max_pending": 0}, "max_pending=0"),
        ({"timeout": -1}, "timeout=-1"),
        ({"patience": -1}, "patience=-1"),
        ({"wait": 5}, "wait=5"),
    ],
)
async def test_bad_numbers_are_refused_by_name(
    fleet: Fleet, aitoearn_client: Client, options: dict[str, Any], message: str
) -> None:
    """At the call, before anything is taken."""
    with pytest.raises(ValueError, match=message):
        await fleet.work(aitoearn_client, **options)


def test_errors_of_a_fleet_are_the_packages() -> None:
    """One `except AiToEarnError` catches both, and they pickle."""
    import pickle

    from aitoearn_async import AiToEarnError
    from aitoearn_async.fleet.errors import LeaseLostError

    for error in (FleetError("no"), FleetUnavailableError("later"), LeaseLostError(7)):
        assert isinstance(error, AiToEarnError)
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again)) == (type(error), str(error))
