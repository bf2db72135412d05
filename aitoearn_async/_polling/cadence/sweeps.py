"""The moments at which a service stores ends, found from the intervals they were seen in. Pure.

Under a grid of period `P`, each interval between a poll that found a task running and one that
found it ended has the narrow window behind a sweep in it; without one it has so by chance, with
probability `p = width / P`. So a grid is believed by its log odds, the sum over the intervals of

    log(0.9 / p) where the interval meets the window,    log(0.1 / (1 - p)) where it does not

The lags behind a sweep are found from the same intervals by expectation and maximisation.
"""

from __future__ import annotations

import cmath
import math
from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from itertools import accumulate

from .plans import SurvivalTable

_PERIODS = (5.0, 6.0, 10.0, 12.0, 15.0, 20.0, 25.0, 30.0, 40.0, 45.0, 60.0, 90.0, 120.0)
_DETUNED = tuple(1 + n / 400 for n in range(-5, 6))
_PHASES = 24
_WINDOWS = (1, 6)
"""Phases of a period within which the ends behind a sweep may show."""
_INTERVALS = 128
"""Intervals that a grid is looked for in: the latest ones."""
_LATEST = 10
"""Intervals by which it is seen that a grid has moved."""
_SLOT = 10.0
_MOST_IN_A_SLOT = 4
"""Intervals kept of those that end within so many seconds."""
_FEWEST_CYCLES = 4
"""Sweeps whose ends were seen, before they are a rhythm."""
_FIRST_GUESS = 30.0
"""Seconds: the published service sweeps its videos at :00 and :30 of its clock."""
_MOST_LAG_OF_THE_GUESS = 0.4
"""Share of the period within which the first guess has its ends."""
_EVIDENCE = 12.0
"""Natural logarithm of the odds at which a grid is believed; of the first guess: a quarter."""
_MOST_TOGETHER = 0.5
"""Length of the mean of the directions in which tasks were submitted, on the circle of a period: 0
for any moment, 1 for one and the same."""
_LAGS = (0.02, 0.5, 0.8, 0.95)
"""Quantiles of the lag behind a sweep that polls are planned at; the first only bounds it."""


