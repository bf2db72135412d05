"""The questions that several rows ask of a fault: that it costs a poll, and only that."""

from __future__ import annotations

import asyncio

from aitoearn_async import (
    AiToEarnError,
    RequestTimeoutError,
    TransportError,
    VideoRef,
    wait_backoff,
)
from tests.support.raw_server import ID, REF, Part, RawServer, good, say

from .harness import Trial

VIDEO = VideoRef(ID)
TIMEOUT = 10.0
"""Of the requests here, in seconds."""


async def costs_a_poll(
    trial: Trial, *parts: Part, error: type[AiToEarnError], status: int | None = None
) -> AiToEarnError:
    """A fault once, to `get` and to a wait; and one without end. Returns what that comes to.

    Args:
        trial: Keeps the books.
        parts: What the server does when it has the fault.
        error: What it is when all attempts are used up. Transient.
        status: The `http_status` of the error.
    """
    async with (
        RawServer(say(*parts), good()) as server,
        server.client(attempts=2, request_timeout=TIMEOUT) as client,
    ):
        await trial.ends(client.get, REF, status="success")
        await trial.ends(client.get, REF, status="success")
    trial.wire(server, exactly=3)
    waiting = good("generating"), say(*parts), good()
    async with (
        RawServer(*waiting) as server,
        server.client(request_timeout=TIMEOUT, wait=wait_backoff(1)) as client,
    ):
        await trial.ends(client.wait_for, REF, status="success")
    trial.wire(server, exactly=3)
    async with RawServer(say(*parts)) as server:
        async with server.client(attempts=3, request_timeout=TIMEOUT) as client:
            (end,) = await trial.ends(client.get, REF)
        statistics = client.statistics()
    trial.wire(server, exactly=3)
    assert (statistics.requests, statistics.failures) == (3, 3)
    assert (statistics.in_flight, statistics.queued) == (0, 0)
    assert type(end) is error
    assert end.transient
    if isinstance(end, TransportError):
        assert end.http_status == status
    return end


async def is_no_matter(trial: Trial, *parts: Part) -> None:
    """An answer that is odd, but whole: taken at once, three times over."""
    async with RawServer(say(*parts)) as server, server.client(attempts=1) as client:
        for _ in range(3):
            await trial.ends(client.get, REF, status="success")
        assert client.statistics().failures == 0
    trial.wire(server, exactly=3)


async def ends_on_time(trial: Trial, *parts: Part) -> None:
    """Check that a request ends neither sooner nor later than it may take, and its connection too.

    The next request has another one.
    """
    loop = asyncio.get_running_loop()
    async with (
        RawServer(say(*parts), good()) as server,
        server.client(attempts=1, request_timeout=TIMEOUT) as client,
    ):
        with trial.on_time(loop.time() + TIMEOUT, early=0):
            (error,) = await trial.ends(client.get, REF)
        assert type(error) is RequestTimeoutError
        assert error.transient
        assert "within 10.0 s" in str(error)
        await asyncio.sleep(0.01)
        assert server.open == 0, "the connection is given up"
        await trial.ends(client.get, REF, status="success")
    trial.wire(server, exactly=2)


async def ends_at_its_bound(trial: Trial, *parts: Part) -> None:
    """Within a wait, where nothing else would end it, a request is given up on time."""
    async with (
        RawServer(say(*parts), good()) as server,
        server.client(request_timeout=TIMEOUT, wait=wait_backoff(1)) as client,
    ):
        call = asyncio.ensure_future(trial.ends(client.wait_for, REF, status="success"))
        await asyncio.sleep(TIMEOUT - 0.05)
        assert (server.count, server.open) == (1, 1), "not before its time"
        await asyncio.sleep(0.1)
        assert server.open == 0, "nor after it"
        await call
    trial.wire(server, exactly=2)
