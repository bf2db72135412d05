"""The status of a fleet, as users see it."""

from __future__ import annotations

import msgspec

from .ledger import Counts, Kind, Member
from .sharing import fleet_rate


class FleetMember(msgspec.Struct, frozen=True, kw_only=True):
    """A worker or a reader of the fleet, as of its last report."""

    id: int
    """The number it joined with."""
    kind: str
    """`"worker"` or `"reader"`."""
    name: str
    """Its host and process."""
    held: int
    """Refs that it waits for, or outcomes that it has not done yet."""
    polls_per_second: float
    """Polls a second, of late."""
    requests_per_second: float | None
    """Its share of the fleet's rate; None where there is no such rate."""
    trouble: str
    """The reason why it asks for nothing; empty if it is well."""


class FleetStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A fleet, at one moment."""

    waiting: int
    """Refs that no worker has taken yet."""
    held: int
    """Refs that workers wait for, or that one who has gone left and nobody has taken over yet."""
    ended: int
    """Outcomes that nobody has read to the end."""
    done: int
    """Outcomes that have been read, and whose refs are remembered for a while."""
    oldest: float | None
    """Seconds since the oldest ref was added that has no outcome; None if there is none."""
    polls_per_second: float
    """Polls a second of all workers."""
    requests_per_second: float | None
    """The rate of the whole fleet; None for no limit."""
    members: list[FleetMember]
    """All whose lease holds."""


def status_of(counts: Counts) -> FleetStatus:
    """Return the status of a fleet with these counts."""
    workers = [member for member in counts.members if member.kind is Kind.WORKER]
    rate = fleet_rate(workers)
    return FleetStatus(
        waiting=counts.waiting,
        held=counts.held,
        ended=counts.ended + counts.reading,
        done=counts.done,
        oldest=counts.oldest,
        polls_per_second=sum(worker.polls_per_second for worker in workers),
        requests_per_second=rate,
        members=[_member(member, rate) for member in counts.members],
    )


def _member(member: Member, rate: float | None) -> FleetMember:
    is_limited = rate is not None and member.kind is Kind.WORKER
    return FleetMember(
        id=member.id,
        kind=member.kind.name.lower(),
        name=member.name,
        held=member.held,
        polls_per_second=member.polls_per_second,
        requests_per_second=member.grant if is_limited else None,
        trouble=member.trouble,
    )
