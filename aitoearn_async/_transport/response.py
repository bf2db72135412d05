"""A whole response, as it came over the wire: plain data. What it means is not known here."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Mapping
from typing import TYPE_CHECKING

import msgspec

from .._net.connection import TrackedResponse
from .._net.headers import CONTENT_ENCODING, stored_by
from .._resilience.scopes import Admission

if TYPE_CHECKING:
    from aiohttp import ClientResponse
    from aiohttp.client_proto import ResponseHandler

_STRETCH = 256 * 1024
"""Bytes that are unpacked at a time."""


class Response(msgspec.Struct):
    """A whole response, whatever it says."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    connection: ResponseHandler | None
    admission: Admission
    """The permission for the request, which `ServiceMonitor` wants back with what it brought."""
    sent: float = math.nan
    """The moment when the request went out, by the client's clock."""
    key: int = 0
    """The number of the client's key that it was asked with."""
    of_session: bool = False
    """The caller's session has answered out of a cache of its own, and has sent nothing."""

    @property
    def is_stored(self) -> bool:
        """Return whether it comes from a cache's store, as far as that shows."""
        return self.of_session or stored_by(self.headers) is not None

    def __repr__(self) -> str:
        # It stands among the locals of tracebacks, where nobody wants megabytes of body.
        return f"<Response HTTP {self.status}, {len(self.body):,} bytes>"


class ResponseTooLargeError(Exception):
    """A response is larger than the cap."""


def read_body(response: ClientResponse, most_bytes: int) -> bytes | Awaitable[bytes]:
    """Return the body, if it is here; else what is to be awaited for it.

    It is decoded, and no larger than `most_bytes`. Nearly all bodies come along with their headers:
    those of our own connections are taken without a coroutine, or five.

    Raises:
        ResponseTooLargeError: It is larger. At the call, or when awaited.
    """
    length = response.content_length
    if length is None or CONTENT_ENCODING in response.headers:
        return _read_in_pieces(response, most_bytes)
    if length > most_bytes:
        raise ResponseTooLargeError
    if isinstance(response, TrackedResponse) and response.content.is_eof():
        return response.content.read_nowait()
    return response.read()


async def _read_in_pieces(response: ClientResponse, most_bytes: int) -> bytes:
    """Read a body whose size is not known beforehand."""
    body, turn = bytearray(), _STRETCH
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > most_bytes:
            raise ResponseTooLargeError
        if len(body) >= turn:
            # What a small body unpacks to is all there at once: the loop has others to serve.
            turn = len(body) + _STRETCH
            await asyncio.sleep(0)
    return bytes(body)
