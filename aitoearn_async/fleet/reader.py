"""Readers: each outcome goes to one reader, which marks it as done."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import Any, Protocol

from aitoearn_async import AnyTask, Outcome

from .cancelled import uncancelled
from .errors import FleetError, LeaseLostError
from .ledger import Kind, Ledger, Member
from .membership import Membership
from .patience import log, persist

_SHORTEST, _LONGEST = 0.05, 1.0
"""Seconds between two looks at a ledger that has no outcome for this reader."""
_GATHERING = 0.2
"""Seconds for which outcomes gather after fewer came than were asked for: each read is work for
the engine."""


class OutcomeQueue(Protocol):
    """The source of a reader's outcomes, in which it marks them as done."""

    async def enter(self) -> None:
        """Open the queue, before the first read."""
        ...

    async def leave(self, *, done: Sequence[str], failed: bool) -> None:
        """Mark some outcomes as done, and give the others back.

        Args:
            done: The outcomes.
            failed: The block that read them ends with an error.
        """
        ...

    def is_lost(self) -> bool:
        """Return whether what was read and is not done may be another reader's by now."""
        return False

    async def read(self, done: Sequence[str], most: int) -> list[tuple[str, bytes]]:
        """Mark some outcomes as done, and return others; none if there is none now."""
        ...


class Outcomes(AsyncIterator[Outcome[AnyTask]]):
    """The outcomes of a fleet, as they come; made by `Fleet.outcomes`.

        async with fleet.outcomes() as outcomes:
            async for outcome in outcomes:
                ...

    An outcome is done when the next one is asked for, or when the block is left without an
    error. One that is not done is given to another reader: at once when the block is left, and
    after a lease when the process dies.
    """

    def __init__(self, queue: OutcomeQueue, ledger: Ledger, *, prefetch: int, follow: bool) -> None:
        self._queue = queue
        self._ledger = ledger
        self._prefetch = prefetch
        self._follow = follow
        self._ready: deque[tuple[str, bytes]] = deque()
        self._given: list[str] = []
        self._is_in_hand = False  # the last of these: the next one has not been asked for
        self._few = False
        self._state = "not entered"
        self._reading = False

    async def __aenter__(self) -> Outcomes:
        if self._state != "not entered":
            raise RuntimeError(f"these outcomes are {self._state}; ask the fleet for others")
        await self._queue.enter()
        self._state = "open"
        return self

    async def __aexit__(self, exc_type: type[BaseException] | None, *_: object) -> None:
        self._state = "closed"
        is_given_back = exc_type is not None and self._is_in_hand
        done = self._given[:-1] if is_given_back else self._given
        try:
            await uncancelled(self._queue.leave(done=done, failed=exc_type is not None))
        except FleetError as error:
            if exc_type is None:
                raise
            # The block's own error is the one to be told.
            log.warning("%d outcomes go to another reader, too: %s", len(done), error)

    async def __anext__(self) -> Outcome[AnyTask]:
        if self._state != "open":
            raise RuntimeError(f"these outcomes are {self._state}; iterate inside `async with`")
        if self._reading:
            raise RuntimeError("these outcomes are already being iterated by another task")
        self._reading, self._is_in_hand = True, False
        try:
            if not self._ready or self._queue.is_lost():
                await self._fetch()
        finally:
            self._reading = False
        ref, line = self._ready.popleft()
        self._given.append(ref)
        self._is_in_hand = True
        return Outcome[Any].from_json(line)

    async def _fetch(self) -> None:
        pause = _GATHERING if self._few else _SHORTEST
        while True:
            # After a few, those that were given are done at once, and others gather meanwhile.
            most = 0 if self._few else self._prefetch
            # Those that were given stay here until it is certain that they are done.
            rows = await self._queue.read(self._given, most)
            self._given, self._ready = [], deque(rows)
            self._few = 0 < len(rows) < self._prefetch
            if rows:
                return
            if not self._follow and await persist(self._ledger.finished):
                raise StopAsyncIteration
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST)


class LeasedQueue(OutcomeQueue):
    """Outcomes for a reader with a lease."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._held = 0
        self._member = self._membership()

    def _membership(self) -> Membership:
        return Membership(self._ledger, Kind.READER, self._report)

    def _report(self, members: Sequence[Member]) -> Member:
        return Member(id=0, kind=Kind.READER, held=self._held)

    async def enter(self) -> None:
        await self._member.join()

    def is_lost(self) -> bool:
        return self._member.is_over()

    async def leave(self, *, done: Sequence[str], failed: bool) -> None:
        is_lost = self.is_lost()
        try:
            if done and not is_lost:
                await persist(lambda: self._ledger.read(self._member.id, done, 0), patience=5.0)
        except LeaseLostError:
            is_lost = True
        finally:
            await self._member.leave()
        if done and is_lost:
            log.warning("%d outcomes that were read go to another reader, too", len(done))

    async def read(self, done: Sequence[str], most: int) -> list[tuple[str, bytes]]:
        try:
            rows = await persist(lambda: self._ledger.read(self._member.id, done, most))
        except LeaseLostError as error:
            if done:
                log.warning("%s; %d outcomes go to another reader, too", error, len(done))
            await self._member.leave()
            self._member = self._membership()
            await self._member.join()
            return []
        self._held = len(rows)
        return rows
