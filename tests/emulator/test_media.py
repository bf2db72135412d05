"""The files the emulator makes, read by parsers of these tests' own, and how it serves them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import aiohttp
import pytest

from aitoearn_async import AnyRef
from aitoearn_async._containers.media_types import media_types_of
from aitoearn_async.emulator import Emulator, Fault
from aitoearn_async.emulator.pictures import FILM_BYTES, mp4, png

from .talk import Reply


def chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at = 8
    while at < len(data):
        (size,) = struct.unpack_from(">I", data, at)
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        (check,) = struct.unpack_from(">I", data, at + 8 + size)
        assert check == zlib.crc32(kind + body)
        yield kind, body
        at += 12 + size
    assert at == len(data)


def test_a_picture() -> None:
    """A PNG whose checksums are right, with as many rows as it says, one of a kind by its name."""
    parts = list(chunks(png("one")))
    assert [kind for kind, _ in parts] == [b"IHDR", b"tEXt", b"IDAT", b"IEND"]
    width, height, depth, colour, *rest = struct.unpack(">IIBBBBB", parts[0][1])
    assert (width, height, depth, colour, rest) == (64, 64, 8, 2, [0, 0, 0])
    assert parts[1][1] == b"Title\0one"
    rows = zlib.decompress(parts[2][1])
    assert len(rows) == height * (1 + 3 * width)
    assert set(rows[:: 1 + 3 * width]) == {0}
    assert media_types_of(png("one")) == ("image/png",)
    assert png("one") == png("one") != png("two")


CONTAINERS = {b"moov", b"trak", b"mdia", b"minf", b"dinf", b"stbl"}


def boxes(data: bytes, offset: int = 0) -> Iterator[tuple[bytes, int, bytes]]:
    """Every box: its kind, where its body begins in the file, and the body."""
    at = 0
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        assert 8 <= size <= len(data) - at, kind
        body = data[at + 8 : at + size]
        yield kind, offset + at + 8, body
        if kind in CONTAINERS:
            yield from boxes(body, offset + at + 8)
        at += size
    assert at == len(data)


def test_a_film() -> None:
    """An MP4 whose index leads to every frame, each of them whole, with its name at the end."""
    data = mp4("one")
    found = {kind: (start, body) for kind, start, body in boxes(data)}
    assert [kind for kind, _, _ in boxes(data)][:2] == [b"ftyp", b"moov"]
    scale, length = struct.unpack_from(">II", found[b"mdhd"][1], 12)
    assert length / scale == 2.0
    (count,) = struct.unpack_from(">I", found[b"stsz"][1], 8)
    sizes = struct.unpack_from(f">{count}I", found[b"stsz"][1], 12)
    assert struct.unpack(">4I", found[b"stts"][1])[2:] == (count, length // count)
    (start,) = struct.unpack_from(">I", found[b"stco"][1], 8)
    assert start == found[b"mdat"][0]
    assert sum(sizes) == len(found[b"mdat"][1])
    for size in sizes:
        (unit,) = struct.unpack_from(">I", data, start)
        assert unit == size - 4
        assert data[start + 4] & 0x1F == 5, "each frame stands alone"
        assert b"\0\0\0" not in data[start + 4 : start + size]
        start += size
    assert b"avc1" in found[b"stsd"][1]
    width, height = struct.unpack_from(">II", found[b"tkhd"][1], 76)
    assert (width >> 16, height >> 16) == (32, 32)
    assert found[b"free"][1].startswith(b"one\0")
    assert len(data) == FILM_BYTES
    assert media_types_of(data)[0] == "video/mp4"
    assert mp4("one") == mp4("one") != mp4("two")


async def fetch(url: str, method: str = "GET", **headers: str) -> Reply:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, url, headers=sent, allow_redirects=False) as got,
    ):
        return Reply(got.status, got.headers, await got.read())


async def test_it_is_served_from_its_success_on() -> None:
    """Without a key; and the addresses that a task names are those."""
    async with Emulator() as service:
        refs: list[AnyRef] = [service.add_image("success"), service.add_video("SUCCESS")]
        for ref, content in zip(refs, (png, mp4), strict=True):
            got = await fetch(service.media_url(ref))
            assert (got.status, got.body) == (200, content(f"{ref}-1"))
            assert got.headers["Content-Length"] == str(len(got.body))
        running = service.add_image("generating")
        assert (await fetch(service.media_url(running))).status == 404
        for path in ("/media/", "/media/image/", "/media/image/../1.png", "/media/sound/66/1.mp4"):
            assert (await fetch(service.url + path)).status == 404
        assert all(request.media for request in service.requests)
        assert [request.ref for request in service.requests[:2]] == refs


RANGES = [
    ("bytes=0-", 206, slice(0, None)),
    ("bytes=100-", 206, slice(100, None)),
    ("bytes=100-199", 206, slice(100, 200)),
    ("bytes=100-9999999", 206, slice(100, None)),
    ("bytes=9999999-", 416, slice(0, 0)),
    ("bytes=-5", 200, slice(None)),
    ("lines=1-2", 200, slice(None)),
]


@pytest.mark.parametrize(("asked", "status", "part"), RANGES)
async def test_parts(asked: str, status: int, part: slice) -> None:
    async with Emulator() as service:
        url = service.media_url(service.add_video("SUCCESS"))
        whole = await fetch(url)
        got = await fetch(url, Range=asked, If_Range=whole.headers["ETag"])
        assert (got.status, got.body) == (status, whole.body[part])
        if status == 206:
            first, last = part.start, part.start + len(got.body) - 1
            assert got.headers["Content-Range"] == f"bytes {first}-{last}/{len(whole.body)}"


async def test_changed_content() -> None:
    """Another content has another tag, and If-Range of the old one brings all of it."""
    async with Emulator() as service:
        ref = service.add_video("SUCCESS")
        before = (await fetch(service.media_url(ref))).headers["ETag"]
        service.set_media(ref, b"something else")
        got = await fetch(service.media_url(ref), Range="bytes=5-", If_Range=before)
        assert (got.status, got.body) == (200, b"something else")
        assert got.headers["ETag"] != before
        with pytest.raises(KeyError):
            service.set_media(type(ref)("none"), b"")


async def test_faults_of_files_are_faults_of_files() -> None:
    """They meet requests for files, of one task or of any, and no poll; and the other way."""
    async with Emulator() as service:
        ref, other = service.add_image("success"), service.add_image("success")
        service.fault(Fault(status=403), ref, media=True)
        service.fault(Fault(redirect="https://elsewhere.example/"), media=True)
        service.fault(Fault(status=502), ref)
        poll = f"{service.url}/api/ai/image/task/{ref.id}"
        key = {"X_Api_Key": service.api_key}
        assert (await fetch(service.media_url(other))).status == 302
        assert (await fetch(service.media_url(ref))).status == 403
        assert (await fetch(service.media_url(ref))).status == 200
        assert (await fetch(poll, **key)).status == 502
        assert (await fetch(poll, **key)).status == 200
