"""The truth table: whole files of every container, and the same ones cut off in many places."""

from __future__ import annotations

import functools
import gzip
import io
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitoearn_async._containers import reader
from aitoearn_async._containers.examine import Judgement, examine
from aitoearn_async._containers.reader import MOST_BYTES, MOST_READS, Completeness

from .producers import film, picture
from .samples import SAMPLES, box, ftyp, rebranded

WHOLE, CUT, UNKNOWN = Completeness.WHOLE, Completeness.CUT, Completeness.UNKNOWN
CUTS = 150

each_sample = pytest.mark.parametrize("name", SAMPLES)


@functools.cache
def sample(name: str) -> bytes:
    return SAMPLES[name].make()


def judged(content: bytes) -> Judgement:
    return examine(io.BytesIO(content), len(content))


def cuts_of(size: int) -> list[int]:
    """Lengths to cut a file of this one to: many, and those that people try."""
    usual = {size // 2, size * 3 // 4, size - 64, size - 1, 8}
    return sorted(n for n in usual | {size * n // CUTS for n in range(CUTS)} if 0 < n < size)


@pytest.mark.sampled(3)
@each_sample
def test_a_whole_file_is_told_rightly_and_never_called_cut(name: str) -> None:
    expected = WHOLE if SAMPLES[name].proves else UNKNOWN
    assert judged(sample(name)) == (SAMPLES[name].media_type, expected)


@pytest.mark.sampled(3)
@each_sample
def test_a_cut_file_is_seen_where_structure_tells(name: str) -> None:
    """Nowhere does a cut file pass as proved, unless what is missing is spare."""
    content, spare = sample(name), SAMPLES[name].spare
    for size in cuts_of(len(content) - spare):
        media_type, completeness = judged(content[:size])
        seen = completeness is CUT or media_type is None
        if SAMPLES[name].sees:
            assert seen, f"{size} of {len(content)}"
        elif "JPEG" not in name:  # what stands behind a picture is not asked for
            assert completeness is not WHOLE, f"{size} of {len(content)}"


@pytest.mark.parametrize("name", ["FLV", "Ogg", "MPEG-TS", "M2TS", "live WebM", "VOB", "MPEG-1"])
def test_a_cut_between_two_pieces_alone_is_not_seen(name: str) -> None:
    content = sample(name)
    seen = [judged(content[:size]).completeness is CUT for size in cuts_of(len(content))]
    assert sum(seen) > 0.8 * len(seen)


@pytest.mark.parametrize("name", ["PNG", "JPEG", "GIF", "MP4", "TIFF", "AVIF", "JPEG 2000"])
def test_room_that_was_set_aside_is_no_content(name: str) -> None:
    """The beginning of a file, and zeros up to its length."""
    content = sample(name)
    head = content[:64] + bytes(len(content) - 64)
    assert judged(head).completeness is CUT


COMPRESSED = [
    *("MP4, moov first", "MP4 in fragments", "DASH", "MP4 from a pipe", "WebM", "live WebM"),
    *("Matroska", "AVI", "FLV", "FLV from a pipe", "MPEG-TS", "M2TS", "Ogg", "EXR", "HDR"),
    "packed TIFF",
]


@pytest.mark.parametrize("name", COMPRESSED)
def test_zeros_in_place_of_the_rest_are_seen(name: str) -> None:
    """Room for all of the file was made before it came, and it did not come."""
    content = sample(name)
    for percent in (20, 30, 40, 50, 60, 70, 80):
        kept = len(content) * percent // 100
        assert judged(content[:kept] + bytes(len(content) - kept)).completeness is CUT, percent


ENDED = [
    *("PNG", "JPEG", "GIF", "WebP", "AVIF", "QOI", "JPEG 2000", "SVG"),
    *("MP4", "MP4, moov first", "QuickTime", "WebM", "AVI", "Ogg"),
]


@pytest.mark.parametrize("name", ENDED)
def test_what_stands_behind_a_whole_file_does_no_harm(name: str) -> None:
    for more in (bytes(100), bytes(8), bytes(4), b"\x00", b"\n", b"\r\n"):
        assert judged(sample(name) + more).completeness is not CUT


def test_the_first_bytes_of_another_fragment_are_seen() -> None:
    content = sample("MP4 from a pipe")
    at = content.rindex(b"mfra") - 4 if b"mfra" in content else content.rindex(b"moof") - 4
    for more in range(1, 8):
        assert judged(content[: at + more]).completeness is CUT


LEADERS = [
    box(b"free"),
    box(b"skip", bytes(40)),
    box(b"uuid", bytes(16), b"something"),
    box(b"free", bytes(2000)),  # the brands are out of sight of the first bytes
]


@pytest.mark.parametrize("leader", LEADERS, ids=range(len(LEADERS)))
def test_a_box_before_the_brands_changes_nothing(leader: bytes) -> None:
    moving = film("mp4", movflags="frag_keyframe+empty_moov+default_base_moof")
    assert judged(leader + moving).media_type == "video/mp4"
    assert judged(leader + picture("AVIF")).media_type == "image/avif"


def test_a_segment_for_itself_is_kept() -> None:
    segment = box(b"styp", b"msdh", bytes(4), b"msdh") + box(b"moof", bytes(50))
    segment += box(b"mdat", bytes(80))
    assert judged(segment) == ("video/mp4", UNKNOWN)
    assert judged(segment[:-1]).completeness is CUT


FILM_BRANDS = [(b"mif1", b"mif1"), (b"xxxx",), (b"M4B ",), (b"isom", b"avif"), (b"miaf",)]
STILL_BRANDS = [(b"xxxx",), (b"mif1", b"mif1"), (b"avci",), (b"j2ki",), (b"jpeg",), (b"isom",)]


@pytest.mark.parametrize("brands", FILM_BRANDS)
def test_a_film_is_one_whatever_its_brand(brands: tuple[bytes, ...]) -> None:
    """A track of pictures makes a film of it, also beside a picture of its own."""
    assert judged(rebranded(film("mp4"), *brands)) == ("video/mp4", WHOLE)


@pytest.mark.parametrize("brands", STILL_BRANDS)
def test_a_still_is_one_whatever_its_brand(brands: tuple[bytes, ...]) -> None:
    assert judged(rebranded(picture("AVIF"), *brands)) == ("image/heif", WHOLE)


@pytest.mark.parametrize("name", ["MP4 in fragments", "WebM", "live WebM"])
def test_a_head_without_a_frame_is_no_film(name: str) -> None:
    content = sample(name)
    first = b"moof" if "MP4" in name else b"\x1f\x43\xb6\x75"
    at = content.index(first) - (4 if "MP4" in name else 0)
    assert judged(content[:at]).completeness is CUT


def test_a_cut_between_boxes_is_seen_by_what_the_tables_name() -> None:
    content = sample("MP4, moov first")
    at = content.index(b"mdat") - 4
    assert judged(content[:at]).completeness is CUT
    assert judged(content[:at] + box(b"mdat")).completeness is CUT


STAND_INS = [
    b"\x89PNG\r\n\x1a\n" + bytes(60),
    b"\xff\xd8\xff" + bytes(60),
    b"GIF89a" + bytes(60),
    b"II*\x00\x08\x00\x00\x00" + bytes(60),
    ftyp(b"mp42", b"isom") + bytes(60),
    ftyp(b"mp42", b"isom") + b"\x7f\x01\x02\x03\x04\x05\x06\x07" * 60,
    ftyp(b"mp42", b"isom") + box(b"mdat", b"data"),
]


@pytest.mark.parametrize("content", STAND_INS, ids=range(len(STAND_INS)))
def test_what_does_not_even_begin_as_a_structure_is_not_judged(content: bytes) -> None:
    """A structure that is not there cannot say that something is missing."""
    media_type, completeness = judged(content)
    assert media_type is not None
    assert completeness is UNKNOWN


def test_a_signature_alone_is_cut() -> None:
    """The smallest stumps that have been seen."""
    assert judged(b"\x89PNG\r\n\x1a\n").completeness is CUT
    assert judged(b"\xff\xd8\xff").completeness is CUT
    assert judged(ftyp(b"isom", b"isom", b"iso2", b"avc1", b"mp41")).completeness is CUT
    assert judged(b"GIF89a").completeness is CUT
    assert judged(b"\x00\x00\x00\x0cJXL \r\n\x87\n").completeness is CUT


def test_a_long_size_is_read() -> None:
    content = sample("AVIF")
    size = int.from_bytes(content[:4], "big")
    wide = b"\x00\x00\x00\x01ftyp" + (size + 8).to_bytes(8, "big") + content[8:size]
    assert judged(wide + content[size:]).media_type == "image/avif"


def test_nothing_known_is_not_judged() -> None:
    for content in (b"", b"<html>", b"{}", bytes(5000)):
        assert judged(content) == (None, UNKNOWN)


@given(st.sampled_from(sorted(SAMPLES)), st.data())
def test_no_damage_makes_it_raise(name: str, data: st.DataObject) -> None:
    content = bytearray(sample(name))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, min(len(content), 600) - 1))
        content[at : at + 4] = data.draw(st.sampled_from([b"\xff\xff\xff\xff", bytes(4), b"\x01"]))
    judged(bytes(content[: data.draw(st.integers(0, len(content)))]))


@given(st.sampled_from(sorted(SAMPLES)), st.binary(max_size=300), st.integers(0, 40))
def test_no_bytes_make_it_raise(name: str, rest: bytes, kept: int) -> None:
    judged(sample(name)[:kept] + rest)


# Made when they are asked for: megabytes of each, in every process that reads this file.
HOSTILE: dict[str, Callable[[], bytes]] = {
    "empty boxes": lambda: ftyp(b"isom") + box(b"free") * 100_000,
    "boxes in boxes": lambda: ftyp(b"isom") + box(b"moov", box(b"trak", box(b"mdia") * 9) * 20_000),
    "empty chunks": lambda: b"\x89PNG\r\n\x1a\n" + (bytes(4) + b"IDAT" + bytes(4)) * 200_000,
    "many scans": lambda: b"\xff\xd8" + b"\xff\xda\x00\x02" * 200_000,
    "fill bytes": lambda: b"\xff\xd8\xff" + b"\xff" * 1_000_000,
    "tiny blocks": lambda: b"GIF89a" + b"\x01\x00" * 2 + bytes(3) + b"!\xfe" + b"\x01x" * 2_100_000,
    "open tags": lambda: b"<svg>" + b"<svg " * 500_000,
    "comments": lambda: b"<svg></svg>" + b"<!--" * 500_000,
    "pages": lambda: (b"OggS\x00" + bytes(22)) * 50_000,
    "directories": lambda: b"II*\x00\x08\x00\x00\x00" + b"\xff\xff" + bytes(12) * 70_000,
    "zip bomb": lambda: gzip.compress(b"<svg>" + bytes(50_000_000)),
    "elements": lambda: sample("live WebM")[:600] + b"\xec\x80" * 500_000,
}


@pytest.mark.sampled(6)
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_costs_a_bounded_number_of_reads(
    name: str, request: pytest.FixtureRequest
) -> None:
    content = HOSTILE[name]()
    if name == "tiny blocks":  # millions of steps
        request.getfixturevalue("untraced")
    reads: list[int] = []

    class Counted(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            data = super().read(size)
            reads.append(len(data))
            return data

    examine(Counted(content), len(content))
    assert len(reads) <= MOST_READS
    assert sum(reads) <= MOST_BYTES


def test_a_file_of_too_many_bytes_to_look_at_is_not_judged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its blocks are walked byte by byte, and three steps are needed beside those."""
    monkeypatch.setattr(reader, "MOST_STEPS", 1000)
    head = b"GIF89a" + b"\x01\x00" * 2 + bytes(3) + b"!\xfe"
    assert judged(head + b"\x01x" * 997 + b"\x00;").completeness is WHOLE
    assert judged(head + b"\x01x" * 998 + b"\x00;").completeness is UNKNOWN


def test_a_file_that_shrinks_meanwhile_is_cut() -> None:
    content = sample("PNG")
    assert examine(io.BytesIO(content[:5000]), len(content)).completeness is CUT


def test_noise_is_nothing() -> None:
    for seed in range(200):
        noise = random.Random(seed).randbytes(3000)
        assert judged(noise).completeness is not WHOLE
