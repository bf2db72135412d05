"""The rhythm of a service: a function from what was seen to the next delay. Pure.

One `Learner` a kind of task: a survival curve for each model (`survival`), and the grid of sweeps
(`sweeps`). It is told of each poll, and asked for each delay:

    few ends seen        the backoff, aligned to the grid where there is one
    no grid              the plan for the model's ages, mixed with the backoff by how much was seen
    a grid               a plan whose ages are those of the sweeps, and the usual lags behind them
    past all ages seen   the backoff

Each delay has jitter, and some aligned polls are left to the backoff, since one who asks only at
the same moments cannot see that they have moved.
"""

from __future__ import annotations

import random

import msgspec

from .plans import Plan, balanced, mean_delay, refined, shortest_delay, solve
from .schedule import cadence, wait_backoff
from .service_clock import ServiceClock
from .survival import Cohort, CurveState, SurvivalCurve
from .sweeps import SweepGrid, swept_survival

_SAMPLES_OF_THE_PRIOR = 15.0
"""The number of ends that weigh as much as the backoff, in a delay that is a mix of both."""
TimeLeft = tuple[float, float]
"""Seconds until an end: at the earliest, and at the latest, as far as is likely."""
_LIKELY = (0.05, 0.95)
"""The probabilities that it has ended by these two moments."""
_MOST_CURVES = 64
"""The number of models of one kind that are told apart."""
_ASTRAY = 1 / 16
"""Share of aligned polls that are left to the backoff."""
_CLASSES = 12
"""Phases in which tasks can be submitted, between two sweeps, that plans are made for."""
_NO_GRID = -1
"""The key of the plan that goes by ages alone, among those of a curve."""
_OLDEST = 30 * 86400.0
"""The age in seconds past which a task's date is not believed."""
_MOST_OF_A_NAME = 100
_LATE = 1 / 6
"""Share of a period, behind the usual lags of its ends, within which many tasks are asked for once
more."""


class KindState(msgspec.Struct, omit_defaults=True):
    """The memory of one kind of task."""

    models: dict[str, CurveState] = {}
    intervals: list[tuple[float, float]] = []
    """In which ends were seen: seconds of the service's clock."""

    def __post_init__(self) -> None:
        if any(until < since for since, until in self.intervals):
            raise ValueError("an interval ends before it begins")


class RhythmState(msgspec.Struct, forbid_unknown_fields=True):
    """The memory of a service; it goes through JSON."""

    kinds: dict[str, KindState] = {}
    version: int = 1


class LearnedRhythm(msgspec.Struct, frozen=True, kw_only=True):
    """The facts learned of one kind of task."""

    samples: dict[str, int]
    """Ends seen for each model, the older ones fading."""
    period: float | None
    """Seconds between two moments at which ends show; None where they show at any time."""
    lag: float | None
    """Seconds behind such a moment by which most have."""


