"""Import time of the package, against that of its dependencies alone."""

from __future__ import annotations

import subprocess
import sys

from .report import Cell, Expectation, Report, Spread, Table

MOST = 1.25

METHOD = """
Fresh interpreters, taking turns: one imports aiohttp, msgspec and tenacity, the other
aitoearn_async, which imports them too. Each reports the CPU time and the wall time of that
import alone, measured inside. One warm-up of each (it writes the bytecode caches), then medians,
and the median of the ratios of neighbouring runs.
"""

_PROGRAM = """
import time
cpu, wall = time.process_time(), time.perf_counter()
import {modules}
print(time.process_time() - cpu, time.perf_counter() - wall)
"""
_WAYS = {
    "aiohttp, msgspec, tenacity": "aiohttp, msgspec, tenacity",
    "aitoearn_async": "aitoearn_async",
}


def _measure(modules: str) -> tuple[float, float]:
    answer = subprocess.run(
        [sys.executable, "-c", _PROGRAM.format(modules=modules)],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    cpu, wall = map(float, answer.stdout.split())
    return cpu, wall


def run(smoke: bool) -> Report:
    runs: dict[str, list[tuple[float, float]]] = {name: [] for name in _WAYS}
    for number in range(-1, 2 if smoke else 40):
        for name in list(_WAYS) if number % 2 else list(_WAYS)[::-1]:
            runs[name].append(_measure(_WAYS[name]))
    without, with_us = (found[1:] for found in runs.values())
    cpu = Spread.of([ours[0] / theirs[0] for ours, theirs in zip(with_us, without, strict=True)])
    wall = Spread.of([ours[1] / theirs[1] for ours, theirs in zip(with_us, without, strict=True)])
    rows: list[list[Cell]] = []
    for name, found in zip(_WAYS, (without, with_us), strict=True):
        milliseconds = [Spread.of([run[kind] for run in found]).median * 1e3 for kind in (0, 1)]
        rows.append([name, *(f"{figure:.1f}" for figure in milliseconds)])
    rows.append(["ratio", cpu.median, wall.median])
    return Report(
        METHOD,
        [Table(["import", "CPU ms", "wall ms"], rows)],
        {"cpu_ratio": cpu.median, "wall_ratio": wall.median},
        [Expectation("CPU of the import, over the dependencies alone", cpu.median, MOST)],
    )
