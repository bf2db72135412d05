"""Workers, readers and others as processes, to be killed, frozen and thawed.

One process imports everything and forks whoever is asked for, one job a line of its input: a
process that has to start takes longer than most of what is done to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import json
import logging
import os
import random
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, NoReturn, Self

from aitoearn_async import AnyRef, Client, parse_ref
from aitoearn_async.fleet import Fleet
from aitoearn_async.fleet.errors import FleetUnavailableError, LeaseLostError
from aitoearn_async.fleet.ledger import Kind, Member
from aitoearn_async.fleet.urls import ledger_at


async def work(
    url: str,
    lease: float,
    service: str,
    agent: str,
    rate: float | None = None,
    skew: float = 0.0,
    **options: Any,
) -> None:
    """A worker. `skew`: how much its clock is ahead."""
    if skew:
        right = time.time
        time.time = lambda: right() + skew
    client = Client("emulator-key", base_url=service, user_agent=agent)
    async with Fleet(url, lease=lease) as fleet, client:
        await fleet.work(client, requests_per_second=rate, **options)


async def read(url: str, lease: float, path: str, prefetch: int = 1, delay: float = 0.0) -> None:
    """A reader, whose effect is a line in a file. Leases that it lost are lines in another."""
    lost = logging.FileHandler(f"{path}.lost", delay=True)
    lost.addFilter(lambda record: "to another reader" in record.getMessage())
    logging.getLogger("aitoearn_async.fleet").addHandler(lost)
    async with Fleet(url, lease=lease) as fleet, fleet.outcomes(prefetch=prefetch) as outcomes:
        with open(path, "ab", buffering=0) as file:  # noqa: ASYNC230 - nothing else runs
            async for outcome in outcomes:
                assert outcome.ok, outcome.error
                file.write(f"{outcome.ref}\n".encode())
                await asyncio.sleep(delay)


async def churn(url: str, lease: float, path: str) -> None:
    """A worker that does not wait for anything: the ledger alone, as fast as it goes.

    What it recorded is a line in a file.
    """
    ledger = ledger_at(url, "fleet", lease)
    await ledger.open()
    call = 0
    with open(path, "ab", buffering=0) as file:  # noqa: ASYNC230 - nothing else runs
        while True:
            with contextlib.suppress(LeaseLostError, FleetUnavailableError):
                member = await ledger.join(Kind.WORKER, "churn")
                report = Member(id=member, kind=Kind.WORKER)
                while True:
                    call += 1
                    most = random.randint(1, 40)
                    taken = await ledger.take(member, call, lambda _, free, most=most: most)  # type: ignore[misc]
                    await asyncio.sleep(random.random() * (0.01 if taken else 0.1))
                    await ledger.beat(member, lambda _, report=report: report)  # type: ignore[misc]
                    lines = [(each.ref, f"{member} {each.ref}".encode()) for each in taken]
                    kept = lines[: random.randint(0, len(lines))]
                    count = await ledger.record(member, kept)
                    file.write(f"{count}\n".encode())
                    if len(kept) < len(lines):
                        await ledger.give(member, [ref for ref, _ in lines[len(kept) :]])


async def alone(url: str, lease: float, service: str, agent: str, path: str, refs: str) -> None:
    """One that has no fleet: it waits for the refs in a file, and writes outcomes to another."""
    with open(refs) as lines:  # noqa: ASYNC230 - nothing else runs
        some = [parse_ref(line.strip()) for line in lines]
    client = Client("emulator-key", base_url=service, user_agent=agent)
    with open(path, "ab", buffering=0) as file:  # noqa: ASYNC230 - nothing else runs
        async with client, client.as_completed(some) as batch:
            async for outcome in batch:
                file.write(f"{outcome.ref}\n".encode())
    await asyncio.sleep(3_600)  # whoever started it reads what it has used


async def hold(
    *,
    url: str | None,
    lease: float,
    service: str,
    path: str,
    refs: str,
    counts: Sequence[int],
    settle: float,
) -> None:
    """Hold refs, with a fleet or without: some, and then more. Write what is resident with each.

    `settle`: seconds in which it does not grow any more: then all have been asked about, and the
    pages are there that are kept.
    """
    client = Client("emulator-key", base_url=service)
    with open(refs) as lines:  # noqa: ASYNC230 - nothing else runs
        some = [line.strip() for line in lines] if url is None else []
    more = asyncio.Semaphore(0)
    async with client, Fleet(url or f"sqlite:///{path}.db", lease=lease) as fleet:
        before = _resident()  # with all that is imported, and connected
        work = fleet.work(client) if url else _wait_for(client, _bit_by_bit(some, counts, more))
        waiting = asyncio.create_task(work)
        for count in itertools.accumulate(counts):
            more.release()
            while url and (await fleet.status()).held < count:  # noqa: ASYNC110 - it is measured
                await asyncio.sleep(0.2)
            grown = -1
            while (now := _resident() - before) > 1.02 * grown:
                grown = now
                await asyncio.sleep(settle)
            with open(path, "a") as file:  # noqa: ASYNC230 - nothing else runs
                file.write(f"{_resident()}\n")
        waiting.cancel()


async def _bit_by_bit(
    refs: Sequence[str], counts: Sequence[int], more: asyncio.Semaphore
) -> AsyncIterator[AnyRef]:
    following = iter(refs)
    for count in counts:
        await more.acquire()
        for ref in itertools.islice(following, count):
            yield parse_ref(ref)


async def _wait_for(client: Client, refs: AsyncIterator[AnyRef]) -> None:
    async with client.as_completed(refs) as batch:
        async for _ in batch:
            pass


def _resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


ROLES: dict[str, Callable[..., Awaitable[None]]] = {
    "work": work,
    "read": read,
    "churn": churn,
    "alone": alone,
    "hold": hold,
}


class Crew:
    """The process that forks, and all that it has forked."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "tests.fleet.crew"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.alive: dict[int, str] = {}

    def start(self, role: str, **job: Any) -> int:
        """Start one. Returns its process id."""
        pid = self._tell(json.dumps({"role": role, **job}))
        self.alive[pid] = role
        return pid

    def send(self, pid: int, signal_number: int) -> None:
        """Send a signal to one of them."""
        if signal_number in (signal.SIGKILL, signal.SIGTERM):
            del self.alive[pid]
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal_number)

    def dismiss(self) -> None:
        """Kill all that are left, also those who are frozen, and were told to stop."""
        self._tell("")
        self.alive.clear()

    def _tell(self, line: str) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.dismiss()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def _import_everything() -> None:
    """Import what is imported when it is first used: each of the forked would do so."""
    Client("key", base_url="http://127.0.0.1:9")
    for url in ("sqlite:///x", "postgresql://x", "redis://x"):
        ledger_at(url, "fleet", 1.0)


def main() -> None:
    """Fork for each line, and let the forked do their jobs; kill them all for an empty line."""
    forked: set[int] = set()
    signal.signal(signal.SIGCHLD, _reap)
    _import_everything()
    gc.freeze()  # what all of them have in common is not to be written to, and so copied
    for line in sys.stdin:
        if not line.strip():
            _kill(forked)
            pid = 0
        elif not (pid := os.fork()):
            _do(json.loads(line))
        else:
            forked.add(pid)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


def _reap(*_: object) -> None:
    """Wait for those who have ended: what they used counts as this process's then."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _kill(forked: set[int]) -> None:
    for pid in forked:
        with contextlib.suppress(ChildProcessError):
            if os.waitpid(pid, os.WNOHANG) == (0, 0):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
    forked.clear()


def _do(job: dict[str, Any]) -> NoReturn:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    code = 1
    try:
        asyncio.run(_run(ROLES[job.pop("role")](**job)))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


async def _run(job: Awaitable[None]) -> None:
    await job


if __name__ == "__main__":
    main()
