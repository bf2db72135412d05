"""The files that a succeeded task has made, and where they are.

Each kind of task puts them into fields of its own; here they are alike. Nothing is fetched or
written here, and what a file is to be called on a disk is decided elsewhere.
"""

from __future__ import annotations

import re
from base64 import b64decode
from urllib.parse import unquote

import msgspec

_DATA = "data:"


class Result(msgspec.Struct, frozen=True):
    """One file that a task has made."""

    kind: str
    """`"image"` or `"video"`: what it has to be."""
    number: int | None
    """Which of the task's images it is, from 1; None where there can only be one file."""
    url: str | None
    """The file's address; beside the file itself it is for the case that this is not whole."""
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
    head = _HEAD.match(address, 0, _MOST_HEAD)
    if head is None:
        return Result(kind, number, None, address.partition(",")[2], is_base64=False)
    data = address[head.end() :].partition("#")[0]
    return Result(kind, number, None, unquote(data))  # a `+` may be written as `%2B`


def is_data_uri(text: str) -> bool:
    """Return whether an address is the file itself."""
    return text.lstrip()[: len(_DATA)].lower() == _DATA


def _is_base64_of_media(text: str) -> bool:
    """Return whether what should be an address is the file without anything around it."""
    begin = _BASE64.match(text)
    if begin is None:
        return False
    from .._containers.media_types import media_types_of  # late: most addresses are no file

    return bool(media_types_of(b64decode(begin[0])))


_BASE64 = re.compile(r"[A-Za-z0-9+/]{256}")
_MOST_HEAD = 1000
_HEAD = re.compile(
    r"""\s*data:(?:(?:[^,"]|"[^"]*")*;)?\s*base64\s*(?:;[^,]*)?,(?:\s*data:[^,]{0,200},)?""",
    re.IGNORECASE,
)
"""The beginning of a data URI with base64, up to the data. Blanks, parameters with commas in
quotes or after the word, and a second beginning are met in the wild."""
