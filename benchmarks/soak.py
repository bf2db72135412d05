"""Ten thousand tasks at a time, in real time, with trouble in one of twenty requests. Linux only.

`python -m benchmarks soak --minutes N [--chart FILE.svg]`
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from statistics import linear_regression

import msgspec

from aitoearn_async import (
    Batch,
    Client,
    ImageRef,
    ImageTask,
    Outcome,
    TaskFailedError,
    WaitTimeoutError,
    wait_backoff,
)

from .children import Child, output_of
from .memory import resident
from .report import Cell, Expectation, Report, Table
from .soak_server import ENDLESS, FAILING, SHARE, TROUBLE, fate_of

_AT_A_TIME = 50
_ROWS = 20


class Plan(msgspec.Struct):
    """The plan of a soak. Times are seconds."""

    seconds: float
    """The time in which tasks are submitted; those that wait then are waited for."""
    waiting: int = 10_000
    least: float = 15.0
    most: float = 60.0
    timeout: float = 240.0
    first_delay: float = 5.0
    last_delay: float = 30.0
    request_timeout: float = 5.0
    between_samples: float = 1.0


_SMOKE = Plan(3.0, 200, 0.5, 1.5, 6.0, 0.2, 0.5, 1.0, 0.1)

_PERCENT, _KINDS = SHARE * 100, "; ".join(TROUBLE)

METHOD = f"""
{{waiting:,}} tasks wait in one `client.as_completed` at any time, in real time, for
{{minutes:.4g}} min: when one ends another is submitted, and at last those left are waited for.
Each runs {{least:g}} to {{most:g}} s; {FAILING} % fail, {ENDLESS} % never end and are given up
after {{timeout:g}} s. It is polled after {{first_delay:g}} to {{last_delay:g}} s, with requests
of {{request_timeout:g}} s at most. The service is the emulator, in a process of its own;
{_PERCENT:g} % of all requests meet trouble, of {len(TROUBLE)} kinds in equal shares: {_KINDS}.
Every outcome is compared with what the task's number says: it is lost if there is none, wrong
if it says anything else, and unheard if it is of a wait out of time though the task had ended.
Memory, file descriptors and asyncio tasks of the client's process are noted every
{{between_samples:g}} s; slopes are of a line through all of them from when the tasks
first submitted had all ended until submitting stops. One run.
"""


class Sample(msgspec.Struct):
    """The process at one moment."""

    at: float
    waiting: int
    polls: int
    failures: int
    resident: float
    """MB."""
    descriptors: int
    tasks: int


class Found(msgspec.Struct):
    """The findings of a run."""

    submitted: int = 0
    ended: int = 0
    twice: int = 0
    wrong: list[str] = []
    unheard: list[str] = []
    given_up: list[float] = []
    """Seconds past its deadline, for each task that never ended."""
    samples: list[Sample] = []
    steady_from: float = 0.0
    left: int = 0
    """Tasks and descriptors that were there at the end and not before."""


async def _submitted(server: Child, plan: Plan, found: Found) -> AsyncIterator[ImageRef]:
    until = time.monotonic() + plan.seconds
    while time.monotonic() < until:
        order = "add", found.submitted, _AT_A_TIME, plan.least, plan.most
        assert await asyncio.to_thread(server.ask, *order) == "done"
        for number in range(found.submitted, found.submitted + _AT_A_TIME):
            found.submitted += 1
            yield fate_of(number).ref


def _check(outcome: Outcome[ImageTask], plan: Plan, found: Found) -> None:
    """Note an outcome that is not what the task's number says."""
    fate = fate_of(int(outcome.ref.id[2:], 16))
    task, error = outcome.task, outcome.error
    if fate.word == "generating":
        found.given_up.append(outcome.elapsed - plan.timeout)
        right = isinstance(error, WaitTimeoutError)
    elif fate.word == "failed":
        right = isinstance(error, TaskFailedError)
    else:
        right = error is None and task is not None and bool(task.images)
    same = outcome.ref == fate.ref and (task is None or task.ref == fate.ref)
    if not (right and same):
        unheard = same and isinstance(error, WaitTimeoutError)
        (found.unheard if unheard else found.wrong).append(f"{fate.word}: {outcome.ref}: {error}")


async def _watch(client: Client, batch: Batch[ImageTask], plan: Plan, found: Found) -> None:
    began = time.monotonic()
    while True:
        statistics, counts = client.statistics(), batch.statistics()
        sample = Sample(
            time.monotonic() - began,
            counts.pending + counts.in_flight,
            statistics.requests,
            statistics.failures,
            resident() / 1e6,
            len(os.listdir("/proc/self/fd")),
            len(asyncio.all_tasks()),
        )
        found.samples.append(sample)
        await asyncio.sleep(plan.between_samples)


def _standing() -> int:
    gc.collect()
    return len(asyncio.all_tasks()) + len(os.listdir("/proc/self/fd"))


