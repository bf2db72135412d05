"""The lag of the event loop and that of polls, with 100,000 tasks pending."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from aitoearn_async import Client, ImageRef, wait_backoff

from .children import Child, output_of
from .report import Report, percentiles, plain
from .server import KEY, answering, task_id

MOST_MS = 20.0
_TICK = 0.005
_ENDING = 60  # of a hundred
_PER_SECOND = 1000

METHOD = """
One process, one client, 100,000 image tasks in two batches (`client.as_completed`), against a local
server in a process of its own. A timer in the same loop is due every 5 ms; how much later it runs
is the lag of the loop, and each further 5 ms that it missed counts too. Poll lag is
`batch.statistics().lag` of the smaller batch, read at each of those ticks. "first polls": until
every task has been polled once, as fast as it goes. "steady": the 40,000 of one batch are polled
again and again, together 1,000 times a second; the other 60,000 wait. "60 % end": then all of those
are due in one and the same moment, and are found to have ended, while the 40,000 go on. "nothing to
do": a process beside it whose loop has the timer and nothing else: what the machine itself adds.
"own" is as much of the loop's lag as the process has spent of CPU time meanwhile. One run.
"""


class Phase(msgspec.Struct):
    """The findings of one phase."""

    name: str
    seconds: float
    polls: int
    loop: list[float]
    """Seconds: the median, the 99th percentile and the longest."""
    own: list[float]
    """The part of the loop's lag in which this process used the CPU."""
    poll: list[float]


class _Watch:
    """A timer that notes how late it runs."""

    def __init__(self, poll_lag: Callable[[], float]) -> None:
        self._poll_lag = poll_lag
        self.clear()

    def clear(self) -> None:
        self.lags: list[float] = []
        self.own: list[float] = []
        self.poll_lags: list[float] = []

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due += _TICK
            cpu = time.process_time()
            await asyncio.sleep(due - loop.time())
            now, cpu = loop.time(), time.process_time() - cpu
            self.poll_lags.append(self._poll_lag())
            self._note(now - due, cpu)
            while due + _TICK < now:
                due += _TICK
                self._note(now - due, cpu)

    def _note(self, lag: float, cpu: float) -> None:
        self.lags.append(max(lag, 0.0))
        self.own.append(max(min(lag, cpu), 0.0))


class _Often(wait_backoff):
    """A strategy that polls all tasks alike often, evenly spread, from a common moment on."""

    def __init__(self, since: float, seconds: float) -> None:
        super().__init__(seconds / 0.9, factor=1.0, maximum=seconds / 0.9)
        self._since = since
        self._seconds = seconds

    def after(self, polls: int) -> float:
        if polls > 1:
            return super().after(polls)
        return max(self._since - time.monotonic(), 0.0) + self._seconds * random.random()


class _Together(wait_backoff):
    """A strategy that polls all tasks in one moment."""

    def __init__(self, moment: float) -> None:
        super().__init__(0.0)
        self._moment = moment

    def after(self, polls: int) -> float:
        return max(self._moment - time.monotonic(), 0.0)


async def _seconds_for(polls: int, base_url: str) -> float:
    """Return the seconds that so many polls take here and now, going by a few of them."""
    some = 2_000
    began = time.monotonic()
    async with Client(KEY, base_url=base_url) as client:
        await asyncio.gather(*(client.get(ImageRef(task_id(_ENDING))) for _ in range(some)))
    return (time.monotonic() - began) / some * polls


