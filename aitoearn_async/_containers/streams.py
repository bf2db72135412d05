"""Films other than boxes and Matroska: AVI, FLV, Ogg, MPEG, ASF."""

from __future__ import annotations

import re
import struct
from collections.abc import Collection, Iterator
from itertools import islice

from .media_types import HEAD_BYTES, packet_layout
from .reader import (
    CUT,
    UNKNOWN,
    WHOLE,
    WINDOW,
    Completeness,
    InconclusiveError,
    Reader,
    Structure,
    TruncatedError,
)


def avi(file: Reader) -> Structure:
    """Compare the sizes of all RIFF chunks; those of a recording were never filled in."""
    head = file.read_up_to(0, 65536)
    kinds = set(re.findall(rb"strh....(vids|auds|iavs)", head, re.DOTALL))
    family = "audio" if kinds == {b"auds"} else "video" if kinds else None
    at = 0
    while file.read_up_to(at, 4) == b"RIFF":
        size = file.number(at + 4, 4, "little")
        if size in (0, 0xFFFFFFFF):
            return Structure(Completeness.UNKNOWN, family)
        end = at + 8 + size
        file.require(end)
        if _has_blank(file, at + 12, end):
            return Structure(Completeness.CUT, family)
        at = end + size % 2
    return Structure(Completeness.WHOLE if at else Completeness.UNKNOWN, family)


def _has_blank(file: Reader, at: int, end: int) -> bool:
    """Return whether there is room before the index that was never written to."""
    while at + 8 <= end and file.read(at, 4) != b"idx1":
        if file.is_blank(at, 8):
            return True
        size = file.number(at + 4, 4, "little")
        at += 8 + size + size % 2
    return False


_FLV_KINDS = {8: "audio", 9: "video", 18: None}
_FLV_SIZE = re.compile(rb"\x00\x08filesize\x00(.{8})", re.DOTALL)
_MOST_FIRST_TAGS = 1000


def flv(file: Reader) -> Structure:
    """Check that the last tag is whole. A right size in the metadata proves that the file is."""
    families = {_FLV_KINDS[kind] for kind in islice(_flv_tags(file), _MOST_FIRST_TAGS)}
    family = "video" if "video" in families else "audio" if "audio" in families else None
    named = _FLV_SIZE.search(file.read_up_to(0, 4096))
    if named and struct.unpack(">d", named[1])[0] == file.size:
        return Structure(Completeness.WHOLE, family)
    # Each tag is followed by its size. Some writers get that wrong: then all are walked.
    last = file.number(file.size - 4, 4)
    at = file.size - 4 - last
    if last < 11 or at < 13 or file.number(at + 1, 3) != last - 11:
        for _ in _flv_tags(file):
            pass
    return Structure(Completeness.UNKNOWN if families else Completeness.CUT, family)


def _flv_tags(file: Reader) -> Iterator[int]:
    """Go from tag to tag, and yield their kinds."""
    at = 9 + 4
    while at < file.size:
        kind, size = file.number(at, 1) & 0x1F, file.number(at + 1, 3)
        if file.is_blank(at, 11):
            raise TruncatedError  # room that was never written to
        if kind not in _FLV_KINDS:
            raise InconclusiveError
        at += 11 + size
        yield kind
        if at != file.size:
            at += 4
        file.require(at)


_OGG_PAGE = b"OggS\x00"
_OGG_HEADER = 27
_OGG_LAST = 4


def ogg(file: Reader) -> Structure:
    """Walk the pages (RFC 3533); if the last one is marked as such, the file is whole."""
    at, flags = 0, 0
    while at < file.size:
        page = file.read_up_to(at, _OGG_HEADER + 255)
        if not page.startswith(_OGG_PAGE[: len(page)]):
            # Something behind the end; or room that was never written to.
            return UNKNOWN if flags & _OGG_LAST or any(page[:_OGG_HEADER]) else CUT
        file.require(at + _OGG_HEADER)
        flags, count = page[5], page[26]
        at += _OGG_HEADER + count + sum(page[_OGG_HEADER : _OGG_HEADER + count])
        file.require(at)
    return WHOLE if flags & _OGG_LAST else UNKNOWN


_STREAM = re.compile(rb"\x00\x00\x01([\xb3\xbd\xc0-\xef\xfd])")
"""The beginning of a stream's packet, or of a sequence of MPEG-1 video (ISO 13818-1, 2.4.3.7)."""


