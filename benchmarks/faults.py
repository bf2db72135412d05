"""The faults that the SDK survives: runs their suite, and adds up the books its tests keep.

    python -m benchmarks faults --page docs/explanation/survives.md      writes the page too

Each test notes what it asked, what came of it, what reached the server and what was left behind
(see `tests/faults/harness.py`). Nothing is measured here.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from itertools import groupby
from pathlib import Path
from statistics import quantiles

import msgspec

from tests.faults.harness import RECORD, ROOT, Entry, Figure, Row

from .page import filled, results
from .report import Cell, Expectation, Report, Table, machine

METHOD = """
Each row is a file of tests in tests/faults; the figures are those that the tests noted. Lost:
calls that ended in neither a task nor one of the SDK's errors, or not at all. Wrong: results for
another task, or with a status that was not the task's. Left: tasks, timers, sockets and file
descriptors that were there after a test and not before. Key: places other than requests to the
API where the key was seen. Most tests run in virtual time, so an overshoot says how much later
than its bound something was scheduled to end, not how busy the machine was.
"""
SMOKE = 2, 7, 12
"""Rows of the smoke run."""


class Account(msgspec.Struct):
    """All tests of a row taken together."""

    row: Row
    entries: list[Entry]

    def sum(self, what: Callable[[Entry], int]) -> int:
        return sum(map(what, self.entries))

    @property
    def overshoots(self) -> list[float]:
        return [over for entry in self.entries for over in entry.overshoots]

    @property
    def figures(self) -> list[Figure]:
        """The highest of those that are called alike."""
        highest: dict[str, Figure] = {}
        for figure in (figure for entry in self.entries for figure in entry.figures):
            if figure.what not in highest or figure.value > highest[figure.what].value:
                highest[figure.what] = figure
        return list(highest.values())

    @property
    def failed(self) -> int:
        return self.sum(lambda entry: not entry.passed)


_COUNTS: dict[str, Callable[[Entry], int]] = {
    "calls": lambda entry: entry.submitted,
    "ended": lambda entry: entry.ended,
    "lost": lambda entry: entry.lost,
    "wrong": lambda entry: entry.wrong,
    "requests": lambda entry: entry.requests,
    "left": lambda entry: sum(entry.left.values()),
    "key": lambda entry: entry.sightings,
}
_NEVER = "lost", "wrong", "left", "key"


def record(smoke: bool) -> tuple[list[Entry], int]:
    """Run the suite. Returns its books, and pytest's exit code."""
    suite = ROOT / "tests" / "faults"
    paths = [str(suite)]
    if smoke:
        paths = [str(path) for number in SMOKE for path in suite.glob(f"test_f{number:02}_*.py")]
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "record.json"
        command = [sys.executable, "-m", "pytest", "-q", "-n0", "--no-cov", "--tb=short", *paths]
        run = subprocess.run(
            command, cwd=ROOT, env={**os.environ, RECORD: str(file)}, stdout=subprocess.PIPE
        )
        if run.returncode:
            sys.stderr.buffer.write(run.stdout)
        entries = msgspec.json.decode(file.read_bytes(), type=list[Entry]) if file.exists() else []
    return entries, run.returncode


def accounts(entries: Iterable[Entry]) -> list[Account]:
    """The books by row, in the order of the table."""
    in_order = sorted(entries, key=lambda entry: entry.row.number)
    by_row = groupby(in_order, key=lambda entry: entry.row.number)
    return [Account(rows[0].row, rows) for rows in (list(found) for _, found in by_row)]


def run(smoke: bool) -> Report:
    entries, code = record(smoke)
    rows = accounts(entries)
    total = Account(Row(0, "all", ""), entries)
    overshoots = [1000 * over for over in total.overshoots] or [0.0]
    p99 = quantiles([*overshoots, overshoots[0]], n=100, method="inclusive")[98]
    figures: dict[str, float] = {name: total.sum(count) for name, count in _COUNTS.items()}
    figures |= {"overshoot_p99_ms": p99, "overshoot_max_ms": max(overshoots)}
    figures |= {"tests": len(entries), "tests_failed": total.failed, "pytest_exit_code": code}
    expectations = [
        *(Expectation(f"{name}, in all", figures[name], 0) for name in _NEVER),
        Expectation("deadline overshoot p99, ms", p99, 50),
        Expectation("tests that failed, or pytest's exit code", max(total.failed, code), 0),
    ]
    failed = code != 0 or not all(expected.met for expected in expectations)
    return Report(METHOD, tables(rows, total), figures, expectations, page(rows, total), failed)


