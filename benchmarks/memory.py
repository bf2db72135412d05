"""Memory of a waiting task: in a batch, against asyncio.gather of single waits. Linux only."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import resource
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import tenacity

from aitoearn_async import Client, ImageRef

from .children import output_of
from .report import Report
from .server import KEY, answering, task_id

MOST = 512.0
_FULL = [
    ("batch", 1_000, "no"),
    ("batch", 100_000, "no"),
    ("batch", 1_000_000, "no"),
    ("batch", 1_000, "once"),
    ("batch", 100_000, "once"),
    ("gather", 1_000, "no"),
    ("gather", 10_000, "no"),
    ("gather", 1_000, "once"),
    ("gather", 10_000, "once"),
]
_SMOKE = [("batch", 1_000, "no"), ("batch", 1_000, "once"), ("gather", 1_000, "once")]

METHOD = """
Each row is a fresh process. It asks once with a client it closes, opens another, collects garbage
and notes its resident memory; then it lets so many tasks wait, in `client.as_completed` or in
asyncio.gather of
`client.wait_for`, collects garbage and notes it again. The difference is divided by the tasks; the
refs, which are made on the way, are part of it. Polled "no": the rate is so low that at most one
task has been polled. Polled "once": each has had one good answer, and waits for its next poll an
hour later; the client's connections are then part of it too. One run each.
"""


def resident() -> int:
    """Return the resident memory of this process, in bytes."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


def _collected() -> int:
    gc.collect()
    return resident()


def _refs(count: int) -> Iterator[ImageRef]:
    return (ImageRef(task_id(number)) for number in range(count))


async def _settled(holds: Callable[[], bool]) -> None:
    while True:
        await asyncio.sleep(0.25)
        if holds():
            break
    await asyncio.sleep(0.25)


async def _child(way: str, count: int, polled: str, base_url: str) -> float:
    once = polled == "once"
    places = 64 if once else 1
    rate = None if once else 1e-3
    hour = tenacity.wait_fixed(3600)
    async with Client(KEY, base_url=base_url) as client:
        await client.get(ImageRef("0" * 24))
    async with Client(
        KEY, base_url=base_url, requests_per_second=rate, concurrency=places
    ) as client:
        before = _collected()
        if way == "gather":
            waits = (client.wait_for(ref, wait=hour, timeout=36000) for ref in _refs(count))
            waiting = asyncio.gather(*waits)
            asked = count if once else 1
            await _settled(lambda: client.statistics().requests >= asked)
            found = _collected() - before
            waiting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await waiting
            return found / count
        batch = client.as_completed(_refs(count), wait=hour, timeout=36000, max_pending=count + 1)
        async with batch:
            polls = count if once else 0
            await _settled(lambda: batch.statistics().exhausted)
            await _settled(lambda: batch.statistics().polls >= polls)
            return (_collected() - before) / count


def measure(way: str, count: int, polled: str, base_url: str, *, cwd: Path | None = None) -> float:
    """Return the bytes of a waiting task."""
    return float(output_of("memory", way, count, polled, base_url, cwd=cwd))


def run(smoke: bool) -> Report:
    report = Report.of(METHOD, "way", "waiting", "polled", "bytes a task")
    with answering() as base_url:
        for way, count, polled in _SMOKE if smoke else _FULL:
            found = measure(way, count, polled, base_url)
            report.row(way, f"{count:,}", polled, f"{found:,.0f}")
            report.figures[f"{way}_{count}_polled_{polled}"] = found
            if way == "batch" and count >= 100_000:
                what = f"bytes a waiting task, {count:,} in a batch, polled: {polled}"
                report.expect(what, found, MOST)
    return report


if __name__ == "__main__":
    _way, _count, _polled, _base_url = sys.argv[1:]
    print(asyncio.run(_child(_way, int(_count), _polled, _base_url)))
