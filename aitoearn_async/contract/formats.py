"""What a file is, by its first bytes: the pictures, films and sounds the service deals in.

Names and declared types are not asked: both lie. Pure; what is read, and from where, is the
caller's business.
"""

from __future__ import annotations

HEAD_BYTES = 64
"""How many of a file's first bytes are enough. More does no harm."""

_STARTS: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"\xff\x0a", "image/jxl"),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "image/jxl"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "image/jp2"),
    (b"FLV\x01", "video/x-flv"),
    (b"\x00\x00\x01\xba", "video/mpeg"),
    (b"\x00\x00\x01\xb3", "video/mpeg"),
    (b"ID3", "audio/mpeg"),
    (b"fLaC", "audio/flac"),
    (b"OggS", "application/ogg"),
)

# RIFF and ISO media are boxes: what is in them is said at offset 8.
_RIFF: dict[bytes, str] = {
    b"WEBP": "image/webp",
    b"AVI ": "video/x-msvideo",
    b"WAVE": "audio/wav",
}
_BRANDS: dict[bytes, str] = {
    b"avif": "image/avif",
    b"avis": "image/avif",
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"heim": "image/heic",
    b"heis": "image/heic",
    b"hevc": "image/heic",
    b"hevx": "image/heic",
    b"mif1": "image/heif",
    b"msf1": "image/heif",
    b"qt  ": "video/quicktime",
    b"M4A ": "audio/mp4",
    b"M4B ": "audio/mp4",
}
# Brands that name the container alone; the compatible ones after them say what is in it.
_VAGUE = frozenset([b"mif1", b"msf1"])
# Before `ftyp` was invented a film began with one of these.
_OLD_QUICKTIME = frozenset([b"moov", b"mdat", b"wide", b"pnot"])
_BITMAP_HEADERS = frozenset([12, 40, 52, 56, 64, 108, 124])


def media_type_of(head: bytes) -> str | None:
    """The media type of a file.

    Args:
        head: Its first bytes: `HEAD_BYTES` of them, or all if there are fewer.

    Returns:
        Such as `"image/png"` or `"video/mp4"`; None for what is none of the types known here.
    """
    for start, media_type in _STARTS:
        if head.startswith(start):
            return media_type
    if head[:4] == b"RIFF":
        return _RIFF.get(head[8:12])
    if head[4:8] == b"ftyp":
        return _iso_media(head)
    if head[4:8] in _OLD_QUICKTIME:
        return "video/quicktime"
    if head[:4] == b"\x1aE\xdf\xa3":
        return _matroska(head)
    if head[:2] == b"BM":
        return _bitmap(head)
    return _mpeg_audio(head)


def _iso_media(head: bytes) -> str | None:
    brand = head[8:12]
    if len(brand) < 4:
        return None
    if brand in _VAGUE:
        end = min(int.from_bytes(head[:4], "big"), len(head))
        compatible = [head[at : at + 4] for at in range(16, end - 3, 4)]
        brand = next((b for b in compatible if b in _BRANDS and b not in _VAGUE), brand)
    # All other brands (isom, mp42, iso5, avc1, 3gp4, dash, ...) are films in the MP4 manner.
    return _BRANDS.get(brand, "video/mp4")


def _matroska(head: bytes) -> str | None:
    # The document type stands in the header, which is a few dozen bytes: elements of a
    # one-byte length each, this one called 42 82.
    at = head.find(b"\x42\x82")
    return "video/webm" if at >= 0 and head[at + 3 : at + 7] == b"webm" else "video/x-matroska"


def _bitmap(head: bytes) -> str | None:
    # Two letters begin too many texts: the size of the header that follows must be one too.
    header = int.from_bytes(head[14:18], "little")
    return "image/bmp" if len(head) >= 18 and header in _BITMAP_HEADERS else None


def _mpeg_audio(head: bytes) -> str | None:
    # Eleven bits of sync, then a version, a layer, a bitrate and a rate that are not reserved.
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer, bitrate, rate = (
        head[1] >> 3 & 3,
        head[1] >> 1 & 3,
        head[2] >> 4,
        head[2] >> 2 & 3,
    )
    if version == 1 or bitrate == 15 or rate == 3:
        return None
    return "audio/aac" if layer == 0 and version & 2 else "audio/mpeg" if layer else None
