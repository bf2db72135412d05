"""The pictures of the web: PNG, JPEG, GIF, WebP, SVG, BMP, ICO."""

from __future__ import annotations

import re
import struct
import zlib

from .media_types import UTF_16, gif_palette_length
from .reader import CUT, UNKNOWN, WHOLE, WINDOW, Cursor, InconclusiveError, Reader, Structure

_CHUNK = struct.Struct(">I4s")
"""The header of a chunk: the size of its data, and its name."""
_CHUNK_NAME = re.compile(rb"[A-Za-z]{4}")


def png(file: Reader) -> Structure:
    """Walk the chunks to IEND (PNG, third edition, 5.3)."""
    if file.size > 16 and file.read(12, 4) != b"IHDR":
        raise InconclusiveError
    at, kind = 8, b""
    while kind != b"IEND":
        size, kind = _CHUNK.unpack(file.read(at, _CHUNK.size))
        if not _CHUNK_NAME.fullmatch(kind):
            return CUT  # room that was set aside and never written to
        at += _CHUNK.size + size + 4  # behind the data stands a checksum
    file.require(at)
    return WHOLE


# In coded data, a marker is FF and one of these; those from D0 to D7 belong to the data.
_JPEG_MARKER = re.compile(rb"\xff[\xc0-\xcf\xd8-\xfe]")
_JPEG_END = re.compile(rb"\xff\xd9")
_EOI, _SOS = 0xD9, 0xDA
_WITHOUT_LENGTH = frozenset([0x01, *range(0xD0, 0xD9)])


def jpeg(file: Reader) -> Structure:
    """Walk the segments and scans to EOI (ITU-T T.81, annex B).

    EOI need not be the last: phones put a film behind it. Those of previews do not count: they
    stand inside of segments.
    """
    at = 2
    while True:
        if file.read(at, 1) != b"\xff":
            # Where a decoder would look for the next marker, any end is one.
            return CUT if file.find(_JPEG_END, at) is None else WHOLE
        code = file.number(at + 1, 1)
        if at == 2 and code < 0xC0:
            raise InconclusiveError  # it does not even begin with a marker
        if code == _EOI:
            return WHOLE
        if code == 0xFF:
            at += 1  # a fill byte
        elif code in _WITHOUT_LENGTH:
            at += 2
        else:
            at += 2 + file.number(at + 2, 2)
            if code == _SOS:
                found = file.find(_JPEG_MARKER, at)
                if found is None:
                    return CUT
                at = found


def gif(file: Reader) -> Structure:
    """Walk the blocks to the trailer (GIF89a, appendix B), which some writers leave out."""
    flags = file.number(10, 1)
    if not any(file.read(6, 4)):
        raise InconclusiveError  # a screen of no size
    cursor, has_picture = Cursor(file, 13 + gif_palette_length(flags)), False
    while not has_picture or cursor.at != file.size:
        kind = cursor.byte()
        if kind == 0x3B:
            return WHOLE
        if kind == 0x21:
            cursor.skip(1)
        elif kind == 0x2C:
            has_picture = True
            cursor.skip(8)
            cursor.skip(gif_palette_length(cursor.byte()) + 1)
        else:
            # Damage, or padding: decoders take what they have.
            return UNKNOWN if file.tail(WINDOW).rstrip(b"\x00").endswith(b";") else CUT
        while length := cursor.byte():
            cursor.skip(length)
    return UNKNOWN


def webp(file: Reader) -> Structure:
    """Compare the size in the RIFF header; 0 was never filled in."""
    size = file.number(4, 4, "little")
    if size in (0, 0xFFFFFFFF):
        return UNKNOWN
    file.require(size + 8)
    return WHOLE


def bmp(file: Reader) -> Structure:
    """Count the pixels where they are plain; else compare the sizes that the header names."""
    size, start, header = (file.number(at, 4, "little") for at in (2, 10, 14))
    if header < 40:
        file.require(size)
        return WHOLE if size > start else UNKNOWN
    width, height = struct.unpack("<ii", file.read(18, 8))
    depth, coding = file.number(28, 2, "little"), file.number(30, 4, "little")
    if coding in (0, 3, 6):  # plain, with masks or without
        file.require(start + (abs(width) * depth + 31) // 32 * 4 * abs(height))
        return WHOLE if size <= file.size else UNKNOWN  # some writers get it wrong
    packed = file.number(34, 4, "little")
    file.require(max(size, start + packed))
    return WHOLE if packed else UNKNOWN


def icon(file: Reader) -> Structure:
    """Look up where each picture of the directory ends."""
    for at in range(6, 6 + 16 * file.number(4, 2, "little"), 16):
        file.require(file.number(at + 8, 4, "little") + file.number(at + 12, 4, "little"))
    return WHOLE


_SVG_MARK = re.compile(rb"<(?:(!--|!\[CDATA\[|\?)|![A-Z]|(/?)(?:[^\s<>/:]{1,50}:)?svg(?=[\s/>]))")
"""The beginning of what holds no tags, of a declaration, or of a tag of the root's name."""
_LONGEST_MARK = 64
_SVG_ENDS = {b"!--": b"-->", b"![CDATA[": b"]]>", b"?": b"?>"}
_SVG_REST = re.compile(rb"""(?:[^>\["']++|"[^"]*+"|'[^']*+')*+[>\[]""")
"""The rest of a tag, or of a declaration up to those in it: in quotes may be what ends neither."""
_MOST_SVG = 16 * 1024 * 1024
_MOST_MARKS = 100_000
"""The most tags of this name, comments and the like that are looked at."""
_GZIP = b"\x1f\x8b"


def svg(file: Reader) -> Structure:
    """Look for the end of the root element. What stands behind it does no harm."""
    return _svg(_all_of(file))


def svgz(file: Reader) -> Structure:
    """Decompress it, as far as there is room for it, and look at the SVG in it."""
    inflate = zlib.decompressobj(wbits=31)
    try:
        plain = inflate.decompress(_all_of(file), _MOST_SVG + 1)
    except zlib.error:
        return CUT
    if len(plain) > _MOST_SVG or inflate.unused_data.startswith(_GZIP):
        raise InconclusiveError
    return _svg(plain) if inflate.eof else CUT


def _all_of(file: Reader) -> bytes:
    if file.size > _MOST_SVG:
        raise InconclusiveError
    return file.read(0, file.size)


def _svg(text: bytes) -> Structure:
    if text.startswith(UTF_16):
        text = text.decode("utf-16", "replace").encode()
    at, opened = 0, 0
    for _ in range(_MOST_MARKS):
        mark = _svg_mark(text, at)
        if mark is None:
            return CUT
        if mark[1]:
            at = text.find(_SVG_ENDS[mark[1]], mark.end())
        else:
            rest = _SVG_REST.match(text, mark.end())
            at = rest.end() if rest else -1
        if at < 0:
            return CUT
        if mark[2] is not None and text[at - 2 : at] != b"/>":
            opened += -1 if mark[2] else 1
        if mark[2] is not None and opened <= 0:
            return WHOLE
    raise InconclusiveError


def _svg_mark(text: bytes, at: int) -> re.Match[bytes] | None:
    """Search for the next mark, in pieces: each search holds up all other threads."""
    for start in range(at, len(text), WINDOW - _LONGEST_MARK):
        if (mark := _SVG_MARK.search(text, start, start + WINDOW)) is not None:
            return mark
    return None
