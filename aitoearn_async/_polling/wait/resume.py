"""A wait that began earlier, elsewhere: its age, and its place in the cadence.

Pure arithmetic. Who waited, and why that ended, is not known here.
"""

from __future__ import annotations

import sys
from typing import Any

import msgspec

from ..cadence.schedule import WaitStrategy, delay_after
from .settings import WaitSettings
from .state import OWED, WaitState

_MOST_STEPS = 64
"""Delays that are computed one by one; those that follow count as long as the last."""


class Resume(msgspec.Struct, frozen=True, kw_only=True):
    """The position of a wait that began earlier, in another batch or another process.

    Its deadline counts from its beginning, and the delays between its polls continue where they
    were. The polls until now are computed from its age, and count in `polls` too.
    """

    age: float
    """Seconds since it began."""
    at_once: bool = True
    """Poll at once. False: the last poll is not long ago, and the next is due by the cadence."""
    at_least_once: bool = False
    """Poll before it is given up, however late that is: at its deadline, if no poll was due before,
    or as soon as there is a turn. Its task may have ended while nobody looked."""

    def __post_init__(self) -> None:
        if not (isinstance(self.age, float | int) and abs(self.age) <= sys.float_info.max):
            raise ValueError(f"age={self.age!r:.60}: give seconds, a finite number")


def begin_again(wait: WaitState[Any], resume: Resume, settings: WaitSettings, now: float) -> float:
    """Set a wait to its age. Return the seconds until it is due; 0 for at once."""
    wait.started = now - max(resume.age, 0.0)
    if resume.at_least_once:
        wait.final_poll_for = OWED
    if resume.age <= 0:
        return 0.0
    wait.polls, delay = polls_until(settings.wait, resume.age, now)
    if resume.at_least_once:
        delay = min(delay, max(0.0, settings.timeout - resume.age))
    return 0.0 if resume.at_once else delay


def polls_until(wait: WaitStrategy, age: float, now: float) -> tuple[int, float]:
    """Return how many polls a wait of this age has had, and in how many seconds the next is due.

    Args:
        wait: The delays between its polls.
        age: Seconds since its first poll.
        now: Loop time.

    Raises:
        ValueError: The strategy's answer is no delay.
    """
    started, due = now - age, 0.0
    polls, delay = 0, 0.0
    while due <= age and polls < _MOST_STEPS:
        polls += 1
        delay = delay_after(wait, polls, started, started + due, None)
        due += delay
    if due <= age and delay > 0:
        more = int(min((age - due) / delay, sys.maxsize)) + 1
        polls, due = polls + more, due + more * delay
    return polls, max(0.0, due - age)
