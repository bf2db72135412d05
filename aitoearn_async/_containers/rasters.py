"""Pictures whose header tells how long they are: QOI, PNM, TGA, HDR, DDS, PSD, EXR."""

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


_NUMBER = rb"(?:\s|#[^\n]*\n)+(\d{1,9})"
_PNM = re.compile(rb"P([4-6])" + _NUMBER * 2)
_PNM_DEPTH = re.compile(_NUMBER + rb"\s")
_PAM = re.compile(rb"P7\n.*?\nENDHDR\n", re.DOTALL)
_PAM_FIELD = re.compile(rb"\n(WIDTH|HEIGHT|DEPTH|MAXVAL)\s+(\d{1,9})")
_PFM = re.compile(rb"P([Ff])\s(\d{1,9})\s(\d{1,9})\s-?[\d.]{1,20}\s")


def pnm(file: Reader) -> Structure:
    """Count the pixels of a binary one (Netpbm); in a plain one the numbers are text."""
    head = file.upto(0, 4096)
    if found := _PAM.match(head):
        fields = {name: int(value) for name, value in _PAM_FIELD.findall(found[0])}
        width, height, depth, most = (
            fields.get(name, 1) for name in (b"WIDTH", b"HEIGHT", b"DEPTH", b"MAXVAL")
        )
        end = found.end() + width * height * depth * (2 if most > 255 else 1)
    elif found := _PFM.match(head):
        channels = 3 if found[1] == b"F" else 1
        end = found.end() + int(found[2]) * int(found[3]) * channels * 4
    elif (found := _PNM.match(head)) and found[1] == b"4":
        end = found.end() + 1 + (int(found[2]) + 7) // 8 * int(found[3])
    elif found and (depth_found := _PNM_DEPTH.match(head, found.end())):
        size = 2 if int(depth_found[1]) > 255 else 1
        channels = 3 if found[1] == b"6" else 1
        end = depth_found.end() + int(found[2]) * int(found[3]) * channels * size
    else:
        return CUT if found and len(head) < 4096 else UNKNOWN
    file.needs(end)
    return WHOLE


def targa(file: Reader) -> Structure:
    """Count the pixels, plain or in run-length packets."""
    head = file.read(0, 18)
    width, height = (int.from_bytes(head[at : at + 2], "little") for at in (12, 14))
    colours = int.from_bytes(head[5:7], "little") * ((head[7] + 7) // 8) if head[1] else 0
    start, size, left = 18 + head[0] + colours, (head[16] + 7) // 8, width * height
    if head[2] < 8:
        file.needs(start + left * size)
        return WHOLE
    cursor = Cursor(file, start)
    while left > 0:
        packet = cursor.byte()
        count = (packet & 0x7F) + 1
        cursor.skip(size if packet & 0x80 else count * size)
        left -= count
    file.needs(cursor.at)
    return WHOLE


_HDR_SHAPE = re.compile(rb"\n\n[-+]([XY]) (\d{1,6}) [-+]([XY]) (\d{1,6})\n")


def radiance(file: Reader) -> Structure:
    """Walk the scanlines in the newer run-length coding; the older ones do not tell."""
    head = file.upto(0, 4096)
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
    file.needs(cursor.at)
    return WHOLE


_BLOCK_BYTES = {
    **dict.fromkeys((b"DXT1", b"ATI1", b"BC4U", b"BC4S"), 8),
    **dict.fromkeys((b"DXT2", b"DXT3", b"DXT4", b"DXT5", b"ATI2", b"BC5U", b"BC5S"), 16),
}
_DX10_BLOCKS = {
    **dict.fromkeys((*range(70, 73), *range(79, 82)), 8),
    **dict.fromkeys((*range(73, 79), *range(82, 85), *range(94, 100)), 16),
}
_CODED, _PALETTE = 0x4, 0x20
_CUBE_FACES, _VOLUME = 0xFC00, 0x200000
_DX10_VOLUME = 4


def dds(file: Reader) -> Structure:
    """Add up the sizes of all levels, where the format is a common one."""
    height, width = file.number(12, 4, "little"), file.number(16, 4, "little")
    levels = min(file.number(28, 4, "little") or 1, 32)
    flags, code = file.number(80, 4, "little"), file.read(84, 4)
    kind = file.number(112, 4, "little")
    faces, has_depth = (kind & _CUBE_FACES).bit_count() or 1, bool(kind & _VOLUME)
    start, block, bits = 128, _BLOCK_BYTES.get(code), 0
    if code == b"DX10":
        start, block = 148, _DX10_BLOCKS.get(file.number(128, 4, "little"))
        faces *= max(file.number(140, 4, "little"), 1)
        has_depth = has_depth or file.number(132, 4, "little") == _DX10_VOLUME
    elif not flags & (_CODED | _PALETTE):
        bits = file.number(88, 4, "little")
    depth, total = file.number(24, 4, "little") if has_depth else 1, 0
    for level in range(levels):
        across, down, slices = (max(side >> level, 1) for side in (width, height, depth))
        if block:
            total += (across + 3) // 4 * ((down + 3) // 4) * block * slices
        elif bits:
            total += (across * bits + 7) // 8 * down * slices
        else:
            file.needs(start + 1)
            return UNKNOWN
    file.needs(start + total * faces)
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
        file.needs(at + channels * height * ((width * depth + 7) // 8))
        return WHOLE
    if coding != _RUN_LENGTHS:
        return UNKNOWN
    size, rows = (4 if large else 2), channels * height
    if rows > 1_000_000:
        raise InconclusiveError
    table = file.read(at, rows * size)
    lengths = (int.from_bytes(table[n : n + size], "big") for n in range(0, len(table), size))
    file.needs(at + len(table) + sum(lengths))
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
    file.needs(table + 8)
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
    file.needs(place + 4 + size)
    return WHOLE if size else CUT


def _zero(file: Reader, at: int) -> int:
    """Find the end of a name."""
    name = file.upto(at, 256)
    end = name.find(b"\x00")
    if end < 0:
        raise TruncatedError if len(name) < 256 else InconclusiveError
    return at + end
