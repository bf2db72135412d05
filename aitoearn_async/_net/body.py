"""The body of a response, read up to a cap. What it says is not known here."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Iterator

import aiohttp

from .connection import TrackedResponse
from .headers import CONTENT_ENCODING

GZIP = b"\x1f\x8b"
"""The first bytes of what is packed with gzip. No JSON begins with them."""
_MOST_TIMES = 2
"""Times that a body may have been packed: by the service, and by a proxy."""
_MOST_MEMBERS = 16
"""Parts of gzip in a row. Each is copied as often as others stand before it."""
_FINAL = 200
"""The first status of answers that are final (RFC 9110, 15.2). Of those before, 101 comes alone."""
_STRETCH = 256 * 1024
"""Bytes that are unpacked at a time."""


class ResponseTooLargeError(Exception):
    """A response is larger than the cap."""


def read_body(response: aiohttp.ClientResponse, most_bytes: int) -> bytes | Awaitable[bytes]:
    """Return the body, if it is here; else what is to be awaited for it.

    It is decoded, and no larger than `most_bytes`. Nearly all bodies come along with their headers:
    those of our own connections are taken without a coroutine, or five.

    Raises:
        ResponseTooLargeError: It is larger. At the call, or when awaited.
    """
    length = response.content_length
    if length is None or response.status < _FINAL or CONTENT_ENCODING in response.headers:
        return _read_in_pieces(response, most_bytes)
    if length > most_bytes:
        raise ResponseTooLargeError
    if isinstance(response, TrackedResponse) and response.content.is_eof():
        return response.content.read_nowait()
    return response.read()


async def _read_in_pieces(response: aiohttp.ClientResponse, most_bytes: int) -> bytes:
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
    response.close()  # after 101 nothing ends the exchange; after all others it makes no difference
    return bytes(body)


async def unpacked(body: bytes, most_bytes: int) -> bytes:
    """Return a body that came as gzip, unpacked, no larger than `most_bytes`.

    aiohttp unpacks what is called `gzip`, once. Here is the rest: `x-gzip` (RFC 9110, 8.4.1.3), a
    list of encodings, and what two proxies have packed or none has given a name. Bytes that are no
    gzip are returned as they are.

    Raises:
        ResponseTooLargeError: It is larger.
    """
    for _ in range(_MOST_TIMES):
        if not body.startswith(GZIP):
            break
        plain = bytearray()
        try:
            for piece in _members(body):
                plain += piece
                if len(plain) > most_bytes:
                    raise ResponseTooLargeError
                await asyncio.sleep(0)
        except zlib.error:
            break
        body = bytes(plain)
    return body


def _members(packed: bytes) -> Iterator[bytes]:
    """Unpack the parts of a gzip file, a stretch at a time, as far as they are there."""
    for _ in range(_MOST_MEMBERS):
        member = zlib.decompressobj(zlib.MAX_WBITS | 16)
        while packed and not member.eof:
            yield member.decompress(packed, _STRETCH)
            packed = member.unconsumed_tail
        packed = member.unused_data
