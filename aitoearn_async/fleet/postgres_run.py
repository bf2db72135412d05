"""The statements of one transaction in Postgres, as they are run, and what their rows say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from psycopg import AsyncCursor

from .errors import LeaseLostError
from .ledger import Member, Origin, Taken


class Run:
    """Runs the statements of one transaction, by name."""

    def __init__(self, cursor: AsyncCursor[Any], statements: dict[str, bytes]) -> None:
        self.cursor = cursor
        self._sql = statements

    async def __call__(self, name: str, **values: Any) -> AsyncCursor[Any]:
        """Run one."""
        return await self.cursor.execute(self._sql[name], values or None)

    async def together(self, *names: str, **values: Any) -> list[list[tuple[Any, ...]]]:
        """Run several in one message. Returns the rows of each."""
        await self.cursor.execute(b"; ".join([self._sql[name] for name in names]), values)
        rows: list[list[tuple[Any, ...]]] = []
        more: bool | None = True
        while more:
            rows.append(await self.cursor.fetchall() if self.cursor.description else [])
            more = self.cursor.nextset()
        return rows


async def one(cursor: AsyncCursor[Any]) -> tuple[Any, ...]:
    """Return the only row."""
    row: tuple[Any, ...] | None = await cursor.fetchone()
    assert row is not None
    return row


async def check_lease(run: Run, member: int) -> None:
    """Check that a member's lease holds.

    Raises:
        LeaseLostError: It is over.
    """
    if await (await run("alive", member=member)).fetchone() is None:
        raise LeaseLostError(member)


def members_of(rows: Sequence[tuple[Any, ...]]) -> list[Member]:
    """Return the members of these rows, as of their last reports."""
    members: list[Member] = []
    for number, held, report in rows:
        member = msgspec.json.decode(report, type=Member)
        member.id, member.held = number, held
        members.append(member)
    return members


def taken_of(rows: Sequence[tuple[Any, ...]], origin: Origin) -> list[Taken]:
    """Return the refs of these rows."""
    return [Taken(ref, age, origin) for ref, age in rows]
