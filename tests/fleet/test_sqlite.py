"""What is SQLite's own: plans."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from aitoearn_async.fleet.one_thread import OneThread
from aitoearn_async.fleet.sqlite import SqliteLedger
from tests.fleet.engines import SqliteEngine

OF_MEMBERS = {"join", "alive", "members", "leave", "gone", "remove", "took", "let_go", "giver"}
OTHERS = {"schema", "counts"}
"""One makes the tables, and one goes through what it counts, by an index."""


def fill(connection: sqlite3.Connection, count: int) -> None:
    """A table with refs in all states, as a long life leaves it."""
    connection.execute(
        "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers "
        "WHERE n < ?) INSERT INTO aitoearn_fleet_refs "
        "(ref, added, changed, state, holder, outcome) "
        "SELECT printf('image:%024x', n), n, n, n % 5, n % 7, x'7b7d' FROM numbers",
        [count],
    )


def plan(connection: sqlite3.Connection, ledger: SqliteLedger, name: str) -> list[str]:
    statement = ledger.sql[name]
    names = ("member", "gone", "giver", "call", "most", "count", "kind", "ref", "keep")
    values: dict[str, object] = dict.fromkeys(names, 1)
    values |= {"refs": '["image:1"]', "outcome": b"{}", "report": b"{}", "now": 1.0}
    values |= {"lease": 1.0, "held": 1}
    rows = connection.execute(f"EXPLAIN QUERY PLAN {statement}", values).fetchall()
    return [row[3] for row in rows]


async def test_every_statement_uses_its_index(quick_path: Path) -> None:
    """With many refs, before the planner has been told of them, and after."""
    engine = SqliteEngine(quick_path)
    ledger = SqliteLedger(engine.path)
    await ledger.open()
    await ledger.close()
    connection = sqlite3.connect(engine.path)
    fill(connection, 20_000)
    for analyzed in (False, True):
        if analyzed:
            connection.execute("ANALYZE")
        for name in ledger.sql.keys() - OF_MEMBERS - OTHERS:
            for step in plan(connection, ledger, name):
                scans = step.startswith("SCAN aitoearn_fleet_refs")
                assert not scans or "USING" in step, f"{name}: {step}"
                assert "TEMP B-TREE" not in step, f"{name}: {step}"
    connection.close()


WITHOUT_MAIN_THREAD = """
import asyncio, sys, threading
from aitoearn_async import Client
from aitoearn_async.emulator import Emulator
from aitoearn_async.fleet import Fleet

async def main():
    main_thread = threading.main_thread()
    async with (
        Emulator() as service,
        Client(service.api_key, base_url=service.url) as client,
        Fleet(sys.argv[1]) as fleet,
    ):
        await fleet.add([service.add_image("success")])
        while main_thread.is_alive():
            await asyncio.sleep(0.01)
        await fleet.add([service.add_image("success")])
        working = asyncio.create_task(fleet.work(client))
        async with fleet.outcomes(follow=False) as outcomes:
            print([outcome.ok async for outcome in outcomes])
        working.cancel()

threading.Thread(target=lambda: asyncio.run(main())).start()
"""


def test_a_fleet_goes_on_when_the_main_thread_has_ended(tmp_path: Path) -> None:
    """As in a script whose last line starts a thread with an event loop."""
    url = f"sqlite:///{tmp_path / 'fleet.db'}"
    command = [sys.executable, "-W", "error", "-c", WITHOUT_MAIN_THREAD, url]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert run.stdout.split("\n")[0] == "[True, True]", run.stderr
    assert not run.stderr


async def test_a_close_that_is_cancelled_ends_the_thread(quick_path: Path) -> None:
    """It closes the file all the same."""
    before = set(threading.enumerate())
    ledger = SqliteLedger(quick_path / "fleet.db")
    await ledger.open()
    (thread,) = set(threading.enumerate()) - before
    closing = asyncio.create_task(ledger.close())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    thread.join(10)
    assert not thread.is_alive()


def test_the_thread_ends_with_the_calls_that_were_given_before() -> None:
    """What a call raises is raised from what it was given as; it ends no thread."""
    said: list[int] = []
    thread = OneThread("test")
    failed, done = thread.submit(int, "no number"), thread.submit(said.append, 1)
    thread.shutdown()
    assert isinstance(failed.exception(), ValueError)
    assert (done.done(), said) == (True, [1])
