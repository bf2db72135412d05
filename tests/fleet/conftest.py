"""An engine for each test that asks for one, with nothing in it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from aitoearn_async.emulator import Emulator, VirtualTimeLoop
from aitoearn_async.fleet import Fleet
from aitoearn_async.fleet.ledger import Ledger
from aitoearn_async.fleet.sqlite_file import SqliteFile
from tests.fleet.engines import Engine, SqliteEngine, engine_of
from tests.fleet.servers import shared
from tests.fleet.workers import AtOnce, Workers

ENGINES = ["sqlite", "postgres", "valkey"]


@pytest.fixture(scope="session")
def postgres_url() -> str:
    """A server for all tests of a run."""
    return shared("postgres")


@pytest.fixture(scope="session")
def valkey_url() -> str:
    """A server for all tests of a run."""
    return shared("valkey")


@pytest.fixture
def quick_path(tmp_path: Path) -> Iterator[Path]:
    """A directory in memory, where there is such: a commit to a disk takes far longer."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory, prefix="aitoearn-fleet-") as name:
        yield Path(name)


@pytest.fixture
async def real_time() -> AsyncIterator[None]:
    """A test in which waits take real time, since another process takes part in it."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    with loop.real_time():
        yield


@pytest.fixture(params=ENGINES)
async def engine(request: pytest.FixtureRequest) -> AsyncIterator[Engine]:
    """Each engine."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    with contextlib.nullcontext() if request.param == "sqlite" else loop.real_time():
        yield engine_of(request.param, request)


@pytest.fixture
async def ledger(engine: Engine) -> AsyncIterator[Ledger]:
    """A ledger with a long lease, open and empty."""
    async with engine.opened() as ledger:
        yield ledger


@pytest.fixture
async def file(quick_path: Path, monkeypatch: pytest.MonkeyPatch) -> SqliteEngine:
    """A file whose leases and ages go by virtual time."""
    monkeypatch.setattr(SqliteFile, "clock", asyncio.get_running_loop().time)
    monkeypatch.setattr("aitoearn_async.fleet.sqlite_file.OneThread", AtOnce)
    return SqliteEngine(quick_path)


@pytest.fixture
async def fleet(file: SqliteEngine) -> AsyncIterator[Fleet]:
    """A fleet in that file."""
    async with Fleet(file.url) as fleet:
        yield fleet


@pytest.fixture
async def crew(file: SqliteEngine, aitoearn_service: Emulator) -> AsyncIterator[Workers]:
    """Workers of that fleet, none of whom may fail."""
    crew = Workers(file, aitoearn_service)
    yield crew
    for worker in list(crew.workers):
        failed = worker.done() and not worker.cancelled() and worker.exception()
        await crew.leave(worker)
        assert not failed, failed
