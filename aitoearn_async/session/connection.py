"""Connections: which one a request went out on, and whether it can have been dead by then.

aiohttp keeps them; here is only what it leaves open: bytes that arrive on an idle connection,
and its habit of repeating a request unasked; and that the machine may have slept since it
was last used. What is done about a lost one is in `http`.
"""

from __future__ import annotations

import math
import time
from typing import Any, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler

_LAST_USED = "_aitoearn_last_used"
_LONGEST_IDLE = 60.0
"""Seconds by the wall's clock, which goes on while the machine sleeps, and with it aiohttp's
timers. What was used longer ago lay idle all through a sleep, and the other side has forgotten
it: a request on it would wait for an answer in vain."""


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
        wire = cast("ResponseHandler", conn.protocol)
        last_used, now = getattr(wire, _LAST_USED, math.nan), time.time()
        was_used = not math.isnan(last_used)
        if was_used and not 0 <= now - last_used <= _LONGEST_IDLE:
            raise Lost("a connection from before a sleep", was_used=True)
        if wire.should_close:
            # Bytes came in while it lay idle: they would pass for the answer to this request.
            raise Lost("unasked bytes on an idle connection", was_used=was_used)
        try:
            response = await super().send(conn)
        except _LOSSES as exc:
            raise Lost(exc, was_used=was_used) from None
        cast("Response", response).on_used_connection = was_used
        setattr(wire, _LAST_USED, now)
        return response


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
