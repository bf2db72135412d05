"""What is wrong with an engine: a clear error for each, and nothing is lost."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import socket
import sqlite3
import sys
import traceback
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from redis.exceptions import MovedError

from aitoearn_async import Client
from aitoearn_async.fleet import (
    Fleet,
    FleetError,
    FleetNotFoundError,
    FleetUnavailableError,
    sqlite_file,
)
from aitoearn_async.fleet.ledger import Kind, Ledger, Member
from aitoearn_async.fleet.postgres import PostgresLedger
from aitoearn_async.fleet.postgres_connection import translated
from aitoearn_async.fleet.redis import RedisLedger
from aitoearn_async.fleet.redis_connection import RedisConnection
from aitoearn_async.fleet.sqlite import SqliteLedger
from aitoearn_async.fleet.urls import ledger_at
from tests.fleet.engines import Engine, PostgresEngine, RedisEngine, SqliteEngine
from tests.fleet.proxy import Proxy
from tests.fleet.servers import ValkeyServer
from tests.fleet.test_contract import record, refs, states, took, worker
from tests.support.ports import free_port

# Addresses.


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "begins with ''"),
        ("fleet.db", "begins with 'fleet.db'"),
        ("mysql://user:hunter2@host/fleet", "begins with 'mysql'"),
        ("sqlite://fleet.db", "sqlite:///relative.db"),
        ("sqlite:///", "sqlite:///relative.db"),
        ("postgresql://user:hunter2@host/x?nonsense=1", "cannot be read"),
        ("postgresql://user:hunter2@[half/x", "postgresql://[half/x"),
        ("redis://user:hunter2@host:nowhere/0", "redis://host:nowhere"),
        ("redis://user:hunter2@[half/0", "redis://[half/0"),
        ("redis://:hunter2/@host/0", "redis://host/0"),
        ("redis://:hunter2#@host/0", "redis://host/0"),
        ("redis://:hunter2?@host/0", "redis://..."),
        ("redis://valkey:nowhere", "redis://valkey:nowhere': Port"),
        ("redis://:hunter2@host/0?nonsense=1", "it cannot be read"),
        ("redis://host/0?nonsense=1", "nonsense"),
        ("redis://host/0?protocol=9", "protocol must be"),
        ("VALKEYS://valkey:nowhere", "rediss://valkey:nowhere"),
        ("user:hunter2@host/fleet", "begins with '...'"),
        ("password=hunter2 host=h", "begins with '...'"),
        (7, "not int"),
    ],
)
def test_a_bad_address_is_refused_with_an_example(url: Any, message: str) -> None:
    """When the fleet is made, and without the password that may stand in it."""
    with pytest.raises(ValueError, match="fleet's url") as caught:
        Fleet(url)
    assert message in str(caught.value)
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


def test_a_bad_address_in_the_environment_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the variable."""
    monkeypatch.setenv("AITOEARN_FLEET", "mysql://host")
    with pytest.raises(ValueError, match="AITOEARN_FLEET begins with 'mysql'"):
        Fleet()


async def test_a_fleet_may_have_the_name_of_its_engine(engine: Engine) -> None:
    """SQLite keeps names of tables that begin with its own for itself."""
    async with engine.opened("sqlite") as ledger:
        assert await ledger.add(refs(1)) == 1


@pytest.mark.parametrize("name", ["", "No", "no-dash", "1st", "x" * 32, None])
def test_a_bad_name_is_refused(name: Any) -> None:
    """It becomes part of a table's."""
    with pytest.raises(ValueError, match="name="):
        Fleet(name=name)


@pytest.mark.parametrize(
    "numbers",
    [
        *({"lease": 0.5}, {"lease": True}, {"lease": 1e300}, {"lease": 10**400}),
        *({"keep": -1}, {"keep": "7"}, {"keep": math.nan}, {"keep": 10**400}),
        *({"patience": -1}, {"patience": None}, {"patience": math.nan}),
    ],
)
def test_bad_numbers_are_refused(numbers: dict[str, Any]) -> None:
    """With their name."""
    with pytest.raises(ValueError, match=r"lease=|keep=|patience="):
        Fleet(**numbers)


