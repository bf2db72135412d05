"""The ledger in Redis or Valkey: two streams, whose consumers are the members.

What a worker holds is pending for its consumer; a lease is a key with a time to live. Each call
is one script, so it happens as a whole. Redis does not ask who acknowledges an entry, and drops
what is pending for a consumer that is deleted: the scripts ask, and look.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from .errors import FleetUnavailableError
from .ledger import (
    Allow,
    Counts,
    Decide,
    Kind,
    Ledger,
    Member,
    Origin,
    Report,
    Taken,
    counts_of,
    members_of,
)
from .redis_connection import RedisConnection

_MOST_DECISIONS = 50
"""The number of times a beat decides anew because another's came between."""

_Row = tuple[str, float, int]


class RedisLedger(Ledger):
    """A ledger in keys that begin with `aitoearn:{NAME}:`.

    Args:
        url: The server: `redis://host:6379/0`, or what else redis-py takes.

    Raises:
        ValueError: redis-py cannot read the address.
    """

    def __init__(self, url: str, name: str = "fleet", lease: float = 15.0) -> None:
        self.lease = lease
        self._lease_ms = round(lease * 1000)
        self._in_doubt: set[int] = set()  # members whose last take may have been carried out
        self._connection = RedisConnection(url, name)
        self._run = self._connection.run

    async def open(self, *, create: bool = True) -> None:
        self._connection.open()
        try:
            await self._connection.ask(lambda: self._connection.prepare(create=create))
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        await self._connection.close()

    async def add(self, refs: Sequence[str]) -> int:
        # A script holds up everybody else, so not too many at once.
        chunks = [refs[at : at + 500] for at in range(0, len(refs), 500)]
        return sum([await self._run("add", *chunk) for chunk in chunks])

    async def join(self, kind: Kind, name: str) -> int:
        report = msgspec.json.encode(Member(id=0, kind=kind, name=name))
        return int(await self._run("join", int(kind), self._lease_ms, report))

    async def beat(self, member: int, decide: Decide) -> bool:
        for _ in range(_MOST_DECISIONS):
            version, rows = await self._run("members")
            report = decide(members_of(rows))
            is_idle = await self._run("beat", version, *self._values(member, report))
            if is_idle >= 0:
                return not self.note_idle(bool(is_idle))
        raise FleetUnavailableError("others beat all the time; this beat could not decide")

    async def renew(self, member: int, report: Report) -> tuple[list[Member], bool]:
        is_idle, rows = await self._connection.ask(
            lambda: self._connection.script("renew", *self._values(member, report()))
        )
        return members_of(rows), not self.note_idle(bool(is_idle))

    def _values(self, member: int, report: Member) -> tuple[int | bytes, ...]:
        line = msgspec.json.encode(report)
        return member, self._lease_ms, int(report.kind), report.held, line

    async def leave(self, member: int) -> None:
        await self._run("leave", member)

    async def take(self, member: int, call: int, allow: Allow) -> list[Taken]:
        # Where in doubt, also a call for none is made: what is late is to find its number.
        is_in_doubt = member in self._in_doubt
        if not is_in_doubt and self.note_idle(bool(await self._run("is_idle", member, call))):
            return []
        self._in_doubt.add(member)
        _, rows = await self._run("members")
        most = max(0, allow(members_of(rows), await self._run("free")))
        reply = await self._run("take", member, call, most, int(is_in_doubt))
        self._in_doubt.discard(member)
        rows = msgspec.json.decode(reply, type=list[_Row])
        return [Taken(ref, age, Origin(origin)) for ref, age, origin in rows]

    async def held(self, member: int, most: int) -> list[str]:
        return [ref.decode() for ref in await self._run("held", member, most)]

    async def give(self, member: int, refs: Sequence[str]) -> None:
        await self._run("give", member, *refs)

    async def record(self, member: int, outcomes: Sequence[tuple[str, bytes]]) -> int:
        flat = [part for outcome in outcomes for part in outcome]
        count, is_idle = await self._run("record", member, *flat)
        self.note_idle(bool(is_idle))
        return int(count)

    async def read(self, member: int, done: Sequence[str], most: int) -> list[tuple[str, bytes]]:
        rows = await self._run("read", member, most, *done)
        return [(ref.decode(), line) for ref, line in rows]

    async def counts(self) -> Counts:
        *states, oldest, members = await self._run("counts")
        return counts_of([*states, oldest and oldest / 1000], members)

    async def finished(self) -> bool:
        return not await self._run("finished")

    async def forget(self, keep: float, most: int) -> int:
        return int(await self._run("forget", round(keep * 1000), most))
