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
from .postgres_run import Run, check_lease, members_of, outcomes_of, taken_of
from .postgres_statements import composed
from .postgres_wire import TRUE, Row, Value

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
            raise ValueError(f"the fleet's url {shown(url)!r:.80} cannot be read") from None
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
            version = run.wire.server_version
            if version < _OLDEST:
                raise FleetError(
                    f"Postgres {version // 10000} is too old for a fleet: {_OLDEST // 10000} or "
                    "newer is needed"
                )
            # Looked for first: who may use the tables need not be allowed to make them.
            table = f"{self._prefix}_members"
            ((exists,),) = await run("exists", table=table)
            if exists != TRUE:
                if not create:
                    raise FleetNotFoundError(f"{self._where} holds no fleet named {self._name!r}")
                await run.together("begin", "idle_limit", "lock", lock=self._lock)
                await run.wire.together(self._schema + b"COMMIT", {})

        try:
            await self._connection.transaction(open)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        await self._connection.close()

    async def add(self, refs: Sequence[str]) -> int:
        ((count,),) = await self._connection.statement(lambda run: run("add", refs=refs))
        new = int(count)
        self._added += new
        if self._added >= self._analyze_at:
            self._analyze_at = self._added * _ANALYZE_AGAIN
            await self._connection.statement(lambda run: run("analyze"))
        return new

    async def join(self, kind: Kind, name: str) -> int:
        report = msgspec.json.encode(Member(id=0, kind=kind, name=name))
        values: dict[str, Value] = {"kind": int(kind), "lease": self.lease, "report": report}
        ((number,),) = await self._connection.statement(lambda run: run("join", **values))
        return int(number)

    async def beat(self, member: int, decide: Decide) -> bool:
        async def beat(run: Run) -> bool:
            first = ("begin", "idle_limit", "lock", "members")
            *_, members = await run.together(*first, lock=self._lock)
            report = decide(members_of(members))
            rows, _ = await run.together("beat", "commit", **self._values(member, report))
            if not rows:
                raise LeaseLostError(member)
            return not self.noted(rows[0][0] == TRUE)

        return await self._connection.transaction(beat)

    async def renew(self, member: int, report: Report) -> tuple[list[Member], bool]:
        rows = await self._connection.statement(
            lambda run: run("renew", **self._values(member, report()))
        )
        if not rows:
            raise LeaseLostError(member)
        return members_of([row[:3] for row in rows]), not self.noted(rows[0][3] == TRUE)

    def _values(self, member: int, report: Member) -> dict[str, Value]:
        encoded = msgspec.json.encode(report)
        return {"member": member, "lease": self.lease, "held": report.held, "report": encoded}

    async def leave(self, member: int) -> None:
        await self._connection.statement(lambda run: run("leave", member=member))

    async def take(self, member: int, call: int, allow: Allow) -> list[Taken]:
        ids = {"member": member, "call": call}

        async def take(run: Run) -> list[Taken]:
            first = ("begin", "idle_limit", "alive", "members", "gone", "free")
            values = {**ids, "kind": int(Kind.WORKER), "most": MOST_COUNTED}
            *_, me, members, leavers, ((free,),) = await run.together(*first, **values)
            if not me:
                raise LeaseLostError(member)
            if me[0][0] and int(me[0][0]) >= call:
                raise StaleCallError
            self.noted(not leavers and not int(free))
            most = allow(members_of(members), int(free))
            taken = await self._take_over(run, leavers, most, ids)
            left = most - len(taken)
            if left <= 0 and not is_in_doubt:
                await run("commit")
                return taken
            # Also for none, where in doubt: what is late is to find the call's number.
            fence = call + 1 if taken else call
            rows, _ = await run.together("take", "commit", **ids, fence=fence, most=max(left, 0))
            if not int(rows[0][0]):
                raise StaleCallError
            return taken + taken_of([row[1:] for row in rows if row[1]], Origin.NEW)

        is_in_doubt = member in self._in_doubt
        # Where there were some there are more, mostly: no look at whether there are any.
        if not self._found and not is_in_doubt and await self._is_idle(member, call):
            return []
        self._in_doubt.add(member)
        try:
            found = await self._connection.transaction(take)
        except StaleCallError:
            found = taken_of(
                await self._connection.statement(lambda run: run("taken", **ids)),
                Origin.HANDED_OVER,
            )
        self._in_doubt.discard(member)
        self._found = bool(found)
        return found

    async def _is_idle(self, member: int, call: int) -> bool:
        rows = await self._connection.statement(lambda run: run("is_idle", member=member))
        if not rows:
            raise LeaseLostError(member)
        last, idle = rows[0]
        return last != str(call) and self.noted(idle == TRUE)

    async def _take_over(
        self, run: Run, leavers: Sequence[Row], most: int, ids: dict[str, int]
    ) -> list[Taken]:
        """Take over what members hold who are gone."""
        taken: list[Taken] = []
        for gone, gave in leavers:
            if (left := most - len(taken)) <= 0:
                break
            found = await run("take_over", **ids, gone=int(gone), most=left)
            taken += taken_of(found, Origin.HANDED_OVER if gave == TRUE else Origin.ORPHAN)
            if len(found) < left:
                await self.remove(run, int(gone))
        if taken and not await run("took", **ids, fence=ids["call"], count=len(taken)):
            raise StaleCallError
        return taken

    async def remove(self, run: Run, gone: int) -> None:
        """Remove a member who is gone, if nothing is left of what it held.

        In three statements, each of which sees what was committed before it: in one, it would
        not see what a take has committed while it waited for that take's lock.
        """
        if not await run("lock_gone", gone=gone):
            return  # it takes, or others take from it
        ((holds,),) = await run("holds", gone=gone)
        if holds != TRUE:
            await run("remove", gone=gone)

    async def held(self, member: int, most: int) -> list[str]:
        rows = await self._connection.statement(lambda run: run("held", member=member, most=most))
        return [ref for (ref,) in rows]

    async def give(self, member: int, refs: Sequence[str]) -> None:
        await self._connection.statement(lambda run: run("give", member=member, refs=refs))

    async def record(self, member: int, outcomes: Sequence[tuple[str, bytes]]) -> int:
        if not outcomes:
            return 0
        refs, lines = zip(*outcomes, strict=True)
        values: dict[str, Value] = {"member": member, "refs": refs, "outcomes": lines}
        ((is_member, count, idle),) = await self._connection.statement(
            lambda run: run("record", **values)
        )
        if not int(is_member):
            raise LeaseLostError(member)
        self.noted(idle == TRUE)
        return int(count)

    async def read(self, member: int, done: Sequence[str], most: int) -> list[tuple[str, bytes]]:
        if not done:
            rows = await self._connection.statement(lambda run: run("is_read", member=member))
            if not rows:
                raise LeaseLostError(member)
            if rows[0][0] == TRUE:
                return []
        values: dict[str, Value] = {"member": member, "refs": done, "most": most}
        rows = await self._connection.statement(lambda run: run("finish_and_read", **values))
        is_member, has_more, *_ = rows[0]
        if not int(is_member):
            raise LeaseLostError(member)
        if not int(has_more):
            return outcomes_of([row[2:] for row in rows if row[2]])
        return await self._connection.transaction(
            lambda run: self._read_over(run, member, done, most)
        )

    async def _read_over(
        self, run: Run, member: int, done: Sequence[str], most: int
    ) -> list[tuple[str, bytes]]:
        """Read first what the reader has already, or a dead one has left."""
        await run.together("begin", "idle_limit")
        await check_lease(run, member)
        if done:
            await run("finish", member=member, refs=done)
        rows = await run("reading", member=member)
        for gone, _ in await run("gone", kind=int(Kind.READER)):
            if (left := most - len(rows)) <= 0:
                break
            found = await run("read_over", member=member, gone=int(gone), most=left)
            rows += found
            if len(found) < left:
                await self.remove(run, int(gone))
        if (left := most - len(rows)) > 0:
            rows += await run("read", member=member, most=left)
        await run("commit")
        return outcomes_of(rows)

    async def counts(self) -> Counts:
        rows = await self._connection.statement(lambda run: run("counts"))
        waiting, held, ended, reading, done, *ages = rows[0][:_COUNTS]
        return Counts(
            waiting=int(waiting),
            held=int(held),
            ended=int(ended),
            reading=int(reading),
            done=int(done),
            oldest=max((float(age) for age in ages if age), default=None),
            members=members_of([row[_COUNTS:] for row in rows if row[_COUNTS]]),
        )

    async def finished(self) -> bool:
        ((unfinished,),) = await self._connection.statement(lambda run: run("unfinished"))
        return unfinished != TRUE

    async def forget(self, keep: float, most: int) -> int:
        ((count,),) = await self._connection.statement(
            lambda run: run("forget", keep=keep, most=most)
        )
        return int(count)

    def queue_on(self, connection: AsyncConnection[Any]) -> TransactionQueue:
        """Return a queue whose outcomes are read and done in a connection of the caller's."""
        return TransactionQueue(connection, self.sql)

    @property
    def _lock(self) -> int:
        return int.from_bytes(self._prefix.encode()[-7:], "big")
