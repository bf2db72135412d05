"""A worker: takes refs, waits for them with a client's batch, and records their outcomes.

One stay in the fleet is one membership and one batch. When the lease is lost, or the service
refuses the key, both are dropped and the worker begins anew: nothing is kept here that the
ledger does not have.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Sequence
from os import PathLike
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
    WaitStrategy,
    parse_ref,
)

from .errors import FleetError, LeaseLostError
from .ledger import Kind, Ledger, Member
from .membership import Membership
from .patience import log, persist
from .recorder import Recorder
from .sharing import allowance, excess, rate_target, reported, used
from .source import Source

_SECONDS_BEFORE_A_RAISE = 1.0
"""Seconds until a larger share of the rate is used: what its last owner sent is then over."""
_SECONDS_TO_FLUSH = 0.3
_LEASES_OF_REST = 2.0
"""The leases for which a worker rests after its key was refused; twice as many each time."""
_MOST_LEASES_OF_REST = 40.0
_CRAWL = 0.01
"""Requests a second of a worker without a share of the rate, which holds nothing."""
_AT_WORK: WeakSet[Client] = WeakSet()
"""The clients of this process's workers."""


class WorkOptions(msgspec.Struct, kw_only=True):
    """The arguments of `Fleet.work`."""

    max_pending: int
    requests_per_second: float | None
    save: str | PathLike[str] | None
    timeout: float | None
    wait: WaitStrategy | None
    patience: float | None
    max_bytes: int


class Refused(Exception):
    """The service refuses the worker's key, shows no valid certificate, or is not to be found."""


class Worker:
    """One worker.

    Args:
        ledger: The ledger.
        client: The client that asks. Its rate is changed meanwhile, and put back.
        options: The arguments of `Fleet.work`.
        stop: Set to have the worker leave.
    """

    def __init__(
        self, ledger: Ledger, client: Client, options: WorkOptions, stop: asyncio.Event
    ) -> None:
        self._ledger = ledger
        self._client = client
        self._options = options
        self._stop = stop
        self._own_rate = client.requests_per_second
        self._refusals = 0

    async def run(self) -> None:
        """Work until told to stop."""
        if self._client in _AT_WORK:
            raise RuntimeError(
                "this client is in use by another `work`, which sets its rate; give each a client "
                "of its own"
            )
        _AT_WORK.add(self._client)
        try:
            while not self._stop.is_set():
                try:
                    await _Stay(self._ledger, self._client, self._options, self._stop).run(
                        self._own_rate, careful=self._refusals > 0
                    )
                    self._refusals = 0
                except LeaseLostError as error:
                    log.warning("%s; this worker drops what it held and joins again", error)
                except Refused as error:
                    found = not isinstance(error.__cause__, ServiceUnreachableError)
                    self._refusals = self._refusals + 1 if found else 1  # an outage may be short
                    await self._rest(str(error), str(error.__cause__))
        finally:
            _AT_WORK.remove(self._client)
            self._client.requests_per_second = self._own_rate

    async def _rest(self, what: str, reason: str) -> None:
        leases = min(_LEASES_OF_REST * 2 ** (self._refusals - 1), _MOST_LEASES_OF_REST)
        seconds = leases * self._ledger.lease
        log.error(
            "the service %s this worker: %s. It asks for nothing, holds nothing, and tries "
            "one ref in %.0f s",
            what,
            reason,
            seconds,
        )
        rate = self._options.requests_per_second
        report = Member(id=0, kind=Kind.WORKER, rate=rate, trouble=reason[:200])
        member = Membership(self._ledger, Kind.WORKER, lambda _: report)
        try:
            if await _joined(member, self._stop):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(seconds):
                        await self._stop.wait()
        finally:
            await member.leave()


