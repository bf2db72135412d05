"""The ledger in Postgres, for workers on any number of machines.

One connection. Each call is one transaction at the level READ COMMITTED, and keeps nothing in
the session, so that a pooler between may hand each transaction to another connection.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import psycopg
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict

from .errors import FleetError, FleetNotFoundError, LeaseLostError, StaleCallError, without_password
from .ledger import (
    MOST_COUNTED,
    Allow,
    Counts,
    Decide,
    Kind,
    Ledger,
    Member,
    Origin,
    Report,
    Taken,
    counts_of,
    members_of,
)
from .postgres_connection import PostgresConnection, Rows, Run
from .postgres_queue import TransactionQueue
from .postgres_statements import composed

_OLDEST = 120000
"""The first server version whose planner and partial indexes these statements were tried on."""
_ANALYZE_FROM, _ANALYZE_AGAIN = 1_000, 10
"""After how many added refs the planner is told of them, and by what factor until the next time.

Before that it believes that the table is small, and sorts all that wait for each take."""
_COUNTS = 6
"""Columns of `counts` that are the same in each row; what follows is a member."""


class PostgresLedger(Ledger):
    """A ledger in two tables, `aitoearn_NAME_refs` and `aitoearn_NAME_members`.

    Args:
        url: The database: what libpq takes, as `postgresql://user@host/database`.

    Raises:
        ValueError: libpq cannot read the address.
    """

    def __init__(self, url: str, name: str = "fleet", lease: float = 15.0) -> None:
        try:
            conninfo_to_dict(url)
        except psycopg.ProgrammingError:
            # Its message would show the password.
            raise ValueError(
                f"the fleet's url {without_password(url)!r:.80} cannot be read: give "
                "postgresql://user@host/database"
            ) from None
        self.lease = lease
        self._name = name
        self._prefix = f"aitoearn_{name}"
        self._found = False  # refs, when they were last taken
        self._in_doubt: set[int] = set()  # members whose last take may have been carried out
        self._added = 0
        self._analyze_at = _ANALYZE_FROM
        self.sql: dict[str, bytes] = composed(self._prefix)
        self._connection = PostgresConnection(url, self.sql)

    async def open(self, *, create: bool = True) -> None:
        async def open(run: Run) -> None:
            version = run.cursor.connection.info.server_version
            if version < _OLDEST:
                raise FleetError(
                    f"Postgres {version // 10000} is too old for a fleet: {_OLDEST // 10000} or "
                    "newer is needed"
                )
            # Looked for first: who may use the tables need not be allowed to make them.
            table = f"{self._prefix}_members"
            *_, [(exists,)] = await run.together("begin", "idle_limit", "exists", table=table)
            if not exists:
                if not create:
                    where = self._connection.where
                    raise FleetNotFoundError(f"{where} holds no fleet named {self._name!r}")
                await run.together("lock", "schema", lock=self._lock)
            await run.together("commit")

        self._connection.open()
        try:
            await self._connection.messages(open)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        await self._connection.close()

    async def add(self, refs: Sequence[str]) -> int:
        new = await self._connection.count("add", refs=list(refs))
        self._added += new
        if self._added >= self._analyze_at:
            self._analyze_at = self._added * _ANALYZE_AGAIN
            await self._connection.count("analyze")
        return new

    async def join(self, kind: Kind, name: str) -> int:
        report = msgspec.json.encode(Member(id=0, kind=kind, name=name))
        values = {"kind": int(kind), "lease": self.lease, "report": report}
        ((number,),) = await self._connection.rows("join", **values)
        return int(number)

    async def beat(self, member: int, decide: Decide) -> bool:
        async def beat(run: Run) -> Rows:
            first = ("begin", "idle_limit", "lock", "members")
            *_, members = await run.together(*first, lock=self._lock)
            report = decide(members_of(members))
            rows, _ = await run.together("beat", "commit", **self._values(member, report))
            return rows

        rows = await self._connection.messages(beat)
        return not self.note_idle(_of_member(member, rows)[0])

    async def renew(self, member: int, report: Report) -> tuple[list[Member], bool]:
        rows = await self._connection.statement(
            lambda run: run.rows("renew", **self._values(member, report()))
        )
        *_, is_idle = _of_member(member, rows)
        return members_of([row[:3] for row in rows]), not self.note_idle(is_idle)

    def _values(self, member: int, report: Member) -> dict[str, Any]:
        values = {"member": member, "lease": self.lease, "held": report.held}
        return {**values, "report": msgspec.json.encode(report)}

    async def leave(self, member: int) -> None:
        await self._connection.count("leave", member=member)

    async def take(self, member: int, call: int, allow: Allow) -> list[Taken]:
        ids = {"member": member, "call": call}

        async def take(run: Run) -> list[Taken]:
            first = ("begin", "idle_limit", "alive", "members", "gone", "free")
            values = {**ids, "kind": int(Kind.WORKER), "most": MOST_COUNTED}
            *_, me, members, leavers, [(free,)] = await run.together(*first, **values)
            (last,) = _of_member(member, me)
            if last is not None and last >= call:
                raise StaleCallError
            self.note_idle(not leavers and not free)
            most = allow(members_of(members), free)
            rows = await self._handed_over(run, leavers, "take_over", most, **ids)
            taken, left = [Taken(*row) for row in rows], most - len(rows)
            if taken and not await run.count("took", **ids, fence=call, count=len(taken)):
                raise StaleCallError
            if left <= 0 and not is_in_doubt:
                await run.together("commit")
                return taken
            # Also for none, where in doubt: what is late is to find the call's number.
            fence = call + 1 if taken else call
            rows, _ = await run.together("take", "commit", **ids, fence=fence, most=max(left, 0))
            if not rows:
                raise StaleCallError
            return taken + _taken_of([row for row in rows if row[0]], Origin.NEW)

        is_in_doubt = member in self._in_doubt
        # Where there were some there are more, mostly: no look at whether there are any.
        if not self._found and not is_in_doubt and await self._is_idle(member, call):
            return []
        self._in_doubt.add(member)
        try:
            found = await self._connection.messages(take)
        except StaleCallError:
            found = _taken_of(await self._connection.rows("taken", **ids), Origin.HANDED_OVER)
        self._in_doubt.discard(member)
        self._found = bool(found)
        return found

    async def _is_idle(self, member: int, call: int) -> bool:
        rows = await self._connection.rows("is_idle", member=member)
        last, is_idle = _of_member(member, rows)
        return last != call and self.note_idle(is_idle)

    async def _handed_over(
        self, run: Run, leavers: Rows, name: str, most: int, **values: int
    ) -> list[tuple[Any, Any, Origin]]:
        """Give a member what others hold who are gone. Return rows of a statement, and whence."""
        given: list[tuple[Any, Any, Origin]] = []
        for gone, gave in leavers:
            if (left := most - len(given)) <= 0:
                break
            rows = await run.rows(name, **values, gone=gone, most=left)
            origin = Origin.HANDED_OVER if gave else Origin.ORPHAN
            given += [(first, second, origin) for first, second in rows]
            if len(rows) < left:
                await self.remove(run, gone)
        return given

    async def remove(self, run: Run, gone: int) -> None:
        """Remove a member who is gone, if nothing is left of what it held.

        In three statements, each of which sees what was committed before it: in one, it would
        not see what a take has committed while it waited for that take's lock.
        """
        if not await run.rows("lock_gone", gone=gone):
            return  # it takes, or others take from it
        ((holds,),) = await run.rows("holds", gone=gone)
        if not holds:
            await run.count("remove", gone=gone)

    async def held(self, member: int, most: int) -> list[str]:
        rows = await self._connection.rows("held", member=member, most=most)
        return [ref for (ref,) in rows]

    async def give(self, member: int, refs: Sequence[str]) -> None:
        await self._connection.count("give", member=member, refs=list(refs))

    async def record(self, member: int, outcomes: Sequence[tuple[str, bytes]]) -> int:
        if not outcomes:
            return 0
        refs, lines = zip(*outcomes, strict=True)
        values = {"member": member, "refs": list(refs), "outcomes": list(lines)}
        count, is_idle = _of_member(member, await self._connection.rows("record", **values))
        self.note_idle(is_idle)
        return int(count)

    async def read(self, member: int, done: Sequence[str], most: int) -> list[tuple[str, bytes]]:
        if not done:
            (is_idle,) = _of_member(member, await self._connection.rows("is_read", member=member))
            if is_idle:
                return []
        values = {"member": member, "refs": list(done), "most": most}
        rows = await self._connection.rows("finish_and_read", **values)
        has_more, *_ = _of_member(member, rows)
        if has_more:
            return await self._connection.messages(lambda run: self._read_over(run, member, most))
        return [(ref, line) for _, ref, line in rows if ref]

    async def _read_over(self, run: Run, member: int, most: int) -> Rows:
        """Read first what the reader has already, or a dead one has left."""
        first = ("begin", "idle_limit", "alive", "reading", "gone")
        *_, me, rows, leavers = await run.together(*first, member=member, kind=int(Kind.READER))
        _of_member(member, me)
        left = most - len(rows)
        over = await self._handed_over(run, leavers, "read_over", left, member=member)
        rows += [(ref, line) for ref, line, _ in over]
        if (left := most - len(rows)) > 0:
            rows += await run.rows("read", member=member, most=left)
        await run.together("commit")
        return rows

    async def counts(self) -> Counts:
        rows = await self._connection.rows("counts")
        members = [row[_COUNTS:] for row in rows if row[_COUNTS] is not None]
        return counts_of(rows[0][:_COUNTS], members)

    async def finished(self) -> bool:
        ((is_unfinished,),) = await self._connection.rows("unfinished")
        return not is_unfinished

    async def forget(self, keep: float, most: int) -> int:
        return await self._connection.count("forget", keep=keep, most=most)

    def queue_on(self, connection: AsyncConnection[Any]) -> TransactionQueue:
        """Return a queue whose outcomes are read and done in a connection of the caller's.

        Raises:
            TypeError: It is no connection of psycopg's for asyncio.
        """
        if not isinstance(connection, AsyncConnection):
            kind = type(connection)
            raise TypeError(
                "connection= is a psycopg.AsyncConnection; this one is a "
                f"{kind.__module__}.{kind.__qualname__}"
            )
        return TransactionQueue(connection, self.sql)

    @property
    def _lock(self) -> int:
        return int.from_bytes(self._prefix.encode()[-7:], "big")


def _of_member(member: int, rows: Rows) -> tuple[Any, ...]:
    """Return the first of the rows that there are where the member's lease holds.

    Raises:
        LeaseLostError: There are none.
    """
    if not rows:
        raise LeaseLostError(member)
    return rows[0]


def _taken_of(rows: Rows, origin: Origin) -> list[Taken]:
    return [Taken(ref, age, origin) for ref, age in rows]
