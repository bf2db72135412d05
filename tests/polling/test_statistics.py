"""The gauge: polls a second and lag, at any moment."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aitoearn_async._polling.batch.statistics import PollMeter


def test_nothing_yet() -> None:
    """Before the first poll all is nought, and asking changes nothing."""
    gauge = PollMeter()
    assert (gauge.per_second(5.0), gauge.lag, gauge.polls, gauge.unchanged) == (0, 0, 0, 0)
    for number in range(100):
        gauge.note(1000 + number / 100, 0.0, unchanged=False)
    assert gauge.per_second(1001.0) == pytest.approx(100, rel=0.02)


@given(
    start=st.floats(0, 1e6),
    rate=st.integers(2, 200),
    seconds=st.floats(3, 40),
)
@settings(derandomize=True)
def test_a_steady_rate_is_told_as_it_is(start: float, rate: int, seconds: float) -> None:
    """Polls at an even rate come out as that rate, at whatever moment one looks."""
    gauge = PollMeter()
    for number in range(int(seconds * rate)):
        gauge.note(start + number / rate, 0.0, unchanged=False)
    shown = gauge.per_second(start + int(seconds * rate) / rate)
    # One poll more or less at either end of what it looks at.
    assert shown == pytest.approx(rate, abs=2 / min(seconds - 1, 7) + 0.01)


@given(st.lists(st.tuples(st.floats(0, 5), st.booleans()), max_size=200))
@settings(derandomize=True)
def test_it_never_tells_of_more_than_there_was(polls: list[tuple[float, bool]]) -> None:
    """At any moment it says no more than the last eight seconds held, and all of the total."""
    gauge = PollMeter()
    now, moments = 0.0, []
    for gap, unchanged in polls:
        now += gap
        moments.append(now)
        gauge.note(now, gap, unchanged=unchanged)
        recent = sum(now - moment <= 8 for moment in moments)
        assert 1 / 8 <= gauge.per_second(now) <= recent
    assert gauge.polls == len(polls)
    assert gauge.unchanged == sum(unchanged for _, unchanged in polls)


def test_what_is_long_ago_counts_no_more() -> None:
    """After eight quiet seconds the rate is nought, and after a pause it starts afresh."""
    gauge = PollMeter()
    for number in range(1000):
        gauge.note(number / 100, 0.0, unchanged=True)
    assert gauge.per_second(10.0) == pytest.approx(100, rel=0.02)
    assert 0 < gauge.per_second(14.5) < 60
    assert gauge.per_second(18.0) == 0
    assert gauge.per_second(5000.0) == 0
    gauge.note(5000.0, 0.0, unchanged=True)
    assert 0 < gauge.per_second(5000.0) < 1
    assert (gauge.polls, gauge.unchanged) == (1001, 1001)


def test_the_lag_follows() -> None:
    """It comes near a lag that lasts, forgets one that is over, and is never below nought."""
    gauge = PollMeter()
    for number in range(100):
        gauge.note(number, 8.0, unchanged=False)
    assert gauge.lag == pytest.approx(8, rel=0.02)
    for number in range(200):
        gauge.note(100 + number, -1.0, unchanged=False)
    assert 0 <= gauge.lag < 0.01
