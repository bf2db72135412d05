"""The lifetimes of tasks, from what was seen of them. Pure mathematics.

`SurvivalCurve` keeps by bins of age how many tasks were seen at risk (`n_k`) and how many ended
(`e_k`); an end lies between two polls and is spread over the bins between them. Then

    hazard  h_k = e_k / n_k        survival  S_k+1 = S_k * (1 - h_k)

Old observations fade, by half about every 230 ends. Where the ends seen and the ends expected
differ by far, and by more than chance does, the world has changed, and nearly all is forgotten.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate

import msgspec

from .plans import Plan, SurvivalTable

_EDGES = (*(n / 4 for n in range(17)), *(4.0 * 1.06**n for n in range(1, 120)))
"""The edges of the bins of age: a quarter of a second apart, or 6 %, whichever is more; the last
is past an hour."""
_LAST_BIN = len(_EDGES) - 1
_MOST_SHARED_AGE = 2048.0
_AGES = tuple(n / 2 for n in range(int(2 * _MOST_SHARED_AGE)))
_MOST_COHORTS = 1000
_FADE = 1.003
"""The weight of an observation, over that of the one before it."""
_FEWEST_SAMPLES = 15.0
"""Ends of one model before its curve is used at all."""
_MOST_UNSEEN = 60
"""Ends after which a curve that is well known is made anew."""
_MOST_LEFT = 0.5
"""Share of the tasks that may outlive all ends seen so far: the first ends are the early ones."""
_MOST_LEFT_UNSEEN = 0.05
"""The same, of those that run at an age, where a range is given for their ends."""
_SMOOTHINGS = 3
"""The number of times that each bin is mixed with its neighbours, since chance leaves gaps."""


_FEWEST_ENDS, _FAR_APART, _LEAST_DEVIANCE = 12.0, 0.5, 18.0
"""The world has changed where more ends than the first were seen or expected, these numbers differ
by the second as a share of the greater one, and chance does so by four standard deviations only:
they are compared after each end."""
_MOST_EXPECTED = 3.0
"""The ends that one task can count for, however old it becomes: few tell what the oldest do."""


class Cohort(msgspec.Struct, frozen=True):
    """The tasks of one model that had the same age when they were first polled."""

    curve: SurvivalCurve
    age: float
    """Seconds; below 0 where the task is newer than its first poll."""


def shared_age(age: float) -> float:
    """Return an age rounded down to half a second: one object for all tasks of that age."""
    return _AGES[int(2 * age)] if 0 <= age < _MOST_SHARED_AGE else age


class CurveState(msgspec.Struct):
    """The memory of a `SurvivalCurve`."""

    exposed: list[float]
    ends: list[float]
    samples: float
    price: float = 0.1


class SurvivalCurve:
    """The ages to which tasks of one kind and model were seen to live.

    Attributes:
        samples: Ends seen, the older ones fading.
    """

    def __init__(self) -> None:
        # Changes of the number at risk, from bin to bin; and the ends in each.
        self._exposed = [0.0] * (_LAST_BIN + 2)
        self._ends = [0.0] * (_LAST_BIN + 1)
        self._hazard_sums = [0.0] * (_LAST_BIN + 2)
        self._weight = 1.0
        self._ends_seen = self._ends_expected = 0.0  # since the last plan, and as it expected
        self._review_at = _FEWEST_SAMPLES  # the number of samples at which plans are made anew
        self._table: SurvivalTable | None = None  # as of the last estimate; None when out of date
        self._cohorts: dict[float, Cohort] = {}
        self.samples: float = 0.0
        self.price: float = 0.1
        self.is_priced: bool = False  # whether the price is that of the plans that are kept
        self.plans: dict[int, Plan | None] = {}  # kept here by who makes them

    def cohort(self, age: float) -> Cohort:
        """Return the cohort of tasks of an age; one object for all of them, as far as it goes."""
        age = shared_age(age)
        if (found := self._cohorts.get(age)) is None:
            found = Cohort(self, age)
            if len(self._cohorts) < _MOST_COHORTS:
                self._cohorts[age] = found
        return found

    @property
    def is_known(self) -> bool:
        """Return whether enough ends have been seen to make plans by."""
        return self.samples >= _FEWEST_SAMPLES

    def note_survival(self, since: float, age: float) -> float:
        """Note that a task, seen running at one age, was seen running at a later one.

        Returns:
            The ends of such tasks that were to be expected meanwhile; 0 while nothing is known.
        """
        low, high = bisect_right(_EDGES, since) - 1, bisect_right(_EDGES, age) - 1
        if low >= high:
            return 0.0
        exposed, sums = self._exposed, self._hazard_sums
        exposed[low] += self._weight
        exposed[high] -= self._weight
        self._ends_expected += min(sums[high], _MOST_EXPECTED) - min(sums[low], _MOST_EXPECTED)
        return sums[high] - sums[low]

    def note_end(self, since: float, age: float) -> None:
        """Note that a task, seen running at one age, was seen to have ended at a later one."""
        low = max(bisect_right(_EDGES, since) - 1, 0)
        high = max(bisect_left(_EDGES, age) - 1, low)
        self._weight *= _FADE
        for bin, share in self._shares(low, high, since, age):
            weight = share * self._weight
            self._ends[bin] += weight
            self._exposed[low] += weight
            self._exposed[bin + 1] -= weight
        sums = self._hazard_sums
        hazard = (sums[low] + sums[high + 1]) / 2
        self._ends_expected += min(hazard, _MOST_EXPECTED) - min(sums[low], _MOST_EXPECTED)
        self._ends_seen += 1.0
        self.samples = self.samples / _FADE + 1.0
        if self._weight > 1e6:
            self._scale(1e-6)
            self._weight *= 1e-6
        self._review()

    def _shares(self, low: int, high: int, since: float, age: float) -> list[tuple[int, float]]:
        """Spread an end over the bins of its interval, by how likely each of them is."""
        if low == high:
            return [(low, 1.0)]
        sums = self._hazard_sums
        likely: list[float] = []
        for bin in range(low, high + 1):
            width = min(age, _EDGES[min(bin + 1, _LAST_BIN)]) - max(since, _EDGES[bin])
            # By the curve so far, and a little by width: the curve may be wrong.
            ends_in_it = math.exp(sums[low] - sums[bin]) - math.exp(sums[low] - sums[bin + 1])
            likely.append(max(width, 0.0) * 0.05 + ends_in_it)
        total = sum(likely) or 1.0
        return [(low + n, one / total) for n, one in enumerate(likely)]

    def _review(self) -> None:
        """Renew the curve if the world has changed, or enough is new for new plans."""
        seen, expected = self._ends_seen, self._ends_expected
        if self._hazard_sums[-1] and _are_far_apart(seen, expected, self.samples):
            self._scale(0.02)
            self.samples *= 0.02
            self._review_at = _FEWEST_SAMPLES
            self._renew()
        elif self.samples >= self._review_at or seen > _MOST_UNSEEN:
            self._review_at = self.samples * 1.3
            self._renew()

    def _renew(self) -> None:
        self._ends_seen = self._ends_expected = 0.0
        self._table = None
        self.is_priced = False
        self.plans.clear()
        hazards = self.hazards() if self.is_known else []
        logs = [-math.log1p(-min(hazard, 0.98)) for hazard in hazards]
        sums = list(accumulate(logs, initial=0.0))
        self._hazard_sums = sums + [sums[-1]] * (_LAST_BIN + 2 - len(sums))

    def _scale(self, factor: float) -> None:
        self._exposed = [value * factor for value in self._exposed]
        self._ends = [value * factor for value in self._ends]

    def hazards(self) -> list[float]:
        """Return the share of those at risk that end, for each bin; none past the last end."""
        ends: list[float] = self._ends
        exposed = list(accumulate(self._exposed[:-1]))
        for _ in range(_SMOOTHINGS):
            ends, exposed = _smooth(ends), _smooth(exposed)
        small = 1e-9 * self._weight
        last = max((n for n, end in enumerate(ends) if end > small), default=-1)
        return [
            min(max(end / max(risk, end, small), 0.0), 1.0)
            for end, risk in zip(ends[: last + 1], exposed, strict=False)
        ]

    def survival(self) -> SurvivalTable | None:
        """Return the curve; None while too few ends have been seen, or only early ones."""
        if not self.is_known or not (hazards := self.hazards()):
            return None
        alive = list(accumulate(hazards, lambda left, hazard: left * (1 - hazard), initial=1.0))
        ages = list(_EDGES[: len(alive)])
        if alive[-1] > _MOST_LEFT:
            return None
        return SurvivalTable.of(ages, alive[: len(ages)])

    def quantiles(self, age: float, shares: Sequence[float]) -> list[float] | None:
        """Return by which ages such shares of the tasks that run at an age have ended.

        None where nothing is known of tasks of that age.
        """
        if self._table is None:
            self._table = self.survival()
        curve = self._table
        if curve is None or age >= curve.ages[-1]:
            return None
        running = curve.at(age)[0]
        if running <= 0.01:
            return None
        found: list[float] = []
        for share in shares:
            left = running * (1 - share)
            if left < curve.alive[-1] > _MOST_LEFT_UNSEEN * running:
                return None  # those that outlive all that was seen may take any time
            n = next((n for n, alive in enumerate(curve.alive) if alive <= left), -1)
            found.append(max(curve.ages[n], age))
        return found

    def to_state(self) -> CurveState:
        """Return the memory that the next client can use."""
        scale = 1 / self._weight
        return CurveState(
            [round(value * scale, 4) for value in self._exposed],
            [round(value * scale, 4) for value in self._ends],
            round(self.samples, 2),
            round(self.price, 4),
        )

    @classmethod
    def from_state(cls, state: CurveState) -> SurvivalCurve:
        """Return the curve of a memory."""
        curve = cls()
        if len(state.exposed) == len(curve._exposed) and len(state.ends) == len(curve._ends):
            curve._exposed, curve._ends = list(state.exposed), list(state.ends)
            curve.samples, curve.price = state.samples, state.price
            curve._renew()
        return curve


def _are_far_apart(seen: float, expected: float, samples: float) -> bool:
    """Return whether chance can hardly make such a difference, by a likelihood ratio.

    The ends are a Poisson count. Their expectation is an estimate itself, of so many samples.
    """
    most = max(seen, expected)
    if most <= _FEWEST_ENDS or abs(seen - expected) <= _FAR_APART * most:
        return False
    expected = max(expected, 0.1)
    deviance = 2 * ((seen * math.log(seen / expected) if seen else 0.0) - seen + expected)
    return deviance > _LEAST_DEVIANCE * (1 + expected / max(samples, 1.0))


def _smooth(values: Sequence[float]) -> list[float]:
    """Return each value as a mean with its neighbours, twice as heavy itself."""
    padded = [values[0], *values, values[-1]]
    return [(padded[n] + 2 * padded[n + 1] + padded[n + 2]) / 4 for n in range(len(values))]
