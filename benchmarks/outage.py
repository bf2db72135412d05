"""An outage of the service under thousands of waiting tasks: what it is spared, and how soon
everybody is served again.

Virtual time, real requests over real sockets: the server stands on the same event loop, whose
clock jumps. So no figure here depends on how fast the machine is.
"""

from __future__ import annotations

import asyncio
import re
import resource
from bisect import bisect_left
from collections import Counter
from collections.abc import AsyncIterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import tenacity

from aitoearn_async import Client, ImageRef
from aitoearn_async.emulator import VirtualTimeLoop

from .report import Report

METHOD = """
Tasks are polled by one batch, in virtual time, over real sockets: the server stands on the same
event loop, whose clock jumps, so no figure depends on how fast the machine is. The next poll
comes ten seconds after an answer; later where so many requests under way would take more
sockets than a process may have. After three periods (a period is that time and the latency) the
service is down for a minute: it answers 503, or refuses connections. What it says is decided
when it says it, after the latency. Counted are requests that reach it, against as many as it
gets while all is well. "Peak" is the busiest second afterwards; "again" the time from the
outage's end until every task has had a good answer.
"""

KEY = "benchmark-key"
CADENCE = 10.0
OUTAGE = 60.0
PERIODS_BEFORE = PERIODS_AFTER = 3
KINDS = ("503", "refused")
CASES = [(count, latency) for count in (10_000, 100_000) for latency in (0.05, 0.5, 5.0)]
"""Tasks, and seconds that the service takes to answer."""

_PORTS = 25_000  # that Linux has for connections to one address

_REQUEST = re.compile(
    rb"GET /api/ai/image/task/(\w+) HTTP.*?\r\nx-request-id: ([!-~]+)\r\n", re.S | re.I
)


class Scenario:
    """The troubles of the service; times are loop time."""

    def __init__(self, count: int, latency: float, began: float) -> None:
        self.latency = latency
        self.period = max(CADENCE + latency, count * latency / (0.8 * _most_connections()))
        self.cadence = self.period - latency
        self.down_from = began + PERIODS_BEFORE * self.period
        self.down_to = self.down_from + OUTAGE
        self.arrivals: list[float] = []
        self.answered_again: dict[bytes, float] = {}

    def is_down(self, moment: float) -> bool:
        return self.down_from <= moment < self.down_to


def _most_connections() -> int:
    """The number there can be at a time, of which this process holds both ends."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(descriptors // 2 - 500, _PORTS)


class Service(asyncio.Protocol):
    """Answers each request after the latency."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        found = _REQUEST.search(data)
        assert found, data
        self._scenario.arrivals.append(self._loop.time())
        task_id, request_id = found.groups()
        self._loop.call_later(self._scenario.latency, self._answer, task_id, request_id)

    def _answer(self, task_id: bytes, request_id: bytes) -> None:
        now = self._loop.time()
        if self._scenario.is_down(now):
            head = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: %d\r\n\r\n"
            body = b"<html>down</html>"
        else:
            if now >= self._scenario.down_to:
                self._scenario.answered_again.setdefault(task_id, now)
            head = (
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
            )
            body = b'{"data":{"logId":"%s","status":"generating"},"code":0,"requestId":"%s"}' % (
                task_id,
                request_id,
            )
        self._transport.write(head % len(body) + body)


async def _serve(scenario: Scenario, port: int = 0) -> asyncio.Server:
    loop = asyncio.get_running_loop()
    return await loop.create_server(lambda: Service(scenario), "127.0.0.1", port, backlog=4096)


async def _over(seconds: float, count: int) -> AsyncIterator[ImageRef]:
    """Yield refs evenly, so that their polls are spread from the beginning."""
    for number in range(count):
        yield ImageRef(f"{number:024x}")
        if number % 100 == 99:
            await asyncio.sleep(100 * seconds / count)


