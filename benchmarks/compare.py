"""This checkout against an earlier one, side by side: `python -m benchmarks compare REVISION`."""

from __future__ import annotations

import asyncio
import contextlib
import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import tenacity

from aitoearn_async import Client, ImageRef

from . import import_time, lag, memory, overhead, throughput
from .children import Child
from .report import Cell, Expectation, Report, Spread, Table, turns
from .server import KEY, answering

MOST = 1.03
_LEAST_LAG_MS = 0.1
"""Shorter ones are all the same."""
_ROOT = Path(__file__).resolve().parent.parent
_POLLS_OF_A_WAIT = 50

METHOD = """
The package as it was at a revision, and as it is in this checkout, both measured by the benchmarks
of this checkout. The two take turns, in the order A B B A, so whatever else the machine does falls
on both; each pair of neighbouring turns gives a ratio of after to before, and the median of those
is the result. "get" and "wait_for" are those of `overhead`, "batch" is that of `throughput`,
without ways of others beside it, "waiting" is that of `memory`, "lag" is how much of the loop's
lag the process had spent CPU time in, the 99th percentile, with so many tasks pending, and
"import" is the CPU time of a fresh interpreter.
"""

Sides = dict[str, Path]
"""The folders of both packages."""
Measure = Callable[[], float]


def _trees(revision: str, folder: Path) -> Sides:
    """Put both packages into folders of their own, each beside these benchmarks."""
    archive = subprocess.run(
        ["git", "archive", revision, "aitoearn_async"],
        cwd=_ROOT,
        stdout=subprocess.PIPE,
        check=True,
    )
    sides = {"before": folder / "before", "after": folder / "after"}
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as packed:
        packed.extractall(sides["before"], filter="data")
    ignore = shutil.ignore_patterns("__pycache__", "results")
    shutil.copytree(_ROOT / "aitoearn_async", sides["after"] / "aitoearn_async", ignore=ignore)
    for side in sides.values():
        shutil.copytree(_ROOT / "benchmarks", side / "benchmarks", ignore=ignore)
    return sides


# In the process of a side.


async def _child(base_url: str, ending_url: str) -> None:
    """Take a round for each line of standard input: `WAY IN_FLIGHT POLLS`."""
    at_once = tenacity.wait_none()
    async with (
        Client(KEY, base_url=base_url) as client,
        Client(KEY, base_url=ending_url) as waiting,
    ):
        ways = {
            "get": overhead.Way(lambda turn: client.get(ImageRef(overhead.task_id(turn)))),
            "wait_for": overhead.Way(
                lambda turn: waiting.wait_for(ImageRef(overhead.task_id(turn)), wait=at_once),
                _POLLS_OF_A_WAIT,
            ),
        }
        while line := await asyncio.to_thread(sys.stdin.readline):
            way, in_flight, polls = line.split()
            await ways[way].round(int(polls), int(in_flight))
            print(ways[way].costs[-1], flush=True)


# In the process that compares.


class _Poller:
    """The process of a side, which polls when told to."""

    def __init__(self, side: Path, base_url: str, ending_url: str) -> None:
        self._child = Child("compare", base_url, ending_url, cwd=side)

    def round(self, way: str, in_flight: int, polls: int) -> float:
        """Return the CPU of a poll, in microseconds."""
        return float(self._child.ask(way, in_flight, polls)) * 1e6

    def close(self) -> None:
        self._child.close()


def _compare(measures: dict[str, Measure], rounds: int) -> dict[str, list[float]]:
    """Let both sides take turns; the first turn of each does not count."""
    found: dict[str, list[float]] = {side: [] for side in measures}
    for side in turns(measures, rounds + 1):
        found[side].append(measures[side]())
    return {side: figures[1:] for side, figures in found.items()}


@contextlib.contextmanager
def _pollers(sides: Sides, base_url: str, ending_url: str) -> Iterator[dict[str, _Poller]]:
    with contextlib.ExitStack() as stack:
        pollers: dict[str, _Poller] = {}
        for name, side in sides.items():
            pollers[name] = _Poller(side, base_url, ending_url)
            stack.callback(pollers[name].close)
        yield pollers


