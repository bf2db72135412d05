"""The pace after trouble: plain arithmetic."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitoearn_async._resilience.ramp import Ramp, UsualRate, after_complaint, after_outage

START = 1000.0


def rate(ramp: Ramp, after: float) -> float:
    return 1 / ramp.interval(START + after)


def usual(per_second: float, seconds: float) -> float:
    """The rate measured of an even stream."""
    measured = UsualRate()
    for number in range(int(per_second * seconds) + 1):
        measured.note(START + number / per_second)
    return measured.last()


@pytest.mark.parametrize("per_second", [1, 100, 1000])
@pytest.mark.parametrize("seconds", [2, 10, 60, 300])
def test_an_even_stream_is_measured_as_it_is(per_second: float, seconds: float) -> None:
    """From its first seconds on; a short one no more wrongly than by the answer it begins with."""
    assert usual(per_second, seconds) == pytest.approx(
        per_second, rel=0.01 + 1.1 / (per_second * seconds), abs=0.03
    )


def test_nothing_is_known_of_no_answers_or_one() -> None:
    measured = UsualRate()
    assert measured.last() == 0
    measured.note(START)
    assert measured.last() == 0


def test_two_answers_are_a_rate() -> None:
    measured = UsualRate()
    measured.note(START)
    measured.note(START + 1)
    assert measured.last() == pytest.approx(2, abs=0.01)


def test_a_few_that_come_together_are_no_great_rate() -> None:
    measured = UsualRate()
    for number in range(20):
        measured.note(START + number / 10_000)
    assert measured.last() == pytest.approx(20, rel=0.05)


def test_the_rate_is_that_of_the_last_answer_however_long_ago() -> None:
    """An outage does not wear it off; a long lull before an answer does."""
    measured = UsualRate()
    for number in range(1000):
        measured.note(START + number / 100)
    before = measured.last()
    measured.note(START + 500)
    assert before == pytest.approx(100, rel=0.02)
    assert measured.last() < 0.1 * before


def test_it_doubles_every_half_second_up_to_a_fifth_more_than_usual() -> None:
    ramp = after_outage(START, 1000)
    assert rate(ramp, 0) == pytest.approx(120)
    assert rate(ramp, 0.5) == pytest.approx(240)
    assert rate(ramp, 1) == pytest.approx(480)
    for after in (2, 10, 60):
        assert rate(ramp, after) == pytest.approx(1200)
    assert rate(ramp, 80) == pytest.approx(2400), "still felt after a minute: more is to do"


def test_a_rate_that_was_low_says_nothing_of_what_is_to_come() -> None:
    """Tasks that came while the service was down are not held to what there was before."""
    for before in (0, 1, 19.9):
        ramp = after_outage(START, before)
        assert rate(ramp, 0) == pytest.approx(20)
        assert rate(ramp, 3) == pytest.approx(1280)
        assert rate(ramp, 1e6) > 1e9
    assert rate(after_outage(START, 20), 50) == pytest.approx(24)


def test_after_a_complaint_it_is_half_of_what_was_too_much() -> None:
    for before in (10, 100, 1000):
        ramp = after_complaint(START, before)
        assert rate(ramp, 10) == pytest.approx(before / 2)
        assert rate(ramp, 50) == pytest.approx(before / 2 * 4)
    assert rate(after_complaint(START, 0), 10) == pytest.approx(10), "when nothing is known"
    assert rate(after_complaint(START, 0.1), 10) == pytest.approx(5), "it does not come to a halt"


def test_one_that_is_to_begin_later_is_no_slower_before() -> None:
    """Somebody may ask for the interval while the service still wants to be left alone."""
    ramp = after_complaint(START + 300, 100)
    assert rate(ramp, 0) == pytest.approx(rate(ramp, 300))


def test_it_is_over_when_no_requests_have_crowded_for_a_second() -> None:
    ramp = after_outage(START, 1000)
    assert not ramp.is_over(START + 0.9, -math.inf)
    assert ramp.is_over(START + 1.1, -math.inf)
    assert not ramp.is_over(START + 10, crowded_at=START + 9.5)
    assert ramp.is_over(START + 10, crowded_at=START + 8.9)
    assert not ramp.is_over(START - 5, -math.inf), "one that begins after a pause"


@given(before=st.floats(0, 1e6), ages=st.lists(st.floats(-1e3, 1e7), min_size=2, max_size=5))
def test_it_only_gets_faster(before: float, ages: list[float]) -> None:
    for ramp in (after_outage(START, before), after_complaint(START, before)):
        intervals = [ramp.interval(START + age) for age in sorted(ages)]
        assert all(0 <= interval <= 0.2 for interval in intervals)
        assert intervals == sorted(intervals, reverse=True)
