"""Files that no encoder here writes, made byte by byte: the rarer ways of each format."""

from __future__ import annotations

import gzip
import io

import pytest

from aitoearn_async._containers.examine import examine
from aitoearn_async._containers.reader import WINDOW, Completeness

from .samples import box, ftyp

WHOLE, CUT, UNKNOWN = Completeness.WHOLE, Completeness.CUT, Completeness.UNKNOWN


def judged(content: bytes) -> Completeness:
    judgement = examine(io.BytesIO(content), len(content))
    assert judgement.media_type is not None
    return judgement.completeness


def little(size: int, *numbers: int) -> bytes:
    return b"".join(number.to_bytes(size, "little") for number in numbers)


def big(size: int, *numbers: int) -> bytes:
    return b"".join(number.to_bytes(size, "big") for number in numbers)


def jpeg(*parts: bytes) -> bytes:
    return b"\xff\xd8\xff\xe0\x00\x04AB" + b"".join(parts)


SCAN = b"\xff\xda\x00\x02"


def bitmap(
    header: int, *, coding: int = 0, named: int = 0, pixels: int = 60, more: int = 0
) -> bytes:
    """A bitmap of 4 by 5 points of 24 bits: rows of 12 bytes."""
    if header == 12:
        info = little(4, 12) + little(2, 4, 5, 1, 24)
    else:
        info = little(4, header, 4, 5) + little(2, 1, 24) + little(4, coding, named)
        info += bytes(header - len(info))
    start = 14 + len(info)
    size = 0 if header == 12 and pixels == 0 else start + pixels + more
    return b"BM" + little(4, size, 0, start) + info + bytes(pixels)


def radiance(scanlines: bytes, rows: int = 1) -> bytes:
    return b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y %d +X 8\n" % rows + scanlines


def photoshop(coding: int, data: bytes, *, channels: int = 3, height: int = 2) -> bytes:
    head = b"8BPS\x00\x01" + bytes(6) + big(2, channels) + big(4, height, 7) + big(2, 8, 3)
    return head + bytes(12) + big(2, coding) + data


def exr(*, flags: int = 0, offsets: tuple[int, ...] = (), name: bytes = b"lines") -> bytes:
    """An OpenEXR of one attribute, with a table, and chunks of 20 bytes after it."""
    attribute = name + b"\x00int\x00" + little(4, 4) + bytes(4)
    head = b"\x76\x2f\x31\x01" + little(4, 2 | flags) + attribute + b"\x00"
    first = len(head) + 8 * len(offsets)
    table = b"".join(little(8, first + offset if offset >= 0 else 0) for offset in offsets)
    place = bytes(12) if flags & 0x200 else b""  # of a tile
    return head + table + (place + little(4, 0, 12) + bytes(12)) * len(offsets)


def directory(*tags: tuple[int, int, int, int]) -> bytes:
    """A directory whose tags are given as number, type, count and value."""
    entries = b"".join(
        little(2, tag, kind) + little(4, count, value) for tag, kind, count, value in tags
    )
    return little(2, len(tags)) + entries + bytes(4)


def tiff(*tags: tuple[int, int, int, int]) -> bytes:
    """A TIFF of one directory, and 40 bytes behind it."""
    return b"II*\x00" + little(4, 8) + directory(*tags) + b"d" * 40


LEVELS = tiff((273, 4, 1, 50), (279, 4, 1, 8), (330, 4, 1, 90))
LEVELS += directory((273, 4, 1, 120), (279, 4, 1, 8)) + bytes(8)


def codestream(*parts: bytes) -> bytes:
    return b"\xff\x4f\xff\x51\x00\x04\x00\x00" + b"".join(parts)


def tile(size: int, data: bytes) -> bytes:
    return b"\xff\x90\x00\x0a\x00\x00" + big(4, size) + b"\x00\x01" + data


def indexed(size: int) -> bytes:
    """Fragments after an index that names one of this size."""
    entry = big(4, size, 0, 0)
    index = box(b"sidx", bytes(4), big(4, 1, 1000, 0, 0), bytes(2), big(2, 1), entry)
    moov = box(b"moov", box(b"mvhd", bytes(20)))
    return ftyp(b"iso6", b"dash") + moov + index + box(b"moof", bytes(16)) + box(b"mdat", bytes(9))