def _polling(sides: Sides, smoke: bool) -> Iterator[tuple[str, dict[str, list[float]]]]:
    rounds, polls = (1, 64) if smoke else (20, 640)
    with (
        answering() as base_url,
        answering(polls_to_end=_POLLS_OF_A_WAIT) as ending_url,
        _pollers(sides, base_url, ending_url) as pollers,
    ):
        for way, in_flight in (("get", 1), ("get", 64), ("wait_for", 64)):
            measures: dict[str, Measure] = {
                name: lambda poller=poller, way=way, in_flight=in_flight: poller.round(  # type: ignore[misc]
                    way, in_flight, max(polls, in_flight * _POLLS_OF_A_WAIT)
                )
                for name, poller in pollers.items()
            }
            yield f"µs a {way}, {in_flight} in flight", _compare(measures, rounds)


def _batches(sides: Sides, smoke: bool) -> Iterator[tuple[str, dict[str, list[float]]]]:
    rounds, seconds, sizes = (1, 0.1, (50,)) if smoke else (12, 0.8, (500, 5_000))
    with answering() as base_url, contextlib.ExitStack() as stack:
        ways = {
            name: throughput.Way(throughput.OURS, base_url, cwd=side)
            for name, side in sides.items()
        }
        for way in ways.values():
            stack.callback(way.close)
        for size in sizes:
            measures: dict[str, Measure] = {
                name: lambda way=way, size=size: way.turn(size, seconds).us  # type: ignore[misc]
                for name, way in ways.items()
            }
            yield f"µs a poll, batch of {size:,}", _compare(measures, rounds)


def _rest(sides: Sides, smoke: bool) -> Iterator[tuple[str, dict[str, list[float]]]]:
    count, rounds = (500, 1) if smoke else (100_000, 2)
    with answering() as base_url:
        for polled in ("no", "once"):
            measures: dict[str, Measure] = {
                name: lambda side=side, polled=polled: memory.measure(  # type: ignore[misc]
                    "batch", count, polled, base_url, cwd=side
                )
                for name, side in sides.items()
            }
            yield f"bytes a task, {count:,} waiting, polled: {polled}", _compare(measures, rounds)
    pending, steady = (500, 1.0) if smoke else (20_000, 10.0)
    with answering(polls_to_end=2, ending=60) as base_url:
        measures = {
            name: lambda side=side: _lag(base_url, pending, steady, side)  # type: ignore[misc]
            for name, side in sides.items()
        }
        yield f"ms of lag, {pending:,} pending", _compare(measures, rounds)
    measures = {
        name: lambda side=side: import_time.measure(import_time.WHOLE, [str(side)])[0] * 1e3  # type: ignore[misc]
        for name, side in sides.items()
    }
    yield "ms to import, and make a client", _compare(measures, 1 if smoke else 20)


def _lag(base_url: str, pending: int, steady: float, side: Path) -> float:
    _, phase, *_ = lag.measure(base_url, pending, steady, cwd=side)
    return max(phase.own[1] * 1e3, _LEAST_LAG_MS)


def run(smoke: bool, revision: str = "HEAD") -> Report:
    rows: list[list[Cell]] = []
    figures: dict[str, float] = {}
    expectations: list[Expectation] = []
    with tempfile.TemporaryDirectory() as folder:
        sides = _trees(revision, Path(folder))
        for part in (_polling, _batches, _rest):
            for name, found in part(sides, smoke):
                before, after = (Spread.of(found[side]).median for side in ("before", "after"))
                pairs = zip(found["after"], found["before"], strict=True)
                ratio = Spread.of([mine / theirs for mine, theirs in pairs])
                among = f"{ratio.low:.3f} - {ratio.high:.3f}"
                rows.append([name, f"{before:,.1f}", f"{after:,.1f}", ratio.median, among])
                print(*rows[-1], file=sys.stderr, flush=True)
                figures[name] = ratio.median
                expectations.append(Expectation(f"{name}: after over before", ratio.median, MOST))
    columns = ["figure", f"before ({revision})", "after", "ratio", "middle half of the ratios"]
    return Report(METHOD, [Table(columns, rows)], figures, expectations)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_child(*sys.argv[1:]))
