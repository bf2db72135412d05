"""What stands at the emulator's media addresses: the files of its tasks, whole or in part.

It answers as a storage does: no key, a strong ETag, `Range` and `If-Range`. Plain functions on
plain data; whether a task has made anything is the desk's to know.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Final

from multidict import CIMultiDict, CIMultiDictProxy

from aitoearn_async import AnyRef, ImageRef, parse_ref

from . import pictures, wire

PATH: Final = "/media/"
"""Where the files are."""
_PLACE: Final = re.compile(r"/media/(image|video)/([^/]+)/([1-9]\d?)\.(?:png|mp4)", re.ASCII)
_RANGE: Final = re.compile(r"bytes=(\d{1,18})-(\d{1,18})?", re.ASCII)
_TYPES: Final = {"image": "image/png", "video": "video/mp4"}


def address_of(ref: AnyRef, number: int = 1) -> str:
    """The path of a task's file."""
    suffix = "png" if isinstance(ref, ImageRef) else "mp4"
    return f"/media/{ref.kind}/{ref.id}/{number}.{suffix}"


def place_of(path: str) -> tuple[AnyRef, int] | None:
    """The task whose file a path (decoded, no query) asks for, and which file of it that is."""
    found = _PLACE.fullmatch(path)
    if found is None:
        return None
    kind, id, number = found.groups()
    try:
        return parse_ref(f"{kind}:{id}"), int(number)
    except ValueError:
        return None


class Shelf:
    """The files, made when they are asked for."""

    def __init__(self) -> None:
        self._contents: dict[tuple[AnyRef, int], bytes] = {}

    def put(self, ref: AnyRef, number: int, content: bytes) -> None:
        """Let a file be this from now on."""
        self._contents[ref, number] = content

    def get(self, ref: AnyRef, number: int) -> bytes:
        """What a file is."""
        content = self._contents.get((ref, number))
        if content is None:
            make = pictures.png if isinstance(ref, ImageRef) else pictures.mp4
            content = make(f"{ref}-{number}")
        return content


def answer(content: bytes, ref: AnyRef, asked: CIMultiDictProxy[str]) -> wire.Answer:
    """A file, or the part of it that was asked for."""
    digest = base64.b16encode(hashlib.sha1(content, usedforsecurity=False).digest())
    etag = f'"{digest.decode().lower()}"'
    headers = CIMultiDict(
        {"Content-Type": _TYPES[ref.kind], "ETag": etag, "Accept-Ranges": "bytes"}
    )
    part = _RANGE.fullmatch(asked.get("Range", ""))
    if part is None or asked.get("If-Range", etag) != etag:
        return wire.Answer(content, 200, headers)
    first, size = int(part[1]), len(content)
    last = min(int(part[2] or size), size - 1)
    if first > last:
        headers["Content-Range"] = f"bytes */{size}"
        return wire.Answer(b"", 416, headers)
    headers["Content-Range"] = f"bytes {first}-{last}/{size}"
    return wire.Answer(content[first : last + 1], 206, headers)


def missing() -> wire.Answer:
    """There is no such file."""
    return wire.Answer(b"no such file\n", 404, CIMultiDict({"Content-Type": "text/plain"}))