def _family(file: Reader, kinds: Collection[bytes]) -> str | None:
    """Return the family of a file, by the kinds of the streams in its first window."""
    if any(b"\xe0" <= kind <= b"\xef" or kind == b"\xb3" for kind in kinds):
        return "video"
    if file.size > WINDOW or not kinds:
        return None  # a film may follow
    return "audio" if all(b"\xc0" <= kind <= b"\xdf" for kind in kinds) else None


def transport_stream(file: Reader) -> Structure:
    """Check that the last packet is whole. Whether more were to come cannot be told."""
    head = file.read_up_to(0, WINDOW)
    size, first = packet_layout(head[:HEAD_BYTES]) or (188, 0)
    rest = file.size % size
    family = _family(file, _stream_kinds(head, size, first))
    if not any(file.tail(size)):
        return Structure(Completeness.CUT, family)  # room that was never written to
    if rest:
        end = file.tail(rest + size)
        in_step = end[first] == 0x47 and end[size + first : size + first + 1] in (b"", b"\x47")
        return Structure(Completeness.CUT if in_step else Completeness.UNKNOWN, family)
    return Structure(Completeness.UNKNOWN, family)


def _stream_kinds(head: bytes, size: int, first: int) -> set[bytes]:
    """Return the kinds of streams in a transport stream, by their first bytes in its packets."""
    kinds = set[bytes]()
    for at in range(first, len(head) - 187, size):
        start = 4 + (1 + head[at + 4] if head[at + 3] & 0x20 else 0)
        if head[at + 1] & 0x40 and (found := _STREAM.match(head, at + start)):
            kinds.add(found[1])
    return kinds


def program_stream(file: Reader) -> Structure:
    """Look for the end code; many writers leave it out, so look at the last packet too."""
    family = _family(file, _STREAM.findall(file.read_up_to(0, WINDOW)))
    ends = b"\x00\x00\x01\xb9" in file.tail(4096) or file.tail(4) == b"\x00\x00\x01\xb7"
    if not ends and _goes_past_end(file.tail(WINDOW)):
        return Structure(Completeness.CUT, family)
    return Structure(Completeness.WHOLE if ends else Completeness.UNKNOWN, family)


_PREFIX = b"\x00\x00\x01"
_PACK = 0xBA


def _goes_past_end(tail: bytes) -> bool:
    """Return whether a packet goes on past the end (ISO 13818-1, 2.5.3)."""
    at = tail.rfind(_PREFIX + bytes([_PACK]))
    while 0 <= at < len(tail):
        head = tail[at : at + 14].ljust(14, b"\xff")
        if not head.startswith(_PREFIX):
            return _PREFIX.startswith(tail[at:])
        if head[3] != _PACK:
            at += 6 + int.from_bytes(head[4:6], "big")
        else:  # of MPEG-2, or of MPEG-1
            at += 14 + (head[13] & 7) if head[4] & 0x40 else 12
    return at > len(tail)


_ASF_FILE = b"\xa1\xdc\xab\x8c\x47\xa9\xcf\x11\x8e\xe4\x00\xc0\x0c\x20\x53\x65"
_ASF_STREAM = re.compile(
    rb"\x91\x07\xdc\xb7\xb7\xa9\xcf\x11\x8e\xe6\x00\xc0\x0c\x20\x53\x65.{8}(.{16})", re.DOTALL
)
_ASF_VIDEO = b"\xc0\xef\x19\xbc\x4d\x5b\xcf\x11\xa8\xfd\x00\x80\x5f\x5c\x44\x2b"
_ASF_AUDIO = b"\x40\x9e\x69\xf8\x4d\x5b\xcf\x11\xa8\xfd\x00\x80\x5f\x5c\x44\x2b"


def asf(file: Reader) -> Structure:
    """Compare the sizes in the header, unless it is that of a broadcast."""
    length = file.number(16, 8, "little")
    file.require(length + 24)
    header = file.read_up_to(0, min(length, WINDOW))
    kinds = set(_ASF_STREAM.findall(header))
    family = "video" if _ASF_VIDEO in kinds else "audio" if _ASF_AUDIO in kinds else None
    at = header.find(_ASF_FILE)
    properties = header[at : at + 104] if at >= 0 else b""
    if len(properties) < 104 or properties[88] & 1:
        return Structure(Completeness.UNKNOWN, family)
    size = int.from_bytes(properties[40:48], "little")
    file.require(size)
    file.require(length + file.number(length + 16, 8, "little"))
    return Structure(Completeness.WHOLE if size else Completeness.UNKNOWN, family)
