"""Shares of refs and of a rate: pure decisions, for any members."""

from __future__ import annotations

import math

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from aitoearn_async.fleet.ledger import Kind, Member
from aitoearn_async.fleet.sharing import (
    allowance,
    excess,
    fleet_rate,
    rate_target,
    report_with_grant,
)

RATES = st.none() | st.floats(0.1, 500.0)


def worker(number: int, held: int = 0, **facts: object) -> Member:
    return msgspec.convert({"id": number, "kind": 0, "held": held, "open": True, **facts}, Member)


def test_one_that_is_alone_takes_all() -> None:
    """Up to its room, and to what one call takes."""
    assert allowance(worker(1), [worker(1)], 100, 100) == 100
    assert allowance(worker(1), [worker(1)], 2_000, 100_000) == 1_000
    assert allowance(worker(1), [worker(1)], 2_000, 0) == 0
    assert excess(worker(1, 100_000), []) == 0


def test_readers_and_those_who_want_no_more_are_not_reckoned_with() -> None:
    """A worker that is full does not hold the others back."""
    others = [worker(2, 10, open=False), Member(id=3, kind=Kind.READER)]
    assert allowance(worker(1, 5_000), others, 2_000, 3_000) == 1_000
    assert excess(worker(1, 5_000), others) == 0


@given(st.lists(st.integers(0, 3_000), min_size=2, max_size=8), st.integers(0, 3_000))
def test_shares_stay_even_while_all_are_taken(held: list[int], waiting: int) -> None:
    """Whoever takes when: nobody takes what brings it above 1.3 times its share of all, and 10."""
    workers = [worker(number, count) for number, count in enumerate(held, 1)]
    mean = (sum(held) + waiting) / len(workers)
    while waiting:
        took = 0
        for each in workers:
            count = min(allowance(each, workers, min(waiting, 2_000), 100_000), waiting)
            took, waiting = took + count, waiting - count
            each.held += count
            assert not count or each.held <= max(1.3 * mean, mean + 11)
        assert took, "nobody may take what waits"


@given(st.permutations(range(6)), st.integers(0, 2_000))
def test_those_who_begin_together_take_their_shares(order: list[int], waiting: int) -> None:
    """In whatever order, and in one call each: nobody waits to see what the others have."""
    workers = [worker(number) for number in order]
    share = math.ceil(waiting / len(workers))
    for each in workers:
        each.held = min(allowance(each, workers, waiting, 100_000), waiting)
        waiting -= each.held
    assert waiting == 0
    assert max(each.held for each in workers) <= share + 10


@given(st.lists(st.integers(0, 100_000), min_size=2, max_size=8))
def test_what_is_handed_over_evens_out(held: list[int]) -> None:
    """When each has handed over its excess and the others have taken it, nobody has too much."""
    workers = [worker(number, count) for number, count in enumerate(held, 1)]
    total = sum(held)
    for _ in range(20):
        pool = 0
        for each in workers:
            count = excess(each, workers)
            each.held, pool = each.held - count, pool + count
        while pool:
            for each in sorted(workers, key=lambda one: one.held):
                count = min(allowance(each, workers, min(pool, 2_000), 100_000), pool)
                each.held, pool = each.held + count, pool - count
    assert sum(each.held for each in workers) == total
    mean = total / len(workers)
    assert max(each.held for each in workers) <= max(1.3 * mean, mean + 11)


@given(RATES, st.lists(RATES, min_size=1, max_size=6))
def test_the_lowest_rate_holds(first: float | None, others: list[float | None]) -> None:
    """A member without a rate does not lift that of the others."""
    members = [worker(number, rate=rate) for number, rate in enumerate([first, *others])]
    given_rates = [rate for rate in (first, *others) if rate is not None]
    assert fleet_rate(members) == min(given_rates, default=None)


@given(st.floats(0.1, 500.0), st.integers(1, 30))
def test_targets_are_whole_and_add_up_to_the_rate(rate: float, count: int) -> None:
    """So that in no second more requests begin than the rate."""
    workers = [worker(number, rate=rate) for number in range(count)]
    targets = [rate_target(each, workers) for each in workers]
    shares = [target for target in targets if target is not None]
    assert len(shares) == count
    if rate < 1:
        assert sorted(shares)[:-1] == [0.0] * (count - 1)
        assert sum(shares) == rate
    else:
        assert all(share == int(share) for share in shares)
        assert sum(shares) == int(rate)
        assert max(shares) - min(shares) <= 1


@settings(max_examples=200)
@given(
    st.floats(1.0, 100.0),
    st.lists(st.tuples(st.sampled_from("jlbx"), st.integers(0, 7)), max_size=60),
)
def test_the_shares_in_use_never_exceed_the_rate(
    rate: float, events: list[tuple[str, int]]
) -> None:
    """Members join, leave, beat, and beat without hearing the answer, in any order."""
    known: dict[int, Member] = {}  # as the engine has them
    using: dict[int, float] = {}
    for event, number in events:
        if event == "j" and number not in known:
            known[number], using[number] = worker(number, rate=rate), 0.0
        elif event == "l":
            known.pop(number, None)
            using.pop(number, None)
        elif number in known:
            me = worker(number, rate=rate, grant=using[number])
            target = rate_target(me, [*known.values()]) or 0.0
            if target < using[number]:
                using[number] = target  # slower first, and then said so
                me.grant = target
            known[number] = report_with_grant(me, [*known.values()])
            if event == "b":
                using[number] = known[number].grant
        assert sum(using.values()) <= rate
        assert all(using[each] <= known[each].grant for each in using)
