"""One stay in the fleet, of a worker or a reader: joined, its lease renewed, and left or lost."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Sequence

import msgspec

from .cancelled import uncancelled
from .errors import FleetError, FleetUnavailableError
from .ledger import Kind, Ledger, Member
from .patience import log, persist

_BEATS_A_LEASE = 3
_SECONDS_TO_LEAVE = 0.7
"""Seconds in which a member that leaves may still end its lease."""
_SECONDS_TO_A_SOON_BEAT = 1.0


class Membership:
    """The membership of one worker or reader: a lease that is renewed.

    The lease ends in this process before it can end at the engine: here it counts from the moment
    before a beat is sent.

    Args:
        ledger: The ledger.
        kind: A worker or a reader.
        report: Called in each beat with all members: returns the member's new report.
        after_beat: Called after each beat, with whether refs are waiting.
    """

    def __init__(
        self,
        ledger: Ledger,
        kind: Kind,
        report: Callable[[Sequence[Member]], Member],
        after_beat: Callable[[bool], None] | None = None,
    ) -> None:
        self.id: int = 0
        self.lost: asyncio.Event = asyncio.Event()
        self._ledger = ledger
        self._kind = kind
        self._report = report
        self._after_beat = after_beat
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        self._early = asyncio.Event()
        self._interval = self._pause = ledger.lease / _BEATS_A_LEASE
        self._members: Sequence[Member] = ()
        self._granted = -1.0  # the `grant` of the last report; -1 before the first
        self._beating: asyncio.Task[None] | None = None
        self._guard: asyncio.TimerHandle | None = None

    async def join(self) -> None:
        """Join, and renew the lease until `leave`."""
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            self.id = await self._join()
            if loop.time() < began + self._ledger.lease:
                break  # else the lease is over already, and others clear it away
        self._extend(began)
        self._beating = asyncio.create_task(self._beat())
        self.beat_early()

    async def _join(self) -> int:
        joining = asyncio.create_task(persist(lambda: self._ledger.join(self._kind, self._name)))
        try:
            return await asyncio.shield(joining)
        except asyncio.CancelledError:
            # It may have become a member already, which others would wait for.
            await uncancelled(self._leave(joining))
            raise
        finally:
            joining.cancel()

    async def leave(self) -> None:
        """End the lease, so that others take over at once. If the engine is away, it runs out."""
        if self._guard is not None:
            self._guard.cancel()
        if self._beating is not None:
            self._beating.cancel()
            await asyncio.wait([self._beating])
        if self.id and not self.lost.is_set():
            self.lost.set()
            await self._leave()

    async def _leave(self, joining: asyncio.Task[int] | None = None) -> None:
        with contextlib.suppress(TimeoutError, FleetError):
            async with asyncio.timeout(_SECONDS_TO_LEAVE):
                await self._ledger.leave(await joining if joining else self.id)

    def is_over(self) -> bool:
        """Return whether the lease is over by the clock of this process."""
        # After a freeze the loop may not have come to the guard yet.
        is_due = self._guard and self._guard.when() <= asyncio.get_running_loop().time()
        return bool(is_due) or self.lost.is_set()

    def beat_early(self) -> None:
        """Send the next beat at once."""
        self._early.set()

    def beat_soon(self) -> None:
        """Send the next beat within a second."""
        self._pause = min(self._interval, _SECONDS_TO_A_SOON_BEAT)

    def _extend(self, began: float) -> None:
        if self._guard is not None:
            self._guard.cancel()
        loop = asyncio.get_running_loop()
        self._guard = loop.call_at(began + self._ledger.lease, self.lost.set)

    async def _beat(self) -> None:
        loop = asyncio.get_running_loop()
        while not self.lost.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause):
                    await self._early.wait()
            self._early.clear()
            began = loop.time()
            try:
                waiting = await self._send()
            except FleetUnavailableError as error:
                log.warning("a beat was missed: %s", error)
                self._pause = self._interval / 4
                continue
            except FleetError:  # the lease is over, or joining anew will raise this error again
                self.lost.set()
                return
            self._pause = self._interval
            if not self.lost.is_set():
                self._extend(began)
                if self._after_beat is not None:
                    self._after_beat(waiting)

    async def _send(self) -> bool:
        """Send a beat. Return whether there are refs that nobody alive holds.

        A beat that may take more of the rate keeps others from deciding at the same time. All
        other beats do not, and so are tried first.
        """
        report = self._new_report(self._members)
        if report.grant <= self._granted:
            # Set before the call, which may seem to fail and be carried out all the same.
            self._granted = report.grant
            self._members, waiting = await self._ledger.renew(
                self.id, lambda: self._new_report(self._members)
            )
            if self._new_report(self._members).grant <= self._granted:
                return waiting

        def decide(members: Sequence[Member]) -> Member:
            nonlocal report
            self._members, report = members, self._new_report(members)
            return report

        waiting = await self._ledger.beat(self.id, decide)
        self._granted = report.grant
        return waiting

    def _new_report(self, members: Sequence[Member]) -> Member:
        return msgspec.structs.replace(self._report(members), kind=self._kind, name=self._name)