def sampled(
    *, coding: bytes = b"avc1", sizes: tuple[int, ...] = (20, 20), alike: int = 0, runs: int = 1
) -> bytes:
    """A film of one chunk with two frames, the second of which has never been written."""
    head = ftyp(b"isom") + box(b"mdat", b"f" * 20 + bytes(20))
    start = len(head) - 40
    table = box(b"stsd", bytes(4), big(4, 1), box(coding, bytes(8)))
    table += box(b"stsz", bytes(4), big(4, alike, len(sizes), *sizes))
    table += box(b"stsc", bytes(4), big(4, runs), big(4, 1, len(sizes), 1) * runs)
    table += box(b"stco", bytes(4), big(4, 1, start))
    handler = box(b"hdlr", bytes(8), b"vide", bytes(12))
    media = box(b"mdia", handler, box(b"minf", box(b"stbl", table)))
    return head + box(b"moov", box(b"trak", media))


def packet(pid: int, payload: bytes, *, begins: bool = True, field: bytes = b"") -> bytes:
    """A packet of a transport stream, with an adaptation field that fills it up to its payload."""
    head = b"\x47" + big(2, pid | (0x4000 if begins else 0))
    return (head + (b"\x30" + field if field else b"\x10") + payload).ljust(188, b"\xff")


def transport(*packets: bytes) -> bytes:
    return b"".join(packets) + packet(0x1FFF, b"", begins=False) * 8


PROGRAMS = packet(0, b"\x00\x00\xb0\x0d\x00\x01\xc1\x00\x00\x00\x01\xe1\x00" + bytes(4))


def stream_of(kind: int, *, field: bytes = b"") -> bytes:
    return packet(0x101, b"\x00\x00\x01" + bytes([kind]) + bytes(8), field=field)


def element(name: bytes, content: bytes) -> bytes:
    return name + big(8, len(content) | 1 << 56) + content


def webm(*children: bytes, before: bytes = b"") -> bytes:
    head = element(b"\x1a\x45\xdf\xa3", element(b"\x42\x82", b"webm"))
    return head + before + element(b"\x18\x53\x80\x67", b"".join(children))


PACK = b"\x00\x00\x01\xba\x44" + bytes(8) + b"\xf8"
CLUSTER = element(b"\x1f\x43\xb6\x75", element(b"\xa3", bytes(11)))
TRACKS = element(b"\x16\x54\xae\x6b", element(b"\xae", element(b"\x83", b"\x01")))
GIF = b"GIF89a\x01\x00\x01\x00\x00\x00\x00," + little(2, 0, 0, 1, 1) + b"\x00\x02\x02\x4c\x01\x00"
SVG = b"<svg xmlns='http://www.w3.org/2000/svg'><g/></svg>"
OGG = b"OggS\x00\x00" + bytes(20) + b"\x02\x04\x01" + b"page!"
OGG_END = OGG[:5] + b"\x04" + OGG[6:]


