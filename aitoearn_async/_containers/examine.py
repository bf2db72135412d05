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

_PARSED: tuple[tuple[Parser, str], ...] = (
    (pictures.png, "image/png"),
    (pictures.jpeg, "image/jpeg image/jls"),
    (pictures.gif, "image/gif"),
    (pictures.webp, "image/webp"),
    (pictures.bmp, "image/bmp"),
    (pictures.icon, "image/vnd.microsoft.icon"),
    (pictures.svg, "image/svg+xml"),
    (pictures.svgz, "image/svg+xml-compressed"),
    (tiff, "image/tiff image/jxr"),
    (boxes.iso_media, "image/avif image/heic image/heif"),
    (boxes.iso_media, "video/mp4 video/quicktime audio/mp4 video/mj2"),
    (boxes.jpeg_2000, "image/jp2 image/jpx image/jpm image/jph"),
    (boxes.codestream, "image/j2c"),
    (boxes.jpeg_xl, "image/jxl"),
    (rasters.qoi, "image/qoi"),
    (rasters.radiance, "image/vnd.radiance"),
    (rasters.exr, "image/x-exr"),
    (rasters.photoshop, "image/vnd.adobe.photoshop image/x-psb"),
    (matroska, "video/webm video/x-matroska"),
    (streams.avi, "video/x-msvideo audio/wav"),
    (streams.flv, "video/x-flv"),
    (streams.ogg, "video/ogg audio/ogg"),
    (streams.transport_stream, "video/mp2t"),
    (streams.program_stream, "video/mpeg"),
    (streams.asf, "video/x-ms-wmv"),
)
_PARSERS = {media_type: parser for parser, types in _PARSED for media_type in types.split()}
"""The parser of each media type. Other types have none: the structure of some does not tell, and no
model makes the rest (DDS, TGA, PNM, MXF, IVF and Y4M)."""


class Judgement(NamedTuple):
    """The judgement on a file."""

    media_type: str | None
    """None for none of the types known here."""
    completeness: Completeness


def examine(file: IO[bytes], size: int) -> Judgement:
    """Judge a file by its first bytes and its structure.

    No bytes make it raise. It raises what reading the file raises.

    Args:
        file: The file, opened. A read gives fewer bytes than asked for only at the end.
        size: The file's length in bytes.
    """
    reader = Reader(file, size)
    types = media_types_of(reader.read_up_to(0, HEAD_BYTES))
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