async def _child(base_url: str, count: int, steady: float) -> None:
    since = time.monotonic() + 2 * await _seconds_for(count, base_url) + 3.0
    together = since + steady
    ending = [ImageRef(task_id(number)) for number in range(count) if number % 100 < _ENDING]
    others = [ImageRef(task_id(number)) for number in range(count) if number % 100 >= _ENDING]
    often = _Often(since, len(others) / _PER_SECOND)
    phases: list[Phase] = []
    async with (
        Client(KEY, base_url=base_url) as client,
        client.as_completed(others, wait=often, timeout=None) as going_on,
        client.as_completed(ending, wait=_Together(together), timeout=None) as batch,
    ):
        del ending, others

        def polls() -> int:
            return going_on.statistics().polls + batch.statistics().polls

        watch = _Watch(lambda: going_on.statistics().lag)
        watching = asyncio.create_task(watch.run())

        async def phase(name: str, over: Callable[[], bool]) -> None:
            watch.clear()
            began, before = time.monotonic(), polls()
            while not over():  # noqa: ASYNC110  looking must not hold anybody up
                await asyncio.sleep(_TICK)
            spent, polled = time.monotonic() - began, polls() - before
            seen = map(percentiles, (watch.lags, watch.own, watch.poll_lags))
            phases.append(Phase(name, spent, polled, *seen))

        async def take() -> None:
            async for outcome in batch:
                outcome.unwrap()

        taking = asyncio.create_task(take())
        await phase("first polls", lambda: polls() >= count)
        await asyncio.sleep(max(since + 1.0 - time.monotonic(), 0.0))
        await phase("steady", lambda: time.monotonic() >= together - 0.1)
        await phase(f"{_ENDING} % end", taking.done)
        await taking
        watching.cancel()
    print(msgspec.json.encode(phases).decode())


async def _idle() -> None:
    watch = _Watch(lambda: 0.0)
    watching = asyncio.create_task(watch.run())
    began = time.monotonic()
    await asyncio.to_thread(sys.stdin.read)
    watching.cancel()
    seen = map(percentiles, (watch.lags, watch.own, watch.poll_lags))
    phase = Phase("nothing to do", time.monotonic() - began, 0, *seen)
    print(msgspec.json.encode([phase]).decode())


def measure(base_url: str, count: int, steady: float, *, cwd: Path | None = None) -> list[Phase]:
    """Return what is seen in each phase."""
    idle = Child("lag", "idle", cwd=cwd)
    try:
        found = output_of("lag", base_url, count, steady, cwd=cwd)
    finally:
        beside = idle.close()
    return [
        phase for said in (found, beside) for phase in msgspec.json.decode(said, type=list[Phase])
    ]


def run(smoke: bool) -> Report:
    count, steady = (500, 2.0) if smoke else (100_000, 30.0)
    with answering(polls_to_end=2, ending=_ENDING) as base_url:
        phases = measure(base_url, count, steady)
    if not smoke and not all(phase.polls for phase in phases[:-1]):
        raise RuntimeError("something else keeps this machine too busy for a steady phase")
    columns = ["loop, ms: p50", "p99", "max", "p99, own", "poll, ms: p50", "p99", "max"]
    report = Report.of(METHOD, "phase", "s", "polls/s", *columns)
    for phase in phases:
        loop = [f"{seconds * 1e3:.1f}" for seconds in (*phase.loop, phase.own[1])]
        is_batch = phase.polls > 0
        poll = [f"{seconds * 1e3:,.1f}" if is_batch else "" for seconds in phase.poll]
        rate = f"{phase.polls / phase.seconds:,.0f}" if is_batch else ""
        report.row(phase.name, f"{phase.seconds:.0f}", rate, *loop, *poll)
        name, figures = plain(phase.name), report.figures
        figures[f"{name}_seconds"], figures[f"{name}_polls"] = phase.seconds, phase.polls
        for which, lags in (("loop", phase.loop), ("own", phase.own), ("poll", phase.poll)):
            for word, seconds in zip(("p50", "p99", "max"), lags, strict=True):
                figures[f"{name}_{which}_{word}_ms"] = seconds * 1e3
        if phase.name in {"steady", f"{_ENDING} % end"}:
            what = f"ms of loop lag, 99th percentile, {phase.name}"
            report.expect(what, phase.loop[1] * 1e3, MOST_MS)
    return report


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        if sys.argv[1] == "idle":
            asyncio.run(_idle())
        else:
            _base_url, _count, _steady = sys.argv[1:]
            asyncio.run(_child(_base_url, int(_count), float(_steady)))
