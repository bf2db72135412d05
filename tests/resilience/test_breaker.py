"""The breaker: what opens it, who goes out meanwhile, and what closes it. Values, no clock."""

from __future__ import annotations

import math
import random
from itertools import cycle, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitoearn_async import BreakerState
from aitoearn_async._resilience.breaker import Breaker

START = 1000.0


def admitted(breaker: Breaker, now: float) -> int | None:
    """The generation of a request that goes out; None where it is held."""
    if not breaker.is_due(now):
        return None
    breaker.admit(now)
    return breaker.generation


def open_breaker(at: float = START) -> Breaker:
    """One that has just seen twenty connections refused."""
    breaker = Breaker()
    opened = [breaker.record_failure(0, None, at) for _ in range(20)]
    assert opened == [False] * 19 + [True]
    assert breaker.state is BreakerState.OPEN
    return breaker


def next_probe(breaker: Breaker, now: float) -> tuple[float, int]:
    """When the next probe may go, to 10 ms, and its generation."""
    while (generation := admitted(breaker, now)) is None:
        now += 0.01
    return now, generation


def recovering_breaker() -> tuple[Breaker, float, int]:
    breaker = open_breaker()
    now, generation = next_probe(breaker, START)
    assert breaker.record_success(generation)
    after = admitted(breaker, now)
    assert after is not None
    return breaker, now, after


def test_all_go_while_it_is_closed() -> None:
    breaker = Breaker()
    assert breaker.state is BreakerState.CLOSED
    assert {admitted(breaker, START + n) for n in range(100)} == {0}
    assert breaker.outages == 0


@pytest.mark.parametrize("tasks", [5, 20, 1000])
def test_twenty_failures_in_a_row_open_it(tasks: int) -> None:
    """Of five tasks or more; and it says so once."""
    breaker = Breaker()
    names = cycle([f"task {number}" for number in range(tasks)])
    opened = [breaker.record_failure(0, next(names), START) for _ in range(20)]
    assert opened == [False] * 19 + [True]
    assert (breaker.outages, breaker.since) == (1, START)


def test_nineteen_do_not() -> None:
    breaker = Breaker()
    for _ in range(50):
        assert not any(breaker.record_failure(0, None, START) for _ in range(19))
        assert not breaker.record_success(0)
    assert breaker.state is BreakerState.CLOSED


@pytest.mark.parametrize("tasks", [1, 2, 4])
def test_a_few_tasks_do_not_speak_for_the_service(tasks: int) -> None:
    """Poisoned ones can fail for ever; the others still go out."""
    breaker = Breaker()
    for number in range(10_000):
        assert not breaker.record_failure(0, f"task {number % tasks}", START)
    assert breaker.state is BreakerState.CLOSED
    # What they have used up is theirs alone: the others' failures count in full.
    opened = [
        breaker.record_failure(0, f"other {number}", START) for number in range(20 - 4 * tasks)
    ]
    assert opened[-1]


def test_connections_speak_for_the_service_whoever_wanted_them() -> None:
    breaker = Breaker()
    assert any(breaker.record_failure(0, None, START) for _ in range(20))


def test_one_in_a_hundred_never_opens_it() -> None:
    """A million answers, one in a hundred of them bad; and so for one in ten."""
    draw = random.Random(7)
    for share in (0.01, 0.1):
        breaker = Breaker()
        for number in range(200_000):
            if draw.random() < share:
                assert not breaker.record_failure(0, f"task {number}", START)
            else:
                breaker.record_success(0)


def test_only_probes_go_while_it_is_open() -> None:
    """The first after about a second; then one every two, however many ask."""
    breaker = open_breaker()
    now, moments = START, []
    while now < START + 60:
        generation = admitted(breaker, now)
        if generation is not None:
            moments.append(now)
            assert not breaker.record_failure(generation, None, now)
        now += 0.001
    assert START + 0.75 <= moments[0] <= START + 1.26
    gaps = [after - before for before, after in pairwise(moments)]
    assert all(0.75 <= gap <= 2.51 for gap in gaps)
    assert max(gaps[5:]) - min(gaps[5:]) > 0.2, "at random, so that clients do not march in step"
    assert 25 <= len(moments) <= 45


def test_no_two_clients_probe_in_step() -> None:
    """A quarter more or less of a second before the first probe, of two between later ones."""
    first: list[float] = []
    later: list[float] = []
    for _ in range(200):
        breaker = open_breaker()
        now = START
        for number in range(5):
            probed, generation = next_probe(breaker, now)
            assert not breaker.record_failure(generation, None, probed)
            if number in (0, 4):
                (later if number else first).append(probed - now)
            now = probed
    assert 0.75 <= min(first) < 0.79
    assert 1.21 < max(first) <= 1.26
    assert 1.5 <= min(later) < 1.58
    assert 2.42 < max(later) <= 2.51


