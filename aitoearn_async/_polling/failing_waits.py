"""Waits whose own polls fail, while pages may show how their tasks stand.

A page that shows such a task gives its wait patience anew: that is for lack of any evidence.
Without such a page the wait goes back to its own polls while it has some patience left.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from ..contract.tasks import Task, TaskRef
from .clock import Clock, NextTimer
from .ends import is_first_trouble, patience_end
from .settings import WaitSettings
from .state import WaitState

T = TypeVar("T", bound=Task)

_LEAST_PATIENCE_LEFT = 60.0
"""Seconds of patience, half of it at most, with which a wait goes back to its own polls."""


def is_carried(wait: WaitState[Any], settings: WaitSettings, now: float) -> bool:
    """Return whether pages may speak for a wait whose last poll failed.

    Not where the service asks to be left alone, a refusal awaits confirmation, the address may be
    wrong, or hardly any patience is left.
    """
    if wait.failing_since is None or is_first_trouble(wait, settings):
        return False
    if getattr(wait.last_error, "retry_after", None) is not None:
        return False
    return now < _recalled_at(wait, settings)


def _recalled_at(wait: WaitState[Any], settings: WaitSettings) -> float:
    return patience_end(wait, settings) - min(_LEAST_PATIENCE_LEFT, settings.patience / 2)


class FailingWaits(Generic[T]):
    """The waits of one kind that were left to pages after a poll that failed.

    Args:
        clock: Tells the time.
        hand_back: Takes a wait that no page has shown for too long.
    """

    def __init__(self, clock: Clock, hand_back: Callable[[WaitState[T]], None]) -> None:
        self._clock = clock
        self._hand_back = hand_back
        self._waits: dict[TaskRef[T], tuple[WaitState[T], WaitSettings]] = {}
        self._timer = NextTimer(clock, self._recall)

    def note(self, wait: WaitState[T], settings: WaitSettings) -> None:
        """Note a wait that is left to pages from now on."""
        self._waits[wait.ref] = wait, settings
        moment = _recalled_at(wait, settings)
        if moment < self._timer.at:
            self._timer.set(moment)

    def forget(self, ref: TaskRef[T]) -> None:
        """Forget a wait, if it is there."""
        self._waits.pop(ref, None)

    def stop(self) -> None:
        """Cancel the timer."""
        self._timer.set(math.inf)

    def _recall(self) -> None:
        now, soonest = self._clock.time(), math.inf
        for ref, (wait, settings) in [*self._waits.items()]:
            moment = math.inf if wait.failing_since is None else _recalled_at(wait, settings)
            if now < moment < math.inf and wait.due < 0:
                soonest = min(soonest, moment)
                continue
            del self._waits[ref]
            if moment <= now and wait.due < 0:
                self._hand_back(wait)
        self._timer.set(soonest)
