"""Shares of refs and of the rate: pure decisions from the members' reports.

Nobody coordinates. Each member decides for itself, inside a transaction in which it sees the
reports of all others, so that two of them never decide at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from .ledger import Kind, Member

MOST_AT_A_TIME = 1_000
"""Refs in one take: as many as a page of the logs has rows."""
_ABOVE_THE_MEAN = 1.15
_SHED_ABOVE = 1.25
_FEW = 10
"""Refs by which a share may differ, where shares are that small."""
_SLOWER = 0.95
"""The share of a rate that is used: requests that left evenly spaced arrive less evenly."""


def allowance(me: Member, members: Sequence[Member], free: int, room: int) -> int:
    """Return how many refs a worker may take.

    Its share of all there are, whoever takes first; and a little above the mean of what is held,
    since `free` is not counted to its end.

    Args:
        me: The worker, as it stands now.
        members: All whose lease holds.
        free: The number of refs that nobody holds, or fewer.
        room: How many it has room for.
    """
    others = [other for other in _open_workers(members) if other.id != me.id]
    if not others:
        return max(0, min(room, MOST_AT_A_TIME))
    held, workers = me.held + sum(other.held for other in others), 1 + len(others)
    mean, share = held / workers, math.ceil((held + free) / workers)
    most = math.floor(max(mean * _ABOVE_THE_MEAN, mean + _FEW, share))
    return max(0, min(room, most - me.held, MOST_AT_A_TIME))


def excess(me: Member, members: Sequence[Member]) -> int:
    """Return how many refs a worker is to hand over, where others want some and none wait."""
    others = [other for other in _open_workers(members) if other.id != me.id]
    if not others:
        return 0
    mean = (me.held + sum(other.held for other in others)) / (1 + len(others))
    if me.held <= max(mean * _SHED_ABOVE, mean + _FEW):
        return 0
    return me.held - math.ceil(mean)


def fleet_rate(members: Sequence[Member]) -> float | None:
    """Return the requests a second of the whole fleet: the lowest that a member wants."""
    rates = [member.rate for member in members if member.rate is not None]
    return min(rates) if rates else None


def rate_target(me: Member, members: Sequence[Member]) -> float | None:
    """Return the requests a second that a worker should make; None for no limit.

    Shares are whole numbers: of rates with a fraction, several evenly spaced ones can add up to
    one more than their sum in some second. Where there are more workers than requests a
    second, the last to join get none.
    """
    workers = sorted(
        member.id for member in members if member.kind is Kind.WORKER and not member.trouble
    )
    rate = fleet_rate(members)
    if rate is None or me.id not in workers:
        return None
    rank = workers.index(me.id)
    if rate < 1:
        return rate if rank == 0 else 0.0
    whole, more = divmod(math.floor(rate), len(workers))
    return float(whole + (rank < more))


def reported(me: Member, members: Sequence[Member]) -> Member:
    """Return the report of a member, with the share of the rate that it may use from now on.

    A share that is to shrink shrinks when its holder says that it has become slower. One that
    is to grow takes what no other has. So the sum of all is never more than the rate, also
    when a reply is lost.

    Args:
        me: The member. Its `grant` is what it uses now.
        members: All whose lease holds, as they last reported.
    """
    others = [member for member in members if member.id != me.id]
    target = rate_target(me, [*others, me])
    if target is None:
        return me
    free = (fleet_rate([*others, me]) or 0.0) - sum(member.grant for member in others)
    return msgspec.structs.replace(me, grant=max(me.grant, min(target, free), 0.0))


def used(share: float) -> float:
    """Return the requests a second to set on a client that has this share of the rate."""
    return share * _SLOWER


def _open_workers(members: Sequence[Member]) -> list[Member]:
    return [member for member in members if member.kind is Kind.WORKER and member.open]
