"""What is Postgres' own: plans, late commits, rights, and outcomes in a reader's transaction."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import psycopg
import pytest
from psycopg import AsyncConnection

from aitoearn_async import ImageRef, ImageTask, Outcome, parse_ref
from aitoearn_async.fleet import Fleet, FleetError, FleetUnavailableError
from aitoearn_async.fleet.ledger import Kind, Member
from aitoearn_async.fleet.postgres import PostgresLedger
from aitoearn_async.fleet.postgres_connection import PromptConnection
from tests.fleet.engines import PostgresEngine
from tests.fleet.test_contract import record, refs, states, take, took, worker
from tests.support.ports import free_port

pytestmark = pytest.mark.parametrize("engine", ["postgres"], indirect=True)

VALUES: dict[str, Any] = {
    "member": 1,
    "gone": 2,
    "call": 1,
    "fence": 1,
    "most": 500,
    "count": 1,
    "kind": 0,
    "ref": "image:1",
    "read_in": 1,
    "refs": ["image:1", "image:2"],
    "outcomes": [b"{}", b"{}"],
    "keep": 100.0,
    "lease": 15.0,
    "held": 1,
    "report": b"{}",
}
OF_REFS = [
    *(
        "add",
        "beat",
        "renew",
        "free",
        "taken",
        "take_over",
        "take",
        "held",
        "give",
        "record",
    ),
    *(
        "is_idle",
        "is_read",
        "finish_and_read",
        "reading",
        "read_over",
        "read",
        "lock_one",
        "finish_one",
        "holds",
        "unfinished",
        "forget",
    ),
]


# Plans.


def fill(engine: PostgresEngine, count: int) -> None:
    """A table with refs in all states, as a long life leaves it, that nobody has analyzed."""
    engine.execute("ALTER TABLE aitoearn_fleet_refs SET (autovacuum_enabled = false)")
    engine.execute(
        "INSERT INTO aitoearn_fleet_refs (ref, added, changed, state, holder, outcome) "
        "SELECT 'image:' || lpad(to_hex(n), 24, '0'), clock_timestamp(), clock_timestamp(), "
        "(CASE n %% 5 WHEN 0 THEN '0' WHEN 1 THEN '1' WHEN 2 THEN '2' WHEN 3 THEN '3' "
        "ELSE '4' END)::\"char\", n %% 7, '{}' FROM generate_series(1, %s) AS n",
        count,
    )


def plan(engine: PostgresEngine, ledger: PostgresLedger, name: str) -> str:
    with psycopg.connect(engine.url) as connection:
        statement = ledger.sql[name].decode()
        rows = connection.execute(f"EXPLAIN {statement}", VALUES).fetchall()
    return "\n".join(row[0] for row in rows)


async def test_every_statement_uses_its_index(
    engine: PostgresEngine, ledger: PostgresLedger
) -> None:
    """With a hundred thousand refs, before the planner has been told of them, and after."""
    await asyncio.to_thread(fill, engine, 100_000)
    for analyzed in (False, True):
        if analyzed:
            engine.execute("ANALYZE aitoearn_fleet_refs")
        for name in OF_REFS:
            text = plan(engine, ledger, name)
            assert "Seq Scan on aitoearn_fleet_refs" not in text, f"{name}: {text}"
            if analyzed and name in ("take", "read", "forget"):
                assert "Sort" not in text, f"{name}: {text}"


async def test_what_is_read_does_not_grow_with_what_is_held(
    engine: PostgresEngine, ledger: PostgresLedger
) -> None:
    """One of twenty thousand refs of a worker is found by its name, not among all of them."""
    engine.execute("ALTER TABLE aitoearn_fleet_refs SET (autovacuum_enabled = false)")
    engine.execute(
        "INSERT INTO aitoearn_fleet_refs (ref, added, state, holder) "
        "SELECT 'image:' || n, clock_timestamp(), '1', 1 FROM generate_series(1, 20000) AS n"
    )
    await worker(ledger)
    for analyzed in (False, True):
        if analyzed:
            engine.execute("ANALYZE aitoearn_fleet_refs")
        for name in ("record", "give"):
            read = pages_read(engine, ledger, name)
            assert read < 60, f"{name}: {read}"


def pages_read(engine: PostgresEngine, ledger: PostgresLedger, name: str) -> int:
    """Pages that a statement about one or two refs reads, indexes included."""
    with psycopg.connect(engine.url) as connection:
        statement = ledger.sql[name].decode()
        explain = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}"
        row = connection.execute(explain, VALUES).fetchone()
        connection.rollback()
    assert row is not None
    top: dict[str, int] = row[0][0]["Plan"]
    return top["Shared Hit Blocks"] + top["Shared Read Blocks"]


async def test_the_planner_is_told_after_large_adds(
    engine: PostgresEngine, ledger: PostgresLedger
) -> None:
    """Or it would sort all that wait for each take."""
    for first in range(0, 6_000, 2_000):
        await ledger.add(refs(2_000, first))
    assert "Sort" not in plan(engine, ledger, "take")


# Adds.


async def test_the_same_refs_are_added_by_two_at_once(
    engine: PostgresEngine, ledger: PostgresLedger
) -> None:
    """In whatever order each has them, neither waits for one that waits for it."""
    async with engine.opened() as other:
        for first in range(0, 20_000, 5_000):
            some = refs(5_000, first)
            assert sum(await asyncio.gather(ledger.add(some), other.add(some[::-1]))) == 5_000


async def test_refs_of_one_add_are_taken_in_its_order(ledger: PostgresLedger) -> None:
    """Those that are added first are the oldest."""
    some = refs(600)
    random.shuffle(some)
    await ledger.add(some)
    member = await worker(ledger)
    for at in range(0, 600, 100):
        assert set(await took(ledger, member, 100, call=at + 1)) == set(some[at : at + 100])


# Messages.


async def test_what_is_done_all_the_time_takes_few_messages(
    ledger: PostgresLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is a way to the server and back, and takes both of them longer than most statements."""
    sent = 0
    wait: Any = PromptConnection.wait

    async def counted(*args: Any, **options: Any) -> Any:
        nonlocal sent
        sent += 1
        return await wait(*args, **options)

    monkeypatch.setattr(PromptConnection, "wait", counted)
    mine, reader = await worker(ledger), await ledger.join(Kind.READER, "reader")
    calls: dict[str, tuple[int, Callable[[], Awaitable[object]]]] = {
        "beat": (2, lambda: ledger.beat(mine, lambda _: Member(id=mine, kind=Kind.WORKER))),
        "renew": (1, lambda: ledger.renew(mine, lambda: Member(id=mine, kind=Kind.WORKER))),
        "idle take": (1, lambda: ledger.take(mine, 1, lambda _, free: 10)),
        "add": (1, lambda: ledger.add(refs(3))),
        "take": (3, lambda: ledger.take(mine, 2, lambda _, free: 2)),
        "next take": (2, lambda: ledger.take(mine, 3, lambda _, free: 1)),
        "give": (1, lambda: ledger.give(mine, refs(1, 2))),
        "record": (1, lambda: ledger.record(mine, [(ref, b"{}") for ref in refs(2)])),
        "first read": (2, lambda: ledger.read(reader, [], 1)),
        "next read": (1, lambda: ledger.read(reader, refs(1), 1)),
        "last read": (1, lambda: ledger.read(reader, refs(1, 1), 1)),
        "idle read": (1, lambda: ledger.read(reader, [], 1)),
        "finished": (1, ledger.finished),
        "leave": (1, lambda: ledger.leave(mine)),
    }
    for name, (most, call) in calls.items():
        before = sent
        await call()
        assert 0 < sent - before <= most, name