async def outage(count: int, latency: float, kind: str) -> dict[str, float]:
    """One outage under so many tasks; its figures."""
    loop = asyncio.get_running_loop()
    scenario = Scenario(count, latency, loop.time())
    server = await _serve(scenario)
    port = server.sockets[0].getsockname()[1]
    async with (
        Client(
            KEY,
            base_url=f"http://127.0.0.1:{port}",
            concurrency=64 + min(int(2 * latency * count / CADENCE), _most_connections()),
        ) as client,
        client.as_completed(
            _over(scenario.period, count),
            timeout=None,
            wait=tenacity.wait_random(0.9 * scenario.cadence, 1.1 * scenario.cadence),
        ) as batch,
    ):
        await asyncio.sleep(scenario.down_from - loop.time())
        if kind == "refused":
            server.close()
            await asyncio.sleep(scenario.down_to - loop.time())
            server = await _serve(scenario, port)
        until = scenario.down_to + PERIODS_AFTER * scenario.period
        await asyncio.sleep(until - loop.time())
        standing = batch.statistics()
        figures = _figures(scenario, count)
        figures["lost"] = count - standing.pending - standing.in_flight
        figures["outages"] = client.statistics().outages
    server.close()
    await asyncio.sleep(2 * latency + 1)  # what is still to be said to those who have left
    return figures


def _figures(scenario: Scenario, count: int) -> dict[str, float]:
    moments = scenario.arrivals
    down = scenario.down_from, scenario.down_to

    def between(begin: float, end: float) -> int:
        return bisect_left(moments, end) - bisect_left(moments, begin)

    healthy = between(down[0] - scenario.period, down[0]) / scenario.period
    seconds = Counter(int(moment - down[1]) for moment in moments if moment >= down[1])
    again = max(scenario.answered_again.values()) - down[1]
    return {
        "cadence": scenario.cadence,
        "healthy": healthy,
        "in_outage": between(*down) / (healthy * OUTAGE),
        "peak_after": max(seconds.values()) / healthy,
        "peak_of_three": max(sum(seconds[s + n] for n in range(3)) for s in [*seconds])
        / healthy
        / 3,
        "again": again,
        "again_periods": again / scenario.period,
        "unanswered": count - len(scenario.answered_again),
    }


def _measured(case: tuple[int, float, str]) -> dict[str, float]:
    with asyncio.Runner(loop_factory=lambda: VirtualTimeLoop(settle=0.0)) as runner:
        return runner.run(outage(*case))


def run(smoke: bool) -> Report:
    columns = ["tasks", "latency", "poll after", "down", "usual/s", "in outage"]
    report = Report.of(METHOD, *columns, "peak", "again", "lost")
    cases = [
        (count, latency, kind)
        for count, latency in ([(200, 0.05)] if smoke else CASES)
        for kind in KINDS
    ]
    # As many at a time as there are cores: virtual time does not mind.
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as processes:
        for (count, latency, kind), found in zip(
            cases, processes.map(_measured, cases), strict=True
        ):
            name = f"{count:,} tasks, {latency:g} s, {kind}"
            key = f"{count}.{latency:g}.{kind}"
            report.figures |= {f"{key}.{what}": value for what, value in found.items()}
            in_outage, lost = 100 * found["in_outage"], found["lost"] + found["unanswered"]
            report.row(
                f"{count:,}",
                f"{latency:g} s",
                f"{found['cadence']:.0f} s",
                kind,
                f"{found['healthy']:,.0f}",
                f"{in_outage:.2f} %",
                f"{found['peak_after']:.2f} x",
                f"{found['again']:.1f} s = {found['again_periods']:.2f} periods",
                f"{lost:.0f}",
            )
            most = 5 if latency >= 5 else 2
            report.expect(f"{name}: requests in the outage, %", in_outage, most)
            report.expect(f"{name}: peak afterwards, x usual", found["peak_after"], 1.5)
            report.expect(f"{name}: all answered again, periods", found["again_periods"], 1.5)
            report.expect(f"{name}: tasks lost", lost, 0)
    return report
