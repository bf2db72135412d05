"""Files made of boxes: MP4, QuickTime, HEIF, AVIF, JPEG 2000, JPEG XL (ISO 14496-12)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from .reader import (
    CUT,
    UNKNOWN,
    WHOLE,
    Completeness,
    InconclusiveError,
    Reader,
    Structure,
    TruncatedError,
)

_MOST_INSIDE = 4096
"""The most boxes that are looked at within one box, and the most tracks."""


class Box(NamedTuple):
    """A box: its kind, and where its content begins and ends."""

    kind: bytes
    start: int
    end: int
    is_open: bool
    """True if it goes on to the end of the file, however long that is."""


def box_at(file: Reader, at: int, end: int) -> Box:
    """Read the header of a box inside of something that ends at `end`.

    Raises:
        TruncatedError: The file ends within the header.
    """
    size, kind, start = file.number(at, 4), file.read(at + 4, 4), at + 8
    if size == 1:
        size, start = file.number(at + 8, 8), at + 16
    if size == 0:
        return Box(kind, start, end, is_open=True)
    return Box(kind, start, max(at + size, start), is_open=False)


def inside(file: Reader, box: Box) -> Iterator[Box]:
    """Go through the boxes in a box."""
    at = box.start
    for _ in range(_MOST_INSIDE):
        if at + 8 > box.end:
            return
        found = box_at(file, at, box.end)
        yield found
        at = found.end


def child(file: Reader, box: Box | None, *path: bytes) -> Box | None:
    """Find a box inside another by the kinds on the way to it, its own last."""
    for kind in path:
        if box is None:
            return None
        box = next((found for found in inside(file, box) if found.kind == kind), None)
    return box


_OUTERMOST_KINDS = frozenset(
    b"ftyp styp moov mdat free skip wide uuid meta mini moof mfra sidx ssix pdin prft emsg meco "
    b"pnot PICT jumb jp2h jp2c jxlc jxlp jxll jxli jbrd Exif brob".split()
)
"""The kinds of the outermost boxes. Anything else may be no box at all."""


def _outermost(file: Reader) -> Iterator[Box]:
    """Go through the outermost boxes.

    Raises:
        TruncatedError: The last one goes on past the end of the file.
        InconclusiveError: The file is not made of boxes.
    """
    at, count = 0, 0
    while at < file.size:
        header = file.read_up_to(at, 8)
        if count > 1 and not header.strip(b"\x00\r\n") and file.is_blank(at + 8, 64):
            return  # room that was set aside, a terminator, or the end of a line
        file.require(at + 8)
        if file.is_blank(at, 64) and not any(file.tail(min(file.size - at, 65536))):
            raise InconclusiveError
        box = box_at(file, at, file.size)
        if box.end > file.size and box.kind not in _OUTERMOST_KINDS:
            raise InconclusiveError
        yield box
        file.require(box.end)
        at, count = box.end, count + 1


class _Film(NamedTuple):
    """The facts of a `moov` box."""

    handlers: frozenset[bytes]
    samples: int
    """The number of its video tracks' samples, in the tables of the box itself."""
    last_chunk: int
    """The highest of the offsets that the tables name last."""
    last_frame: int
    """The offset of the last frame in a coding whose frames never begin with zeros, or 0."""


_CODED = frozenset(b"avc1 avc3 hvc1 hev1 vvc1 av01 vp08 vp09 mp4v".split())
"""Codings of frames that never begin with zeros."""
_FRAME_BEGIN = 8
"""The bytes of a frame that are looked at; one of fewer is none."""


def _film(file: Reader, moov: Box) -> _Film:
    handlers: set[bytes] = set()
    samples, last_chunk, last_frame = 0, 0, 0
    for box in inside(file, moov):
        if box.kind != b"trak":
            continue
        media = child(file, box, b"mdia")
        named = child(file, media, b"hdlr")
        handler = file.read(named.start + 8, 4) if named else b""
        handlers.add(handler)
        table = child(file, media, b"minf", b"stbl")
        coding = child(file, table, b"stsd")
        if table and coding and file.read_up_to(coding.start + 12, 4) in _CODED:
            last_frame = max(last_frame, _last_frame(file, table))
        for column in inside(file, table) if table else ():
            if column.kind in (b"stsz", b"stz2") and handler in (b"vide", b"pict"):
                samples += file.number(column.start + 8, 4)
            if column.kind in (b"stco", b"co64"):
                last_chunk = max(last_chunk, _last_chunk(file, column))
    return _Film(frozenset(handlers), samples, last_chunk, last_frame)


