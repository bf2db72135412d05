"""Connections: which one a request went out on, and how much of it went.

aiohttp keeps them; here is only what it leaves open: bytes that arrive on an idle connection,
its habit of repeating a request unasked, whether the other side can have a request whole, and
that the machine may have slept since a connection was last used. What is done about a lost one
is in `http`.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.client_proto import ResponseHandler

from .resolver import own_resolver

if TYPE_CHECKING:
    from multidict import istr

_LAST_USED = "_aitoearn_last_used"
_LONGEST_IDLE = 60.0
"""Seconds by the wall's clock, which goes on while the machine sleeps, and with it aiohttp's
timers. What was used longer ago lay idle all through a sleep, and the other side has forgotten
it: a request on it would wait for an answer in vain."""
# aiohttp's own timeouts are imprecise from 5 s on, and its total includes nothing of ours.
NO_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=None)
# An address that swallows all packets is most likely wrong, as long as nobody has answered there.
# Two such attempts fit into the patience that a wait has with it.
FIRST_CONTACT = aiohttp.ClientTimeout(total=None, sock_connect=3.0)
_MOST_AT_A_READ = 64 * 1024


class ConnectionLostError(aiohttp.ClientConnectionError):
    """The connection was lost. aiohttp repeats, unasked, what it calls by other names.

    Attributes:
        was_used: Whether it had been in use before, and so may have been dead when taken.
    """

    def __init__(self, what: object, *, was_used: bool) -> None:
        super().__init__(str(what))
        self.was_used = was_used


_LOSSES = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, ConnectionError)


class CheckedRequest(aiohttp.ClientRequest):
    """A request that looks at the connection it is to go out on."""

    def update_headers(self, headers: Any) -> None:
        """Take over headers at once: aiohttp does so one by one, for each request."""
        super().update_headers(None)  # that is the host alone
        self.headers.update(headers)

    async def send(self, conn: Any) -> aiohttp.ClientResponse:
        protocol: ResponseHandler = conn.protocol
        last_used: float | None = getattr(protocol, _LAST_USED, None)
        now, was_used = time.time(), last_used is not None
        if last_used is not None and not 0 <= now - last_used <= _LONGEST_IDLE:
            raise ConnectionLostError("a connection from before a sleep", was_used=True)
        if not was_used:
            _read_less(protocol.transport)
        if protocol.should_close:
            # Bytes came in while it lay idle: they would pass for the answer to this request.
            raise ConnectionLostError("unasked bytes on an idle connection", was_used=was_used)
        try:
            response = await super().send(conn)
        except _LOSSES as exc:
            raise ConnectionLostError(exc, was_used=was_used) from None
        ours: Any = response
        ours.protocol, ours.on_used_connection = protocol, was_used
        setattr(protocol, _LAST_USED, now)
        return response


def _read_less(transport: Any) -> None:
    """Let a connection without TLS be read in smaller pieces than asyncio's 256 KiB.

    A block that large is allocated for each read, however short. The C library maps it anew and
    unmaps it again: a tenth of what a poll costs.
    """
    if hasattr(transport, "max_size"):
        transport.max_size = _MOST_AT_A_READ


class TrackedResponse(aiohttp.ClientResponse):
    """A response that knows the connection it came in on."""

    protocol: ResponseHandler | None = None
    on_used_connection: bool = False

    async def start(self, connection: Any) -> aiohttp.ClientResponse:
        try:
            return await super().start(connection)
        except _LOSSES as exc:
            raise ConnectionLostError(exc, was_used=self.on_used_connection) from None


_PIECE = 256 * 1024


class RequestBody(aiohttp.Payload):
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


def waited_for_a_connection(exc: BaseException) -> bool:
    """Return whether a request was broken off while it waited for one of the pool's connections.

    Args:
        exc: What was raised when its time was up. The cancellation stands in its context.
    """
    context = exc.__context__
    trace = context.__traceback__ if isinstance(context, asyncio.CancelledError) else None
    while trace is not None:
        if trace.tb_frame.f_code.co_name == WAITS_FOR_CONNECTION:
            return True
        trace = trace.tb_next
    return False


WAITS_FOR_CONNECTION = "_wait_for_available_connection"
"""The method of aiohttp's connectors in which requests queue up."""


def places_for(session: object, concurrency: int) -> int:
    """Return how many requests may be under way at a time: no more than there are connections.

    A request that waits for a connection of the caller's session may wait until its time is over.
    """
    connector = session.connector if isinstance(session, aiohttp.ClientSession) else None
    if connector is None:
        return concurrency
    limits = connector.limit or math.inf, connector.limit_per_host or math.inf
    return int(min(concurrency, *limits))


def open_session(headers: Mapping[istr, str], **connector: Any) -> aiohttp.ClientSession:
    """Return a session of these connections, without cookies and without limits of its own.

    Args:
        headers: Those that all its requests have, and those to a proxy too.
        connector: The settings of its connections.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, resolver=own_resolver(), **connector),
        headers=headers,
        cookie_jar=aiohttp.DummyCookieJar(),
        request_class=CheckedRequest,
        response_class=TrackedResponse,
        timeout=NO_TIMEOUT,
    )


def forget_sessions(*sessions: aiohttp.ClientSession | None) -> None:
    """Close sessions whose loop is closed: nothing can be awaited there any more.

    Their sockets close with the transports, of which Python complains.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        for session in sessions:
            if session is None or session.connector is None:
                continue
            connector = session.connector
            session.detach()
            closing: Any = connector.close()
            # Run it until it would wait for sockets to close, which they do by themselves.
            with contextlib.suppress(StopIteration, RuntimeError):
                closing.send(None)
            closing.close()
