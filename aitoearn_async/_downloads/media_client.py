"""One request to a host that never gets the key: the only file here that opens sessions.

The sessions are this room's own, whatever session the client was given: no key, no cookies,
no headers of the caller's or of instrumentation. `media_stream` reads the file in the answer.
"""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import AsyncGenerator, Callable, Mapping
from ssl import SSLContext

import aiohttp
from yarl import URL

from .._net.connection import (
    CLOSED_SESSION,
    CheckedRequest,
    TrackedResponse,
    close_sessions,
    forget_sessions,
)
from .._net.resolver import own_resolver
from .._net.urls import proxy_options
from .._runtime.bounded_dict import BoundedDict
from .allowed_networks import Allowed
from .media_stream import MediaStream, lost, stream_of
from .network_guard import (
    ForbiddenAddressError,
    PrivateAddressError,
    check_url,
    guarded_socket,
    internal_text,
)
from .part_file import PartMetadata
from .transfer_error import TransferError

MOST_HOPS = 5
"""Redirects that are followed."""

_MOST_MISTAKEN = 1_000
"""Hosts that are remembered: a store may give each task one of its own."""

_REDIRECTS = (301, 302, 303, 307, 308)
_SENT = frozenset(
    [
        *("host", "user-agent", "accept", "accept-encoding", "range", "if-range", "connection"),
        *("content-type", "content-length", "proxy-authorization"),
    ]
)
"""The headers that a media host gets, and the proxy before it; `Content-` with an upload."""


class MediaRequest(CheckedRequest):
    """A request without what instrumentation has added to it: traces are for the service."""

    only_headers = _SENT


class MediaClient:
    """Requests to media hosts, and to the stores that files are uploaded to.

    Args:
        plain: Whether http will do.
        allowed: The internal networks that are allowed.
        proxy_for: Tells the proxy for an address, if there is one.
        connector: That of the caller's session, if there is one. It is used only if it makes
            connections in a way of its own, such as through a SOCKS proxy.
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
        connector: aiohttp.BaseConnector | None,
        ssl: SSLContext | bool | None,
        user_agent: str,
        patience: float,
    ) -> None:
        self._plain = plain
        self._allowed = allowed
        self._proxy_for = proxy_for
        self._theirs = connector if connects_otherwise(connector) else None
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
        self.mistaken: BoundedDict[str | None, None] = BoundedDict(_MOST_MISTAKEN)
        """Hosts whose checksums are wrong."""

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
            TransferError: There is no file in the answer.
            ForbiddenAddressError: It is a redirect to where nothing is to be asked.
        """
        response = await self._follow(url, offset, metadata)
        try:
            yield stream_of(response, offset, metadata)
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
        raise TransferError(f"{url.host} was reached over more than {MOST_HOPS} redirects")

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
            TransferError: There is no answer.
            ForbiddenAddressError: The host's name leads into an internal network.
            RuntimeError: The connector is the caller's, who has closed it.
        """
        if self._theirs is not None and self._theirs.closed:
            raise RuntimeError(CLOSED_SESSION)
        host = url.host or ""
        is_allowed = self._allowed.has_host(host)
        proxy = proxy_options(self._proxy_for(url))
        # A proxy resolves names and connects to them by itself: of those connections there is
        # no socket here to look at, and that to the proxy is the caller's own wish.
        guarded = not proxy and not is_allowed
        session = self._sessions.get(guarded) or self._open_session(guarded=guarded)
        error: TransferError | ForbiddenAddressError
        try:
            return await session.request(
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
                error = ForbiddenAddressError(internal_text(host, exc.os_error.address))
            else:
                error = lost(host, exc)
        except (aiohttp.ClientError, OSError, ValueError) as exc:
            error = lost(host, exc)
        # Raised out here, where no context holds an address.
        raise error

    def _open_session(self, *, guarded: bool) -> aiohttp.ClientSession:
        session = self._sessions[guarded] = aiohttp.ClientSession(
            connector=self._theirs or self._own_connector(guarded=guarded),
            connector_owner=self._theirs is None,
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
        await close_sessions(*self._sessions.values())


_HOW = ("connect", "_create_connection", "_create_direct_connection", "_wrap_create_connection")


def connects_otherwise(connector: aiohttp.BaseConnector | None) -> bool:
    """Return whether a connector makes TCP connections in a way of its own, as through SOCKS."""
    kinds = type(connector).__mro__ if isinstance(connector, aiohttp.TCPConnector) else ()
    own = kinds[: kinds.index(aiohttp.TCPConnector)] if kinds else ()
    return any(name in vars(kind) for kind in own for name in _HOW)