async def test_a_look_for_outcomes_that_finds_none_writes_nothing(
    engine: PostgresEngine, ledger: PostgresLedger
) -> None:
    """Not even a lock, for which the server would write to its disk."""
    reader = await ledger.join(Kind.READER, "reader")
    assert await ledger.read(reader, [], 10) == []
    with psycopg.connect(engine.url) as connection:
        row = connection.execute("SELECT xmax::text FROM aitoearn_fleet_members").fetchone()
    assert row == ("0",)


# A take that commits late.


class OneStatementReaper(PostgresLedger):
    """A seeded fault: members are removed, and what they held freed, in one statement.

    The statement sees what had been committed when it began, not what it waited for.
    """

    async def remove(self, run: Any, gone: int) -> None:
        await run.cursor.execute(
            "WITH gone AS (DELETE FROM aitoearn_fleet_members WHERE id = %s RETURNING id) "
            "UPDATE aitoearn_fleet_refs SET state = '0', holder = NULL "
            "WHERE state = '1' AND holder IN (SELECT id FROM gone)",
            [gone],
        )


async def nothing_is_orphaned_by_a_late_commit(
    engine: PostgresEngine, ledger: PostgresLedger
) -> None:
    """A member dies in the middle of a take, whose commit comes after others have looked."""
    await ledger.add(refs(1))
    dead, mine = await worker(ledger), await worker(ledger)
    async with await AsyncConnection.connect(engine.url) as late:
        values = {"member": dead, "call": 1, "fence": 1, "most": 10}
        await late.execute(ledger.sql["alive"], values)
        await engine.end_lease(dead)
        await late.execute(ledger.sql["take"], values)
        looking = asyncio.create_task(take(ledger, mine))
        await asyncio.wait([looking], timeout=0.3)
        await late.commit()
        taken = [each.ref for each in await looking]
    for call in range(2, 5):
        taken += await took(ledger, mine, call=call)
    assert taken == refs(1)


