"""The judgement on a file: its media type, and whether it is whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import IO, NamedTuple

from . import boxes, pictures, rasters, streams
from .matroska import matroska
from .media_types import HEAD_BYTES, iso_media_types, media_types_of
from .reader import CUT, UNKNOWN, Completeness, InconclusiveError, Reader, Structure, TruncatedError
from .tiff import tiff

Parser = Callable[[Reader], Structure]

_PARSERS: dict[str, Parser] = {
    "image/png": pictures.png,
    "image/jpeg": pictures.jpeg,
    "image/jls": pictures.jpeg,
    "image/gif": pictures.gif,
    "image/webp": pictures.webp,
    "image/bmp": pictures.bmp,
    "image/vnd.microsoft.icon": pictures.icon,
    "image/svg+xml": pictures.svg,
    "image/svg+xml-compressed": pictures.svgz,
    "image/tiff": tiff,
    "image/jxr": tiff,
    "image/avif": boxes.iso_media,
    "image/heic": boxes.iso_media,
    "image/heif": boxes.iso_media,
    "image/jp2": boxes.jpeg_2000,
    "image/jpx": boxes.jpeg_2000,
    "image/jpm": boxes.jpeg_2000,
    "image/jph": boxes.jpeg_2000,
    "image/j2c": boxes.codestream,
    "image/jxl": boxes.jpeg_xl,
    "image/qoi": rasters.qoi,
    "image/vnd.radiance": rasters.radiance,
    "image/x-exr": rasters.exr,
    "image/vnd.adobe.photoshop": rasters.photoshop,
    "image/x-psb": rasters.photoshop,
    "image/vnd.ms-dds": rasters.dds,
    "image/x-portable-bitmap": rasters.pnm,
    "image/x-portable-graymap": rasters.pnm,
    "image/x-portable-pixmap": rasters.pnm,
    "image/x-pam": rasters.pnm,
    "image/x-pfm": rasters.pnm,
    "image/x-tga": rasters.targa,
    "video/mp4": boxes.iso_media,
    "video/quicktime": boxes.iso_media,
    "audio/mp4": boxes.iso_media,
    "video/mj2": boxes.iso_media,
    "video/webm": matroska,
    "video/x-matroska": matroska,
    "video/x-msvideo": streams.avi,
    "audio/wav": streams.avi,
    "video/x-flv": streams.flv,
    "video/ogg": streams.ogg,
    "audio/ogg": streams.ogg,
    "video/mp2t": streams.transport_stream,
    "video/mpeg": streams.program_stream,
    "video/x-ms-wmv": streams.asf,
    "video/mxf": streams.mxf,
    "video/x-ivf": streams.ivf,
    "video/x-yuv4mpeg": streams.y4m,
}
"""The parser of each media type; the others cannot be judged."""


class Judgement(NamedTuple):
    """The judgement on a file."""

    media_type: str | None
    """None for none of the types known here."""
    completeness: Completeness


def examine(file: IO[bytes], size: int) -> Judgement:
    """Judge a file by its first bytes and its structure.

    Never raises, whatever the bytes, except what reading the file raises.

    Args:
        file: The file, opened. A read gives fewer bytes than asked for at its end alone.
        size: The file's length in bytes.
    """
    reader = Reader(file, size)
    types = media_types_of(reader.upto(0, HEAD_BYTES))
    if not types:
        return Judgement(None, Completeness.UNKNOWN)
    structure = _structure(_PARSERS.get(types[0]), reader)
    if structure.brands:  # they may stand behind the first bytes
        types = iso_media_types(structure.brands) or types
    fitting = (found for found in types if found.startswith(f"{structure.family}/"))
    return Judgement(next(fitting, types[0]), structure.completeness)


def _structure(parser: Parser | None, file: Reader) -> Structure:
    try:
        return UNKNOWN if parser is None else parser(file)
    except TruncatedError:
        return CUT
    except InconclusiveError:
        return UNKNOWN
