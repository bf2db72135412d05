"""The files of the truth table: what each is, and what its structure can tell."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import NamedTuple

from .producers import encoded, film, moving_picture, noise, picture


class Sample(NamedTuple):
    """One whole file."""

    media_type: str
    make: Callable[[], bytes]
    proves: bool = True
    """Whether the structure proves that it is whole."""
    sees: bool = True
    """Whether it shows where the file was cut, wherever that was."""
    spare: int = 0
    """The bytes at the end without which it is as good."""


def box(kind: bytes, *content: bytes) -> bytes:
    body = b"".join(content)
    return (len(body) + 8).to_bytes(4, "big") + kind + body


def ftyp(*brands: bytes, minor: bytes = bytes(4)) -> bytes:
    return box(b"ftyp", brands[0], minor, *brands[1:])


def rebranded(file: bytes, *brands: bytes) -> bytes:
    """The same, with another `ftyp` of any length: only for files whose offsets stay right."""
    size = int.from_bytes(file[:4], "big")
    new = ftyp(*brands)
    room = size - len(new)
    assert room == 0 or room >= 8, "leave room for a `free` box"
    return new + (box(b"free", bytes(room - 8)) if room else b"") + file[size:]


def mini() -> bytes:
    """A picture in the manner of a `mini` box, which holds all of it."""
    return ftyp(b"mif3", minor=b"avif") + box(b"mini", bytes(range(256)))


def jxl(*, parts: bool) -> bytes:
    signature = b"\x00\x00\x00\x0cJXL \r\n\x87\n"
    if parts:
        boxes = box(b"jxlp", bytes(4), b"\xff\x0a" + bytes(90))
        boxes += box(b"jxlp", b"\x80\x00\x00\x01", bytes(90))
    else:
        boxes = box(b"jxlc", b"\xff\x0a" + bytes(200))
    return signature + ftyp(b"jxl ", b"jxl ") + boxes


def psd(*, large: bool) -> bytes:
    head = b"8BPS" + bytes([0, 2 if large else 1]) + bytes(6)
    head += b"\x00\x03" + (5).to_bytes(4, "big") + (7).to_bytes(4, "big") + b"\x00\x08\x00\x03"
    sections = bytes(4) + bytes(4) + bytes(8 if large else 4)
    return head + sections + b"\x00\x00" + bytes(range(3 * 5 * 7))


def jpeg_with_a_film() -> bytes:
    """As phones take them: the film of the moment stands behind the picture."""
    return picture("JPEG") + film("mp4")


def jxr() -> bytes:
    tags = [(0xBCC0, 4, 8 + 2 + 24 + 4), (0xBCC1, 4, 300)]
    entries = b"".join(
        tag.to_bytes(2, "little")
        + kind.to_bytes(2, "little")
        + (1).to_bytes(4, "little")
        + value.to_bytes(4, "little")
        for tag, kind, value in tags
    )
    return b"II\xbc\x01\x08\x00\x00\x00\x02\x00" + entries + bytes(4) + b"W" * 300


SVG = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<!-- drawn by a model -->\n'
    b'<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "svg11.dtd">\n'
    b'<svg xmlns="http://www.w3.org/2000/svg"><svg x="1"><path d="M0 0"/></svg><svg y="2"/>'
    b"<g><text>a &lt; b</text></g></svg>\n"
)

FAST, FRAGMENTS = "faststart", "frag_keyframe+empty_moov"
SOME = {"proves": False, "sees": False}
"""Neither is told, or only in part."""

SAMPLES: dict[str, Sample] = {
    "PNG": Sample("image/png", lambda: picture("PNG")),
    "APNG": Sample("image/png", lambda: moving_picture("PNG")),
    "JPEG": Sample("image/jpeg", lambda: picture("JPEG")),
    "progressive JPEG": Sample("image/jpeg", lambda: picture("JPEG", progressive=True)),
    "JPEG of ffmpeg": Sample("image/jpeg", lambda: encoded("mjpeg", "yuvj420p")),
    "JPEG with a film": Sample("image/jpeg", jpeg_with_a_film, sees=False),
    "several JPEGs": Sample("image/jpeg", lambda: moving_picture("MPO"), sees=False),
    "JPEG-LS": Sample("image/jls", lambda: encoded("jpegls", "rgb24")),
    "GIF": Sample("image/gif", lambda: picture("GIF"), spare=1),
    "moving GIF": Sample("image/gif", lambda: moving_picture("GIF"), spare=1),
    "WebP": Sample("image/webp", lambda: picture("WEBP")),
    "moving WebP": Sample("image/webp", lambda: moving_picture("WEBP")),
    "AVIF": Sample("image/avif", lambda: picture("AVIF")),
    "moving AVIF": Sample("image/avif", lambda: moving_picture("AVIF")),
    "HEIC": Sample("image/heic", lambda: rebranded(picture("AVIF"), b"heic", b"mif1", b"heic")),
    "HEIF": Sample("image/heif", lambda: rebranded(picture("AVIF"), b"mif1", b"mif1")),
    "mini AVIF": Sample("image/avif", mini),
    "JPEG 2000": Sample("image/jp2", lambda: picture("JPEG2000")),
    "JPEG 2000 of ffmpeg": Sample("image/jp2", lambda: encoded("jpeg2000", "rgb24")),
    "codestream": Sample("image/j2c", lambda: picture("JPEG2000", no_jp2=True)),
    "JPEG XL": Sample("image/jxl", lambda: jxl(parts=False)),
    "JPEG XL in parts": Sample("image/jxl", lambda: jxl(parts=True)),
    "bare JPEG XL": Sample("image/jxl", lambda: b"\xff\x0a" + bytes(300), **SOME),
    "JPEG XR": Sample("image/jxr", jxr),
    "TIFF": Sample("image/tiff", lambda: picture("TIFF")),
    "TIFF of several": Sample(
        "image/tiff", lambda: picture("TIFF", save_all=True, append_images=[noise(seed=2)]), spare=8
    ),
    "packed TIFF": Sample("image/tiff", lambda: encoded("tiff", "rgb24"), spare=4),
    "BigTIFF": Sample("image/tiff", lambda: picture("TIFF", big_tiff=True)),
    "BMP": Sample("image/bmp", lambda: picture("BMP")),
    "ICO": Sample("image/vnd.microsoft.icon", lambda: picture("ICO")),
    "DDS": Sample("image/vnd.ms-dds", lambda: picture("DDS"), **SOME),
    "DXT1": Sample("image/vnd.ms-dds", lambda: picture("DDS", pixel_format="DXT1"), **SOME),
    "TGA": Sample("image/x-tga", lambda: picture("TGA"), **SOME),
    "packed TGA": Sample("image/x-tga", lambda: picture("TGA", compression="tga_rle"), **SOME),
    "PPM": Sample("image/x-portable-pixmap", lambda: picture("PPM"), **SOME),
    "PGM": Sample("image/x-portable-graymap", lambda: picture("PPM", "L"), **SOME),
    "PBM": Sample("image/x-portable-bitmap", lambda: picture("PPM", "1"), **SOME),
    "PAM": Sample("image/x-pam", lambda: encoded("pam", "rgb24"), **SOME),
    "PFM": Sample("image/x-pfm", lambda: encoded("pfm", "gbrpf32le"), **SOME),
    "plain PPM": Sample("image/x-portable-pixmap", lambda: b"P3\n1 1\n9\n1 2 3\n", **SOME),
    "QOI": Sample("image/qoi", lambda: picture("QOI")),
    "EXR": Sample("image/x-exr", lambda: encoded("exr", "gbrpf32le")),
    "HDR": Sample("image/vnd.radiance", lambda: encoded("hdr", "gbrpf32le")),
    "PSD": Sample("image/vnd.adobe.photoshop", lambda: psd(large=False)),
    "PSB": Sample("image/x-psb", lambda: psd(large=True)),
    "SVG": Sample("image/svg+xml", lambda: SVG, spare=1),
    "SVG in UTF-16": Sample("image/svg+xml", lambda: SVG.decode().encode("utf-16"), spare=2),
    "SVGZ": Sample("image/svg+xml-compressed", lambda: gzip.compress(SVG)),
    "MP4": Sample("video/mp4", lambda: film("mp4")),
    "MP4 with sound": Sample("video/mp4", lambda: film("mp4", "libx264", "aac")),
    "MP4, moov first": Sample("video/mp4", lambda: film("mp4", movflags=FAST)),
    "MP4 in fragments": Sample("video/mp4", lambda: film("mp4", movflags=FRAGMENTS)),
    "MP4 from a pipe": Sample("video/mp4", lambda: film("mp4", seekable=False, movflags=FRAGMENTS)),
    "DASH": Sample("video/mp4", lambda: film("mp4", movflags="dash+frag_keyframe+global_sidx")),
    "hybrid MP4": Sample("video/mp4", lambda: film("mp4", movflags="hybrid_fragmented")),
    "sound in MP4": Sample("audio/mp4", lambda: film("mp4", None, "aac")),
    "M4V": Sample("video/mp4", lambda: film("ipod", "mpeg4", "aac")),
    "M4A": Sample("audio/mp4", lambda: film("ipod", None, "aac")),
    "3GP": Sample("video/mp4", lambda: film("3gp")),
    "QuickTime": Sample("video/quicktime", lambda: film("mov")),
    "sound in QuickTime": Sample("audio/quicktime", lambda: film("mov", None, "aac")),
    "WebM": Sample("video/webm", lambda: film("webm", "libvpx", "libopus")),
    "live WebM": Sample(
        "video/webm", lambda: film("webm", "libvpx", seekable=False, live="1"), **SOME
    ),
    "sound in WebM": Sample("audio/webm", lambda: film("webm", None, "libopus")),
    "Matroska": Sample("video/x-matroska", lambda: film("matroska")),
    "Matroska from a pipe": Sample(
        "video/x-matroska", lambda: film("matroska", seekable=False), **SOME
    ),
    "sound in Matroska": Sample("audio/x-matroska", lambda: film("matroska", None, "aac")),
    "AVI": Sample("video/x-msvideo", lambda: film("avi")),
    "AVI from a pipe": Sample("video/x-msvideo", lambda: film("avi", seekable=False), **SOME),
    "sound in AVI": Sample("audio/x-msvideo", lambda: film("avi", None, "mp2")),
    "FLV": Sample("video/x-flv", lambda: film("flv", "flv"), sees=False),
    "FLV from a pipe": Sample("video/x-flv", lambda: film("flv", "flv", seekable=False), **SOME),
    "sound in FLV": Sample("audio/x-flv", lambda: film("flv", None, "aac"), sees=False),
    "MPEG-TS": Sample("video/mp2t", lambda: film("mpegts", "libx264", "aac"), **SOME),
    "MPEG-2 in TS": Sample("video/mp2t", lambda: film("mpegts", "mpeg2video"), **SOME),
    "M2TS": Sample("video/mp2t", lambda: film("mpegts", "libx264", mpegts_m2ts_mode="1"), **SOME),
    "sound in TS": Sample("audio/mp2t", lambda: film("mpegts", None, "aac"), **SOME),
    "Ogg": Sample("video/ogg", lambda: film("ogg", "libvpx"), sees=False),
    "sound in Ogg": Sample("audio/ogg", lambda: film("ogg", None, "libopus"), sees=False),
    "WMV": Sample("video/x-ms-wmv", lambda: film("asf", "wmv2")),
    "WMV from a pipe": Sample(
        "video/x-ms-wmv", lambda: film("asf", "wmv2", seekable=False), **SOME
    ),
    "MXF": Sample("video/mxf", lambda: film("mxf", "mpeg2video"), **SOME),
    "IVF": Sample("video/x-ivf", lambda: film("ivf", "libvpx"), **SOME),
    "Y4M": Sample("video/x-yuv4mpeg", lambda: film("yuv4mpegpipe", "rawvideo"), **SOME),
    "VOB": Sample("video/mpeg", lambda: film("vob", "mpeg2video"), **SOME),
    "MPEG-1": Sample("video/mpeg", lambda: film("mpeg", "mpeg1video"), **SOME),
    "sound in MPEG": Sample("audio/mpeg", lambda: film("mpeg", None, "mp2"), **SOME),
}