@pytest.mark.parametrize("of_dead", [False, True])
async def test_a_take_and_its_repetition_are_one(
    engine: PostgresEngine, ledger: PostgresLedger, of_dead: bool
) -> None:
    """A call is given up while the server carries it out, and repeated on a new connection."""
    await ledger.add(refs(10))
    mine, dead = await worker(ledger), await worker(ledger)
    if of_dead:
        await took(ledger, dead)
        await engine.end_lease(dead)
    async with await AsyncConnection.connect(engine.url) as late:
        values = {"member": mine, "gone": dead, "call": 1, "fence": 1, "most": 6, "count": 6}
        await late.execute(ledger.sql["alive"], values)
        for name in ("take_over", "took") if of_dead else ("take",):
            await late.execute(ledger.sql[name], values)
        repeating = asyncio.create_task(took(ledger, mine, 6))
        await asyncio.wait([repeating], timeout=0.3)
        await late.commit()
        taken = await repeating
        assert (await states(ledger))[1] == (10 if of_dead else 6)
        assert sorted(taken) == sorted(await ledger.held(mine, 10))
        assert len(taken) == 6
        # And one that comes when all is over.
        rows = await late.execute(ledger.sql["take"], values)
        assert await rows.fetchall() == []
    assert len(await took(ledger, mine, 10, call=2)) == 4


async def test_nothing_is_orphaned_by_a_late_commit(
    engine: PostgresEngine, ledger: PostgresLedger
) -> None:
    await nothing_is_orphaned_by_a_late_commit(engine, ledger)


async def test_a_reaper_in_one_statement_is_found(engine: PostgresEngine) -> None:
    """The test before this one fails with it."""
    ledger = OneStatementReaper(engine.url, lease=600.0)
    await ledger.open()
    try:
        with pytest.raises(AssertionError):
            await nothing_is_orphaned_by_a_late_commit(engine, ledger)
    finally:
        await ledger.close()


# Outcomes in a transaction of the reader's.


async def ended(ledger: PostgresLedger, count: int) -> None:
    """Outcomes to read."""
    mine = await worker(ledger)
    await ledger.add(refs(count))
    await take(ledger, mine)
    lines: list[tuple[str, bytes]] = []
    for ref in refs(count):
        number = ref.partition(":")[2]
        task = ImageTask(log_id=number, status="success")
        outcome = Outcome(ref=ImageRef(number), task=task, error=None, polls=1, elapsed=1.0)
        lines.append((ref, outcome.to_json()))
    await ledger.record(mine, lines)


async def effects(engine: PostgresEngine) -> list[str]:
    async with await AsyncConnection.connect(engine.url) as connection:
        rows = await connection.execute("SELECT ref FROM effects ORDER BY ref")
        return [ref async for (ref,) in rows]


@pytest.fixture
async def connection(engine: PostgresEngine) -> AsyncIterator[AsyncConnection[Any]]:
    engine.execute("CREATE TABLE effects (ref text)")
    async with await AsyncConnection.connect(engine.url) as connection:
        yield connection


async def test_an_effect_and_its_outcome_are_committed_together(
    engine: PostgresEngine, ledger: PostgresLedger, connection: AsyncConnection[Any]
) -> None:
    """Two readers, and one that fails now and then: each effect is there once."""
    await ended(ledger, 12)

    async def read(failures: int) -> None:
        count = 0
        async with (
            Fleet(engine.url) as fleet,
            await AsyncConnection.connect(engine.url) as mine,
            fleet.outcomes(connection=mine, follow=False) as outcomes,
        ):
            async for outcome in outcomes:
                await mine.execute("INSERT INTO effects VALUES (%s)", [str(outcome.ref)])
                count += 1
                if failures and count == 2:
                    raise KeyError

    for _ in range(3):
        with pytest.raises(KeyError):
            await read(failures=1)
    await asyncio.gather(read(0), read(0))
    assert await effects(engine) == refs(12)
    assert await states(ledger) == [0, 0, 0, 0, 12]


