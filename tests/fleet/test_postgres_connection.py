"""The connection to Postgres: large messages, members that freeze, connections that end."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Sequence

import pytest
from psycopg.conninfo import conninfo_to_dict

from aitoearn_async.fleet import FleetUnavailableError
from aitoearn_async.fleet.ledger import Kind, Member
from aitoearn_async.fleet.postgres import PostgresLedger
from tests.fleet.engines import PostgresEngine
from tests.fleet.proxy import Proxy
from tests.fleet.test_contract import refs, states, take, worker

pytestmark = pytest.mark.parametrize("engine", ["postgres"], indirect=True)


async def backend(ledger: PostgresLedger) -> int:
    """The server's process for a ledger's connection."""

    ledger.sql["pid"] = b"SELECT pg_backend_pid()"
    ((pid,),) = await ledger._connection.rows("pid")
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


async def test_a_call_that_is_cancelled_while_the_network_is_cut_ends_at_once(
    engine: PostgresEngine, ledger: PostgresLedger
) -> None:
    """It does not ask a server that nobody reaches to end it, too."""
    loop = asyncio.get_running_loop()
    port = conninfo_to_dict(engine.url)["port"]
    async with Proxy(int(str(port))) as proxy:
        cut_off = PostgresLedger(engine.url.replace(f":{port}", f":{proxy.port}"))
        await cut_off.open()
        proxy.cut()
        asking = asyncio.create_task(cut_off.add(refs(1)))
        await asyncio.sleep(0.05)
        began = loop.time()
        asking.cancel()
        await asyncio.wait([asking])
        assert asking.cancelled()
        assert loop.time() - began < 2
        await cut_off.close()


@pytest.mark.slow
async def test_another_host_is_tried_where_one_does_not_answer(
    engine: PostgresEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the time of one call: a server that was cut off may never answer again."""
    monkeypatch.setattr("aitoearn_async.fleet.postgres_connection._SECONDS_TO_CONNECT", 2)
    async with Proxy(1) as silent:
        silent.cut()
        ledger = PostgresLedger(engine.url.replace("@", f"@127.0.0.1:{silent.port},"))
        await ledger.open()
        assert await ledger.add(refs(1)) == 1
        await ledger.close()


@pytest.mark.slow
@pytest.mark.parametrize("cancelled", [False, True])
async def test_a_connection_that_ends_while_something_is_asked_is_replaced(
    engine: PostgresEngine, ledger: PostgresLedger, cancelled: bool
) -> None:
    """The call tells, and the next one has a connection again."""
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
