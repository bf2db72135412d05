"""The `trial` of every test here, and the record of all of them."""

from __future__ import annotations

import functools
import inspect
import logging
import os
from collections.abc import AsyncIterator, Generator
from pathlib import Path

import msgspec
import pytest

from .harness import RECORD, Entry, Trial

HERE = Path(__file__).parent
ENTRIES = pytest.StashKey[list[Entry]]()
PASSED = pytest.StashKey[bool]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if not isinstance(item, pytest.Function) or not _is_here(item.path):
            continue
        # Not by a mark: those are looked at when a test is collected, which is over. As the
        # first, to be the last to look. Items made of one function share the list.
        if is_async(item) and "left_as_found" not in item.fixturenames:
            # Before caplog, which puts back what it has changed of the log.
            item.fixturenames[:0] = ["logs_as_before", "left_as_found"]


@functools.cache  # asked of every test of a run
def _is_here(path: Path) -> bool:
    return HERE in path.parents


def is_async(item: pytest.Function) -> bool:
    return inspect.iscoroutinefunction(item.function)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    item.stash[PASSED] = item.stash.get(PASSED, True) and report.passed
    return report


@pytest.fixture
def trial(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> Generator[Trial]:
    """The books of this test; what holds for every test is asserted when it is over."""
    entry = Entry(row=request.module.ROW, test=request.node.nodeid)
    request.config.stash.setdefault(ENTRIES, []).append(entry)
    trial = Trial(entry)
    with caplog.at_level(logging.DEBUG):
        yield trial
    trial.no_key_in(*(record.getMessage() for record in caplog.get_records("call")))
    if request.node.stash.get(PASSED, False):
        assert trial.is_over or not is_async(request.node), "nobody looked at what is left"
        trial.check()  # else there is another error to be seen
        entry.passed = True


@pytest.fixture
async def left_as_found(trial: Trial) -> AsyncIterator[None]:
    """Nothing is there after the test that was not before."""
    async with trial.left_as_found():
        yield


def pytest_sessionfinish(session: pytest.Session) -> None:
    entries = session.config.stash.get(ENTRIES, None)
    if entries is not None and (path := os.environ.get(RECORD)):
        Path(path).write_bytes(msgspec.json.format(msgspec.json.encode(entries)))
