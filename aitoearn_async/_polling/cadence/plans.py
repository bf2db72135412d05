"""The moments to ask about a task, by how long tasks live. Pure mathematics.

A poll at age `a_j`, after one at `a_i` that found the task running, costs one request with
probability `S_i`, the share of tasks that live to `a_i`; an end in between is noticed late by
what is left until `a_j`. With `A` the integral of `S`, the plan that costs least from `a_i` on is

    W_i = min over j of   S_i + price * (S_i * (a_j - a_i) - (A_j - A_i)) + W_j

The price is the one at which requests and delay shrink by the same share of what the backoff
would cost on the same curve; requests weigh a quarter more. Delays keep to the
backoff's fastest and slowest; a longer one needs ages at which next to nothing ends.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

import msgspec

from .schedule import wait_backoff

_MOST_LEFT_TO_BALANCE = 0.1
"""The share of the tasks that may outlive a curve, if a price is to be found by it."""
WEIGHT_OF_REQUESTS = 1.25
"""The weight of requests against delay, in the balance of the two."""
_NODES_A_DELAY = 4
_MOST_NODES = 400
"""Nodes in the slowest delay, and of a plan."""
_RARE = 0.05
"""Share of the running tasks that may end in a delay which is longer than the slowest."""
_STRETCH = 4.0
"""The longest delay, over the backoff's slowest."""


def mean_delay(backoff: wait_backoff, age: float) -> float:
    """Return the mean delay of a backoff at an age."""
    grown = backoff.initial + (backoff.factor - 1) * max(age, 0.0)
    return min(grown, backoff.maximum) * (1 - backoff.jitter / 2)


def shortest_delay(backoff: wait_backoff) -> float:
    """Return the fastest delay of a backoff."""
    return backoff.initial * (1 - backoff.jitter)


class Plan(msgspec.Struct, frozen=True):
    """The next poll for each age: at node `following[i]` after node `i`."""

    ages: Sequence[float]
    following: Sequence[int]
    requests: float
    """Polls of one task, as expected; the first one aside."""
    delay: float
    """Seconds by which its end is noticed late, as expected."""
    delays: Sequence[float] = ()
    """The delay after each node, if it is not simply the time to the following one."""

    def node_at(self, age: float) -> int:
        """Return the last node that is not past an age."""
        return max(bisect_right(self.ages, age) - 1, 0)

    def delay_at(self, age: float) -> float:
        """Return the delay after a poll at an age."""
        return self.delays[self.node_at(age)]


class SurvivalTable(msgspec.Struct, frozen=True):
    """The survival curve at nodes of age, and its integral up to each."""

    ages: Sequence[float]
    alive: Sequence[float]
    area: Sequence[float]

    @classmethod
    def of(cls, ages: Sequence[float], alive: Sequence[float]) -> SurvivalTable:
        """Return the curve through these points."""
        steps = [
            (ages[n + 1] - ages[n]) * (alive[n] + alive[n + 1]) / 2 for n in range(len(ages) - 1)
        ]
        return cls(ages, alive, list(accumulate(steps, initial=0.0)))

    def at(self, age: float) -> tuple[float, float]:
        """Return the share that still runs at an age, and the integral up to it."""
        if age >= self.ages[-1]:
            return self.alive[-1], self.area[-1] + (age - self.ages[-1]) * self.alive[-1]
        n = max(bisect_right(self.ages, age) - 1, 0)
        part = (age - self.ages[n]) / (self.ages[n + 1] - self.ages[n])
        alive = self.alive[n] + part * (self.alive[n + 1] - self.alive[n])
        return alive, self.area[n] + (age - self.ages[n]) * (self.alive[n] + alive) / 2


def solve(curve: SurvivalTable, backoff: wait_backoff, price: float) -> Plan:
    """Return the plan that minimises requests + price * delay.

    Args:
        curve: The survival curve; its last age is where the plan ends.
        backoff: The bounds of the delays.
        price: Requests that a second of delay is worth.
    """
    ages, alive, area = curve.ages, curve.alive, curve.area
    last = len(ages) - 1
    shortest, longest = shortest_delay(backoff), backoff.maximum
    # Past the last age the backoff goes on; what that costs is the same for every plan.
    cost = [0.0] * last + [alive[last]]
    following = [*range(1, last + 1), last]
    for i in range(last - 1, -1, -1):
        start, running, best = ages[i], alive[i], math.inf
        fewest = running * (1 - _RARE)
        for j in range(i + 1, last + 1):
            delay = ages[j] - start
            if delay < shortest and j < last:
                continue
            is_long = delay > longest and best < math.inf
            if is_long and (alive[j] < fewest or delay > _STRETCH * longest):
                break
            total = running + price * (running * delay - area[j] + area[i]) + cost[j]
            if total < best:
                best, following[i] = total, j
        cost[i] = best
    requests = delay = 0.0
    i = 0
    while i < last:
        j = following[i]
        requests += alive[i]
        delay += alive[i] * (ages[j] - ages[i]) - area[j] + area[i]
        i = j
    return Plan(ages, following, requests, delay)


def backoff_cost(curve: SurvivalTable, backoff: wait_backoff) -> tuple[float, float]:
    """Return the requests and the delay of one task under the backoff, as `solve` counts them."""
    age = requests = delay = 0.0
    running, area = curve.at(0.0)
    while age < curve.ages[-1]:
        step = mean_delay(backoff, age)
        requests += running
        alive, reached = curve.at(age + step)
        delay += running * step - reached + area
        age, running, area = age + step, alive, reached
    return requests, delay


def refined(curve: SurvivalTable, backoff: wait_backoff) -> SurvivalTable:
    """Return the curve with nodes close enough together to choose delays by."""
    step = max(backoff.maximum / _NODES_A_DELAY, curve.ages[-1] / _MOST_NODES)
    ages = [0.0]
    for edge in curve.ages[1:]:
        parts = math.ceil((edge - ages[-1]) / step)
        start, width = ages[-1], (edge - ages[-1]) / parts
        ages.extend(start + width * n for n in range(1, parts + 1))
    return SurvivalTable.of(ages, [curve.at(age)[0] for age in ages])


def balanced(curve: SurvivalTable, backoff: wait_backoff, price: float) -> tuple[Plan, float]:
    """Return the plan that saves the same share of requests and of delay, and its price.

    Where most of the tasks outlive the curve there is no telling what they will cost, so no
    price is found, but the usual one is taken.
    """
    if curve.alive[-1] > _MOST_LEFT_TO_BALANCE:
        price = 1 / backoff.initial
        return solve(curve, backoff, price), price
    requests, delay = backoff_cost(curve, backoff)
    best: tuple[float, Plan, float] | None = None
    for _ in range(6):
        plan = solve(curve, backoff, price)
        spent = WEIGHT_OF_REQUESTS * (1 + plan.requests) / (1 + requests)
        late = plan.delay / delay
        if best is None or max(spent, late) < best[0]:
            best = max(spent, late), plan, price
        off = late / spent
        if 0.93 < off < 1.08:
            break
        # Halving the delays doubles the one and halves the other: that is the error in the price.
        price = min(max(price * min(max(off, 0.2), 5.0), 0.005), 10.0)
    assert best is not None
    return best[1:]
