"""One request to a media host, redirects followed: the only file here that opens sessions.

The sessions are this room's own, whatever session the client was given: no key, no cookies,
no headers of the caller's. What becomes of a body is decided elsewhere.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import AsyncGenerator, Callable
from ssl import SSLContext

import aiohttp
from yarl import URL

from ..session.classify import Phase, classify
from ..session.connection import Request, Response
from ..session.retry import http_date, retry_after
from .disk import Note
from .networks import Inside, Unfit, checked, guarded_socket, internal

MOST_HOPS = 5
"""Redirects that are followed."""

_REDIRECTS = (301, 302, 303, 307, 308)
_EXPIRED = (403, 404, 410)
_PASSING = (408, 425, 429)
_RANGE_IS_WRONG = 416
_STRONG_ETAG = re.compile(r'"[!#-~]{0,200}"')
_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})", re.ASCII)
# From this many seconds on a date of change tells two versions apart (RFC 9110, 8.8.2.2).
_OLD_ENOUGH = 60.0


class Trouble(Exception):
    """A file could not be fetched. Its text names no more of an address than the host.

    Attributes:
        transient: Whether the same request may well succeed a little later.
        expired: Whether the host says that there is nothing at this address any more.
        stale: Whether it would be met again by going on with the same part.
        retry_after: How long the host asks to be left alone, in seconds.
    """

    def __init__(
        self,
        text: str,
        *,
        transient: bool = False,
        expired: bool = False,
        stale: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(text)
        self.transient: bool = transient
        self.expired: bool = expired
        self.stale: bool = stale
        self.retry_after: float | None = retry_after


class Body:
    """An answer with a file, or the rest of one, in it.

    Attributes:
        host: Where it comes from.
        offset: Where in the file it begins.
        note: Which version of the file it is of.
    """

    def __init__(self, host: str, offset: int, note: Note, stream: aiohttp.StreamReader) -> None:
        self.host: str = host
        self.offset: int = offset
        self.note: Note = note
        self._stream = stream

    async def read(self) -> bytes:
        """The next bytes, as they come; none at its end.

        Raises:
            Trouble: It broke off.
        """
        try:
            return await self._stream.readany()
        except (aiohttp.ClientError, OSError, ValueError) as exc:
            trouble = lost(self.host, exc)
        raise trouble


class Hosts:
    """GET requests to media hosts.

    Args:
        plain: Whether http will do.
        inside: Whether internal networks are allowed.
        proxy_for: Tells the proxy for an address, if there is one.
        ssl: What to verify hosts with, or False to verify nothing. The fingerprint of a
            certificate counts for the service's own alone.
        user_agent: Goes out with every request.
        patience: Seconds without a byte until a connection is given up.
    """

    def __init__(
        self,
        *,
        plain: bool,
        inside: bool,
        proxy_for: Callable[[URL], str | None],
        ssl: SSLContext | bool | None,
        user_agent: str,
        patience: float,
    ) -> None:
        self._plain = plain
        self._inside = inside
        self._proxy_for = proxy_for
        self._ssl = ssl if isinstance(ssl, SSLContext | bool) else True
        # No encoding at all: what is written is what came, and its length is the one announced.
        self._headers = {"User-Agent": user_agent, "Accept": "*/*", "Accept-Encoding": "identity"}
        # aiohttp rounds its longer timeouts up to whole seconds unless it is told not to.
        self._timeout = aiohttp.ClientTimeout(
            total=None, connect=patience, sock_read=patience, ceil_threshold=math.inf
        )
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    def check(self, address: str) -> URL:
        """The address, if it may be asked.

        Raises:
            Unfit: It may not.
        """
        return checked(address, None, plain=self._plain, inside=self._inside)

    @contextlib.asynccontextmanager
    async def fetch(self, url: URL, offset: int, note: Note) -> AsyncGenerator[Body]:
        """Ask for a file. The connection is given up where the body was not read to its end.

        Args:
            url: The address, checked.
            offset: From which byte on; 0 for all of it.
            note: The version of which those before it are there.

        Raises:
            Trouble: There is no file in the answer.
            Unfit: It is a redirect to where nothing is to be asked.
        """
        response = await self._follow(url, offset, note)
        try:
            yield _body(response, offset, note)
        finally:
            response.close()

    async def _follow(self, url: URL, offset: int, note: Note) -> aiohttp.ClientResponse:
        headers = dict(self._headers)
        if offset and note.validator is not None:
            headers |= {"Range": f"bytes={offset}-", "If-Range": note.validator}
        for _ in range(MOST_HOPS + 1):
            response = await self._respond(url, headers)
            target = response.headers.get("Location")
            if response.status not in _REDIRECTS or target is None:
                return response
            response.close()
            url = checked(target, url, plain=self._plain, inside=self._inside)
        raise Trouble(f"{url.host} was reached over more than {MOST_HOPS} redirects")

    async def _respond(self, url: URL, headers: dict[str, str]) -> aiohttp.ClientResponse:
        proxy = self._proxy_for(url)
        trouble: Trouble | Unfit
        try:
            return await self._session(guarded=not self._inside and proxy is None).get(
                url, headers=headers, proxy=proxy, ssl=self._ssl, allow_redirects=False
            )
        except aiohttp.ClientConnectorError as exc:
            refused = isinstance(exc.os_error, Inside)
            trouble = Unfit(internal(url.host or "")) if refused else lost(url.host, exc)
        except (aiohttp.ClientError, OSError, ValueError) as exc:
            trouble = lost(url.host, exc)
        # Raised out here, where no context holds an address.
        raise trouble

    def _session(self, *, guarded: bool) -> aiohttp.ClientSession:
        # A proxy resolves names and connects to them by itself: of those connections there is
        # no socket here to look at, and that to the proxy is the caller's own wish.
        session = self._sessions.get(guarded)
        if session is None:
            factory = guarded_socket if guarded else None
            session = self._sessions[guarded] = aiohttp.ClientSession(
                # A connection for each file: what is left over on one that lay idle would pass
                # for the beginning of the next. And a name is asked for each time: where one of
                # its addresses is out of order, the next attempt may be told another.
                connector=aiohttp.TCPConnector(
                    limit=0, force_close=True, use_dns_cache=False, socket_factory=factory
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                request_class=Request,
                response_class=Response,
                timeout=self._timeout,
                auto_decompress=False,
                raise_for_status=False,
            )
        return session

    async def aclose(self) -> None:
        """Close the sessions."""
        for session in self._sessions.values():
            await session.close()


def lost(host: str | None, exception: Exception) -> Trouble:
    """What an exception comes to that came in place of an answer, or in the middle of one."""
    verdict = classify(Phase.EXCHANGE, exception=exception)
    return Trouble(f"{host}: {verdict.text}", transient=verdict.transient)


def _body(response: aiohttp.ClientResponse, offset: int, note: Note) -> Body:
    host, status = response.url.host or "", response.status
    if status == _RANGE_IS_WRONG and offset:
        raise Trouble(f"{host} has changed the file", transient=True, stale=True)
    if status not in (200, 206) or (status == 206 and not offset):
        raise _refusal(host, response)
    # `Content-Length` counts for nothing beside `chunked`, which has an end of its own.
    chunked = "chunked" in response.headers.get("Transfer-Encoding", "").lower()
    length = None if chunked else response.content_length
    if length is None and not chunked:
        raise Trouble(f"{host} does not say how long the file is, so nobody can tell its end")
    if status == 200:
        return Body(host, 0, _version(response, note.source, length), response.content)
    now = _range(response, offset, note.source)
    if now is None or now.validator != note.validator or now.length != (note.length or now.length):
        raise Trouble(f"{host} has changed the file", transient=True, stale=True)
    return Body(host, offset, now, response.content)


def _refusal(host: str, response: aiohttp.ClientResponse) -> Trouble:
    status = response.status
    return Trouble(
        f"{host} answered HTTP {status}",
        transient=status in _PASSING or 500 <= status < 600,
        expired=status in _EXPIRED,
        retry_after=retry_after(response.headers),
    )


def _range(response: aiohttp.ClientResponse, offset: int, source: str) -> Note | None:
    """Which version the rest of a file is of; None if it is not the rest that was asked for."""
    said = _RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
    if said is None:
        return None
    first, last, total = map(int, said.groups())
    if first != offset or last != total - 1:
        return None
    length = response.content_length
    if length is not None and length != total - offset:
        return None
    return _version(response, source, total)


def _version(response: aiohttp.ClientResponse, source: str, length: int | None) -> Note:
    etag, modified = response.headers.get("ETag", ""), response.headers.get("Last-Modified")
    if modified is not None and not _is_exact(modified, response.headers.get("Date")):
        modified = None
    etag = etag if _STRONG_ETAG.fullmatch(etag) else ""
    return Note(source=source, etag=etag or None, modified=modified, length=length)


def _is_exact(modified: str, date: str | None) -> bool:
    """Whether a date of change tells this version from one made within the same second."""
    then, now = http_date(modified), http_date(date or "")
    return then is not None and now is not None and (now - then).total_seconds() >= _OLD_ENOUGH