def tables(rows: list[Account], total: Account) -> list[Table]:
    """The report: a line a row, and one for all of them; then the other figures."""
    lines: list[list[Cell]] = []
    for account in [*rows, total]:
        name = (
            f"{account.row.number:>2} {account.row.fault[:44]}" if account.row.survives else "all"
        )
        over = 1000 * max(account.overshoots, default=0.0)
        counts: list[Cell] = [account.sum(count) for count in _COUNTS.values()]
        lines.append([name, len(account.entries), *counts, f"{over:.1f}"])
    others: list[list[Cell]] = [
        [
            f"{account.row.number:>2} {figure.what}",
            _number(figure.value),
            "" if figure.at_most is None else f"{figure.at_most:g}",
        ]
        for account in rows
        for figure in account.figures
    ]
    columns = ["fault", "tests", *_COUNTS, "over, ms"]
    return [Table(columns, lines), Table(["figure (the highest)", "value", "at most"], others)]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 100 else f"{value:.2f}"


_PAGE = """\
# What it survives

Services fall over, networks lie, and answers are not always what they seem.
This is what happens then: a line for each fault, what the SDK does,
and the figures of the latest run.

Every line is a file of tests in `tests/faults/` that anyone can run.
They send over real sockets to servers on this machine that misbehave on purpose,
and look at every request that arrives.
Whatever the fault, each test asserts that no call is lost and no result is another task's,
that no connection, task, timer or file stays behind,
and that the API key is seen nowhere but in requests to the API.

## The latest run

{summary}

| | In {tests:,} tests |
|---|---|
{totals}

## Fault by fault

| # | What happens | What the SDK does | Figures |
|---|---|---|---|
{lines}

*Requests* are those that reached a server.
*Over* is the most by which a bound, such as a deadline, was exceeded.
Most tests run in virtual time, so that an hour of waiting takes a moment;
those about memory and about holding up the event loop run in processes of their own, in real time.

## An outage, measured

<!-- table: outage -->
<!-- end -->

`python -m benchmarks outage` repeats it, in the better part of an hour.

## Trouble without end

![Memory, descriptors and tasks over the run](charts/soak.svg)

<!-- table: soak -->
<!-- end -->

`python -m benchmarks soak --minutes 60` does it for an hour.

## Run it yourself

<!-- not run: it runs the tests that these tests are among -->
```sh
pip install -e '.[dev]'
python -m benchmarks faults
```

With `--page docs/explanation/survives.md` it writes this page.
"""


def page(rows: list[Account], total: Account) -> str:
    """The figures for people who have not read the tests, as Markdown."""
    facts = machine()
    summary = "{date}, {system}, {python}, aiohttp {aiohttp} ({parser} parser).".format(
        **facts, parser=facts["http parser"]
    )
    names = {
        "calls": "calls made",
        "ended": "calls that ended in a task or a clear error",
        "lost": "calls lost",
        "wrong": "wrong results",
        "requests": "requests on the wire",
        "left": "tasks, timers, sockets, files left behind",
        "key": "sightings of the key elsewhere",
    }
    totals = "\n".join(f"| {names[name]} | {total.sum(_COUNTS[name]):,} |" for name in _COUNTS)
    lines = "\n".join(
        f"| {row.number} | {row.fault} | {row.survives} | {_told(account)} |"
        for account in rows
        for row in [account.row]
    )
    text = _PAGE.format(summary=summary, tests=len(total.entries), totals=totals, lines=lines)
    return filled(text, results())


def _told(account: Account) -> str:
    calls, requests = account.sum(_COUNTS["calls"]), account.sum(_COUNTS["requests"])
    told = [f"{calls:,} calls, {requests:,} requests"] if calls or requests else []
    if account.overshoots:
        told.append(f"over: {1000 * max(account.overshoots):.1f} ms")
    told += [
        f"{figure.what}: {_number(figure.value)}"
        + (f" (at most {figure.at_most:g})" if figure.at_most else "")
        for figure in account.figures
    ]
    return "; ".join(told)