@pytest.mark.parametrize("count", [0, 2])
async def test_what_follows_the_last_outcome_is_committed(
    engine: PostgresEngine, ledger: PostgresLedger, connection: AsyncConnection[Any], count: int
) -> None:
    """With the block: inside it nobody may commit. One that fails takes it back."""
    await ended(ledger, count)
    for fails in (False, True):
        with contextlib.suppress(KeyError):
            async with (
                Fleet(engine.url) as fleet,
                fleet.outcomes(connection=connection, follow=False) as outcomes,
            ):
                async for _ in outcomes:
                    pass
                await connection.execute("INSERT INTO effects VALUES (%s)", [f"failed: {fails}"])
                if fails:
                    raise KeyError
    assert await effects(engine) == ["failed: False"]


async def test_a_reader_that_dies_has_done_nothing(
    engine: PostgresEngine, ledger: PostgresLedger, connection: AsyncConnection[Any]
) -> None:
    """Neither the effect nor the outcome is gone, and another gets it at once."""
    await ended(ledger, 1)
    async with Fleet(engine.url) as fleet:
        outcomes = fleet.outcomes(connection=connection)
        await outcomes.__aenter__()
        outcome = await anext(outcomes)
        await connection.execute("INSERT INTO effects VALUES (%s)", [str(outcome.ref)])
        await connection.close()
        assert await effects(engine) == []
        async with (
            await AsyncConnection.connect(engine.url) as mine,
            fleet.outcomes(connection=mine, follow=False) as others,
        ):
            assert (await anext(others)).ref == outcome.ref


async def test_a_commit_inside_the_block_is_found(
    engine: PostgresEngine, ledger: PostgresLedger, connection: AsyncConnection[Any]
) -> None:
    """Another reader has the outcome then: the next effect is not committed with it."""
    await ended(ledger, 1)
    async with Fleet(engine.url) as fleet:
        outcomes = fleet.outcomes(connection=connection, follow=False)
        async with outcomes:
            await anext(outcomes)
            await connection.commit()
            async with fleet.outcomes() as others:
                await anext(others)
            await connection.execute("INSERT INTO effects VALUES ('twice')")
            with pytest.raises(FleetError, match="another reader's"):
                await anext(outcomes)
            outcomes._given.clear()
    assert await effects(engine) == []


async def test_an_outcome_whose_effect_was_rolled_back_is_not_done(
    engine: PostgresEngine, ledger: PostgresLedger, connection: AsyncConnection[Any]
) -> None:
    """Inside the block, and in silence: it comes again. A savepoint may be rolled back."""
    await ended(ledger, 2)
    async with Fleet(engine.url) as fleet:
        outcomes = fleet.outcomes(connection=connection, follow=False)
        async with outcomes:
            await anext(outcomes)
            with pytest.raises(psycopg.errors.UndefinedTable):
                async with connection.transaction():
                    await connection.execute("INSERT INTO nowhere VALUES (1)")
            await anext(outcomes)
            await connection.execute("INSERT INTO effects VALUES ('gone')")
            await connection.rollback()
            await connection.execute("INSERT INTO effects VALUES ('later')")
            with pytest.raises(FleetError, match="is not done"):
                await anext(outcomes)
            outcomes._given.clear()
    assert await states(ledger) == [0, 0, 1, 0, 1]
    assert await effects(engine) == []


@pytest.mark.parametrize("given", [0, 1])
async def test_a_connection_that_is_lost_is_told(
    engine: PostgresEngine, ledger: PostgresLedger, connection: AsyncConnection[Any], given: int
) -> None:
    """Before the first outcome, and before one is done: that one is another reader's then."""
    await ended(ledger, 2)
    async with Fleet(engine.url) as fleet:
        outcomes = await fleet.outcomes(connection=connection).__aenter__()
        for _ in range(given):
            await anext(outcomes)
        await connection.close()
        with pytest.raises(FleetUnavailableError, match="the connection cannot be used now"):
            await anext(outcomes)
    assert await states(ledger) == [0, 0, 2, 0, 0]


