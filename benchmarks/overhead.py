"""Client CPU of one poll, against the same GET done by hand with aiohttp and msgspec."""

from __future__ import annotations

import asyncio
import gc
import itertools
import time
from collections.abc import Awaitable, Callable

import aiohttp
import msgspec
import tenacity

from aitoearn_async import Client, ImageRef, ImageTask

from .report import Cell, Expectation, Report, Spread, Table, plain, turns
from .server import KEY, answering

MOST = 1.15
_IN_FLIGHT = (1, 64)
POLLS_OF_A_WAIT = 50

METHOD = """
Two ways to ask how an image task stands, in one process, against a local server in another:
`client.get(ImageRef(...))`; and by hand, an aiohttp session (TCPConnector(limit=0),
DummyCookieJar, the key as its only header), `async with session.get(url)`, `await read()`, and
msgspec decoding the same envelope around the same Struct with a decoder built once. What is
measured is this process's CPU time (user and system). The two take turns in short rounds, in
the order A B B A, so whatever else the machine does falls on both; each pair of neighbouring
rounds gives a ratio, and the median of those ratios is the result. `wait_for` polls without
pausing (`wait=tenacity.wait_none()`) and ends every 50 polls; it is there for information.
"""


class _Envelope(msgspec.Struct, frozen=True, rename="camel"):
    code: int
    data: ImageTask
    request_id: str | None = None


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


async def _compare(
    base_url: str, ending_url: str, in_flight: int, rounds: int, polls: int
) -> dict[str, list[float]]:
    """Costs of a poll, in seconds, by way; neighbouring rounds stand at the same index."""
    decoder = msgspec.json.Decoder(_Envelope)
    address = f"{base_url}/api/ai/image/task/"
    async with (
        Client(KEY, base_url=base_url) as client,
        Client(KEY, base_url=ending_url) as waiting,
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"X-Api-Key": KEY},
        ) as session,
    ):

        async def by_hand(turn: int) -> ImageTask:
            async with session.get(address + task_id(turn)) as response:
                body = await response.read()
            return decoder.decode(body).data

        async def get(turn: int) -> ImageTask:
            return await client.get(ImageRef(task_id(turn)))

        async def wait_for(turn: int) -> ImageTask:
            return await waiting.wait_for(ImageRef(task_id(turn)), wait=tenacity.wait_none())

        ways = {
            "by hand": Way(by_hand),
            "client.get": Way(get),
            "wait_for": Way(wait_for, POLLS_OF_A_WAIT),
        }
        for name in turns(ways, rounds + 1):
            await ways[name].round(polls, in_flight)
    # The first round opens the connections.
    return {name: way.costs[1:] for name, way in ways.items()}


def run(smoke: bool) -> Report:
    rounds, polls = (2, 64) if smoke else (80, 640)
    rows: list[list[Cell]] = []
    figures: dict[str, float] = {}
    expectations: list[Expectation] = []
    with answering() as base_url, answering(polls_to_end=POLLS_OF_A_WAIT) as ending_url:
        for in_flight in _IN_FLIGHT:
            costs = asyncio.run(_compare(base_url, ending_url, in_flight, rounds, polls))
            for name, spent in costs.items():
                cost = Spread.of(spent).median
                pairs = zip(spent, costs["by hand"], strict=True)
                ratio = Spread.of([mine / theirs for mine, theirs in pairs])
                among = f"{ratio.low:.3f} - {ratio.high:.3f}" if name != "by hand" else ""
                rows.append([name, in_flight, f"{cost * 1e6:.1f}", ratio.median, among])
                figures[f"{plain(name)}_{in_flight}_us"] = cost * 1e6
                figures[f"{plain(name)}_{in_flight}_ratio"] = ratio.median
            what = f"client.get over by hand, {in_flight} in flight"
            expectations.append(Expectation(what, figures[f"client_get_{in_flight}_ratio"], MOST))
    columns = ["way", "in flight", "CPU µs a poll", "ratio", "middle half of the ratios"]
    return Report(METHOD, [Table(columns, rows)], figures, expectations)
