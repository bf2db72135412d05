"""What every test gets: virtual time, and a look at what it leaves behind.

Async tests run on a loop that jumps to the next timer, so none of them really waits.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable

import pytest

from aitoearn_async.emulator import VirtualTimeLoop

pytest_plugins = ["aitoearn_async.pytest_plugin", "pytester", "tests.marker_key"]


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"virtual": VirtualTimeLoop}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.function):
            item.add_marker(pytest.mark.usefixtures("nothing_left"))


@pytest.fixture
async def nothing_left() -> AsyncIterator[None]:
    """No task outlives its test."""
    before = asyncio.all_tasks()
    yield
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    assert not left, f"left running: {left}"
