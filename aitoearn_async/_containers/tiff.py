"""Files of directories of tags: TIFF, BigTIFF, JPEG XR."""

from __future__ import annotations

import struct

from .reader import CUT, WHOLE, ByteOrder, InconclusiveError, Reader, Structure

_MOST_DIRECTORIES = 10_000
_MOST_VALUES = 1_000_000
"""The most offsets and lengths that are looked at, in all directories."""
_BYTES = "s"
_CODES = {1: "B", 7: _BYTES, 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
"""The codes to read a value, by its type: a number, or bytes that only have to be there."""
_PAIRS = ((273, 279), (324, 325), (0xBCC0, 0xBCC1), (0xBCC2, 0xBCC3), (513, 514))
"""The tags that name where the data lie, and those that name how many there are: of strips and
tiles (TIFF 6.0), of a picture and its alpha plane (JPEG XR), and of an old JPEG."""
_SMALLER = 330
"""The tag that names directories of smaller pictures of the same."""
_TABLES = frozenset([258, 320, 347])
"""The tags of tables without which nothing can be decoded. Only their presence is checked."""
_WANTED = frozenset([_SMALLER, *_TABLES, *(tag for pair in _PAIRS for tag in pair)])
_BEHIND_HEADS = 16
"""A first directory past here is one that stands behind the data."""


def tiff(file: Reader) -> Structure:
    """Check that all strips and tiles of all directories lie within the file."""
    return _Directories(file).check()


class _Directories:
    """The chain of directories of one file, and how numbers are written in it."""

    def __init__(self, file: Reader) -> None:
        head = file.read(0, 8)
        self._file = file
        self._order: ByteOrder = "little" if head[:2] == b"II" else "big"
        self._is_big = 43 in head[2:4]
        self._offset = 8 if self._is_big else 4
        self._values_left = _MOST_VALUES

    def _number(self, at: int, size: int) -> int:
        return self._file.number(at, size, self._order)

    def check(self) -> Structure:
        width = 8 if self._is_big else 2
        first = self._number(8 if self._is_big else 4, self._offset)
        if not first or not self._number(first, width):
            if first > _BEHIND_HEADS:
                return CUT  # it was to be written when all was there
            raise InconclusiveError  # there is no directory
        seen: set[int] = set()
        found = False
        waiting = [first]
        entry = 4 + 2 * self._offset
        while waiting and len(seen) < _MOST_DIRECTORIES:
            if (at := waiting.pop()) in seen or not at:
                continue
            seen.add(at)
            end = at + width + self._number(at, width) * entry
            self._file.require(end)
            found = self._directory(range(at + width, end, entry), waiting) or found
            # Some writers leave out the offset of the next directory where there is none.
            if end + self._offset <= self._file.size:
                waiting.append(self._number(end, self._offset))
        return WHOLE if found else CUT  # every picture has its data somewhere

    def _directory(self, entries: range, waiting: list[int]) -> bool:
        """Check one directory. Returns whether it names any data.

        Args:
            entries: Where its entries are.
            waiting: Those that are to be checked; what it names itself is added.
        """
        tags: dict[int, tuple[int, ...]] = {}
        for at in entries:
            tag = self._number(at, 2)
            if tag in _WANTED:
                tags[tag] = self._values(at)
        waiting += tags.get(_SMALLER, ())
        for offsets, lengths in _PAIRS:
            if offsets in tags and lengths not in tags:
                raise InconclusiveError
            for offset, length in zip(tags.get(offsets, ()), tags.get(lengths, ()), strict=False):
                self._file.require(offset + length)
        return any(offsets in tags for offsets, _ in _PAIRS)

    def _values(self, at: int) -> tuple[int, ...]:
        code = _CODES.get(self._number(at + 2, 2))
        count = self._number(at + 4, self._offset)
        if code is None:
            return ()
        self._values_left -= count
        if self._values_left < 0:
            raise InconclusiveError
        form = struct.Struct(f"{'<' if self._order == 'little' else '>'}{count}{code}")
        place = at + 4 + self._offset
        if form.size > self._offset:
            place = self._number(place, self._offset)
        data = self._file.read(place, form.size)
        return () if code == _BYTES else form.unpack(data)
