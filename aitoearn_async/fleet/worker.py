"""A worker: takes refs, waits for them with a client's batch, and records their outcomes.

One stay in the fleet is one membership and one batch. When the lease is lost, or the service
refuses the key, the worker drops both and begins anew. Nothing is lost by that: the ledger has
all that is kept here.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Sequence
from typing import Any
from weakref import WeakSet

import msgspec

from aitoearn_async import (
    AnyTask,
    AuthenticationError,
    Batch,
    BatchStatistics,
    Client,
    ConnectionFailedError,
    ServiceUnreachableError,
    parse_ref,
)

from .errors import FleetError, LeaseLostError
from .ledger import Kind, Ledger, Member
from .membership import Membership
from .patience import log, persist
from .recorder import Recorder
from .sharing import USED_OF_A_SHARE, allowance, excess, rate_target, report_with_grant
from .source import Source

_SECONDS_BEFORE_A_RAISE = 1.0
"""Seconds until a larger share of the rate is used: what its last owner sent is then over."""
_SECONDS_TO_FLUSH = 0.3
"""Seconds in which a worker that leaves may still record outcomes."""
_LEASES_OF_REST = 2.0
"""The leases for which a worker rests after its key was refused; twice as many each time."""
_MOST_LEASES_OF_REST = 40.0
_RATE_WITHOUT_A_SHARE = 0.01
"""Requests a second of a worker that has no share of the rate. It holds no refs, but a client's
rate cannot be 0."""
_AT_WORK: WeakSet[Client] = WeakSet()
"""The clients of this process's workers."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """The job of one worker."""

    ledger: Ledger
    client: Client
    """The client that asks. Its rate is changed meanwhile, and put back."""
    rate: float | None
    """Requests a second that this worker wants the whole fleet to make at most; None: any."""
    max_pending: int
    """The most refs that it holds."""
    batch: dict[str, Any]
    """The other arguments of its batches."""
    stop: asyncio.Event
    """Set to have it leave."""


class Refused(Exception):
    """The service refuses the worker's key, shows no valid certificate, or is not found.

    The text begins the line of the log. The cause, an error of the client, says which it was.
    """


async def work(job: Job) -> None:
    """Work until told to stop."""
    client, refusals = job.client, 0
    if client in _AT_WORK:
        raise RuntimeError(
            "this client is in use by another `work`, which sets its rate; give each a client "
            "of its own"
        )
    _AT_WORK.add(client)
    own_rate = client.requests_per_second
    try:
        while not job.stop.is_set():
            try:
                await _Stay(job, own_rate, careful=refusals > 0).run()
                refusals = 0
            except LeaseLostError as error:
                log.warning("%s; this worker drops what it held and joins again", error)
            except Refused as error:
                # An outage may be short: the rest does not get longer.
                is_outage = isinstance(error.__cause__, ServiceUnreachableError)
                refusals = 1 if is_outage else refusals + 1
                leases = min(_LEASES_OF_REST * 2 ** (refusals - 1), _MOST_LEASES_OF_REST)
                await _rest(job, leases * job.ledger.lease, error)
    finally:
        _AT_WORK.remove(client)
        client.requests_per_second = own_rate


async def _rest(job: Job, seconds: float, refused: Refused) -> None:
    reason = str(refused.__cause__)
    log.error(
        "%s: %s. It asks for nothing, holds nothing, and tries one ref in %.0f s",
        refused,
        reason,
        seconds,
    )
    report = Member(id=0, kind=Kind.WORKER, rate=job.rate, trouble=reason[:200])
    member = Membership(job.ledger, Kind.WORKER, lambda _: report)
    try:
        if await _joined(member, job.stop):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await job.stop.wait()
    finally:
        await member.leave()