JUDGED: dict[str, tuple[bytes, Completeness]] = {
    "JPEG: a restart before the next segment": (jpeg(SCAN, b"xy\xff\xd8\xff\xd9"), WHOLE),
    "JPEG: a stray marker without a length": (jpeg(b"\xff\x01\xff\xd0\xff\xd9"), WHOLE),
    "JPEG: fill bytes": (jpeg(b"\xff\xff\xff\xd9"), WHOLE),
    "JPEG: no end after a scan": (jpeg(SCAN, b"xy"), CUT),
    "JPEG: data where a marker belongs, and an end": (jpeg(b"junk\xff\xd9"), WHOLE),
    "JPEG: data where a marker belongs": (jpeg(b"junk"), CUT),
    "GIF: damage, and the trailer": (b"GIF89a\x01\x00\x01\x00\x00\x00\x00!\x01\x00\x77x;", UNKNOWN),
    "GIF: damage": (b"GIF89a\x01\x00\x01\x00\x00\x00\x00!\x01\x00\x77xy", CUT),
    "GIF: no trailer": (GIF, UNKNOWN),
    "GIF: no trailer, and cut": (GIF[:-1], CUT),
    "GIF: no picture": (GIF[:13] + b"!\xfe\x00", CUT),
    "WebP: a size that was never filled in": (b"RIFF\x00\x00\x00\x00WEBPVP8 " + bytes(40), UNKNOWN),
    "BMP of OS/2": (bitmap(12), WHOLE),
    "BMP of OS/2 that names no size": (bitmap(12, pixels=0), UNKNOWN),
    "BMP: packed": (bitmap(40, coding=1, named=60), WHOLE),
    "BMP: packed, of no size": (bitmap(40, coding=1), UNKNOWN),
    "BMP: packed, and cut": (bitmap(40, coding=1, named=600), CUT),
    "BMP: a size that is wrong": (bitmap(40, more=9), UNKNOWN),
    "BMP: a size that is wrong, and cut": (bitmap(40, more=9)[:-1], CUT),
    "BMP: packed, and cut behind its pixels": (bitmap(40, coding=1, named=60, more=9), CUT),
    "BMP: pixels that the size leaves out": (bitmap(40, pixels=59), CUT),
    "SVG: a tag in a comment, and text that is none": (
        b"<svg><!-- <svg> --><style><![CDATA[ <svg> --> ]]></style></svg>",
        WHOLE,
    ),
    "SVG: a long document type": (
        b"<!DOCTYPE svg PUBLIC 'x' [" + b"<!ENTITY ns 'http://ns.adobe.com/'>" * 40 + b"]>" + SVG,
        WHOLE,
    ),
    "SVG: a value that ends no tag": (b"<svg><svg x='1>0'/></svg>", WHOLE),
    "SVG: a value that ends no tag, and cut": (b"<svg><svg x='1>0'/>", CUT),
    "SVG: cut in a value": (b"<svg><svg x='</svg>", CUT),
    "SVG: cut in a comment": (b"<svg><!-- </svg>", CUT),
    "SVG: a tag in an entity": (b"<!DOCTYPE svg [<!ENTITY x '<svg>'>]><svg></svg>", WHOLE),
    "SVG: something behind it": (SVG + b"\n```", WHOLE),
    "SVG: more comments than can be looked at": (b"<svg>" + b"<??>" * 100_000 + b"</svg>", UNKNOWN),
    "SVG: packed, and damaged": (gzip.compress(SVG + b" " * 70_000, 0)[:-8] + b"\xff" * 8, CUT),
    "SVG: larger than can be looked at": (SVG + b" " * (16 << 20), UNKNOWN),
    "SVG: packed, and larger": (gzip.compress(SVG + b" " * (16 << 20)), UNKNOWN),
    "SVG: larger for being packed": (
        gzip.compress(SVG[:-6] + b" " * ((16 << 20) - 99) + SVG[-6:], 0),
        UNKNOWN,
    ),
    "SVG: packed, in two pieces": (gzip.compress(SVG[:-6]) + gzip.compress(SVG[-6:]), UNKNOWN),
    "QOI: its end, and more": (
        b"qoif" + big(4, 1, 1) + b"\x04\x00" + bytes(7) + b"\x01" + b"tail",
        UNKNOWN,
    ),
    "QOI: no end": (b"qoif" + big(4, 1, 1) + b"\x04\x00" + b"x" * 30, CUT),
    "HDR: runs": (radiance(b"\x02\x02\x00\x08" + b"\x88x" * 4), WHOLE),
    "HDR: a run of no length": (radiance(b"\x02\x02\x00\x08" + b"\x00" * 9), UNKNOWN),
    "HDR: the older coding": (radiance(bytes(32)), UNKNOWN),
    "HDR: cut in its header": (b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n", CUT),
    "HDR: a long header": (b"#?RADIANCE\n" + b"A=1\n" * 2000, UNKNOWN),
    "HDR: a row is missing": (radiance(b"\x02\x02\x00\x08" + b"\x88x" * 4, rows=2), CUT),
    "PSD: run lengths": (photoshop(1, big(2, *[3] * 6) + bytes(18)), WHOLE),
    "PSD: run lengths, cut": (photoshop(1, big(2, *[3] * 6) + bytes(17)), CUT),
    "PSD: zipped": (photoshop(2, bytes(9)), UNKNOWN),
    "PSD: more rows than can be looked at": (
        photoshop(1, b"", channels=9999, height=9999),
        UNKNOWN,
    ),
    "EXR": (exr(offsets=(0, 20)), WHOLE),
    "EXR: in tiles": (exr(flags=0x200, offsets=(0, 32)), WHOLE),
    "EXR: a chunk that was never written": (exr(offsets=(0, 20))[:-20] + bytes(20), CUT),
    "EXR: deep": (exr(flags=0x800, offsets=(0, 20)), UNKNOWN),
    "EXR: a table that was never filled in": (exr(offsets=(-1, -1)), CUT),
    "EXR: cut in its attributes": (exr(offsets=(0, 20))[:14], CUT),
    "EXR: cut before its table": (exr(), CUT),
    "EXR: no end of a name": (exr(name=b"n" * 300, offsets=(0, 20)), UNKNOWN),
    "TIFF: strips": (tiff((273, 4, 1, 50), (279, 4, 1, 8)), WHOLE),
    "TIFF: strips without lengths": (tiff((273, 4, 1, 50)), UNKNOWN),
    "TIFF: offsets of no known type": (tiff((273, 2, 1, 50), (279, 4, 1, 8)), WHOLE),
    "TIFF: offsets that are no numbers": (tiff((273, 7, 1, 50), (279, 4, 1, 8)), WHOLE),
    "TIFF: more strips than can be looked at": (tiff((273, 4, 2_000_000, 50)), UNKNOWN),
    "TIFF: strips in a table behind the file": (tiff((273, 4, 20, 5000), (279, 4, 20, 40)), CUT),
    "TIFF: a smaller picture behind it": (LEVELS, WHOLE),
    "TIFF: a smaller picture behind it, cut": (LEVELS[:-1], CUT),
    "TIFF: a table of another tag that is cut": (
        tiff((273, 4, 1, 50), (279, 4, 1, 8), (347, 7, 60, 50)),
        CUT,
    ),
    "TIFF: a directory that was never written": (
        b"II*\x00" + little(4, 40) + b"d" * 32 + bytes(60),
        CUT,
    ),
    "TIFF: no data at all": (tiff((256, 4, 1, 50)), CUT),
    "JPEG 2000: a last tile of unknown length": (codestream(tile(0, b"xy\xff\xd9")), WHOLE),
    "JPEG 2000: the same, cut": (codestream(tile(0, b"xyz")), CUT),
    "JPEG 2000: data where a marker belongs": (codestream(b"data"), CUT),
    "JPEG 2000: cut before a marker": (codestream(tile(13, b"x")), CUT),
    "JPEG 2000: a film of them": (
        b"\x00\x00\x00\x0cjP  \r\n\x87\n" + ftyp(b"jp2 ", b"jp2 ") + box(b"moov", box(b"mvhd")),
        WHOLE,
    ),
    "JPEG XL: a part without an end": (
        b"\x00\x00\x00\x0cJXL \r\n\x87\n" + ftyp(b"jxl ") + b"\x00\x00\x00\x00jxlc" + bytes(40),
        UNKNOWN,
    ),
    "boxes: a frame that was never written": (sampled(), CUT),
    "boxes: a frame in a coding that may begin with zeros": (sampled(coding=b"raw "), WHOLE),
    "boxes: a frame without a size": (sampled(sizes=(20, 0)), WHOLE),
    "boxes: frames of one size": (sampled(alike=20), WHOLE),
    "boxes: frames in no chunk": (sampled(runs=0), WHOLE),
    "boxes: frames without a table": (sampled().replace(b"stsc", b"free"), WHOLE),
    "fragments: all that the index names": (indexed(24 + 17), UNKNOWN),
    "fragments: the last one has no data": (
        ftyp(b"iso6") + box(b"moov", box(b"mvhd")) + box(b"moof", bytes(16)),
        CUT,
    ),
    "fragments: fewer than the index names": (indexed(24 + 18), CUT),
    "fragments: an index of indexes": (indexed(1 << 31 | 5000), UNKNOWN),
    "boxes: an open one": (
        ftyp(b"isom") + box(b"moov", box(b"mvhd")) + bytes(4) + b"mdat" + b"x" * 80,
        UNKNOWN,
    ),
    "AVI: a size elsewhere": (b"RF64" + b"\xff" * 4 + b"AVI LIST", UNKNOWN),
    "WebM": (webm(TRACKS, CLUSTER), WHOLE),
    "WebM: room for frames": (
        webm(TRACKS, element(b"\x1f\x43\xb6\x75", element(b"\xa3", b"x") + bytes(20))),
        CUT,
    ),
    "WebM: an element before the segment": (
        webm(TRACKS, CLUSTER, before=element(b"\xec", bytes(9))),
        WHOLE,
    ),
    "WebM: frames before the tracks": (webm(CLUSTER, TRACKS), WHOLE),
    "WebM: another element of unknown size": (webm(TRACKS, b"\xec\xff", CLUSTER), UNKNOWN),
    "WebM: an element without a name": (webm(TRACKS, b"\x00\x80", CLUSTER), UNKNOWN),
    "WebM: no frame": (webm(TRACKS), CUT),
    "WebM: cut before the segment": (webm(b"")[:-12], CUT),
    "WebM: cut within a size": (webm(b"")[:-4], CUT),
    "MPEG-TS: no stream": (transport(), UNKNOWN),
    "MPEG-TS: a packet without room for one": (
        transport(packet(0x101, b"", field=bytes([183]) + bytes(183)), stream_of(0xE0)),
        UNKNOWN,
    ),
    "MPEG-TS: cut within a packet": (transport(PROGRAMS, stream_of(0xE0))[:-5], CUT),
    "MPEG-TS: something behind it": (PROGRAMS * 2 + b"ab", UNKNOWN),
    "FLV: a tag of no known kind": (
        b"FLV\x01\x05" + big(4, 9, 0) + b"\x01" + big(3, 2) + bytes(9) + big(4, 13),
        UNKNOWN,
    ),
    "MPEG: a packet that is cut": (PACK + b"\x00\x00\x01\xe0\x00\x09" + bytes(8), CUT),
    "MPEG: a packet": (PACK + b"\x00\x00\x01\xe0\x00\x09" + bytes(9), UNKNOWN),
    "MPEG: a head that is cut": (PACK[:9], CUT),
    "MPEG: the first bytes of another packet": (PACK + b"\x00\x00", CUT),
    "MPEG: what is no packet": (PACK + b"something else", UNKNOWN),
    "Ogg: room for a page": (OGG + bytes(40), CUT),
    "Ogg: no page": (OGG + b"something else", UNKNOWN),
    "Ogg: an end, and something behind it": (OGG_END + bytes(40), UNKNOWN),
    "Ogg: an end, and another stream": (OGG_END + OGG, UNKNOWN),
    "Ogg: cut in the header of a page": (OGG + OGG[:20], CUT),
    "Ogg: cut in the lengths of a page": (OGG + OGG[:28], CUT),
    "Ogg: cut in a page": (OGG + OGG_END[:-1], CUT),
}


@pytest.mark.parametrize("name", JUDGED)
def test_each_way_of_a_format_is_judged(name: str) -> None:
    content, expected = JUDGED[name]
    assert judged(content) is expected


def test_an_end_is_found_across_two_reads() -> None:
    """Coded data that is longer than what is read at a time."""
    for length in range(WINDOW - 3, WINDOW + 1):
        assert judged(jpeg(SCAN, b"x" * length, b"\xff\xd9")) is WHOLE
        assert judged(jpeg(SCAN, b"x" * length, b"\xff")) is CUT


def kinds(content: bytes) -> str | None:
    return examine(io.BytesIO(content), len(content)).media_type


STREAMS: dict[str, tuple[bytes, str]] = {
    "a film": (transport(PROGRAMS, stream_of(0xE0)), "video/mp2t"),
    "a film with sound": (transport(stream_of(0xC0), stream_of(0xE0)), "video/mp2t"),
    "sound": (transport(PROGRAMS, stream_of(0xC0)), "audio/mp2t"),
    "sound behind a clock": (
        transport(stream_of(0xC0, field=b"\x07\x10" + bytes(6))),
        "audio/mp2t",
    ),
    "sound and what may be a film": (transport(stream_of(0xC0), stream_of(0xBD)), "video/mp2t"),
    "nothing known": (transport(PROGRAMS), "video/mp2t"),
}


@pytest.mark.parametrize("name", STREAMS)
def test_a_transport_stream_is_told_by_what_begins_in_its_packets(name: str) -> None:
    content, expected = STREAMS[name]
    assert kinds(content) == expected


def test_a_transport_stream_may_have_a_film_behind_what_is_looked_at() -> None:
    sound = transport(*[stream_of(0xC0)] * (WINDOW // 188 - 8))
    assert kinds(sound) == "audio/mp2t"
    assert kinds(sound + stream_of(0xC0)) == "video/mp2t"


@pytest.mark.parametrize(("more", "expected"), [(0, "audio/mpeg"), (WINDOW, "video/mpeg")])
def test_a_program_stream_may_have_a_film_behind_what_is_looked_at(
    more: int, expected: str
) -> None:
    packets = b"\x00\x00\x01\xc0\x00\x09" + bytes(9)
    assert kinds(PACK + packets * (1 + more // len(packets))) == expected
