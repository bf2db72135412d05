"""One request to a host that never gets the key: the only file here that opens sessions.

The sessions are this room's own, whatever session the client was given: no key, no cookies,
no headers of the caller's or of instrumentation. What becomes of a body is decided elsewhere.
"""

from __future__ import annotations

import contextlib
import functools
import math
import re
from collections.abc import AsyncGenerator, Callable, Mapping
from ssl import SSLContext
from typing import Any, NamedTuple

import aiohttp
from yarl import URL

from .._net.connection import CheckedRequest, TrackedResponse, forget_sessions
from .._net.failures import failure_of
from .._net.headers import http_date, retry_after
from .._net.resolver import own_resolver
from .._net.urls import proxy_options
from .fetch_error import FetchError, Reason, reason_of_status
from .network_guard import (
    Allowed,
    ForbiddenAddressError,
    PrivateAddressError,
    check_url,
    guarded_socket,
    internal,
)
from .part_file import PartMetadata

MOST_HOPS = 5
"""Redirects that are followed."""

_REDIRECTS = (301, 302, 303, 307, 308)
_WRONG_RANGE = 416
_PARTIAL = 206
_WITH_A_FILE = 200, 201, 203, _PARTIAL, 226
"""Statuses under which a file may come: proxies that change something say 203."""
_STRONG_ETAG = re.compile(r'"[!#-~]{0,200}"')
_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})", re.ASCII)
# From this many seconds on a date of change tells two versions apart (RFC 9110, 8.8.2.2).
_OLD_ENOUGH = 60.0
_SENT = frozenset(
    [
        *("host", "user-agent", "accept", "accept-encoding", "range", "if-range", "connection"),
        *("content-type", "content-length"),
    ]
)
"""The headers that a media host gets; the last two with what is uploaded to it."""


class MediaRequest(CheckedRequest):
    """A request without what instrumentation has added to it: traces are for the service."""

    async def send(self, conn: Any) -> aiohttp.ClientResponse:
        for name in {name for name in self.headers if name.lower() not in _SENT}:
            if name.lower() != "proxy-authorization":
                del self.headers[name]
        return await super().send(conn)


class MediaStream:
    """An answer with a file, or the rest of one, in it.

    Attributes:
        host: Where it comes from.
        offset: Where in the file it begins.
        metadata: Which version of the file it is of.
        is_open_ended: Whether nothing but the end of the connection tells the file's end.
    """

    def __init__(
        self,
        host: str,
        offset: int,
        metadata: PartMetadata,
        stream: aiohttp.StreamReader,
        *,
        is_open_ended: bool,
    ) -> None:
        self.host: str = host
        self.offset: int = offset
        self.metadata: PartMetadata = metadata
        self.is_open_ended: bool = is_open_ended
        self._stream = stream

    async def read(self) -> bytes:
        """Read the next bytes, as they come; none at its end.

        Raises:
            FetchError: It broke off.
        """
        try:
            return await self._stream.readany()
        except (aiohttp.ClientError, OSError, ValueError) as exc:
            error = lost(self.host, exc)
        raise error


