"""What is learned of when tasks end, and the delays that follow from it."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitoearn_async._polling.cadence.plans import (
    WEIGHT_OF_REQUESTS,
    SurvivalTable,
    backoff_cost,
    balanced,
    shortest_delay,
    solve,
)
from aitoearn_async._polling.cadence.rhythm import KindState, Learner
from aitoearn_async._polling.cadence.schedule import wait_backoff
from aitoearn_async._polling.cadence.service_clock import ServiceClock
from aitoearn_async._polling.cadence.survival import Cohort, SurvivalCurve
from aitoearn_async._polling.cadence.sweeps import SweepGrid
from tests.support.clock import ROUNDING

from .worlds import IMAGE, VIDEO, Life, backoff, learned, lives, new_learner

_AGES = st.floats(0.0, 1e6)
paces = st.builds(wait_backoff, st.floats(0.1, 5.0), st.just(1.5), st.floats(5.0, 30.0))


@pytest.fixture(autouse=True)
def always_the_same_chance() -> None:
    random.seed(20)


@st.composite
def curves(draw: st.DrawFn, most: int = 8) -> SurvivalTable:
    """Some nodes of age, and a share that never grows."""
    steps = draw(st.lists(st.floats(0.5, 20.0), min_size=1, max_size=most))
    ages = list(itertools.accumulate(steps, initial=0.0))
    left = draw(st.lists(st.floats(0.0, 1.0), min_size=len(steps), max_size=len(steps)))
    return SurvivalTable.of(ages, [1.0, *sorted(left, reverse=True)])


@given(curves(), paces, st.floats(0.01, 10.0))
def test_no_other_plan_costs_less(curve: SurvivalTable, pace: wait_backoff, price: float) -> None:
    """The plan is the cheapest of all that keep to the bounds, as trying each one shows."""
    wide = wait_backoff(1e-9, pace.factor, 1e9)
    plan = solve(curve, wide, price)
    last = len(curve.ages) - 1
    costs: list[float] = []
    for size in range(last):
        for between in itertools.combinations(range(1, last), size):
            cost = 0.0
            for i, j in itertools.pairwise((0, *between, last)):
                delay = curve.alive[i] * (curve.ages[j] - curve.ages[i])
                cost += curve.alive[i] + price * (delay - curve.area[j] + curve.area[i])
            costs.append(cost)
    assert plan.requests + price * plan.delay == pytest.approx(min(costs), abs=ROUNDING)


@given(curves(40), paces, st.floats(0.01, 10.0))
def test_a_plan_keeps_to_the_fastest_and_the_slowest_delay(
    curve: SurvivalTable, pace: wait_backoff, price: float
) -> None:
    """A delay past the slowest is the shortest there is, or one in which next to nothing ends."""
    plan = solve(curve, pace, price)
    last, shortest = len(plan.ages) - 1, shortest_delay(pace)
    for i, j in enumerate(plan.following[:-1]):
        delay = plan.ages[j] - plan.ages[i]
        assert delay >= shortest or j == last
        allowed = [n for n in range(i + 1, last) if curve.ages[n] - curve.ages[i] >= shortest]
        if delay > pace.maximum and j != (allowed or [last])[0]:
            assert curve.alive[j] >= 0.95 * curve.alive[i] - ROUNDING
            assert delay <= 4 * pace.maximum + ROUNDING


@given(curves(40), st.floats(0.01, 10.0))
def test_a_balanced_plan_is_no_worse_than_that_of_the_price_it_began_with(
    curve: SurvivalTable, price: float
) -> None:
    """Of the prices tried the one is taken that is best for the worse of requests and delay."""
    if curve.alive[-1] > 0.1:
        return
    plan, _ = balanced(curve, IMAGE, price)
    other = solve(curve, IMAGE, price)
    requests, delay = backoff_cost(curve, IMAGE)

    def worse(requests_of: float, delay_of: float) -> float:
        spent = WEIGHT_OF_REQUESTS * (1 + requests_of) / (1 + requests)
        return max(spent, delay_of / max(delay, 1e-9))

    assert worse(plan.requests, plan.delay) <= worse(other.requests, other.delay) + ROUNDING


@given(st.lists(st.tuples(st.booleans(), _AGES, _AGES), max_size=200))
def test_a_survival_curve_falls_whatever_was_seen(seen: list[tuple[bool, float, float]]) -> None:
    """It begins at 1, never rises, and stays above 0 or at it."""
    curve = SurvivalCurve()
    for has_ended, one, other in seen:
        (curve.note_end if has_ended else curve.note_survival)(min(one, other), max(one, other))
    survival = curve.survival()
    if survival is not None:
        assert survival.alive[0] == 1.0
        assert all(0 <= b <= a <= 1 for a, b in itertools.pairwise(survival.alive))


@given(st.lists(st.tuples(st.booleans(), _AGES, _AGES), max_size=100), _AGES, st.integers(1, 99))
def test_every_delay_is_one_that_can_be_slept(
    seen: list[tuple[bool, float, float]], age: float, polls: int
) -> None:
    """Whatever was seen, a delay is above 0 and not past four of the slowest."""
    learner = new_learner(IMAGE)
    curve = learner.curve("m")
    for has_ended, one, other in seen:
        if has_ended:
            learner.note_end(curve, 0.0, min(one, other), max(one, other), [])
        else:
            curve.note_survival(min(one, other), max(one, other))
    assert 0 < learner.delay(Cohort(curve, 0.0), 0.0, age, polls) <= 4 * 120.0 * 1.2


def _lognormal(**of: float) -> Callable[[str], float]:
    return lambda model: max(2.0, of[model or "m"] * math.exp(random.gauss(0.0, 0.3)))


def test_images_of_known_models_cost_less_and_are_noticed_sooner() -> None:
    """Requests and delay shrink to well below the backoff's, once each model has been seen."""
    tasks = lives(1200, 4.0, _lognormal(a=9.0, b=45.0), models=("a", "b"))
    before, after = backoff(IMAGE, tasks), learned(new_learner(IMAGE), tasks, after=0.3)
    assert after.requests <= 0.72 * before.requests
    assert after.delay <= 0.72 * before.delay


