"""Observations for a learner: how long a task has been seen to run, and that it ended.

This file knows answers and waits; `survival` and `sweeps` learn from the ages alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

from ...contract.task_times import TaskTimes
from ...contract.tasks import TaskRef
from ..cadence.rhythm import Learner, TimeLeft
from ..cadence.survival import shared_age
from .state import WaitState


def meet(wait: WaitState[Any], learner: Learner, times: TaskTimes, now: float) -> None:
    """Note a task's model and its age, the first time they are told."""
    if wait.cohort is None:
        born = learner.born(times.submitted, now)
        wait.cohort = learner.curve(times.model).cohort(wait.started - born)
        wait.seen_age = max(wait.cohort.age, 0.0)


def observe_running(wait: WaitState[Any], asked: float) -> float:
    """Note that a task still runs. Return the ends of such tasks that were to be expected."""
    cohort, seen_age = wait.cohort, wait.seen_age
    assert cohort is not None  # met by the first answer, which is read whole, or by a page
    age = shared_age(asked - wait.started + cohort.age)
    if age <= seen_age:
        return 0.0
    wait.seen_age = age
    return cohort.curve.note_survival(seen_age, age)


def observe_end(wait: WaitState[Any], learner: Learner, times: TaskTimes, now: float) -> None:
    """Note that a task has ended since it was last seen running."""
    cohort = wait.cohort
    assert cohort is not None  # met by then
    if wait.seen_age < math.inf:
        born = wait.started - cohort.age
        learner.note_end(cohort.curve, born, born + wait.seen_age, now, times.ended)
        wait.seen_age = math.inf  # noted


def time_left(
    waits: Iterable[WaitState[Any]],
    learner_of: Callable[[TaskRef[Any]], Learner | None],
    now: float,
    tasks: int,
) -> TimeLeft | None:
    """Return the seconds in which the last of many tasks is likely to end, judged by a few waits.

    It is None if nothing is known of one of these.
    """
    ranges: list[TimeLeft] = []
    for wait in waits:
        learner = learner_of(wait.ref)
        if learner is None or wait.cohort is None:
            return None
        left = learner.time_left(wait.cohort.curve, wait.born, now, tasks)
        if left is None:
            return None
        ranges.append(left)
    if not ranges:
        return None
    return max(low for low, _ in ranges), max(high for _, high in ranges)
