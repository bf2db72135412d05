"""The statements of one transaction in Postgres, as they are run, and what their rows say."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from .errors import LeaseLostError
from .ledger import Member, Origin, Taken
from .postgres_wire import Row, Value, Wire, binary


class Run:
    """Runs the statements of one transaction, by name."""

    def __init__(self, wire: Wire, statements: dict[str, bytes]) -> None:
        self.wire = wire
        self._sql = statements

    async def __call__(self, name: str, **values: Value) -> list[Row]:
        """Run one. Returns its rows."""
        return await self.wire.run(self._sql[name], values)

    async def together(self, *names: str, **values: Value) -> list[list[Row]]:
        """Run several in one message. Returns the rows of each."""
        return await self.wire.together(b"; ".join([self._sql[name] for name in names]), values)


async def check_lease(run: Run, member: int) -> None:
    """See that a member's lease holds.

    Raises:
        LeaseLostError: It is over.
    """
    if not await run("alive", member=member):
        raise LeaseLostError(member)


def members_of(rows: Sequence[Sequence[str]]) -> list[Member]:
    """Return the members of these rows, as of their last reports."""
    members: list[Member] = []
    for number, held, report in rows:
        member = msgspec.json.decode(binary(report), type=Member)
        member.id, member.held = int(number), int(held)
        members.append(member)
    return members


def taken_of(rows: Sequence[Sequence[str]], origin: Origin) -> list[Taken]:
    """Return the refs of these rows."""
    return [Taken(ref, float(age), origin) for ref, age in rows]


def outcomes_of(rows: Sequence[Sequence[str]]) -> list[tuple[str, bytes]]:
    """Return the refs and outcomes of these rows."""
    return [(ref, binary(outcome)) for ref, outcome in rows]
