"""Messages below psycopg's cursors: large ones, and connections that end."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import AsyncIterator, Sequence

import pytest

from aitoearn_async.emulator import VirtualTimeLoop
from aitoearn_async.fleet import FleetUnavailableError
from aitoearn_async.fleet.ledger import Kind, Member
from aitoearn_async.fleet.postgres import PostgresLedger
from aitoearn_async.fleet.postgres_wire import Wire
from tests.fleet.engines import PostgresEngine
from tests.fleet.test_contract import refs, states, take, worker


@pytest.fixture
async def engine(postgres_url: str) -> AsyncIterator[PostgresEngine]:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    with loop.real_time():
        yield PostgresEngine(postgres_url)


@pytest.fixture
async def ledger(engine: PostgresEngine) -> AsyncIterator[PostgresLedger]:
    async with engine.opened() as ledger:
        assert isinstance(ledger, PostgresLedger)
        yield ledger


async def backend(ledger: PostgresLedger) -> int:
    """The server's process for a ledger's connection."""
    sql = b"SELECT pg_backend_pid()"
    ((pid,),) = await ledger._connection.statement(lambda run: run.wire.run(sql, {}))
    return int(pid)


async def test_one_that_freezes_in_a_beat_does_not_hold_up_others(
    engine: PostgresEngine, ledger: PostgresLedger
) -> None:
    """The server ends its transaction, and with it the lock; thawed, it finds that it may retry."""
    is_frozen, thaw = threading.Event(), threading.Event()

    def freeze(_: Sequence[Member]) -> Member:
        is_frozen.set()
        assert thaw.wait(60)
        return Member(id=0, kind=Kind.WORKER)

    async def beat() -> None:
        async with engine.opened() as frozen:
            assert isinstance(frozen, PostgresLedger)
            frozen.sql["idle_limit"] = frozen.sql["idle_limit"].replace(b"5000", b"200")
            mine = await worker(frozen)
            with pytest.raises(FleetUnavailableError, match="cannot be used now"):
                await frozen.beat(mine, freeze)
            await frozen.beat(mine, lambda _: Member(id=mine, kind=Kind.WORKER))

    beating = asyncio.create_task(asyncio.to_thread(asyncio.run, beat()))
    try:
        while not is_frozen.is_set():  # noqa: ASYNC110 - it is another thread's
            await asyncio.sleep(0.01)
        other = await worker(ledger)
        assert await ledger.beat(other, lambda _: Member(id=other, kind=Kind.WORKER)) is False
    finally:
        thaw.set()
        await beating


async def test_outcomes_of_many_megabytes_are_recorded_and_read(ledger: PostgresLedger) -> None:
    """More than a socket takes at once, byte for byte, whatever the bytes are."""
    lines = [bytes(range(256)) * 20_000, b"'\\x00%s", b""]
    await ledger.add(refs(3))
    mine = await worker(ledger)
    await take(ledger, mine)
    assert await ledger.record(mine, list(zip(refs(3), lines, strict=True))) == 3
    reader = await ledger.join(Kind.READER, "reader")
    assert dict(await ledger.read(reader, [], 10)) == dict(zip(refs(3), lines, strict=True))


async def test_a_report_of_any_letters_comes_back(ledger: PostgresLedger) -> None:
    """In a beat, which stands in the text of a statement, and in one that is sent beside it."""
    mine = await worker(ledger)
    report = Member(id=mine, kind=Kind.WORKER, name="'Zoë' %s \\ 山", held=3)
    await ledger.beat(mine, lambda _: report)
    assert (await ledger.counts()).members == [report]
    members, _ = await ledger.renew(mine, lambda: report)
    assert members == [report]


async def test_a_connection_that_ends_while_nothing_is_asked_wakes_nobody(
    engine: PostgresEngine, ledger: PostgresLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its socket is ready to be read for ever after, and the loop would do nothing else."""
    calls = 0
    read = Wire._read

    def counted(wire: Wire) -> None:
        nonlocal calls
        calls += 1
        read(wire)

    monkeypatch.setattr(Wire, "_read", counted)
    await ledger.add(refs(1))
    pid = await backend(ledger)
    before = calls
    engine.execute("SELECT pg_terminate_backend(%s)", pid)
    while calls == before:  # noqa: ASYNC110 - the server's time passes
        await asyncio.sleep(0.01)
    for _ in range(10):
        await asyncio.sleep(0)
    assert calls == before + 1
    with pytest.raises(FleetUnavailableError, match="cannot be used now"):
        await ledger.add(refs(2))
    assert await ledger.add(refs(2)) == 1


@pytest.mark.parametrize("cancelled", [False, True])
async def test_a_connection_that_ends_while_something_is_asked_is_replaced(
    engine: PostgresEngine, ledger: PostgresLedger, cancelled: bool
) -> None:
    """By one that may have the same number of a socket, and is listened to."""
    pid = await backend(ledger)
    os.kill(pid, signal.SIGSTOP)
    asking = asyncio.create_task(ledger.add(refs(1)))
    try:
        await asyncio.sleep(0.1)
        if cancelled:
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
    finally:
        engine.execute("SELECT pg_terminate_backend(%s)", pid)
        os.kill(pid, signal.SIGCONT)
    if not cancelled:
        with pytest.raises(FleetUnavailableError, match="cannot be used now"):
            await asking
    await ledger.add(refs(2))
    assert (await states(ledger))[0] == 2
