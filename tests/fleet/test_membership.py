"""A member's beats: which of them others have to wait for."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

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


class SlowToTell(SqliteLedger):
    """A ledger that says half a second later that somebody has joined."""

    async def join(self, kind: Kind, name: str) -> int:
        member = await super().join(kind, name)
        await asyncio.sleep(0.5)
        return member


@pytest.mark.parametrize("times", [1, 3])
async def test_a_join_that_is_cancelled_leaves_no_member(file: SqliteEngine, times: int) -> None:
    """Also if it is cancelled again while it leaves."""
    ledger = SlowToTell(file.path)
    await ledger.open()
    member = Membership(ledger, Kind.READER, lambda _: Member(id=0, kind=Kind.READER))
    joining = asyncio.create_task(member.join())
    for _ in range(times):
        await asyncio.sleep(0.1)
        joining.cancel()
    await asyncio.wait([joining])
    assert joining.cancelled()
    assert (await ledger.counts()).members == []
    await ledger.close()
