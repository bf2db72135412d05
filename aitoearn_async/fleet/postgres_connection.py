"""The connection of a ledger to Postgres: made when it is needed, and given up when in doubt."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import psycopg
from psycopg import AsyncConnection

from .errors import FleetError, FleetUnavailableError, LeaseLostError, shown
from .postgres_errors import translated
from .postgres_run import Run
from .postgres_wire import Wire

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
        self._wire: Wire | None = None
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

    async def statement(self, statement: Callable[[Run], Awaitable[T]]) -> T:
        """Run a single statement, which is a transaction by itself: one way to the server."""
        return await self._do(statement)

    async def transaction(self, steps: Callable[[Run], Awaitable[T]]) -> T:
        """Run steps that begin and commit. They are undone if they raise."""
        return await self._do(lambda run: self._undone(run, steps))

    async def _do(self, call: Callable[[Run], Awaitable[T]]) -> T:
        if self._closed:
            raise FleetError("the fleet is closed; make a new one")
        async with self._turn:
            try:
                async with asyncio.timeout(_MOST_SECONDS):
                    return await call(Run(await self._connected(), self._sql))
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

    async def _connected(self) -> Wire:
        if self._wire is None:
            self._connection = await AsyncConnection.connect(
                self._url, autocommit=True, prepare_threshold=None
            )
            self._wire = Wire(self._connection)
        return self._wire

    async def _undone(self, run: Run, steps: Callable[[Run], Awaitable[T]]) -> T:
        try:
            return await steps(run)
        except (LeaseLostError, StaleCallError):
            await run("rollback")
            raise

    async def _drop(self) -> None:
        if self._wire is not None:
            self._wire.close()
            self._wire = None
        if self._connection is not None:
            connection, self._connection = self._connection, None
            with contextlib.suppress(psycopg.Error):
                await connection.close()
