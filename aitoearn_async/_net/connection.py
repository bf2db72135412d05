"""Connections: which one a request went out on, and how much of it went.

aiohttp keeps them; here is only what it leaves open: bytes that arrive on an idle connection,
its habit of repeating a request unasked, whether the other side can have a request whole, for how
long a connection lay idle, and that the machine may have slept meanwhile. What is done about a
lost one is in `_transport/http`.
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

from .._runtime.clock import Moment
from .headers import HOST
from .resolver import own_resolver

if TYPE_CHECKING:
    from multidict import istr

CLOSED_SESSION = "the aiohttp session given to the Client is closed"

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
_UNACKNOWLEDGED_MS = 10_000
_IDLE = "_aitoearn_idle"


class ConnectionLostError(aiohttp.ClientConnectionError):
    """The connection was lost. aiohttp repeats, unasked, what it calls by other names.

    Attributes:
        idle: Seconds for which it had lain idle, and so may have been dead when taken; None for a
            fresh one.
        is_silent: Whether nothing was heard of the other side, not even that it was lost.
    """

    def __init__(self, what: object, idle: float | None) -> None:
        super().__init__(str(what))
        self.idle = idle
        self.is_silent: bool = getattr(what, "errno", None) == errno.ETIMEDOUT


_LOSSES = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, ConnectionError)


class CheckedRequest(aiohttp.ClientRequest):
    """A request that looks at the connection it is to go out on."""

    only_headers: ClassVar[frozenset[str] | None] = None
    """The names of the headers that go out, whoever has added others; None for all."""

    def update_headers(self, headers: Any) -> None:
        """Take over headers at once: aiohttp does so one by one, for each request."""
        if HOST in headers:  # the service's is always the same
            self.headers = headers.copy()
        else:
            super().update_headers(None)  # that is the host alone
            self.headers.update(headers)

    def update_auto_headers(self, skip_auto_headers: Any) -> None:
        """Add none: our sessions have all that aiohttp would look for."""

    async def send(self, conn: Any) -> aiohttp.ClientResponse:
        if self.only_headers is not None:
            for name in set(self.headers):
                if name.lower() not in self.only_headers:
                    del self.headers[name]
        protocol: ResponseHandler = conn.protocol
        last_used: float | None = getattr(protocol, _LAST_USED, None)
        now = time.time()
        idle = None if last_used is None else now - last_used
        if idle is not None and not 0 <= idle <= _LONGEST_IDLE:
            raise ConnectionLostError("a connection from before a sleep", idle)
        if protocol.should_close:
            # Bytes came in while it lay idle: they would pass for the answer to this request.
            raise ConnectionLostError("unasked bytes on an idle connection", idle)
        if idle is None:
            _read_less(protocol.transport)
            if not self.body:
                _lose_soon(protocol.transport)
        try:
            response = await super().send(conn)
        except _LOSSES as exc:
            raise ConnectionLostError(exc, idle) from None
        ours: Any = response
        ours.protocol, ours.idle = protocol, idle
        setattr(protocol, _LAST_USED, now)
        return response


def _read_less(transport: Any) -> None:
    """Let a connection without TLS be read in smaller pieces than asyncio's 256 KiB.

    A block that large is allocated for each read, however short. The C library maps it anew and
    unmaps it again: a tenth of what a poll costs.
    """
    if hasattr(transport, "max_size"):
        transport.max_size = _MOST_AT_A_READ


def _lose_soon(transport: Any) -> None:
    """Have the system end a connection on which a request is not acknowledged for ten seconds.

    A NAT or load balancer may have forgotten it, and says so to nobody. Only Linux has the option.
    It is not for requests with a body: a connection is ended by it, too, on which the other side
    acknowledges everything and takes no more for so long, as one does that is busy or writes to a
    slow disk. It has no say in how long a connection takes to be made, being set afterwards.
    """
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    sock = transport.get_extra_info("socket") if option is not None and transport else None
    if sock is not None:
        with contextlib.suppress(OSError):  # it is closed already, or no TCP
            sock.setsockopt(socket.IPPROTO_TCP, option, _UNACKNOWLEDGED_MS)


class TrackedResponse(aiohttp.ClientResponse):
    """A response that knows the connection it came in on."""

    protocol: ResponseHandler | None = None
    idle: float | None = None
    """Seconds for which it had lain idle; None for a fresh one."""

    async def start(self, connection: Any) -> aiohttp.ClientResponse:
        try:
            return await super().start(connection)
        except _LOSSES as exc:
            raise ConnectionLostError(exc, self.idle) from None
        except asyncio.CancelledError as exc:
            setattr(exc, _IDLE, self.idle)
            raise


_CHUNK_BYTES = 256 * 1024


class RequestBody(aiohttp.Payload):
    """The JSON of a request that must not be sent twice. It can be written once.

    Attributes:
        sent: The moment when the request went out.
        whole: Whether its last byte may have gone out. As long as it has not, nobody can have
            read the request, whatever else went wrong.
    """

    def __init__(self, data: bytes) -> None:
        super().__init__(data, content_type="application/json")
        self._size = len(data)
        self._begun = False
        self.sent: Moment | None = None
        self.whole: bool = False

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return str(self._value, encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        if self._begun:
            raise RuntimeError("this request must not be sent twice")
        self._begun = True
        data = memoryview(self._value)
        for start in range(0, len(data), _CHUNK_BYTES):
            # Noted before the last piece is handed on: nobody can say when it left.
            self.whole = start + _CHUNK_BYTES >= len(data)
            await writer.write(bytes(data[start : start + _CHUNK_BYTES]))


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


def idle_before(exc: BaseException) -> float | None:
    """Return for how long a connection had lain idle on which a request was not answered in time.

    None for a fresh one, and where its answer had begun.

    Args:
        exc: What was raised when its time was up. The cancellation stands in its context.
    """
    return getattr(exc.__context__, _IDLE, None)


def places_for(session: object, concurrency: int) -> int:
    """Return how many requests may be under way at a time: no more than there are connections.

    A request that waits for a connection of the caller's session may wait until its time is over.
    """
    connector = session.connector if isinstance(session, aiohttp.ClientSession) else None
    if connector is None:
        return concurrency
    limits = connector.limit or math.inf, connector.limit_per_host or math.inf
    return int(min(concurrency, *limits))


class _Connector(aiohttp.TCPConnector):
    """A connector whose connections can be left idle for less than was thought at first."""

    def leave_idle(self, seconds: float) -> None:
        self._keepalive_timeout = seconds


def leave_idle(session: aiohttp.ClientSession | None, seconds: float) -> None:
    """Use no connection again that has lain idle for longer, of a session that was opened here."""
    if session is not None and isinstance(session.connector, _Connector):
        session.connector.leave_idle(seconds)


def open_session(headers: Mapping[istr, str], **connector: Any) -> aiohttp.ClientSession:
    """Return a session of these connections, without cookies and without limits of its own.

    Args:
        headers: Those that all its requests have, and those to a proxy too.
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
    """Close sessions, all of them also where that is cancelled."""
    async with contextlib.AsyncExitStack() as stack:
        for session in sessions:
            stack.push_async_callback(session.close)


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
