"""One task as a learner observes it: its age, how long it has been seen to run, and its end.

Moments become ages here; `survival` and `sweeps` learn from those. Who polls is not known here.
"""

from __future__ import annotations

import math

import msgspec

from ...contract.task_times import TaskTimes
from .rhythm import Learner, TimeLeft
from .survival import Cohort, shared_age


class ObservedTask(msgspec.Struct, gc=False, kw_only=True):
    """The observations of one task. In few bytes, since each wait is one."""

    started: float = math.nan
    """The moment when the first poll began."""
    cohort: Cohort | None = None
    """The tasks of its model and age; None while these are not known, or nothing is learned."""
    seen_age: float = 0.0
    """The age at which it was last seen running: seconds, shared with others."""

    @property
    def born(self) -> float:
        """The moment when the task was submitted, as far as is known."""
        return self.started - (self.cohort.age if self.cohort is not None else 0.0)

    def meet(self, learner: Learner, times: TaskTimes, now: float) -> None:
        """Note its model and its age, the first time they are told."""
        if self.cohort is None:
            born = learner.born(times.submitted, now)
            self.cohort = learner.curve(times.model).cohort(self.started - born)
            self.seen_age = max(self.cohort.age, 0.0)

    def observe_running(self, asked: float) -> float:
        """Note that it still runs. Return the ends of such tasks that were to be expected."""
        cohort, seen_age = self.cohort, self.seen_age
        assert cohort is not None  # met by the first answer, which is read whole, or by a page
        age = shared_age(asked - self.started + cohort.age)
        if age <= seen_age:
            return 0.0
        self.seen_age = age
        return cohort.curve.note_survival(seen_age, age)

    def observe_end(self, learner: Learner, times: TaskTimes, now: float) -> None:
        """Note that it has ended since it was last seen running."""
        cohort = self.cohort
        assert cohort is not None  # met by then
        if self.seen_age < math.inf:
            born = self.born
            learner.note_end(cohort.curve, born, born + self.seen_age, now, times.ended)
            self.seen_age = math.inf  # noted

    def time_left(self, learner: Learner | None, now: float, tasks: int = 1) -> TimeLeft | None:
        """Return the seconds in which the last of so many tasks like it is likely to end.

        It is None while too little is known.
        """
        if learner is None or self.cohort is None:
            return None
        return learner.time_left(self.cohort.curve, self.born, now, tasks)