def forget_modules(monkeypatch: pytest.MonkeyPatch, *beginnings: str) -> None:
    """Have modules whose names begin so be imported anew, in this test."""
    for name in [each for each in sys.modules if each.startswith(beginnings)]:
        monkeypatch.delitem(sys.modules, name)


@pytest.mark.parametrize(
    ("module", "package", "url", "extra"),
    [
        ("postgres", "psycopg", "postgresql://host/db", "postgres"),
        ("redis", "redis", "redis://host", "redis"),
    ],
)
def test_a_missing_package_is_named_with_the_line_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, module: str, package: str, url: str, extra: str
) -> None:
    """Before anything is connected."""
    forget_modules(monkeypatch, f"aitoearn_async.fleet.{module}")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(FleetError, match=f"pip install 'aitoearn-async\\[{extra}\\]'"):
        Fleet(url)


@pytest.mark.parametrize(
    ("url", "broken"),
    [
        ("postgresql://host/db", "psycopg.conninfo"),
        ("postgresql://host/db", "msgspec"),
        ("redis://host", "redis.backoff"),
        ("redis://host", "msgspec"),
    ],
)
def test_only_a_missing_package_is_said_to_be_missing(
    monkeypatch: pytest.MonkeyPatch, url: str, broken: str
) -> None:
    """Any other import that fails is raised as it is: to install the package would not help."""
    forget_modules(monkeypatch, "aitoearn_async.fleet.postgres", "aitoearn_async.fleet.redis")
    monkeypatch.setitem(sys.modules, broken, None)
    with pytest.raises(ImportError) as caught:
        Fleet(url)
    assert caught.value.name == broken


