"""Bytes a client receives for the polls of a task that does not change."""

from __future__ import annotations

import asyncio
from typing import Any

import tenacity

from aitoearn_async import Client
from aitoearn_async.emulator import Emulator
from tests.support.relay import Relay

from .report import Report

MOST = 1000.0
_LARGE = 4_200_000

METHOD = """
The emulator in its observed dialect (ETag and 304, as the service's own), behind a TCP relay that
counts every byte it passes to the client, headers included. One task stays unchanged; its answer
echoes an image of 4.2 MB that was submitted, or an ordinary request. `wait_for` polls without
pausing; the bytes of the first poll, and those of each after it, are told apart. `get`, which
reads the whole answer each time, stands beside it.
"""


async def _measure(size: int, polls: int) -> tuple[float, float, float]:
    """Return the bytes of a wait's first poll, of each later one, and of a `get`."""
    image = {"image": "data:image/png;base64," + "A" * size} if size else {}
    async with Emulator() as service:
        ref = service.add_image("generating", request={"prompt": "a cat", **image})
        async with (
            Relay(int(service.url.rpartition(":")[2])) as relay,
            Client(service.api_key, base_url=relay.url) as client,
        ):
            marks: dict[int, int] = {}

            def at_once(state: tenacity.RetryCallState) -> float:
                marks[state.attempt_number] = relay.received
                if state.attempt_number == polls:
                    service.set_status(ref, "success")
                return 0.0

            wait: Any = at_once
            await client.wait_for(ref, wait=wait)
            before = relay.received
            await client.get(ref)
            return marks[1], (marks[polls] - marks[1]) / (polls - 1), relay.received - before


def run(smoke: bool) -> Report:
    polls = 5 if smoke else 100
    columns = ["answer", "polls", "bytes of the first", "of each after it", "of a get"]
    report = Report.of(METHOD, *columns)
    for name, size in (("large", _LARGE), ("ordinary", 0)):
        first, later, whole = asyncio.run(_measure(size, polls))
        report.row(name, polls, *(f"{figure:,.0f}" for figure in (first, later, whole)))
        report.figures |= {f"{name}_first": first, f"{name}_later": later, f"{name}_get": whole}
        if size:
            report.expect("bytes a poll after the first, large answer", later, MOST)
    return report
