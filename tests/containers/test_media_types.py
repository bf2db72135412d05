"""The media types of files, by their first bytes."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitoearn_async._containers.media_types import HEAD_BYTES, media_types_of


def media_type_of(head: bytes) -> str | None:
    return next(iter(media_types_of(head)), None)


def box(brand: bytes, *compatible: bytes, minor: bytes = b"\x00\x00\x02\x00") -> bytes:
    content = b"ftyp" + brand + minor + b"".join(compatible)
    return (len(content) + 4).to_bytes(4, "big") + content


def jp2(brand: bytes) -> bytes:
    return b"\x00\x00\x00\x0cjP  \r\n\x87\n\x00\x00\x00\x14ftyp" + brand + bytes(4) + brand


def riff(kind: bytes) -> bytes:
    return b"RIFF\x24\x00\x00\x00" + kind


def matroska(kind: bytes, before: bytes = b"", size: bytes = b"") -> bytes:
    elements = b"\x42\x86\x81\x01\x42\xf7\x81\x01\x42\xf2\x81\x04\x42\xf3\x81\x08" + before
    elements += b"\x42\x82" + (size or bytes([0x80 | len(kind)])) + kind + b"\x42\x87\x81\x04"
    return b"\x1a\x45\xdf\xa3\x01" + len(elements).to_bytes(7, "big") + elements


def packets(start: bytes, size: int = 188, before: bytes = b"") -> bytes:
    return (before + (start + bytes(size))[:188] + bytes(size - 188 - len(before))) * 4


HEADS = [
    (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "image/png"),
    (b"\xff\xd8\xff\xe0\x00\x10JFIF\x00", "image/jpeg"),
    (b"\xff\xd8\xff\xe1\x00\x10Exif\x00", "image/jpeg"),
    (b"\xff\xd8\xff\xdb\x00\x43", "image/jpeg"),
    (b"\xff\xd8\xff\xf7\x00\x11\x08", "image/jls"),
    (b"\xff\xd8\xff\xe8\x00\x04\x00\x00\xff\xf7\x00\x11\x08", "image/jls"),
    (b"GIF87a\x01\x00", "image/gif"),
    (b"GIF89a\x01\x00", "image/gif"),
    (b"GIF89a\x01\x00\x01\x00\x80\x00\x00" + b"\xff" * 6 + b"\x21\xf9", "image/gif"),
    (riff(b"WEBPVP8 "), "image/webp"),
    (b"BM\x46\x00\x00\x00\x00\x00\x00\x00\x36\x00\x00\x00\x28\x00\x00\x00", "image/bmp"),
    (b"II*\x00\x08\x00\x00\x00", "image/tiff"),
    (b"MM\x00*\x00\x00\x00\x08", "image/tiff"),
    (b"II+\x00\x08\x00\x00\x00\x10", "image/tiff"),
    (b"MM\x00+\x00\x08\x00\x00\x00", "image/tiff"),
    (b"II\xbc\x01\x08\x00\x00\x00", "image/jxr"),
    (box(b"avif", b"mif1", b"miaf"), "image/avif"),
    (box(b"mif1", b"mif1", b"avif", b"miaf"), "image/avif"),
    (box(b"avis", b"avis", b"iso8"), "image/avif"),
    (box(b"MA1B", b"mif1"), "image/avif"),
    (box(b"isom", b"isom", b"avif"), "image/avif"),
    (box(b"mif3", minor=b"avif"), "image/avif"),
    (box(b"mif3", minor=b"heic"), "image/heic"),
    (box(b"heic", b"mif1"), "image/heic"),
    (box(b"heix", b"mif1", b"heix", b"miaf"), "image/heic"),
    (box(b"mif1", b"heic"), "image/heic"),
    (box(b"mif1", *[b"miaf"] * 30, b"heic"), "image/heic"),
    *((box(brand), "image/heif") for brand in b"mif1 msf1 avci avcs vvic miaf".split()),
    *((box(brand), "image/heif") for brand in b"j2ki j2is jpeg jpgs".split()),
    (b"\xff\x0a\xfa\x7f", "image/jxl"),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n" + box(b"jxl "), "image/jxl"),
    (jp2(b"jp2 "), "image/jp2"),
    (jp2(b"jpx "), "image/jpx"),
    (jp2(b"jph "), "image/jph"),
    (jp2(b"mjp2"), "video/mj2"),
    (b"\xff\x4f\xff\x51\x00\x2f", "image/j2c"),
    (b"qoif\x00\x00\x00\x01\x00\x00\x00\x01\x04\x00", "image/qoi"),
    (b"\x76\x2f\x31\x01\x02\x00\x00\x00channels", "image/x-exr"),
    (b"8BPS\x00\x01" + bytes(6), "image/vnd.adobe.photoshop"),
    (b"8BPS\x00\x02" + bytes(6), "image/x-psb"),
    (b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n", "image/vnd.radiance"),
    (
        bytes.fromhex("00000100010010100000010020006804000016000000"),
        "image/vnd.microsoft.icon",
    ),
    (b"DDS \x7c\x00\x00\x00", "image/vnd.ms-dds"),
    (b"P6\n64 48\n255\n", "image/x-portable-pixmap"),
    (b"P5 # a comment\n64 48 255 ", "image/x-portable-graymap"),
    (b"P4\n64 48\n", "image/x-portable-bitmap"),
    (b"P7\nWIDTH 64\n", "image/x-pam"),
    (b"PF\n64 48\n-1.0\n", "image/x-pfm"),
    (b"\x00\x00\x02" + bytes(9) + b"\x40\x00\x30\x00\x18\x20", "image/x-tga"),
    (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml"),
    (b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- <svg> --><svg\n", "image/svg+xml"),
    (b"<?xml version='1.0'?><?drawn by='a model'?><svg>", "image/svg+xml"),
    (b"<!DOCTYPE svg [<!ENTITY a 'b'>]><svg:svg xmlns:svg='s'>", "image/svg+xml"),
    ("\ufeff<svg>".encode("utf-16-le"), "image/svg+xml"),
    (gzip.compress(b"<svg></svg>", mtime=0), "image/svg+xml-compressed"),
    (box(b"isom", b"isom", b"iso2", b"avc1", b"mp41"), "video/mp4"),
    (box(b"mp42"), "video/mp4"),
    (box(b"iso5"), "video/mp4"),
    (box(b"3gp4"), "video/mp4"),
    (b"\x00\x00\x00\x18styp" + b"msdh" + bytes(4) + b"msdhmsix", "video/mp4"),
    (b"\x00\x00\x00\x08free" + box(b"isom"), "video/mp4"),
    (b"\x00\x00\x00\x08free" + box(b"avif"), "image/avif"),
    (b"\x00\x00\x00\x01ftyp" + (24).to_bytes(8, "big") + b"avif" + bytes(4), "image/avif"),
    (box(b"qt  "), "video/quicktime"),
    (b"\x00\x00\x00\x08wide\x00\x00\x10\x00mdat", "video/quicktime"),
    (b"\x00\x00\x10\x00moov\x00\x00\x00\x6cmvhd", "video/quicktime"),
    (b"\x00\x00\x00\x01mdat" + bytes(12), "video/quicktime"),
    (matroska(b"webm"), "video/webm"),
    (matroska(b"webm\x00"), "video/webm"),
    (matroska(b"webm", before=b"\xec\xd0" + b"\x42\x82" * 40), "video/webm"),
    (matroska(b"webm", size=b"\x40\x04"), "video/webm"),
    (matroska(b"webm", size=b"\x01\x00\x00\x00\x00\x00\x00\x04"), "video/webm"),
    (matroska(b"matroska"), "video/x-matroska"),
    (b"\x1a\x45\xdf\xa3\x84\x42\x86\x81\x01", "video/x-matroska"),  # no word on its type
    (b"\x1a\x45\xdf\xa3\x84\x42\x86\xff\x01", "video/x-matroska"),  # of unknown size
    (b"\x1a\x45\xdf\xa3\x84\x00", "video/x-matroska"),
    (riff(b"AVI LIST"), "video/x-msvideo"),
    (b"FLV\x01\x05\x00\x00\x00\x09", "video/x-flv"),
    (b"\x00\x00\x01\xba\x44\x00", "video/mpeg"),
    (packets(b"\x47\x40\x11\x10"), "video/mp2t"),
    (packets(b"\x47\x40\x00\x31\xa6\x00\xff"), "video/mp2t"),
    (packets(b"\x47\x40\x11\x10", 192, b"\x0e\xbf\x46\x22"), "video/mp2t"),
    (b"OggS\x00\x02" + bytes(22) + b"\x80theora", "video/ogg"),
    (b"OggS\x00\x02" + bytes(22) + b"OVP80", "video/ogg"),
    (b"DKIF\x00\x00\x20\x00VP80", "video/x-ivf"),
    (b"YUV4MPEG2 W64 H48", "video/x-yuv4mpeg"),
    (bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"), "video/x-ms-wmv"),
    (bytes.fromhex("060e2b34020501010d01020101020400"), "video/mxf"),
    (riff(b"WAVEfmt "), "audio/wav"),
    (b"ID3\x04\x00\x00", "audio/mpeg"),
    (b"\xff\xfb\x90\x64", "audio/mpeg"),
    (b"\xff\xf1\x50\x80", "audio/aac"),
    (b"\xff\xf1\x4c\x80", "audio/aac"),  # 48 kHz
    (b"RF64\xff\xff\xff\xffWAVEds64", "audio/wav"),
    (b"#!AMR\n\x0c", "audio/amr"),
    (b"#EXTM3U\n#EXT-X-VERSION:3\n", "application/vnd.apple.mpegurl"),
    (box(b"M4A "), "audio/mp4"),
    (b"fLaC\x00\x00\x00\x22", "audio/flac"),
    (b"FORM\x00\x00\x00\x40AIFFCOMM", "audio/aiff"),
    (b"OggS\x00\x02", "audio/ogg"),
    (b"OggS\x00\x02" + bytes(22) + b"OpusHead", "audio/ogg"),
]

NEITHER = [
    b"",
    b"\x89PNG",
    b"\xff\xd8",
    b"BM, a story that begins like a bitmap",
    b"GIF89a is what you asked for, and it is not available in your region.",
    b"The wide range of models is not available in your region.",
    b"The free range of models is not available in your region.",
    b"The moov atom not found",
    b"A 24 ftyp of people who do not know what to write about.",
    b"P5 and P6 are not available.",
    b"qoif is not available in your region, and never will be.",
    (b"Gateway timeout; we are sorry about that. " * 30)[:188] * 4,
    b"RIFF\x24\x00\x00\x00CDXA",
    b"\x00\x00\x00\x18ftyp",
    b'{"code":0,"data":{}}',
    b"<!DOCTYPE html><html>",
    b"<!-- a page with a picture --><html><svg></svg>",
    b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>",
    b"%PDF-1.7",
    b"PK\x03\x04",
    b"\x1f\x8b\x08",
    b"\x1f\x8b\x08" + bytes(30) + b"\xff" * 30,
    (b"\x00\x00\x00\x08free" * 9) + bytes(8),
    gzip.compress(b"<html></html>", mtime=0),
    *(text.encode("utf-16") for text in ("<html>", "Error: no such key", '{"code":12300}')),
    b"\xff\xff\xff\xff",
    bytes(1000),
]

SEVERAL = [
    (box(b"mif1", b"mif1"), "video", "video/mp4"),
    (box(b"isom", b"avif"), "video", "video/mp4"),
    (box(b"xxxx"), "image", "image/heif"),
    (box(b"M4B "), "video", "video/mp4"),
    (matroska(b"webm"), "audio", "audio/webm"),
    (b"OggS\x00\x02" + bytes(22) + b"\x80theora", "audio", "audio/ogg"),
]


def test_each_kind_is_told_by_its_first_bytes() -> None:
    for head, media_type in HEADS:
        assert media_type_of(head) == media_type, head
        assert media_type_of(head[:HEAD_BYTES]) == media_type, head


def test_what_follows_is_of_no_account() -> None:
    for head, media_type in HEADS:
        if media_type != "video/mp2t":
            assert media_type_of(head + bytes(1000)) == media_type, head


def test_what_is_none_of_them_is_not_guessed_at() -> None:
    for head in NEITHER:
        assert media_type_of(head) is None, head


@pytest.mark.parametrize(("head", "family", "other"), SEVERAL)
def test_a_head_that_fits_several_types_tells_all(head: bytes, family: str, other: str) -> None:
    assert other in media_types_of(head)
    assert other.startswith(family)


def test_a_cut_head_is_the_same_kind_or_none() -> None:
    for head, media_type in HEADS:
        family = media_type.partition("/")[0]
        for length in range(min(len(head), HEAD_BYTES)):
            got = media_types_of(head[:length])
            assert not got or any(found.startswith(family) for found in got), head[:length]


@given(st.binary(max_size=1500))
def test_it_never_raises(head: bytes) -> None:
    assert all("/" in found for found in media_types_of(head))


@given(st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=1200))
def test_plain_text_is_no_picture_but_svg(text: str) -> None:
    got = media_type_of(text.encode())
    assert (
        got is None or "svg" in text or text[:1] == "P" or got in {"audio/mpeg", "video/x-yuv4mpeg"}
    )
