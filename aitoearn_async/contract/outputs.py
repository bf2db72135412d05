"""The files that a succeeded task has made, and where they are.

Each kind of task puts them into fields of its own; here they are alike. Nothing is fetched or
written here, and what a file is to be called on a disk is decided elsewhere.
"""

from __future__ import annotations

import re
from base64 import b64decode

import msgspec

from .data_uris import data_of, is_data_uri


class Result(msgspec.Struct, frozen=True):
    """One file that a task has made."""

    kind: str
    """`"image"` or `"video"`: what it has to be."""
    number: int | None
    """The number of the image, from 1; None where there can only be one file."""
    url: str | None
    """The file's address. Where the file came along too, it is used if that is not whole."""
    data: str | None = None
    """The file itself, as text, where it came along."""
    is_base64: bool = True
    """True if that text is base64; else it is percent-encoded."""


def result_at(kind: str, number: int | None, address: str | None) -> Result:
    """Return what stands at an address, or in it: gateways hand files over as data URIs."""
    if address is None or not is_data_uri(address):
        is_the_file = address is not None and _is_base64_of_media(address)
        url, data = (None, address) if is_the_file else (address, None)
        return Result(kind, number, url, data)
    data, is_base64 = data_of(address)
    return Result(kind, number, None, data, is_base64)


def addresses(url: str | None) -> list[str]:
    """Return an address in a list; nothing for what is a file itself (`data:`), or not there."""
    return [url] if url and not is_data_uri(url) else []


def _is_base64_of_media(text: str) -> bool:
    """Return whether what should be an address is the file without anything around it."""
    begin = _BASE64.match(text)
    if begin is None:
        return False
    from .._containers.media_types import media_types_of  # late: most addresses are no file

    return bool(media_types_of(b64decode(begin[0])))


_BASE64 = re.compile(r"[A-Za-z0-9+/]{256}")