class SweepGrid:
    """The moments at which a service stores ends, if there are such. In its own clock's seconds.

    Attributes:
        period: Seconds from one sweep to the next; None where no rhythm is seen.
        anchor: The moment of one of them.
        lags: Seconds behind a sweep at which ends show, at the quantiles `_LAGS`.
        version: Changes with all of these.
    """

    def __init__(self, *, dated: bool = True) -> None:
        self.dated = dated  # whether the seconds are those of the service's own clock
        self.period: float | None = None
        self.anchor: float = 0.0
        self.lags: tuple[float, ...] = ()
        self.version: int = 0
        self.intervals: deque[tuple[float, float]] = deque(maxlen=_INTERVALS)
        self._births: deque[float] = deque(maxlen=_INTERVALS)  # of the latest ones' tasks
        self._count = 0
        self._look_at = 6
        self._slot = -math.inf
        self._in_slot = 0

    def note(self, since: float, until: float, born: float) -> None:
        """Note that a task was seen running `since` a moment, and `until` another one had ended."""
        widest = self.period or _PERIODS[-1]
        if until - since >= widest:
            return  # any sweep is in it: it tells nothing
        # A burst of ends is no rhythm: of each few seconds some are taken, the narrowest ones.
        slot = until // _SLOT
        # Pages and polls tell of ends in any order: those of the slot before count as of this one.
        if slot not in (self._slot, self._slot - 1):
            self._slot, self._in_slot = slot, 0
        if self._in_slot < _MOST_IN_A_SLOT:
            self._in_slot += 1
            self.intervals.append((since, until))
            self._births.append(born)
        else:
            self._narrow(since, until, born)
            return
        self._count += 1
        if self._count % _LATEST == 0 and not self._fits():
            self._forget()
        if self._count >= self._look_at:
            self._look_at = self._count + min(self._count // 2 + 1, 64)
            self.search()

    def _narrow(self, since: float, until: float, born: float) -> None:
        """Put an interval in the place of a wider one of the same few seconds."""
        intervals = self.intervals
        widest = max(range(-self._in_slot, 0), key=lambda n: intervals[n][1] - intervals[n][0])
        if until - since < intervals[widest][1] - intervals[widest][0]:
            intervals[widest], self._births[widest] = (since, until), born

    def _fits(self) -> bool:
        """Return whether the latest ends speak for the grid that was found, rather than against."""
        if self.period is None:
            return True
        odds = 0.0
        wide = self.lags[-1] + self.period / _PHASES
        for since, until in list(self.intervals)[-_LATEST:]:
            chance = (until - since + wide) / self.period
            if chance < 0.95:
                behind = (since - self.anchor) % self.period
                met = behind <= wide or behind + until - since >= self.period
                odds += math.log(0.9 / chance) if met else math.log(0.1 / (1 - chance))
        return odds >= 0

    def _forget(self) -> None:
        self.intervals = deque([*self.intervals][-_LATEST:], maxlen=_INTERVALS)
        self._births = deque([*self._births][-_LATEST:], maxlen=_INTERVALS)
        self.period, self.version = None, self.version + 1
        self._count, self._in_slot = len(self.intervals), 0
        self._look_at = self._count + 8

    def search(self) -> None:
        """Look for a grid in the latest intervals."""
        intervals = list(self.intervals)
        period = self.period
        if period is None:
            recent = intervals[-_INTERVALS // 2 :]
            period = max(_PERIODS, key=lambda one: _best(recent, one)[0])
        is_near = period
        nominal = min(_PERIODS, key=lambda one: abs(one - is_near))
        odds, at = _best(intervals, period)
        for factor in _DETUNED:  # the period there is, or a round number, unless there is reason
            other, there = _best(intervals, nominal * factor)
            if other > odds + 5:
                odds, at, period = other - 5, there, nominal * factor
        found = _lags(intervals, period, at)
        if found is None or (self.period is None and not self._is_clear(period, odds, found[0])):
            return
        self.period, (self.anchor, self.lags) = period, found
        self.version += 1

    def _is_clear(self, period: float, odds: float, anchor: float) -> bool:
        """Return whether there is evidence enough to believe in a grid."""
        if self._follows_from_births(period):
            return False
        cycles = {(since + until) // 2 // period for since, until in self.intervals}
        guessed = self.dated and period == _FIRST_GUESS
        if guessed and (anchor + 1.0) % period < _MOST_LAG_OF_THE_GUESS * period:
            return odds >= _EVIDENCE / 4 and len(cycles) >= _FEWEST_CYCLES - 1
        return odds >= _EVIDENCE and len(cycles) >= _FEWEST_CYCLES

    def _follows_from_births(self, period: float) -> bool:
        """Return whether ends come in a rhythm because the tasks do: in bursts, by a schedule.

        Tasks that were submitted at one phase of a period end at one phase too, unless their ages
        are spread over more than that period.
        """
        latest = zip(reversed(self.intervals), reversed(self._births), strict=False)
        ages = sorted((since + until) / 2 - born for (since, until), born in latest)
        if not ages or ages[len(ages) * 9 // 10] - ages[len(ages) // 10] >= period:
            return False
        mean = sum(cmath.rect(1.0, math.tau * born / period) for born in self._births) / len(ages)
        return abs(mean) > _MOST_TOGETHER

    def after(self, moment: float, lag: float) -> float:
        """Return the first moment so long behind a sweep that is not before a given one."""
        assert self.period is not None
        first = self.anchor + lag
        return first + math.ceil((moment - first) / self.period) * self.period


def _best(intervals: Sequence[tuple[float, float]], period: float) -> tuple[float, float]:
    """Return the log odds of sweeps of a period over none at all, and the phase, in seconds."""
    found: list[tuple[float, float]] = []
    for wide in _WINDOWS:
        scores = _scores(intervals, period, wide)
        odds = max(scores)
        found.append((odds, (scores.index(odds) + wide / 2) / _PHASES * period))
    return max(found)


def _scores(intervals: Sequence[tuple[float, float]], period: float, wide: int) -> list[float]:
    """Return the log odds of a window of so many phases that meets each end, by its phase."""
    steps = [0.0] * (_PHASES + 1)
    none = 0.0
    for since, until in intervals:
        chance = (until - since) / period + wide / _PHASES
        if chance >= 0.95:
            continue
        outside = math.log(0.1 / (1 - chance))
        gain = math.log(0.9 / chance) - outside
        none += outside
        low = (since / period % 1.0 * _PHASES - wide + 1) % _PHASES
        high = int(low + (until - since) / period * _PHASES + wide)
        steps[int(low)] += gain
        if high <= _PHASES:
            steps[high] -= gain
        else:
            steps[0] += gain
            steps[high - _PHASES] -= gain
    return [none + gain for gain in accumulate(steps[:-1])]


def _lags(
    intervals: Sequence[tuple[float, float]], period: float, near: float
) -> tuple[float, tuple[float, ...]] | None:
    """Return the first moment of a phase at which ends show, and the lags behind it.

    By expectation and maximisation: each end is spread over its interval by how likely each
    phase is, and so on. None where the phases are all over the period.
    """
    bins = 2 * _PHASES
    begin = near - period / 3  # where the period is cut open
    covered: list[tuple[int, int]] = []
    for since, until in intervals:
        if until - since < 0.98 * period:
            low = int((since - begin) / period % 1.0 * bins)
            covered.append((low, low + int((until - since) / period * bins) + 1))
    if not covered:
        return None
    density = [1.0 / bins] * bins
    for _ in range(15):
        found = [0.02 / bins] * bins
        for low, high in covered:
            within = [density[n % bins] for n in range(low, high)]
            total = sum(within)
            for n, one in enumerate(within, low):
                found[n % bins] += one / total
        total = sum(found)
        density = [one / total for one in found]
    below = [0.0, *accumulate(density)]
    at = [(bisect_left(below, share) - 0.5) * period / bins for share in _LAGS]
    if at[-1] - at[0] > 0.6 * period:
        return None
    anchor = begin + at[0]
    return anchor, tuple(one - at[0] for one in at)


def swept_survival(
    curve: SurvivalTable, period: float, first: float, lags: Sequence[float]
) -> SurvivalTable:
    """Return the survival curve of a task whose first sweep comes at a given age.

    The curve is that of tasks with sweeps at all ages. What ends around the age of a sweep,
    half a period to each side, ends in it; and within it as the lags say.
    """
    ages, alive = [0.0], [1.0]
    sweep = first
    while sweep - period / 2 <= curve.ages[-1]:
        middle = sweep + lags[1]
        before = curve.at(max(middle - period / 2, 0.0))[0]
        after = curve.at(max(middle + period / 2, 0.0))[0]
        for share, lag in zip(_LAGS, lags, strict=True):
            passed = 0.0 if lag == lags[0] else 1.0 if share == _LAGS[-1] else share
            ages.append(sweep + lag)
            alive.append(before + (after - before) * passed)
        sweep += period
    return SurvivalTable.of(ages, alive)
