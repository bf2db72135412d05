"""The engine is away for a while: what members do meanwhile, and after it."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import pytest

from aitoearn_async import Client, ImageRef
from aitoearn_async.emulator import Emulator
from aitoearn_async.fleet import Fleet, FleetError, FleetUnavailableError
from aitoearn_async.fleet.ledger import Kind, Ledger
from aitoearn_async.fleet.recorder import Recorder
from aitoearn_async.fleet.sqlite import SqliteLedger
from aitoearn_async.fleet.sqlite_file import SqliteFile
from tests.fleet.engines import SqliteEngine
from tests.fleet.workers import Workers, all_outcomes, ended, endless_ids, images, taken, until_held
from tests.support.clock import ROUNDING


class Cable:
    """Between all members and their engine: it can be pulled."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.error: FleetError | None = None
        call = SqliteFile.call

        async def through(file: SqliteFile, steps: Callable[[], Any]) -> Any:
            if self.error is not None:
                raise self.error
            return await call(file, steps)

        monkeypatch.setattr(SqliteFile, "call", through)

    def pull(self, error: FleetError | None = None) -> None:
        self.error = error or FleetUnavailableError("the cable is out")

    def mend(self) -> None:
        self.error = None


@pytest.fixture
def cable(file: SqliteEngine, monkeypatch: pytest.MonkeyPatch) -> Cable:
    return Cable(monkeypatch)


