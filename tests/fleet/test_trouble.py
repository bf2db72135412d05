"""What goes wrong around a worker or a reader: the key, the service, a lease, a cancellation."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import signal
from collections import Counter
from typing import Any

import pytest

from aitoearn_async import (
    Client,
    ClientClosedError,
)
from aitoearn_async.emulator import Emulator, Fault
from aitoearn_async.fleet import Fleet
from aitoearn_async.fleet.ledger import Kind
from aitoearn_async.fleet.sqlite_file import SqliteFile
from tests.fleet.engines import SqliteEngine
from tests.fleet.workers import (
    Workers,
    all_outcomes,
    ended,
    held,
    images,
    taken,
    troubles,
    until_held,
)


async def test_a_refused_key_loses_nothing(
    fleet: Fleet, crew: Workers, aitoearn_service: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    """Its worker says so in the log and in the status, holds nothing, and asks hardly anything."""
    refs = images(aitoearn_service, 40, 20.0)
    await fleet.add(refs)
    with caplog.at_level(logging.ERROR, "aitoearn_async.fleet"):
        crew.join(key="wrong-key")
        await asyncio.sleep(20)
    assert "the service refuses this worker" in caplog.text
    assert "wrong-key" not in caplog.text
    (member,) = (await fleet.status()).members
    assert "401" in member.trouble
    asked = len(aitoearn_service.requests)
    await asyncio.sleep(600)
    assert len(aitoearn_service.requests) - asked < 20
    crew.join()
    outcomes = await all_outcomes(fleet)
    assert Counter(outcome.ref for outcome in outcomes) == Counter(refs)
    assert all(outcome.ok for outcome in outcomes)


async def test_a_worker_whose_key_is_accepted_again_goes_on(
    fleet: Fleet, crew: Workers, aitoearn_service: Emulator
) -> None:
    """Nobody has to start it again."""
    refs = images(aitoearn_service, 40, 20.0)
    await fleet.add(refs)
    aitoearn_service.fault(Fault(code=401), times=None)
    crew.join()
    for _ in range(2):  # refused as it came, and when it tried again
        while not await troubles(fleet):  # noqa: ASYNC110 - virtual time passes
            await asyncio.sleep(1)
        while await troubles(fleet):  # noqa: ASYNC110 - virtual time passes
            await asyncio.sleep(1)
    aitoearn_service.clear_faults()
    outcomes = await all_outcomes(fleet)
    assert len(outcomes) == 40
    assert all(outcome.ok for outcome in outcomes)


async def test_refs_are_kept_while_the_service_is_down(
    fleet: Fleet, crew: Workers, aitoearn_service: Emulator
) -> None:
    """They all succeed when it is back."""
    refs = images(aitoearn_service, 20, 20.0)
    await fleet.add(refs)
    crew.join()
    await asyncio.sleep(5)
    await aitoearn_service.aclose()
    await asyncio.sleep(100)
    assert (await fleet.status()).ended == 0
    await aitoearn_service.start()
    outcomes = await all_outcomes(fleet)
    assert Counter(outcome.ref for outcome in outcomes) == Counter(refs)
    assert all(outcome.ok for outcome in outcomes)


async def test_a_worker_that_starts_in_an_outage_makes_no_outcomes(
    fleet: Fleet, crew: Workers, aitoearn_service: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    """It cannot tell a service that is down from a wrong address: it says so, and holds nothing."""
    refs = images(aitoearn_service, 40, 20.0)
    await fleet.add(refs)
    await aitoearn_service.aclose()
    crew.join()
    while not await troubles(fleet):  # noqa: ASYNC110 - virtual time passes
        await asyncio.sleep(1)
    assert "the service is not found by this worker" in caplog.text
    await asyncio.sleep(1000)
    status = await fleet.status()
    assert (status.ended, status.done) == (0, 0)
    await aitoearn_service.start()
    outcomes = await all_outcomes(fleet)
    assert Counter(outcome.ref for outcome in outcomes) == Counter(refs)
    assert all(outcome.ok for outcome in outcomes)


async def test_a_lost_lease_is_no_reason_to_stop(
    file: SqliteEngine,
    fleet: Fleet,
    crew: Workers,
    aitoearn_service: Emulator,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The worker drops all that it held, joins again, and says so."""
    refs = await taken(fleet, crew, 20, 20.0)
    (member,) = (await fleet.status()).members
    with caplog.at_level(logging.WARNING, "aitoearn_async.fleet"):
        await file.end_lease(member.id)
        outcomes = await all_outcomes(fleet)
    assert Counter(outcome.ref for outcome in outcomes) == Counter(refs)
    assert "joins again" in caplog.text
    assert (await fleet.status()).members[-1].id != member.id