class _Stay:
    """One stay in the fleet.

    Args:
        job: The worker's.
        own_rate: The rate that the client has had before.
        careful: Ask for one ref until there was an answer.
    """

    def __init__(self, job: Job, own_rate: float | None, *, careful: bool) -> None:
        self._job = job
        self._ledger = job.ledger
        self._own_rate = own_rate
        self._careful = careful
        self._me = Member(id=0, kind=Kind.WORKER, rate=job.rate)
        self._members: Sequence[Member] = ()
        self._membership = Membership(job.ledger, Kind.WORKER, self._report, self._after_beat)
        self._batch: Batch[AnyTask] | None = None
        self._held = 0
        self._rate_in_use = 0.0
        self._unconfirmed = self._me  # the report of a beat that has not come back
        self._raise_timer: asyncio.TimerHandle | None = None
        self._handing_over: asyncio.Task[None] | None = None
        self._last_excess = 0
        self._is_leaving = False

    async def run(self) -> None:
        """Stay until told to stop.

        Raises:
            LeaseLostError: The lease was lost.
            Refused: The service refuses the key.
        """
        self._set_rate(0.0 if self._me.rate is not None else math.inf)
        try:
            if await _joined(self._membership, self._job.stop):
                await self._work()
        finally:
            self._begin_leaving()
            await self._membership.leave()

    def _begin_leaving(self) -> None:
        """Let no beat begin anything that would outlive this stay."""
        self._is_leaving = True
        if self._raise_timer is not None:
            self._raise_timer.cancel()

    async def _work(self) -> None:
        recorder = Recorder(self._ledger, self._membership.id, self._let_go)
        waiting = asyncio.create_task(self._wait(recorder))
        recording = asyncio.create_task(recorder.run())
        losing = asyncio.create_task(self._membership.lost.wait())
        stopping = asyncio.create_task(self._job.stop.wait())
        tasks: list[asyncio.Task[Any]] = [waiting, recording, losing, stopping]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._begin_leaving()
            if self._handing_over is not None:
                tasks.append(self._handing_over)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._flush(recorder)
        for task in (waiting, recording):
            if task in done:
                task.result()
        if losing in done:
            raise LeaseLostError(self._membership.id)

    async def _flush(self, recorder: Recorder) -> None:
        if not self._membership.lost.is_set():
            with contextlib.suppress(TimeoutError, FleetError):
                async with asyncio.timeout(_SECONDS_TO_FLUSH):
                    await recorder.flush()

    async def _wait(self, recorder: Recorder) -> None:
        self._source = Source(
            self._ledger,
            self._membership.id,
            self._allow,
            self._is_open,
            self._take_up,
        )
        batch: Batch[AnyTask] = self._job.client.as_completed(
            self._source,
            max_pending=self._job.max_pending,
            resume=self._source.resume,
            **self._job.batch,
        )
        try:
            async with batch:
                self._batch = batch
                async for outcome in batch:
                    error = outcome.error
                    if isinstance(error, ServiceUnreachableError) and error.address is not None:
                        # The address is wrong for all refs: this is the outcome of none.
                        raise Refused("the service is not found by this worker") from error
                    await recorder.put(str(outcome.ref), outcome.to_json())
        except (AuthenticationError, ConnectionFailedError) as error:
            raise Refused("the service refuses this worker") from error

    # The share of the refs.

    def _current(self, **facts: Any) -> Member:
        # The id is set here and not once: a beat may come before `run` goes on after the join.
        return msgspec.structs.replace(self._me, id=self._membership.id, held=self._held, **facts)

    def _is_open(self) -> bool:
        return self._room() > 0

    def _room(self) -> int:
        if not self._rate_in_use:
            return 0
        most = self._job.max_pending
        if self._careful:
            statistics = self._statistics()
            if statistics is None or not statistics.polls:
                most = 1
            else:
                self._careful = False
        return most - self._held

    def _allow(self, members: Sequence[Member], free: int) -> int:
        return allowance(self._current(), members, free, self._room())

    def _take_up(self, count: int) -> None:
        self._held += count

    def _let_go(self, count: int) -> None:
        self._held -= count

    def _statistics(self) -> BatchStatistics | None:
        return None if self._batch is None else self._batch.statistics()

    async def _hand_over(self, count: int) -> None:
        """Stop waiting for some refs, and leave them to workers that have room."""
        refs = await persist(lambda: self._ledger.held(self._membership.id, count))
        assert self._batch is not None
        given = [
            ref for ref in refs if self._source.withdraw(ref) or self._batch.discard(parse_ref(ref))
        ]
        self._held -= len(given)
        await persist(lambda: self._ledger.give(self._membership.id, given))

    # The beats, and the share of the rate.

    def _report(self, members: Sequence[Member]) -> Member:
        statistics = self._statistics()
        self._members = members
        polls = statistics.polls_per_second if statistics else 0.0
        self._me = self._current(open=self._is_open(), polls_per_second=polls)
        # Not kept before the beat has come back: it may be computed twice, or lost.
        self._unconfirmed = report_with_grant(self._me, members)
        return self._unconfirmed

    def _after_beat(self, waiting: bool) -> None:
        if self._is_leaving:
            return
        self._me = self._unconfirmed
        others = [member for member in self._members if member.id != self._me.id]
        target = rate_target(self._me, [*others, self._me])
        self._follow_rate(target)
        if self._handing_over is None or self._handing_over.done():
            count = self._lasting_excess(0 if waiting else excess(self._me, self._members))
            if target is not None and not self._me.grant:
                count = self._held
            if count > 0 and self._batch is not None:
                self._handing_over = asyncio.create_task(self._hand_over(count))
                self._handing_over.add_done_callback(self._after_handing_over)

    def _lasting_excess(self, excess: int) -> int:
        """Return how many refs have been too many in this beat and in the one before.

        The excess of a single beat may pass by itself: the tasks of these refs may have ended,
        and this worker may not have looked at its pages since.
        """
        count = min(self._last_excess, excess)
        self._last_excess = 0 if count else excess
        return count

    def _after_handing_over(self, task: asyncio.Task[None]) -> None:
        # This worker waits for the refs no longer, and the ledger has them as its own still. Others
        # get them when its lease ends, so it lets the lease end.
        if not task.cancelled() and task.exception() is not None:
            log.warning("refs could not be handed over: %s", task.exception())
            self._membership.lost.set()

    def _follow_rate(self, target: float | None) -> None:
        if target is None:
            self._set_rate(math.inf)
        elif target < self._me.grant:
            # Go slower first and report it afterwards: others take what is free at once.
            self._me.grant = target
            if self._raise_timer is not None:
                self._raise_timer.cancel()
                self._raise_timer = None
            self._set_rate(target)
            self._membership.beat_early()
        elif self._me.grant > self._rate_in_use and self._raise_timer is None:
            loop = asyncio.get_running_loop()
            self._raise_timer = loop.call_later(_SECONDS_BEFORE_A_RAISE, self._raise_rate)
        elif self._rate_in_use > self._me.grant:  # nobody has named a rate until now
            self._set_rate(self._me.grant)
        if target is not None and self._me.grant < target:
            self._membership.beat_soon()

    def _raise_rate(self) -> None:
        was_idle = not self._rate_in_use
        self._raise_timer = None
        self._set_rate(self._me.grant)
        if was_idle:
            self._membership.beat_early()  # to report that it takes refs now

    def _set_rate(self, share: float) -> None:
        self._rate_in_use = share
        rate = None if share == math.inf else share * USED_OF_A_SHARE or _RATE_WITHOUT_A_SHARE
        rates = [each for each in (rate, self._own_rate) if each is not None]
        self._job.client.requests_per_second = min(rates) if rates else None


async def _joined(member: Membership, stop: asyncio.Event) -> bool:
    """Join the fleet, unless told to stop first. Return whether the member has joined."""
    joining, stopping = asyncio.create_task(member.join()), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([joining, stopping], return_when=asyncio.FIRST_COMPLETED)
    finally:
        joining.cancel()
        stopping.cancel()
        await asyncio.gather(joining, stopping, return_exceptions=True)
    if joining.cancelled():
        return False
    joining.result()
    return True
