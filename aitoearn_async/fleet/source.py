"""The refs that a worker waits for: taken from the ledger while its share has room for more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from aitoearn_async import AnyRef, Resume, TaskRef, parse_ref

from .ledger import Allow, Kind, Ledger, Member, Origin, Taken
from .patience import persist

_SHORTEST, _LONGEST = 0.05, 0.8
"""Seconds between two looks at a ledger that has nothing for this worker. Refs that are handed over
must be held again within a second."""
_FIRST_TAKES, _BETWEEN_FIRST_TAKES = 8, 0.25
"""The number of small takes with which a newcomer begins, and the seconds between two of them. They
are small while others hold less than is free: so workers that start at the same time share it."""
_REFS_OF_A_FIRST_TAKE = 10
"""Refs of a small take. Few are taken so: refs of one large take are neighbours in the service's
lists, and a worker that waits for neighbours asks for few pages."""


class Source(AsyncIterator[AnyRef]):
    """An async iterator of refs that never ends.

    Args:
        ledger: The ledger.
        member: The worker's id.
        allow: Decides how many to take, given all members, and how many refs none of them holds.
        is_open: Returns whether to ask at all.
        took: Called with the number of refs that were taken.
    """

    def __init__(
        self,
        ledger: Ledger,
        member: int,
        allow: Allow,
        is_open: Callable[[], bool],
        took: Callable[[int], None],
    ) -> None:
        self._ledger = ledger
        self._member = member
        self._allow = allow
        self._is_open = is_open
        self._took = took
        self._calls = 0
        self._taken: list[Taken] = []  # the next one is the last, and the oldest
        self._resume: Resume | None = None
        self._pause = self._idle = 0.0

    async def __anext__(self) -> AnyRef:
        while not self._taken:
            await self._rest()
            await self._take()
        taken = self._taken.pop()
        at_once = taken.origin is not Origin.HANDED_OVER
        self._resume = Resume(age=taken.age, at_once=at_once, at_least_once=True)
        return parse_ref(taken.ref)

    async def _rest(self) -> None:
        """Pause before the next look; and again, if other calls have seen nothing to take."""
        loop = asyncio.get_running_loop()
        pause = self._pause
        while pause >= _SHORTEST:
            await asyncio.sleep(pause)
            pause = self._ledger.quiet_at + self._idle - loop.time()

    def resume(self, ref: TaskRef[Any]) -> Resume | None:
        """Return the `Resume` of the ref that was given last."""
        return self._resume

    def withdraw(self, ref: str) -> bool:
        """Take a ref back. Return whether it had not been given yet."""
        kept = [taken for taken in self._taken if taken.ref != ref]
        self._taken, before = kept, len(self._taken)
        return len(kept) < before

    async def _take(self) -> None:
        allowed, pause = 0, 0.0

        def allow(members: Sequence[Member], free: int) -> int:
            nonlocal allowed, pause
            allowed, pause = self._allow(members, free), 0.0
            if call < _FIRST_TAKES and _held_by_others(self._member, members) < free:
                allowed, pause = min(allowed, _REFS_OF_A_FIRST_TAKE), _BETWEEN_FIRST_TAKES
            return allowed

        taken: list[Taken] = []
        if self._is_open():
            self._calls += 1
            call = self._calls
            taken = await persist(lambda: self._ledger.take(self._member, call, allow))
        self._took(len(taken))
        self._taken = sorted(taken, key=lambda each: each.age)
        if len(taken) < max(1, allowed):
            self._pause = self._idle = min(max(2 * self._idle, _SHORTEST), _LONGEST)
        else:
            self._pause, self._idle = pause, 0.0


def _held_by_others(member: int, members: Sequence[Member]) -> int:
    others = (other for other in members if other.id != member and other.kind is Kind.WORKER)
    return sum(other.held for other in others)
