"""Writes outcomes to the ledger, many at a time. While too many are unwritten, the worker waits."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial

from .ledger import Ledger
from .patience import log, persist

_MOST_AT_A_TIME = 500
_MOST_UNWRITTEN = 2_000
_LINGER = 0.5
"""Seconds for which outcomes are gathered: each write costs the engine a commit."""


class Recorder:
    """A queue of outcomes that are to be written to the ledger.

    Args:
        ledger: The ledger.
        member: The worker's id.
        recorded: Called with the number of refs that the worker no longer holds.
    """

    def __init__(self, ledger: Ledger, member: int, recorded: Callable[[int], None]) -> None:
        self._ledger = ledger
        self._member = member
        self._recorded = recorded
        self._unwritten: deque[tuple[str, bytes]] = deque()
        self._some = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    async def put(self, ref: str, outcome: bytes) -> None:
        """Queue an outcome; wait while too many are queued."""
        await self._room.wait()
        self._unwritten.append((ref, outcome))
        self._some.set()
        if len(self._unwritten) >= _MOST_UNWRITTEN:
            self._room.clear()

    async def run(self) -> None:
        """Write outcomes as they come, until cancelled."""
        while True:
            await self._some.wait()
            if len(self._unwritten) < _MOST_AT_A_TIME:
                await asyncio.sleep(_LINGER)
            await self.flush()

    async def flush(self) -> None:
        """Write all outcomes that are queued."""
        while self._unwritten:
            count = min(len(self._unwritten), _MOST_AT_A_TIME)
            some = [self._unwritten[at] for at in range(count)]
            written = await persist(partial(self._ledger.record, self._member, some))
            if written < count:
                log.info("%d outcomes were not recorded: others hold the refs", count - written)
            # They leave the queue only now: if this is cancelled before, they are written again.
            for _ in some:
                self._unwritten.popleft()
            self._recorded(count)
            self._room.set()
        self._some.clear()
