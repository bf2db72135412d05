"""Connections: which one a request went out on, and how much of it went.

aiohttp keeps the connections. This file adds to its requests and responses what it does not do:

- it refuses an idle connection on which bytes have arrived, or which is from before a sleep of the
  machine;
- it keeps aiohttp from repeating a request by itself;
- it knows for how long a connection lay idle, and whether the last byte of a request may be out.

What is done about a lost connection is in `_transport/http`.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import math
import socket
import time
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.client_proto import ResponseHandler

from .headers import HOST
from .resolver import own_resolver

if TYPE_CHECKING:
    from multidict import istr

CLOSED_SESSION = "the aiohttp session given to the Client is closed"

NO_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=None)
"""For requests with a deadline of ours: aiohttp's own timeouts are imprecise from 5 s on, and its
total includes nothing of ours."""
FIRST_CONTACT = aiohttp.ClientTimeout(total=None, sock_connect=3.0)
"""For requests to an address where nobody has answered yet. One that swallows all packets is most
likely wrong. Two such attempts fit into the patience that a wait has with it."""

_LONGEST_IDLE = 60.0
"""Seconds by the wall's clock. It goes on while the machine sleeps; the clock of aiohttp's timers
does not. A connection that was used longer ago lay idle during a sleep, and the other side has
forgotten it: a request on it would wait for an answer in vain."""
_MOST_AT_A_READ = 64 * 1024
_UNACKNOWLEDGED_MS = 10_000
_BODY_PIECE_BYTES = 256 * 1024
_LAST_USED_ATTRIBUTE = "_aitoearn_last_used"
"""Set on aiohttp's protocols: the moment of the last request, by the wall's clock."""
_IDLE_ATTRIBUTE = "_aitoearn_idle"
"""Set on a cancellation that breaks off a request: for how long its connection had lain idle."""


class ConnectionLostError(aiohttp.ClientConnectionError):
    """The connection was lost.

    It stands in for aiohttp's own errors: aiohttp repeats a request by itself after some of those,
    and never after this one.

    Attributes:
        idle: Seconds for which the connection had lain idle before the request, and so may have
            been dead already; None for a fresh one.
        is_silent: Whether nothing came from the other side, not even a reset.
    """

    def __init__(self, what: object, idle: float | None) -> None:
        super().__init__(str(what))
        self.idle = idle
        self.is_silent: bool = getattr(what, "errno", None) == errno.ETIMEDOUT


_LOSSES = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, ConnectionError)
"""The errors of a lost connection, aiohttp's and Python's."""


class CheckedRequest(aiohttp.ClientRequest):
    """A request that checks the connection it is to go out on."""

    only_headers: ClassVar[frozenset[str] | None] = None
    """The names of the headers that go out, whoever has added others; None for all."""

    def update_headers(self, headers: Any) -> None:
        """Take over all headers at once: aiohttp does so one by one, for each request."""
        if HOST in headers:  # as in all requests to the service
            self.headers = headers.copy()
        else:
            super().update_headers(None)  # adds the header of the host, and no other
            self.headers.update(headers)

    def update_auto_headers(self, skip_auto_headers: Any) -> None:
        """Add no headers: our sessions have all those that aiohttp would add."""

    async def send(self, conn: Any) -> aiohttp.ClientResponse:
        """Send it on a connection that may be used.

        Raises:
            ConnectionLostError: The connection must not be used, or was lost.
        """
        if self.only_headers is not None:
            for name in set(self.headers):
                if name.lower() not in self.only_headers:
                    del self.headers[name]
        protocol: ResponseHandler = conn.protocol
        last_used: float | None = getattr(protocol, _LAST_USED_ATTRIBUTE, None)
        now = time.time()
        idle = None if last_used is None else now - last_used
        if idle is not None and not 0 <= idle <= _LONGEST_IDLE:
            raise ConnectionLostError("a connection from before a sleep", idle)
        if protocol.should_close:
            # Bytes came in while it lay idle. They would be taken for the answer to this request.
            raise ConnectionLostError("unasked bytes on an idle connection", idle)
        if idle is None:
            _read_smaller_pieces(protocol.transport)
            if not self.body:
                _limit_unacknowledged(protocol.transport)
        try:
            response = await super().send(conn)
        except _LOSSES as exc:
            raise ConnectionLostError(exc, idle) from None
        ours: Any = response
        ours.protocol, ours.idle = protocol, idle
        setattr(protocol, _LAST_USED_ATTRIBUTE, now)
        return response


def _read_smaller_pieces(transport: Any) -> None:
    """Make asyncio read a connection without TLS in smaller pieces than its 256 KiB.

    asyncio allocates a block of that size for each read, however short. The C library maps and
    unmaps a block so large each time: a tenth of what a poll costs.
    """
    if hasattr(transport, "max_size"):
        transport.max_size = _MOST_AT_A_READ


def _limit_unacknowledged(transport: Any) -> None:
    """Have the system end a connection on which a request is not acknowledged for ten seconds.

    A NAT or load balancer may have forgotten the connection, and tells nobody. Only Linux has the
    option. It is set once the connection is made, so it does not limit how long that takes.

    It must not be set for requests with a body. It also ends a connection whose other side
    acknowledges everything but takes no more for ten seconds, because it is busy or writes to a
    slow disk.
    """
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    sock = transport.get_extra_info("socket") if option is not None and transport else None
    if sock is not None:
        with contextlib.suppress(OSError):  # the socket is closed already, or is no TCP socket
            sock.setsockopt(socket.IPPROTO_TCP, option, _UNACKNOWLEDGED_MS)


class TrackedResponse(aiohttp.ClientResponse):
    """A response that knows the connection it came in on."""

    protocol: ResponseHandler | None = None
    idle: float | None = None
    """Seconds for which the connection had lain idle; None for a fresh one."""

    async def start(self, connection: Any) -> aiohttp.ClientResponse:
        try:
            return await super().start(connection)
        except _LOSSES as exc:
            raise ConnectionLostError(exc, self.idle) from None
        except asyncio.CancelledError as exc:
            setattr(exc, _IDLE_ATTRIBUTE, self.idle)
            raise


class RequestBody(aiohttp.Payload):
    """The JSON of a request that must not be sent twice. It can be written once.

    Attributes:
        whole: Whether its last byte may have gone out. Until then nobody can have read the
            whole request, whatever else went wrong.
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
        for start in range(0, len(data), _BODY_PIECE_BYTES):
            # Noted before the last piece is handed on: when it leaves cannot be seen.
            self.whole = start + _BODY_PIECE_BYTES >= len(data)
            await writer.write(bytes(data[start : start + _BODY_PIECE_BYTES]))


