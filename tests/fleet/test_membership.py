"""A member's beats: which of them others have to wait for."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aitoearn_async.fleet.errors import FleetUnavailableError
from aitoearn_async.fleet.ledger import Decide, Kind, Member, Report
from aitoearn_async.fleet.membership import Membership
from aitoearn_async.fleet.sqlite import SqliteLedger
from tests.fleet.engines import SqliteEngine


class Told(SqliteLedger):
    """A ledger that notes how each beat was sent. The next one may be carried out and fail."""

    sent: list[str]
    fails = False

    async def beat(self, member: int, decide: Decide) -> bool:
        self.sent.append("decided")
        return await super().beat(member, decide)

    async def renew(self, member: int, report: Report) -> tuple[list[Member], bool]:
        self.sent.append(f"{report().grant:g}")
        count = len(self.sent)
        answer = await super().renew(member, report)
        del self.sent[count:]
        if self.fails:
            self.fails = False
            raise FleetUnavailableError("the answer was lost")
        return answer


async def test_only_more_of_the_rate_is_decided_while_others_wait(file: SqliteEngine) -> None:
    """More than the engine may have on record, where an answer was lost."""
    ledger = Told(file.path)
    ledger.sent = []
    grant = 4.0

    def report(_: Sequence[Member]) -> Member:
        return Member(id=0, kind=Kind.WORKER, rate=9.0, grant=grant)

    await ledger.open()
    member = Membership(ledger, Kind.WORKER, report)
    await member.join()
    await asyncio.sleep(6)
    grant, ledger.fails = 2.0, True
    await asyncio.sleep(5)
    grant = 4.0
    await asyncio.sleep(1)
    await member.leave()
    await ledger.close()
    assert ledger.sent == ["decided", "4", "2", "decided"]