def _last_chunk(file: Reader, table: Box) -> int:
    width, count = (8 if table.kind == b"co64" else 4), file.number(table.start + 4, 4)
    if not count or table.start + 8 + count * width > table.end:
        return 0
    return file.number(table.start + 8 + (count - 1) * width, width)


def _last_frame(file: Reader, table: Box) -> int:
    """Return where the last frame of a track begins; 0 if the tables do not tell."""
    columns = {column.kind: column for column in inside(file, table)}
    sizes, runs = columns.get(b"stsz"), columns.get(b"stsc")
    chunks = columns.get(b"co64", columns.get(b"stco"))
    if sizes is None or runs is None or chunks is None:
        return 0
    alike, count = file.number(sizes.start + 4, 4), file.number(sizes.start + 8, 4)
    last_run = runs.start + 8 + 12 * (file.number(runs.start + 4, 4) - 1)
    in_chunk = file.number(last_run + 4, 4) if last_run > runs.start else 0
    if alike or not 0 < in_chunk <= min(count, _MOST_INSIDE):
        return 0
    entries = file.read(sizes.start + 12 + 4 * (count - in_chunk), 4 * in_chunk)
    *before, last = (
        int.from_bytes(entries[at : at + 4], "big") for at in range(0, len(entries), 4)
    )
    return _last_chunk(file, chunks) + sum(before) if last >= _FRAME_BEGIN else 0


def iso_media(file: Reader) -> Structure:
    """Check that the boxes tile the file, and that no data is missing that they name.

    A film needs `moov` and the bytes of its samples. A picture needs `meta` or `mini`. A film in
    fragments may end after any of them: its index (`sidx` or `mfra`) tells, if it has one.
    """
    boxes = list(_outermost(file))
    first = {box.kind: box for box in reversed(boxes)}
    film = _film(file, first[b"moov"]) if b"moov" in first else None
    has_picture = b"mini" in first or _is_picture(file, first.get(b"meta"))
    family, brands = _family(film, has_picture), _ftyp_content(file, first)
    if film is not None and (film.handlers or not has_picture):
        is_data_missing = _lacks_frames(file, film, first)
    else:
        is_data_missing = _lacks_data(file, first)
    if is_data_missing or not (first.keys() & _DESCRIPTIONS or _is_data_alone(first)):
        completeness = Completeness.CUT
    elif b"moof" in first:
        completeness = _completeness_of_fragments(file, first, boxes[-1])
    elif boxes[-1].is_open or _is_data_alone(first):
        completeness = Completeness.UNKNOWN
    else:
        completeness = Completeness.WHOLE
    return Structure(completeness, family, brands)


_DESCRIPTIONS = frozenset([b"moov", b"meta", b"mini", b"moof"])
"""The boxes that describe a film, a picture or a fragment."""


def _is_data_alone(first: dict[bytes, Box]) -> bool:
    """Return whether there is only data, and nothing that says that a description was to follow.

    A writer that puts `moov` last leaves room for a long size before the data: `free` or `wide`.
    """
    return first.keys() == {b"ftyp", b"mdat"} and not first[b"mdat"].is_open


def _completeness_of_fragments(file: Reader, first: dict[bytes, Box], last: Box) -> Completeness:
    has_all_boxes = last.end == file.size or b"mfra" in first
    if last.kind == b"moof" or not has_all_boxes:
        return Completeness.CUT  # the data of the last fragment is missing, or another box
    if b"sidx" in first:
        file.require(_end_by_index(file, first[b"sidx"]))
    is_whole = b"moov" in first and b"mfra" in first
    return Completeness.WHOLE if is_whole else Completeness.UNKNOWN


