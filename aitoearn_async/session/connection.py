"""Connections: which one a request went out on, and how much of it went.

aiohttp keeps them; here is only what it leaves open: bytes that arrive on an idle connection,
its habit of repeating a request unasked, whether the other side can have a request whole, and
that the machine may have slept since a connection was last used. What is done about a lost one
is in `http`.
"""

from __future__ import annotations

import math
import time
from typing import Any

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.client_proto import ResponseHandler

_LAST_USED = "_aitoearn_last_used"
_LONGEST_IDLE = 60.0
"""Seconds by the wall's clock, which goes on while the machine sleeps, and with it aiohttp's
timers. What was used longer ago lay idle all through a sleep, and the other side has forgotten
it: a request on it would wait for an answer in vain."""
_MOST_AT_A_READ = 64 * 1024


class Lost(aiohttp.ClientConnectionError):
    """The connection was lost. aiohttp repeats, unasked, what it calls by other names.

    Attributes:
        was_used: Whether it had been in use before, and so may have been dead when taken.
    """

    def __init__(self, what: object, *, was_used: bool) -> None:
        super().__init__(str(what))
        self.was_used = was_used


_LOSSES = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, ConnectionError)


class Request(aiohttp.ClientRequest):
    """A request that looks at the connection it is to go out on."""

    async def send(self, conn: Any) -> aiohttp.ClientResponse:
        wire: ResponseHandler = conn.protocol
        last_used, now = getattr(wire, _LAST_USED, math.nan), time.time()
        was_used = not math.isnan(last_used)
        if was_used and not 0 <= now - last_used <= _LONGEST_IDLE:
            raise Lost("a connection from before a sleep", was_used=True)
        if not was_used:
            _read_less(wire.transport)
        if wire.should_close:
            # Bytes came in while it lay idle: they would pass for the answer to this request.
            raise Lost("unasked bytes on an idle connection", was_used=was_used)
        try:
            response = await super().send(conn)
        except _LOSSES as exc:
            raise Lost(exc, was_used=was_used) from None
        ours: Any = response
        ours.on_used_connection = was_used
        setattr(wire, _LAST_USED, now)
        return response


def _read_less(transport: Any) -> None:
    """Let a connection without TLS be read in smaller pieces than asyncio's 256 KiB.

    A block that large is allocated for each read, however short. The C library maps it anew and
    unmaps it again: a tenth of what a poll costs.
    """
    if hasattr(transport, "max_size"):
        transport.max_size = _MOST_AT_A_READ


class Response(aiohttp.ClientResponse):
    """A response that knows the connection it came in on."""

    wire: ResponseHandler | None = None
    on_used_connection: bool = False

    async def start(self, connection: Any) -> aiohttp.ClientResponse:
        self.wire = connection.protocol
        try:
            return await super().start(connection)
        except _LOSSES as exc:
            raise Lost(exc, was_used=self.on_used_connection) from None


_PIECE = 256 * 1024


class Body(aiohttp.Payload):
    """The JSON of a request that must not be sent twice. It can be written once.

    Attributes:
        whole: Whether its last byte may have gone out. As long as it has not, nobody can have
            read the request, whatever else went wrong.
    """

    def __init__(self, data: bytes) -> None:
        super().__init__(data, content_type="application/json")
        self._size = len(data)
        self._begun = False
        self.whole: bool = False

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return str(self._value, encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        if self._begun:
            raise RuntimeError("this request must not be sent twice")
        self._begun = True
        data = memoryview(self._value)
        for start in range(0, len(data), _PIECE):
            # Noted before the last piece is handed on: nobody can say when it left.
            self.whole = start + _PIECE >= len(data)
            await writer.write(bytes(data[start : start + _PIECE]))


def open_session(**connector: Any) -> aiohttp.ClientSession:
    """A session without cookies and without a limit of its own, whose connections are these."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, **connector),
        cookie_jar=aiohttp.DummyCookieJar(),
        request_class=Request,
        response_class=Response,
    )
