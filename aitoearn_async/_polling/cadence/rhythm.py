"""The rhythm of a service: when its tasks end, learned from polls, and the delays that follow.

There is one `Learner` for each kind of task. It has a survival curve for each model (`survival`),
and the grid of the service's sweeps (`sweeps`). It is told of each poll, and asked for each delay:

    few ends seen        the backoff, aligned to the grid where there is one
    no grid              the plan for the model's ages, mixed with the backoff by how much was seen
    a grid               a plan whose ages are those of the sweeps, and the usual lags behind them
    past all ages seen   the backoff

Each delay has jitter. Some aligned polls are left to the backoff: polls that come only at the
moments of sweeps could not show that these have moved. There is no I/O here, and no clock.
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
"""Seconds until an end: the earliest and the latest that are likely."""
_LIKELY = (0.05, 0.95)
"""The probabilities that a task has ended by these two."""
_MOST_CURVES = 64
"""The number of models of one kind that are told apart."""
_MOST_OF_A_NAME = 100
"""Characters of the name of a model that are kept."""
_NOT_ALIGNED = 1 / 16
"""The share of polls on a grid that are left to the backoff."""
_SUBMIT_PHASES = 12
"""Parts of the time between two sweeps. Tasks that were submitted in the same part share a plan."""
_BY_AGE = -1
"""The key of the plan by ages alone, among the plans of a curve."""
_OLDEST = 30 * 86400.0
"""The age in seconds past which a task's date is not believed."""
_LATE_SHARE = 1 / 6
"""The share of a period for which a sweep is still asked about after its usual lags."""


