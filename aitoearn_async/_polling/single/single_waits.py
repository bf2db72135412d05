"""The single waits of one client. Where they are many, rounds serve them as those of a batch.

    few of them       each wait polls for itself, and this is a dict of them
    ten of a kind     pages tell whom to poll; a wait sleeps until it is handed back

Each wait runs in its caller's task and ends there. A round runs in a task of its own, which ends
with the last wait. What a round cannot do is left to the waits themselves.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from ..._runtime.lifetime import Lifetime
from ..._verdict import Verdict
from ...contract.tasks import TaskRef
from ..rounds.groups import Rounds
from ..rounds.pages import PageSource
from ..rounds.round_group import FEWEST, LEAST_TIME_LEFT, RoundGroup, WaitOwner
from ..wait.ends import deadline_of
from ..wait.settings import WaitSettings
from ..wait.state import WaitState
from ..wait.step import Decision, PollAt, begin, go_on


class SingleWaits(WaitOwner[Any]):
    """The single waits of one client."""

    def __init__(self, source: PageSource, lifetime: Lifetime) -> None:
        self.held: dict[TaskRef[Any], WaitState[Any]] = {}
        self._settings: dict[TaskRef[Any], WaitSettings] = {}
        self.settings_of: Callable[[TaskRef[Any]], WaitSettings] = self._settings.__getitem__
        self.is_paused: Callable[[], bool] = lambda: False
        self._sleepers: dict[TaskRef[Any], asyncio.Future[Decision[Any] | None]] = {}
        self._new_rounds: Callable[[], Rounds[Any]] = partial(Rounds, source, lifetime, self)
        self._rounds: Rounds[Any] | None = None
        self._lifetime = lifetime
        self._tasks: set[asyncio.Task[None]] = set()

    # What a wait calls.

    def join(self, wait: WaitState[Any], settings: WaitSettings) -> None:
        """Count a wait in. A second one for the same task, and one with a strategy, stay alone."""
        if settings.learner is None or wait.ref in self.held:
            return
        self.held[wait.ref], self._settings[wait.ref] = wait, settings
        if self._rounds is not None:
            self._rounds.join(wait.ref)
        elif len(self.held) >= FEWEST:
            self._rounds = self._new_rounds()
            for ref in self.held:
                self._rounds.join(ref)

    def leave(self, wait: WaitState[Any], *, has_ended: bool) -> None:
        """Count a wait out, if it was counted in. With the last one all work ends."""
        if self.held.get(wait.ref) is not wait:
            return
        group = self._group(wait.ref)
        del self.held[wait.ref], self._settings[wait.ref]
        if group is not None:
            group.leave(wait, has_ended=has_ended)
        if self._rounds is not None and not self.held:
            self._rounds.stop()
            self._rounds = None
            for task in self._tasks:
                task.cancel()

    def takes(self, wait: WaitState[Any], decision: PollAt | None) -> bool:
        """Return whether rounds serve a wait from now on: then it has to `wait_for_round`."""
        if self._rounds is None or self.held.get(wait.ref) is not wait:
            return False
        group = self._rounds.of(wait.ref)
        is_put_off = decision is not None and decision.is_put_off
        return group is not None and group.take(wait, self._lifetime.time(), is_put_off=is_put_off)

    async def wait_for_round(self, wait: WaitState[Any]) -> Decision[Any]:
        """Wait until rounds hand a wait back. Return what is to be done then.

        Raises:
            ClientClosedError: The client was closed meanwhile.
        """
        settings = self._settings[wait.ref]
        if math.isnan(wait.started):
            begin(wait, settings, self._lifetime.time())
        woken = asyncio.get_running_loop().create_future()
        self._sleepers[wait.ref] = woken
        try:
            await self._lifetime.sleep_until(deadline_of(wait, settings) - LEAST_TIME_LEFT, woken)
        finally:
            del self._sleepers[wait.ref]
            if wait.due < 0 and (group := self._group(wait.ref)) is not None:
                group.release(wait)
        decision: Decision[Any] | None = woken.result()
        return decision or go_on(wait, settings, self._lifetime.time())

    async def after_failure(
        self, wait: WaitState[Any], verdict: Verdict, decision: Decision[Any], deadline: float
    ) -> Decision[Any]:
        """Return what follows a failed poll, by what pages show of its task."""
        if (group := self._group(wait.ref)) is None:
            return decision
        return await group.after_failure(wait, verdict, decision, deadline)

    def _group(self, ref: TaskRef[Any]) -> RoundGroup[Any] | None:
        """Return the group of a wait that is counted in; of others' kinds there may be none."""
        if self._rounds is None or ref not in self.held:
            return None
        return self._rounds.of(ref)

    async def aclose(self) -> None:
        """Wait until the rounds have ended that were cancelled with the last wait."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def leave_loop(self) -> None:
        """Forget rounds that were cancelled just before their loop was closed."""
        self._tasks.clear()

    # What rounds ask for, and hand back.

    def hand_back(self, wait: WaitState[Any], decision: Decision[Any]) -> None:
        wait.due = math.inf
        with contextlib.suppress(asyncio.InvalidStateError):  # it is leaving anyway
            self._sleepers[wait.ref].set_result(decision)

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine, name="aitoearn-rounds")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
