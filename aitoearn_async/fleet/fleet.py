"""Fleet, the one object a user holds: to add refs, run a worker, read outcomes, see the status."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import sys
from collections.abc import AsyncIterable, Generator, Iterable
from datetime import timedelta
from os import PathLike
from typing import TYPE_CHECKING, Any

from aitoearn_async import Client, TaskRef, WaitStrategy

from .adding import add_all
from .cancelled import cancelled_once, uncancelled
from .errors import FleetError
from .ledger import Ledger
from .patience import log, persist
from .reader import LeasedQueue, Outcomes
from .sigterm import stopped_by_sigterm
from .status import FleetStatus, status_of
from .urls import ledger_at
from .worker import Job, work

if TYPE_CHECKING:
    from psycopg import AsyncConnection

_DAY = 86_400.0
_LONGEST_KEPT = 36_525 * _DAY
"""Seconds. No ref is older, and `keep` may be infinite, of which not all engines know."""
_SECONDS_BETWEEN_SWEEPS = 60.0
_SECONDS_WHEN_BEHIND = 1.0
"""Seconds until the next sweep, after one that left old refs."""
_SWEPT_AT_A_TIME = 10_000
_SHORTEST_LEASE = 1.0
_FORKED = (
    "this fleet is in use in the process that this one was forked from, and so is its connection. "
    "Make one Fleet per process"
)


class Fleet:
    """Tasks that outlive the process that waits for them, shared by any number of workers.

        async with Fleet("postgresql://host/database") as fleet:
            await fleet.add(refs)

    What has been added stays at the engine until its outcome has been read, whoever dies.

    Args:
        url: The engine: `postgresql://…`, `redis://…`, or `sqlite:///file.db` for the processes
            of one machine. Default: the environment variable `AITOEARN_FLEET`, else the file
            `aitoearn-fleet.db` in the working directory.
        name: The fleet's name. Several fleets share a database under different names: one for
            each account, since any worker may ask for any ref of its fleet.
        lease: Seconds after which a worker or reader that gives no sign of life counts as dead,
            from 1 to a day. The same for all members.
        keep: Seconds for which a ref is remembered whose outcome has been read: adding it again
            meanwhile adds nothing.
        patience: Seconds for which entering this, `add` and `status` go on trying while the engine
            cannot be reached.
        create: Make the fleet where there is none, when this is entered. False: raise
            `FleetNotFoundError`, and make nothing.

    Raises:
        ValueError: An argument cannot be used.
        FleetError: The engine's package is not installed, or finds no libpq.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        name: str = "fleet",
        lease: float = 15.0,
        keep: float = 7 * _DAY,
        patience: float = 60.0,
        create: bool = True,
    ) -> None:
        if not _is_number(lease) or not _SHORTEST_LEASE <= lease <= _DAY:
            raise ValueError(f"lease={lease!r:.60}: give seconds, 1 or more, a day at most")
        if not _is_number(keep) or keep < 0:
            raise ValueError(f"keep={keep!r:.60}: give seconds, 0 or more")
        if not _is_number(patience) or patience < 0:
            raise ValueError(f"patience={patience!r:.60}: give seconds, 0 or more")
        self._ledger: Ledger = ledger_at(url, name, float(lease))
        self._keep = float(keep)
        self._patience = float(patience)
        self._create = create
        self._process = 0  # that has it open
        self._workers: dict[asyncio.Event, asyncio.Event] = {}  # what stops each: when it has left

    async def __aenter__(self) -> Fleet:
        await persist(lambda: self._ledger.open(create=self._create), self._patience)
        self._process = os.getpid()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Stop this fleet's workers, and close the connection to the engine.

        Closing twice does nothing.
        """
        if self._process:
            self._check_open()
        self._process = 0
        try:
            for stop in self._workers:
                stop.set()
            for left in list(self._workers.values()):
                await left.wait()
        finally:
            await uncancelled(self._ledger.close())

    async def add(
        self, refs: Iterable[TaskRef[Any] | str] | AsyncIterable[TaskRef[Any] | str]
    ) -> int:
        """Add refs. When this returns, each is kept until its outcome is.

        Args:
            refs: Any iterable or async iterable of refs, or of their text forms, of any length; it
                is read as it is added. What has been read when it raises is added all the same.

        Returns:
            How many were new. One that is in the fleet already, or was read less than `keep`
            seconds ago, is not. Where the engine was lost meanwhile, some may be new that are
            not counted.

        Raises:
            TypeError: `refs` is no iterable, or one of them is no ref.
            ValueError: One of them is text that names no task.
            FleetUnavailableError: The engine could not be reached for `patience`. What was added
                until then is kept, and adding all of it again does no harm.
            FleetError: The engine cannot be used.
        """
        self._check_open()
        return await add_all(refs, self._add)

    async def _add(self, refs: list[str]) -> int:
        return await persist(lambda: self._ledger.add(refs), self._patience)

    async def work(
        self,
        client: Client,
        *,
        max_pending: int = 100_000,
        requests_per_second: float | None = None,
        save: str | PathLike[str] | None = None,
        timeout: float | timedelta | None = _DAY,
        wait: WaitStrategy | None = None,
        patience: float | timedelta | None = None,
        max_bytes: int = 1_073_741_824,
    ) -> None:
        """Run a worker until told to stop: take refs, wait for them, record their outcomes.

        Run as many as you like, anywhere. It ends when it is cancelled, when the fleet is closed,
        or on SIGTERM where the program has no handler of its own for that: what it holds is then
        handed over at once.
        While the engine is away it goes on for a lease with what it has. While the service
        refuses its key, or has not been found at its address yet, it asks for nothing, says so in
        the log and in `status`, and tries again now and then.

        Args:
            client: The client to ask with, for this call alone. Its `requests_per_second` is
                changed meanwhile.
            max_pending: The most refs that this worker holds.
            requests_per_second: The most requests of the whole fleet in any second, shared
                evenly by its workers; where they say different numbers, the lowest holds.
            save: A directory: as of `Client.as_completed`. On this worker's machine.
            timeout: Seconds, or a `timedelta`, for each ref, from when it was added, over all
                workers; None for no limit.
            wait: The delays between polls of one ref: any tenacity wait strategy.
            patience: Seconds that the service may stay unreachable, or keep failing for a ref,
                until that ref is given up. Default: no limit, refs are kept.
            max_bytes: The size past which a file is not saved.

        Raises:
            ValueError: A number is out of its range.
            FleetError: The engine cannot be used.
            ClientClosedError: The client was closed.
            RuntimeError: The client is in use by another call.
        """
        self._check_open()
        if requests_per_second is not None and not (
            _is_number(requests_per_second) and 0 < requests_per_second < math.inf
        ):
            raise ValueError(
                f"requests_per_second={requests_per_second!r:.60}: give a finite number above 0"
            )
        batch: dict[str, Any] = {
            "timeout": timeout,
            "wait": wait,
            "patience": patience,
            "save": save,
            "max_bytes": max_bytes,
        }
        # What the client refuses is refused now, and not with the first batch.
        client.as_completed((), max_pending=max_pending, **batch)
        with self._stopped_when_closed() as stop:
            job = Job(
                ledger=self._ledger,
                client=client,
                rate=requests_per_second,
                max_pending=max_pending,
                batch=batch,
                stop=stop,
            )
            await cancelled_once(self._run(job))

    async def _run(self, job: Job) -> None:
        sweeping = asyncio.create_task(self._sweep())
        try:
            with stopped_by_sigterm(job.stop):
                await work(job)
        finally:
            sweeping.cancel()
            await asyncio.gather(sweeping, return_exceptions=True)

    @contextlib.contextmanager
    def _stopped_when_closed(self) -> Generator[asyncio.Event]:
        """Give an event that `aclose` sets before it waits for the end of the block."""
        stop, left = asyncio.Event(), asyncio.Event()
        self._workers[stop] = left
        try:
            yield stop
        finally:
            del self._workers[stop]
            left.set()

    async def _sweep(self) -> None:
        """Remove, once a minute, refs that were done more than `keep` seconds ago."""
        keep, count = min(self._keep, _LONGEST_KEPT), 0
        while True:
            is_behind = count == _SWEPT_AT_A_TIME
            await asyncio.sleep(_SECONDS_WHEN_BEHIND if is_behind else _SECONDS_BETWEEN_SWEEPS)
            try:
                count = await self._ledger.forget(keep, _SWEPT_AT_A_TIME)
            except FleetError as error:
                count = 0
                log.info("old refs could not be forgotten: %s", error)

    def outcomes(
        self,
        *,
        follow: bool = True,
        prefetch: int = 1,
        connection: AsyncConnection[Any] | None = None,
    ) -> Outcomes:
        """Read outcomes, each of which goes to one reader.

            async with fleet.outcomes() as outcomes:
                async for outcome in outcomes:
                    task = outcome.unwrap()

        Any number of readers, anywhere. An outcome is done when the next one is asked for.

        Args:
            follow: Wait for more without end. False: end when every ref that was added has had
                its outcome read.
            prefetch: How many to take at a time. That many may be read a second time by another
                reader if this one dies. Where fewer came, the next look is 0.2 seconds later.
            connection: A psycopg `AsyncConnection` to the fleet's Postgres. Each outcome is then
                read and done in a transaction of this connection, which is committed when the
                next is asked for, or the block is left without an error: what the block does
                with the connection happens exactly once. `prefetch` is 1 then. Do not commit or
                roll back inside the block.

        Returns:
            An `Outcomes`: an async context manager, and inside it an async iterator.

        Raises:
            ValueError: `prefetch` is out of its range, or there is a connection but no Postgres.
            TypeError: The connection is of another kind.
            FleetError: The engine cannot be used. When entered or iterated.
        """
        self._check_open()
        is_whole = isinstance(prefetch, int) and not isinstance(prefetch, bool)
        if not is_whole or not 1 <= prefetch <= 1_000:
            raise ValueError(f"prefetch={prefetch!r}: give a whole number, 1 to 1,000")
        if connection is None:
            queue = LeasedQueue(self._ledger)
            return Outcomes(queue, self._ledger, prefetch=prefetch, follow=follow)
        on_connection = getattr(self._ledger, "queue_on", None)
        if on_connection is None:
            raise ValueError("connection= is for a fleet in Postgres; this one is elsewhere")
        return Outcomes(on_connection(connection), self._ledger, prefetch=1, follow=follow)

    async def status(self) -> FleetStatus:
        """Return how the fleet stands.

        It counts rows: with millions of refs it takes the engine a second, so do not ask all
        the time.

        Raises:
            FleetUnavailableError: The engine could not be reached for `patience`.
            FleetError: The engine cannot be used.
        """
        self._check_open()
        return status_of(await persist(self._ledger.counts, self._patience))

    def _check_open(self) -> None:
        if not self._process:
            raise RuntimeError("this fleet is not open; use it inside `async with`")
        if self._process != os.getpid():
            raise RuntimeError(_FORKED)


def _is_number(value: object) -> bool:
    """Return whether this is a number that a float can be; infinity is one."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return abs(value) <= sys.float_info.max or value == math.inf
