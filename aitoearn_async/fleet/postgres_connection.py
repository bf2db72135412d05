"""The connection of a ledger to Postgres: made when it is needed, and given up when in doubt."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Generator
from typing import Any, TypeVar

import psycopg
from psycopg import AsyncClientCursor, AsyncConnection, waiting
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from .errors import FleetError, FleetUnavailableError, LeaseLostError, shown
from .postgres_errors import translated
from .postgres_run import Run

T = TypeVar("T")

_MOST_SECONDS = 10.0
"""Seconds for one transaction, and for a connection, until the server counts as away."""
_SECONDS_TO_CONNECT = 4
"""Seconds for one of the address's hosts, unless it says otherwise: then the next one is tried."""
_CLOSED = "the fleet is closed; make a new one"


class PromptConnection(AsyncConnection[Any]):
    """A connection whose calls end when they are cancelled, and which is of no use after that.

    psycopg asks the server to end them too, and waits for its answer: for ten seconds, where it is
    cut off.
    """

    async def wait(
        self, gen: Generator[Any, Any, T], interval: float = 0.1, timeout: float | None = None
    ) -> T:
        return await waiting.wait_async(gen, self.pgconn.socket, interval, timeout)


class StaleCallError(Exception):
    """Another try of this call was carried out, or a later call: what this one did is undone."""


class Connection:
    """One connection, and one transaction at a time.

    Args:
        url: The database.
        statements: The ledger's statements, by name.
    """

    def __init__(self, url: str, statements: dict[str, bytes]) -> None:
        self._url = url
        self._sql = statements
        self._conninfo = url
        if "connect_timeout" not in conninfo_to_dict(url):
            self._conninfo = make_conninfo(url, connect_timeout=_SECONDS_TO_CONNECT)
        self._connection: AsyncConnection[Any] | None = None
        self._turn = asyncio.Lock()
        self._limit: asyncio.Timeout | None = None  # of the call that runs
        self._closed = True

    def open(self) -> None:
        """Allow to connect, in the loop that runs now."""
        self._closed = False
        self._turn = asyncio.Lock()

    async def close(self) -> None:
        """Close it; nothing connects any more, and a call that runs ends."""
        self._closed = True
        if self._limit is not None and not self._limit.expired():
            self._limit.reschedule(asyncio.get_running_loop().time())
        async with self._turn:
            await self._drop()

    async def transaction(self, steps: Callable[[Run], Awaitable[T]]) -> T:
        """Run steps in a transaction."""
        return await self._do(lambda connection: self._in_transaction(connection, steps))

    async def statement(self, steps: Callable[[Run], Awaitable[T]]) -> T:
        """Run a single statement, which is a transaction by itself: one way to the server."""
        return await self._do(lambda connection: self._in_statement(connection, steps))

    async def messages(self, steps: Callable[[Run], Awaitable[T]]) -> T:
        """Run steps that begin and commit: fewer ways to the server than statements."""
        return await self._do(lambda connection: self._in_messages(connection, steps))

    async def _do(self, call: Callable[[AsyncConnection[Any]], Awaitable[T]]) -> T:
        async with self._turn:
            if self._closed:
                raise FleetError(_CLOSED)
            try:
                async with asyncio.timeout(_MOST_SECONDS) as self._limit:
                    return await call(await self._connected())
            except (LeaseLostError, StaleCallError):
                raise
            except (TimeoutError, psycopg.Error) as error:
                await self._drop()
                raise self._translated(error) from error
            except BaseException:
                # Cancelled in the middle: its state is not known.
                await self._drop()
                raise
            finally:
                self._limit = None

    def _translated(self, error: TimeoutError | psycopg.Error) -> FleetError:
        if self._closed:
            return FleetError(_CLOSED)
        if isinstance(error, psycopg.Error):
            return translated(error, self._url)
        return FleetUnavailableError(
            f"{shown(self._url)} did not answer within {_MOST_SECONDS:g} s"
        )

    async def _connected(self) -> AsyncConnection[Any]:
        if self._connection is None:
            self._connection = await PromptConnection.connect(
                self._conninfo, autocommit=True, prepare_threshold=None
            )
        return self._connection

    async def _in_transaction(
        self, connection: AsyncConnection[Any], steps: Callable[[Run], Awaitable[T]]
    ) -> T:
        async with connection.transaction(), connection.cursor() as cursor:
            run = Run(cursor, self._sql)
            await run("idle_limit")
            return await steps(run)

    async def _in_statement(
        self, connection: AsyncConnection[Any], steps: Callable[[Run], Awaitable[T]]
    ) -> T:
        async with connection.cursor() as cursor:
            return await steps(Run(cursor, self._sql))

    async def _in_messages(
        self, connection: AsyncConnection[Any], steps: Callable[[Run], Awaitable[T]]
    ) -> T:
        async with AsyncClientCursor(connection) as cursor:
            try:
                return await steps(Run(cursor, self._sql))
            except (LeaseLostError, StaleCallError):
                await connection.rollback()
                raise

    async def _drop(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            with contextlib.suppress(psycopg.Error):
                await connection.close()
