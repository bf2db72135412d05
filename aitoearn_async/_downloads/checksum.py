"""Checksums of files: what their hosts say in headers, and what their bytes have. Pure."""

from __future__ import annotations

import binascii
import hashlib
import re
import zlib
from collections.abc import Iterator
from functools import partial, reduce
from io import BufferedReader, FileIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multidict import MultiMapping

_BLOCK = 1024 * 1024
"""Bytes that are read at a time."""
_DIGEST_BYTES = {"sha512": 64, "sha256": 32, "sha1": 20, "md5": 16, "crc32": 4}
_PAIR = re.compile(r"(?<![a-z0-9-])([a-z0-9-]+) *= *:?([a-z0-9+/]+=*):?", re.IGNORECASE)
"""A name and its checksum. No name begins within another, so that each letter is read once."""
_OF_MANY_HASHES = "Repr-Digest", "Content-Digest", "Digest", "x-goog-hash"
"""Headers in which each checksum has the name of its hash (RFC 9530; RFC 3230 before it)."""
_OF_ONE_HASH = {
    "Content-MD5": "md5",  # RFC 1864
    "x-ms-blob-content-md5": "md5",
    "x-amz-checksum-sha256": "sha256",
    "x-amz-checksum-sha1": "sha1",
    "x-amz-checksum-crc32": "crc32",
}


def checksum_of(headers: MultiMapping[str]) -> str | None:
    """Return the checksum of a file, as `NAME:HEX`; None where there is none that can be checked.

    An `ETag` is none: of an upload in parts, or of what is encrypted, it only looks like an MD5.

    Args:
        headers: Those of a response with the whole file in it.
    """
    for name, text in _checksums_in(headers):
        try:
            digest = binascii.a2b_base64(text.strip(), strict_mode=True)
        except ValueError:
            continue
        if len(digest) == _DIGEST_BYTES.get(name):
            return f"{name}:{digest.hex()}"
    return None


def _checksums_in(headers: MultiMapping[str]) -> Iterator[tuple[str, str]]:
    """Yield the hashes that headers name, and the checksums in base64."""
    for header in _OF_MANY_HASHES:
        for name, text in _PAIR.findall(", ".join(headers.getall(header, ()))):
            yield name.lower().replace("-", ""), text
    for header, name in _OF_ONE_HASH.items():
        yield name, headers.get(header, "")


def checksum_in(like: str, file: BufferedReader[FileIO], _: int) -> str:
    """Return the checksum of a whole file, by the hash of another checksum."""
    name = like.partition(":")[0]
    file.seek(0)
    if name == "crc32":
        blocks = iter(partial(file.read, _BLOCK), b"")
        return f"crc32:{reduce(lambda value, block: zlib.crc32(block, value), blocks, 0):08x}"
    found = hashlib.file_digest(file, partial(hashlib.new, name, usedforsecurity=False))
    return f"{name}:{found.hexdigest()}"
