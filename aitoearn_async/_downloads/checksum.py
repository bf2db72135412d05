"""The checksum of a file's bytes. Pure. What its host says it is stands in its headers."""

from __future__ import annotations

import hashlib
import zlib
from typing import IO, Protocol

_BLOCK = 1024 * 1024
"""Bytes that are read at a time."""


class _Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...

    def hexdigest(self) -> str: ...


class _CRC32:
    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes) -> None:
        self._value = zlib.crc32(data, self._value)

    def hexdigest(self) -> str:
        return f"{self._value:08x}"


def checksum_in(like: str, file: IO[bytes], size: int) -> str:
    """Return the checksum of a whole file, by the hash of another checksum."""
    name = like.partition(":")[0]
    found: _Hash = _CRC32() if name == "crc32" else hashlib.new(name, usedforsecurity=False)
    file.seek(0)
    for at in range(0, size, _BLOCK):
        found.update(file.read(min(_BLOCK, size - at)))
    return f"{name}:{found.hexdigest()}"
