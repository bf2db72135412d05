"""Client CPU of one poll with OpenTelemetry switched on, against the same without it."""

from __future__ import annotations

import asyncio

import tenacity
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from aitoearn_async import Client, ImageRef, ImageTask
from aitoearn_async.telemetry import OpenTelemetry

from .overhead import POLLS_OF_A_WAIT, Way, task_id
from .report import Cell, Expectation, Report, Spread, Table, turns
from .server import KEY, answering

MOST = 1.1
_IN_FLIGHT = (1, 64)

METHOD = """
`wait_for` polls an image task without pausing (`wait=tenacity.wait_none()`), and ends after 50
polls, by two clients in one process, against a local server in another: one of them has
`telemetry=OpenTelemetry()`, with an SDK whose spans and metrics stay in memory, every span
sampled. What is measured is this process's CPU time (user and system). The two take turns in
short rounds, in the order A B B A; each pair of neighbouring rounds gives a ratio, and the
median of those ratios is the result. The span of each wait is in it, shared among its polls.
"""


async def _compare(url: str, in_flight: int, rounds: int, polls: int) -> dict[str, list[float]]:
    spans = InMemorySpanExporter()
    tracers, meters = TracerProvider(), MeterProvider([InMemoryMetricReader()])
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    observer = OpenTelemetry(tracer_provider=tracers, meter_provider=meters)
    async with (
        Client(KEY, base_url=url) as plain,
        Client(KEY, base_url=url, telemetry=observer) as watched,
    ):

        async def off(turn: int) -> ImageTask:
            return await plain.wait_for(ImageRef(task_id(turn)), wait=tenacity.wait_none())

        async def on(turn: int) -> ImageTask:
            return await watched.wait_for(ImageRef(task_id(turn)), wait=tenacity.wait_none())

        ways = {"off": Way(off, POLLS_OF_A_WAIT), "on": Way(on, POLLS_OF_A_WAIT)}
        for name in turns(ways, rounds + 1):
            await ways[name].round(polls, in_flight)
            spans.clear()
    # The first round opens the connections.
    return {name: way.costs[1:] for name, way in ways.items()}


def run(smoke: bool) -> Report:
    rounds, polls = (2, 64) if smoke else (20, 1280)
    rows: list[list[Cell]] = []
    figures: dict[str, float] = {}
    expectations: list[Expectation] = []
    with answering(polls_to_end=POLLS_OF_A_WAIT) as url:
        for in_flight in _IN_FLIGHT:
            costs = asyncio.run(_compare(url, in_flight, rounds, polls))
            pairs = zip(costs["on"], costs["off"], strict=True)
            ratio = Spread.of([on / off for on, off in pairs])
            for name, spent in costs.items():
                cost = Spread.of(spent).median * 1e6
                figures[f"{name}_{in_flight}_us"] = cost
                among = f"{ratio.low:.3f} - {ratio.high:.3f}" if name == "on" else ""
                shown = ratio.median if name == "on" else 1.0
                rows.append([name, in_flight, f"{cost:.1f}", shown, among])
            figures[f"ratio_{in_flight}"] = ratio.median
            what = f"telemetry on over off, {in_flight} in flight"
            expectations.append(Expectation(what, ratio.median, MOST))
    columns = ["telemetry", "in flight", "CPU µs a poll", "ratio", "middle half of the ratios"]
    return Report(METHOD, [Table(columns, rows)], figures, expectations)
