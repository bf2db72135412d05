"""Client CPU of a poll, and polls a second, with 50, 500 and 5,000 tasks; against peers."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, closing
from pathlib import Path

import msgspec

from aitoearn_async import Client, ImageRef, wait_backoff

from .children import Child
from .peers import WAYS, Missing, Poll, versions
from .report import Report, Spread, plain, turns
from .server import KEY, answering, task_id

MOST_BY_HAND = 1.15
LEAST_PEERS = 5.0
MOST_GROWTH = 1.15
SIZES = (50, 500, 5_000)
_IN_FLIGHT = 64
OURS = "batch"
_MOST_RESTARTS = 5

METHOD = """
Image tasks that never end are polled without pausing, with at most 64 requests under way, against a
local server in a process of its own, which never answers 304. Each way is a process of its own too.
"batch" is `client.as_completed`. "by hand" is an aiohttp session (TCPConnector(limit=0),
DummyCookieJar, the key as its only header) and msgspec decoding the same Struct with a decoder
built once. The peers poll their own API, which the same server also speaks, with their call that
asks how a task stands, set up as they come; aiohttp is named where it is their transport. All ways
but "batch" are a coroutine for each task, and a semaphore of 64 around the poll. The ways take
turns, backwards every other round. In its turn a way first polls a few hundred times, the batch
each task once; then CPU time (user and system) of its process over its polls is measured, and polls
over the clock. Ratios are of one and the same round; shown are medians over the rounds, and the
middle half of the ratios. A peer that an error of its own ends is started anew, and its turn is
repeated.
"""


class Turn(msgspec.Struct):
    """The findings of a way's turn."""

    polls: int
    cpu: float
    wall: float

    @property
    def us(self) -> float:
        """CPU of a poll, in microseconds."""
        return self.cpu / self.polls * 1e6


# In the process of a way.

Polled = AbstractAsyncContextManager[Callable[[], int]]
"""Inside the block tasks are polled; how many polls there have been so far."""


@contextlib.asynccontextmanager
async def _driven(poll: Poll, size: int) -> AsyncIterator[Callable[[], int]]:
    places = asyncio.Semaphore(_IN_FLIGHT)
    polls = itertools.count()
    done = 0

    async def one(task_id: str) -> None:
        nonlocal done
        while True:
            async with places:
                await poll(task_id)
            done = next(polls)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(task_id(number))) for number in range(size)]
        try:
            yield lambda: done
        finally:
            for task in tasks:
                task.cancel()


@contextlib.asynccontextmanager
async def _batch(client: Client, size: int) -> AsyncIterator[Callable[[], int]]:
    refs = (ImageRef(task_id(number)) for number in range(size))
    at_once = wait_backoff(0.0)
    async with client.as_completed(refs, wait=at_once, timeout=None) as batch:
        yield lambda: batch.statistics().polls


async def _turn(polled: Polled, warm_up: int, seconds: float) -> Turn:
    async with polled as polls:
        while polls() < warm_up:  # noqa: ASYNC110  they are counted, not announced
            await asyncio.sleep(0.02)
        gc.collect()
        before, cpu, wall = polls(), time.process_time(), time.perf_counter()
        await asyncio.sleep(seconds)
        while polls() == before:  # noqa: ASYNC110  a machine that is busy with something else
            await asyncio.sleep(0.02)
        return Turn(polls() - before, time.process_time() - cpu, time.perf_counter() - wall)


async def _obey(polled: Callable[[int], Polled], first: int) -> None:
    """Take a turn for each line of standard input: `SIZE SECONDS`."""
    _say("ready")
    while line := await asyncio.to_thread(sys.stdin.readline):
        size, seconds = line.split()
        warm_up = max(int(size) * first, 200)
        _say(msgspec.json.encode(await _turn(polled(int(size)), warm_up, float(seconds))).decode())


async def _child(way: str, base_url: str) -> None:
    if way == OURS:
        async with Client(KEY, base_url=base_url, concurrency=_IN_FLIGHT) as client:
            await _obey(lambda size: _batch(client, size), first=1)
        return
    try:
        async with WAYS[way].opened(base_url) as poll:
            await _obey(lambda size: _driven(poll, size), first=0)
    except Missing as missing:
        _say(f"missing {missing}")


def _say(line: str) -> None:
    print(line, flush=True)


# In the process that compares.


