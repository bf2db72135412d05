"""Waits whose own polls fail, while pages may show how their tasks stand.

A page that shows such a task gives its wait patience anew: that is for lack of any evidence.
Without such a page the wait goes back to its own polls while it has some patience left.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from ..._runtime.clock import NextTimer
from ..._runtime.lifetime import Lifetime
from ...contract.tasks import Task, TaskRef
from ..wait.ends import is_first_trouble, patience_end
from ..wait.settings import WaitSettings
from ..wait.state import WaitState

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

    `hand_back` takes one that no page has shown for too long.
    """

    def __init__(
        self,
        lifetime: Lifetime,
        settings_of: Callable[[TaskRef[T]], WaitSettings],
        hand_back: Callable[[WaitState[T]], None],
    ) -> None:
        self._lifetime = lifetime
        self._settings_of = settings_of
        self._hand_back = hand_back
        self._waits: dict[TaskRef[T], WaitState[T]] = {}
        self._timer = NextTimer(lifetime, self._recall)

    def note(self, wait: WaitState[T]) -> None:
        """Note a wait that is left to pages from now on."""
        self._waits[wait.ref] = wait
        moment = _recalled_at(wait, self._settings_of(wait.ref))
        if moment < self._timer.at:
            self._timer.set(moment)

    def forget(self, ref: TaskRef[T]) -> None:
        """Forget a wait, if it is there."""
        self._waits.pop(ref, None)

    def stop(self) -> None:
        """Cancel the timer."""
        self._timer.set(math.inf)

    def _recall(self) -> None:
        now, soonest = self._lifetime.time(), math.inf
        for wait in [*self._waits.values()]:
            is_here = wait.due < 0 and wait.failing_since is not None
            moment = _recalled_at(wait, self._settings_of(wait.ref)) if is_here else math.inf
            if now < moment < math.inf:
                soonest = min(soonest, moment)
                continue
            del self._waits[wait.ref]
            if moment <= now:
                self._hand_back(wait)
        self._timer.set(soonest)
