"""Worlds to learn in: tasks with lives, polled one by one in virtual time, without any HTTP."""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable
from typing import NamedTuple

from aitoearn_async._polling.cadence.rhythm import Learner
from aitoearn_async._polling.cadence.schedule import wait_backoff
from aitoearn_async._polling.cadence.service_clock import ServiceClock
from aitoearn_async._polling.cadence.survival import Cohort, SurvivalCurve

IMAGE = wait_backoff(1.0, 1.5, 10.0, jitter=0.2)
VIDEO = wait_backoff(5.0, 1.5, 30.0, jitter=0.2)

_LATENCY = 0.05
_EPOCH = 1.8e9
"""What the service's clock says at the beginning of the world."""


class Life(NamedTuple):
    """One task: seconds from the beginning of the world."""

    submitted: float
    ends: float
    model: str = ""


class Cost(NamedTuple):
    """What a cadence came to, a task."""

    requests: float
    delay: float


def lives(
    count: int,
    per_second: float,
    seconds: Callable[[str], float],
    *,
    models: tuple[str, ...] = ("",),
    period: float | None = None,
    lag: float = 3.0,
) -> list[Life]:
    """Make tasks that are submitted one after another; swept ones show their end late."""
    made: list[Life] = []
    for number in range(count):
        model = random.choice(models)
        submitted = number / per_second
        ends = submitted + seconds(model)
        if period is not None:
            ends = math.ceil(ends / period) * period + lag * random.random()
        made.append(Life(submitted, ends, model))
    return made


def backoff(pace: wait_backoff, tasks: list[Life]) -> Cost:
    """Poll them all as one does who knows nothing."""
    requests, late = 0, 0.0
    for task in tasks:
        now, polls = task.submitted, 1
        while now < task.ends:
            step = min(pace.initial * pace.factor ** min(polls - 1, 60), pace.maximum)
            now += _LATENCY + step * (1 - pace.jitter * random.random())
            polls += 1
        requests += polls
        late += now - task.ends
    return Cost(requests / len(tasks), late / len(tasks))


def learned(learner: Learner, tasks: list[Life], *, drift: float = 0.0, after: float = 0.0) -> Cost:
    """Poll them all as the learner says; count those after the first share of them."""
    queue = [(task.submitted, number, 1, math.nan) for number, task in enumerate(tasks)]
    known: dict[int, tuple[float, SurvivalCurve]] = {}
    first = int(len(tasks) * after)
    requests, late = 0, 0.0
    while queue:
        asked, number, polls, since = heapq.heappop(queue)
        task, now = tasks[number], asked + _LATENCY
        learner.clock.note(math.floor(_EPOCH + now * (1 + drift)), asked, now)
        if polls == 1:
            born = learner.born(_EPOCH + task.submitted * (1 + drift), now)
            known[number] = born, learner.curve(task.model)
        born, curve = known[number]
        if task.ends <= asked:
            learner.note_end(curve, born, born if polls == 1 else since, now, [])
            if number >= first:
                requests += polls
                late += asked - task.ends
            continue
        if polls > 1:
            curve.note_survival(since - born, asked - born)
        later = now + learner.delay(Cohort(curve, 0.0), born, now, polls)
        heapq.heappush(queue, (later, number, polls + 1, asked))
    return Cost(requests / (len(tasks) - first), late / (len(tasks) - first))


def new_learner(pace: wait_backoff) -> Learner:
    """Return one that knows nothing."""
    return Learner(pace, ServiceClock())
