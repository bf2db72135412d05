"""Small real pictures and films, made on the spot: a PNG, and H.264 in an MP4.

Bytes out of a name: the same name gives the same file, and another name other colours. Nothing
is compressed but by zlib, so every step can be read here; players and decoders take them all.
"""

from __future__ import annotations

import hashlib
import struct
import zlib

_SIDE = 64
"""Pixels of a picture's side."""
_BLOCKS = 2
"""Of a film's side, 16 pixels each."""
_FRAMES = 12
_FRAMES_PER_SECOND = 6


def png(name: str) -> bytes:
    """A PNG of 64 by 64 pixels: a slope between two colours."""
    one, other = _colours(name)
    rows = bytearray()
    for y in range(_SIDE):
        rows.append(0)  # the row is stored as it is
        for x in range(_SIDE):
            share = (x + y) / (2 * _SIDE)
            rows += bytes(round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    head = struct.pack(">IIBBBBB", _SIDE, _SIDE, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(bytes(rows))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in parts)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _colours(name: str) -> tuple[bytes, bytes]:
    digest = hashlib.sha256(name.encode()).digest()
    return digest[:3], digest[3:6]


def mp4(name: str) -> bytes:
    """An MP4 of two seconds, 32 by 32 pixels: one colour that turns into another."""
    one, other = _colours(name)
    frames = [
        _frame(
            number, [round(a + (b - a) * number / _FRAMES) for a, b in zip(one, other, strict=True)]
        )
        for number in range(_FRAMES)
    ]
    data = b"".join(frames)
    kind = _box(b"ftyp", b"isom", 0x200, b"isomiso2avc1mp41")
    # Where the frames begin stands in the index, which stands before them: made once to know
    # its size, and once more with it.
    start = len(kind) + len(_moov(frames, 0)) + 8
    return kind + _moov(frames, start) + _box(b"mdat", data)


# The box that holds the index. Times are in frames.


def _box(kind: bytes, *parts: bytes | int | tuple[int, ...]) -> bytes:
    """A box: bytes as they are, an int as 32 bits, a tuple of ints as 16 bits each."""
    body = b""
    for part in parts:
        if isinstance(part, int):
            part = struct.pack(">I", part)
        elif isinstance(part, tuple):
            part = struct.pack(f">{len(part)}H", *part)
        body += part
    return struct.pack(">I", len(body) + 8) + kind + body


_MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)


def _moov(frames: list[bytes], start: int) -> bytes:
    pixels = 16 * _BLOCKS
    times = (0, 0, 0, _FRAMES_PER_SECOND, len(frames))  # version, created, changed, scale, length
    mvhd = _box(
        b"mvhd",
        *times,
        0x10000,
        (0x100, 0),
        0,
        0,
        _MATRIX,
        bytes(24),
        2,  # the next track
    )
    tkhd = _box(
        *(b"tkhd", 3, 0, 0, 1, 0, len(frames), 0, 0, (0, 0, 0, 0), _MATRIX),
        *(pixels << 16, pixels << 16),
    )
    mdhd = _box(b"mdhd", *times, (0x55C4, 0))  # "und"
    hdlr = _box(b"hdlr", 0, 0, b"vide", bytes(12), b"film\0")
    dinf = _box(b"dinf", _box(b"dref", 0, 1, _box(b"url ", 1)))
    avc1 = _box(
        *(b"avc1", bytes(6), (1,), bytes(16), (pixels, pixels), 72 << 16, 72 << 16, 0),
        *((1,), bytes(32), (24, 0xFFFF), _avcc()),
    )
    stbl = _box(
        b"stbl",
        _box(b"stsd", 0, 1, avc1),
        _box(b"stts", 0, 1, len(frames), 1),
        _box(b"stsc", 0, 1, 1, len(frames), 1),
        _box(b"stsz", 0, 0, len(frames), *map(len, frames)),
        _box(b"stco", 0, 1, start),
    )
    minf = _box(b"minf", _box(b"vmhd", 1, (0, 0, 0, 0)), dinf, stbl)
    mdia = _box(b"mdia", mdhd, hdlr, minf)
    return _box(b"moov", mvhd, _box(b"trak", tkhd, mdia))


def _avcc() -> bytes:
    sps, pps = _sps(), _pps()
    sizes = struct.pack(">H", len(sps)), struct.pack(">H", len(pps))
    head = bytes([1, *sps[1:4], 0xFF, 0xE1])
    return _box(b"avcC", head, sizes[0], sps, b"\x01", sizes[1], pps)


# The pictures of a film: H.264, every block of every frame as it is (I_PCM).


class _Bits:
    """Numbers as H.264 writes them, one bit after the other."""

    def __init__(self) -> None:
        self._bits = ""

    def fixed(self, value: int, size: int) -> _Bits:
        """A number in so many bits."""
        self._bits += f"{value:0{size}b}"
        return self

    def golomb(self, *values: int) -> _Bits:
        """Numbers in as many bits as they need."""
        for value in values:
            plain = f"{value + 1:b}"
            self._bits += "0" * (len(plain) - 1) + plain
        return self

    def aligned(self, last: str = "") -> bytes:
        """The bytes so far, filled up with zeros."""
        bits = self._bits + last
        bits += "0" * (-len(bits) % 8)
        return int(bits, 2).to_bytes(len(bits) // 8, "big")


def _sps() -> bytes:
    bits = _Bits().fixed(66, 8).fixed(0xC0, 8).fixed(10, 8)  # constrained baseline, level 1
    bits.golomb(0, 0, 2, 0).fixed(0, 1).golomb(_BLOCKS - 1, _BLOCKS - 1).fixed(0b1100, 4)
    return _unit(0x67, bits.aligned("1"))


def _pps() -> bytes:
    bits = _Bits().golomb(0, 0).fixed(0, 2).golomb(0, 0, 0).fixed(0, 3).golomb(0, 0, 0)
    return _unit(0x68, bits.fixed(0b100, 3).aligned("1"))


def _frame(number: int, colour: list[int]) -> bytes:
    """One frame, with its length before it."""
    red, green, blue = colour
    luma = 16 + (66 * red + 129 * green + 25 * blue) // 256
    cb = 128 + (-38 * red - 74 * green + 112 * blue) // 256
    cr = 128 + (112 * red - 94 * green - 18 * blue) // 256
    samples = bytes([luma] * 256 + [cb] * 64 + [cr] * 64)
    # A slice: the first block, all of it intra, and no two neighbours of the same number.
    head = _Bits().golomb(0, 7, 0).fixed(0, 4).golomb(number % 2).fixed(0, 2).golomb(0, 1)
    data = head.golomb(25).aligned() + samples
    data += (_Bits().golomb(25).aligned() + samples) * (_BLOCKS**2 - 1)
    unit = _unit(0x65, data + b"\x80")
    return struct.pack(">I", len(unit)) + unit


def _unit(kind: int, data: bytes) -> bytes:
    """A unit of the stream: no three bytes in it that could pass for the start of another."""
    safe = bytearray()
    zeros = 0
    for byte in data:
        if zeros == 2 and byte <= 3:
            safe.append(3)
            zeros = 0
        safe.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return bytes([kind]) + bytes(safe)
