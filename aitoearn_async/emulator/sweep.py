"""The service's one process, and the job in it that asks the providers about running videos.

Plain numbers and no timers: both catch up, in the order of time, whenever a request comes. All
times are seconds on the event loop's clock.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field

from .tasks import StoredTask

_ANSWERS_PER_LOOK = 0.5
"""The time of the process that a look takes, in plain answers."""
_SLACK = 1e-6
"""Seconds that a sum with an epoch of a billion and more may be wrong by."""


class Process:
    """A single process: what it is asked to do, it does one after another."""

    def __init__(self, seconds_per_answer: float) -> None:
        self.seconds_per_answer = seconds_per_answer
        self._free_at = -math.inf

    def run(self, now: float, answers: float = 1.0) -> float:
        """Queue up work worth so many answers, and return the moment at which it is done."""
        self._free_at = max(now, self._free_at) + self.seconds_per_answer * answers
        return self._free_at


@dataclass(eq=False)
class VideoSweep:
    """The job that looks at the running videos at fixed times of the service's clock.

    It looks at one task after another, newest first. A run that takes longer than the period
    overlaps with the next one.
    """

    period: float
    """The seconds between two runs; they begin at its multiples."""
    seconds_per_video: float
    """The time that one look takes, besides the process's own."""
    process: Process
    """The process in which it runs."""
    videos: Callable[[], Iterable[StoredTask]]
    """Gives all videos, oldest first."""
    _epoch: float = 0.0
    _next_run: float = math.inf
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _runs: list[tuple[float, int, Generator[float]]] = field(default_factory=list)

    def start(self, now: float, epoch: float) -> None:
        """Begin to look, if it does not yet; `epoch` is the service's when the loop says 0."""
        if self._next_run == math.inf:
            self._epoch = epoch
            self._next_run = self._after(now)

    def advance(self, now: float) -> None:
        """Do all that was due until now."""
        while True:
            step = self._runs[0][0] if self._runs else math.inf
            if min(step, self._next_run) > now:
                return
            if step <= self._next_run:
                _, number, run = heapq.heappop(self._runs)
                self._resume(run, number)
            else:
                self._begin(now)

    def _begin(self, now: float) -> None:
        at = self._next_run
        running = [task for task in self.videos() if task.created <= at and task.running(at)]
        running.reverse()
        # A run that finds nothing changed leaves nothing behind: skip those.
        change = min((task.next_change() for task in running), default=math.inf)
        if change > now and not self._runs:
            self._next_run = self._after(now)
            return
        self._next_run = self._after(at)
        self._resume(self._run(at, running), next(self._numbers))

    def _resume(self, run: Generator[float], number: int) -> None:
        at = next(run, None)
        if at is not None:
            heapq.heappush(self._runs, (at, number, run))

    def _run(self, at: float, tasks: list[StoredTask]) -> Generator[float]:
        for task in tasks:
            if task.running(at):
                at = self.process.run(at, _ANSWERS_PER_LOOK) + self.seconds_per_video
                yield at
                if task.stops_sweep:
                    return
                task.looked_at = at

    def _after(self, moment: float) -> float:
        """Return the beginning of the first run after a moment."""
        number = math.floor((moment + self._epoch + _SLACK) / self.period) + 1
        return number * self.period - self._epoch