def test_swept_videos_are_asked_about_after_the_sweep() -> None:
    """Half the requests or so, and less than half the delay."""
    tasks = lives(1500, 2.0, _lognormal(a=90.0, b=160.0), models=("a", "b"), period=30.0)
    learner = new_learner(VIDEO)
    before, after = backoff(VIDEO, tasks), learned(learner, tasks, after=0.3)
    assert learner.learned().period == 30.0
    assert after.requests <= 0.58 * before.requests
    assert after.delay <= 0.5 * before.delay


def _either(quick: float, slow: float) -> Callable[[str], float]:
    """Tasks of one model that take one time or another."""
    return lambda _: random.choice((quick, slow)) * random.uniform(0.8, 1.2)


def _one_after_another(*models: tuple[str, float]) -> list[Life]:
    """Tasks of models of which each comes two minutes after the one before it, with its median."""
    return [
        Life(number * 125.0 + task.submitted, number * 125.0 + task.ends, model)
        for number, (model, seconds) in enumerate(models)
        for task in lives(500, 4.0, _lognormal(m=seconds))
    ]


def _from_30_to_20(tasks: list[Life]) -> list[Life]:
    """Videos that are swept every 30 seconds, and after a while every 20."""
    return [
        task._replace(ends=-(-task.ends // period) * period + 3 * random.random())
        for task in tasks
        for period in (30.0 if task.ends < 240 else 20.0,)
    ]


def _in_bursts(tasks: list[Life], seconds: float, size: int = 30) -> list[Life]:
    """The same tasks, so many at a time."""
    made: list[Life] = []
    for number, task in enumerate(tasks):
        submitted = number // size * seconds + number % size / 100
        ends = submitted + task.ends - task.submitted
        made.append(task._replace(submitted=submitted, ends=ends))
    return made


WORLDS: dict[str, tuple[wait_backoff, Callable[[], list[Life]], float]] = {
    "no rhythm": (VIDEO, lambda: lives(1000, 2.0, _lognormal(m=110.0)), 0.0),
    "any duration": (IMAGE, lambda: lives(1000, 4.0, lambda _: random.uniform(1, 300)), 0.0),
    "no memory": (IMAGE, lambda: lives(1000, 4.0, lambda _: random.expovariate(1 / 30)), 0.0),
    "period 25 s": (VIDEO, lambda: lives(1000, 2.0, _lognormal(m=110.0), period=25.0), 0.0),
    "drift": (VIDEO, lambda: lives(1000, 2.0, _lognormal(m=110.0), period=30 / 1.01), 0.01),
    "drift of 2 %": (VIDEO, lambda: lives(1000, 2.0, _lognormal(m=110.0), period=30 / 1.02), 0.02),
    "two kinds of lives": (IMAGE, lambda: lives(1000, 4.0, _either(8.0, 60.0)), 0.0),
    "models that come late": (
        IMAGE,
        lambda: _one_after_another(("a", 15.0), ("b", 40.0), ("c", 6.0)),
        0.0,
    ),
    "a third as long": (IMAGE, lambda: _one_after_another(("a", 40.0), ("a", 12.0)), 0.0),
    "from 30 to 20 s": (VIDEO, lambda: _from_30_to_20(lives(1000, 2.0, _lognormal(m=110.0))), 0.0),
    "bursts": (IMAGE, lambda: _in_bursts(lives(1200, 4.0, _lognormal(m=20.0)), 60.0), 0.0),
    "first fifty": (IMAGE, lambda: lives(50, 1.0, _lognormal(m=25.0)), 0.0),
    "one alone": (IMAGE, lambda: lives(1, 1.0, _lognormal(m=25.0)), 0.0),
}


@pytest.mark.sampled(4)
@pytest.mark.parametrize("world", WORLDS)
def test_no_world_is_worse_off(world: str) -> None:
    """Where there is little to learn, requests and delay stay within a tenth or so."""
    pace, make, drift = WORLDS[world]
    runs = 40 if world in ("first fifty", "one alone") else 1
    before, after = [0.0, 0.0], [0.0, 0.0]
    for _ in range(runs):
        tasks = make()
        before = [a + b for a, b in zip(before, backoff(pace, tasks), strict=True)]
        now = learned(new_learner(pace), tasks, drift=drift)
        after = [a + b for a, b in zip(after, now, strict=True)]
    assert after[0] <= 1.1 * before[0]
    assert after[1] <= 1.2 * before[1]


def test_a_world_that_changes_is_learned_anew() -> None:
    """Durations that triple half-way cost no more than they would have."""
    early, late = (lives(600, 4.0, _lognormal(m=seconds)) for seconds in (20.0, 60.0))
    tasks = early + [Life(150 + task.submitted, 150 + task.ends) for task in late]
    before, after = backoff(IMAGE, tasks), learned(new_learner(IMAGE), tasks)
    assert after.requests <= 1.1 * before.requests
    assert after.delay <= 1.15 * before.delay


def _note_ends(grid: SweepGrid, numbers: range, period: float | None) -> None:
    """Note an end every two seconds, behind sweeps of a period if there is one."""
    for number in numbers:
        ended = number * 2.0 + random.uniform(0.0, 60.0)
        if period is not None:
            ended = math.ceil(ended / period) * period + random.uniform(1.0, 2.0)
        width = random.uniform(2.0, 20.0)
        since = ended - random.uniform(0.0, width)
        grid.note(since, since + width, ended - 20.0 - number % 60)


@pytest.mark.parametrize("period", [None, 10.0, 25.0, 30.0, 60.0])
def test_a_grid_is_found_where_there_is_one(period: float | None) -> None:
    """From intervals alone, and only where ends come at certain moments."""
    grid = SweepGrid()
    _note_ends(grid, range(400), period)
    assert grid.period == period
    if period is not None:
        off = (grid.anchor - 1.0 + period / 2) % period - period / 2
        assert abs(off) <= 0.12 * period


@pytest.mark.parametrize("period", [None, 25.0])
def test_a_grid_that_has_gone_is_forgotten_for_what_there_is_now(period: float | None) -> None:
    """A release of the service may sweep at other times, or tell of ends as they come."""
    grid = SweepGrid()
    _note_ends(grid, range(400), 30.0)
    assert grid.period == pytest.approx(30.0, rel=0.02)
    _note_ends(grid, range(400, 600), period)
    assert grid.period == (None if period is None else pytest.approx(period, rel=0.02))


def test_a_burst_of_ends_is_no_grid() -> None:
    """A hundred tasks that end within a second are one moment, and not a rhythm."""
    grid = SweepGrid()
    for _ in range(100):
        ended = 1000.0 + random.random()
        grid.note(ended - random.uniform(0.0, 3.0), ended + random.uniform(0.0, 3.0), 0.0)
    assert grid.period is None


def test_a_burst_that_is_told_in_any_order_is_no_more() -> None:
    """Of ends around the turn of ten seconds as few are kept as of those within."""
    grid = SweepGrid()
    for number in range(100):
        ended = 1000.0 + (-1) ** number * random.random()
        grid.note(ended - 2.0, ended, 0.0)
    assert len(grid.intervals) <= 8


@pytest.mark.sampled(3)
@pytest.mark.parametrize("seconds", [30.0, 60.0, 90.0])
@pytest.mark.parametrize("size", [30, 100])
def test_tasks_that_come_in_bursts_are_not_taken_for_sweeps(seconds: float, size: int) -> None:
    """Their ends come in a rhythm too, but it is their own: what is between them is not missed."""
    learner = new_learner(IMAGE)
    tasks = _in_bursts(lives(900, 4.0, _lognormal(m=20.0)), seconds, size)
    before, after = backoff(IMAGE, tasks), learned(learner, tasks)
    assert learner.grid.period is None
    assert after.requests <= 0.9 * before.requests
    assert after.delay <= 1.0 * before.delay


def test_bursts_of_tasks_hide_no_sweeps() -> None:
    """Their ages are spread over several sweeps, and what they have in common is the phase."""
    learner = new_learner(VIDEO)
    tasks = _in_bursts(lives(900, 4.0, _lognormal(m=110.0), period=None), 60.0)
    tasks = [task._replace(ends=-(-task.ends // 25) * 25 + 3 * random.random()) for task in tasks]
    learned(learner, tasks)
    assert learner.grid.period == 25.0


def test_what_was_learned_goes_through_json() -> None:
    """A learner that is given what another has kept plans as that one does."""
    tasks = lives(400, 4.0, _lognormal(a=9.0, b=45.0), models=("a", "b"))
    learner = new_learner(IMAGE)
    learned(learner, tasks)
    kept = msgspec.json.decode(msgspec.json.encode(learner.to_state()), type=KindState)
    other = Learner(IMAGE, ServiceClock(), kept)
    before = backoff(IMAGE, tasks)
    after = learned(other, lives(200, 4.0, _lognormal(a=9.0, b=45.0), models=("a", "b")))
    assert after.requests <= 0.8 * before.requests
    assert other.learned().samples.keys() == {"a", "b"}


@given(st.floats(-1e6, 1e6), st.lists(st.floats(0.01, 5.0), min_size=30, max_size=60))
def test_the_clock_of_the_service_is_known_to_a_second(off: float, steps: list[float]) -> None:
    """Whole seconds in `Date` are enough, however the two clocks differ."""
    clock, now = ServiceClock(), 1e6
    for step in steps:
        now += step
        told = math.floor(now + 0.02 + off + 1.7e9)
        clock.note(told, now, now + 0.05)
    assert clock.known
    assert clock.offset == pytest.approx(off + 1.7e9, abs=1.1)


def test_a_clock_that_keeps_jumping_is_not_believed() -> None:
    """The phases are then those of the client's own clock."""
    clock = ServiceClock()
    for number, told in enumerate((1e9, 2e9, 1.5e9, 1.2e9, 1.9e9)):
        clock.note(told, float(number), number + 0.1)
    assert not clock.known
    assert clock.offset == 0.0


def test_a_clock_that_jumps_now_and_then_is_believed() -> None:
    """The machine sleeps for an hour, and the client's clock stands still."""
    clock = ServiceClock()
    for awake in range(0, 5000, 1000):
        clock.note(1e9 + awake * 4.6, float(awake), awake + 0.1)
        assert clock.known


def test_an_end_that_is_told_is_believed_only_within_what_was_seen() -> None:
    """`finishedAt` before the last poll that found it running, or in the future, says nothing."""
    clock = ServiceClock()
    for second in range(5):
        clock.note(1.8e9 + second, float(second), second + 0.01)
    learner = Learner(IMAGE, clock)
    for told in ([], [1.8e9 + 5.0], [1.8e9 + 500.0], [1.8e9 + 5.0, 1.8e9 + 33.0]):
        learner.note_end(learner.curve("m"), 0.0, 20.0, 40.0, told)
        since, until = learner.grid.intervals[-1]
        width = 1.0 if told[1:] else 20.0
        assert until - since == pytest.approx(width, abs=ROUNDING)


def test_models_past_the_first_few_share_a_curve() -> None:
    """Names without end cost no memory without end."""
    learner = new_learner(IMAGE)
    curves = {id(learner.curve(f"model {number}")) for number in range(500)}
    assert len(curves) <= 65
    assert learner.curve("one more") is learner.curve("another one")


def test_ages_past_the_first_thousand_share_no_memory() -> None:
    """Each age has a cohort, and only so many of them are kept."""
    curve = SurvivalCurve()
    first = curve.cohort(5.0)
    found = [curve.cohort(float(age)) for age in range(1500)]
    assert curve.cohort(5.0) is first
    assert found[-1].age == 1499.0
    assert curve.cohort(1499.0) is not found[-1]


def test_a_curve_of_many_thousand_ends_goes_on() -> None:
    """Weights that grow with each end are brought down again."""
    curve = SurvivalCurve()
    for _ in range(4700):
        curve.note_survival(0.0, 18.0)
        curve.note_end(18.0, 22.0)
    survival = curve.survival()
    assert survival is not None
    assert survival.at(15.0)[0] > 0.9
    assert survival.at(25.0)[0] < 0.1
    assert curve.samples < 400


def _forgotten(lives: list[float]) -> int:
    """Return how often a curve forgot, of tasks that were polled every second, one by one."""
    curve, forgotten = SurvivalCurve(), 0
    for life in lives:
        samples = curve.samples
        for age in range(int(life)):
            curve.note_survival(age, age + 1.0)
        curve.note_end(int(life), int(life) + 1.0)
        forgotten += curve.samples < samples / 2
    return forgotten


@pytest.mark.slow
def test_chance_makes_no_curve_forget() -> None:
    """One that forgets costs as many requests as at the start. It did once in 3,000 ends."""
    assert _forgotten([random.lognormvariate(3.0, 0.3) for _ in range(20_000)]) == 0


@pytest.mark.parametrize("times", [3.0, 1 / 3])
def test_a_curve_of_another_world_is_forgotten(times: float) -> None:
    before = [random.lognormvariate(3.0, 0.3) for _ in range(300)]
    after = [times * random.lognormvariate(3.0, 0.3) for _ in range(60)]
    assert _forgotten(before) == 0
    assert _forgotten(before + after) >= 1


def test_nothing_is_told_of_an_age_that_hardly_any_task_came_to() -> None:
    """Neither past the longest that was seen, nor where one in a hundred is left."""
    curve = SurvivalCurve()
    for number in range(1000):
        age = 100.0 if number == 900 else 10.0 + number % 10
        curve.note_survival(0.0, age)
        curve.note_end(age, age + 0.5)
    assert curve.quantiles(5.0, [0.5]) is not None
    assert curve.quantiles(60.0, [0.5]) is None
    assert curve.quantiles(500.0, [0.5]) is None


def test_only_a_curve_of_as_many_bins_is_taken_up() -> None:
    """What another version kept, with other bins, is no use."""
    curve = SurvivalCurve()
    for _ in range(100):
        curve.note_end(18.0, 22.0)
    state = curve.to_state()
    assert SurvivalCurve.from_state(state).samples == pytest.approx(curve.samples, abs=0.01)
    state.ends.append(1.0)
    assert SurvivalCurve.from_state(state).samples == 0


def test_where_only_early_ends_were_seen_videos_keep_to_the_backoff_on_the_grid() -> None:
    """Half of the tasks outlive all that was seen: that is no curve to plan by."""
    learner = new_learner(VIDEO)
    learner.grid = SweepGrid()
    learner.grid.period, learner.grid.anchor, learner.grid.lags = 30.0, 0.0, (0.0, 1.0, 2.0, 3.0)
    curve = learner.curve("m")
    for _ in range(60):
        curve.note_survival(0.0, 500.0)
    for _ in range(20):
        curve.note_end(28.0, 32.0)
    delays = [learner.delay(Cohort(curve, 0.0), 0.0, 10.0, 3) for _ in range(50)]
    assert all(0 < delay <= 60.0 for delay in delays)
    on_the_grid = [delay for delay in delays if 0 <= (10.0 + delay) % 30.0 <= 4.0]
    assert len(on_the_grid) >= 40


def test_wide_intervals_show_no_grid() -> None:
    """Any sweep is in them."""
    grid = SweepGrid()
    for number in range(200):
        grid.note(number * 7.0, number * 7.0 + 119.0, 0.0)
    assert grid.period is None


def test_rounds_come_after_the_sweep_and_not_before_it() -> None:
    """Between two sweeps nothing can end, whenever the last round was."""
    learner = new_learner(VIDEO)
    learner.grid.period, learner.grid.anchor, learner.grid.lags = 30.0, 0.0, (0.0, 1.0, 2.0, 3.0)
    moments = [learner.round_after(100.0 + n / 10, 2.0) for n in range(300)]
    assert all(moment > 100.0 for moment in moments)
    phases = [moment % 30.0 for moment in moments]
    assert sum(phase <= 6.0 for phase in phases) >= 240


def test_where_only_early_ends_were_seen_images_keep_to_the_backoff() -> None:
    """Half of the tasks outlive all that was seen."""
    learner = new_learner(IMAGE)
    curve = learner.curve("m")
    for _ in range(60):
        curve.note_survival(0.0, 100.0)
    for _ in range(20):
        curve.note_survival(0.0, 5.0)
        curve.note_end(5.0, 6.0)
    delays = [learner.delay(Cohort(curve, 0.0), 0.0, 20.0, 9) for _ in range(50)]
    assert all(8.0 <= delay <= 10.0 for delay in delays)


def test_a_memory_of_ages_alone_is_taken_up() -> None:
    """Where the service told no date, no moments of ends were kept."""
    curve = SurvivalCurve()
    curve.note_end(5.0, 6.0)
    learner = Learner(IMAGE, ServiceClock(), KindState({"m": curve.to_state()}))
    assert learner.learned().samples == {"m": 1}
    assert learner.learned().period is None


def test_nothing_is_told_where_many_outlive_all_that_was_seen() -> None:
    """They may take any time; of the earliest ends something can be said."""
    curve = SurvivalCurve()
    for number in range(200):
        curve.note_survival(0.0, 50.0 if number % 3 == 0 else 10.0)
        if number % 3:
            curve.note_end(10.0, 12.0)
    assert curve.quantiles(0.0, [0.05]) is not None
    assert curve.quantiles(0.0, [0.95]) is None
