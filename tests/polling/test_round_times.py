"""When rounds come, and what is kept of the words of their pages: by moments alone."""

from __future__ import annotations

import math

import pytest

from aitoearn_async import ImageRef
from aitoearn_async._polling.cadence.round_times import RoundTimes
from aitoearn_async._polling.rounds.page_reports import PageReports

from .worlds import IMAGE, new_learner

REF = ImageRef("66" * 12)
NOW = 1000.0


@pytest.fixture
def times() -> RoundTimes:
    """Nothing is known of when such tasks end; a single wait is polled each ten seconds at most."""
    return RoundTimes(new_learner(IMAGE))


def over(times: RoundTimes, *, busy: float, searched: float) -> bool:
    return times.note_over(NOW, busy=busy, searched=searched, parked=10)


def test_the_first_round_waits_for_those_that_come_with_the_first(times: RoundTimes) -> None:
    """Until none has come for half a second; but for three seconds at most."""
    times.note_newcomer(NOW)
    assert times.gathering_ends() == NOW + 0.5
    for n in range(1, 20):
        times.note_newcomer(NOW + n * 0.4)
    assert times.gathering_ends() == NOW + 3.0


def test_later_rounds_gather_nobody(times: RoundTimes) -> None:
    """Their pages are not far off anyway."""
    over(times, busy=0.1, searched=0.1)
    assert times.note_newcomer(NOW + 5) == NOW + 5.5
    assert times.gathering_ends() == -math.inf


def test_one_failed_round_is_followed_by_another_and_two_by_a_rest(times: RoundTimes) -> None:
    assert times.note_failure(NOW)
    assert times.is_failing
    assert not times.note_failure(NOW)
    assert NOW < times.rests_until < NOW + 60


def test_a_round_whose_pages_came_makes_up_for_a_failed_one(times: RoundTimes) -> None:
    times.note_failure(NOW)
    times.note_pages()
    assert not times.is_failing
    assert times.note_failure(NOW)


def test_pages_come_whole_each_half_of_the_slowest_delay(times: RoundTimes) -> None:
    """Or sooner, where an end should have been on a page that was "unchanged"."""
    assert times.wants_whole(NOW)
    assert not times.wants_whole(NOW + 4.9)
    times.note_missed(1.0)
    assert times.wants_whole(NOW + 4.9)
    assert not times.wants_whole(NOW + 5.0)
    assert times.wants_whole(NOW + 9.9)


def test_rounds_that_find_no_end_come_more_seldom(times: RoundTimes) -> None:
    """Up to a third of the slowest delay of a single wait; after a wrong page they come soon."""
    for _ in range(20):
        times.note_found(any_end=False)
    seldom = times.next_round(NOW, 1000, 1)
    times.note_contradiction()
    soon = times.next_round(NOW, 1000, 1)
    assert NOW + 1.7 <= soon <= NOW + 2.0 < NOW + 0.85 * 10 / 3 <= seldom <= NOW + 10 / 3


def test_the_service_is_left_alone_in_proportion_to_what_pages_cost_it() -> None:
    """By twenty times that, up to the slowest delay of a single wait; by a second at least."""
    for busy, rest in ((0.2, 4.0), (2.0, 8.0), (30.0, 1.0)):
        fresh = RoundTimes(new_learner(IMAGE))
        over(fresh, busy=busy, searched=0.1)
        assert fresh.next_round(NOW, 10_000, 1) >= NOW + rest
        assert fresh.next_round(NOW, 10_000, 1) <= NOW + max(rest, 2.0)


def test_single_polls_go_on_where_pages_are_slow_twice(times: RoundTimes) -> None:
    """The first time smaller pages may do."""
    assert not over(times, busy=6.0, searched=6.0)
    assert over(times, busy=6.0, searched=6.0)
    assert not over(times, busy=6.0, searched=0.1)


def test_a_task_on_no_page_is_looked_for_again_each_time_after_twice_as_long() -> None:
    reports = PageReports()
    for seconds in (60.0, 120.0, 240.0):
        reports.note_unlisted(REF, NOW)
        assert reports.is_beyond(REF, NOW + seconds - 0.1)
        assert not reports.is_beyond(REF, NOW + seconds)


def test_a_task_that_runs_on_refutes_its_page_for_good() -> None:
    reports = PageReports()
    assert not reports.note_running(REF)
    reports.note_end(REF, "success")
    assert reports.note_running(REF)
    assert REF not in reports
    assert reports.is_beyond(REF, NOW + 1e9)


def test_the_word_of_a_page_that_came_during_a_poll_is_for_when_that_fails() -> None:
    reports = PageReports()
    reports.overhear(REF, "success")
    assert REF not in reports
    assert reports.end_of(REF) is reports.end_of(REF) is not None
    assert reports.forget(REF, has_ended=False)
    assert reports.end_of(REF) is None
