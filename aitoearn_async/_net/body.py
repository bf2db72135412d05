"""The body of a response, read up to a cap. What it says is not known here."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import aiohttp

from .connection import TrackedResponse
from .headers import CONTENT_ENCODING

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
    if length is None or CONTENT_ENCODING in response.headers:
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
    return bytes(body)
