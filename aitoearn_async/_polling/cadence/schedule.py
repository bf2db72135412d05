"""The delays between polls: each rule for one is here, or named here.

    after a poll                      as the wait strategy says: `delay_after`
    the same, once ends were seen     as `rhythm` says
    while trouble is the first thing  a strategy's or less: `FIRST_TROUBLE`
    while the service is down         the same: `HELD_BACK`
    where the service asks for it     that, and a little more: `longer`, beside the verdict
    the first polls of many           one after another: `StartStagger`
    a round of pages                  as `round_times` says

A strategy is any callable of a `tenacity.RetryCallState`; users bring their own or compose
tenacity's. A deadline can bring a poll forward: that is in `step`.
"""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Callable
from typing import Any

import tenacity
from tenacity.wait import wait_base

FIRST_TROUBLE = 2.0
"""Seconds between two polls, at most, while there is trouble and has been no good answer."""
HELD_BACK = 30.0
"""Seconds, at most, until a poll that was not sent, because the service is down, is tried again."""
_FIRST_POLLS_PER_SECOND = 1000
_LONGEST_SPREAD = 10.0
"""Seconds within which each ref gets its first poll, however many there are."""

WaitStrategy = wait_base | Callable[[tenacity.RetryCallState], float]
"""The type of `wait=`: any tenacity wait strategy."""


class wait_backoff(wait_base):
    """Exponential backoff with jitter on every delay, the longest ones too.

    The n-th delay lies between `1 - jitter` and 1 times `min(initial * factor**(n-1), maximum)`.
    Composes with tenacity's own strategies: `wait_backoff(1, 1.5, 10) + wait_fixed(2)`.

    Args:
        initial: The first delay, in seconds.
        factor: How much longer each next one is.
        maximum: The longest delay, in seconds.
        jitter: The share of a delay that is left to chance, 0 to 1. It keeps tasks that
            started together from being polled together.

    Raises:
        ValueError: A number out of its range.
    """

    def __init__(
        self, initial: float, factor: float = 1.5, maximum: float = 30.0, *, jitter: float = 0.2
    ) -> None:
        # No more than a float holds: an int can be larger and still be finite.
        if not (0 <= initial <= sys.float_info.max and 0 <= maximum <= sys.float_info.max):
            raise ValueError("initial= and maximum= are seconds, 0 or more")
        if not 1 <= factor <= sys.float_info.max:
            raise ValueError("factor= is 1 or more")
        if not 0 <= jitter <= 1:
            raise ValueError("jitter= is a share, from 0 to 1")
        self.initial = initial
        self.factor = factor
        self.maximum = maximum
        self.jitter = jitter

    def __call__(self, retry_state: tenacity.RetryCallState) -> float:
        return self.after(retry_state.attempt_number)

    def after(self, polls: int) -> float:
        """Return the delay after so many polls, in seconds."""
        try:
            # As a float: an int to such a power has as many digits as there were polls.
            delay = min(self.initial * float(self.factor) ** (polls - 1), self.maximum)
        except OverflowError:
            delay = self.maximum if self.initial else 0.0
        return delay * (1 - self.jitter * random.random())


_CADENCES: dict[str, wait_backoff] = {
    "image": wait_backoff(1, 1.5, 10),
    # The service itself looks at its video tasks twice a minute.
    "video": wait_backoff(5, 1.5, 30),
}
_OTHERS = wait_backoff(2, 1.5, 30)


def cadence(kind: str) -> wait_backoff:
    """Return the delays for a kind of task, where the caller gives no strategy."""
    return _CADENCES.get(kind, _OTHERS)


def delay_after(
    wait: WaitStrategy, polls: int, started: float, now: float, outcome: object
) -> float:
    """Return the delay that a strategy gives after a poll, in seconds.

    Args:
        wait: The strategy.
        polls: Polls so far, this one included; the strategy's `attempt_number`, at least 1.
        started: Loop time of the first poll.
        now: Loop time of this one's end; with `started`, its `seconds_since_start`.
        outcome: The task, or the exception, the poll came to; its `outcome`.

    Raises:
        ValueError: The strategy's answer is no delay.
    """
    if isinstance(wait, wait_backoff):
        return wait.after(polls)  # the default: not worth building a state for
    state = _state(polls, started, now, outcome)
    delay: Any = wait(state)
    if not isinstance(delay, int | float) or not 0 <= delay <= sys.float_info.max:
        raise ValueError(f"the wait strategy {wait!r:.80} returned {delay!r}, not seconds")
    return float(delay)


def _state(polls: int, started: float, now: float, outcome: object) -> tenacity.RetryCallState:
    state = tenacity.RetryCallState(retry_object=_NOT_RETRYING, fn=None, args=(), kwargs={})
    state.attempt_number = polls
    if isinstance(outcome, BaseException):
        state.set_exception((type(outcome), outcome, None))
    else:
        state.set_result(outcome)
    # The loop's clock, which tests may bend, and not tenacity's own.
    state.start_time, state.outcome_timestamp = started, now
    return state


_NOT_RETRYING = tenacity.Retrying()
"""It stands where a strategy may look for the retry loop; there is none."""


def shortened(delay: float, most: float) -> float:
    """Return a delay, or so many seconds, up to a fifth less, if it is more."""
    return min(delay, most * random.uniform(0.8, 1.0))


class StartStagger:
    """Spreads the first polls of many waits: those that begin together stay together."""

    def __init__(self) -> None:
        self._last = -math.inf

    def next(self, now: float) -> float:
        """Return the moment of one more: soon after the last; at random, once that is far off."""
        self._last = max(self._last + 1 / _FIRST_POLLS_PER_SECOND, now)
        if self._last < now + _LONGEST_SPREAD:
            return self._last
        return now + _LONGEST_SPREAD * random.random()