class _Stay:
    """One stay in the fleet."""

    def __init__(
        self, ledger: Ledger, client: Client, options: WorkOptions, stop: asyncio.Event
    ) -> None:
        self._ledger = ledger
        self._client = client
        self._options = options
        self._stop = stop
        self._me = Member(id=0, kind=Kind.WORKER, rate=options.requests_per_second)
        self._members: Sequence[Member] = ()
        self._membership = Membership(ledger, Kind.WORKER, self._report, self._after_beat)
        self._batch: Batch[AnyTask] | None = None
        self._held = 0
        self._careful = False
        self._own_rate: float | None = None
        self._rate_in_use = 0.0
        self._unconfirmed = self._me  # the report of a beat that has not come back
        self._raise_timer: asyncio.TimerHandle | None = None
        self._shedding: asyncio.Task[None] | None = None
        self._last_excess = 0
        self._is_leaving = False

    async def run(self, own_rate: float | None, *, careful: bool) -> None:
        """Stay until told to stop.

        Raises:
            LeaseLostError: The lease was lost.
            Refused: The service refuses the key.
        """
        self._own_rate = own_rate
        self._careful = careful
        self._set_rate(0.0 if self._me.rate is not None else math.inf)
        try:
            if await _joined(self._membership, self._stop):
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
        tasks: list[asyncio.Task[Any]] = [
            asyncio.create_task(self._wait(recorder)),
            asyncio.create_task(recorder.run()),
            asyncio.create_task(self._membership.lost.wait()),
            asyncio.create_task(self._stop.wait()),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._begin_leaving()
            if self._shedding is not None:
                tasks.append(self._shedding)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._flush(recorder)
        for task in tasks[:2]:
            if task in done:
                task.result()
        if tasks[2] in done:
            raise LeaseLostError(self._membership.id)

    async def _flush(self, recorder: Recorder) -> None:
        if not self._membership.lost.is_set():
            with contextlib.suppress(TimeoutError, FleetError):
                async with asyncio.timeout(_SECONDS_TO_FLUSH):
                    await recorder.flush()

    async def _wait(self, recorder: Recorder) -> None:
        options = self._options
        source = self._source = Source(
            self._ledger,
            self._membership.id,
            self._allow,
            self._is_open,
            self._take_up,
        )
        batch: Batch[AnyTask] = self._client.as_completed(
            source,
            timeout=options.timeout,
            wait=options.wait,
            patience=options.patience,
            max_pending=options.max_pending,
            save=options.save,
            max_bytes=options.max_bytes,
            resume=source.resume,
        )
        try:
            async with batch:
                self._batch = batch
                async for outcome in batch:
                    error = outcome.error
                    if isinstance(error, ServiceUnreachableError) and error.address is not None:
                        raise Refused("is not found by") from error  # that is no outcome
                    await recorder.put(str(outcome.ref), outcome.to_json())
        except (AuthenticationError, ConnectionFailedError) as error:
            raise Refused("refuses") from error

    # The share of the refs.

    def _current(self, **facts: Any) -> Member:
        # With its id: the first beat may come before whoever waits for the join goes on.
        return msgspec.structs.replace(self._me, id=self._membership.id, held=self._held, **facts)

    def _is_open(self) -> bool:
        return self._room() > 0

    def _room(self) -> int:
        if not self._rate_in_use:
            return 0
        most = self._options.max_pending
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

    async def _shed(self, count: int) -> None:
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
        self._unconfirmed = reported(self._me, members)
        return self._unconfirmed

    def _after_beat(self, waiting: bool) -> None:
        if self._is_leaving:
            return
        self._me = self._unconfirmed
        others = [member for member in self._members if member.id != self._me.id]
        target = rate_target(self._me, [*others, self._me])
        self._follow_rate(target)
        if self._shedding is None or self._shedding.done():
            count = self._too_many(0 if waiting else excess(self._me, self._members))
            if target is not None and not self._me.grant:
                count = self._held
            if count > 0 and self._batch is not None:
                self._shedding = asyncio.create_task(self._shed(count))
                self._shedding.add_done_callback(self._after_shedding)

    def _too_many(self, excess: int) -> int:
        """Return how many refs have been too many in this beat and in the one before.

        Where tasks end, each worker learns of it as it looks at its pages, and has too many for
        so long: what it would hand over has ended.
        """
        count = min(self._last_excess, excess)
        self._last_excess = 0 if count else excess
        return count

    def _after_shedding(self, task: asyncio.Task[None]) -> None:
        # Refs that were dropped and not handed over go to others with the lease.
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
        rate = None if share == math.inf else used(share) or _CRAWL
        rates = [each for each in (rate, self._own_rate) if each is not None]
        self._client.requests_per_second = min(rates) if rates else None


async def _joined(member: Membership, stop: asyncio.Event) -> bool:
    """Join, and return whether that was done before it was told to stop."""
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
