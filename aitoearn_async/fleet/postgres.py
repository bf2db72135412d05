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

from .errors import FleetError, FleetNotFoundError, LeaseLostError, shown
from .ledger import MOST_COUNTED, Allow, Counts, Decide, Kind, Ledger, Member, Origin, Report, Taken
from .postgres_connection import Connection, StaleCallError
from .postgres_queue import TransactionQueue
from .postgres_run import Run, check_lease, members_of, one, taken_of
from .postgres_statements import composed

_OLDEST = 120000
"""The first server version whose planner and partial indexes these statements were tried on."""
_ANALYZE_FROM, _ANALYZE_AGAIN = 1_000, 10
"""After how many added refs the planner is told of them, and by what factor until the next time.

Before that it believes that the table is small, and sorts all that wait for each take."""

_COUNTS = 7
"""Columns of `counts` that are the same in each row; what follows is a member."""


class PostgresLedger(Ledger):
    """A ledger in two tables, `aitoearn_NAME_refs` and `aitoearn_NAME_members`.

    Args:
        url: The database: what libpq takes, as `postgresql://user@host/database`.
        name: The name of the fleet: several share a database.
        lease: Seconds from a beat until a member counts as dead.

    Raises:
        ValueError: libpq cannot read the address.
    """

    def __init__(self, url: str, name: str = "fleet", lease: float = 15.0) -> None:
        try:
            conninfo_to_dict(url)
        except psycopg.ProgrammingError:
            # Its message would show the password.
            raise ValueError(
                f"the fleet's url {shown(url)!r:.80} cannot be read: give "
                "postgresql://user@host/database"
            ) from None
        self.lease = lease
        self._where = shown(url)
        self._name = name
        self._prefix = f"aitoearn_{name}"
        self._found = False  # refs, when they were last taken
        self._in_doubt: set[int] = set()  # members whose last take may have been carried out
        self._added = 0
        self._analyze_at = _ANALYZE_FROM
        self.sql: dict[str, bytes]
        self._schema, self.sql = composed(self._prefix)
        self._connection = Connection(url, self.sql)

    async def open(self, *, create: bool = True) -> None:
        self._connection.open()

        async def open(run: Run) -> None:
            version = run.cursor.connection.info.server_version
            if version < _OLDEST:
                raise FleetError(
                    f"Postgres {version // 10000} is too old for a fleet: {_OLDEST // 10000} or "
                    "newer is needed"
                )
            # Looked for first: who may use the tables need not be allowed to make them.
            table = f"{self._prefix}_members"
            if not (await one(await run("exists", table=table)))[0]:
                if not create:
                    raise FleetNotFoundError(f"{self._where} holds no fleet named {self._name!r}")
                await run("lock", lock=self._lock)
                await run.cursor.execute(self._schema)

        try:
            await self._connection.transaction(open)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        await self._connection.close()

    async def add(self, refs: Sequence[str]) -> int:
        async def add(run: Run) -> int:
            return (await run("add", refs=list(refs))).rowcount

        new = await self._connection.statement(add)
        self._added += new
        if self._added >= self._analyze_at:
            self._analyze_at = self._added * _ANALYZE_AGAIN
            await self._connection.statement(lambda run: run("analyze"))
        return new

    async def join(self, kind: Kind, name: str) -> int:
        report = msgspec.json.encode(Member(id=0, kind=kind, name=name))

        async def join(run: Run) -> int:
            rows = await run("join", kind=int(kind), lease=self.lease, report=report)
            return int((await one(rows))[0])

        return await self._connection.statement(join)

    async def beat(self, member: int, decide: Decide) -> bool:
        async def beat(run: Run) -> bool:
            first = ("begin", "idle_limit", "lock", "members")
            *_, members = await run.together(*first, lock=self._lock)
            report = decide(members_of(members))
            rows, _ = await run.together("beat", "commit", **self._values(member, report))
            if not rows:
                raise LeaseLostError(member)
            return not self.noted(rows[0][0])

        return await self._connection.messages(beat)

    async def renew(self, member: int, report: Report) -> tuple[list[Member], bool]:
        async def renew(run: Run) -> tuple[list[Member], bool]:
            rows = await (await run("renew", **self._values(member, report()))).fetchall()
            if not rows:
                raise LeaseLostError(member)
            return members_of([row[:3] for row in rows]), not self.noted(rows[0][3])

        return await self._connection.statement(renew)

    def _values(self, member: int, report: Member) -> dict[str, Any]:
        values = {"member": member, "lease": self.lease, "held": report.held}
        return {**values, "report": msgspec.json.encode(report)}

    async def leave(self, member: int) -> None:
        await self._connection.statement(lambda run: run("leave", member=member))

    async def take(self, member: int, call: int, allow: Allow) -> list[Taken]:
        ids = {"member": member, "call": call}

        async def take(run: Run) -> list[Taken]:
            first = ("begin", "idle_limit", "alive", "members", "gone", "free")
            values = {**ids, "kind": int(Kind.WORKER), "most": MOST_COUNTED}
            *_, me, members, leavers, free = await run.together(*first, **values)
            if not me:
                raise LeaseLostError(member)
            if me[0][0] is not None and me[0][0] >= call:
                raise StaleCallError
            self.noted(not leavers and not free[0][0])
            most = allow(members_of(members), free[0][0])
            taken = await self._take_over(run, leavers, most, ids)
            left = most - len(taken)
            if left <= 0 and not is_in_doubt:
                await run("commit")
                return taken
            # Also for none, where in doubt: what is late is to find the call's number.
            fence = call + 1 if taken else call
            rows, _ = await run.together("take", "commit", **ids, fence=fence, most=max(left, 0))
            if not rows[0][0]:
                raise StaleCallError
            return taken + taken_of([row[1:] for row in rows if row[1]], Origin.NEW)

        async def taken(run: Run) -> list[Taken]:
            return taken_of(await (await run("taken", **ids)).fetchall(), Origin.HANDED_OVER)

        is_in_doubt = member in self._in_doubt
        # Where there were some there are more, mostly: no look at whether there are any.
        if not self._found and not is_in_doubt and await self._is_idle(member, call):
            return []
        self._in_doubt.add(member)
        try:
            found = await self._connection.messages(take)
        except StaleCallError:
            found = await self._connection.statement(taken)
        self._in_doubt.discard(member)
        self._found = bool(found)
        return found

    async def _is_idle(self, member: int, call: int) -> bool:
        async def is_idle(run: Run) -> bool:
            row = await (await run("is_idle", member=member)).fetchone()
            if row is None:
                raise LeaseLostError(member)
            return row[0] != call and self.noted(row[1])

        return await self._connection.statement(is_idle)

    async def _take_over(
        self, run: Run, leavers: Sequence[tuple[Any, ...]], most: int, ids: dict[str, int]
    ) -> list[Taken]:
        """Take over what members hold who are gone."""
        taken: list[Taken] = []
        for gone, gave in leavers:
            if (left := most - len(taken)) <= 0:
                break
            found = await (await run("take_over", **ids, gone=gone, most=left)).fetchall()
            taken += taken_of(found, Origin.HANDED_OVER if gave else Origin.ORPHAN)
            if len(found) < left:
                await self.remove(run, gone)
        if taken:
            took = await run("took", **ids, fence=ids["call"], count=len(taken))
            if not took.rowcount:
                raise StaleCallError
        return taken

    async def remove(self, run: Run, gone: int) -> None:
        """Remove a member who is gone, if nothing is left of what it held.

        In three statements, each of which sees what was committed before it: in one, it would
        not see what a take has committed while it waited for that take's lock.
        """
        if await (await run("lock_gone", gone=gone)).fetchone() is None:
            return  # it takes, or others take from it
        if not (await one(await run("holds", gone=gone)))[0]:
            await run("remove", gone=gone)

    async def held(self, member: int, most: int) -> list[str]:
        async def held(run: Run) -> list[str]:
            return [ref async for (ref,) in await run("held", member=member, most=most)]

        return await self._connection.statement(held)

    async def give(self, member: int, refs: Sequence[str]) -> None:
        await self._connection.statement(lambda run: run("give", member=member, refs=list(refs)))

    async def record(self, member: int, outcomes: Sequence[tuple[str, bytes]]) -> int:
        async def record(run: Run) -> int:
            refs, lines = zip(*outcomes, strict=True)
            values = {"refs": list(refs), "outcomes": list(lines)}
            is_member, count, is_idle = await one(await run("record", member=member, **values))
            if not is_member:
                raise LeaseLostError(member)
            self.noted(is_idle)
            return int(count)

        return await self._connection.statement(record) if outcomes else 0

    async def read(self, member: int, done: Sequence[str], most: int) -> list[tuple[str, bytes]]:
        async def is_idle(run: Run) -> bool:
            row = await (await run("is_read", member=member)).fetchone()
            if row is None:
                raise LeaseLostError(member)
            return bool(row[0])

        async def finish_and_read(run: Run) -> list[tuple[str, bytes]] | None:
            """Mark some as done and read the next; None if others are to be read first."""
            values = {"member": member, "refs": list(done), "most": most}
            rows = await (await run("finish_and_read", **values)).fetchall()
            is_member, has_more, *_ = rows[0]
            if not is_member:
                raise LeaseLostError(member)
            return None if has_more else [(ref, line) for _, _, ref, line in rows if ref]

        if not done and await self._connection.statement(is_idle):
            return []
        rows = await self._connection.statement(finish_and_read)
        if rows is not None:
            return rows
        return await self._connection.transaction(
            lambda run: self._read_over(run, member, done, most)
        )

    async def _read_over(
        self, run: Run, member: int, done: Sequence[str], most: int
    ) -> list[tuple[str, bytes]]:
        """Read first what the reader has already, or a dead one has left."""
        await check_lease(run, member)
        if done:
            await run("finish", member=member, refs=list(done))
        rows: list[tuple[str, bytes]] = await (await run("reading", member=member)).fetchall()
        for gone, _ in await (await run("gone", kind=int(Kind.READER))).fetchall():
            if (left := most - len(rows)) <= 0:
                break
            more = await run("read_over", member=member, gone=gone, most=left)
            rows += (found := await more.fetchall())
            if len(found) < left:
                await self.remove(run, gone)
        if (left := most - len(rows)) > 0:
            rows += await (await run("read", member=member, most=left)).fetchall()
        return rows

    async def counts(self) -> Counts:
        async def counts(run: Run) -> Counts:
            rows = await (await run("counts")).fetchall()
            waiting, held, ended, reading, done, *ages = rows[0][:_COUNTS]
            return Counts(
                waiting=waiting,
                held=held,
                ended=ended,
                reading=reading,
                done=done,
                oldest=max((age for age in ages if age is not None), default=None),
                members=members_of([row[_COUNTS:] for row in rows if row[_COUNTS] is not None]),
            )

        return await self._connection.statement(counts)

    async def finished(self) -> bool:
        async def finished(run: Run) -> bool:
            return not (await one(await run("unfinished")))[0]

        return await self._connection.statement(finished)

    async def forget(self, keep: float, most: int) -> int:
        async def forget(run: Run) -> int:
            return (await run("forget", keep=keep, most=most)).rowcount

        return await self._connection.statement(forget)

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
