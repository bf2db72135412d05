"""Import time of the package, against that of its dependencies, and of an earlier checkout.

`BEFORE=path python -m benchmarks import` adds a checkout of an earlier release, side by side.
"""

from __future__ import annotations

import os
import subprocess
import sys

from .report import Report, Spread, turns

MOST = 1.25

METHOD = """
Fresh interpreters, taking turns: one imports aiohttp, msgspec and tenacity, another takes
`Client` from aitoearn_async, and a third makes a client too, which imports aiohttp. Each
reports the CPU time and the wall time of that alone, measured inside. One warm-up of each (it
writes the bytecode caches), then medians, and the median of the ratios of neighbouring runs.
Where `BEFORE` names a checkout of an earlier release, its import takes its turns too, and the
import is to cost half.
"""
HALF = 0.5

_PROGRAM = """
import sys, time
sys.path[:0] = {path!r}
cpu, wall = time.process_time(), time.perf_counter()
import {modules}
print(time.process_time() - cpu, time.perf_counter() - wall)
"""
WHOLE = "aitoearn_async; aitoearn_async.Client('k')"
_ALONE, _OURS = "aiohttp, msgspec, tenacity", "aitoearn_async.Client"
_FIRST = "aitoearn_async.Client, and a first client"
_BEFORE = "aitoearn_async.Client of the checkout in BEFORE"
_WAYS = {
    _ALONE: _ALONE,
    _OURS: "aitoearn_async; aitoearn_async.Client",
    _FIRST: WHOLE,
}


def measure(modules: str, path: list[str]) -> tuple[float, float]:
    """Return the seconds that an import takes: CPU time, and wall time."""
    # Without the caches it would be measured how long compiling takes.
    caching = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    answer = subprocess.run(
        [sys.executable, "-c", _PROGRAM.format(modules=modules, path=path)],
        stdout=subprocess.PIPE,
        env=caching,
        check=True,
        text=True,
    )
    cpu, wall = map(float, answer.stdout.split())
    return cpu, wall


def run(smoke: bool) -> Report:
    before = os.environ.get("BEFORE")
    ways = {**_WAYS, **({_BEFORE: _WAYS[_OURS]} if before else {})}
    paths = {_BEFORE: [before]} if before else {}
    runs: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for name in turns(ways, 3 if smoke else 41):
        runs[name].append(measure(ways[name], paths.get(name, [])))
    report = Report.of(METHOD, "import", "CPU ms", "wall ms")
    for name, found in runs.items():
        milliseconds = [Spread.of([run[kind] for run in found[1:]]).median * 1e3 for kind in (0, 1)]
        report.row(name, *(f"{figure:.1f}" for figure in milliseconds))
    cpu, wall = (_ratio(runs[_FIRST], runs[_ALONE], kind) for kind in (0, 1))
    report.row("ratio of the first client to the dependencies", cpu, wall)
    report.figures |= {"cpu_ratio": cpu, "wall_ratio": wall}
    report.expect("CPU of a first client, over the dependencies alone", cpu, MOST)
    if before:
        cpu, wall = (_ratio(runs[_OURS], runs[_BEFORE], kind) for kind in (0, 1))
        report.row("ratio of the import to that before", cpu, wall)
        report.figures |= {"cpu_ratio_before": cpu, "wall_ratio_before": wall}
        report.expect("CPU of the import, over that before", cpu, HALF)
    return report


def _ratio(ours: list[tuple[float, float]], theirs: list[tuple[float, float]], kind: int) -> float:
    mine, others = ([run[kind] for run in runs[1:]] for runs in (ours, theirs))
    return Spread.of_ratios(mine, others).median
