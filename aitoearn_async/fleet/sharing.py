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
_TAKE_UP_TO = 1.15
"""A worker takes refs until it holds this many times the mean."""
_HAND_OVER_ABOVE = 1.25
"""A worker hands refs over when it holds more than this many times the mean."""
_FEW = 10
"""Refs by which a worker may differ from a mean that is small."""
USED_OF_A_SHARE = 0.95
"""The part of its share of the rate that a worker uses: requests that leave evenly spaced arrive
less evenly."""


def allowance(me: Member, members: Sequence[Member], free: int, room: int) -> int:
    """Return how many refs a worker may take.

    It may hold its share of all refs, whoever takes first. It may also hold a little more than the
    mean of what workers hold, since `free` is not counted to its end.

    Args:
        me: The worker, as it stands now.
        members: All whose lease holds.
        free: The number of refs that nobody holds, or fewer.
        room: How many it has room for.
    """
    others = [other for other in _open_workers(members) if other.id != me.id]
    if not others:
        return max(0, min(room, MOST_AT_A_TIME))
    workers = 1 + len(others)
    held = me.held + sum(other.held for other in others)
    mean = held / workers
    share = math.ceil((held + free) / workers)
    most = math.floor(max(mean * _TAKE_UP_TO, mean + _FEW, share))
    return max(0, min(room, most - me.held, MOST_AT_A_TIME))


def excess(me: Member, members: Sequence[Member]) -> int:
    """Return how many refs a worker is to hand over, if others want some and none are waiting."""
    others = [other for other in _open_workers(members) if other.id != me.id]
    if not others:
        return 0
    mean = (me.held + sum(other.held for other in others)) / (1 + len(others))
    if me.held <= max(mean * _HAND_OVER_ABOVE, mean + _FEW):
        return 0
    return me.held - math.ceil(mean)


def fleet_rate(members: Sequence[Member]) -> float | None:
    """Return the requests a second of the whole fleet: the lowest that a member wants."""
    rates = [member.rate for member in members if member.rate is not None]
    return min(rates) if rates else None


def rate_target(me: Member, members: Sequence[Member]) -> float | None:
    """Return the requests a second that a worker should make; None for no limit.

    Shares are whole numbers. If they had fractions, evenly spaced requests of several workers could
    add up to one more than the rate in some second. Where there are more workers than requests a
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


def report_with_grant(me: Member, members: Sequence[Member]) -> Member:
    """Return the report of a member, with the share of the rate that it may use from now on.

    A share shrinks once its holder has become slower and says so. A share grows by what no other
    member has. So the sum of all shares is never more than the rate, even when a reply is lost.

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


def _open_workers(members: Sequence[Member]) -> list[Member]:
    return [member for member in members if member.kind is Kind.WORKER and member.open]
