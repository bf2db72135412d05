"""From a request with files in it to the bytes that are sent.

Files are read and encoded here, on a thread of their own: a few megabytes of picture would
hold the event loop for tens of milliseconds. What the request may say is `contract`'s.
"""

from __future__ import annotations

import asyncio
import io
import os
import select
import stat
import threading
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from .contract.formats import HEAD_BYTES, media_type_of
from .contract.requests import TaskRequest, shown
from .contract.rules import listed

R = TypeVar("R")

MOST_BYTES = 50 * 1024 * 1024
"""The largest body the service reads. Past it the answer is a code 500 that explains nothing."""

_LOOK_UP = 50
"""Milliseconds for which a pipe is waited for at a stretch."""
_AUDIO_TOO = {"application/ogg": "audio/ogg"}


async def packed(request: TaskRequest[R]) -> tuple[TaskRequest[R], bytes]:
    """A request as it is sent: each file a data URI; and its JSON.

    Raises:
        ValueError: A file is not what the field is for, or all of it is too large. The field
            is named.
        OSError: A file cannot be read.
    """
    given_up = threading.Event()
    if not any(True for _ in request.sources()):
        return _pack(request, given_up)
    try:
        return await asyncio.to_thread(_pack, request, given_up)
    finally:
        given_up.set()


def _pack(request: TaskRequest[R], given_up: threading.Event) -> tuple[TaskRequest[R], bytes]:
    changes: dict[str, Any] = {}
    left = MOST_BYTES
    for name, medium, value in request.sources():
        many = listed(value)
        texts: list[str] = []
        for source in [value] if many is None else many:
            texts.append(_text(name, medium, source, left, given_up))
            left -= len(texts[-1])
        changes[name] = texts[0] if many is None else texts
    if changes:
        request = msgspec.structs.replace(request, **changes)
    body = msgspec.json.encode(request)
    if len(body) > MOST_BYTES:
        raise ValueError(_too_large("the request", len(body)))
    return request, body


def _text(name: str, medium: str, source: Any, left: int, given_up: threading.Event) -> str:
    """A source as text, of which there is room for so many characters."""
    if isinstance(source, str):
        return source
    content = _content(source, max(left, 0), given_up)
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


def _content(source: Any, left: int, given_up: threading.Event) -> bytes:
    if isinstance(source, bytes):
        return source
    # One byte more than there is room for: enough to know, whatever it really holds.
    most = left * 3 // 4 + 2
    if not isinstance(source, Path):
        return _all_of(source.read, most, shown(source))
    with open(source, "rb", buffering=0, opener=_open) as file:
        wait = hasattr(select, "poll") and not stat.S_ISREG(os.fstat(file.fileno()).st_mode)
        return _all_of(_patient(file, given_up) if wait else file.read, most, shown(source))


def _all_of(read: Callable[[int], Any], most: int, name: str) -> bytes:
    """All there is, up to so many bytes: a read may give fewer than it is asked for."""
    pieces: list[bytes] = []
    while most > 0:
        piece = read(most)
        if not isinstance(piece, bytes):
            raise ValueError(f"{name} gives {type(piece).__name__}; open it as binary")
        if not piece:
            break
        pieces.append(piece)
        most -= len(piece)
    return b"".join(pieces)


def _open(path: str, flags: int) -> int:
    # Nobody need have opened the other end of a pipe yet.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _patient(file: io.FileIO, given_up: threading.Event) -> Callable[[int], bytes]:
    """Reads from a pipe or a terminal, for as long as somebody still wants what may come.

    A thread that waited for that in the system would hold up the end of the program.
    """
    ready = select.poll()
    ready.register(file, select.POLLIN)

    def read(most: int) -> bytes:
        while not given_up.is_set():
            if ready.poll(_LOOK_UP) and (piece := file.read(most)) is not None:
                return piece
        raise InterruptedError

    return read


def _too_large(what: str, size: int | None = None) -> str:
    is_of = f" of {size:,} bytes" if size is not None else ""
    return (
        f"{what}{is_of} makes the body larger than the {MOST_BYTES:,} bytes the service reads "
        "(a file counts 4/3 of its size); give an address, or a smaller file"
    )
