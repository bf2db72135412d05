"""What every test gets: virtual time, and a look at what it leaves behind.

Async tests run on a loop that jumps to the next timer, so none of them really waits.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator

import hypothesis
import hypothesis.strategies
import pytest

from aitoearn_async.emulator import VirtualTimeLoop

pytest_plugins = ["aitoearn_async.pytest_plugin", "pytester", "tests.marker_key"]


# Ctrl-C is part of what is tested, and a shell has what it starts in the background ignore it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--clock-start",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="what loop.time() says when an async test begins",
    )


def pytest_asyncio_loop_factories(
    config: pytest.Config,
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    start = config.getoption("--clock-start")
    return {"virtual": functools.partial(VirtualTimeLoop, start=start)}


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are processors.

    Tests on virtual time, and those with processes of their own, wait a good deal: for bytes
    that may be under way, for an interpreter that starts. Others compute meanwhile.
    """
    return (os.cpu_count() or 1) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if not isinstance(item, pytest.Function):
            continue
        # Not by a mark: those are looked at when a test is collected, which is over. As the
        # first, to be the last to look. Items made of one function share the list.
        is_async = inspect.iscoroutinefunction(item.function)
        if is_async and "nothing_left" not in item.fixturenames:
            item.fixturenames.insert(0, "nothing_left")


def pytest_collection_finish() -> None:
    """Have the collector pass over all that pytest has collected, which is there to stay."""
    _meet_hypothesis()
    gc.collect()
    gc.freeze()


@hypothesis.settings(max_examples=1, database=None)
@hypothesis.given(hypothesis.strategies.none())
def _meet_hypothesis(_: None) -> None:
    """It makes its source of chance, and asks the collector who holds it, while that still sees."""


@pytest.fixture
def untraced() -> Iterator[None]:
    """No coverage is measured meanwhile, which makes pure computation four times as fast.

    For tests that go, a thousand times over, where others have gone. pytest-cov's own mark for
    this is of no use in worker processes, where it has begun twice and pauses once.
    """
    tracer = sys.gettrace()
    sys.settrace(None)
    yield
    sys.settrace(tracer)


@pytest.fixture
async def nothing_left() -> AsyncIterator[None]:
    """No task outlives its test."""
    before = asyncio.all_tasks()
    yield
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    assert not left, f"left running: {left}"
