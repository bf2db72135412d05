"""A media host as a script: it serves one file, whole or in part, or lies about it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from aitoearn_async import Client, Image, ImageTask, VideoTask
from aitoearn_async.emulator.pictures import mp4, png
from tests.support.raw_server import ID, KEY, Heard, Part, RawServer, Script, http

FILM = mp4("one") * 40
"""772,040 bytes that begin as a film does: nearly three blocks."""
OTHER = mp4("other") * 40
PICTURE = png("one")
UNPROVED = b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom" + bytes(5000)
"""What begins as a film, and whose structure does not tell whether it is whole."""
SECRET = "X-Amz-Signature=5ec2e7"

assert len(FILM) == len(OTHER)


def etag_of(content: bytes) -> str:
    return f'"{hashlib.md5(content).hexdigest()}"'


def serve(content: bytes = FILM, *, etag: str | None = "", **extra: str) -> Script:
    """A file, or what is asked for of it."""
    tag = etag_of(content) if etag == "" else etag

    def script(heard: Heard) -> Iterable[Part]:
        return [answer(heard, content, tag, extra)]

    return script


def cut(
    after: int, content: bytes = FILM, *, etag: str | None = "", end: Part | None = None
) -> Script:
    """The same, but it breaks off after so many bytes of the body."""
    tag = etag_of(content) if etag == "" else etag

    def script(heard: Heard) -> Iterable[Part]:
        from tests.support.raw_server import FIN

        head, _, body = answer(heard, content, tag, {}).partition(b"\r\n\r\n")
        return [head + b"\r\n\r\n" + body[:after], 0.01, end or FIN]

    return script


def answer(heard: Heard, content: bytes, tag: str | None, extra: dict[str, str]) -> bytes:
    headers = {"Content-Type": "application/octet-stream", **extra}
    if tag is not None:
        headers["ETag"] = tag
    part = re.fullmatch(r"bytes=(\d+)-", heard.header("Range") or "")
    if part and heard.header("If-Range") == tag:
        first = int(part[1])
        headers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
        return http(content[first:], 206, headers)
    return http(content, 200, headers)


def film_at(url: str) -> VideoTask:
    return VideoTask(id=ID, status="SUCCESS", video_url=url)


def picture_at(url: str) -> ImageTask:
    return ImageTask(log_id=ID, status="success", images=[Image(url=url)])


def address(server: RawServer, path: str = "/store/there.bin") -> str:
    """An address as providers sign them."""
    return f"{server.url}{path}?{SECRET}"


def client_for(server: RawServer, **options: Any) -> Client:
    """A client that may fetch from this machine."""
    return Client(KEY, **{"base_url": server.url, "private_media": True, **options})


def names(directory: Path) -> list[str]:
    """What lies in a directory."""
    return sorted(path.name for path in directory.iterdir()) if directory.is_dir() else []