WAITS_FOR_CONNECTION = "_wait_for_available_connection"
"""The method of aiohttp's connectors in which requests queue up."""


def waited_for_a_connection(exc: BaseException) -> bool:
    """Return whether a request was broken off while it waited for one of the pool's connections.

    Args:
        exc: The error that was raised when its time was up. Its context is the cancellation.
    """
    context = exc.__context__
    trace = context.__traceback__ if isinstance(context, asyncio.CancelledError) else None
    while trace is not None:
        if trace.tb_frame.f_code.co_name == WAITS_FOR_CONNECTION:
            return True
        trace = trace.tb_next
    return False


def idle_before(exc: BaseException) -> float | None:
    """Return the seconds for which a connection lay idle before a request that got no answer.

    None for a fresh connection, and for an answer that had begun.

    Args:
        exc: The error that was raised when the time was up. Its context is the cancellation.
    """
    return getattr(exc.__context__, _IDLE_ATTRIBUTE, None)


def places_for(session: object, concurrency: int) -> int:
    """Return how many requests may be under way at a time: no more than there are connections.

    One more would wait for a connection of the caller's session, maybe until its time is up.
    """
    connector = session.connector if isinstance(session, aiohttp.ClientSession) else None
    if connector is None:
        return concurrency
    limits = connector.limit or math.inf, connector.limit_per_host or math.inf
    return int(min(concurrency, *limits))


class _Connector(aiohttp.TCPConnector):
    """A connector whose limit on idle connections can change."""

    def limit_idle(self, seconds: float) -> None:
        self._keepalive_timeout = seconds


def limit_idle(session: aiohttp.ClientSession | None, seconds: float) -> None:
    """Let a session use no connection again that has lain idle for longer.

    A session that was not opened by `open_session` stays as it is.
    """
    if session is not None and isinstance(session.connector, _Connector):
        session.connector.limit_idle(seconds)


def open_session(headers: Mapping[istr, str], **connector: Any) -> aiohttp.ClientSession:
    """Return a session of checked requests, without cookies, and with no limit on connections.

    Args:
        headers: The headers of all its requests, also of those to a proxy.
        connector: The settings of its connections.
    """
    return aiohttp.ClientSession(
        connector=_Connector(limit=0, resolver=own_resolver(), **connector),
        headers=headers,
        cookie_jar=aiohttp.DummyCookieJar(),
        request_class=CheckedRequest,
        response_class=TrackedResponse,
        timeout=NO_TIMEOUT,
    )


async def close_sessions(*sessions: aiohttp.ClientSession) -> None:
    """Close sessions: all of them, even if closing one is cancelled."""
    async with contextlib.AsyncExitStack() as stack:
        for session in sessions:
            stack.push_async_callback(session.close)


def forget_sessions(*sessions: aiohttp.ClientSession | None) -> None:
    """Close sessions whose loop is closed, so that nothing can be awaited.

    Their sockets close with the transports. Python would warn of each.
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
