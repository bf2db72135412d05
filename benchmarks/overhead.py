"""Client CPU of one poll, against the same GET done by hand with aiohttp and msgspec."""

from __future__ import annotations

import asyncio
import gc
import itertools
import sys
import time
from collections.abc import Awaitable, Callable

import msgspec
import tenacity

from aitoearn_async import Client, ImageRef

from .children import output_of
from .peers import by_hand
from .report import Report, Spread, plain, turns
from .server import KEY, answering

MOST = 1.15
IN_FLIGHT = (1, 64)
COLUMNS = ("in flight", "CPU µs a poll", "ratio", "middle half of the ratios")
POLLS_OF_A_WAIT = 50

METHOD = """
Two ways to ask how an image task stands, in one process, against a local server in another:
`client.get(ImageRef(...))`; and by hand, an aiohttp session (TCPConnector(limit=0), DummyCookieJar,
the key as its only header), `async with session.get(url)`, `await read()`, and msgspec decoding the
same envelope around the same Struct with a decoder built once. What is measured is this process's
CPU time (user and system). The two take turns in short rounds, in the order A B B A, so whatever
else the machine does falls on both; each pair of neighbouring rounds gives a ratio, and the median
of those ratios is the result. The rounds are spread over eight processes, since the same code takes
more time in some than in others. `wait_for` polls without pausing (`wait=tenacity.wait_none()`) and
ends every 50 polls; it is there for information.
"""
PROCESSES = 8


Poll = Callable[[int], Awaitable[object]]
"""One poll, or the polls of one wait, of the n-th task."""


class Way:
    """One of the ways compared: how it polls, and what each round cost, a poll."""

    def __init__(self, poll: Poll, polls_a_call: int = 1) -> None:
        self._poll = poll
        self._polls_a_call = polls_a_call
        self._turns = itertools.count()
        self.costs: list[float] = []

    async def round(self, polls: int, in_flight: int) -> None:
        calls = max(polls // self._polls_a_call // in_flight, 1)
        gc.collect()
        began = time.process_time()
        if in_flight == 1:
            await self._work(calls)
        else:
            await asyncio.gather(*(self._work(calls) for _ in range(in_flight)))
        spent = time.process_time() - began
        self.costs.append(spent / (calls * in_flight * self._polls_a_call))

    async def _work(self, calls: int) -> None:
        for _ in range(calls):
            await self._poll(next(self._turns))


def task_id(turn: int) -> str:
    return f"66000000000000000000{turn % 1000:04x}"


async def compared(
    ways: dict[str, Way], in_flight: int, rounds: int, polls: int
) -> dict[str, list[float]]:
    """Return the costs of a poll, in seconds, by way; neighbouring rounds have the same index."""
    for name in turns(ways, rounds + 1):
        await ways[name].round(polls, in_flight)
    # The first round opens the connections.
    return {name: way.costs[1:] for name, way in ways.items()}


def spread_over(processes: int, module: str, *order: object) -> dict[str, list[float]]:
    """Have each of so many processes print what `compared` returns; return that of all of them."""
    costs: dict[str, list[float]] = {}
    for _ in range(processes):
        for name, spent in msgspec.json.decode(output_of(module, *order)).items():
            costs.setdefault(name, []).extend(spent)
    return costs


def note(report: Report, in_flight: int, base: str, costs: dict[str, list[float]]) -> None:
    """Add a row a way, with its ratio to that of the base, and the same as figures."""
    for name, spent in costs.items():
        cost, ratio = Spread.of(spent).median * 1e6, Spread.of_ratios(spent, costs[base])
        among = ratio.middle_half if name != base else ""
        report.row(name, in_flight, f"{cost:.1f}", ratio.median, among)
        report.figures[f"{plain(name)}_{in_flight}_us"] = cost
        report.figures[f"{plain(name)}_{in_flight}_ratio"] = ratio.median


async def _compare(
    base_url: str, ending_url: str, in_flight: int, rounds: int, polls: int
) -> dict[str, list[float]]:
    async with (
        Client(KEY, base_url=base_url) as client,
        Client(KEY, base_url=ending_url) as waiting,
        by_hand(base_url) as poll,
    ):
        ways = {
            "by hand": Way(lambda turn: poll(task_id(turn))),
            "client.get": Way(lambda turn: client.get(ImageRef(task_id(turn)))),
            "wait_for": Way(waits(waiting), POLLS_OF_A_WAIT),
        }
        return await compared(ways, in_flight, rounds, polls)


def waits(client: Client) -> Poll:
    """Return a wait that polls without pausing."""
    at_once = tenacity.wait_none()
    return lambda turn: client.wait_for(ImageRef(task_id(turn)), wait=at_once)


def run(smoke: bool) -> Report:
    processes, rounds, polls = (1, 2, 64) if smoke else (PROCESSES, 10, 640)
    report = Report.of(METHOD, "way", *COLUMNS)
    with answering() as base_url, answering(polls_to_end=POLLS_OF_A_WAIT) as ending_url:
        for in_flight in IN_FLIGHT:
            order = base_url, ending_url, in_flight, rounds, polls
            costs = spread_over(processes, "overhead", *order)
            note(report, in_flight, "by hand", costs)
            ratio = report.figures[f"client_get_{in_flight}_ratio"]
            report.expect(f"client.get over by hand, {in_flight} in flight", ratio, MOST)
    return report


def _child(base_url: str, ending_url: str, *numbers: str) -> None:
    """Print the costs of some rounds, by way."""
    costs = asyncio.run(_compare(base_url, ending_url, *map(int, numbers)))
    sys.stdout.buffer.write(msgspec.json.encode(costs))


if __name__ == "__main__":
    _child(*sys.argv[1:])
