"""The decoder of JSON, and its limits: bodies that are too deep for it, or have text it refuses.

Pure functions of bytes. Ordinary answers are only checked by `too_deep`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cached_property
from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")

# The decoder recurses in C: on a thread with a small stack (musl's default is 128 KiB) some
# 400 levels end the process. So an answer with many brackets is flattened first, a pass a
# level or two, to see how deep it is. Ordinary answers have too few brackets to get there.
_SAFE_DEPTH = 64
_MOST_BRACKETS = 100_000
_LONG = 600
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_NEITHER = bytes(set(_NO_BRACKETS) - set(b'"'))


def too_deep(body: bytes) -> str | None:
    """Return why a body is too deep to be decoded; None if it is not."""
    # Of a long body, a pass that keeps the brackets costs less than two that count.
    counted = body if len(body) < _LONG else body.translate(None, _NO_BRACKETS)
    if counted.count(b"[") + counted.count(b"{") <= _SAFE_DEPTH:
        return None
    brackets = _brackets(body)
    if brackets is None or len(brackets) > 2 * _MOST_BRACKETS:
        return f"more than {_MOST_BRACKETS:,} lists and objects"
    for _ in range(_SAFE_DEPTH):
        if not brackets:
            return None
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
    # What is left is deep, or does not close; the decoder dives into both.
    return "nested too deeply" if _opened(brackets) > _SAFE_DEPTH // 2 else None


def _brackets(body: bytes) -> bytes | None:
    """Return the brackets of an answer without those in its texts; None if far too many."""
    if b"\\" in body:  # few have any, and looking for pairs takes longer than all else here
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    outside = body.translate(None, _NEITHER)
    # Two texts that touch count as one, and an empty text counts as none. After that each quote
    # but the first of a text ends it, so every second piece lies outside of texts.
    outside = outside.replace(b'""', b"")
    if outside.count(b'"') > 4 * _MOST_BRACKETS + 2:
        return None
    return b"".join(outside.split(b'"')[::2])


def _opened(text: bytes) -> int:
    return text.count(b"[") + text.count(b"{")


def bad_text(body: bytes) -> str | None:
    """Return what is wrong with the text of an answer that is JSON in every other respect.

    msgspec's exception does not tell: its type changed with version 0.23. So the value is
    tested. Python's own decoder takes half a surrogate pair, and every replaced character.
    """
    try:
        text = body.decode()
        reason = "half a surrogate pair in a text field"
    except UnicodeDecodeError:
        text = body.decode("utf-8", "replace")
        reason = "invalid UTF-8 in a text field"
    try:
        json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return reason


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


class LateDecoder(Generic[T]):
    """Decodes JSON. It is built when it is first used: that costs a thousand times a decode."""

    def __init__(self, kind: type[T]) -> None:
        self._kind = kind

    @cached_property
    def decode(self) -> Callable[[bytes], T]:
        """Decode the bytes of a whole JSON text."""
        return msgspec.json.Decoder(self._kind).decode

    def read(self, body: bytes) -> T | None:
        """Decode a JSON text; None where it is too deep, or anything else."""
        if too_deep(body):
            return None
        try:
            return self.decode(body)
        except (ValueError, RecursionError):
            return None
