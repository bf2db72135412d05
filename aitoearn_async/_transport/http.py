"""One request on the wire: it is sent with the key, and its answer is read up to a cap.

What went wrong is put into words elsewhere; what a body means, and whether to ask again, is not
known here. The connections are those of `sessions`.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Mapping
from ssl import SSLContext
from typing import Any

import aiohttp
from multidict import istr
from yarl import URL

from .._net.body import GZIP, read_body, unpacked
from .._net.connection import (
    FIRST_CONTACT,
    NO_TIMEOUT,
    ConnectionLostError,
)
from .._net.headers import HOST, condition_of, retry_after, stored_by
from .._net.urls import is_for_proxy, proxy_options
from .._resilience.limiter import RequestLimiter
from .._resilience.monitor import ServiceMonitor
from .._resilience.scopes import Admission
from .._runtime.lifetime import Lifetime, Timeout
from .._version import __version__
from ..errors import TransportError
from .credentials import Credentials
from .exchange_errors import NEARLY_ALL, ExchangeErrors
from .gate import Gate
from .request import OutgoingRequest, RequestHeaders
from .response import Response
from .sessions import Sessions

logger: logging.Logger = logging.getLogger("aitoearn_async")

USER_AGENT = "aitoearn-async/{} (aiohttp/{}; Python/{}.{})".format(
    __version__, aiohttp.__version__, *sys.version_info[:2]
)

_BOM = b"\xef\xbb\xbf"


class Http:
    """Requests to one service, with one key at a time.

    Args:
        base_url: The service, checked.
        credentials: The API key, and where the next one comes from.
        headers: The other headers of every request.
        session: The caller's session, which is used and left open; None for one of our own.
        proxy_for: Tells the proxy for an address. Not the proxy itself: its password is not to
            be among the locals of what is raised here.
        ssl: As aiohttp's requests take it; None for aiohttp's default.
        most_bytes: The decoded size past which an answer is given up. The service echoes
            submitted images, so answers can be large.
        lifetime: The client's, for its clock and its end.
        limiter: Lets requests go, so many at a time.
        monitor: Knows whether the service is well, and is told of each failure.
    """

    def __init__(
        self,
        *,
        base_url: URL,
        credentials: Credentials,
        headers: Mapping[str, str],
        session: aiohttp.ClientSession | None,
        proxy_for: Callable[[URL], str | None],
        ssl: SSLContext | bool | None,
        most_bytes: int,
        lifetime: Lifetime,
        limiter: RequestLimiter,
        monitor: ServiceMonitor,
    ) -> None:
        if session is not None and not isinstance(session, aiohttp.ClientSession):
            raise TypeError(f"session= is an aiohttp.ClientSession, not {session!r:.60}")
        if not isinstance(ssl, SSLContext | bool | aiohttp.Fingerprint | None):
            raise TypeError("ssl= is an ssl.SSLContext, or False to verify nothing")
        self.base_url = base_url
        self._base_path = base_url.raw_path.rstrip("/")
        self.credentials = credentials
        # Of encodings this one only, whatever else is installed: a bomb of the others is a
        # thousand times tighter.
        encoding = "gzip" if session is None or session.auto_decompress else "identity"
        sent = {"Accept": "application/json", "Accept-Encoding": encoding, **headers}
        # An `istr` knows its lower case, which aiohttp asks for several times a request.
        named = {istr(name): value for name, value in sent.items()}
        # A session of our own has them. That is never done with the key: a session's own headers
        # go to proxies too.
        is_ours, host = session is None, base_url.host_port_subcomponent or ""
        self.sessions: Sessions = Sessions(
            session, {HOST: host, **named} if is_ours else {}, base_url
        )
        self._headers = RequestHeaders(credentials, {} if is_ours else named)
        # No more of them than it takes: aiohttp carries each through several calls.
        self._options: dict[str, Any] = {
            "allow_redirects": False,
            **proxy_options(proxy_for(base_url)),
            **({} if ssl is None else {"ssl": ssl}),
            **({} if is_ours else {"raise_for_status": False, "timeout": NO_TIMEOUT}),
        }
        self._most_bytes = most_bytes
        self._lifetime = lifetime
        self.limiter = limiter
        self.monitor = monitor
        self._gate = Gate(monitor, limiter, credentials, lifetime)
        leaves_proxy = is_ours and "proxy" not in self._options and is_for_proxy(base_url)
        self._errors = ExchangeErrors(
            self.sessions,
            base_url.host or "",
            credentials,
            most_bytes,
            lifetime,
            leaves_proxy=leaves_proxy,
        )

    async def send(self, request: OutgoingRequest, deadline: float) -> Response | TransportError:
        """Send one request. Return its response, or the error that it came to.

        A request without a body is sent once more, on a new connection, if its connection turns
        out to have been dead already. One with a body goes out once, on a connection of its own,
        unless the session is the caller's. `NotAskedError` is returned where the service is down,
        or has asked to be left alone, and where this machine lacks what a connection takes.

        Args:
            request: The request.
            deadline: Moment of the client's clock at which it ends, the wait for a place included.

        Raises:
            ClientClosedError: The client is closed, or was meanwhile.
        """
        lifetime = self._lifetime
        if lifetime.closed or lifetime.loop is not asyncio.get_running_loop():
            lifetime.enter()  # before another thread counts anything
        admission = self._gate.enter(request, deadline)
        if not isinstance(admission, Admission):
            found = await admission
            if not isinstance(found, Admission):
                return found
            admission = found
        sent, key = lifetime.time(), self.credentials.number
        if request.data is not None:
            request.went_out = lifetime.moment()
        result: Response | TransportError | None = None
        try:
            with Timeout(lifetime, min(deadline, sent + request.seconds)):
                result = await self._round_trip(request, admission)
                result.sent, result.key = sent, key
        except (Exception, asyncio.CancelledError) as exc:
            result = self._errors.error_of(exc, request, lifetime.time() - sent)
            if result is None:
                raise
        finally:
            self.limiter.places.give_back()
            if logger.isEnabledFor(logging.DEBUG):
                request.log(result, lifetime.time() - sent)
            if not isinstance(result, Response):
                little = lifetime.time() - sent < NEARLY_ALL * request.seconds
                self._gate.note_failure(admission, request, result, had_little_time=little)
        assert result is not None
        return result

    def _request_on(self, session: aiohttp.ClientSession, request: OutgoingRequest) -> Any:
        options: dict[str, Any] = self._options
        if self.sessions.are_ours and not self.monitor.answered:
            options = {**options, "timeout": FIRST_CONTACT}
        path, query = request.path, ""
        if "?" in path:
            path, _, query = path.partition("?")
        # A URL made of text would have the service's own part parsed each time.
        url = self.base_url.with_path(self._base_path + path, encoded=True)
        # The headers are no local: reporters of errors send the values of those.
        return session.request(
            "GET" if request.data is None else "POST",
            url.with_query(query) if query else url,
            headers=self._headers.of(request),
            data=None if request.data is None else request.posted(),
            **options,
        )

    async def _round_trip(self, request: OutgoingRequest, admission: Admission) -> Response:
        sessions, tried = self.sessions, self._headers.revalidation
        is_ours = sessions.are_ours
        session = sessions.kept() if request.data is None else sessions.unused()
        try:
            response = await self._request_on(session, request)
        except ConnectionLostError as lost:
            # A server closes idle connections when it likes: no sign of trouble, and no attempt.
            # With a body it is for the caller to say what may be sent.
            if request.data is not None or lost.idle is None:
                raise
            sessions.note_failure(request.path, lost)
            # Once, and on a new connection: the other idle ones may be as dead.
            await self.limiter.again()
            response = await self._request_on(sessions.fresh(), request)
        if is_ours and response.idle is None and request.data is None:
            sessions.note_first_answer(request.path, response)
        try:
            content = read_body(response, self._most_bytes)
            if not isinstance(content, bytes):
                content = await content
            if content.startswith(GZIP):
                content = await unpacked(content, self._most_bytes)
            for spellings in self.credentials.spellings:
                if spellings.plain in content:
                    content = spellings.cut(content)
        except BaseException:
            response.close()
            raise
        if request.etag and response.status == 200:
            self._headers.note_whole(request.etag, response.headers, tried)
        status, headers = response.status, response.headers
        of_session = not is_ours and getattr(response, "from_cache", False) is True
        return Response(
            status,
            headers,
            content.removeprefix(_BOM),
            getattr(response, "protocol", None),
            admission,
            of_session=of_session,
            is_copy=of_session or stored_by(headers) is not None,
            retry_after=retry_after(headers),
            validator=request.etag if status == 304 else condition_of(headers, request.etag),
        )

    def drop(self, response: Response) -> None:
        """Give up the connection an answer came on: what it sends belongs to somebody else."""
        if response.connection is None:
            self._headers.close_next = True  # a caller's session: have the server close it
        elif response.connection.transport is not None:
            response.connection.transport.abort()