class Way:
    """A process that polls in one way when told to."""

    def __init__(self, name: str, base_url: str, *, cwd: Path | None = None) -> None:
        self.name = name
        self.restarts = 0
        self._base_url = base_url
        self._cwd = cwd
        self.missing = self._start()

    def _start(self) -> str:
        """Start the process. Return why it cannot poll, if it cannot."""
        self._child = Child("throughput", self.name, self._base_url, cwd=self._cwd)
        word, _, missing = self._child.line().partition(" ")
        if word not in {"ready", "missing"}:
            raise RuntimeError(f"{self.name} did not start")
        return missing

    def turn(self, size: int, seconds: float) -> Turn:
        while True:
            if said := self._child.ask(size, seconds):
                return msgspec.json.decode(said, type=Turn)
            self.close()
            if not _is_peer(self.name) or self.restarts >= _MOST_RESTARTS:
                raise RuntimeError(f"{self.name} came to an end")
            self.restarts += 1
            self._start()

    def close(self) -> None:
        self._child.close()


@contextlib.contextmanager
def _ways(base_url: str) -> Iterator[list[Way]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(closing(Way(name, base_url))) for name in (OURS, *WAYS)]


def _rounds(ways: list[Way], size: int, rounds: int, seconds: float) -> dict[str, list[Turn]]:
    took: dict[str, list[Turn]] = {way.name: [] for way in ways}
    for way in turns(ways, rounds):
        took[way.name].append(way.turn(size, seconds))
    return took


class _Found(msgspec.Struct):
    """The costs of a way at one size."""

    us: float
    a_second: float
    over_by_hand: Spread
    """Its CPU over that of the same by hand."""
    over_ours: Spread


def _compare(taken: dict[str, list[Turn]]) -> dict[str, _Found]:
    costs = {name: [turn.us for turn in took] for name, took in taken.items()}
    return {
        name: _Found(
            Spread.of(costs[name]).median,
            Spread.of([turn.polls / turn.wall for turn in took]).median,
            Spread.of_ratios(costs[name], costs["by hand"]),
            Spread.of_ratios(costs[name], costs[OURS]),
        )
        for name, took in taken.items()
    }


def _note(report: Report, name: str, size: int, found: _Found) -> None:
    over = found.over_by_hand
    among = f"{over.low:.2f} - {over.high:.2f}" if name != "by hand" else ""
    cells = f"{found.us:.0f}", f"{found.a_second:,.0f}", f"{over.median:.2f}"
    report.row(name, f"{size:,}", *cells, among)
    figure = f"{plain(name)}_{size}"
    report.figures[f"{figure}_us"] = found.us
    report.figures[f"{figure}_polls_per_second"] = found.a_second
    report.figures[f"{figure}_ratio"] = over.median


def _expect(report: Report, found: dict[int, dict[str, _Found]]) -> None:
    for size, ways in found.items():
        what = f"CPU of a poll in a batch of {size:,}, over the same by hand"
        report.expect(what, ways[OURS].over_by_hand.median, MOST_BY_HAND)
    for size, ways in found.items():
        peers = {name: way.over_ours.median for name, way in ways.items() if _is_peer(name)}
        if peers:
            best = min(peers, key=lambda name: peers[name])
            what = f"share of the best peer's CPU ({best}) that a batch of {size:,} takes"
            report.expect(what, 1 / peers[best], 1 / LEAST_PEERS)
    costs = [ways[OURS].us for ways in found.values()]
    what = f"CPU of a poll in a batch, the largest over the smallest, {SIZES[0]} to {SIZES[-1]:,}"
    report.expect(what, max(costs) / min(costs), MOST_GROWTH)


def _is_peer(name: str) -> bool:
    return name in WAYS and WAYS[name].package is not None


def run(smoke: bool) -> Report:
    rounds, seconds, sizes = (2, 0.1, (50,)) if smoke else (9, 1.0, SIZES)
    columns = ["way", "tasks", "CPU µs a poll", "polls a second", "over by hand", "middle half"]
    report = Report.of(METHOD, *columns)
    found: dict[int, dict[str, _Found]] = {}
    with answering() as base_url, _ways(base_url) as ways:
        there = [way for way in ways if not way.missing]
        for size in sizes:
            found[size] = _compare(_rounds(there, size, rounds, seconds))
            for name, one in found[size].items():
                _note(report, name, size, one)
            restarts = {f"{plain(way.name)}_restarts": way.restarts for way in ways if way.restarts}
            report.figures |= restarts
        for way in ways:
            if way.missing:
                report.row(way.name, "", "", "", "", way.missing)
    _expect(report, found)
    report.against = versions()
    return report


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_child(*sys.argv[1:]))