class MediaClient:
    """Requests to media hosts, and to the stores that files are uploaded to.

    Args:
        plain: Whether http will do.
        allowed: The internal networks that are allowed.
        proxy_for: Tells the proxy for an address, if there is one.
        session: The caller's session, if there is one. Only its connector is used, and that only
            if it makes connections in a way of its own, such as through a SOCKS proxy.
        ssl: What to verify hosts with, or False to verify nothing. The fingerprint of a
            certificate counts for the service's own alone.
        user_agent: Goes out with every request.
        patience: Seconds without a byte until a connection is given up.
    """

    def __init__(
        self,
        *,
        plain: bool,
        allowed: Allowed,
        proxy_for: Callable[[URL], str | None],
        session: aiohttp.ClientSession | None,
        ssl: SSLContext | bool | None,
        user_agent: str,
        patience: float,
    ) -> None:
        self._plain = plain
        self._allowed = allowed
        self._proxy_for = proxy_for
        self._theirs = session
        self._ssl = ssl if isinstance(ssl, SSLContext | bool) else True
        # No encoding at all: what is written is what came, and its length is the one announced.
        self._headers = {"User-Agent": user_agent, "Accept": "*/*", "Accept-Encoding": "identity"}
        # aiohttp rounds its longer timeouts up to whole seconds unless it is told not to.
        self._timeout = aiohttp.ClientTimeout(
            total=None, connect=patience, sock_read=patience, ceil_threshold=math.inf
        )
        # The time for an answer to an upload depends on the store, and is not known here.
        self._upload_timeout = aiohttp.ClientTimeout(
            total=None, connect=patience, ceil_threshold=math.inf
        )
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    def check(self, address: str, base: URL | None = None) -> URL:
        """Return the address as a URL, if it may be asked.

        Args:
            address: The address; that of a redirect may be relative.
            base: Where the redirect came from, if it is one.

        Raises:
            ForbiddenAddressError: It may not.
        """
        return check_url(address, base, plain=self._plain, allowed=self._allowed)

    @contextlib.asynccontextmanager
    async def fetch(
        self, url: URL, offset: int, metadata: PartMetadata
    ) -> AsyncGenerator[MediaStream]:
        """Ask for a file. The connection is given up where the body was not read to its end.

        Args:
            url: The address, checked.
            offset: From which byte on; 0 for all of it.
            metadata: The version of which those before it are there.

        Raises:
            FetchError: There is no file in the answer.
            ForbiddenAddressError: It is a redirect to where nothing is to be asked.
        """
        response = await self._follow(url, offset, metadata)
        try:
            yield _stream_of(response, offset, metadata)
        finally:
            response.close()

    async def _follow(
        self, url: URL, offset: int, metadata: PartMetadata
    ) -> aiohttp.ClientResponse:
        headers: dict[str, str] = {}
        if offset and metadata.validator is not None:
            headers = {"Range": f"bytes={offset}-", "If-Range": metadata.validator}
        for _ in range(MOST_HOPS + 1):
            response = await self.request("GET", url, headers)
            target = response.headers.get("Location")
            if response.status not in _REDIRECTS or target is None:
                return response
            response.close()
            url = self.check(target, url)
        raise FetchError(f"{url.host} was reached over more than {MOST_HOPS} redirects")

    async def request(
        self, method: str, url: URL, headers: Mapping[str, str], body: aiohttp.Payload | None = None
    ) -> aiohttp.ClientResponse:
        """Send one request, and return its answer as it is, a redirect too.

        Args:
            method: `GET` or `PUT`.
            url: The address, checked.
            headers: What goes out beside the client's own.
            body: What is uploaded.

        Raises:
            FetchError: There is no answer.
            ForbiddenAddressError: The host's name leads into an internal network.
        """
        proxy, host = proxy_options(self._proxy_for(url)), url.host or ""
        error: FetchError | ForbiddenAddressError
        guarded = proxy["proxy"] is None and not self._allowed.has_host(host)
        try:
            return await self._session(guarded=guarded).request(
                method,
                url,
                headers={**self._headers, **headers},
                data=body,
                ssl=self._ssl,
                allow_redirects=False,
                timeout=self._timeout if body is None else self._upload_timeout,
                **proxy,
            )
        except aiohttp.ClientConnectorError as exc:
            if isinstance(exc.os_error, PrivateAddressError):
                error = ForbiddenAddressError(internal(host, exc.os_error.address))
            else:
                error = lost(host, exc)
        except (aiohttp.ClientError, OSError, ValueError) as exc:
            error = lost(host, exc)
        # Raised out here, where no context holds an address.
        raise error

    def _session(self, *, guarded: bool) -> aiohttp.ClientSession:
        # A proxy resolves names and connects to them by itself: of those connections there is
        # no socket here to look at, and that to the proxy is the caller's own wish.
        session = self._sessions.get(guarded)
        if session is None:
            theirs = self._theirs.connector if self._theirs else None
            theirs = theirs if connects_otherwise(theirs) else None
            session = self._sessions[guarded] = aiohttp.ClientSession(
                connector=theirs or self._own_connector(guarded=guarded),
                connector_owner=theirs is None,
                cookie_jar=aiohttp.DummyCookieJar(),
                request_class=MediaRequest,
                response_class=TrackedResponse,
                timeout=self._timeout,
                auto_decompress=False,
                raise_for_status=False,
            )
        return session

    def _own_connector(self, *, guarded: bool) -> aiohttp.TCPConnector:
        factory = functools.partial(guarded_socket, allowed=self._allowed) if guarded else None
        # A connection for each file: what is left over on one that lay idle would pass
        # for the beginning of the next. And a name is asked for each time: where one of
        # its addresses is out of order, the next attempt may be told another.
        return aiohttp.TCPConnector(
            limit=0,
            force_close=True,
            use_dns_cache=False,
            resolver=own_resolver(),
            socket_factory=factory,
        )

    def leave_loop(self) -> None:
        """Forget the connections: they live on a loop that is closed."""
        forget_sessions(*self._sessions.values())
        self._sessions.clear()

    async def aclose(self) -> None:
        """Close the sessions."""
        for session in self._sessions.values():
            await session.close()