async def test_a_worker_goes_on_for_a_lease(
    fleet: Fleet,
    crew: Workers,
    aitoearn_service: Emulator,
    cable: Cable,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With what it has; the outcomes are recorded when the engine is back."""
    refs = await taken(fleet, crew, 20, 20.0)
    (before,) = (await fleet.status()).members
    await asyncio.sleep(15)
    asked = len(aitoearn_service.requests)
    cable.pull()
    await asyncio.sleep(9)
    assert len(aitoearn_service.requests) > asked
    cable.mend()
    outcomes = await all_outcomes(fleet)
    assert Counter(outcome.ref for outcome in outcomes) == Counter(refs)
    assert "a beat was missed" in caplog.text
    assert before.id in [member.id for member in (await fleet.status()).members]


async def test_a_worker_cut_off_for_longer_joins_again(
    fleet: Fleet,
    crew: Workers,
    aitoearn_service: Emulator,
    cable: Cable,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It asks for nothing after its lease, since others may do so."""
    refs = await taken(fleet, crew, 20, 60.0)
    cable.pull()
    await asyncio.sleep(16)
    asked = len(aitoearn_service.requests)
    await asyncio.sleep(40)
    assert len(aitoearn_service.requests) == asked
    cable.mend()
    outcomes = await all_outcomes(fleet)
    assert Counter(outcome.ref for outcome in outcomes) == Counter(refs)
    assert "joins again" in caplog.text


async def test_an_engine_that_cannot_be_used_any_more_ends_the_work(
    fleet: Fleet, aitoearn_client: Client, aitoearn_service: Emulator, cable: Cable
) -> None:
    """With its reason: nobody has to look for it."""
    await fleet.add(images(aitoearn_service, 3, 100.0))
    working = asyncio.create_task(fleet.work(aitoearn_client))
    await until_held(fleet, 3)
    cable.pull(FleetError("the tables are gone"))
    with pytest.raises(FleetError, match="the tables are gone"):
        await working
    cable.mend()


async def test_a_worker_is_told_to_stop_while_the_engine_is_away(
    fleet: Fleet, crew: Workers, aitoearn_service: Emulator, cable: Cable
) -> None:
    """It leaves within a second or two; what it held is an orphan's when the engine is back."""
    await fleet.add(images(aitoearn_service, 5, 100.0))
    worker = crew.join()
    await until_held(fleet, 5)
    cable.pull()
    began = asyncio.get_running_loop().time()
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.gather(worker)
    assert asyncio.get_running_loop().time() - began < 2
    crew.workers.clear()
    cable.mend()
    assert (await fleet.status()).held == 5
    await asyncio.sleep(16)
    crew.join()
    await until_held(fleet, 5)


@pytest.mark.parametrize("worked_for", [0, 3])
async def test_a_worker_that_cannot_join_can_be_told_to_stop(
    fleet: Fleet, aitoearn_client: Client, cable: Cable, worked_for: int
) -> None:
    """Neither at its start, nor when its lease was lost."""
    if not worked_for:
        cable.pull()
    worker = asyncio.create_task(fleet.work(aitoearn_client))
    await asyncio.sleep(worked_for)
    cable.pull()
    await asyncio.sleep(30)
    began = asyncio.get_running_loop().time()
    os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(60):
        await worker
    assert asyncio.get_running_loop().time() - began < 1


async def test_one_that_was_joining_is_no_member(
    fleet: Fleet, crew: Workers, cable: Cable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the engine may have taken it in as it was told to stop: nobody would ever leave."""
    join = SqliteLedger.join

    async def slow(ledger: SqliteLedger, kind: Kind, name: str) -> int:
        number = await join(ledger, kind, name)
        await asyncio.sleep(0.3)
        return number

    monkeypatch.setattr(SqliteLedger, "join", slow)
    worker = crew.join()
    while not (await fleet.status()).members:  # noqa: ASYNC110 - virtual time passes
        await asyncio.sleep(0.01)
    await crew.leave(worker)
    assert (await fleet.status()).members == []


async def test_a_join_that_took_longer_than_a_lease_is_made_again(
    fleet: Fleet, crew: Workers, aitoearn_service: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one is over already, and is another's to clear away."""
    join, calls = SqliteLedger.join, 0

    async def slow(ledger: SqliteLedger, kind: Kind, name: str) -> int:
        nonlocal calls
        calls += 1
        number = await join(ledger, kind, name)
        await asyncio.sleep(20 if calls == 1 else 0)
        return number

    monkeypatch.setattr(SqliteLedger, "join", slow)
    await fleet.add(images(aitoearn_service, 2, 100.0))
    crew.join()
    await until_held(fleet, 2)
    assert len((await fleet.status()).members) == 1
    assert calls == 2


async def test_adding_goes_on_when_the_engine_is_back(fleet: Fleet, cable: Cable) -> None:
    """And is given up after a minute. What was added until then is kept."""
    cable.pull()
    adding = asyncio.create_task(fleet.add(endless_ids(3)))
    await asyncio.sleep(30)
    cable.mend()
    assert await adding == 3
    cable.pull()
    began = asyncio.get_running_loop().time()
    with pytest.raises(FleetUnavailableError, match="the cable is out"):
        await fleet.add([ImageRef("f" * 24)])
    assert 55 < asyncio.get_running_loop().time() - began < 65
    cable.mend()
    assert (await fleet.status()).waiting == 3


async def test_adding_of_what_just_fits_is_given_up_too(fleet: Fleet, cable: Cable) -> None:
    """All has been read, and there is no room for another word."""

    async def source() -> AsyncIterator[ImageRef]:
        for ref in endless_ids(10_000):
            yield ref

    cable.pull()
    async with asyncio.timeout(90):
        with pytest.raises(FleetUnavailableError, match="the cable is out"):
            await fleet.add(source())


async def test_adding_that_is_cancelled_ends_soon(fleet: Fleet, cable: Cable) -> None:
    """Though the engine is away. If it is there, what has been read is added first."""
    read = 0

    async def source() -> AsyncIterator[ImageRef]:
        nonlocal read
        for ref in endless_ids(20_000):
            read += 1
            yield ref

    for is_away in (False, True):
        if is_away:
            cable.pull()
        adding = asyncio.create_task(fleet.add(source()))
        await asyncio.sleep(0 if is_away else 0.01)
        began = asyncio.get_running_loop().time()
        adding.cancel()
        async with asyncio.timeout(90):
            await asyncio.gather(adding, return_exceptions=True)
        assert asyncio.get_running_loop().time() - began <= 5 + ROUNDING


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(("count", "times"), [(3, 1), (3, 10), (5_000, 1)])
async def test_what_was_read_is_added_though_its_adding_is_cancelled(
    fleet: Fleet, cable: Cable, count: int, times: int, is_async: bool
) -> None:
    """The source has ended, and cannot be asked again: an engine that is back soon gets it all."""

    async def source() -> AsyncIterator[ImageRef]:
        for ref in endless_ids(count):
            yield ref

    cable.pull()
    adding = asyncio.create_task(fleet.add(source() if is_async else endless_ids(count)))
    await asyncio.sleep(1)
    for _ in range(times):
        adding.cancel()
        await asyncio.sleep(0.1)
    cable.mend()
    with pytest.raises(asyncio.CancelledError):
        await adding
    assert (await fleet.status()).waiting == count


async def test_a_reader_that_leaves_while_the_engine_is_away_says_what_comes_again(
    fleet: Fleet,
    crew: Workers,
    aitoearn_service: Emulator,
    cable: Cable,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It leaves in seconds; the outcome that it could not be done with is another's."""
    refs = await ended(fleet, crew, aitoearn_service, 2)
    outcomes = await fleet.outcomes().__aenter__()
    first = await anext(outcomes)
    cable.pull()
    with pytest.raises(FleetUnavailableError):
        await outcomes.__aexit__(None, None, None)
    cable.mend()
    await asyncio.sleep(16)
    again = [outcome.ref for outcome in await all_outcomes(fleet)]
    assert first.ref in again
    assert sorted(again) == sorted(refs)


@pytest.mark.parametrize("error", [asyncio.CancelledError, ZeroDivisionError])
async def test_a_reader_that_fails_while_the_engine_is_away_fails_as_it_did(
    fleet: Fleet,
    crew: Workers,
    aitoearn_service: Emulator,
    cable: Cable,
    error: type[BaseException],
) -> None:
    """What it could not mark as done is no reason to hide why it left: others get it, too."""

    async def read() -> None:
        async with fleet.outcomes(prefetch=3) as outcomes:
            await anext(outcomes)
            await anext(outcomes)
            cable.pull()
            raise error

    refs = await ended(fleet, crew, aitoearn_service, 3)
    with pytest.raises(error):
        await read()
    cable.mend()
    await asyncio.sleep(16)
    assert sorted([outcome.ref for outcome in await all_outcomes(fleet)]) == sorted(refs)


async def test_an_outcome_is_done_though_the_read_of_the_next_one_fails(
    fleet: Fleet, crew: Workers, aitoearn_service: Emulator, cable: Cable
) -> None:
    """The next one was asked for, and that took too long: this one does not come again."""

    async def read() -> None:
        async with fleet.outcomes() as outcomes:
            await anext(outcomes)
            cable.pull()
            asyncio.get_running_loop().call_later(1.0, cable.mend)
            async with asyncio.timeout(0.5):
                await anext(outcomes)

    await ended(fleet, crew, aitoearn_service, 1)
    with pytest.raises(TimeoutError):
        await read()
    assert (await fleet.status()).done == 1


async def test_a_reader_whose_lease_was_lost_says_so_as_it_leaves(
    file: SqliteEngine,
    fleet: Fleet,
    crew: Workers,
    aitoearn_service: Emulator,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The outcome that it had goes to another reader, too."""
    await ended(fleet, crew, aitoearn_service, 1)
    async with fleet.outcomes() as outcomes:
        first = await anext(outcomes)
        (member,) = (await fleet.status()).members
        await file.end_lease(member.id)
    assert "1 outcomes that were read go to another reader" in caplog.text
    assert [outcome.ref for outcome in await all_outcomes(fleet)] == [first.ref]


async def test_a_reader_that_knows_of_its_lost_lease_says_so_as_well(
    fleet: Fleet,
    crew: Workers,
    aitoearn_service: Emulator,
    cable: Cable,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It could not renew it, and asks for nothing any more."""
    await ended(fleet, crew, aitoearn_service, 1)
    async with fleet.outcomes() as outcomes:
        first = await anext(outcomes)
        cable.pull()
        await asyncio.sleep(20)
        cable.mend()
    assert "1 outcomes that were read go to another reader" in caplog.text
    assert [outcome.ref for outcome in await all_outcomes(fleet)] == [first.ref]


async def test_what_is_done_is_forgotten_now_and_then(
    file: SqliteEngine,
    fleet: Fleet,
    crew: Workers,
    aitoearn_service: Emulator,
    cable: Cable,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """By the workers, a minute after the other; one that fails is no reason to stop."""
    await ended(fleet, crew, aitoearn_service, 2)
    await all_outcomes(fleet)
    await file.make_older(8 * 86_400)
    crew.join()
    with caplog.at_level(logging.INFO, "aitoearn_async.fleet"):
        await asyncio.sleep(58)
        cable.pull()
        await asyncio.sleep(4)
        cable.mend()
    assert "could not be forgotten" in caplog.text
    assert (await fleet.status()).done == 2
    await asyncio.sleep(60)
    assert (await fleet.status()).done == 0


async def test_a_worker_forgets_faster_than_tasks_can_end(
    fleet: Fleet, crew: Workers, file: SqliteEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not wait for a minute where there is more to be forgotten."""
    monkeypatch.setattr("aitoearn_async.fleet.fleet._SWEPT_AT_A_TIME", 2)
    await ended(fleet, crew, crew.service, 7)
    await all_outcomes(fleet)
    await file.make_older(8 * 86_400)
    crew.join()
    await asyncio.sleep(65)
    assert (await fleet.status()).done == 0


class Held(NamedTuple):
    """Refs, some of which a member of a ledger holds."""

    ledger: Ledger
    member: int
    refs: list[str]


@asynccontextmanager
async def some_held(file: SqliteEngine, count: int, most: int) -> AsyncIterator[Held]:
    async with file.opened() as ledger:
        refs = [str(ref) for ref in endless_ids(count)]
        await ledger.add(refs)
        member = await ledger.join(Kind.WORKER, "this test")
        await ledger.take(member, 1, lambda _, free: most)
        yield Held(ledger, member, refs)


async def test_a_worker_holds_back_what_it_cannot_write(
    file: SqliteEngine, cable: Cable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch goes on only as outcomes are written: memory does not follow an outage."""
    monkeypatch.setattr("aitoearn_async.fleet.recorder._MOST_UNWRITTEN", 3)
    async with some_held(file, 5, 5) as (ledger, member, refs):
        recorded: list[int] = []
        recorder = Recorder(ledger, member, recorded.append)
        cable.pull()
        writing = asyncio.create_task(recorder.run())
        for ref in refs[:3]:
            await recorder.put(ref, b"{}")
        fourth = asyncio.create_task(recorder.put(refs[3], b"{}"))
        await asyncio.sleep(5)
        assert not fourth.done()
        cable.mend()
        await fourth
        await asyncio.sleep(1)
        assert sum(recorded) == 4
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)


async def test_outcomes_of_refs_that_others_hold_are_let_go(
    file: SqliteEngine, caplog: pytest.LogCaptureFixture
) -> None:
    """They are not written, and it is said."""
    async with some_held(file, 2, 1) as (ledger, member, refs):
        recorder = Recorder(ledger, member, lambda _: None)
        for ref in refs:
            await recorder.put(ref, b"{}")
        with caplog.at_level(logging.INFO, "aitoearn_async.fleet"):
            await recorder.flush()
        assert "1 outcomes were not recorded: others hold the refs" in caplog.text
        assert (await ledger.counts()).ended == 1


async def test_refs_that_could_not_be_handed_over_are_left_to_others(
    fleet: Fleet,
    crew: Workers,
    aitoearn_service: Emulator,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The worker drops all that it holds, and joins again: nobody waits in vain."""
    await fleet.add(images(aitoearn_service, 100, 1e6))
    crew.join()
    await until_held(fleet, 100)
    give, failures = SqliteLedger.give, [FleetError("no")]

    async def fail(ledger: SqliteLedger, member: int, refs: Any) -> None:
        if failures:
            raise failures.pop()
        await give(ledger, member, refs)

    monkeypatch.setattr(SqliteLedger, "give", fail)
    crew.join()
    await asyncio.sleep(40)
    assert "could not be handed over: no" in caplog.text
    assert (await fleet.status()).held == 100
    assert max(each.held for each in (await fleet.status()).members) < 80
