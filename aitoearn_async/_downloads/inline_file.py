"""A file that came as text in the task itself, in place of an address."""

from __future__ import annotations

import binascii
from urllib.parse import unquote_to_bytes

from ..contract.outputs import Result
from .fetch_error import FetchError, too_large
from .part_file import PartFile, PartMetadata

_CHARACTERS = 1024 * 1024
"""Characters of base64 that are decoded at a time; four make three bytes."""
_URL_SAFE = str.maketrans("-_", "+/")
"""The two letters that the alphabet for addresses has in place of others (RFC 4648, 5)."""


def write_inline(part: PartFile, result: Result, most: int) -> None:
    """Write a file that came as text. For threads.

    Args:
        part: Where to.
        result: The file.
        most: Bytes past which it is given up.

    Raises:
        FetchError: It is too large, or no base64.
        OSError: It cannot be written.
    """
    data = result.data or ""
    part.restart(PartMetadata())
    if not result.is_base64:
        content = unquote_to_bytes(data)
        if len(content) > most:
            raise too_large(most)
        part.append(content)
        return
    text = "".join(data.split()).rstrip("=").translate(_URL_SAFE)
    if len(text) * 3 // 4 > most:
        raise too_large(most)
    for start in range(0, len(text), _CHARACTERS):
        chunk = text[start : start + _CHARACTERS]
        try:
            if "=" in chunk:
                raise ValueError
            part.append(binascii.a2b_base64(chunk + "=" * (-len(chunk) % 4), strict_mode=True))
        except ValueError:
            raise FetchError("what came along is no base64", stale=True) from None
