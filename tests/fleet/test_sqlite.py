"""What is SQLite's own: plans."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from aitoearn_async.fleet.sqlite import SqliteLedger
from tests.fleet.engines import SqliteEngine

OF_MEMBERS = {"join", "alive", "members", "leave", "gone", "remove", "took", "let_go", "giver"}
COUNTS = {"counts"}
"""They go through what they count, by an index."""


def fill(connection: sqlite3.Connection, count: int) -> None:
    """A table with refs in all states, as a long life leaves it."""
    connection.execute(
        "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers "
        "WHERE n < ?) INSERT INTO fleet_refs (ref, added, changed, state, holder, outcome) "
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
        for name in ledger.sql.keys() - OF_MEMBERS - COUNTS:
            for step in plan(connection, ledger, name):
                scans = step.startswith("SCAN fleet_refs")
                assert not scans or "USING" in step, f"{name}: {step}"
                assert "TEMP B-TREE" not in step, f"{name}: {step}"
    connection.close()
