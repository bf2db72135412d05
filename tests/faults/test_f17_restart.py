"""The server is restarted: every connection is reset, and for five seconds none can be made."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from aitoearn_async import ImageRef, wait_backoff
from tests.polling.model import now
from tests.support.raw_server import RST, Heard, RawServer, Script, good

from .harness import Row, Trial

ROW = Row(
    17,
    "The server is restarted: all connections are reset, and refused for five seconds",
    "No task is lost and none is told of it. A line in the log says that the service is down, and "
    "one for each wait or batch that a poll failed.",
)


@pytest.mark.sampled(2)
@pytest.mark.usefixtures("untraced")
@pytest.mark.parametrize("single", [False, True])
async def test_nobody_is_told(trial: Trial, single: bool, caplog: pytest.LogCaptureFixture) -> None:
    """Forty tasks, by a batch or each by itself, some of them asked about at that moment."""
    refs = [ImageRef(f"{number:024x}") for number in range(40)]
    began = now()

    def choose(heard: Heard) -> Script:
        return good("success" if heard.at > began + 40 else "generating", delay=0.2)

    server = RawServer(choose=choose)
    async with server:
        client = server.client(wait=wait_backoff(2, 1, 2))
        ends: asyncio.Future[Any]
        if single:
            ends = asyncio.gather(*map(client.wait_for, refs), return_exceptions=True)
        else:
            ends = asyncio.ensure_future(client.wait_all(refs))
        await asyncio.sleep(20)
        server.hang_up(RST)
    down = now()
    await asyncio.sleep(5)
    async with server:
        up, asked = now(), server.count
        trial.book(refs, await ends, status="success")
        first = next(heard.at for heard in server.heard[asked:])
        await client.aclose()
    assert up - down >= 5
    trial.figure("seconds until it is asked again", first - up, 3.0)
    trial.wire(server, at_most=40 * 30)
    warnings = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    down_lines = [warning for warning in warnings if "is down" in warning]
    assert len(down_lines) == 1
    failed = [warning for warning in warnings if warning.startswith("a poll of ")]
    assert len(failed) == (40 if single else 1)
    assert len(warnings) == len(down_lines + failed)
