"""A fleet against the same processes without one: processor time, polls, bytes, and orphans."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import psycopg

from aitoearn_async.emulator import Emulator
from aitoearn_async.fleet.ledger import Kind
from aitoearn_async.fleet.postgres import PostgresLedger
from tests.fleet.chaos import Plan, Result, Storm
from tests.fleet.crew import Crew
from tests.fleet.servers import PostgresServer

from .report import Expectation, Report, Table

METHOD = """
Three workers and a reader, which takes 20 outcomes at a time, are processes; the engine is
Postgres, which writes to its disk at each commit; the service is the emulator, with 6,000 tasks
that take 5 to 25 seconds. "Alone" are three processes that each wait for a third of the tasks with
as_completed, without a fleet. Both are run five times, by turns; a ratio is the median of the five
pairs, a share the largest of the five. In the storms, of 2,000 tasks, a worker is killed, or told
to stop, every five seconds, and another one starts 0.3 s later. An orphan is a ref whose worker was
killed; it is looked at ten times a second until another worker holds it, as is one that is handed
over. Processor times are those of runs without kills. A held ref's bytes at the engine are those of
all its files; in a worker those by which its resident memory grows from 5,000 refs to 25,000, over
the same of as_completed, the median of three pairs. A take is of 500 refs, the median of a hundred,
where few wait and where many do. A share is of what all workers hold when they hold most; a
worker's work is the tasks that it has asked about.
"""

T = TypeVar("T")

LEASE = 6.0
PREFETCH = 20


def run(smoke: bool) -> Report:
    plan = Plan(tasks=60, lives=(0.2, 0.6), lease=1.0, prefetch=PREFETCH)
    pause, rate = 0.7, 20.0
    few, many, held, pairs, turns = 2_000, 20_000, (100, 300), 1, 1
    if not smoke:
        plan = dataclasses.replace(plan, tasks=6_000, lives=(5.0, 25.0), lease=LEASE, timeout=280.0)
        plan.look = 2.0  # or looking would be most of the engine's work
        pause, rate = 5.0, 120.0
        few, many, held, pairs, turns = 200_000, 10_000_000, (5_000, 20_000), 5, 3
    storm = dataclasses.replace(plan, tasks=plan.tasks // 3, watch=True)
    server = PostgresServer(durable=True)
    try:
        with Crew() as crew:
            alone, calm = _by_turns(
                pairs,
                lambda: _storm(crew, server, dataclasses.replace(plan, alone=True, readers=0)),
                lambda: _storm(crew, server, plan),
            )
            fewer = _storm(crew, server, dataclasses.replace(storm, alone=True, readers=0))
            killed = _storm(crew, server, dataclasses.replace(storm, kill=pause))
            stopped = _storm(crew, server, dataclasses.replace(storm, terminate=pause))
            limited = _storm(crew, server, dataclasses.replace(storm, rate=rate))
            bytes_alone, bytes_held = _by_turns(
                turns,
                lambda: asyncio.run(_hold(crew, server, held, with_fleet=False)),
                lambda: asyncio.run(_hold(crew, server, held, with_fleet=True)),
            )
        engine_bytes = asyncio.run(_bytes_at_the_engine(server, few))
        takes = asyncio.run(_take_seconds(server, few, many))
        version = _version(server)
    finally:
        server.close()
    runs = [
        *(("alone", each) for each in alone),
        *(("calm", each) for each in calm),
        ("alone, fewer", fewer),
        ("killed", killed),
        ("stopped", stopped),
        ("rate", limited),
    ]
    poll = statistics.median(each.cpu / each.polls_a_task / plan.tasks for each in alone)
    engine_cpu = statistics.median(each.engine_cpu for each in calm) / plan.tasks
    again = sorted(killed.orphaned) or [0.0]
    handed = sorted(stopped.handed_over) or [0.0]
    found = {
        "worker_cpu_over_alone": (_over(_cpu, calm, alone), 1.10),
        "engine_cpu_over_a_poll": (engine_cpu / poll, 0.6),
        "polls_over_alone": (_over(_polls, calm, alone), 1.02),
        "polls_over_alone_killed": (killed.polls_a_task / fewer.polls_a_task, 1.10),
        "polls_over_alone_stopped": (stopped.polls_a_task / fewer.polls_a_task, 1.15),
        "orphaned_p99_over_lease": (again[int(len(again) * 0.99)] / plan.lease, 1.5),
        "handed_over_p99_seconds": (handed[int(len(handed) * 0.99)], 1.0),
        "bytes_at_the_engine": (engine_bytes, 300),
        "bytes_in_a_worker_over_as_completed": (_over(float, bytes_held, bytes_alone), 1.1),
        "take_of_many_over_few": (takes[1] / takes[0], 1.5),
        "busiest_second_over_rate": (limited.busiest_second / rate, 1.0),
        "share_over_mean": (max(each.share for each in calm), 1.3),
        "work_over_mean": (max(each.work for each in calm), 1.3),
        "lost": (float(sum(each.lost for _, each in runs)), 0),
    }
    figures = {name: figure for name, (figure, _) in found.items()}
    return Report(
        method=METHOD,
        tables=[_table(runs)],
        figures=figures,
        expectations=[
            Expectation(name.replace("_", " "), figure, at_most)
            for name, (figure, at_most) in found.items()
        ],
        failed=figures["lost"] > 0,
        against={"postgres": version},
    )


def _by_turns(pairs: int, one: Callable[[], T], other: Callable[[], T]) -> tuple[list[T], list[T]]:
    """Run two things so many times: this, that, that, this, and so on. Returns what each gave."""
    found: tuple[list[T], list[T]] = [], []
    for number in range(pairs):
        for which in (0, 1) if number % 2 == 0 else (1, 0):
            found[which].append((one, other)[which]())
    return found


def _over(figure: Callable[[T], float], some: Sequence[T], others: Sequence[T]) -> float:
    """Return the median of the ratios of pairs."""
    pairs = zip(some, others, strict=True)
    return statistics.median(figure(one) / figure(other) for one, other in pairs)


def _cpu(result: Result) -> float:
    return result.cpu


def _polls(result: Result) -> float:
    return result.polls_a_task


def _table(runs: Sequence[tuple[str, Result]]) -> Table:
    rows: list[list[str | int | float]] = []
    for name, each in runs:
        kills = each.kills.total()
        row: list[str | int | float] = [name, kills, each.lost, each.read_twice]
        rows.append([*row, round(each.polls_a_task, 2), each.busiest_second, round(each.cpu, 2)])
    columns = ["run", "kills", "lost", "read twice", "polls a task", "most in 1 s"]
    return Table([*columns, "workers' CPU s"], rows)


def _version(server: PostgresServer) -> str:
    with psycopg.connect(server.url) as connection:
        return connection.info.parameter_status("server_version") or "?"


def _storm(crew: Crew, server: PostgresServer, plan: Plan) -> Result:
    with tempfile.TemporaryDirectory() as directory:
        _empty(server)
        return asyncio.run(Storm(server.url, plan, Path(directory), crew, server).run())


def _empty(server: PostgresServer) -> None:
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS aitoearn_fleet_refs, aitoearn_fleet_members")


async def _bytes_at_the_engine(server: PostgresServer, count: int) -> float:
    _empty(server)
    ledger = PostgresLedger(server.url, lease=3_600.0)
    await ledger.open()
    for first in range(0, count, 5_000):
        await ledger.add([f"image:{n:024x}" for n in range(first, min(count, first + 5_000))])
    member = await ledger.join(Kind.WORKER, "benchmark")
    call = 0
    while await ledger.take(member, call := call + 1, lambda _, free: 500):
        pass
    await ledger.close()
    with psycopg.connect(server.url) as connection:
        size = "SELECT pg_total_relation_size('aitoearn_fleet_refs')"
        row = connection.execute(size).fetchone()
    assert row is not None
    return float(row[0] / count)


async def _hold(
    crew: Crew, server: PostgresServer, counts: tuple[int, int], *, with_fleet: bool
) -> float:
    """Return by how many bytes a worker grows with each ref, from the first so many on."""
    _empty(server)
    first, more = counts
    async with Emulator() as service:
        refs = [str(service.add_image(("generating", 1e6), "success")) for _ in range(first + more)]
        with tempfile.TemporaryDirectory() as name:
            path, listed = Path(name, "bytes"), Path(name, "refs")
            listed.write_text("\n".join(refs))  # noqa: ASYNC240 - nothing else runs
            ledger = PostgresLedger(server.url)
            await ledger.open()
            await ledger.add(refs[:first])
            job: dict[str, Any] = {
                "url": server.url if with_fleet else None,
                "lease": 60.0,
                "service": service.url,
                "path": str(path),
                "refs": str(listed),
                "counts": counts,
                "settle": more / 2_000 + 0.1,
            }
            crew.start("hold", **job)
            (before,) = await _lines(path, 1)
            await ledger.add(refs[first:])
            await ledger.close()
            _, after = await _lines(path, 2)
            crew.dismiss()
    return (after - before) / more


async def _lines(path: Path, count: int) -> list[int]:
    """Return the numbers of a child's file, when it has so many."""
    lines: list[str] = []
    while len(lines) < count:
        await asyncio.sleep(0.2)
        with contextlib.suppress(FileNotFoundError):
            lines = path.read_text().splitlines()  # noqa: ASYNC240 - a child's file
    return list(map(int, lines))