class KindState(msgspec.Struct, omit_defaults=True):
    """The memory of one kind of task."""

    models: dict[str, CurveState] = {}
    intervals: list[tuple[float, float]] = []
    """The intervals in which ends were seen, in seconds of the service's clock."""

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
    """Seconds after such a moment by which most of its ends show."""


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
        """Return the curve of a model. Beyond the first `_MOST_CURVES`, models share one."""
        name = (model or "")[:_MOST_OF_A_NAME]
        if (found := self._curves.get(name)) is not None:
            return found
        if len(self._curves) >= _MOST_CURVES:
            name = ""
        return self._curves.setdefault(name, SurvivalCurve())

    def born(self, submitted: float | None, now: float) -> float:
        """Return the moment at which a task was submitted, by the client's clock.

        Args:
            submitted: This moment by the service's clock, if the service tells it.
            now: The moment when the task was first seen, to be taken in its place.
        """
        if submitted is None or not self.clock.known:
            return now
        at = submitted - self.clock.offset
        return at if 0 <= now - at < _OLDEST else now

    def note_end(
        self, curve: SurvivalCurve, born: float, since: float, now: float, told: list[float]
    ) -> None:
        """Note that a task was seen to have ended.

        Args:
            curve: The curve of its model.
            born: The moment when it was submitted.
            since: The moment when it was last seen running; `born` if never.
            now: The moment when it was seen to have ended.
            told: Moments at which it ended, as fields of the service's answer say, by the service's
                clock. The first that lies between `since` and `now` is believed, to a second.
        """
        offset = self.clock.offset
        if self.clock.known:
            for moment in told:
                at = moment - offset
                if since - 1.0 <= at <= now + 1.0:
                    # It may have ended up to a second later, but not before: a poll that comes a
                    # moment too early is in vain.
                    since, now = max(since, at), min(now, at + 1.0)
                    break
        since = min(since, now)
        curve.note_end(max(since - born, 0.0), max(now - born, 0.0))
        if self.grid.dated != self.clock.known:
            self.grid = SweepGrid(dated=self.clock.known)
        self.grid.note(since + offset, now + offset, born + offset)

    def delay(self, cohort: Cohort | None, started: float, now: float, polls: int) -> float:
        """Return the seconds until a task that runs is to be polled again.

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
                planned = self._delay_by_age(cohort.curve, now - started + cohort.age)
            elif random.random() >= _NOT_ALIGNED:
                planned = self._delay_by_sweeps(cohort.curve, started - cohort.age, now)
        if planned is not None:
            return planned
        step = self.backoff.after(polls)
        if grid.period is None or random.random() < _NOT_ALIGNED:
            return step
        return self._delay_to_sweep(now, step)

    def _delay_by_age(self, curve: SurvivalCurve, age: float) -> float | None:
        """Return the delay by the plan for a model's ages; None if too little is known."""
        try:
            plan = curve.plans[_BY_AGE]
        except KeyError:
            plan = curve.plans[_BY_AGE] = self._plan_by_age(curve)
        if plan is None:
            return None
        return plan.delay_at(age) * (1 - self.backoff.jitter * (random.random() - 0.5))

    def _plan_by_age(self, curve: SurvivalCurve) -> Plan | None:
        """Return a plan for a model's ages, mixed with the backoff while few ends were seen."""
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

    def _delay_by_sweeps(self, curve: SurvivalCurve, born: float, now: float) -> float | None:
        """Return the delay by a plan on the grid; None if nothing is known of such an age."""
        period = self.grid.period
        assert period is not None
        first_sweep = (self.grid.anchor - born - self.clock.offset) % period  # as an age
        phase = int(first_sweep / period * _SUBMIT_PHASES)
        middle = (phase + 0.5) / _SUBMIT_PHASES * period
        key = self.grid.version * _SUBMIT_PHASES + phase
        try:
            plan = curve.plans[key]
        except KeyError:
            plan = curve.plans[key] = self._plan_by_sweeps(curve, period, middle)
        if plan is None:
            return None
        age = now - born - (first_sweep - middle)
        last = len(plan.ages) - 1
        n = plan.following[plan.node_at(age)]
        while n < last:
            wait = plan.ages[n] - age + random.uniform(0.0, self._spread(period))
            if wait >= shortest_delay(self.backoff):
                return wait
            n = plan.following[n]
        return None

    def _plan_by_sweeps(self, curve: SurvivalCurve, period: float, first: float) -> Plan | None:
        """Return the plan for tasks whose first sweep comes at a certain age."""
        if (survival := curve.survival()) is None:
            return None
        swept = swept_survival(survival, period, first, self.grid.lags)
        own = self.backoff
        longest = max(own.maximum, period * 1.5)
        backoff = wait_backoff(own.initial, own.factor, longest, jitter=own.jitter)
        if curve.is_priced:
            return solve(swept, backoff, curve.price)
        plan, curve.price = balanced(swept, backoff, curve.price)
        curve.is_priced = True
        return plan

    def _delay_to_sweep(self, now: float, step: float) -> float:
        """Return a delay near the given one, after which the ends of a sweep have shown."""
        period = self.grid.period
        assert period is not None
        return self._sweep_after(now + max(step - period / 2, shortest_delay(self.backoff))) - now

    def time_left(
        self, curve: SurvivalCurve, born: float, now: float, tasks: int = 1
    ) -> TimeLeft | None:
        """Return in how many seconds the end of a task that runs is likely to show.

        Nine of ten such ends lie in the range. For many tasks like this one it is the range of the
        last end: the probability that all have ended by an age is that of one, to the power of
        their number.

        Args:
            curve: The curve of its model.
            born: The moment when it was submitted.
            now: The moment from which on the seconds count.
            tasks: The number of tasks like it.

        Returns:
            The range; None if too little is known of tasks of its age.
        """
        shares = [share ** (1 / max(tasks, 1)) for share in _LIKELY]
        ages = curve.quantiles(max(now - born, 0.0), shares)
        if ages is None:
            return None
        low, high = (max(born + age - now, 0.0) for age in ages)
        return low, high

    def round_after(self, now: float, pause: float) -> float:
        """Return the moment of the next round: after a pause, but not between two sweeps."""
        grid, moment = self.grid, now + pause
        if grid.period is None or random.random() < _NOT_ALIGNED:
            return moment
        latest = grid.lags[-1] + min(pause, grid.period * _LATE_SHARE)
        if (moment + self.clock.offset - grid.anchor) % grid.period <= latest:
            return moment
        return self._sweep_after(moment)

    def _sweep_after(self, moment: float) -> float:
        """Return the moment to ask about the ends of the next sweep, not before a given one."""
        grid, offset = self.grid, self.clock.offset
        assert grid.period is not None
        shown = grid.after(moment + offset, grid.lags[2]) - offset
        return shown + random.uniform(0.0, self._spread(grid.period))

    @staticmethod
    def _spread(period: float) -> float:
        """Return the seconds over which polls that are due at one moment are spread."""
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
        kept: The JSON that `to_json` of an earlier one has returned.

    Raises:
        ValueError: It is something else.
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
        """Return what is worth keeping, also of kinds that were not met this time."""
        kinds = {kind: learner.to_state() for kind, learner in self._learners.items()}
        return msgspec.json.encode(RhythmState({**self._kept.kinds, **kinds}))
