"""Outcomes that are read and done in the transactions of a reader's own connection."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Generator, Sequence
from typing import Any

import psycopg
from psycopg import AsyncConnection

from .errors import FleetError
from .postgres_connection import translated
from .reader import OutcomeQueue


class TransactionQueue(OutcomeQueue):
    """Outcomes that are locked, read and done in the transactions of one connection.

    The lock is the lease: it ends with the transaction, and with the connection.
    """

    def __init__(self, connection: AsyncConnection[Any], statements: dict[str, bytes]) -> None:
        self._connection = connection
        self._sql = statements
        self._read_in = 0  # the transaction
        self._finished: Sequence[str] = ()  # with the last read, if that got no further

    async def enter(self) -> None:
        if self._connection.autocommit:
            raise FleetError("connection= is in autocommit mode: an outcome needs a transaction")

    async def leave(self, *, done: Sequence[str], failed: bool) -> None:
        if failed:
            with contextlib.suppress(psycopg.OperationalError):
                await self._connection.rollback()
            return
        with _translating():
            await self._finish(done)
            await self._connection.commit()  # also what came after the last outcome

    async def read(self, done: Sequence[str], most: int) -> list[tuple[str, bytes]]:
        try:
            with _translating():
                await self._finish(done)
                rows = await self._lock_one()
        except asyncio.CancelledError:
            with contextlib.suppress(psycopg.Error):  # or nothing more can be done in it
                await self._connection.rollback()
            raise
        self._finished = ()
        return rows

    async def _lock_one(self) -> list[tuple[str, bytes]]:
        found = await self._connection.execute(self._sql["lock_one"])
        row: tuple[str, bytes, int] | None = await found.fetchone()
        if row is None:
            await self._connection.commit()  # or an idle transaction keeps vacuum away
            return []
        ref, line, self._read_in = row
        return [(ref, bytes(line))]

    async def _finish(self, done: Sequence[str]) -> None:
        if not done or done == self._finished:
            return
        for ref in done:
            values = {"ref": ref, "read_in": self._read_in}
            rows = await self._connection.execute(self._sql["finish_one"], values)
            if rows.rowcount != 1:
                await self._connection.rollback()
                raise FleetError(
                    f"{ref} is not done, or another reader's: the transaction in which it was "
                    "read was ended inside the block. What came after that was rolled back"
                )
        await self._connection.commit()
        self._finished = list(done)


@contextlib.contextmanager
def _translating() -> Generator[None]:
    try:
        yield
    except psycopg.Error as error:
        raise translated(error, "the connection") from error
