"""The connection of a ledger to Postgres, and the statements that are run in it, by name."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, TypeVar

import psycopg
from psycopg import AsyncClientCursor, AsyncConnection, AsyncCursor, waiting
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from .connection import ServerConnection
from .errors import FleetError, unusable, without_password

T = TypeVar("T")
Rows = list[tuple[Any, ...]]

_SECONDS_TO_CONNECT = 4
"""Seconds for one of the address's hosts, unless it says otherwise: then the next one is tried."""

_PASSING = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.errors.ReadOnlySqlTransaction,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.IdleInTransactionSessionTimeout,
    psycopg.errors.SerializationFailure,
)
_HOPELESS = (
    psycopg.errors.InvalidPassword,
    psycopg.errors.InvalidAuthorizationSpecification,
    psycopg.errors.InvalidCatalogName,
    psycopg.errors.InsufficientPrivilege,
)
_HOPELESS_WORDS = (
    *("password authentication failed", "no password supplied", "no pg_hba.conf entry"),
    *("does not exist", "no such database", "no such user", "SASL authentication failed"),
    "ProactorEventLoop",
)
"""The words of failed connections that no repetition mends, by Postgres, by PgBouncer, and by
psycopg on Windows: they have no codes."""


class PromptConnection(AsyncConnection[Any]):
    """A connection whose calls end when they are cancelled, and which is of no use after that.

    psycopg asks the server to end them too, and waits for its answer: for ten seconds, where it is
    cut off.
    """

    async def wait(
        self, gen: Generator[Any, Any, T], interval: float = 0.1, timeout: float | None = None
    ) -> T:
        return await waiting.wait_async(gen, self.pgconn.socket, interval, timeout)


class Run:
    """Runs statements in a cursor."""

    def __init__(self, cursor: AsyncCursor[Any], statements: dict[str, bytes]) -> None:
        self.cursor = cursor
        self._sql = statements

    async def rows(self, name: str, **values: Any) -> Rows:
        """Run one. Return its rows."""
        await self.cursor.execute(self._sql[name], values or None)
        return await self.cursor.fetchall()

    async def count(self, name: str, **values: Any) -> int:
        """Run one. Return the number of rows that it wrote."""
        await self.cursor.execute(self._sql[name], values or None)
        return self.cursor.rowcount

    async def together(self, *names: str, **values: Any) -> list[Rows]:
        """Run several in one message. Return the rows of each."""
        await self.cursor.execute(b"; ".join([self._sql[name] for name in names]), values)
        rows: list[Rows] = []
        more: bool | None = True
        while more:
            rows.append(await self.cursor.fetchall() if self.cursor.description else [])
            more = self.cursor.nextset()
        return rows


class PostgresConnection(ServerConnection):
    """One connection."""

    _errors = (psycopg.Error,)

    def __init__(self, url: str, statements: dict[str, bytes]) -> None:
        super().__init__(without_password(url))
        self._sql = statements
        self._conninfo = url
        if "connect_timeout" not in conninfo_to_dict(url):
            self._conninfo = make_conninfo(url, connect_timeout=_SECONDS_TO_CONNECT)
        self._connection: AsyncConnection[Any] | None = None

    def rows(self, name: str, **values: Any) -> Coroutine[Any, Any, Rows]:
        """Run a statement. Return its rows."""
        return self.statement(lambda run: run.rows(name, **values))

    def count(self, name: str, **values: Any) -> Coroutine[Any, Any, int]:
        """Run a statement. Return the number of rows that it wrote."""
        return self.statement(lambda run: run.count(name, **values))

    def statement(self, step: Callable[[Run], Awaitable[T]]) -> Coroutine[Any, Any, T]:
        """Run a single statement, which is a transaction by itself: one way to the server."""
        return self.ask(lambda: self._in_statement(step))

    def messages(self, steps: Callable[[Run], Awaitable[T]]) -> Coroutine[Any, Any, T]:
        """Run steps that begin and commit: fewer ways to the server than statements."""
        return self.ask(lambda: self._in_messages(steps))

    async def _in_statement(self, step: Callable[[Run], Awaitable[T]]) -> T:
        connection = await self._connected()
        async with connection.cursor() as cursor:
            return await step(Run(cursor, self._sql))

    async def _in_messages(self, steps: Callable[[Run], Awaitable[T]]) -> T:
        connection = await self._connected()
        async with AsyncClientCursor(connection) as cursor:
            try:
                return await steps(Run(cursor, self._sql))
            except FleetError:
                await connection.rollback()
                raise

    async def _connected(self) -> AsyncConnection[Any]:
        if self._connection is None:
            self._connection = await PromptConnection.connect(
                self._conninfo, autocommit=True, prepare_threshold=None
            )
        return self._connection

    async def _drop(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            with contextlib.suppress(psycopg.Error):
                await connection.close()

    def _translated(self, error: Exception) -> FleetError:
        assert isinstance(error, psycopg.Error)
        return translated(error, self.where)


def translated(error: psycopg.Error, where: str) -> FleetError:
    """Return the fleet's error for one of psycopg's."""
    text = " ".join(str(error).split())
    hopeless = isinstance(error, _HOPELESS) or any(words in text for words in _HOPELESS_WORDS)
    return unusable(where, text, passing=isinstance(error, _PASSING) and not hopeless)
