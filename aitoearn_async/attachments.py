"""From a request with files in it to the bytes that are sent.

Files are read and encoded here, on a thread of their own: a few megabytes of picture would
hold the event loop for tens of milliseconds. What the request may say is `contract`'s.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from .contract.formats import HEAD_BYTES, media_type_of
from .contract.requests import TaskRequest, shown
from .contract.rules import listed

R = TypeVar("R")

MOST_BYTES = 50 * 1024 * 1024
"""The largest body the service reads. Past it the answer is a code 500 that explains nothing."""

_AUDIO_TOO = {"application/ogg": "audio/ogg"}


async def packed(request: TaskRequest[R]) -> tuple[TaskRequest[R], bytes]:
    """A request as it is sent: each file a data URI; and its JSON.

    Raises:
        ValueError: A file is not what the field is for, or all of it is too large. The field
            is named.
        OSError: A file cannot be read.
    """
    if any(True for _ in request.sources()):
        return await asyncio.to_thread(_pack, request)
    return _pack(request)


def _pack(request: TaskRequest[R]) -> tuple[TaskRequest[R], bytes]:
    changes: dict[str, Any] = {}
    left = MOST_BYTES
    for name, medium, value in request.sources():
        many = listed(value)
        texts: list[str] = []
        for source in [value] if many is None else many:
            texts.append(_text(name, medium, source, left))
            left -= len(texts[-1])
        changes[name] = texts[0] if many is None else texts
    if changes:
        request = msgspec.structs.replace(request, **changes)
    body = msgspec.json.encode(request)
    if len(body) > MOST_BYTES:
        raise ValueError(_too_large("the request", len(body)))
    return request, body


def _text(name: str, medium: str, source: Any, left: int) -> str:
    """A source as text, of which there is room for so many characters."""
    if isinstance(source, str):
        return source
    content = _content(source, max(left, 0))
    media_type = media_type_of(content[:HEAD_BYTES])
    media_type = _AUDIO_TOO.get(media_type or "", media_type)
    if media_type is None or not media_type.startswith(f"{medium}/"):
        found = "nothing known" if media_type is None else media_type
        article = "an" if medium[0] in "aeiou" else "a"
        raise ValueError(
            f"{name}={shown(source)}: not {article} {medium}; its first bytes are those of {found}"
        )
    if len(content) * 4 // 3 > left:
        raise ValueError(_too_large(f"{name}={shown(source)}"))
    return f"data:{media_type};base64,{b64encode(content).decode()}"


def _content(source: Any, left: int) -> bytes:
    if isinstance(source, bytes):
        return source
    # One byte more than there is room for: enough to know, whatever it really holds.
    most = left * 3 // 4 + 2
    if isinstance(source, Path):
        with source.open("rb") as file:
            return file.read(most)
    content = source.read(most)
    if not isinstance(content, bytes):
        raise ValueError(f"{shown(source)} gives {type(content).__name__}; open it as binary")
    return content


def _too_large(what: str, size: int | None = None) -> str:
    is_of = f" of {size:,} bytes" if size is not None else ""
    return (
        f"{what}{is_of} makes the body larger than the {MOST_BYTES:,} bytes the service reads "
        "(a file counts 4/3 of its size); give an address, or a smaller file"
    )
