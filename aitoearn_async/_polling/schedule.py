"""The delays between polls, as tenacity wait strategies.

A strategy is any callable of a `tenacity.RetryCallState`; users bring their own or compose
tenacity's. Deadlines, and what the service asks for itself, are in `step`.
"""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Callable
from typing import Any

import tenacity
from tenacity.wait import wait_base

from .plans import Backoff

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
        if not (0 <= initial < math.inf and 0 <= maximum < math.inf):
            raise ValueError("initial= and maximum= are seconds, 0 or more")
        if not 1 <= factor < math.inf:
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
            delay = min(self.initial * self.factor ** (polls - 1), self.maximum)
        except OverflowError:
            delay = self.maximum
        return delay * (1 - self.jitter * random.random())


_CADENCES: dict[str, wait_backoff] = {
    "image": wait_backoff(1, 1.5, 10),
    # The service itself looks at its video tasks twice a minute.
    "video": wait_backoff(5, 1.5, 30),
}
_OTHERS = wait_backoff(2, 1.5, 30)


def backoff_of(kind: str) -> Backoff:
    """Return the numbers of the backoff for a kind of task."""
    wait = _CADENCES.get(kind, _OTHERS)
    return Backoff(wait.initial, wait.factor, wait.maximum, wait.jitter)


def cadence(kind: str) -> WaitStrategy:
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
