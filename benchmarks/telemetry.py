"""Client CPU of one poll with OpenTelemetry switched on, against the same without it."""

from __future__ import annotations

import asyncio
import sys

import msgspec
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from aitoearn_async import Client
from aitoearn_async.telemetry import OpenTelemetry

from .overhead import (
    COLUMNS,
    IN_FLIGHT,
    POLLS_OF_A_WAIT,
    PROCESSES,
    Way,
    compared,
    note,
    spread_over,
    waits,
)
from .report import Report
from .server import KEY, answering

MOST = 1.1

METHOD = """
`wait_for` polls an image task without pausing (`wait=tenacity.wait_none()`), and ends after 50
polls, by two clients in one process, against a local server in another: one of them has
`telemetry=OpenTelemetry()`, with an SDK whose spans and metrics stay in memory, every span sampled.
What is measured is this process's CPU time (user and system). The two take turns in short rounds,
in the order A B B A; each pair of neighbouring rounds gives a ratio, and the median of those ratios
is the result. The rounds are spread over eight processes. The span of each wait is in it, shared
among its polls.
"""


async def _compare(url: str, in_flight: int, rounds: int, polls: int) -> dict[str, list[float]]:
    tracers, meters = TracerProvider(), MeterProvider([InMemoryMetricReader()])
    tracers.add_span_processor(SimpleSpanProcessor(InMemorySpanExporter()))
    observer = OpenTelemetry(tracer_provider=tracers, meter_provider=meters)
    async with (
        Client(KEY, base_url=url) as plain,
        Client(KEY, base_url=url, telemetry=observer) as watched,
    ):
        clients = {"off": plain, "on": watched}
        ways = {name: Way(waits(client), POLLS_OF_A_WAIT) for name, client in clients.items()}
        return await compared(ways, in_flight, rounds, polls)


def run(smoke: bool) -> Report:
    processes, rounds, polls = (1, 2, 64) if smoke else (PROCESSES, 4, 1280)
    report = Report.of(METHOD, "telemetry", *COLUMNS)
    with answering(polls_to_end=POLLS_OF_A_WAIT) as url:
        for in_flight in IN_FLIGHT:
            costs = spread_over(processes, "telemetry", url, in_flight, rounds, polls)
            note(report, in_flight, "off", costs)
            ratio = report.figures[f"on_{in_flight}_ratio"]
            report.expect(f"telemetry on over off, {in_flight} in flight", ratio, MOST)
    return report


def _child(url: str, *numbers: str) -> None:
    """Print the costs of some rounds, with telemetry and without."""
    costs = asyncio.run(_compare(url, *map(int, numbers)))
    sys.stdout.buffer.write(msgspec.json.encode(costs))


if __name__ == "__main__":
    _child(*sys.argv[1:])