def _ftyp_content(file: Reader, first: dict[bytes, Box]) -> bytes:
    ftyp = first.get(b"ftyp")
    return file.read(ftyp.start, min(ftyp.end - ftyp.start, 512)) if ftyp else b""


def _is_picture(file: Reader, meta: Box | None) -> bool:
    handler = child(file, _behind_version(meta), b"hdlr") if meta else None
    return handler is not None and file.read(handler.start + 8, 4) == b"pict"


def _family(film: _Film | None, has_picture: bool) -> str | None:
    if film and b"vide" in film.handlers:
        return "video"
    if has_picture or (film and b"pict" in film.handlers):
        return "image"
    return "audio" if film and film.handlers else None


def _lacks_frames(file: Reader, film: _Film, first: dict[bytes, Box]) -> bool:
    """Return whether samples are missing that a film names, or whether it names none."""
    if b"moof" in first or not film.handlers:
        return False
    if not film.samples and film.handlers & {b"vide", b"pict"}:
        return True  # the head of a film in fragments, without any fragment
    if b"mdat" not in first or film.last_chunk >= file.size:
        return True
    return film.last_frame > 0 and file.is_blank(film.last_frame, _FRAME_BEGIN)


def _lacks_data(file: Reader, first: dict[bytes, Box]) -> bool:
    """Return whether bytes are missing that a picture names."""
    if b"mdat" in first or b"mini" in first or not _is_picture(file, first.get(b"meta")):
        return False
    # The bytes may stand in the box itself.
    return child(file, _behind_version(first[b"meta"]), b"idat") is None


def _behind_version(box: Box) -> Box:
    return box._replace(start=box.start + 4)


def _end_by_index(file: Reader, sidx: Box) -> int:
    """Return the end of the fragments that an index names; 0 if it names other indexes."""
    wide = file.number(sidx.start, 1) > 0
    at = sidx.start + 12 + (8 if wide else 4)
    offset = file.number(at, 8 if wide else 4)
    at += 8 if wide else 4
    count = file.number(at + 2, 2)
    entries = file.read(at + 4, count * 12)
    sizes = [int.from_bytes(entries[n : n + 4], "big") for n in range(0, len(entries), 12)]
    if any(size >> 31 for size in sizes):
        return 0
    return sidx.end + offset + sum(sizes)


def jpeg_2000(file: Reader) -> Structure:
    """Check that the boxes tile the file, and that its codestream comes to its end."""
    structure = CUT
    for box in _outermost(file):
        if box.kind == b"moov":  # a film of such pictures
            return iso_media(file)
        if box.kind == b"jp2c":
            file.require(box.end)
            structure = _codestream(file, box.start, box.end)
    return structure


def codestream(file: Reader) -> Structure:
    """Walk the tile-parts of a bare codestream to EOC (ITU-T T.800, annex A)."""
    return _codestream(file, 0, file.size)


_SOT, _EOC, _SOC = b"\xff\x90", b"\xff\xd9", b"\xff\x4f"


def _codestream(file: Reader, at: int, end: int) -> Structure:
    while True:
        if at + 2 > end:
            raise TruncatedError
        marker = file.read(at, 2)
        if marker == _EOC:
            return WHOLE
        if marker == _SOC:
            at += 2
        elif marker == _SOT:
            size = file.number(at + 6, 4)
            if not size:  # the last one, of unknown length
                return WHOLE if file.read(end - 2, 2) == _EOC else CUT
            at += max(size, 14)
        elif marker[0] == 0xFF:
            at += 2 + file.number(at + 2, 2)
        else:
            return CUT


_LAST_PART = 1 << 31


def jpeg_xl(file: Reader) -> Structure:
    """Look for the codestream's last box (ISO 18181-2); a bare codestream does not tell."""
    if file.read(0, 2) == b"\xff\x0a":
        return UNKNOWN
    structure = CUT
    for box in _outermost(file):
        is_last = box.kind == b"jxlp" and file.number(box.start, 4) & _LAST_PART
        if is_last or box.kind == b"jxlc":
            structure = UNKNOWN if box.is_open else WHOLE
    return structure
