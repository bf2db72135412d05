"""Directories and names for files: by their task and type, never by where they came from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import msgspec

from ..contract.outputs import Result

SUFFIXES = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/webp": ".webp",
    "image/gif": ".gif",
    "image/avif": ".avif",
    "image/heic": ".heic",
    "image/heif": ".heif",
    "image/svg+xml": ".svg",
    "image/svg+xml-compressed": ".svgz",
    "image/jxl": ".jxl",
    "image/jls": ".jls",
    "image/jp2": ".jp2",
    "image/jpx": ".jpx",
    "image/jpm": ".jpm",
    "image/jph": ".jph",
    "image/j2c": ".j2k",
    "image/jxr": ".jxr",
    "image/bmp": ".bmp",
    "image/tiff": ".tiff",
    "image/qoi": ".qoi",
    "image/vnd.microsoft.icon": ".ico",
    "image/vnd.ms-dds": ".dds",
    "image/vnd.radiance": ".hdr",
    "image/x-exr": ".exr",
    "image/vnd.adobe.photoshop": ".psd",
    "image/x-psb": ".psb",
    "image/x-tga": ".tga",
    "image/x-portable-bitmap": ".pbm",
    "image/x-portable-graymap": ".pgm",
    "image/x-portable-pixmap": ".ppm",
    "image/x-pam": ".pam",
    "image/x-pfm": ".pfm",
    "video/mp4": ".mp4",
    "video/quicktime": ".mov",
    "video/webm": ".webm",
    "video/x-matroska": ".mkv",
    "video/x-msvideo": ".avi",
    "video/x-flv": ".flv",
    "video/mpeg": ".mpg",
    "video/mp2t": ".ts",
    "video/ogg": ".ogv",
    "video/mj2": ".mj2",
    "video/x-ms-wmv": ".wmv",
    "video/mxf": ".mxf",
    "video/x-ivf": ".ivf",
    "video/x-yuv4mpeg": ".y4m",
}
"""Media type, as the file itself tells it -> suffix."""
_OTHER_SUFFIXES = (".jpeg", ".tif", ".mpeg", ".m4v", ".m2ts")
"""Suffixes that people use as well."""


class Destination(msgspec.Struct, frozen=True):
    """A directory for files, and the name there, where they are one file with a name."""

    given: Path
    """The directory as the caller has written it, and reads it."""
    directory: Path
    """The same directory, also when the process works in another one by now."""
    name: str | None


def destination_of(path: Path) -> Destination:
    """Return where a path leads at this moment.

    A path that ends as the name of a picture or a film is a file's, unless a directory is called
    so.
    """
    suffix = path.suffix.lower()
    if suffix not in (*SUFFIXES.values(), *_OTHER_SUFFIXES) or os.path.isdir(path):
        return Destination(path, _fixed(path), None)
    return Destination(path.parent, _fixed(path.parent), path.name)


def _fixed(directory: Path) -> Path:
    try:
        return directory.absolute()
    except OSError:  # the working directory is not there any more
        return directory


class FileName(NamedTuple):
    """The name of a file whose type is not known yet."""

    stem: str
    """The name up to its suffix; all of it, where it has none to come."""
    suffixes: tuple[str, ...] = ()
    """Those that it can have."""

    def whole(self, media_type: str) -> str:
        """Return the name of a file of this type."""
        return self.stem + SUFFIXES[media_type] if self.suffixes else self.stem


def file_name(kind: str, id: str, result: Result) -> FileName:
    """Return the name of a task's file: `image-66f0a1b2c3d4e5f601020304-1` and a suffix.

    The kind comes first, so that no id makes it an option or a device, and since an image task
    and a video task may have the same id.
    """
    number = "" if result.number is None else f"-{result.number}"
    return FileName(f"{kind}-{id}{number}", suffixes_of(result.kind))


def suffixes_of(kind: str) -> tuple[str, ...]:
    """Return all suffixes that a file of a kind can have."""
    return tuple(suffix for media, suffix in SUFFIXES.items() if media.startswith(f"{kind}/"))
