"""Numbers and strategies as callers give them: usable, or refused by name.

Addresses, keys and header values are `session.address`'s.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Container
from pathlib import Path
from typing import Any

from .contract.endpoints import MOST_ROWS, endpoint_of
from .contract.models import AnyTask, ImageTask, VideoTask
from .contract.refs import TaskRef
from .contract.status import TaskState
from .polling.schedule import WaitStrategy, cadence
from .polling.step import Proof, Terms


def time_limit(name: str, seconds: float | None) -> float:
    """A time limit; None is infinity, and says so better than a number does."""
    if seconds is None:
        return math.inf
    if not _is_finite(seconds) or seconds < 0:
        raise ValueError(f"{name}={seconds!r}: give seconds, 0 or more, or None for no limit")
    return float(seconds)


def positive(name: str, value: float) -> float:
    """A number above 0."""
    if not _is_finite(value) or value <= 0:
        raise ValueError(f"{name}={value!r}: give a finite number above 0")
    return float(value)


def rate(requests_per_second: float | None) -> float | None:
    """So many a second, or as many as come."""
    if requests_per_second is None:
        return None
    return positive("requests_per_second", requests_per_second)


def count(name: str, value: int) -> int:
    """A whole number from 1."""
    # No more than a float can take: seconds are multiplied by some of them.
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= sys.maxsize:
        raise ValueError(f"{name}={value!r}: give a whole number, 1 or more")
    return value


def page_size(size: int) -> int:
    """How many rows to ask for at a time."""
    if count("page_size", size) > MOST_ROWS:
        raise ValueError(f"page_size={size!r}: the service gives {MOST_ROWS:,} at most")
    return size


def strategy(wait: WaitStrategy | None) -> WaitStrategy | None:
    """A wait strategy, or none."""
    if wait is not None and not callable(wait):
        raise ValueError(
            f"wait={wait!r:.60}: give a tenacity wait strategy, such as tenacity.wait_fixed(5)"
        )
    return wait


def terms(
    timeout: float | None,
    patience: float | None,
    wait: WaitStrategy | None,
    submitted: Container[TaskRef[Any]],
) -> Callable[[TaskRef[Any]], Terms]:
    """What a wait asks for, checked; one `Terms` for each kind of task.

    The function it returns raises TypeError for what is no ref. `submitted` are tasks that the
    client has just made itself.
    """
    limits = time_limit("timeout", timeout), time_limit("patience", patience)
    made: dict[type, Terms] = {}
    proof = Proof(submitted)

    def terms_of(ref: TaskRef[Any]) -> Terms:
        found = made.get(type(ref))
        if found is None:
            endpoint_of(ref)
            found = made[type(ref)] = Terms(*limits, wait or cadence(ref.kind), proof)
        return found

    return terms_of


def succeeded(task: AnyTask) -> AnyTask:
    """A task that has something to save."""
    if not isinstance(task, ImageTask | VideoTask):
        raise TypeError(
            f"expected an ImageTask or a VideoTask, not {task!r:.80}; wait for it first"
        )
    if task.state is not TaskState.SUCCEEDED:
        raise ValueError(f"{task.ref} has made nothing: its status is {task.status!r:.60}")
    return task


def folder(name: str, path: str | os.PathLike[str]) -> Path:
    """A directory, whether or not it is there."""
    if not isinstance(path, str | os.PathLike) or not os.fspath(path):
        raise TypeError(f"{name}={path!r:.80}: give the path of a directory")
    if "\0" in str(path):
        raise ValueError(f"{name}={path!r:.80}: no path has a zero character in it")
    return Path(path)


def _is_finite(value: object) -> bool:
    # Within what a float holds: an int can be larger and still be finite.
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return abs(value) <= sys.float_info.max
