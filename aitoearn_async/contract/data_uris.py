"""Files as text, in place of their addresses: data URIs (RFC 2397) and base64, as they are met."""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator
from urllib.parse import unquote, unquote_to_bytes

_MOST_HEAD = 1000
_HEAD = re.compile(
    r"""\s*data:(?:(?:[^,"]|"[^"]*"|,(?=[\w\s.+,-]*;))*;)?\s*base64\s*(?:;[^,]*)?,"""
    r"""(?:\s*data:[^,]{0,200},)?""",
    re.IGNORECASE,
)
"""The beginning of a data URI with base64, up to the data. Blanks, parameters with commas (browsers
write `codecs=vp8,opus`) or after the word, and a second beginning are met in the wild."""
_CHARACTERS = 1024 * 1024
"""Characters of base64 that are decoded at a time; four make three bytes."""
_URL_SAFE = str.maketrans("-_", "+/")
"""The two letters that the alphabet for addresses has in place of others (RFC 4648, 5)."""


def is_data_uri(text: str) -> bool:
    """Return whether an address is the file itself."""
    return text.lstrip()[:5].lower() == "data:"


def data_of(uri: str) -> tuple[str, bool]:
    """Return the data of a data URI, and whether they are base64; else they are percent-encoded."""
    head = _HEAD.match(uri, 0, _MOST_HEAD)
    if head is None:
        return uri.partition(",")[2], False
    return unquote(uri[head.end() :].partition("#")[0]), True  # a `+` may be written as `%2B`


def bytes_of(data: str, *, is_base64: bool) -> Iterator[bytes]:
    """Yield the bytes of such data, piece by piece.

    Raises:
        ValueError: It is no base64.
    """
    if not is_base64:
        yield unquote_to_bytes(data)
        return
    text = "".join(data.split()).rstrip("=").translate(_URL_SAFE)
    if "=" in text:
        raise ValueError("there is padding in the middle")
    for start in range(0, len(text), _CHARACTERS):
        piece = text[start : start + _CHARACTERS]
        yield binascii.a2b_base64(piece + "=" * (-len(piece) % 4), strict_mode=True)
