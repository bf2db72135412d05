"""The report of a benchmark: tables for people, JSON for programs, with the machine's facts."""

from __future__ import annotations

import os
import platform
import statistics
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from textwrap import fill
from typing import TypeVar

import msgspec
from aiohttp import http_parser

T = TypeVar("T")

Cell = str | int | float


class Table(msgspec.Struct):
    """Rows under headings."""

    columns: list[str]
    rows: list[list[Cell]]
    title: str = ""


class Expectation(msgspec.Struct):
    """A figure, and the most it should be."""

    what: str
    figure: float
    at_most: float
    met: bool = False

    def __post_init__(self) -> None:
        self.met = self.figure <= self.at_most


class Result(msgspec.Struct):
    """A report as it is kept."""

    name: str
    smoke: bool
    machine: dict[str, str]
    method: str
    figures: dict[str, float]
    expectations: list[Expectation]
    tables: list[Table]


class Report(msgspec.Struct):
    """The findings of a benchmark. `figures` are for programs: plain names, numbers."""

    method: str
    tables: list[Table] = []
    figures: dict[str, float] = {}
    expectations: list[Expectation] = []
    page: str = ""
    """The same as a page of the documentation, of those that have one."""
    failed: bool = False
    """True if what was run did not do what it should, whatever the figures."""
    against: dict[str, str] = {}
    """Versions of what else was measured."""

    @classmethod
    def of(cls, method: str, *columns: str) -> Report:
        """Return a report with one table, that is still empty."""
        return cls(method, [Table([*columns], [])])

    def row(self, *cells: Cell) -> None:
        """Add a row to the first table."""
        self.tables[0].rows.append([*cells])

    def expect(self, what: str, figure: float, at_most: float) -> None:
        """Say what a figure should be."""
        self.expectations.append(Expectation(what, figure, at_most))

    def show(self, name: str, *, smoke: bool) -> None:
        print(f"{name}{'  (smoke run: the figures mean nothing)' if smoke else ''}\n")
        print(fill(" ".join(self.method.split()), 98), end="\n\n")
        for table in self.tables:
            _show_table(table)
        for expected in self.expectations:
            verdict = "yes" if expected.met else "NO"
            print(f"{expected.what}: {expected.figure:.3f}, <= {expected.at_most:g}? {verdict}")
        print("\n" + "; ".join(f"{key} {value}" for key, value in self._machine().items()))

    def _machine(self) -> dict[str, str]:
        return {**machine(), **self.against}

    def to_json(self, name: str, *, smoke: bool) -> bytes:
        method, figures = " ".join(self.method.split()), self.figures
        facts = name, smoke, self._machine(), method, figures, self.expectations, self.tables
        return msgspec.json.format(msgspec.json.encode(Result(*facts)), indent=2) + b"\n"


class Spread(msgspec.Struct):
    """The middle of some figures, and where the middle half of them lies."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, figures: Sequence[float]) -> Spread:
        if len(figures) < 2:
            return cls(figures[0], figures[0], figures[0])
        low, median, high = statistics.quantiles(figures, n=4, method="inclusive")
        return cls(median, low, high)

    @classmethod
    def of_ratios(cls, mine: Sequence[float], theirs: Sequence[float]) -> Spread:
        """Return that of one to the other, of neighbouring rounds."""
        return cls.of([one / other for one, other in zip(mine, theirs, strict=True)])

    @property
    def middle_half(self) -> str:
        return f"{self.low:.3f} - {self.high:.3f}"


def machine() -> dict[str, str]:
    """Return where and with what it was measured."""
    has_c_parser = http_parser.HttpResponseParser is not http_parser.HttpResponseParserPy
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "cpu": _cpu_model(),
        "cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "aiohttp": version("aiohttp"),
        "http parser": "C" if has_c_parser else "Python",
        "msgspec": version("msgspec"),
        "tenacity": version("tenacity"),
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    for line in lines:
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def _show_table(table: Table) -> None:
    cells = [table.columns, *([*map(text_of, row)] for row in table.rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    if table.title:
        print(table.title)
    for number, row in enumerate(cells):
        first, *rest = (
            text.ljust(width) if column == 0 else text.rjust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        print("  ".join([first, *rest]).rstrip())
        if number == 0:
            print("  ".join("-" * width for width in widths))
    print(flush=True)
    sys.stdout.flush()


def text_of(cell: Cell) -> str:
    """Return a cell as it is shown."""
    return f"{cell:.3f}" if isinstance(cell, float) else str(cell)


def plain(name: str) -> str:
    """Return the name of a row as a part of the name of a figure."""
    return name.replace(",", "").replace(" ", "_").replace(".", "_").replace("%", "percent")


def percentiles(figures: Sequence[float]) -> list[float]:
    """Return the median, the 99th percentile and the highest."""
    ordered = sorted(figures) or [0.0]
    last = len(ordered) - 1
    return [ordered[last // 2], ordered[round(last * 0.99)], ordered[-1]]


def turns(ways: Iterable[T], rounds: int) -> Iterator[T]:
    """Yield each way once a round, in the order A B B A, so that a machine's moods fall on all."""
    there = list(ways)
    for number in range(rounds):
        yield from there[:: 1 if number % 2 else -1]