async def test_a_clock_that_is_set_forward_loses_nothing(
    fleet: Fleet, crew: Workers, aitoearn_service: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All leases are over at once: workers drop what they held, and join again."""
    refs = await taken(fleet, crew, 20, 20.0)
    time = asyncio.get_running_loop().time
    monkeypatch.setattr(SqliteFile, "clock", lambda _: time() + 3_600)
    outcomes = await all_outcomes(fleet)
    assert Counter(outcome.ref for outcome in outcomes) == Counter(refs)
    assert all(outcome.ok for outcome in outcomes)


async def test_a_clock_that_is_set_back_keeps_leases_for_as_much_longer(
    file: SqliteEngine,
    fleet: Fleet,
    crew: Workers,
    aitoearn_service: Emulator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What a dead worker held waits until then; those who are alive do not notice."""
    await fleet.add(images(aitoearn_service, 20, 1e6))
    async with file.opened(lease=15.0) as ledger:
        dead = await ledger.join(Kind.WORKER, "a dead one")
        assert len(await ledger.take(dead, 1, lambda _, free: 20)) == 20
    crew.join()
    await asyncio.sleep(1)
    time = asyncio.get_running_loop().time
    monkeypatch.setattr(SqliteFile, "clock", lambda _: time() - 100)
    await asyncio.sleep(100)
    alive = (await fleet.status()).members[-1]
    assert await held(fleet) == [20, 0]
    await asyncio.sleep(20)
    assert [(each.id, each.held) for each in (await fleet.status()).members] == [(alive.id, 20)]


async def test_a_reader_that_lost_its_lease_joins_again(
    file: SqliteEngine, fleet: Fleet, crew: Workers, aitoearn_service: Emulator
) -> None:
    """What it was at may go to another reader, too; it goes on with the rest."""
    refs = await ended(fleet, crew, aitoearn_service, 6)
    read: Counter[Any] = Counter()
    async with fleet.outcomes(follow=False) as outcomes:
        async for outcome in outcomes:
            read[outcome.ref] += 1
            if read.total() == 3:
                (member,) = (await fleet.status()).members
                await file.end_lease(member.id)
    assert read.keys() == set(refs)
    assert read.total() <= 7


@pytest.mark.parametrize("is_known", [False, True])
async def test_a_reader_that_was_frozen_gives_nothing_that_is_another_readers(
    file: SqliteEngine,
    fleet: Fleet,
    crew: Workers,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    is_known: bool,
) -> None:
    """Of what it had taken, the one that it was at comes twice. Its loop may not know it yet."""
    refs = await ended(fleet, crew, crew.service, 6)
    loop = asyncio.get_running_loop()
    before = loop.time
    async with fleet.outcomes(prefetch=6, follow=False) as outcomes:
        first = await anext(outcomes)
        (member,) = (await fleet.status()).members
        await file.end_lease(member.id)
        others = [outcome.ref for outcome in await all_outcomes(fleet)]
        monkeypatch.setattr(loop, "time", lambda: before() + 16)
        if is_known:
            await asyncio.sleep(0.1)
        again = [outcome.ref async for outcome in outcomes]
    assert sorted(others) == sorted(refs)
    assert first.ref in refs
    assert again == []
    assert "; 1 outcomes go to another reader, too" in caplog.text


async def test_sigterm_hands_over_at_once(
    fleet: Fleet, crew: Workers, aitoearn_service: Emulator
) -> None:
    """All workers of the process end, without an error, and hold nothing any more."""
    await fleet.add(images(aitoearn_service, 50, 100.0))
    workers = [crew.join(), crew.join()]
    await until_held(fleet, 50)
    before = signal.getsignal(signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.gather(*workers)
    crew.workers.clear()
    status = await fleet.status()
    assert (status.members, status.waiting + status.held) == ([], 50)
    assert signal.getsignal(signal.SIGTERM) is not before


async def test_a_program_that_handles_sigterm_itself_is_left_alone(
    fleet: Fleet, crew: Workers, aitoearn_service: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its handler is called, and the worker works on; so it is where loops have no handlers."""
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    try:
        await fleet.add(images(aitoearn_service, 5, 100.0))
        worker = crew.join()
        await until_held(fleet, 5)
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(1)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == [signal.SIGTERM]
    assert not worker.done()
    await crew.leave(worker)

    def unsupported(*_: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr(asyncio.get_running_loop(), "add_signal_handler", unsupported)
    crew.join()
    await until_held(fleet, 5)


async def test_a_worker_that_leaves_before_it_may_ask_has_asked_nothing(
    fleet: Fleet, crew: Workers, aitoearn_service: Emulator
) -> None:
    """Its share of the rate begins a second after the engine has it."""
    await fleet.add(images(aitoearn_service, 5, 100.0))
    worker = crew.join(requests_per_second=10)
    await asyncio.sleep(0.5)
    await crew.leave(worker)
    status = await fleet.status()
    assert (status.waiting, status.members, aitoearn_service.requests) == (5, [], [])


@pytest.mark.usefixtures("untraced")
async def test_cancelled_at_any_moment_nothing_is_lost(
    fleet: Fleet, crew: Workers, aitoearn_service: Emulator
) -> None:
    """After so many steps of the loop as it takes to get everywhere: the rest is done by others."""
    refs = images(aitoearn_service, 60, 20.0)
    await fleet.add(refs)
    for steps in range(0, 90, 4):
        worker = crew.join()
        for _ in range(steps):
            await asyncio.sleep(0)
        await asyncio.sleep(random.choice([0, 0, 0.05, 0.3]))
        await crew.leave(worker)
        assert (await fleet.status()).members == []
    crew.join()
    outcomes = await all_outcomes(fleet)
    assert Counter(outcome.ref for outcome in outcomes) == Counter(refs)


@pytest.mark.usefixtures("untraced")
async def test_a_reader_cancelled_at_any_moment_loses_nothing(
    fleet: Fleet, crew: Workers, aitoearn_service: Emulator
) -> None:
    """What it had and was not done comes again."""
    refs = await ended(fleet, crew, aitoearn_service, 40)
    read: set[Any] = set()

    async def some() -> None:
        async with fleet.outcomes(prefetch=2) as outcomes:
            async for outcome in outcomes:
                await asyncio.sleep(0)
                read.add(outcome.ref)

    for steps in range(0, 100, 4):
        reader = asyncio.create_task(some())
        for _ in range(steps):
            await asyncio.sleep(0)
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)
    read.update(outcome.ref for outcome in await all_outcomes(fleet))
    assert read == set(refs)


async def test_a_closed_client_ends_the_work(fleet: Fleet, aitoearn_service: Emulator) -> None:
    """It is the caller's mistake, and nothing is held after it."""
    await fleet.add(images(aitoearn_service, 3, 100.0))
    client = Client(aitoearn_service.api_key, base_url=aitoearn_service.url)
    async with client:
        working = asyncio.create_task(fleet.work(client))
        await until_held(fleet, 3)
    with pytest.raises(Exception, match="closed"):
        await working
    assert (await fleet.status()).members == []


@pytest.mark.parametrize("cancelled", [False, True])
async def test_a_closed_fleet_ends_the_work(
    file: SqliteEngine, fleet: Fleet, aitoearn_service: Emulator, cancelled: bool
) -> None:
    """As a worker that is told to stop: it hands over, and there is nothing to complain of."""
    await fleet.add(images(aitoearn_service, 3, 100.0))
    async with Client(aitoearn_service.api_key, base_url=aitoearn_service.url) as client:
        async with Fleet(file.url) as theirs:
            working = asyncio.create_task(theirs.work(client))
            await until_held(fleet, 3)
            if cancelled:
                working.cancel()
        assert working.done()
        assert working.cancelled() is cancelled
        assert cancelled or working.exception() is None
    assert (await fleet.status()).members == []


async def test_a_client_that_is_closed_before_its_fleet_is_told_of(
    file: SqliteEngine, fleet: Fleet, aitoearn_service: Emulator
) -> None:
    """It was closed first, and is why the work ended."""
    await fleet.add(images(aitoearn_service, 3, 100.0))
    async with (
        Fleet(file.url) as theirs,
        Client(aitoearn_service.api_key, base_url=aitoearn_service.url) as client,
    ):
        working = asyncio.create_task(theirs.work(client))
        await until_held(fleet, 3)
    assert isinstance(working.exception(), ClientClosedError)
    assert (await fleet.status()).members == []


async def test_a_cancelled_worker_that_cannot_say_so_is_cancelled(
    file: SqliteEngine, fleet: Fleet, aitoearn_service: Emulator
) -> None:
    """What its engine refuses as it leaves does not take the place of why it left."""
    await fleet.add(images(aitoearn_service, 3, 100.0))
    async with Client(aitoearn_service.api_key, base_url=aitoearn_service.url) as client:
        working = asyncio.create_task(fleet.work(client))
        await until_held(fleet, 3)
        file.execute("DROP TABLE aitoearn_fleet_members")
        working.cancel()
        await asyncio.wait([working])
    assert working.cancelled()
