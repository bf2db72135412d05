"""Connections: which one a request went out on, and what to do about a dead one.

aiohttp keeps them; here is only what it leaves open: bytes that arrive on an idle connection,
and its habit of repeating a request unasked. How requests are made is in `http`.
"""

from __future__ import annotations

from typing import Any, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler

_USED = "_aitoearn_used"


class Request(aiohttp.ClientRequest):
    """A request that knows the connection it went out on."""

    wire: ResponseHandler | None = None
    on_used_connection: bool = False

    async def send(self, conn: Any) -> aiohttp.ClientResponse:
        wire = cast("ResponseHandler", conn.protocol)
        self.wire = wire
        self.on_used_connection = getattr(wire, _USED, False)
        if wire.should_close:
            # Bytes came in while it lay idle: they would pass for the answer to this request.
            raise aiohttp.ServerDisconnectedError("unasked bytes on an idle connection")
        setattr(wire, _USED, True)
        return await super().send(conn)


class Response(aiohttp.ClientResponse):
    """A response that knows the connection it came in on."""

    wire: ResponseHandler | None = None


class _Lost(aiohttp.ClientConnectionError):
    """The connection was lost. aiohttp repeats what it calls by other names, unasked."""


async def spend_dead_connections(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Take the next connection when a pooled one turns out dead; that costs no attempt.

    A server closes idle connections when it likes, so this is no sign of trouble. It ends:
    each turn uses up a connection of the pool, and a fresh one is not forgiven.
    """
    request = cast("Request", request)
    while True:
        try:
            response = await handler(request)
        except aiohttp.ClientConnectorError:
            raise
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as exc:
            if not request.on_used_connection:
                raise _Lost(str(exc)) from None
        else:
            cast("Response", response).wire = request.wire
            return response
