"""The ledger in a SQLite file: for all processes of one machine, with no server.

One connection and one thread. A transaction takes the file's write lock when it begins, so all
of them happen one after the other. The clock is the machine's wall clock, which they share.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from .errors import FleetError, FleetNotFoundError, LeaseLostError
from .ledger import MOST_COUNTED, Allow, Counts, Decide, Kind, Ledger, Member, Origin, Taken
from .one_thread import OneThread
from .sqlite_errors import is_full, translated
from .sqlite_statements import SCHEMA, STATEMENTS

T = TypeVar("T")

_OLDEST = (3, 35)
"""The first SQLite that knows RETURNING."""
_LOCK_SECONDS = 10.0
"""Seconds to wait while other processes write."""
_PAGES_OF_LOG = 100
"""Pages of SQLite's log after which it goes into the file: on a full disk it cannot, if the file is
to grow, and each commit needs the log."""


class SqliteLedger(Ledger):
    """A ledger in two tables of a file, `aitoearn_NAME_refs` and `aitoearn_NAME_members`.

    Args:
        path: The file. Where there is none, it is made; its directory has to be there.
        name: The name of the fleet: several share a file.
        lease: Seconds from a beat until a member counts as dead.
    """

    def __init__(self, path: str | Path, name: str = "fleet", lease: float = 15.0) -> None:
        self.lease = lease
        self._path = Path(path)
        self._name = name
        self._connection: sqlite3.Connection | None = None
        self._thread: OneThread | None = None
        self._turn = asyncio.Lock()
        tables = {key: f"aitoearn_{name}_{key}" for key in ("refs", "members")}
        self._schema = SCHEMA.format(**tables)
        self.sql: dict[str, str] = {key: text.format(**tables) for key, text in STATEMENTS.items()}

    @staticmethod
    def clock() -> float:
        """Return the time, in seconds, by the clock that all processes of the machine share."""
        return time.time()

    async def open(self, *, create: bool = True) -> None:
        if sqlite3.sqlite_version_info < _OLDEST:
            raise FleetError(
                f"SQLite {sqlite3.sqlite_version} is too old for a fleet: this Python needs to be "
                f"linked with {'.'.join(map(str, _OLDEST))} or newer"
            )
        self._thread = OneThread("aitoearn-async fleet")
        self._turn = asyncio.Lock()  # of the loop that runs now
        try:
            await self._call(lambda: self._open(create=create))
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        if self._thread is not None:
            thread, self._thread = self._thread, None
            try:
                await _uninterrupted(thread, self._close)
            finally:
                thread.shutdown()

    async def add(self, refs: Sequence[str]) -> int:
        text = msgspec.json.encode(refs).decode()
        return await self._transaction(lambda run: run("add", refs=text).rowcount)

    async def join(self, kind: Kind, name: str) -> int:
        report = msgspec.json.encode(Member(id=0, kind=kind, name=name))

        def join(run: _Run) -> int:
            (number,) = run("join", kind=int(kind), lease=self.lease, report=report).fetchone()
            return int(number)

        return await self._transaction(join)

    async def beat(self, member: int, decide: Decide) -> bool:
        def beat(run: _Run) -> bool:
            _check_lease(run, member)
            report = decide(_members(run))
            run(
                "beat",
                member=member,
                lease=self.lease,
                held=report.held,
                report=msgspec.json.encode(report),
            )
            return not _has_something(run, Kind.WORKER, "is_waiting")

        return not self.noted(await self._transaction(beat))

    async def leave(self, member: int) -> None:
        await self._transaction(lambda run: run("leave", member=member))

    async def take(self, member: int, call: int, allow: Allow) -> list[Taken]:
        def is_idle(run: _Run) -> bool:
            is_new = _check_lease(run, member) != call
            return is_new and not _has_something(run, Kind.WORKER, "is_waiting")

        def take(run: _Run) -> list[Taken]:
            last = _check_lease(run, member)
            if last is not None and last >= call:
                rows = run("taken", member=member, call=call).fetchall()
                return [Taken(ref, age, Origin.HANDED_OVER) for ref, age in rows]
            (free,) = run("free", most=MOST_COUNTED).fetchone()
            most = allow(_members(run), free)
            taken: list[Taken] = []
            ids = {"member": member, "call": call}
            for gone, gave in run("gone", kind=int(Kind.WORKER)).fetchall():
                if (left := most - len(taken)) <= 0:
                    break
                rows = run("take_over", **ids, gone=gone, most=left).fetchall()
                origin = Origin.HANDED_OVER if gave else Origin.ORPHAN
                taken += [Taken(ref, age, origin) for ref, age in rows]
                if len(rows) < left:
                    run("remove", member=gone)
            if (left := most - len(taken)) > 0:
                rows = run("take", **ids, most=left).fetchall()
                taken += [Taken(ref, age, Origin.NEW) for ref, age in rows]
            if taken:
                run("took", **ids, count=len(taken))
            return taken

        return [] if self.noted(await self._look(is_idle)) else await self._transaction(take)

    async def held(self, member: int, most: int) -> list[str]:
        def held(run: _Run) -> list[str]:
            return [ref for (ref,) in run("held", member=member, most=most)]

        return await self._look(held)

    async def give(self, member: int, refs: Sequence[str]) -> None:
        def give(run: _Run) -> None:
            (giver,) = run("giver").fetchone()
            text = msgspec.json.encode(refs).decode()
            count = run("give", member=member, giver=giver, refs=text).rowcount
            run("let_go", member=member, count=count)

        await self._transaction(give)

    async def record(self, member: int, outcomes: Sequence[tuple[str, bytes]]) -> int:
        def record(run: _Run) -> tuple[int, bool]:
            _check_lease(run, member)
            count = sum(
                run("record", member=member, ref=ref, outcome=outcome).rowcount
                for ref, outcome in outcomes
            )
            run("let_go", member=member, count=count)
            return count, not _has_something(run, Kind.WORKER, "is_waiting")

        count, is_idle = await self._transaction(record)
        self.noted(is_idle)
        return count

    async def read(self, member: int, done: Sequence[str], most: int) -> list[tuple[str, bytes]]:
        def is_idle(run: _Run) -> bool:
            _check_lease(run, member)
            reading = run("reading", member=member).fetchone()
            return reading is None and not _has_something(run, Kind.READER, "is_ended")

        def read(run: _Run) -> list[tuple[str, bytes]]:
            _check_lease(run, member)
            if done:
                run("finish", member=member, refs=msgspec.json.encode(done).decode())
            rows: list[tuple[str, bytes]] = run("reading", member=member).fetchall()
            for gone, _ in run("gone", kind=int(Kind.READER)).fetchall():
                if (left := most - len(rows)) <= 0:
                    break
                more = run("read_over", member=member, gone=gone, most=left).fetchall()
                rows += more
                if len(more) < left:
                    run("remove", member=gone)
            if (left := most - len(rows)) > 0:
                rows += run("read", member=member, most=left).fetchall()
            return rows

        return [] if not done and await self._look(is_idle) else await self._transaction(read)

    async def counts(self) -> Counts:
        def counts(run: _Run) -> Counts:
            waiting, held, ended, reading, done, *ages = run("counts").fetchone()
            return Counts(
                waiting=waiting,
                held=held,
                ended=ended,
                reading=reading,
                done=done,
                oldest=max((age for age in ages if age is not None), default=None),
                members=_members(run),
            )

        return await self._look(counts)

    async def finished(self) -> bool:
        return await self._look(lambda run: not run("unfinished").fetchone()[0])

    async def forget(self, keep: float, most: int) -> int:
        return await self._transaction(lambda run: run("forget", keep=keep, most=most).rowcount)

    # What runs in the thread.

    def _open(self, *, create: bool) -> None:
        if not create:
            self._check_there()
        connection = sqlite3.connect(
            self._path, timeout=_LOCK_SECONDS, isolation_level=None, check_same_thread=False
        )
        self._connection = connection
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_PAGES_OF_LOG}")
        connection.executescript(f"BEGIN IMMEDIATE; {self._schema} COMMIT;")

    def _check_there(self) -> None:
        path = self._path.absolute()
        try:
            os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            raise FleetNotFoundError(f"{path} does not exist") from None
        except OSError:
            pass  # SQLite says what is wrong with it
        with contextlib.closing(sqlite3.connect(path, timeout=_LOCK_SECONDS)) as connection:
            if connection.execute(self.sql["exists"]).fetchone() is None:
                raise FleetNotFoundError(f"{path} holds no fleet named {self._name!r}")

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _run(self, name: str, **values: Any) -> sqlite3.Cursor:
        assert self._connection is not None
        return self._connection.execute(self.sql[name], {"now": self.clock(), **values})

    def _with_room(self, call: Callable[[], T]) -> T:
        """Call again where the disk was full, and what is in the log fits into the file itself."""
        try:
            return call()
        except sqlite3.Error as error:
            if self._connection is None or not is_full(error):
                raise
            with contextlib.suppress(sqlite3.Error):
                # A commit that fails does not do this, so the log would fill the disk for ever.
                self._connection.execute("PRAGMA wal_checkpoint")
        return call()

    def _in_transaction(self, steps: Callable[[_Run], T], begin: str = "BEGIN IMMEDIATE") -> T:
        connection = self._connection
        assert connection is not None
        connection.execute(begin)
        try:
            result = steps(self._run)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return result

    async def _transaction(self, steps: Callable[[_Run], T]) -> T:
        return await self._call(lambda: self._in_transaction(steps))

    async def _look(self, steps: Callable[[_Run], T]) -> T:
        """Look, and write nothing: readers and writers of a file do not wait for each other."""
        return await self._call(lambda: self._in_transaction(steps, "BEGIN"))

    async def _call(self, call: Callable[[], T]) -> T:
        async with self._turn:  # whoever called before knows what came of it
            if self._thread is None:
                raise FleetError("the fleet is closed; make a new one")
            try:
                return await _uninterrupted(self._thread, lambda: self._with_room(call))
            except sqlite3.Error as error:
                raise translated(error, self._path) from error


_Run = Callable[..., sqlite3.Cursor]


async def _uninterrupted(thread: OneThread, call: Callable[[], T]) -> T:
    """Call it in the thread. A cancellation comes through when the call is done."""
    future = asyncio.get_running_loop().run_in_executor(thread, call)
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError as exc:
            cancelled = exc
    if cancelled is not None:
        future.exception()  # looked at, so that nobody complains that it was not
        raise cancelled
    return future.result()


def _check_lease(run: _Run, member: int) -> int | None:
    row = run("alive", member=member).fetchone()
    if row is None:
        raise LeaseLostError(member)
    call: int | None = row[0]
    return call


def _has_something(run: _Run, kind: Kind, statement: str) -> bool:
    if run("gone", kind=int(kind)).fetchone() is not None:
        return True
    return bool(run(statement).fetchone()[0])


def _members(run: _Run) -> list[Member]:
    members: list[Member] = []
    for number, held, report in run("members"):
        member = msgspec.json.decode(report, type=Member)
        member.id, member.held = number, held
        members.append(member)
    return members
