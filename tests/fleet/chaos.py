"""Chaos, end to end: processes that wait for real, and what is done to them while they do.

    python -m tests.fleet.chaos postgres --tasks 2000 --lives 5-45 --lease 6 --kill 5

All tasks are added first. What came of it is counted: refs without an outcome, outcomes that
were read twice, polls a task, and how long it took until somebody asked for an orphan again.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import math
import random
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from aitoearn_async import AnyRef
from aitoearn_async.emulator import Emulator
from aitoearn_async.fleet import Fleet, FleetStatus
from aitoearn_async.fleet.urls import ledger_at
from tests.fleet.crew import Crew
from tests.fleet.proxy import Proxy
from tests.fleet.servers import PostgresServer, Server, ValkeyServer

REST = 0.3
"""Seconds until a worker that was killed is started again."""


@dataclasses.dataclass
class Plan:
    """What is done, and how often: seconds between two, none where it is None."""

    tasks: int = 200
    lives: tuple[float, float] = (2.0, 6.0)
    workers: int = 3
    readers: int = 1
    lease: float = 1.5
    kill: float | None = None
    kill_reader: float | None = None
    terminate: float | None = None
    freeze: float | None = None
    frozen: float = 3.0
    kill_engine: float | None = None
    engine_away: float = 0.5
    cut: float | None = None
    cut_for: float = 1.0
    skew: float = 0.0
    rate: float | None = None
    prefetch: int = 1
    look: float = 0.25
    """Seconds between two looks at the fleet, each of which counts all its refs."""
    watch: bool = False
    """See how long refs of a worker that was killed stay its own."""
    alone: bool = False
    """The workers have no fleet: each waits for its part of the tasks."""
    storm_for: float = 1e9
    """Seconds after which nothing more is done to anybody, once all have been replaced."""
    calm_lease: float = 60.0
    """The lease of their successors: one that a busy machine does not make them lose."""
    timeout: float = 120.0


@dataclasses.dataclass
class Result:
    """What came of it."""

    lost: int
    read_twice: int
    readers_lost: int
    """How often a reader was killed, or lost its lease while it had outcomes."""
    kills: Counter[str]
    polls_a_task: float
    busiest_second: int
    orphaned: list[float]
    """Seconds from a worker's death until each of its refs was another's."""
    handed_over: list[float]
    """The same of those that were told to stop."""
    took: float
    cpu: float
    """Seconds of the workers' processors, of all that were not killed."""
    engine_cpu: float
    share: float
    """The most that a worker held over the mean, at the last look at which most was held. What is
    held as tasks end tells mainly how long ago each worker looked at its pages."""
    work: float
    """The most tasks that a worker asked about over the mean, in the whole run."""
    left: FleetStatus

    def __str__(self) -> str:
        lines = [f"{field.name}: {getattr(self, field.name)}" for field in dataclasses.fields(self)]
        lines = [line for line in lines if not line.startswith(("orphaned", "handed_over"))]
        for name in ("orphaned", "handed_over"):
            values = sorted(getattr(self, name))
            if values:
                some = [values[int(len(values) * part)] for part in (0.5, 0.99)]
                lines.append(f"{name}: p50 {some[0]:.2f} p99 {some[1]:.2f} max {values[-1]:.2f}")
        return "\n".join(lines)


