"""One request to the service: its headers, and its line in the log, which never has the key."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import msgspec
from multidict import CIMultiDict, istr

from .._net.connection import RequestBody
from .._net.headers import matches
from .._runtime.clock import Moment
from ..errors import TransportError
from .credentials import Credentials
from .response import Response

logger: logging.Logger = logging.getLogger("aitoearn_async")

_KEY = istr("X-Api-Key")
_REQUEST_ID = istr("X-Request-Id")
_IF_NONE_MATCH = istr("If-None-Match")
_PRAGMA = istr("Pragma")
_CACHE_CONTROL = istr("Cache-Control")
_REVALIDATIONS = ((_PRAGMA, "no-cache"), (_CACHE_CONTROL, "max-age=0"))
"""Headers that have caches ask the service, and leave the 304 of a conditional request. Squid
keeps the 304 with the first alone. Go's servers, and so Caddy and Traefik, make of the first a
`Cache-Control: no-cache`, with which frameworks send the whole response."""


class OutgoingRequest(msgspec.Struct, kw_only=True, gc=False):
    """A request as it goes out. The garbage collector does not look at it: nothing leads back."""

    path: str
    """The path below the base URL, safe to send as it is."""
    route: str
    """The path of its kind of endpoint, which trouble is charged to."""
    subject: str
    """The task or the path that trouble may be about. With one alone, it says nothing of the
    service."""
    request_id: str
    """Goes out as `X-Request-Id`."""
    etag: str | None = None
    """Goes out as `If-None-Match`; the answer may then be a 304."""
    seconds: float
    """Seconds that it may take, from its start on the wire."""
    data: bytes | None = None
    """The JSON that is posted; None for a `GET`."""
    body: RequestBody | None = None
    """`data` on its way: it notes how far it got. None as long as it has not set out."""
    went_out: Moment | None = None
    """The moment when `data` set out."""
    is_final: bool = False
    """It is the final poll of a wait: it is sent even if the service is down."""

    def posted(self) -> RequestBody:
        """Return `data` as it sets out."""
        assert self.data is not None
        self.body = RequestBody(self.data)
        return self.body

    @property
    def is_whole(self) -> bool:
        """Return whether all of `data` may have gone out, and so been read."""
        return self.body is not None and self.body.whole

    def log(self, result: Response | TransportError | None, seconds: float) -> None:
        """Log that it went out, and what it came to; None if it was broken off."""
        if isinstance(result, Response):
            end = f"HTTP {result.status}, {len(result.body):,} bytes"
        else:
            end = "broken off" if result is None else result.label
        method = "GET" if self.data is None else "POST"
        facts = method, self.path, end, seconds, self.request_id
        logger.debug("%s %s: %s, %.3f s, request %s", *facts)


class RequestHeaders:
    """The headers of all requests to one service.

    Args:
        credentials: Have the key.
        given: Those that are always the same.
    """

    def __init__(self, credentials: Credentials, given: Mapping[istr, str]) -> None:
        self.close_next: bool = False
        """The next request asks the server to close its connection."""
        self.revalidation: int = 0
        """The number of the header that has caches ask the service."""
        self._credentials = credentials
        self._given = CIMultiDict[str](given)

    def of(self, request: OutgoingRequest) -> CIMultiDict[str]:
        """Return the headers of a request."""
        headers = self._given.copy()
        headers[_KEY] = self._credentials.keys[0]
        headers[_REQUEST_ID] = request.request_id
        # Caches on the way must not answer. `Cache-Control: no-cache` would cost the 304 of a
        # conditional request: frameworks then send the whole response.
        if request.etag is not None:
            headers[_IF_NONE_MATCH] = request.etag
            name, value = _REVALIDATIONS[self.revalidation]
            headers[name] = value
        elif request.data is None:
            headers[_CACHE_CONTROL] = "no-cache"
        if self.close_next:
            self.close_next = False
            headers["Connection"] = "close"
        return headers

    def note_whole(self, etag: str, headers: Mapping[str, str], tried: int) -> None:
        """Note a whole response to a conditional request.

        Where it has not changed, the other header may bring a 304.

        Args:
            etag: The condition.
            headers: Those of the response.
            tried: `revalidation`, as it was when the request went out.
        """
        if tried == self.revalidation:
            self.revalidation ^= matches(etag, headers)
