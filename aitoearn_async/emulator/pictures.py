"""A small real picture and a small real film, each made one of a kind by a name in it.

The picture is a PNG of 64 by 64 pixels. The film is two seconds of H.264 in an MP4, 32 by 32
pixels. Players and decoders take both; a name goes where they do not look.
"""

from __future__ import annotations

import struct
import zlib
from importlib.resources import files
from typing import Final

FILM_BYTES: Final = 19_301
"""Size of a film, so that a download can be cut in many places."""

_DATA: Final = files("aitoearn_async.emulator")  # from an archive too
_PNG: Final = _DATA.joinpath("picture.png").read_bytes()
_MP4: Final = _DATA.joinpath("film.mp4").read_bytes()
_PNG_HEADER: Final = 33
"""Size of the signature and the first chunk, which other chunks may follow."""


def png(name: str) -> bytes:
    """Return a PNG with the name in a `tEXt` chunk (PNG specification, 11.3.3)."""
    text = b"tEXtTitle\0" + name.encode("latin-1", "replace")
    chunk = struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text))
    return _PNG[:_PNG_HEADER] + chunk + _PNG[_PNG_HEADER:]


def mp4(name: str) -> bytes:
    """Return an MP4 with the name in a `free` box at its end (ISO/IEC 14496-12, 8.1.2)."""
    size = FILM_BYTES - len(_MP4)
    return _MP4 + struct.pack(">I4s", size, b"free") + name.encode().ljust(size - 8, b"\0")