class Storm:
    """One run.

    Args:
        url: The engine.
        plan: What is done.
        directory: For the readers' file.
        crew: Those who work and read.
        server: The engine's server, if it has one.
    """

    def __init__(
        self, url: str, plan: Plan, directory: Path, crew: Crew, server: Server | None = None
    ) -> None:
        self.crew = crew
        self.url = url
        self.plan = plan
        self.file = directory / "read"
        self.file.touch()
        self.server = server
        self.kills: Counter[str] = Counter()
        self.gaps: dict[bool, list[float]] = {True: [], False: []}  # by SIGKILL, or not
        self.watching: set[asyncio.Task[None]] = set()
        self.started = 0
        self.most_held = 1
        self.share = math.nan
        self.lease = plan.lease
        self.is_over = False

    async def run(self) -> Result:
        """Add, wait and torment until all has been read."""
        plan = self.plan
        began = asyncio.get_running_loop().time()
        try:
            async with Emulator() as self.service, self._through() as self.inner:
                refs = [self._task() for _ in range(plan.tasks)]
                engine_before = self.server.cpu_seconds() if self.server else 0.0
                async with Fleet(self.url, lease=plan.lease) as fleet:
                    assert await fleet.add(refs) == plan.tasks
                    for number in range(plan.workers):
                        if plan.alone:
                            self._alone(refs[number :: plan.workers])
                        else:
                            self._worker()
                    for _ in range(plan.readers):
                        self._reader()
                    async with asyncio.timeout(plan.timeout):
                        await self._until_read(fleet, refs)
                    left = await fleet.status()
                    workers = [pid for pid, role in self.crew.alive.items() if role != "read"]
                    cpu = sum(map(cpu_seconds, workers))
                    engine_cpu = self.server.cpu_seconds() - engine_before if self.server else 0.0
        finally:
            self.crew.dismiss()
        read = Counter(self.file.read_text().split())
        return Result(
            lost=len({str(ref) for ref in refs} - read.keys()),
            read_twice=sum(times - 1 for times in read.values()),
            readers_lost=self.kills["reader killed"] + self._leases_lost(),
            kills=self.kills,
            polls_a_task=len(self.service.requests) / plan.tasks,
            busiest_second=most_in_a_second([each.at for each in self.service.requests]),
            orphaned=self.gaps[True],
            handed_over=self.gaps[False],
            took=asyncio.get_running_loop().time() - began,
            cpu=cpu,
            engine_cpu=engine_cpu,
            share=self.share,
            work=self._work(),
            left=left,
        )

    def _leases_lost(self) -> int:
        lost = Path(f"{self.file}.lost")
        return len(lost.read_text().splitlines()) if lost.exists() else 0

    def _task(self) -> AnyRef:
        return self.service.add_image(("generating", random.uniform(*self.plan.lives)), "success")

    async def _until_read(self, fleet: Fleet, refs: Sequence[AnyRef]) -> None:
        torments = [asyncio.create_task(torment) for torment in self._torments()]
        try:
            while len(set(self.file.read_text().split())) < len(refs):
                for torment in torments:
                    if torment.done():
                        torment.result()
                await asyncio.sleep(self.plan.look)
                if self.server is None or self.server.process is not None:
                    await self._look(fleet)
        finally:
            for torment in (*torments, *self.watching):
                torment.cancel()
            await asyncio.gather(*torments, *self.watching, return_exceptions=True)

    async def _look(self, fleet: Fleet) -> None:
        status = await fleet.status()
        held = [each.held for each in status.members if each.kind == "worker"]
        if not status.waiting and len(held) == self.plan.workers and sum(held) >= self.most_held:
            self.most_held = sum(held)
            self.share = max(held) / (sum(held) / len(held))

    def _work(self) -> float:
        asked = {(each.headers["User-Agent"], each.ref) for each in self.service.requests}
        tasks = Counter(agent for agent, ref in asked if ref is not None)
        return max(tasks.values()) / (tasks.total() / len(tasks))

    def _torments(self) -> list[Any]:
        plan = self.plan
        every = {
            self._kill_worker: plan.kill,
            self._kill_reader: plan.kill_reader,
            self._terminate: plan.terminate,
            self._freeze: plan.freeze,
            self._kill_engine: plan.kill_engine,
            self._cut: plan.cut,
        }
        torments = [self._repeat(what, pause) for what, pause in every.items() if pause is not None]
        return [*torments, self._calm()]

    async def _repeat(self, what: Any, pause: float) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + self.plan.storm_for
        while loop.time() + pause < until:
            await asyncio.sleep(pause)
            if self.is_over:  # it was a long pause
                return
            await what()

    async def _calm(self) -> None:
        """Kill all who have lived through the storm; when their leases are over, others come."""
        await asyncio.sleep(self.plan.storm_for)
        self.is_over = True
        self.lease = self.plan.calm_lease
        roles = list(self.crew.alive.values())
        for pid in list(self.crew.alive):
            self.crew.send(pid, signal.SIGKILL)
        await asyncio.sleep(self.plan.lease)
        for role in roles:
            if role == "read":
                self.kills["reader killed"] += 1
                self._reader()
            else:
                self._worker()

    def _worker(self) -> None:
        self.started += 1
        agent = f"worker-{self.started}"
        self.crew.start(
            "work",
            url=self.inner,
            lease=self.lease,
            service=self.service.url,
            agent=agent,
            rate=self.plan.rate,
            skew=self.plan.skew * (self.started % 3),
        )

    def _alone(self, refs: Sequence[AnyRef]) -> None:
        self.started += 1
        path = self.file.with_name(f"refs-{self.started}")
        path.write_text("".join(f"{ref}\n" for ref in refs))
        self.crew.start(
            "alone",
            url=self.url,
            lease=1.0,
            service=self.service.url,
            agent="alone",
            path=str(self.file),
            refs=str(path),
        )

    def _reader(self) -> None:
        prefetch = self.plan.prefetch
        self.crew.start(
            "read", url=self.inner, lease=self.lease, path=str(self.file), prefetch=prefetch
        )

    def _one(self, role: str) -> int:
        return random.choice([pid for pid, its in self.crew.alive.items() if its == role])

    async def _kill_worker(self) -> None:
        await self._end(signal.SIGKILL, "worker killed")

    async def _terminate(self) -> None:
        await self._end(signal.SIGTERM, "worker told to stop")

    async def _end(self, how: signal.Signals, what: str) -> None:
        pid = self._one("work")
        watched = asyncio.create_task(self._watch(pid, how)) if self.plan.watch else None
        if watched is not None:
            self.watching.add(watched)
            await asyncio.sleep(0.05)
        self.crew.send(pid, how)
        self.kills[what] += 1
        await asyncio.sleep(REST)
        self._worker()

    async def _watch(self, pid: int, how: signal.Signals) -> None:
        """See how long what a worker holds stays its own after its end."""
        ledger = ledger_at(self.url, "fleet", self.plan.lease)
        await ledger.open()
        members = (await ledger.counts()).members
        number = next((each.id for each in members if each.name.endswith(f":{pid}")), 0)
        began = asyncio.get_running_loop().time()
        left = set(await ledger.held(number, 100_000))
        while left:
            await asyncio.sleep(0.1)
            still = set(await ledger.held(number, 100_000))
            passed = asyncio.get_running_loop().time() - began
            self.gaps[how is signal.SIGKILL] += [passed] * len(left - still)
            left &= still
        await ledger.close()

    async def _kill_reader(self) -> None:
        self.crew.send(self._one("read"), signal.SIGKILL)
        self.kills["reader killed"] += 1
        self._reader()

    async def _freeze(self) -> None:
        pid = self._one("work")
        self.crew.send(pid, signal.SIGSTOP)
        self.kills["worker frozen"] += 1
        await asyncio.sleep(self.plan.frozen)
        # Also one that was told to stop meanwhile: it may hold a lock of the engine's.
        self.crew.send(pid, signal.SIGCONT)

    async def _kill_engine(self) -> None:
        assert self.server is not None
        self.server.kill()
        self.kills["engine killed"] += 1
        await asyncio.sleep(self.plan.engine_away)
        await asyncio.to_thread(self.server.start)

    async def _cut(self) -> None:
        assert self.proxy is not None
        self.kills["network cut"] += 1
        self.proxy.cut()
        await asyncio.sleep(self.plan.cut_for)
        self.proxy.mend()

    @contextlib.asynccontextmanager
    async def _through(self) -> AsyncIterator[str]:
        """The engine's address for the crew: through a proxy, where the network is to be cut."""
        self.proxy = None
        if self.server is None or self.plan.cut is None:
            yield self.url
            return
        async with Proxy(self.server.port) as self.proxy:
            yield self.url.replace(f":{self.server.port}", f":{self.proxy.port}")


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used, by the scheduler's own books: to the nanosecond."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(each.read_text().split()[0]) for each in threads) / 1e9


