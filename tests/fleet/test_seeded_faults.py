"""The contract suite finds what is put in on purpose: each fault makes one of its tests fail."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from aitoearn_async.fleet.ledger import Ledger
from tests.fleet import test_contract
from tests.fleet.engines import Engine


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


@pytest.mark.parametrize(
    ("engine", "holder"),
    [
        ("sqlite", "AND state = 1 AND holder = :member"),
        ("postgres", b"AND state::text = '1' AND holder + 0 = %(member)s"),
    ],
    indirect=["engine"],
)
async def test_a_record_that_does_not_ask_who_holds_is_found(
    engine: Engine, holder: str | bytes
) -> None:
    ledger: Any = engine.ledger()
    assert holder in ledger.sql["record"]
    ledger.sql["record"] = ledger.sql["record"].replace(holder, type(holder)())
    async with opened(ledger):
        assert "test_only_the_holder_records" in await found(engine, ledger)


@pytest.mark.parametrize("engine", ["valkey"], indirect=True)
async def test_a_consumer_deleted_with_entries_pending_is_found(engine: Engine) -> None:
    """What is pending for it is lost for ever."""
    ledger: Any = engine.ledger()
    connection = ledger._connection
    connection.scripts["leave"] = connection.script_of(
        """
        redis.call('XGROUP', 'DELCONSUMER', p .. 'tasks', 'workers', ARGV[1])
        redis.call('HDEL', p .. 'members:0', ARGV[1])
        return redis.call('DEL', p .. 'lease:' .. ARGV[1])"""
    )
    async with opened(ledger):
        assert "test_what_a_worker_leaves_is_taken_over" in await found(engine, ledger)


async def test_a_sound_ledger_passes(engine: Engine) -> None:
    """So it is the fault that is found."""
    for name, test in (
        ("first", test_contract.test_only_the_holder_records),
        ("second", test_contract.test_the_first_outcome_stays),
    ):
        async with opened(engine.ledger(name)) as ledger:
            await test(ledger)
