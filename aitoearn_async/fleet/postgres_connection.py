"""The connection of a ledger to Postgres: made when it is needed, and given up when in doubt."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import psycopg
from psycopg import AsyncClientCursor, AsyncConnection

from .errors import FleetError, FleetUnavailableError, LeaseLostError, shown
from .postgres_errors import translated
from .postgres_run import Run

T = TypeVar("T")

_MOST_SECONDS = 10.0
"""Seconds for one transaction, and for a connection, until the server counts as away."""


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
        self._connection: AsyncConnection[Any] | None = None
        self._turn = asyncio.Lock()
        self._closed = True

    def open(self) -> None:
        """Allow to connect, in the loop that runs now."""
        self._closed = False
        self._turn = asyncio.Lock()

    async def close(self) -> None:
        """Close it; nothing connects any more."""
        self._closed = True
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
        if self._closed:
            raise FleetError("the fleet is closed; make a new one")
        async with self._turn:
            try:
                async with asyncio.timeout(_MOST_SECONDS):
                    return await call(await self._connected())
            except TimeoutError as error:
                await self._drop()
                raise FleetUnavailableError(
                    f"{shown(self._url)} did not answer within {_MOST_SECONDS:g} s"
                ) from error
            except psycopg.Error as error:
                await self._drop()
                raise translated(error, self._url) from error
            except (LeaseLostError, StaleCallError):
                raise
            except BaseException:
                # Cancelled in the middle: its state is not known.
                await self._drop()
                raise

    async def _connected(self) -> AsyncConnection[Any]:
        if self._connection is None:
            self._connection = await AsyncConnection.connect(
                self._url, autocommit=True, prepare_threshold=None
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
