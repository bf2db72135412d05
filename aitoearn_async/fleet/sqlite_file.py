"""The file of a ledger in SQLite: one connection to it, in a thread of its own.

A transaction takes the file's write lock when it begins, so all of them happen one after the other.
The clock is the machine's wall clock, which all of its processes share.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from .connection import Connection
from .errors import FleetError, FleetNotFoundError, FleetUnavailableError
from .one_thread import OneThread

T = TypeVar("T")
Run = Callable[..., sqlite3.Cursor]
"""Runs a statement, by its name, with these values."""

_LOCK_SECONDS = 10.0
"""Seconds to wait while other processes write."""
_PAGES_OF_LOG = 100
"""Pages of SQLite's log after which it goes into the file: on a full disk it cannot, if the file is
to grow, and each commit needs the log."""

_HOPELESS = {
    "SQLITE_READONLY": "it cannot be written to",
    "SQLITE_CANTOPEN": "it cannot be opened; is its directory there, and may it be written to?",
    "SQLITE_NOTADB": "it is no SQLite database",
    "SQLITE_CORRUPT": "it is damaged",
    "SQLITE_PERM": "it may not be used by this user",
    "SQLITE_ERROR": "its tables are not those of a fleet of this version",
}
_PASSING = {
    "SQLITE_BUSY": "another process keeps it locked",
    "SQLITE_PROTOCOL": "another process keeps it locked",
    "SQLITE_FULL": "its disk is full",
    "SQLITE_IOERR_SHMSIZE": "its disk is full",
    "SQLITE_IOERR": "its disk fails",
}

_FULL = ("SQLITE_FULL", "SQLITE_IOERR_WRITE")


class SqliteFile(Connection):
    """A file. Where there is none, it is made; its directory has to be there."""

    def __init__(self, path: Path, statements: dict[str, str]) -> None:
        super().__init__()
        self.path = path
        self._sql = statements
        self._connection: sqlite3.Connection | None = None
        self._thread: OneThread | None = None

    @staticmethod
    def clock() -> float:
        """Return the time, in seconds, by the clock that all processes of the machine share."""
        return time.time()

    def open(self) -> None:
        super().open()
        self._thread = OneThread("aitoearn-async fleet")

    async def close(self) -> None:
        """Close it, when the call that runs is over."""
        self._closed = True
        if self._thread is not None:
            thread, self._thread = self._thread, None
            try:
                await _uninterrupted(thread, self._disconnect)
            finally:
                thread.shutdown()

    def transaction(self, steps: Callable[[Run], T]) -> Coroutine[Any, Any, T]:
        """Run steps in a transaction."""
        return self.call(lambda: self._in_transaction(steps, "BEGIN IMMEDIATE"))

    def look(self, steps: Callable[[Run], T]) -> Coroutine[Any, Any, T]:
        """Look, and write nothing: readers and writers of a file do not wait for each other."""
        return self.call(lambda: self._in_transaction(steps, "BEGIN"))

    def call(self, call: Callable[[], T]) -> Coroutine[Any, Any, T]:
        """Make a call in the thread."""
        return self.in_turn(lambda: self._in_thread(call))

    async def _in_thread(self, call: Callable[[], T]) -> T:
        assert self._thread is not None
        try:
            return await _uninterrupted(self._thread, lambda: self._with_room(call))
        except sqlite3.Error as error:
            raise translated(error, self.path) from error

    # What runs in the thread.

    def connect(self) -> None:
        """Connect, and make the tables that are not there."""
        self._connection = sqlite3.connect(
            self.path, timeout=_LOCK_SECONDS, isolation_level=None, check_same_thread=False
        )
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute(f"PRAGMA wal_autocheckpoint = {_PAGES_OF_LOG}")
        self._connection.executescript(f"BEGIN IMMEDIATE; {self._sql['schema']} COMMIT;")

    def check_there(self, name: str) -> None:
        """Check that the file holds the fleet of this name.

        Raises:
            FleetNotFoundError: It does not.
        """
        path = self.path.absolute()
        try:
            os.stat(path)
        except (FileNotFoundError, NotADirectoryError) as error:
            # By the cause the command line knows that there is a file which it can make.
            raise FleetNotFoundError(f"{path} does not exist") from error
        except OSError:
            pass  # SQLite says what is wrong with it
        with contextlib.closing(sqlite3.connect(path, timeout=_LOCK_SECONDS)) as connection:
            if connection.execute(self._sql["exists"]).fetchone() is None:
                raise FleetNotFoundError(f"{path} holds no fleet named {name!r}")

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _run(self, name: str, **values: Any) -> sqlite3.Cursor:
        assert self._connection is not None
        return self._connection.execute(self._sql[name], {"now": self.clock(), **values})

    def _with_room(self, call: Callable[[], T]) -> T:
        """Call again where the disk was full, and what is in the log fits into the file itself."""
        try:
            return call()
        except sqlite3.Error as error:
            if self._connection is None or not _is_full(error):
                raise
            with contextlib.suppress(sqlite3.Error):
                # A commit that fails does not do this, so the log would fill the disk for ever.
                self._connection.execute("PRAGMA wal_checkpoint")
        return call()

    def _in_transaction(self, steps: Callable[[Run], T], begin: str) -> T:
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


async def _uninterrupted(thread: OneThread, call: Callable[[], T]) -> T:
    """Make a call in the thread. A cancellation comes through when the call is done."""
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


def _is_full(error: sqlite3.Error) -> bool:
    """Return whether there was no room on the disk."""
    return _name(error).startswith(_FULL)


def _name(error: sqlite3.Error) -> str:
    return getattr(error, "sqlite_errorname", "SQLITE_ERROR")


def translated(error: sqlite3.Error, path: Path) -> FleetError:
    """Return the fleet's error for one of SQLite's."""
    name = _name(error)
    for code, reason in _PASSING.items():
        if name.startswith(code):
            return FleetUnavailableError(f"the fleet's file {path}: {reason} ({error})")
    reason = next((text for code, text in _HOPELESS.items() if name.startswith(code)), "failed")
    if os.path.isdir(path):  # which takes a name that is too long for none
        reason = "it is a directory; give the path of a file in it"
    return FleetError(f"the fleet's file {path}: {reason} ({error})")