def most_in_a_second(moments: Sequence[float]) -> int:
    """The most moments in any second, wherever it begins."""
    most = first = 0
    for last, moment in enumerate(moments):
        while moments[first] <= moment - 1.0 + 1e-6:
            first += 1
        most = max(most, last - first + 1)
    return most


def main() -> None:
    """Run it by hand."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "engine", choices=["sqlite", "postgres", "debian-postgres", "valkey", "redis"]
    )
    for field in dataclasses.fields(Plan):
        name = f"--{field.name.replace('_', '-')}"
        if field.name == "lives":
            parser.add_argument(name, default=field.default, type=_range)
        else:
            kind = int if isinstance(field.default, int) else float
            parser.add_argument(name, default=field.default, type=kind)
    options = vars(parser.parse_args())
    engine = options.pop("engine")
    with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as stack:
        crew = stack.enter_context(Crew())
        url = f"sqlite:///{directory}/fleet.db"
        server: PostgresServer | ValkeyServer | None = None
        if engine != "sqlite":
            if "postgres" in engine:
                server = PostgresServer(durable=True, debian=engine != "postgres")
            else:
                server = ValkeyServer(redis=engine == "redis")
            stack.callback(server.close)
            url = server.url
        result = asyncio.run(Storm(url, Plan(**options), Path(directory), crew, server).run())
    sys.stdout.write(f"{result}\n")
    sys.exit(bool(result.lost))


def _range(text: str) -> tuple[float, float]:
    first, _, last = text.partition("-")
    return float(first), float(last)


if __name__ == "__main__":
    main()
