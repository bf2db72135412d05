"""What aiohttp leaves open: a body that goes out once, and a connection that is lost too early."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp.abc import AbstractStreamWriter

from aitoearn_async._net.connection import (
    CheckedRequest,
    ConnectionLostError,
    RequestBody,
    TrackedResponse,
)

MIB = 1024 * 1024

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def _asking(
    handler: Handler, **options: Any
) -> AsyncIterator[tuple[aiohttp.ClientSession, str]]:
    """A session of these connections, and the address of a server that does as the handler says."""
    server = await asyncio.start_server(handler, "127.0.0.1", 0)
    async with (
        server,
        aiohttp.ClientSession(
            request_class=CheckedRequest, response_class=TrackedResponse, **options
        ) as session,
    ):
        yield session, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


class Wire(AbstractStreamWriter):
    """Takes what is written, and notes what the body said of itself by then."""

    def __init__(self, body: RequestBody, *, breaks_after: int = 1_000) -> None:
        self.data = b""
        self.said: list[bool] = []
        self._body = body
        self._left = breaks_after

    async def write(self, chunk: Any) -> None:
        self.said.append(self._body.whole)
        if not self._left:
            raise ConnectionResetError
        self._left -= 1
        self.data += chunk

    write_eof = drain = write_headers = None  # type: ignore[assignment]

    def enable_compression(self, *_: object) -> None:
        raise AssertionError

    enable_chunking = enable_compression


@pytest.mark.parametrize("size", [1, 1000, MIB // 4, MIB // 4 + 1, MIB])
async def test_a_body_counts_as_sent_before_its_last_piece_is_written(size: int) -> None:
    """Nobody can say when that one left; as long as it has not, nobody has read the request."""
    body = RequestBody(b"x" * size)
    assert not body.whole
    wire = Wire(body)
    await body.write(wire)
    assert wire.data == b"x" * size
    assert wire.said == [False] * (len(wire.said) - 1) + [True]


async def test_a_body_that_breaks_off_tells_how_far_it_came() -> None:
    for pieces, expected in ((0, False), (2, False), (3, True)):
        body = RequestBody(bytes(MIB))
        with pytest.raises(ConnectionResetError):
            await body.write(Wire(body, breaks_after=pieces))
        assert body.whole is expected


async def test_a_body_is_written_once() -> None:
    """Whoever repeats the request unasked is stopped."""
    body = RequestBody(b'{"prompt": "a cat"}')
    await body.write(Wire(body))
    again = Wire(body)
    with pytest.raises(RuntimeError, match="must not be sent twice"):
        await body.write(again)
    assert again.said == []


def test_a_body_is_shown_as_text() -> None:
    assert RequestBody("{'a': 'ü'}".encode()).decode() == "{'a': 'ü'}"


async def test_a_connection_that_is_lost_before_anything_is_sent() -> None:
    """A new one, so that it was not its age."""

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async def wait(*_: object) -> None:
        await asyncio.sleep(1)

    trace = aiohttp.TraceConfig()
    trace.on_connection_create_end.append(wait)
    async with _asking(hang_up, trace_configs=[trace]) as (session, url):
        with pytest.raises(ConnectionLostError) as caught:
            await session.get(url)
        assert caught.value.idle is None


async def test_an_answer_that_never_begins_is_a_loss() -> None:
    """aiohttp would repeat the request unasked, were it called by its own name."""
    heard = 0

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal heard
        await reader.readuntil(b"\r\n\r\n")
        heard += 1
        writer.close()

    async with _asking(hang_up) as (session, url):
        with pytest.raises(ConnectionLostError):
            await session.get(url)
    assert heard == 1


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="the system has no such option")
async def test_a_connection_without_a_body_is_lost_where_nothing_is_acknowledged() -> None:
    """One with a body is not: who takes its bytes slowly acknowledges all that he has taken."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
        await reader.read()
        writer.close()

    async with _asking(answer) as (session, url):
        for method, body, milliseconds in (("GET", None, 10_000), ("PUT", b"a film", 0)):
            async with session.request(method, url, data=body) as response:
                assert response.connection is not None
                transport: Any = response.connection.transport
                sock = transport.get_extra_info("socket")
                assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == milliseconds