def test_a_missing_libpq_is_named_with_both_cures(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package is there without its binary part, and the system has no library for it."""
    forget_modules(monkeypatch, "psycopg", "aitoearn_async.fleet.postgres")
    for name in ("psycopg_c", "psycopg_binary"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr("ctypes.util.find_library", lambda name: None)
    with pytest.raises(FleetError, match="libpq") as caught:
        Fleet("postgresql://host/db")
    assert "pip install 'aitoearn-async[postgres]'" in str(caught.value)
    assert "apt-get install libpq5" in str(caught.value)


# What is not there.


async def test_a_fleet_is_made_where_it_may_be(engine: Engine) -> None:
    """By whoever comes first, also a reader; one who may not make it finds no trace of that."""
    for _ in range(2):
        with pytest.raises(FleetNotFoundError, match="no fleet here: "):
            await Fleet(engine.url, create=False).__aenter__()
    async with Fleet(engine.url, name="other") as fleet:
        assert (await fleet.status()).waiting == 0
    with pytest.raises(FleetNotFoundError, match="no fleet named 'fleet'"):
        await Fleet(engine.url, create=False).__aenter__()
    async with Fleet(engine.url, name="other", create=False) as fleet:
        assert await fleet.add(refs(2)) == 2
        assert (await fleet.status()).waiting == 2


async def test_a_file_that_is_not_there_is_named_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The working directory is another than it should be, mostly. Nothing is written there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AITOEARN_FLEET", raising=False)
    with pytest.raises(FleetNotFoundError) as caught:
        await Fleet(create=False).__aenter__()
    assert str(caught.value) == f"no fleet here: {tmp_path}/aitoearn-fleet.db does not exist"
    assert os.listdir(tmp_path) == []


async def test_a_file_that_cannot_be_looked_at_is_not_said_to_be_missing(tmp_path: Path) -> None:
    """Its name is too long, for instance; SQLite's own words say that it cannot be opened."""
    with pytest.raises(FleetError, match="cannot be opened") as caught:
        await Fleet(f"sqlite:///{tmp_path}/{'x' * 300}.db", create=False).__aenter__()
    assert not isinstance(caught.value, FleetNotFoundError)


async def test_a_directory_is_said_to_be_one(tmp_path: Path) -> None:
    with pytest.raises(FleetError, match="it is a directory; give the path of a file in it"):
        await Fleet(f"sqlite:///{tmp_path}").__aenter__()


async def test_a_file_of_somebody_else_is_left_as_it_is(tmp_path: Path) -> None:
    """Where no fleet may be made. One in which there is nothing, too."""
    path = tmp_path / "mine.db"
    for statement in ("", "CREATE TABLE mine (x)"):
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute(statement)
        before = path.read_bytes()
        with pytest.raises(FleetNotFoundError, match="no fleet named 'fleet'"):
            await Fleet(f"sqlite:///{path}", create=False).__aenter__()
        assert path.read_bytes() == before
        assert os.listdir(tmp_path) == [path.name]


# Servers.


OLD = {
    "sqlite": ("aitoearn_async.fleet.sqlite._OLDEST", (99, 0), "is too old"),
    "postgres": ("aitoearn_async.fleet.postgres._OLDEST", 990000, "99 or newer"),
    "valkey": ("aitoearn_async.fleet.redis_connection._OLDEST", (99, 0), "too old"),
}


async def test_an_old_server_is_refused(
    engine: Engine, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its version, and the one that is needed."""
    kind = request.node.callspec.params["engine"]
    name, oldest, message = OLD[kind]
    monkeypatch.setattr(name, oldest)
    with pytest.raises(FleetError, match=message) as caught:
        await engine.ledger().open()
    assert not isinstance(caught.value, FleetUnavailableError)


async def test_a_server_that_is_not_there_may_come(engine: Engine) -> None:
    """Its error says so by its type."""
    for url, kind in (
        (f"postgresql://fleet@127.0.0.1:{free_port()}/x", PostgresLedger),
        (f"redis://127.0.0.1:{free_port()}", RedisLedger),
    ):
        with pytest.raises(FleetUnavailableError, match=r"127\.0\.0\.1.* cannot be used now"):
            await kind(url).open()


async def test_a_closed_ledger_says_so(engine: Engine) -> None:
    """It opens no connection again."""
    async with engine.opened() as ledger:
        await ledger.add(refs(1))
    with pytest.raises(FleetError, match="the fleet is closed"):
        await ledger.add(refs(1))
    await ledger.close()


@pytest.mark.parametrize("engine", ["postgres", "valkey"], indirect=True)
@pytest.mark.parametrize("connects", [False, True])
async def test_a_ledger_that_is_closed_while_it_is_asked_keeps_no_connection(
    engine: Engine, connects: bool
) -> None:
    """No call that waits for its turn makes one, and none that is connecting goes on."""
    port = urlsplit(engine.url).port
    assert port is not None
    async with engine.opened() as other, Proxy(port) as proxy:
        ledger = ledger_at(engine.url.replace(f":{port}", f":{proxy.port}"), "fleet", 600.0)
        await ledger.open()
        if connects:
            proxy.lines[0].hang_up()
            with pytest.raises(FleetUnavailableError):
                await ledger.add(refs(1))
        proxy.cut()
        calls = [asyncio.create_task(ledger.add(refs(1, number))) for number in range(3)]
        await asyncio.sleep(0.05)
        closing = asyncio.create_task(ledger.close())
        await asyncio.sleep(0.05)
        proxy.mend()
        await closing
        ends = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(end, FleetError) for end in ends)
        if connects:
            assert await states(other) == [0, 0, 0, 0, 0]
            return
        async with asyncio.timeout(5):
            while proxy.open:  # noqa: ASYNC110 - it hears of it a moment later
                await asyncio.sleep(0.01)


@pytest.mark.sampled(3)
async def test_a_call_cancelled_in_the_middle_leaves_a_ledger_that_works(engine: Engine) -> None:
    """Whatever reply was still under way."""
    async with engine.opened() as ledger:
        await ledger.add(refs(50))
        mine = await worker(ledger)
        taken: list[str] = []
        for call in range(1, 40):
            taking = asyncio.create_task(took(ledger, mine, 1, call))
            for _ in range(call):
                await asyncio.sleep(0)
            taking.cancel()
            await asyncio.gather(taking, return_exceptions=True)
            taken += await took(ledger, mine, 1, call)
        assert len(taken) == len(set(taken)) == 39
        assert (await states(ledger))[:2] == [11, 39]


async def test_a_server_that_does_not_answer_counts_as_away(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After some seconds, and by the type of its error."""
    if isinstance(engine, SqliteEngine):
        connection = sqlite3.connect(engine.path)
        monkeypatch.setattr("aitoearn_async.fleet.sqlite_file._LOCK_SECONDS", 0.05)
        async with engine.opened() as ledger:
            connection.execute("BEGIN EXCLUSIVE")
            with pytest.raises(FleetUnavailableError, match="keeps it locked"):
                await ledger.add(refs(1))
            connection.rollback()
            assert await ledger.add(refs(1)) == 1
        connection.close()
        return

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    module = "postgres" if isinstance(engine, PostgresEngine) else "redis"
    monkeypatch.setattr("aitoearn_async.fleet.connection._MOST_SECONDS", 0.1)
    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    url = (
        f"postgresql://x@127.0.0.1:{port}/x"
        if module == "postgres"
        else f"redis://127.0.0.1:{port}"
    )
    ledger = PostgresLedger(url) if module == "postgres" else RedisLedger(url)
    with pytest.raises(FleetUnavailableError, match=r"0\.1 s"):
        await ledger.open()
    server.close()


# Read-only.


@contextlib.contextmanager
def only_read(path: Path) -> Iterator[None]:
    """A file that this process may not write to, even as root."""
    me = os.geteuid()
    path.parent.chmod(0o555)
    path.chmod(0o444)
    if me == 0:
        for each in path.parents[1:3]:
            each.chmod(0o755)
        os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(me)
        path.parent.chmod(0o755)
        path.chmod(0o644)


async def test_a_file_that_cannot_be_written_to_is_told(tmp_path: Path) -> None:
    """Opened by a user who may only read it; what it holds is there for who may write."""
    engine = SqliteEngine(tmp_path)
    async with engine.opened() as ledger:
        await ledger.add(refs(3))
    with (
        only_read(engine.path),
        pytest.raises(FleetError, match=r"cannot be (written to|opened)") as caught,
    ):
        await engine.ledger().open()
    assert str(engine.path) in str(caught.value)
    async with engine.opened() as ledger:
        assert (await states(ledger))[0] == 3


@pytest.mark.parametrize("engine", ["postgres"], indirect=True)
async def test_a_database_that_is_only_read_from_counts_as_away(engine: Engine) -> None:
    """A standby that may be promoted: the same call succeeds when it has been."""
    async with engine.opened() as ledger:
        await ledger.add(refs(2))
        mine = await worker(ledger)
        await took(ledger, mine)
    url = engine.url.replace("?options=", "?options=-cdefault_transaction_read_only%3Don%20")
    standby = PostgresLedger(url, lease=600.0)
    await standby.open()
    with pytest.raises(FleetUnavailableError, match="read-only transaction"):
        await record(standby, mine, refs(2))
    with pytest.raises(FleetUnavailableError, match="read-only transaction"):
        await standby.add(refs(1, 7))
    await standby.close()
    async with engine.opened() as ledger:
        assert await states(ledger) == [0, 2, 0, 0, 0]
        assert await record(ledger, mine, refs(2)) == 2


# Full.


async def test_a_full_disk_loses_nothing_in_a_file(quick_path: Path) -> None:
    """What did not fit is refused as a whole; the same call succeeds when there is room."""
    engine = SqliteEngine(quick_path)
    async with engine.opened() as ledger:
        assert isinstance(ledger, SqliteLedger)
        await ledger.add(refs(5))
        mine = await worker(ledger)
        assert len(await took(ledger, mine)) == 5
        await _limit(ledger, 1)
        big = [(ref, b"x" * 20_000) for ref in refs(5)]
        with pytest.raises(FleetUnavailableError, match="disk is full"):
            await ledger.record(mine, big)
        with pytest.raises(FleetUnavailableError, match="disk is full"):
            await ledger.add(refs(5_000, 100))
        assert await states(ledger) == [0, 5, 0, 0, 0]
        await _limit(ledger, 1_000_000)
        assert await ledger.record(mine, big) == 5
        assert await ledger.add(refs(5_000, 100)) == 5_000


async def test_a_disk_that_the_log_has_filled_is_no_dead_end(quick_path: Path) -> None:
    """Each commit makes SQLite's log longer, until what is in it goes into the file itself."""
    engine = SqliteEngine(quick_path)
    async with engine.opened() as ledger:
        mine = await worker(ledger)
        with _files_of_at_most(400_000):
            for number in range(200):
                await ledger.add(refs(1, number))
                await ledger.beat(mine, lambda _: Member(id=mine, kind=Kind.WORKER))
        assert await states(ledger) == [200, 0, 0, 0, 0]


async def test_a_full_disk_needs_little_room_to_go_on(quick_path: Path) -> None:
    """As much as is in the log: that has to go into the file first."""
    engine = SqliteEngine(quick_path)
    async with engine.opened() as ledger:
        for number in range(100):
            await ledger.add(refs(100, 100 * number))
        assert engine.path.stat().st_size > 1_000_000
        assert engine.path.with_name("fleet.db-wal").stat().st_size < 600_000


async def test_a_file_that_a_full_disk_keeps_closed_is_tried_again(quick_path: Path) -> None:
    """SQLite shares the places in its log by a third file, and calls it an error of the disk."""
    engine = SqliteEngine(quick_path)
    async with engine.opened() as ledger:
        await ledger.add(refs(5))
    again = engine.ledger()
    with _files_of_at_most(16_000), pytest.raises(FleetUnavailableError, match="disk is full"):
        await again.open()
    await again.open()
    assert await states(again) == [5, 0, 0, 0, 0]
    await again.close()


@contextlib.contextmanager
def _files_of_at_most(size: int) -> Iterator[None]:
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def _limit(ledger: SqliteLedger, pages: int) -> None:
    def limit() -> None:
        assert ledger._file._connection is not None
        ledger._file._connection.execute(f"PRAGMA max_page_count = {pages}")

    await ledger._file.call(limit)


@pytest.fixture
async def valkey(real_time: None) -> AsyncIterator[RedisEngine]:
    """A server of this test's alone."""
    server = ValkeyServer()
    try:
        engine = RedisEngine(server.url)
        yield engine
        engine.redis.close()
    finally:
        server.close()


OF_VALKEY = {
    "a full memory": (["CONFIG SET maxmemory 1"], "CONFIG SET maxmemory 0"),
    "no replica": (["CONFIG SET min-replicas-to-write 1"], "CONFIG SET min-replicas-to-write 0"),
    "a replica without its master": (
        ["CONFIG SET replica-serve-stale-data no", "REPLICAOF 127.0.0.1 9"],
        "REPLICAOF NO ONE",
    ),
    "a replica": (["REPLICAOF 127.0.0.1 9"], "REPLICAOF NO ONE"),
    "a script of somebody": (["CONFIG SET lua-time-limit 1", "EVAL forever"], "SCRIPT KILL"),
}


@pytest.mark.parametrize("trouble", OF_VALKEY)
async def test_what_may_pass_in_valkey_is_tried_again(valkey: RedisEngine, trouble: str) -> None:
    """It refuses what it is asked meanwhile, and keeps what it has."""
    begin, end = OF_VALKEY[trouble]
    async with valkey.opened() as ledger:
        await ledger.add(refs(5))
        mine = await worker(ledger)
        await took(ledger, mine)
        control: Any = valkey.redis
        other: socket.socket | None = None
        for command in begin:
            if command == "EVAL forever":
                # Its answer is not waited for.
                other = socket.create_connection(("127.0.0.1", urlsplit(valkey.url).port))
                other.sendall(b'EVAL "while true do end" 0\r\n')
                await asyncio.sleep(0.05)
            else:
                control.execute_command(*command.split())
        with pytest.raises(FleetUnavailableError):
            await ledger.add(refs(1, 9))
        control.execute_command(*end.split())
        if other is not None:
            other.close()
        assert await states(ledger) == [0, 5, 0, 0, 0]
        assert await record(ledger, mine, refs(5)) == 5


def test_a_node_of_a_cluster_is_told_as_one() -> None:
    """With the address of the node that has the keys: all of a fleet's are on one."""
    connection = RedisConnection("redis://:hunter2@10.0.0.1", "fleet")
    error = connection._translated(MovedError("866 10.0.0.9:6379"))
    assert type(error) is FleetError
    assert "of a cluster; 10.0.0.9:6379 has this fleet's keys" in str(error)


async def test_a_valkey_that_may_drop_refs_is_refused(valkey: RedisEngine) -> None:
    """One that makes room by dropping keys. Leases may be dropped: their members join again."""
    valkey.redis.config_set("maxmemory", 10**9)
    for policy in ("allkeys-lru", "allkeys-lfu", "allkeys-random"):
        valkey.redis.config_set("maxmemory-policy", policy)
        with pytest.raises(FleetError, match=f"maxmemory-policy is {policy}.* noeviction"):
            await valkey.ledger().open()
    valkey.redis.config_set("maxmemory-policy", "volatile-lru")
    async with valkey.opened() as ledger:
        assert await ledger.add(refs(5)) == 5
    valkey.redis.config_set("maxmemory-policy", "allkeys-lru")
    valkey.redis.config_set("maxmemory", 0)  # of which there is no end
    async with valkey.opened() as ledger:
        assert await states(ledger) == [5, 0, 0, 0, 0]


@pytest.mark.parametrize(
    "error",
    [
        psycopg.errors.DiskFull("could not extend file: No space left on device"),
        psycopg.errors.TooManyConnections("too many clients already"),
        psycopg.errors.AdminShutdown("terminating connection"),
        psycopg.errors.DeadlockDetected("deadlock detected"),
        psycopg.errors.IdleInTransactionSessionTimeout("terminating connection due to timeout"),
        psycopg.OperationalError("server closed the connection unexpectedly"),
    ],
)
def test_what_may_pass_in_postgres_is_tried_again(error: psycopg.Error) -> None:
    """A worker goes on when there is room again."""
    assert type(translated(error, "the connection")) is FleetUnavailableError


@pytest.mark.parametrize(
    "said",
    [
        'FATAL:  database "nowhere" does not exist',
        'FATAL:  password authentication failed for user "fleet"',
        # PgBouncer's words, at 1.18
        "FATAL:  no such database: nowhere",
        "FATAL:  no such user: fleet",
        "FATAL:  SASL authentication failed",
        "fe_sendauth: no password supplied",
        # psycopg's, on Windows
        "Psycopg cannot use the 'ProactorEventLoop' to run in async mode",
    ],
)
def test_what_does_not_pass_in_postgres_or_a_pooler_is_not_tried_again(said: str) -> None:
    """A worker that tried on would wait for ever, with nothing but a line in its log."""
    error = psycopg.OperationalError(f'connection to server at "host", port 5432 failed: {said}')
    assert type(translated(error, "postgresql://host/db")) is FleetError


@pytest.mark.parametrize("name", ["SQLITE_BUSY_RECOVERY", "SQLITE_PROTOCOL", "SQLITE_IOERR_READ"])
def test_what_may_pass_in_a_file_is_tried_again(name: str) -> None:
    """Another process was frozen as it held a lock, for instance."""
    error = sqlite3.OperationalError("locking protocol")
    error.sqlite_errorname = name
    assert type(sqlite_file.translated(error, Path("fleet.db"))) is FleetUnavailableError


# A file that is no ledger.


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"this is a text, and has never been a database of any kind\n" * 40, "no SQLite database"),
        (None, "tables are not those of a fleet"),
    ],
)
async def test_a_file_of_something_else_is_left_alone(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    """It is named, and not written to."""
    engine = SqliteEngine(tmp_path)
    if content is None:
        engine.execute("CREATE TABLE aitoearn_fleet_refs (something TEXT)")
    else:
        engine.path.write_bytes(content)
    with pytest.raises(FleetError, match=message):
        await engine.ledger().open()
    if content is not None:
        assert engine.path.read_bytes() == content


@pytest.mark.parametrize("engine", ["valkey"], indirect=True)
async def test_options_in_an_address_of_redis_do_not_change_what_comes_back(
    engine: Engine,
) -> None:
    """Outcomes are bytes, and whoever set that option meant another program's texts."""
    ledger = RedisLedger(f"{engine.url}?decode_responses=true", lease=600.0)
    await ledger.open()
    await ledger.add(refs(1))
    mine, reader = await worker(ledger), await ledger.join(Kind.READER, "reader")
    assert await took(ledger, mine) == await ledger.held(mine, 1) == refs(1)
    await ledger.record(mine, [(refs(1)[0], b"\xff")])
    assert await ledger.read(reader, [], 1) == [(refs(1)[0], b"\xff")]
    await ledger.close()


@pytest.mark.usefixtures("real_time")
async def test_a_refused_password_of_redis_is_a_mistake_not_an_outage(valkey_url: str) -> None:
    """Nobody waits for it to pass, and it is not shown."""
    ledger: Ledger = RedisLedger(valkey_url.replace("redis://", "redis://nobody:hunter2@"))
    with pytest.raises(FleetError) as caught:
        await ledger.open()
    assert type(caught.value) is FleetError
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("engine", ["valkey"], indirect=True)
async def test_a_beat_that_others_keep_overtaking_counts_as_missed(
    engine: RedisEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It decides anew each time; after many times it is tried again later."""
    monkeypatch.setattr("aitoearn_async.fleet.redis._MOST_DECISIONS", 3)
    async with engine.opened() as ledger:
        mine = await worker(ledger)
        decisions = 0

        def overtaken(members: Any) -> Any:
            nonlocal decisions
            decisions += 1
            engine.redis.incr(engine.key("version"))
            return members[0]

        with pytest.raises(FleetUnavailableError, match="beat all the time"):
            await ledger.beat(mine, overtaken)
        assert decisions == 3
        assert await ledger.beat(mine, lambda members: members[0]) is False


async def test_refs_that_are_kept_for_ever_are_swept_like_all_others(
    engine: Engine, aitoearn_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No engine has a date that long ago."""
    monkeypatch.setattr("aitoearn_async.fleet.fleet._SECONDS_BETWEEN_SWEEPS", 0.01)
    swept: list[object] = []
    async with Fleet(engine.url, keep=math.inf) as fleet:
        forget = fleet._ledger.forget

        async def seen(keep: float, most: int) -> int:
            try:
                swept.append(await forget(keep, most))
            except Exception as error:
                swept.append(error)
            return 0

        monkeypatch.setattr(fleet._ledger, "forget", seen)
        working = asyncio.create_task(fleet.work(aitoearn_client))
        while len(swept) < 3:  # noqa: ASYNC110 - real time passes at an engine
            await asyncio.sleep(0.01)
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
    assert swept[:3] == [0, 0, 0]
