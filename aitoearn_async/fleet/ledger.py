"""The ledger: which member holds which ref, and what came of it. Every engine keeps the same one.

A ref goes through five states, in one direction only. A lease is a member's, never a ref's, so
a worker that waits for a hundred thousand refs renews one lease. When a member's lease is over,
what it held is taken over by others: the state stays, and the holder changes.

    state     by        to        only if                                      then
    (none)    add       waiting   the ref is not in the ledger                 added = now
    waiting   take      held      the worker's lease holds                     holder = worker
    held      take      held      the holder's lease is over, the taker's not  holder = taker
    held      give      held      the giver is the holder                      holder = nobody alive
    held      record    ended     the worker is the holder, its lease holds    outcome = what came
    ended     read      reading   the reader's lease holds                     holder = reader
    reading   read      reading   the holder's lease is over, the reader's not holder = reader
    reading   read      done      the reader is the holder, its lease holds    outcome = none
    done      forget    (none)    it has been done for `keep` seconds          -

The clock of all of this is the engine's. Nothing in here knows tables, sockets or the service.
"""

from __future__ import annotations

import asyncio
import enum
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import msgspec


class Kind(enum.IntEnum):
    """The kind of a member."""

    WORKER = 0
    READER = 1


class Origin(enum.IntEnum):
    """The way in which a worker got a ref."""

    NEW = 0
    """Nobody held it before."""
    HANDED_OVER = 1
    """Somebody who is well gave it away, so it has been asked about until now."""
    ORPHAN = 2
    """Somebody died with it, so it has not been asked about for a lease."""


class Member(msgspec.Struct, kw_only=True):
    """A member whose lease holds, as of its last report."""

    id: int
    kind: Kind
    name: str = ""
    """Host and process, for people."""
    held: int = 0
    """Refs that it holds."""
    open: bool = False
    """It would take more."""
    rate: float | None = None
    """Requests a second that it wants the whole fleet to make at most; None for no limit."""
    grant: float = 0.0
    """Requests a second that are its own now."""
    polls_per_second: float = 0.0
    trouble: str = ""
    """The reason why it asks for nothing; empty while it works."""


Decide = Callable[[Sequence[Member]], Member]
"""Returns the new report of the member that asks, given all members whose lease holds. Pure."""
Report = Callable[[], Member]
"""Returns the new report of the member that asks."""
Allow = Callable[[Sequence[Member], int], int]
"""Returns how many refs the member that asks may take, given all members whose lease holds, and the
number of refs that none of them holds. Pure."""
MOST_COUNTED = 10_000
"""The number of refs up to which those that nobody holds are counted: this takes the engine a
millisecond or two."""


class Taken(msgspec.Struct):
    """A ref that a worker now holds."""

    ref: str
    age: float
    """Seconds since it was added."""
    origin: Origin


class Counts(msgspec.Struct):
    """The number of refs in each state, and of members."""

    waiting: int
    held: int
    ended: int
    reading: int
    done: int
    oldest: float | None
    """Seconds since the oldest ref without an outcome was added; None if there is none."""
    members: list[Member]


def members_of(rows: Iterable[Sequence[Any]]) -> list[Member]:
    """Return the members that rows describe: an id, the number of refs held, the last report."""
    members: list[Member] = []
    for number, held, report in rows:
        member = msgspec.json.decode(report, type=Member)
        member.id, member.held = int(number), int(held)
        members.append(member)
    return sorted(members, key=lambda member: member.id)


def counts_of(row: Sequence[Any], members: Iterable[Sequence[Any]]) -> Counts:
    """Return the counts that a row holds, with the members that `members_of` makes of rows."""
    waiting, held, ended, reading, done, oldest = row
    return Counts(waiting, held, ended, reading, done, oldest, members_of(members))


class Ledger(Protocol):
    """The ledger of an engine. Each call is one transaction; each may be repeated if in doubt.

    All methods raise `FleetUnavailableError` when the engine cannot be reached, and
    `FleetError` when it cannot be used. Those of a member raise `LeaseLostError` when its lease
    is over. A call that failed may have been carried out: repeating it does no harm.
    """

    lease: float
    """Seconds from a beat until the member counts as dead."""
    quiet_at: float = -math.inf
    """Loop time at which a call last saw that there is nothing to take. Those that beat and record
    see it too, so that `take` need not look soon after."""

    async def open(self, *, create: bool = True) -> None:
        """Connect, and create the tables or keys that the ledger lacks.

        Args:
            create: False: raise `FleetNotFoundError` where there are none, and create nothing.
        """
        ...

    async def close(self) -> None:
        """Close the connection to the engine."""
        ...

    async def add(self, refs: Sequence[str]) -> int:
        """Add refs. Returns how many were new."""
        ...

    async def join(self, kind: Kind, name: str) -> int:
        """Become a member. Returns its id, which no member ever had before."""
        ...

    async def beat(self, member: int, decide: Decide) -> bool:
        """Renew the lease and report. Returns whether there are refs that nobody alive holds."""
        ...

    async def renew(self, member: int, report: Report) -> tuple[list[Member], bool]:
        """Beat with a report that takes no more of the rate than the member's last one.

        Such a report takes nothing from other members, so they may decide at the same time. It is
        made when all calls before this one are over, and so it counts what they took or recorded.

        Returns:
            All members whose lease holds, and what `beat` returns.
        """
        members: list[Member] = []

        def decide(others: Sequence[Member]) -> Member:
            members[:] = others
            return report()

        return members, await self.beat(member, decide)

    def note_idle(self, is_idle: bool) -> bool:
        """Note whether there is nothing to take now, and return the same."""
        if is_idle:
            self.quiet_at = asyncio.get_running_loop().time()
        return is_idle

    async def leave(self, member: int) -> None:
        """End the lease, so that other members take over at once."""
        ...

    async def take(self, member: int, call: int, allow: Allow) -> list[Taken]:
        """Take over refs of members whose lease is over, and then waiting ones, oldest first.

        Args:
            member: The worker.
            call: A number that grows with each call that is not a repetition. The same number
                again returns what that call has taken.
            allow: Decides how many to take at most.
        """
        ...

    async def held(self, member: int, most: int) -> list[str]:
        """Return some of the refs that a worker holds."""
        ...

    async def give(self, member: int, refs: Sequence[str]) -> None:
        """Hand refs over to the member that takes them next. Refs of other holders stay theirs."""
        ...

    async def record(self, member: int, outcomes: Sequence[tuple[str, bytes]]) -> int:
        """Record the outcomes of refs. Returns how many of them the worker held."""
        ...

    async def read(self, member: int, done: Sequence[str], most: int) -> list[tuple[str, bytes]]:
        """Mark outcomes as done, and return up to `most` others that are not done."""
        ...

    async def counts(self) -> Counts:
        """Count the refs in each state, and the members, all at one moment."""
        ...

    async def finished(self) -> bool:
        """Return whether every outcome of every ref has been read."""
        ...

    async def forget(self, keep: float, most: int) -> int:
        """Remove refs that have been done for `keep` seconds. Returns how many, at most `most`."""
        ...
