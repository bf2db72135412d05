"""20,000 tasks with realistic lives, from their submission to their outcome, in real time."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import math
import sys
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email.utils import formatdate

import msgspec

from aitoearn_async import AnyRef, Client, ImageRef, VideoRef

from .children import output_of
from .dialects import Times
from .report import Cell, Report, Table, percentiles
from .server import KEY, Tasks, serve, started, task_id
from .timelines import FAILING, PER_SECOND, SECONDS, SWEEP, VIDEOS, timeline_of

_COUNT = 20_000
_LEAD = 3.0
"""Seconds for the processes to start in."""
_EPOCH = 1_780_308_000
"""The server's clock when the first task is submitted: a full minute, in seconds since 1970."""

METHOD = f"""
{_COUNT:,} tasks are submitted at {PER_SECOND} a second, {VIDEOS} % of them videos, and waited for
in one `client.as_completed` with nothing but its defaults, in real time, against a local server in
a process of its own. Each life is always the same, drawn from an invented table: images take
{SECONDS["image"][0]:.0f} to {SECONDS["image"][-1]:.0f} s, half of them {SECONDS["image"][2]:.0f} s
or less; videos {SECONDS["video"][0]:.0f} to {SECONDS["video"][-1]:.0f} s, half of them
{SECONDS["video"][2]:.0f} s or less, and as in the real service a video's end shows only every
{SWEEP:.0f} s, at :00 and :30 of the clock that its `Date` headers tell. Answers tell when a task
was submitted and when it ended, as the real ones do; there are no pages of logs. {FAILING} % fail.
The refs come from an async generator that yields each in its moment. Submitting itself sends
nothing: server and client know when each task begins. Detection delay is from the moment a poll
could have told the end to the moment the outcome was taken; both processes read one and the same
clock. CPU is the client process's, user and system. One run.
"""


class Seen(msgspec.Struct):
    """The findings about one kind of task."""

    tasks: int
    wrong: int
    polls: int
    delays: list[float]
    """Seconds: the median, the 99th percentile and the longest."""


class Found(msgspec.Struct):
    """The findings of a run."""

    wall: float
    cpu: float
    kinds: dict[str, Seen]


def _number(task_id: str | bytes) -> int:
    return int(task_id[2:], 16)


async def _submitted(start: float, count: int) -> AsyncIterator[AnyRef]:
    for number in range(count):
        timeline = timeline_of(number)
        if (early := start + timeline.submitted - time.monotonic()) > 0:
            await asyncio.sleep(early)
        yield (VideoRef if timeline.kind == "video" else ImageRef)(task_id(number))


async def _child(base_url: str, start: float, count: int) -> Found:
    delays: dict[str, list[float]] = {"image": [], "video": []}
    polls = dict.fromkeys(delays, 0)
    wrong = dict.fromkeys(delays, 0)
    await asyncio.sleep(start - time.monotonic())
    cpu = time.process_time()
    async with (
        Client(KEY, base_url=base_url) as client,
        client.as_completed(_submitted(start, count)) as batch,
    ):
        async for outcome in batch:
            timeline = timeline_of(_number(outcome.ref.id))
            delays[timeline.kind].append(time.monotonic() - start - timeline.ended)
            polls[timeline.kind] += outcome.polls
            wrong[timeline.kind] += outcome.ok is timeline.fails or outcome.task is None
    cpu, wall = time.process_time() - cpu, time.monotonic() - start
    kinds = {
        kind: Seen(len(found), wrong[kind], polls[kind], percentiles(found))
        for kind, found in delays.items()
    }
    return Found(wall, cpu, kinds)


def run(smoke: bool) -> Report:
    count = 40 if smoke else _COUNT
    # A smoke run begins late in the lives of its tasks: all but the last moments are over.
    start = time.monotonic() + _LEAD - (360.0 if smoke else 0.0)
    with started("batch", "serve", start) as base_url:
        said = output_of("batch", "wait", base_url, start, count)
    found = msgspec.json.decode(said, type=Found)
    columns = ["kind", "tasks", "wrong", "polls", "a task", "delay, s: p50", "p99", "max"]
    report = Report.of(METHOD, *columns)
    figures = report.figures
    figures |= {"wall_seconds": found.wall, "cpu_seconds": found.cpu}
    for kind, seen in found.kinds.items():
        a_task = seen.polls / max(seen.tasks, 1)
        shown = [f"{figure:.1f}" for figure in (a_task, *seen.delays)]
        report.row(kind, f"{seen.tasks:,}", seen.wrong, f"{seen.polls:,}", *shown)
        figures |= {f"{kind}_tasks": seen.tasks, f"{kind}_wrong": seen.wrong}
        figures[f"{kind}_polls_per_task"] = a_task
        for word, seconds in zip(("p50", "p99", "max"), seen.delays, strict=True):
            figures[f"{kind}_delay_{word}_seconds"] = seconds
    polls = sum(seen.polls for seen in found.kinds.values())
    figures["cpu_us_per_poll"] = found.cpu / polls * 1e6
    whole: list[Cell] = [f"{found.wall:.0f}", f"{found.cpu:.1f}", f"{polls:,}"]
    whole += [f"{found.cpu / found.wall * 100:.1f} %", f"{figures['cpu_us_per_poll']:.0f}"]
    columns = ["wall, s", "CPU, s", "polls", "of one core", "CPU µs a poll"]
    report.tables.append(Table(columns, [whole]))
    return report


class _TimedTasks(Tasks):
    """Tasks whose times are true, by a clock that says :00 when the first one is submitted."""

    def __init__(self, start: float) -> None:
        super().__init__(0, 100)
        self._start = start
        self._timeline = functools.cache(timeline_of)
        self._date = -1, b""

    def look(self, task_id: bytes) -> tuple[bool | None, Times]:
        timeline = self._timeline(_number(task_id))
        has_ended = time.monotonic() - self._start >= timeline.ended
        seconds = timeline.ended - timeline.submitted if has_ended else 0.0
        updated = _moment(timeline.submitted + seconds)
        times = Times(_moment(timeline.submitted), updated, round(seconds * 1000))
        return not timeline.fails if has_ended else None, times

    def date(self) -> bytes:
        second = math.floor(time.monotonic() - self._start)
        if self._date[0] != second:
            self._date = second, formatdate(_EPOCH + second, usegmt=True).encode()
        return self._date[1]


def _moment(seconds: float) -> bytes:
    moment = datetime.fromtimestamp(_EPOCH + seconds, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z").encode()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        if sys.argv[1] == "serve":
            asyncio.run(serve(_TimedTasks(float(sys.argv[2]))))
        else:
            _base_url, _start, _count = sys.argv[2:]
            _found = asyncio.run(_child(_base_url, float(_start), int(_count)))
            print(msgspec.json.encode(_found).decode())
