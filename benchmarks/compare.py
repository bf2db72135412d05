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
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

from aitoearn_async import Client, ImageRef

from . import lag, memory, overhead
from .children import Child
from .import_time import WHOLE, measure
from .overhead import POLLS_OF_A_WAIT
from .report import Report, Spread, turns
from .server import KEY, answering
from .throughput import OURS, Way

MOST = 1.03
_LEAST_LAG_MS = 0.1
"""Shorter ones are all the same."""
_ROOT = Path(__file__).resolve().parent.parent

METHOD = """
The package as it was at a revision, and as it is in this checkout, both measured by the benchmarks
of this checkout. The two take turns, in the order A B B A, so whatever else the machine does falls
on both; each pair of neighbouring turns gives a ratio of after to before, and the median of those
is the result. Polls and batches are measured in six pairs of processes, one pair after the other:
the same code takes more time in some processes than in others. "get" and "wait_for" are those of
`overhead`, "batch" is that of `throughput`, without ways of others beside it, "waiting" is that of
`memory`, "lag" is how much of the loop's lag the process had spent CPU time in, the 99th
percentile, with so many tasks pending, and "import" is the CPU time of a fresh interpreter.
"""

C = TypeVar("C", Child, Way)

Sides = dict[str, Path]
"""The folders of both packages."""


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
    async with (
        Client(KEY, base_url=base_url) as client,
        Client(KEY, base_url=ending_url) as waiting,
    ):
        ways = {
            "get": overhead.Way(lambda turn: client.get(ImageRef(overhead.task_id(turn)))),
            "wait_for": overhead.Way(overhead.waits(waiting), POLLS_OF_A_WAIT),
        }
        while line := await asyncio.to_thread(sys.stdin.readline):
            way, in_flight, polls = line.split()
            await ways[way].round(int(polls), int(in_flight))
            print(ways[way].costs[-1], flush=True)


# In the process that compares.


Figures = Iterator[tuple[str, dict[str, list[float]]]]
"""The name of a figure, and what was found of it in each turn of a side."""


def _compare(
    sides: Mapping[str, object], rounds: int, measure: Callable[..., float], *order: object
) -> dict[str, list[float]]:
    """Let both sides take turns; the first turn of each does not count."""
    found: dict[str, list[float]] = {side: [] for side in sides}
    for side in turns(sides, rounds + 1):
        found[side].append(measure(sides[side], *order))
    return {side: figures[1:] for side, figures in found.items()}


def _by_pairs(
    sides: Sides,
    pairs: int,
    rounds: int,
    opened: Callable[[Path], C],
    measure: Callable[..., float],
    *order: object,
) -> dict[str, list[float]]:
    """Let both sides take turns in pairs of processes, one pair after the other."""
    found: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(pairs):
        with contextlib.ExitStack() as stack:
            opened_by = {
                name: stack.enter_context(closing(opened(side))) for name, side in sides.items()
            }
            for side, figures in _compare(opened_by, rounds, measure, *order).items():
                found[side] += figures
    return found


def _polling(sides: Sides, smoke: bool) -> Figures:
    pairs, rounds, polls = (1, 1, 64) if smoke else (6, 6, 640)
    with answering() as base_url, answering(polls_to_end=POLLS_OF_A_WAIT) as ending_url:

        def opened(side: Path) -> Child:
            return Child("compare", base_url, ending_url, cwd=side)

        for way, in_flight in (("get", 1), ("get", 64), ("wait_for", 64)):
            order = way, in_flight, max(polls, in_flight * POLLS_OF_A_WAIT)
            found = _by_pairs(sides, pairs, rounds, opened, _poll, *order)
            yield f"µs a {way}, {in_flight} in flight", found


def _batches(sides: Sides, smoke: bool) -> Figures:
    pairs, rounds, seconds, sizes = (1, 1, 0.1, (50,)) if smoke else (6, 4, 0.8, (500, 5_000))
    with answering() as base_url:
        for size in sizes:
            found = _by_pairs(
                sides,
                pairs,
                rounds,
                lambda side: Way(OURS, base_url, cwd=side),
                _turn,
                size,
                seconds,
            )
            yield f"µs a poll, batch of {size:,}", found


def _waiting(sides: Sides, smoke: bool) -> Figures:
    count, rounds = (500, 1) if smoke else (100_000, 2)
    with answering() as base_url:
        for polled in ("no", "once"):
            found = _compare(sides, rounds, _memory, "batch", count, polled, base_url)
            yield f"bytes a task, {count:,} waiting, polled: {polled}", found
    pending, steady = (500, 1.0) if smoke else (20_000, 10.0)
    with answering(polls_to_end=2, ending=60) as base_url:
        found = _compare(sides, rounds, _lag, base_url, pending, steady)
        yield f"ms of lag, {pending:,} pending", found
    yield "ms to import, and make a client", _compare(sides, 1 if smoke else 20, _import)


def _poll(child: Child, *order: object) -> float:
    return float(child.ask(*order)) * 1e6


def _turn(way: Way, size: int, seconds: float) -> float:
    return way.turn(size, seconds).us


def _memory(side: Path, *waiting: Any) -> float:
    return memory.measure(*waiting, cwd=side)


def _lag(side: Path, *pending: Any) -> float:
    _, phase, *_ = lag.measure(*pending, cwd=side)
    return max(phase.own[1] * 1e3, _LEAST_LAG_MS)


def _import(side: Path) -> float:
    return measure(WHOLE, [str(side)])[0] * 1e3


def run(smoke: bool, revision: str = "HEAD") -> Report:
    columns = ["figure", f"before ({revision})", "after", "ratio", "middle half of the ratios"]
    report = Report.of(METHOD, *columns)
    with tempfile.TemporaryDirectory() as folder:
        sides = _trees(revision, Path(folder))
        for part in (_polling, _batches, _waiting):
            for name, found in part(sides, smoke):
                before, after = (Spread.of(found[side]).median for side in ("before", "after"))
                ratio = Spread.of_ratios(found["after"], found["before"])
                medians = f"{before:,.1f}", f"{after:,.1f}", ratio.median
                report.row(name, *medians, ratio.middle_half)
                print(name, *medians, ratio.middle_half, file=sys.stderr, flush=True)
                report.figures[name] = ratio.median
                report.expect(f"{name}: after over before", ratio.median, MOST)
    return report


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_child(*sys.argv[1:]))