def test_probes_that_hang_are_few() -> None:
    """Five under way at most; until one is heard of, or a minute has passed."""
    breaker = open_breaker()
    now, settings = START, []
    while now < START + 50:
        if (generation := admitted(breaker, now)) is not None:
            settings.append(generation)
        now += 0.1
    assert len(settings) == 5
    breaker.record_ignored(settings[0])
    now = START + 60  # a whole number, so that a minute from now is one
    assert admitted(breaker, now) is not None
    assert admitted(breaker, now + 59) is None
    assert admitted(breaker, now + 60) is not None, "one that was never heard of again"


def test_each_probe_heard_of_makes_room_for_one() -> None:
    """Failed or cancelled; and what was sent before the outage makes none."""
    breaker = open_breaker()
    now, settings = START, []

    def probes() -> int:
        nonlocal now
        count = 0
        for _ in range(10):
            now += 3
            if (generation := admitted(breaker, now)) is not None:
                settings.append(generation)
                count += 1
        return count

    assert probes() == 5
    breaker.record_failure(settings[0], None, now)
    assert probes() == 1
    breaker.record_ignored(settings[0])
    assert probes() == 1
    breaker.record_ignored(0)
    assert probes() == 0


def test_before_the_first_outage_there_is_no_moment_of_one() -> None:
    assert math.isnan(Breaker().since)


def test_an_answered_probe_lets_all_go() -> None:
    breaker = open_breaker()
    now, generation = next_probe(breaker, START)
    assert breaker.generation == generation != 0
    assert breaker.record_success(generation)
    assert breaker.state is BreakerState.RECOVERING
    assert all(admitted(breaker, now) is not None for _ in range(100))
    breaker.recovered()
    assert breaker.state.value == "closed"
    assert breaker.outages == 1


def test_late_answers_of_before_count_for_nothing() -> None:
    """Good or bad: what was sent in an earlier state says nothing of this one."""
    breaker = open_breaker()
    assert not breaker.record_success(0)
    assert breaker.state is BreakerState.OPEN
    now, generation = next_probe(breaker, START)
    assert breaker.record_success(generation)
    assert not any(
        breaker.record_failure(old, None, now) for old in (0, generation) for _ in range(100)
    )
    assert breaker.state.value == "recovering"
    assert not breaker.record_success(generation)


def test_five_failures_open_it_again_before_it_is_well() -> None:
    """It is the same outage still."""
    breaker, now, generation = recovering_breaker()
    assert [breaker.record_failure(generation, f"task {n}", now) for n in range(5)] == [
        False
    ] * 4 + [True]
    assert breaker.state is BreakerState.OPEN
    assert (breaker.outages, breaker.since) == (1, START)
    assert next_probe(breaker, now)[0] > now + 0.5


def test_good_answers_between_keep_it_recovering() -> None:
    breaker, now, generation = recovering_breaker()
    for _ in range(100):
        assert not any(breaker.record_failure(generation, None, now) for _ in range(4))
        breaker.record_success(generation)
    assert breaker.state is BreakerState.RECOVERING


def test_a_second_outage_is_a_second_one() -> None:
    breaker, now, _ = recovering_breaker()
    breaker.recovered()
    generation = admitted(breaker, now)
    assert generation is not None
    assert any(breaker.record_failure(generation, None, now + 5) for _ in range(20))
    assert (breaker.outages, breaker.since) == (2, now + 5)


def test_recovered_means_nothing_in_other_states() -> None:
    breaker = Breaker()
    breaker.recovered()
    assert breaker.state is BreakerState.CLOSED
    breaker = open_breaker()
    breaker.recovered()
    assert breaker.state is BreakerState.OPEN


@given(
    events=st.lists(
        st.tuples(
            st.sampled_from(["admit", "good", "bad", "bad", "bad", "neither"]), st.floats(0, 3)
        ),
        max_size=300,
    ),
    data=st.data(),
)
def test_it_always_finds_back(events: list[tuple[str, float]], data: st.DataObject) -> None:
    """Whatever happened, a minute later somebody may go, and a good answer to him is believed."""
    breaker, now, settings = Breaker(), START, [0]
    for what, seconds in events:
        now += seconds
        generation = data.draw(st.sampled_from(settings[-5:]))
        if what == "admit":
            if (current := admitted(breaker, now)) is not None:
                settings.append(current)
        elif what == "good":
            breaker.record_success(generation)
        elif what == "bad":
            breaker.record_failure(generation, None, now)
        else:
            breaker.record_ignored(generation)
    last = admitted(breaker, now + 60)
    assert last is not None
    breaker.record_success(last)
    assert breaker.state is not BreakerState.OPEN
