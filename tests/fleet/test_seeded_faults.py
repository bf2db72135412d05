"""The contract suite finds what is put in on purpose: each fault makes one of its tests fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from aitoearn_async.emulator import VirtualTimeLoop
from aitoearn_async.fleet.ledger import Ledger
from aitoearn_async.fleet.postgres import PostgresLedger
from aitoearn_async.fleet.redis import RedisLedger
from aitoearn_async.fleet.sqlite import SqliteLedger
from tests.fleet import test_contract
from tests.fleet.engines import Engine, PostgresEngine, RedisEngine, SqliteEngine


@asynccontextmanager
async def opened(ledger: Ledger) -> AsyncIterator[Ledger]:
    await ledger.open()
    try:
        yield ledger
    finally:
        await ledger.close()


async def fails(test: Callable[..., Coroutine[Any, Any, None]], *given: Any) -> bool:
    try:
        await test(*given)
    except (AssertionError, pytest.fail.Exception):
        return True
    return False


async def found(engine: Engine, ledger: Ledger) -> list[str]:
    """The tests of the contract that a ledger does not pass."""
    names: list[str] = []
    for test, given in (
        (test_contract.test_only_the_holder_records, (ledger,)),
        (test_contract.test_the_first_outcome_stays, (ledger,)),
        (test_contract.test_what_a_worker_leaves_is_taken_over, (engine, ledger, True, 1)),
    ):
        if await fails(test, *given):
            names.append(test.__name__)
    return names


@pytest.fixture
def real_time() -> Any:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    return loop.real_time()


async def test_a_record_that_does_not_ask_who_holds_is_found_in_sqlite(tmp_path: Path) -> None:
    engine = SqliteEngine(tmp_path)
    ledger = SqliteLedger(engine.path, lease=600.0)
    ledger.sql["record"] = ledger.sql["record"].replace("AND state = 1 AND holder = :member", "")
    async with opened(ledger):
        assert "test_only_the_holder_records" in await found(engine, ledger)


async def test_a_record_that_does_not_ask_who_holds_is_found_in_postgres(
    postgres_url: str,
) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    with loop.real_time():
        engine = PostgresEngine(postgres_url)
        ledger = PostgresLedger(engine.url, lease=600.0)
        record = ledger.sql["record"].decode()
        holder = "AND state::text = '1' AND holder + 0 = %(member)s\n            AND EXISTS"
        assert holder in record
        ledger.sql["record"] = record.replace(holder, "AND EXISTS").encode()
        async with opened(ledger):
            assert "test_only_the_holder_records" in await found(engine, ledger)


async def test_a_consumer_deleted_with_entries_pending_is_found(
    valkey_url: str,
) -> None:
    """What is pending for it is lost for ever."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    with loop.real_time():
        engine = RedisEngine(valkey_url)
        ledger = RedisLedger(engine.url, lease=600.0)
        ledger._connection.scripts["leave"] = ledger._connection.script_of(
            """
            redis.call('XGROUP', 'DELCONSUMER', p .. 'tasks', 'workers', ARGV[1])
            redis.call('HDEL', p .. 'members:0', ARGV[1])
            return redis.call('DEL', p .. 'lease:' .. ARGV[1])"""
        )
        async with opened(ledger):
            assert "test_what_a_worker_leaves_is_taken_over" in await found(engine, ledger)


@pytest.mark.parametrize("kind", ["sqlite", "postgres", "valkey"])
async def test_a_sound_ledger_passes(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """So it is the fault that is found."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    with loop.real_time():
        if kind == "sqlite":
            engine: Engine = SqliteEngine(tmp_path)
        elif kind == "postgres":
            engine = PostgresEngine(request.getfixturevalue("postgres_url"))
        else:
            engine = RedisEngine(request.getfixturevalue("valkey_url"))
        for number, test in enumerate(
            (
                test_contract.test_only_the_holder_records,
                test_contract.test_the_first_outcome_stays,
            )
        ):
            async with opened(engine.ledger(f"sound{number}")) as ledger:
                await test(ledger)