class Learner:
    """Learns when tasks of one kind end, and says when to ask next.

    Args:
        backoff: The backoff to follow while nothing is known.
        clock: The service's clock.
        state: What an earlier process has learned.
    """

    def __init__(
        self, backoff: wait_backoff, clock: ServiceClock, state: KindState | None = None
    ) -> None:
        self.backoff = backoff
        self.clock = clock
        self.grid: SweepGrid = SweepGrid()
        self._curves: dict[str, SurvivalCurve] = {}
        if state is not None:
            for model, kept in list(state.models.items())[:_MOST_CURVES]:
                self._curves[model] = SurvivalCurve.from_state(kept)
            self.grid.intervals.extend(state.intervals)
            if state.intervals:
                self.grid.search()

    def curve(self, model: str | None) -> SurvivalCurve:
        """Return the curve of a model; the ones past the first few share one."""
        name = (model or "")[:_MOST_OF_A_NAME]
        if (found := self._curves.get(name)) is not None:
            return found
        if len(self._curves) >= _MOST_CURVES:
            name = ""
        return self._curves.setdefault(name, SurvivalCurve())

    def born(self, submitted: float | None, now: float) -> float:
        """Return the moment at which a task was submitted, by the client's clock.

        Args:
            submitted: The same by the service's clock, if it says.
            now: When it was seen first.
        """
        if submitted is None or not self.clock.known:
            return now
        age = now - (submitted - self.clock.offset)
        return now - age if 0 <= age < _OLDEST else now

    def ended(
        self, curve: SurvivalCurve, born: float, since: float, now: float, told: list[float]
    ) -> None:
        """Note that a task was seen to have ended.

        Args:
            curve: Its model's.
            born: When it was submitted.
            since: When it was last seen running; `born` if never.
            now: When it was seen to have ended.
            told: When it ended, as the service says in its various fields, by its clock. The
                first that lies between the two is believed, to a second.
        """
        offset = self.clock.offset
        if self.clock.known:
            for moment in told:
                at = moment - offset
                if since - 1.0 <= at <= now + 1.0:
                    # Not before it: a poll that comes a moment too early is in vain.
                    since, now = max(since, at), min(now, at + 1.0)
                    break
        since = min(since, now)
        curve.ended(max(since - born, 0.0), max(now - born, 0.0))
        if self.grid.dated != self.clock.known:
            self.grid = SweepGrid(dated=self.clock.known)
        self.grid.note(since + offset, now + offset, born + offset)

    def delay(self, cohort: Cohort | None, started: float, now: float, polls: int) -> float:
        """Return the seconds until a task that runs is to be asked about again.

        Args:
            cohort: The tasks of its model and age; None while these are not known.
            started: The moment of its first poll.
            now: The moment of its last one.
            polls: The number of its polls.
        """
        grid = self.grid
        planned = None
        if cohort is not None and cohort.curve.is_known:
            if grid.period is None:
                planned = self._planned(cohort.curve, now - started + cohort.age)
            elif random.random() >= _ASTRAY:
                planned = self._swept(cohort.curve, started - cohort.age, now)
        if planned is not None:
            return planned
        step = self.backoff.after(polls)
        if grid.period is None or random.random() < _ASTRAY:
            return step
        return self._aligned(now, step)

    def _planned(self, curve: SurvivalCurve, age: float) -> float | None:
        """Return the delay by the plan for a model's ages; None where too little is known."""
        try:
            plan = curve.plans[_NO_GRID]
        except KeyError:
            plan = curve.plans[_NO_GRID] = self._plan(curve)
        if plan is None:
            return None
        return plan.delay_at(age) * (1 - self.backoff.jitter * (random.random() - 0.5))

    def _plan(self, curve: SurvivalCurve) -> Plan | None:
        """Return a plan whose delays are mixed with the backoff's, by how much was seen."""
        if (survival := curve.survival()) is None:
            return None
        plan, curve.price = balanced(refined(survival, self.backoff), self.backoff, curve.price)
        share = curve.samples / (curve.samples + _SAMPLES_OF_THE_PRIOR)
        last = len(plan.ages) - 1
        delays = [
            mean_delay(self.backoff, age)
            if n == last  # nothing is known of what comes then
            else mean_delay(self.backoff, age) ** (1 - share) * (plan.ages[n] - age) ** share
            for age, n in zip(plan.ages, plan.following, strict=True)
        ]
        return msgspec.structs.replace(plan, delays=delays)

    def _swept(self, curve: SurvivalCurve, born: float, now: float) -> float | None:
        """Return the delay by a plan on the grid; None where nothing is known of such an age."""
        period = self.grid.period
        assert period is not None
        first = (self.grid.anchor - born - self.clock.offset) % period
        number = int(first / period * _CLASSES)
        middle = (number + 0.5) / _CLASSES * period
        key = self.grid.version * _CLASSES + number
        try:
            plan = curve.plans[key]
        except KeyError:
            plan = curve.plans[key] = self._plan_on_grid(curve, period, middle)
        if plan is None:
            return None
        age = now - born - (first - middle)
        n = plan.node_at(age)
        last = len(plan.ages) - 1
        while (n := plan.following[n]) < last:
            wait = plan.ages[n] - age + random.uniform(0.0, self._spread(period))
            if wait >= shortest_delay(self.backoff):
                return wait
        return None

    def _plan_on_grid(self, curve: SurvivalCurve, period: float, first: float) -> Plan | None:
        """Return the plan for tasks whose first sweep comes at an age."""
        if (survival := curve.survival()) is None:
            return None
        swept = swept_survival(survival, period, first, self.grid.lags)
        own, longest = self.backoff, max(self.backoff.maximum, period * 1.5)
        backoff = wait_backoff(own.initial, own.factor, longest, jitter=own.jitter)
        if curve.is_priced:
            return solve(swept, backoff, curve.price)
        plan, curve.price = balanced(swept, backoff, curve.price)
        curve.is_priced = True
        return plan

    def _aligned(self, now: float, step: float) -> float:
        """Return a delay like the given one that ends when the ends of a sweep show."""
        period = self.grid.period
        assert period is not None
        return self._sweep_after(now + max(step - period / 2, shortest_delay(self.backoff))) - now

    def time_left(
        self, curve: SurvivalCurve, born: float, now: float, of: int = 1
    ) -> TimeLeft | None:
        """Return in how many seconds the end of a task that runs is likely to show.

        Nine of ten such ends lie in the range. For many tasks like this one it is the last end: the
        probability that all have ended by an age is that of one, to the power of their number.

        Args:
            curve: Its model's.
            born: When it was submitted.
            now: The moment.
            of: How many tasks like it there are.

        Returns:
            None where too little is known of tasks of its age.
        """
        shares = [share ** (1 / max(of, 1)) for share in _LIKELY]
        ages = curve.quantiles(max(now - born, 0.0), shares)
        if ages is None:
            return None
        low, high = (max(born + age - now, 0.0) for age in ages)
        return low, high

    def round_after(self, now: float, pause: float) -> float:
        """Return when to ask for many tasks at once: after a pause, but not between two sweeps."""
        grid, moment = self.grid, now + pause
        if grid.period is None or random.random() < _ASTRAY:
            return moment
        latest = grid.lags[-1] + min(pause, grid.period * _LATE)
        if (moment + self.clock.offset - grid.anchor) % grid.period <= latest:
            return moment
        return self._sweep_after(moment)

    def _sweep_after(self, moment: float) -> float:
        """Return when to ask for what the next sweep ends, not before a moment."""
        grid, offset = self.grid, self.clock.offset
        assert grid.period is not None
        shown = grid.after(moment + offset, grid.lags[2]) - offset
        return shown + random.uniform(0.0, self._spread(grid.period))

    @staticmethod
    def _spread(period: float) -> float:
        """Return the seconds over which polls are spread that are due at one moment."""
        return min(1.5, 0.06 * period)

    def learned(self) -> LearnedRhythm:
        """Return the facts that have been learned."""
        grid = self.grid
        return LearnedRhythm(
            samples={name: round(curve.samples) for name, curve in self._curves.items()},
            period=grid.period,
            lag=None if grid.period is None else grid.lags[2],
        )

    def to_state(self) -> KindState:
        """Return the memory that the next client can use."""
        return KindState(
            {name: curve.to_state() for name, curve in self._curves.items() if curve.samples},
            list(self.grid.intervals) if self.clock.known and self.grid.period else [],
        )


