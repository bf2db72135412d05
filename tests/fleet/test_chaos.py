"""Chaos with processes: short storms, and those of minutes in the nox session `fleet-chaos`.

Nothing here asks how fast anything was: on a busy machine a storm takes longer.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aitoearn_async.fleet.ledger import Kind, Ledger
from aitoearn_async.fleet.urls import ledger_at
from tests.fleet.chaos import Plan, Storm
from tests.fleet.crew import Crew
from tests.fleet.engines import Engine
from tests.fleet.servers import PostgresServer, Server, ValkeyServer

ENGINES = ["sqlite", "postgres", "valkey"]
LONG = bool(os.environ.get("AITOEARN_LONG_TESTS"))

SHORT = Plan(
    tasks=60,
    lives=(0.5, 3.0),
    lease=1.0,
    kill=0.9,
    kill_reader=1.3,
    terminate=1.7,
    freeze=0.7,
    frozen=1.6,
    skew=3_600.0,
    prefetch=3,
    storm_for=2.8,
    timeout=200.0,
)
MINUTES = Plan(
    tasks=2_000,
    lives=(5.0, 45.0),
    lease=6.0,
    kill=5.0,
    kill_reader=7.0,
    freeze=23.0,
    frozen=12.0,
    terminate=11.0,
    skew=3_600.0,
    timeout=280.0,
)
OF_SERVERS: dict[bool, dict[str, Any]] = {
    False: {"kill_engine": 1.5, "engine_away": 0.2, "cut": 1.9, "cut_for": 0.6},
    True: {"kill_engine": 25.0, "engine_away": 2.0, "cut": 17.0, "cut_for": 4.0},
}
"""What else is done where the engine is a server, for minutes or not."""


@pytest.fixture(scope="module")
def crew() -> Iterator[Crew]:
    with Crew() as crew:
        yield crew


@pytest.fixture(params=ENGINES)
def killable(
    request: pytest.FixtureRequest, quick_path: Path
) -> Iterator[tuple[str, Server | None]]:
    """The address of an engine of this test's alone, and its server, which may be killed."""
    if request.param == "sqlite":
        yield f"sqlite:///{quick_path}/fleet.db", None
        return
    postgres = request.param == "postgres"
    server = PostgresServer(durable=True) if postgres else ValkeyServer()
    yield server.url, server
    server.close()


@pytest.mark.sampled(3)
@pytest.mark.usefixtures("real_time")
async def test_a_storm_loses_nothing(
    killable: tuple[str, Server | None], crew: Crew, tmp_path: Path
) -> None:
    """Workers killed, frozen and told to stop, readers killed, the engine too, the network cut."""
    url, server = killable
    plan = MINUTES if LONG else SHORT
    if server is not None:
        plan = dataclasses.replace(plan, **OF_SERVERS[LONG])
    result = await Storm(url, plan, tmp_path, crew, server).run()
    left = result.left
    assert result.lost == 0
    assert result.read_twice <= result.readers_lost * plan.prefetch
    assert (left.waiting, left.held) == (0, 0)
    assert left.done + left.ended == plan.tasks
    assert sum(result.kills.values()) >= 3


async def ledger_storm(crew: Crew, url: str, directory: Path, refs: int, kills: int) -> None:
    """Kill those who work on the ledger alone, and do nothing but that."""
    path = directory / "recorded"
    path.touch()
    ledger = ledger_at(url, "fleet", 1.0)
    await ledger.open()
    names = [f"image:{number:024x}" for number in range(refs)]
    for at in range(0, refs, 1_000):
        await ledger.add(names[at : at + 1_000])
    try:
        for _ in range(3):
            crew.start("churn", url=url, lease=1.0, path=str(path))
        killed = 0
        while True:
            counts = await ledger.counts()
            if killed >= kills and not counts.waiting and not counts.held:
                break
            await asyncio.sleep(random.uniform(0.05, 0.2))
            if killed < kills:
                crew.send(random.choice(list(crew.alive)), signal.SIGKILL)
                crew.start("churn", url=url, lease=1.0, path=str(path))
                killed += 1
            if killed < kills and not counts.waiting and counts.held < 50:
                more = [f"video:{killed:04x}{number:020x}" for number in range(500)]
                await ledger.add(more)
                names += more
    finally:
        crew.dismiss()
        await ledger.close()
    patient = ledger_at(url, "fleet", 600.0)  # its reader does not beat
    await patient.open()
    try:
        await all_is_there_once(patient, names)
    finally:
        await patient.close()
    assert sum(int(line) for line in path.read_text().split()) <= len(names)


async def all_is_there_once(ledger: Ledger, names: list[str]) -> None:
    """Read all outcomes, and see that each was recorded once, by its holder."""
    reader = await ledger.join(Kind.READER, "the test")
    read: dict[str, bytes] = {}
    done: list[str] = []
    while rows := await ledger.read(reader, done, 500):
        assert not read.keys() & {ref for ref, _ in rows}
        read.update(rows)
        done = [ref for ref, _ in rows]
    assert read.keys() == set(names)
    # Who recorded it says so in the outcome: nobody wrote over another's.
    assert all(line.split()[1].decode() == ref for ref, line in read.items())


@pytest.mark.slow
@pytest.mark.usefixtures("real_time")
async def test_kills_on_the_ledger_alone(engine: Engine, crew: Crew, tmp_path: Path) -> None:
    """At any moment of a transaction."""
    await ledger_storm(crew, engine.url, tmp_path, *((15_000, 100) if LONG else (300, 6)))
