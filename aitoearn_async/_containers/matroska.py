"""Matroska and WebM (RFC 9559): elements in elements, some of unknown size."""

from __future__ import annotations

import contextlib

from .media_types import ebml_number
from .reader import Completeness, InconclusiveError, Reader, Structure, TruncatedError

_SEGMENT, _CLUSTER, _TRACKS = 0x18538067, 0x1F43B675, 0x1654AE6B
_TRACK, _TRACK_TYPE = 0xAE, 0x83
_VIDEO, _AUDIO = 1, 2


def matroska(file: Reader) -> Structure:
    """Compare the segment's size with the file's, and walk its elements.

    A recording that was written as it came has no sizes: then its end cannot be told, and only
    an element that goes on past it is noticed. A file without a cluster has no frame.
    """
    name, size, at = _element(file, 4, is_size_only=True)
    while name != _SEGMENT:
        at += size or 0
        name, size, at = _element(file, at)
    is_open, end = size is None, file.size if size is None else at + size
    file.require(end)
    family, cluster = None, None
    while at < end:
        name, size, at = _element(file, at)
        if name == _CLUSTER:
            cluster = at, at + (size or 0)
            if not is_open and family is not None:
                break
        elif name == _TRACKS and size is not None:
            family = _family(file, at, at + size)
        if size is not None:
            at += size
            file.require(at)
        elif name not in (_CLUSTER, _SEGMENT):
            raise InconclusiveError
    if cluster is None:
        return Structure(Completeness.CUT, family)
    with contextlib.suppress(InconclusiveError):
        _walk(file, *(_walk(file, at, end) or cluster))
    return Structure(Completeness.UNKNOWN if is_open else Completeness.WHOLE, family)


def _walk(file: Reader, at: int, end: int) -> tuple[int, int] | None:
    """Go through elements, of which none may be room that was never written to.

    Returns:
        Where the content of the last cluster among them begins and ends.
    """
    last = None
    while at < end:
        name, size, at = _element(file, at)
        if name == _CLUSTER:
            last = at, at + (size or 0)
        at += size or 0
    return last


def _element(
    file: Reader, at: int, *, is_size_only: bool = False
) -> tuple[int | None, int | None, int]:
    """Read the header of an element.

    Returns:
        Its ID, the size of its content or None if that is unknown, and where it begins.
    """
    data = file.read_up_to(at, 12)
    name, after = (0, 0) if is_size_only else ebml_number(data, 0, is_id=True)
    if after > len(data) or data[:8] in (b"", bytes(8)):
        raise TruncatedError  # or room that was never written to
    if name is None:
        raise InconclusiveError
    size, after = ebml_number(data, after)
    if after > len(data):
        raise TruncatedError
    return name, size, at + after


def _family(file: Reader, at: int, end: int) -> str | None:
    kinds: set[int] = set()
    while at < end:
        name, size, at = _element(file, at)
        if name == _TRACK_TYPE and size:
            kinds.add(file.number(at, min(size, 8)))
        if name != _TRACK:  # step into a track, and past all else
            at += size or 0
    return "video" if _VIDEO in kinds else "audio" if _AUDIO in kinds else None
