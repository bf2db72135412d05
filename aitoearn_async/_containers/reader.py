"""Reads for the parsers of this folder: a file of known size, and bounds on how much is read.

A read past the end of the file raises `TruncatedError`: the file was cut off. A parser raises
`InconclusiveError` where nothing can be said. No file, however hostile, makes a parser read more
than the bounds allow.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import IO, Literal, NamedTuple, TypeAlias

MOST_READS = 100_000
MOST_BYTES = 512 * 1024 * 1024
MOST_STEPS = 2_000_000
"""Bytes that are looked at one by one."""
WINDOW = 256 * 1024
"""Bytes that are read at a time where all of them are looked at."""


ByteOrder: TypeAlias = Literal["big", "little"]


class Completeness(Enum):
    """The state of a file: whole, cut off, or unknown."""

    WHOLE = "whole"
    """The structure comes to its end."""
    CUT = "cut"
    """The structure goes on past the end of the file."""
    UNKNOWN = "unknown"
    """The structure does not tell."""


class Structure(NamedTuple):
    """The facts that the structure of a file tells."""

    completeness: Completeness
    family: str | None = None
    """The family of its content, `"image"`, `"video"` or `"audio"`, where several may be in it."""
    brands: bytes = b""
    """The content of `ftyp`, in a container that has one."""


WHOLE = Structure(Completeness.WHOLE)
CUT = Structure(Completeness.CUT)
UNKNOWN = Structure(Completeness.UNKNOWN)


class TruncatedError(Exception):
    """The file ends before the structure does."""


class InconclusiveError(Exception):
    """The structure does not tell, or it takes too long to tell."""


class Reader:
    """A file that is read at will, within bounds."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self.size: int = size
        self._file = file
        self._reads_left = MOST_READS
        self._bytes_left = MOST_BYTES

    def read(self, at: int, count: int) -> bytes:
        """Read exactly so many bytes.

        Raises:
            TruncatedError: The file has fewer.
            InconclusiveError: The bounds are reached.
        """
        if at + count > self.size:
            raise TruncatedError
        data = self.read_up_to(at, count)
        if len(data) < count:  # it has become shorter meanwhile
            raise TruncatedError
        return data

    def read_up_to(self, at: int, count: int) -> bytes:
        """Read up to so many bytes: fewer where the file ends.

        Raises:
            InconclusiveError: The bounds are reached.
        """
        count = min(count, self.size - at)
        if count <= 0 or at < 0:
            return b""
        self._reads_left -= 1
        self._bytes_left -= count
        if self._reads_left < 0 or self._bytes_left < 0:
            raise InconclusiveError
        self._file.seek(at)
        return self._file.read(count)

    def tail(self, count: int) -> bytes:
        """Read the last bytes."""
        return self.read_up_to(max(self.size - count, 0), count)

    def number(self, at: int, count: int, order: ByteOrder = "big") -> int:
        """Read a whole number of so many bytes."""
        return int.from_bytes(self.read(at, count), order)

    def require(self, end: int) -> None:
        """Check that the file reaches up to an offset.

        Raises:
            TruncatedError: It does not.
        """
        if end > self.size:
            raise TruncatedError

    def is_blank(self, at: int, count: int) -> bool:
        """Return whether there are only zeros, or nothing: room that was never written to."""
        return not any(self.read_up_to(at, count))

    def find(self, marker: re.Pattern[bytes], at: int) -> int | None:
        """Return where a marker of two bytes is, from an offset on; None if there is none."""
        while window := self.read_up_to(at, WINDOW):
            if found := marker.search(window):
                return at + found.start()
            if len(window) < WINDOW:
                return None
            at += len(window) - 1
        return None


class Cursor:
    """Reads byte by byte, through a window."""

    def __init__(self, reader: Reader, at: int) -> None:
        self._reader = reader
        self._start = at
        self._window = b""
        self._index = 0
        self._steps_left = MOST_STEPS

    @property
    def at(self) -> int:
        """The offset of the next byte."""
        return self._start + self._index

    def byte(self) -> int:
        """Read the next byte.

        Raises:
            TruncatedError: There is none.
            InconclusiveError: Too many were read.
        """
        self._steps_left -= 1
        if self._steps_left < 0:
            raise InconclusiveError
        if self._index >= len(self._window):
            self._start, self._index = self._start + self._index, 0
            self._window = self._reader.read_up_to(self._start, WINDOW)
            if not self._window:
                raise TruncatedError
        value = self._window[self._index]
        self._index += 1
        return value

    def skip(self, count: int) -> None:
        """Skip so many bytes."""
        self._index += count
