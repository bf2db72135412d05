"""The ledger in a SQLite file: for all processes of one machine, with no server."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from .errors import FleetError, LeaseLostError
from .ledger import (
    MOST_COUNTED,
    Allow,
    Counts,
    Decide,
    Kind,
    Ledger,
    Member,
    Origin,
    Taken,
    counts_of,
    members_of,
)
from .sqlite_file import Run, SqliteFile
from .sqlite_statements import STATEMENTS

_OLDEST = (3, 35)
"""The first SQLite that knows RETURNING."""


class SqliteLedger(Ledger):
    """A ledger in two tables of a file, `aitoearn_NAME_refs` and `aitoearn_NAME_members`.

    Args:
        path: The file. Where there is none, it is made; its directory has to be there.
    """

    def __init__(self, path: str | Path, name: str = "fleet", lease: float = 15.0) -> None:
        self.lease = lease
        self._name = name
        tables = {key: f"aitoearn_{name}_{key}" for key in ("refs", "members")}
        self.sql: dict[str, str] = {key: text.format(**tables) for key, text in STATEMENTS.items()}
        self._file = SqliteFile(Path(path), self.sql)

    async def open(self, *, create: bool = True) -> None:
        if sqlite3.sqlite_version_info < _OLDEST:
            raise FleetError(
                f"SQLite {sqlite3.sqlite_version} is too old for a fleet: this Python needs to be "
                f"linked with {'.'.join(map(str, _OLDEST))} or newer"
            )
        self._file.open()
        try:
            if not create:
                await self._file.call(lambda: self._file.check_there(self._name))
            await self._file.call(self._file.connect)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        await self._file.close()

    async def add(self, refs: Sequence[str]) -> int:
        text = msgspec.json.encode(refs).decode()
        return await self._file.transaction(lambda run: run("add", refs=text).rowcount)

    async def join(self, kind: Kind, name: str) -> int:
        report = msgspec.json.encode(Member(id=0, kind=kind, name=name))

        def join(run: Run) -> int:
            (number,) = run("join", kind=int(kind), lease=self.lease, report=report).fetchone()
            return int(number)

        return await self._file.transaction(join)

    async def beat(self, member: int, decide: Decide) -> bool:
        def beat(run: Run) -> bool:
            _check_lease(run, member)
            report = decide(members_of(run("members")))
            run(
                "beat",
                member=member,
                lease=self.lease,
                held=report.held,
                report=msgspec.json.encode(report),
            )
            return not _has_something(run, Kind.WORKER, "is_waiting")

        return not self.note_idle(await self._file.transaction(beat))

    async def leave(self, member: int) -> None:
        await self._file.transaction(lambda run: run("leave", member=member))

    async def take(self, member: int, call: int, allow: Allow) -> list[Taken]:
        def is_idle(run: Run) -> bool:
            is_new = _check_lease(run, member) != call
            return is_new and not _has_something(run, Kind.WORKER, "is_waiting")

        def take(run: Run) -> list[Taken]:
            last = _check_lease(run, member)
            if last is not None and last >= call:
                rows = run("taken", member=member, call=call).fetchall()
                return [Taken(ref, age, Origin.HANDED_OVER) for ref, age in rows]
            (free,) = run("free", most=MOST_COUNTED).fetchone()
            most = allow(members_of(run("members")), free)
            ids = {"member": member, "call": call}
            rows = _handed_out(run, Kind.WORKER, ("take_over", "take"), most, **ids)
            if rows:
                run("took", **ids, count=len(rows))
            return [Taken(*row) for row in rows]

        if self.note_idle(await self._file.look(is_idle)):
            return []
        return await self._file.transaction(take)

    async def held(self, member: int, most: int) -> list[str]:
        rows = await self._file.look(lambda run: run("held", member=member, most=most).fetchall())
        return [ref for (ref,) in rows]

    async def give(self, member: int, refs: Sequence[str]) -> None:
        def give(run: Run) -> None:
            (giver,) = run("giver").fetchone()
            text = msgspec.json.encode(refs).decode()
            count = run("give", member=member, giver=giver, refs=text).rowcount
            run("let_go", member=member, count=count)

        await self._file.transaction(give)

    async def record(self, member: int, outcomes: Sequence[tuple[str, bytes]]) -> int:
        def record(run: Run) -> tuple[int, bool]:
            _check_lease(run, member)
            count = sum(
                run("record", member=member, ref=ref, outcome=outcome).rowcount
                for ref, outcome in outcomes
            )
            run("let_go", member=member, count=count)
            return count, not _has_something(run, Kind.WORKER, "is_waiting")

        count, is_idle = await self._file.transaction(record)
        self.note_idle(is_idle)
        return count

    async def read(self, member: int, done: Sequence[str], most: int) -> list[tuple[str, bytes]]:
        def is_idle(run: Run) -> bool:
            _check_lease(run, member)
            reading = run("reading", member=member).fetchone()
            return reading is None and not _has_something(run, Kind.READER, "is_ended")

        def read(run: Run) -> list[tuple[str, bytes]]:
            _check_lease(run, member)
            if done:
                run("finish", member=member, refs=msgspec.json.encode(done).decode())
            rows: list[tuple[str, bytes]] = run("reading", member=member).fetchall()
            statements, left = ("read_over", "read"), most - len(rows)
            more = _handed_out(run, Kind.READER, statements, left, member=member)
            return rows + [(ref, line) for ref, line, _ in more]

        if not done and await self._file.look(is_idle):
            return []
        return await self._file.transaction(read)

    async def counts(self) -> Counts:
        return await self._file.look(
            lambda run: counts_of(run("counts").fetchone(), run("members"))
        )

    async def finished(self) -> bool:
        return await self._file.look(lambda run: not run("unfinished").fetchone()[0])

    async def forget(self, keep: float, most: int) -> int:
        return await self._file.transaction(
            lambda run: run("forget", keep=keep, most=most).rowcount
        )


def _check_lease(run: Run, member: int) -> int | None:
    row = run("alive", member=member).fetchone()
    if row is None:
        raise LeaseLostError(member)
    call: int | None = row[0]
    return call


def _has_something(run: Run, kind: Kind, statement: str) -> bool:
    if run("gone", kind=int(kind)).fetchone() is not None:
        return True
    return bool(run(statement).fetchone()[0])


def _handed_out(
    run: Run, kind: Kind, statements: tuple[str, str], most: int, **values: int
) -> list[tuple[Any, Any, Origin]]:
    """Give a member what others hold who are gone, and then what is new. Return rows, and whence.

    Args:
        run: Runs a statement.
        kind: The kind of the members.
        statements: The one that gives what another holds, and the one that gives what is new.
        most: The number of rows at most.
        values: The values of both.
    """
    over, new = statements
    given: list[tuple[Any, Any, Origin]] = []
    for gone, gave in run("gone", kind=int(kind)).fetchall():
        if (left := most - len(given)) <= 0:
            break
        rows = run(over, **values, gone=gone, most=left).fetchall()
        origin = Origin.HANDED_OVER if gave else Origin.ORPHAN
        given += [(*row, origin) for row in rows]
        if len(rows) < left:
            run("remove", member=gone)
    if (left := most - len(given)) > 0:
        given += [(*row, Origin.NEW) for row in run(new, **values, most=left).fetchall()]
    return given