async def test_a_read_that_was_cancelled_can_be_repeated(
    engine: PostgresEngine, ledger: PostgresLedger, connection: AsyncConnection[Any]
) -> None:
    """A time limit around it leaves the connection as it was before."""
    await ended(ledger, 1)
    async with (
        Fleet(engine.url) as fleet,
        fleet.outcomes(connection=connection, follow=False) as outcomes,
    ):
        async with await AsyncConnection.connect(engine.url) as other:
            await other.execute("LOCK TABLE aitoearn_fleet_refs IN EXCLUSIVE MODE")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await anext(outcomes)
        assert (await anext(outcomes)).ref == parse_ref(refs(1)[0])
    assert await states(ledger) == [0, 0, 0, 0, 1]


@pytest.mark.parametrize("goes_on", [False, True])
async def test_a_read_that_was_cancelled_later_does_nothing_twice(
    engine: PostgresEngine,
    ledger: PostgresLedger,
    connection: AsyncConnection[Any],
    monkeypatch: pytest.MonkeyPatch,
    goes_on: bool,
) -> None:
    """What was given before is done already, and the next is still to be had."""
    execute = connection.execute

    async def stalled(statement: bytes, *values: Any) -> object:
        if b"FOR UPDATE" in statement:
            await asyncio.sleep(3600)
        return await execute(statement, *values)

    await ended(ledger, 2)
    async with (
        Fleet(engine.url) as fleet,
        fleet.outcomes(connection=connection, follow=False) as outcomes,
    ):
        first = await anext(outcomes)
        with monkeypatch.context() as patch:
            patch.setattr(connection, "execute", stalled)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await anext(outcomes)
        assert await states(ledger) == [0, 0, 1, 0, 1]
        if goes_on:
            assert (await anext(outcomes)).ref != first.ref
    assert await states(ledger) == [0, 0, 1 - goes_on, 0, 1 + goes_on]


async def test_a_connection_in_autocommit_mode_is_refused(engine: PostgresEngine) -> None:
    """There would be no transaction to do it in."""
    async with (
        Fleet(engine.url) as fleet,
        await AsyncConnection.connect(engine.url, autocommit=True) as connection,
    ):
        with pytest.raises(FleetError, match="autocommit"):
            await fleet.outcomes(connection=connection).__aenter__()


async def test_a_connection_of_another_kind_is_refused(engine: PostgresEngine) -> None:
    """One of psycopg's that is not for asyncio, for instance."""
    async with Fleet(engine.url) as fleet:
        with (
            psycopg.connect(engine.url) as connection,
            pytest.raises(TypeError, match=r"psycopg.AsyncConnection; this one is a psycopg.Conn"),
        ):
            fleet.outcomes(connection=connection)  # type: ignore[arg-type]


# Trouble.


async def test_a_user_without_rights_is_told(engine: PostgresEngine) -> None:
    """One who may use the tables need not be allowed to make them; one who may not is told."""
    role = f"role_{engine.schema}"
    engine.execute(f"CREATE ROLE {role} LOGIN")
    url = engine.url.replace("fleet@", f"{role}@")
    with pytest.raises(FleetError, match=r"permission denied|does not exist|no schema"):
        await PostgresLedger(url).open()
    async with engine.opened() as ledger:
        await ledger.add(refs(1))
    engine.execute(f"GRANT USAGE ON SCHEMA {engine.schema} TO {role}")
    engine.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA {engine.schema} TO {role}")
    engine.execute(f"GRANT ALL ON ALL SEQUENCES IN SCHEMA {engine.schema} TO {role}")
    ledger = PostgresLedger(url)
    await ledger.open()
    assert await took(ledger, await worker(ledger)) == refs(1)
    assert await record(ledger, 1, refs(1)) == 1
    await ledger.close()


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("postgresql://fleet:hunter2@127.0.0.1:{closed}/postgres", FleetUnavailableError),
        ("postgresql://fleet:hunter2@127.0.0.1:{port}/nowhere", FleetError),
        ("postgresql://nobody:hunter2@127.0.0.1:{port}/postgres", FleetError),
    ],
)
async def test_an_address_that_leads_nowhere_is_told_without_its_password(
    engine: PostgresEngine, url: str, kind: type[FleetError]
) -> None:
    """A server that is not there may come; a database or a user that is not there is a mistake."""
    ledger = PostgresLedger(
        url.format(closed=free_port(), port=psycopg.conninfo.conninfo_to_dict(engine.url)["port"])
    )
    with pytest.raises(FleetError) as caught:
        await ledger.open()
    assert type(caught.value) is kind
    assert "hunter2" not in f"{caught.value}{caught.value!r}"
