"""What files are called: by their task and by what they are, never by where they came from."""

from __future__ import annotations

from ..contract.refs import AnyRef
from ..contract.results import Result

SUFFIXES = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/webp": ".webp",
    "image/gif": ".gif",
    "image/avif": ".avif",
    "image/heic": ".heic",
    "image/heif": ".heif",
    "image/jxl": ".jxl",
    "image/jp2": ".jp2",
    "image/bmp": ".bmp",
    "image/tiff": ".tiff",
    "video/mp4": ".mp4",
    "video/quicktime": ".mov",
    "video/webm": ".webm",
    "video/x-matroska": ".mkv",
    "video/x-msvideo": ".avi",
    "video/x-flv": ".flv",
    "video/mpeg": ".mpg",
}
"""Media type, as the first bytes tell it -> suffix."""


def suffixes_of(kind: str) -> list[str]:
    """All suffixes that a file of a kind can have."""
    return [suffix for media, suffix in SUFFIXES.items() if media.startswith(f"{kind}/")]


def stem_of(ref: AnyRef, result: Result) -> str:
    """A file's name up to its suffix: `image-66f0a1b2c3d4e5f601020304-1`.

    The kind comes first, so that no id makes it an option or a device, and since an image task
    and a video task may have the same id.
    """
    number = "" if result.number is None else f"-{result.number}"
    return f"{ref.kind}-{ref.id}{number}"