class Rhythm:
    """The learners of one client: one for each kind of task, and the service's clock.

    Args:
        kept: The JSON of an earlier client.

    Raises:
        ValueError: That is something else.
    """

    def __init__(self, kept: bytes | str | None = None) -> None:
        self.clock = ServiceClock()
        self._learners: dict[str, Learner] = {}
        self._kept = RhythmState()
        if kept is not None:
            try:
                self._kept = msgspec.json.decode(kept, type=RhythmState)
            except (msgspec.DecodeError, UnicodeDecodeError, TypeError) as exc:
                raise ValueError(f"rhythm=: give what Client.rhythm() returned ({exc})") from None

    def learner(self, kind: str) -> Learner:
        """Return the learner of a kind of task."""
        if (found := self._learners.get(kind)) is None:
            kept = self._kept.kinds.pop(kind, None)
            found = self._learners[kind] = Learner(cadence(kind), self.clock, kept)
        return found

    def learned(self) -> dict[str, LearnedRhythm]:
        """Return the facts that have been learned of each kind."""
        return {kind: learner.learned() for kind, learner in self._learners.items()}

    def to_json(self) -> bytes:
        """Return what is worth keeping, of kinds that were not met this time too."""
        kinds = {kind: learner.to_state() for kind, learner in self._learners.items()}
        return msgspec.json.encode(RhythmState({**self._kept.kinds, **kinds}))
