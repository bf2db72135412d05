"""The delays: our own strategy, and tenacity's."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
import tenacity
from hypothesis import given
from hypothesis import strategies as st

from aitoearn_async import wait_backoff
from aitoearn_async._polling.cadence.schedule import StartStagger, cadence, delay_after

GAP = 0.001


def after(wait: Any, polls: int = 1, outcome: object = None) -> float:
    return delay_after(wait, polls=polls, started=100.0, now=103.5, outcome=outcome)


@pytest.mark.parametrize(
    ("kind", "first", "longest"), [("image", 1, 10), ("video", 5, 30), ("song", 2, 30)]
)
def test_each_kind_has_its_cadence(kind: str, first: float, longest: float) -> None:
    """Images begin at 1 s and slow down to 10 s, videos at 5 s and to 30 s; grown by half."""
    delays = [[after(cadence(kind), polls) for _ in range(200)] for polls in range(1, 60)]
    for n, some in enumerate(delays):
        full = min(first * 1.5**n, longest)
        assert 0.8 * full <= min(some) < 0.85 * full, "jitter on every delay"
        assert 0.95 * full < max(some) <= full
    assert max(delays[-1]) <= longest


@given(
    st.floats(0, 1e6), st.floats(1, 1e3), st.floats(0, 1e6), st.floats(0, 1), st.integers(1, 10**6)
)
def test_a_delay_stays_in_its_bounds(
    initial: float, factor: float, maximum: float, jitter: float, polls: int
) -> None:
    """No number of polls leads outside [0, maximum], nor to an overflow."""
    assert 0 <= wait_backoff(initial, factor, maximum, jitter=jitter).after(polls) <= maximum


@pytest.mark.parametrize(
    "arguments",
    [
        {"initial": -1},
        {"initial": math.nan},
        {"initial": math.inf},
        pytest.param({"initial": 10**400}, id="huge initial"),
        {"initial": 1, "factor": 0.5},
        pytest.param({"initial": 1, "factor": 10**400}, id="huge factor"),
        {"initial": 1, "maximum": math.inf},
        {"initial": 1, "maximum": -1},
        pytest.param({"initial": 1, "maximum": 10**400}, id="huge maximum"),
        {"initial": 1, "jitter": 1.1},
        {"initial": 1, "jitter": math.nan},
    ],
    ids=str,
)
def test_numbers_out_of_range_are_refused(arguments: dict[str, float]) -> None:
    """A backoff that cannot be is refused where it is made."""
    with pytest.raises(ValueError, match="="):
        wait_backoff(**arguments)


@pytest.mark.parametrize(("initial", "delay"), [(0, 0.0), (1, 30.0)])
def test_a_delay_after_any_number_of_polls_is_told_at_once(initial: int, delay: float) -> None:
    """Where nothing grows, nothing is what it stays."""
    backoff = wait_backoff(initial, 10, jitter=0)
    assert [backoff.after(polls) for polls in (20, 10**4, 10**12, 10**400)] == [delay] * 4


def test_tenacitys_strategies_compose() -> None:
    """Any tenacity strategy works, and ours adds to them."""
    assert after(tenacity.wait_fixed(7)) == 7
    assert after(tenacity.wait_incrementing(1, 2), polls=3) == 5
    assert after(tenacity.wait_chain(*map(tenacity.wait_fixed, (3, 5, 9))), polls=2) == 5
    assert after(wait_backoff(2, jitter=0) + tenacity.wait_fixed(1)) == 3
    assert after(wait_backoff(2, 1.5, jitter=0) + tenacity.wait_fixed(1), polls=2) == 4


def test_a_strategy_sees_the_whole_state() -> None:
    """It is told the attempt, the seconds since the first poll, and what the poll came to."""
    seen: list[Any] = []

    def strategy(state: tenacity.RetryCallState) -> float:
        assert state.outcome is not None
        result = state.outcome.exception() or state.outcome.result()
        seen.append((state.attempt_number, state.seconds_since_start, result))
        return 1

    error = RuntimeError("lost")
    after(strategy, polls=4, outcome="a task")
    after(strategy, polls=5, outcome=error)
    assert seen == [(4, 3.5, "a task"), (5, 3.5, error)]


def test_a_strategy_finds_all_that_a_state_has() -> None:
    """Of a call there is none, but what stands in its place is of the type that is expected."""

    def strategy(state: tenacity.RetryCallState) -> float:
        assert isinstance(state.retry_object, tenacity.Retrying)
        assert (state.fn, state.args, state.kwargs) == (None, (), {})
        return 3

    assert after(strategy) == 3


@pytest.mark.parametrize(
    "delay", [-1, math.nan, math.inf, pytest.param(10**400, id="huge"), "1", None]
)
def test_a_strategy_that_says_no_delay_is_named(delay: Any) -> None:
    """A strategy that returns nonsense is an error that shows it."""
    with pytest.raises(ValueError, match=r"wait strategy .*returned"):
        after(lambda state: delay)


def test_the_backoff_that_is_meant_unless_said_otherwise() -> None:
    """Half as much again each time, up to half a minute, a fifth of it left to chance."""
    backoff = wait_backoff(2)
    assert (backoff.factor, backoff.maximum, backoff.jitter) == (1.5, 30.0, 0.2)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"initial": -1}, "initial= and maximum= are seconds, 0 or more"),
        ({"initial": math.inf}, "initial= and maximum= are seconds, 0 or more"),
        ({"initial": 1, "maximum": math.inf}, "initial= and maximum= are seconds, 0 or more"),
        ({"initial": 1, "factor": 0.9}, "factor= is 1 or more"),
        ({"initial": 1, "factor": math.inf}, "factor= is 1 or more"),
        ({"initial": 1, "jitter": 1.1}, "jitter= is a share, from 0 to 1"),
    ],
)
def test_numbers_out_of_range_are_named(numbers: dict[str, float], message: str) -> None:
    """The message says which, and what it may be."""
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        wait_backoff(**numbers)


def test_first_polls_are_spread_out() -> None:
    """One after the other, each at its own time; anywhere in the next ten seconds beyond that."""
    spread = StartStagger()
    moments = [spread.next(100.0) for _ in range(11_000)]
    assert moments[:3] == pytest.approx([100.0, 100.0 + GAP, 100.0 + 2 * GAP])
    queued = int(10 / GAP)
    assert moments[:queued] == pytest.approx([100.0 + GAP * n for n in range(queued)])
    late = moments[queued + 1 :]
    assert 100 <= min(late) < 101
    assert 109 < max(late) < 110
    assert spread.next(1000.0) == 1000.0, "what was long ago keeps nobody waiting"
