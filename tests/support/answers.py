"""Answers to be taken apart, and what a client makes of one."""

from __future__ import annotations

import asyncio
import gzip

import pytest

from aitoearn_async import AiToEarnError

from .raw_server import ID, REF, Part, RawServer, envelope, good, http, say, task

BODY = envelope(task())
WHOLE = http(BODY)
HEAD = WHOLE[: -len(BODY)]
BARE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNKED = BARE + b"Transfer-Encoding: chunked\r\n\r\n"
CHUNK = b"%x\r\n%b\r\n" % (len(BODY), BODY)
PAGE = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
ZIPPED = gzip.compress(BODY)


def encoded(body: bytes, how: str) -> bytes:
    return http(body, headers={"Content-Encoding": how})


def page(status: int) -> bytes:
    return http(PAGE, status, {"Content-Type": "text/html"})


async def failure_of(*parts: Part, **options: object) -> AiToEarnError:
    """Return the error of a first request; the second must be undisturbed."""
    options = {"attempts": 1, "request_timeout": 10, **options}
    async with RawServer(say(*parts), good()) as server, server.client(**options) as client:
        with pytest.raises(AiToEarnError) as caught:
            await client.get(REF)
        assert server.count == 1, "one request a call"
        await asyncio.sleep(client.statistics().paused_for)
        assert (await client.get(REF)).log_id == ID
        assert server.count == 2
        statistics = client.statistics()
        assert (statistics.in_flight, statistics.queued) == (0, 0)
        assert (statistics.requests, statistics.failures) == (2, 1)
    return caught.value