async def _child(plan: Plan) -> Found:
    found = Found(steady_from=plan.timeout)
    seen = bytearray()  # a byte a task: what is measured is to be the client, not this
    server = Child("soak_server")
    url, key = server.line().split()
    before = _standing()
    async with Client(key, base_url=url, request_timeout=plan.request_timeout) as client:
        waiting = client.as_completed(
            _submitted(server, plan, found),
            timeout=plan.timeout,
            wait=wait_backoff(plan.first_delay, 1.5, plan.last_delay),
            max_pending=plan.waiting,
        )
        async with waiting as batch:
            watching = asyncio.create_task(_watch(client, batch, plan, found))
            async for outcome in batch:
                number = int(outcome.ref.id[2:], 16)
                found.ended += 1
                seen.extend(bytes(max(0, number + 1 - len(seen))))
                found.twice += seen[number]
                seen[number] = 1
                _check(outcome, plan, found)
            watching.cancel()
    await asyncio.sleep(0.1)
    found.left = max(_standing() - before, 0)
    server.close()
    return found


def _slope(samples: list[Sample], field: str) -> float:
    """Return by how much a figure grows in ten minutes: a line of least squares."""
    if len(samples) < 2:
        return 0.0
    values = [float(getattr(sample, field)) for sample in samples]
    return 600 * linear_regression([sample.at for sample in samples], values).slope


def _figures(found: Found, plan: Plan) -> dict[str, float]:
    steady = [s for s in found.samples if found.steady_from <= s.at <= plan.seconds]
    late = sorted(found.given_up)
    last = found.samples[-1]
    figures = {
        "submitted": found.submitted,
        "ended": found.ended,
        "lost": found.submitted - found.ended + found.twice,
        "wrong": len(found.wrong),
        "unheard": len(found.unheard),
        "requests": last.polls,
        "failures": last.failures,
        "waiting_most": max(sample.waiting for sample in found.samples),
        "given_up": len(late),
        "overshoot_p99_seconds": late[len(late) * 99 // 100] if late else 0.0,
        "overshoot_max_seconds": late[-1] if late else 0.0,
        "resident_peak_mb": max(sample.resident for sample in found.samples),
        "left_behind": found.left,
    }
    for name in ("resident", "descriptors", "tasks"):
        figures[f"{name}_slope"] = _slope(steady, name)
    return {name: float(value) for name, value in figures.items()}


def _rows(samples: list[Sample]) -> list[list[Cell]]:
    rows: list[list[Cell]] = []
    for one in samples[:: max(1, len(samples) // _ROWS)]:
        moment, memory = f"{one.at / 60:.2f}", f"{one.resident:.1f}"
        rows.append(
            [moment, one.waiting, one.polls, one.failures, memory, one.descriptors, one.tasks]
        )
    return rows


def run(smoke: bool, *, minutes: float = 60.0, chart: Path | None = None) -> Report:
    plan = _SMOKE if smoke else Plan(minutes * 60)
    said = output_of("soak", msgspec.json.encode(plan).decode())
    found = msgspec.json.decode(said, type=Found)
    for what in (*found.wrong[:10], *found.unheard[:10]):
        print("not what it should be:", what, file=sys.stderr)
    figures = _figures(found, plan)
    expectations = [
        Expectation("tasks lost", figures["lost"], 0),
        Expectation("outcomes wrong", figures["wrong"], 0),
        Expectation("tasks and descriptors left behind", figures["left_behind"], 0),
    ]
    if not smoke:
        expectations += [
            Expectation("ends unheard", figures["unheard"], 0),
            Expectation("memory, MB more in 10 min", figures["resident_slope"], 1),
            Expectation("descriptors, more in 10 min", figures["descriptors_slope"], 1),
            Expectation("asyncio tasks, more in 10 min", figures["tasks_slope"], 1),
            Expectation("overshoot of deadlines, p99, s", figures["overshoot_p99_seconds"], 0.05),
        ]
    if chart is not None:
        _draw(found.samples, chart)
    columns = ["minute", "waiting", "requests", "failed", "MB", "descriptors", "asyncio tasks"]
    totals = Table(["figure", "value"], [[name, value] for name, value in figures.items()])
    method = METHOD.format(minutes=plan.seconds / 60, **msgspec.structs.asdict(plan))
    return Report(method, [Table(columns, _rows(found.samples)), totals], figures, expectations)


def _draw(samples: list[Sample], file: Path) -> None:
    """Draw a chart of the run. Needs matplotlib (`aitoearn-async[bench]`)."""
    from . import charts  # late: what is measured in this process does without them

    with charts.drawing(4, sharex=True, figsize=(7.2, 6.4)) as (_, rows, drawn):
        minutes = [sample.at / 60 for sample in samples]
        names = {
            "waiting": "tasks waiting",
            "resident": "memory, MB",
            "descriptors": "descriptors",
            "tasks": "asyncio tasks",
        }
        for axes, (field, label) in zip(rows, names.items(), strict=True):
            axes.plot(minutes, [getattr(sample, field) for sample in samples], color=charts.OURS)
            axes.set_ylabel(label)
            axes.set_ylim(bottom=0)
        rows[0].set_title("An hour with 10,000 tasks at a time")
        rows[-1].set_xlabel("minutes")
    file.write_text(charts.finished(drawn.getvalue()), encoding="utf-8")


if __name__ == "__main__":
    _plan = msgspec.json.decode(sys.argv[1], type=Plan)
    sys.stdout.buffer.write(msgspec.json.encode(asyncio.run(_child(_plan))))
