"""Pictures of studios, and QOI: HDR, PSD, EXR."""

from __future__ import annotations

import re

from .reader import (
    CUT,
    UNKNOWN,
    WHOLE,
    Cursor,
    InconclusiveError,
    Reader,
    Structure,
    TruncatedError,
)

_QOI_END = bytes(7) + b"\x01"


def qoi(file: Reader) -> Structure:
    """Look for the end mark: no encoder writes it elsewhere."""
    tail = file.tail(65536)
    if file.size >= 22 and tail.endswith(_QOI_END):
        return WHOLE
    return UNKNOWN if _QOI_END in tail[14:] else CUT


_HDR_SHAPE = re.compile(rb"\n\n[-+]([XY]) (\d{1,6}) [-+]([XY]) (\d{1,6})\n")


def radiance(file: Reader) -> Structure:
    """Walk the scanlines in the newer run-length coding; the older ones do not tell."""
    head = file.read_up_to(0, 4096)
    shape = _HDR_SHAPE.search(head)
    if shape is None:
        return UNKNOWN if len(head) == 4096 else CUT
    rows, width = int(shape[2]), int(shape[4])
    cursor = Cursor(file, shape.end())
    for row in range(rows):  # zeros are none, and if they come later they are room for some
        begin = [cursor.byte() for _ in range(4)]
        if begin != [2, 2, width >> 8, width & 0xFF]:
            return CUT if row and not any(begin) else UNKNOWN
        left = 4 * width
        while left > 0:
            code = cursor.byte()
            cursor.skip(1 if code > 128 else code)
            left -= code - 128 if code > 128 else code
            if not code:
                return CUT if row else UNKNOWN
    file.require(cursor.at)
    return WHOLE


_PLAIN, _RUN_LENGTHS = 0, 1


def photoshop(file: Reader) -> Structure:
    """Go past the sections, and count the merged picture at the end."""
    large = file.number(4, 2) == 2
    channels, height, width, depth = (
        file.number(at, size) for at, size in ((12, 2), (14, 4), (18, 4), (22, 2))
    )
    at = 26
    for size in (4, 4, 8 if large else 4):
        at += size + file.number(at, size)
    coding, at = file.number(at, 2), at + 2
    if coding == _PLAIN:
        file.require(at + channels * height * ((width * depth + 7) // 8))
        return WHOLE
    if coding != _RUN_LENGTHS:
        return UNKNOWN
    size, rows = (4 if large else 2), channels * height
    if rows > 1_000_000:
        raise InconclusiveError
    table = file.read(at, rows * size)
    lengths = (int.from_bytes(table[n : n + size], "big") for n in range(0, len(table), size))
    file.require(at + len(table) + sum(lengths))
    return WHOLE


_TILED, _DEEP_OR_PARTS = 0x200, 0x1800
_MOST_CHUNKS = 50_000


def exr(file: Reader) -> Structure:
    """Look up the chunks that the table of offsets names (OpenEXR, file layout)."""
    flags, at = file.number(4, 4, "little"), 8
    while (name_end := _zero(file, at)) != at:
        type_end = _zero(file, name_end + 1)
        at = type_end + 5 + file.number(type_end + 1, 4, "little")
    if flags & _DEEP_OR_PARTS:
        return UNKNOWN
    table = at + 1
    file.require(table + 8)
    offsets: list[int] = []
    # The table ends where the first chunk begins, which any of its entries may name.
    at, begin = table, file.size
    while at < begin and len(offsets) < _MOST_CHUNKS:
        offsets.append(file.number(at, 8, "little"))
        if not offsets[-1]:
            return CUT  # the table was to be filled in at the end
        at, begin = at + 8, min(begin, offsets[-1])
    place = max(offsets) + (16 if flags & _TILED else 4)
    size = file.number(place, 4, "little")
    file.require(place + 4 + size)
    return WHOLE if size else CUT


def _zero(file: Reader, at: int) -> int:
    """Find the end of a name."""
    name = file.read_up_to(at, 256)
    end = name.find(b"\x00")
    if end < 0:
        raise TruncatedError if len(name) < 256 else InconclusiveError
    return at + end
