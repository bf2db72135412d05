"""The way of an answer, whole or faulty, onto a socket.

Knows HTTP and transports; has never heard of tasks, keys or JSON fields.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import socket
import struct
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from multidict import CIMultiDict, CIMultiDictProxy

from .codes import PHRASES
from .faults import Fault

KEEP_ALIVE: Final = 5.0
"""Seconds for which an idle connection is kept; the service's own figure."""

JSON: Final = "application/json; charset=utf-8"
_NOT_JSON: Final = b"\x16\x03\x01\x00\xa5{\xff\xfe<!doctype"


@dataclass(slots=True)
class HttpResponse:
    """One HTTP response, before anything is sent."""

    body: bytes = b""
    status: int = 200
    headers: CIMultiDict[str] = field(default_factory=CIMultiDict)


def etag_of(body: bytes) -> str:
    """Return the weak ETag the service gives a body: its length in hex, and its SHA-1."""
    digest = base64.b64encode(hashlib.sha1(body, usedforsecurity=False).digest())
    return f'W/"{len(body):x}-{digest[:27].decode()}"'


def is_fresh(etag: str, headers: CIMultiDictProxy[str]) -> bool:
    """Return whether the client has the body with this ETag already, as express decides it.

    `If-None-Match: *` names all bodies. `Cache-Control: no-cache` asks for the body in any
    case; `Pragma` is not looked at.
    """
    if_none_match = headers.get("If-None-Match", "")
    directives = headers.get("Cache-Control", "").split(",")
    if "no-cache" in [directive.strip() for directive in directives]:
        return False
    names = [name.strip().removeprefix("W/") for name in if_none_match.split(",")]
    return "*" in names or etag.removeprefix("W/") in names


def apply_fault(answer: HttpResponse, fault: Fault) -> HttpResponse:
    """Return the answer that a faulty proxy sends in place of a right one."""
    if fault.status is not None:
        answer = HttpResponse(
            _page(fault), fault.status, CIMultiDict({"Content-Type": "text/html"})
        )
    elif fault.redirect is not None:
        answer = HttpResponse(b"", 302, CIMultiDict({"Location": fault.redirect}))
    elif fault.garbage:
        answer = HttpResponse(_NOT_JSON, 200, CIMultiDict({"Content-Type": JSON}))
    for name, value in fault.headers.items():
        answer.headers[name] = value
    return answer


def _page(fault: Fault) -> bytes:
    if fault.body is not None:
        return fault.body.encode() if isinstance(fault.body, str) else fault.body
    status = fault.status or 0
    if status < 400:
        return b""
    title = f"{status} {PHRASES.get(status, '')}".strip()
    return (
        f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n"
        f"<center><h1>{title}</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
    ).encode()


def respond(answer: HttpResponse) -> web.Response:
    """Return the answer as aiohttp sends it."""
    return web.Response(body=answer.body, status=answer.status, headers=answer.headers)


def begin(request: web.BaseRequest, answer: HttpResponse) -> None:
    """Send the head and half of the body."""
    if request.transport is not None:
        request.transport.write(_beginning(request, answer, len(answer.body) // 2))


def broken(
    request: web.BaseRequest, answer: HttpResponse, fault: Fault
) -> web.StreamResponse | None:
    """Return what goes out if the fault breaks the connection, else `None`."""
    if fault.truncate is not None:
        return _Broken(_beginning(request, answer, fault.truncate))
    if fault.raw is not None:
        return _Broken(fault.raw)
    if fault.reset or fault.close or fault.stall:
        return _Broken(reset=fault.reset)
    return None


class _Broken(web.StreamResponse):
    """A response that ends its connection: a few bytes at most, then FIN or RST."""

    def __init__(self, payload: bytes = b"", *, reset: bool = False) -> None:
        super().__init__()
        self._last_bytes = payload
        self._with_reset = reset

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        if (transport := request.transport) is not None:
            transport.write(self._last_bytes)
            if self._with_reset:
                reset(transport)
            transport.close()
        # aiohttp takes this for a client that has left, and writes nothing more.
        raise ConnectionResetError("as the fault wants it")


def reset(transport: asyncio.WriteTransport) -> None:
    """End a connection with RST."""
    # Closing a socket that may not linger is what makes the kernel send RST.
    no_time = struct.pack("ii", 1, 0)
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, no_time)
    transport.abort()


def _beginning(request: web.BaseRequest, answer: HttpResponse, size: int) -> bytes:
    """Return the head and so many bytes of the body, of which HEAD gets none."""
    answer.headers.setdefault("Content-Length", str(len(answer.body)))
    lines = [f"HTTP/1.1 {answer.status} {PHRASES.get(answer.status, '')}"]
    lines += [f"{name}: {value}" for name, value in answer.headers.items()]
    head = "\r\n".join([*lines, "", ""]).encode()
    return head if request.method == "HEAD" else head + answer.body[:size]
