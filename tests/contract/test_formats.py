"""What a file is, by its first bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitoearn_async.contract.formats import HEAD_BYTES, media_type_of


def box(brand: bytes, *compatible: bytes) -> bytes:
    content = b"ftyp" + brand + b"\x00\x00\x02\x00" + b"".join(compatible)
    return (len(content) + 4).to_bytes(4, "big") + content


def riff(kind: bytes) -> bytes:
    return b"RIFF\x24\x00\x00\x00" + kind


def matroska(kind: bytes) -> bytes:
    elements = b"\x42\x86\x81\x01\x42\xf7\x81\x01\x42\xf2\x81\x04\x42\xf3\x81\x08"
    elements += b"\x42\x82" + bytes([0x80 | len(kind)]) + kind + b"\x42\x87\x81\x04"
    return b"\x1a\x45\xdf\xa3" + bytes([0x80 | len(elements)]) + elements


HEADS = [
    (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "image/png"),
    (b"\xff\xd8\xff\xe0\x00\x10JFIF\x00", "image/jpeg"),
    (b"\xff\xd8\xff\xe1\x00\x10Exif\x00", "image/jpeg"),
    (b"GIF87a\x01\x00", "image/gif"),
    (b"GIF89a\x01\x00", "image/gif"),
    (riff(b"WEBPVP8 "), "image/webp"),
    (b"BM\x46\x00\x00\x00\x00\x00\x00\x00\x36\x00\x00\x00\x28\x00\x00\x00", "image/bmp"),
    (b"II*\x00\x08\x00\x00\x00", "image/tiff"),
    (b"MM\x00*\x00\x00\x00\x08", "image/tiff"),
    (box(b"avif", b"mif1", b"miaf"), "image/avif"),
    (box(b"mif1", b"mif1", b"avif", b"miaf"), "image/avif"),
    (box(b"heic", b"mif1"), "image/heic"),
    (box(b"mif1", b"heic"), "image/heic"),
    (box(b"mif1"), "image/heif"),
    (b"\xff\x0a\xfa\x7f", "image/jxl"),
    (box(b"isom", b"isom", b"iso2", b"avc1", b"mp41"), "video/mp4"),
    (box(b"mp42"), "video/mp4"),
    (box(b"iso5"), "video/mp4"),
    (box(b"3gp4"), "video/mp4"),
    (box(b"qt  "), "video/quicktime"),
    (b"\x00\x00\x00\x08wide\x00\x00\x10\x00mdat", "video/quicktime"),
    (b"\x00\x00\x10\x00moov\x00\x00\x00\x6cmvhd", "video/quicktime"),
    (matroska(b"webm"), "video/webm"),
    (matroska(b"matroska"), "video/x-matroska"),
    (riff(b"AVI LIST"), "video/x-msvideo"),
    (b"FLV\x01\x05\x00\x00\x00\x09", "video/x-flv"),
    (b"\x00\x00\x01\xba\x44\x00", "video/mpeg"),
    (riff(b"WAVEfmt "), "audio/wav"),
    (b"ID3\x04\x00\x00", "audio/mpeg"),
    (b"\xff\xfb\x90\x64", "audio/mpeg"),
    (b"\xff\xf1\x50\x80", "audio/aac"),
    (box(b"M4A "), "audio/mp4"),
    (b"fLaC\x00\x00\x00\x22", "audio/flac"),
    (b"OggS\x00\x02", "application/ogg"),
]

NEITHER = [
    b"",
    b"\x89PNG",
    b"\xff\xd8",
    b"BM, a story that begins like a bitmap",
    b"RIFF\x24\x00\x00\x00CDXA",
    b"\x00\x00\x00\x18ftyp",
    b'{"code":0,"data":{}}',
    b"<!DOCTYPE html><html>",
    b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    b"%PDF-1.7",
    b"PK\x03\x04",
    b"\x1f\x8b\x08",
    b"\xff\xfe<\x00h\x00t\x00m\x00l\x00",
    b"\xff\xff\xff\xff",
]


@pytest.mark.parametrize(("head", "media_type"), HEADS)
def test_each_kind_is_told_by_its_first_bytes(head: bytes, media_type: str) -> None:
    assert media_type_of(head) == media_type
    assert media_type_of(head[:HEAD_BYTES]) == media_type
    assert media_type_of(head + bytes(1000)) == media_type


@pytest.mark.parametrize("head", NEITHER)
def test_what_is_none_of_them_is_not_guessed_at(head: bytes) -> None:
    assert media_type_of(head) is None


@given(st.sampled_from(HEADS), st.integers(0, 200))
def test_a_cut_head_is_the_same_kind_or_none(case: tuple[bytes, str], length: int) -> None:
    head, media_type = case
    family = media_type.partition("/")[0]
    got = media_type_of(head[:length])
    assert got is None or got.startswith(family)


@given(st.binary(max_size=100))
def test_it_never_raises(head: bytes) -> None:
    got = media_type_of(head)
    assert got is None or "/" in got
