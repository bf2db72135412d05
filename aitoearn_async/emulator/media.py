"""The files of the emulator's tasks, whole or in part.

They are answered as a storage does: no key, a strong ETag, `Range` and `If-Range`. Plain
functions on plain data; the service knows whether a task has made anything.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Final

from multidict import CIMultiDict, CIMultiDictProxy

from aitoearn_async import AnyRef, ImageRef, parse_ref

from . import pictures, wire

PREFIX: Final = "/media/"
"""The path that all files stand under."""
_PLACE: Final = re.compile(r"/media/(image|video)/([^/]+)/([1-9]\d?)\.(?:png|mp4)", re.ASCII)
_RANGE: Final = re.compile(r"bytes=(\d{1,18})-(\d{1,18})?", re.ASCII)
TYPES: Final = {"image": "image/png", "video": "video/mp4"}
"""Kind of task -> media type of its files."""


def path_of(ref: AnyRef, number: int = 1) -> str:
    """Return the path of a task's file."""
    suffix = "png" if isinstance(ref, ImageRef) else "mp4"
    return f"{PREFIX}{ref.kind}/{ref.id}/{number}.{suffix}"


def place_of(path: str) -> tuple[AnyRef, int] | None:
    """Return the task and the number of the file that a path (decoded, no query) asks for."""
    found = _PLACE.fullmatch(path)
    if found is None:
        return None
    kind, id, number = found.groups()
    try:
        return parse_ref(f"{kind}:{id}"), int(number)
    except ValueError:
        return None


def made(ref: AnyRef, number: int) -> bytes:
    """Return the bytes of a file that a task has made: the same ones each time."""
    make = pictures.png if isinstance(ref, ImageRef) else pictures.mp4
    return make(f"{ref}-{number}")


def answer(content: bytes, media_type: str, headers: CIMultiDictProxy[str]) -> wire.HttpResponse:
    """Return a file, or the part of it that the request's headers ask for."""
    digest = base64.b16encode(hashlib.sha1(content, usedforsecurity=False).digest())
    etag = f'"{digest.decode().lower()}"'
    sent = CIMultiDict({"Content-Type": media_type, "ETag": etag, "Accept-Ranges": "bytes"})
    part = _RANGE.fullmatch(headers.get("Range", ""))
    if part is None or headers.get("If-Range", etag) != etag:
        return wire.HttpResponse(content, 200, sent)
    first, size = int(part[1]), len(content)
    last = min(int(part[2] or size), size - 1)
    if first > last:
        sent["Content-Range"] = f"bytes */{size}"
        return wire.HttpResponse(b"", 416, sent)
    sent["Content-Range"] = f"bytes {first}-{last}/{size}"
    return wire.HttpResponse(content[first : last + 1], 206, sent)


def missing() -> wire.HttpResponse:
    """Return the answer for a file that does not exist."""
    return wire.HttpResponse(b"no such file\n", 404, CIMultiDict({"Content-Type": "text/plain"}))