async def _take_seconds(server: PostgresServer, few: int, many: int) -> list[float]:
    """The medians of takes while few wait and while many do: of two fleets, by turns."""
    seconds: dict[int, list[float]] = {few: [], many: []}
    takers: dict[int, tuple[PostgresLedger, int]] = {}
    for count in seconds:
        ledger = PostgresLedger(server.url, f"with_{count}", lease=3_600.0)
        await ledger.open()
        takers[count] = ledger, await ledger.join(Kind.WORKER, "benchmark")
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute(
                f"INSERT INTO aitoearn_with_{count}_refs (ref, added) SELECT 'image:' || "
                "lpad(to_hex(n), 24, '0'), clock_timestamp() FROM generate_series(1, %s) AS n",
                [count],
            )
            connection.execute(f"ANALYZE aitoearn_with_{count}_refs")
            connection.execute("CHECKPOINT")  # what is left of filling it is not the takes'
    times, most = (100, 500) if few > 50_000 else (20, 20)
    for call in range(1, times + 1):
        for count, (ledger, member) in takers.items():
            began = time.perf_counter()
            await ledger.take(member, call, lambda _, free: most)
            seconds[count].append(time.perf_counter() - began)
    for ledger, _ in takers.values():
        await ledger.close()
    return [statistics.median(each) for each in seconds.values()]