_HOW = ("connect", "_create_connection", "_create_direct_connection", "_wrap_create_connection")


def connects_otherwise(connector: aiohttp.BaseConnector | None) -> bool:
    """Return whether a connector makes TCP connections in a way of its own, as through SOCKS."""
    kinds = type(connector).__mro__ if isinstance(connector, aiohttp.TCPConnector) else ()
    own = kinds[: kinds.index(aiohttp.TCPConnector)] if kinds else ()
    return any(name in vars(kind) for kind in own for name in _HOW)


def lost(host: str | None, exception: Exception) -> FetchError:
    """Return the error for an exception in place of an answer, or in the middle of one."""
    failure = failure_of(exception)
    reason = Reason.PASSING if failure.transient else Reason.FINAL
    return FetchError(f"{host}: {failure.text}", reason)


class _ByteRange(NamedTuple):
    """Return the bytes that an answer says it holds (`Content-Range`)."""

    first: int
    last: int
    total: int


def _stream_of(
    response: aiohttp.ClientResponse, offset: int, metadata: PartMetadata
) -> MediaStream:
    """Return the file in an answer, or the rest that was asked for.

    `Content-Range` counts whatever the status: some stores answer a Range with 200, and some
    ignore `If-Range`. What does not fit the part that is there makes an end of the part.
    """
    host, status = response.url.host or "", response.status
    if offset and status == _WRONG_RANGE:
        raise _changed(host)
    if status not in _WITH_A_FILE:
        raise _refusal(host, response)
    # `Content-Length` counts for nothing beside `chunked`, which has an end of its own.
    chunked = "chunked" in response.headers.get("Transfer-Encoding", "").lower()
    length = None if chunked else response.content_length
    said = response.headers.get("Content-Range")
    if length == 0 and said is None:
        raise FetchError(f"{host} sent an empty file", Reason.MISSING)
    span = _span(said or "")
    start = offset
    if said is None and status != _PARTIAL:
        start, total = 0, length
    elif span is None or not _fits(span, length, offset):
        raise _changed(host) if offset else _refusal(host, response)
    else:
        total = span.total
    now = _version(response, metadata.source, total)
    if start and not _is_same(now, metadata):
        raise _changed(host)
    open_ended = total is None and not chunked
    return MediaStream(host, start, now, response.content, is_open_ended=open_ended)


def _changed(host: str) -> FetchError:
    return FetchError(f"{host} has changed the file", Reason.PASSING, stale=True)


def _is_same(now: PartMetadata, before: PartMetadata) -> bool:
    return now.validator == before.validator and before.length in (None, now.length)


def _refusal(host: str, response: aiohttp.ClientResponse) -> FetchError:
    return FetchError(
        f"{host} answered HTTP {response.status}",
        reason_of_status(response.status),
        retry_after=retry_after(response.headers),
    )


def _span(text: str) -> _ByteRange | None:
    said = _RANGE.fullmatch(text.strip())
    return _ByteRange(*map(int, said.groups())) if said else None


def _fits(span: _ByteRange, length: int | None, offset: int) -> bool:
    """Return whether these are the bytes from `offset` on, to the end."""
    is_rest = span.first == offset and span.last == span.total - 1
    return is_rest and length in (None, span.total - offset)


def _version(response: aiohttp.ClientResponse, source: str, length: int | None) -> PartMetadata:
    etag, modified = response.headers.get("ETag", ""), response.headers.get("Last-Modified")
    if modified is not None and not _is_exact(modified, response.headers.get("Date")):
        modified = None
    etag = etag if _STRONG_ETAG.fullmatch(etag) else ""
    return PartMetadata(source=source, etag=etag or None, modified=modified, length=length)


def _is_exact(modified: str, date: str | None) -> bool:
    """Return whether a date of change tells this version from one made within the same second."""
    then, now = http_date(modified), http_date(date or "")
    return then is not None and now is not None and (now - then).total_seconds() >= _OLD_ENOUGH
