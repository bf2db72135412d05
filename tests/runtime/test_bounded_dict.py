"""A dict of bounded size."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from aitoearn_async._runtime.bounded_dict import BoundedDict


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    """Threads take turns a million times a second."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("hasty_threads", "untraced")
def test_threads_that_share_one_do_not_meet() -> None:
    """Clients of one process do: an error would cost a submit its receipt."""
    shared: BoundedDict[int, None] = BoundedDict(100)

    def put(first: int) -> None:
        for number in range(first, first + 20_000):
            shared[number] = None

    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(put, (0, 1_000_000))) == [None, None]
    assert len(shared) <= 101
