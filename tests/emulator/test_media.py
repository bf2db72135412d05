"""The files the emulator makes, read by the decoders of others, and how it serves them."""

from __future__ import annotations

import io

import aiohttp
import av
import pytest
from PIL import Image

from aitoearn_async import AnyRef
from aitoearn_async._containers.examine import examine
from aitoearn_async._containers.media_types import media_types_of
from aitoearn_async._containers.reader import Completeness
from aitoearn_async.emulator import Emulator, Fault
from aitoearn_async.emulator.pictures import FILM_BYTES, mp4, png

from .talk import Reply


def test_a_picture() -> None:
    """A PNG that Pillow reads to its end, one of a kind by its name."""
    with Image.open(io.BytesIO(png("one"))) as picture:
        picture.load()  # which checks the sum of each chunk
        assert (picture.format, picture.mode, picture.size) == ("PNG", "RGB", (64, 64))
        assert picture.info == {"Title": "one"}
    assert media_types_of(png("one")) == ("image/png",)
    assert png("one") == png("one") != png("two")


def test_a_film() -> None:
    """An MP4 that ffmpeg's libraries decode to its end, with its name in the last box."""
    data = mp4("one")
    with av.open(io.BytesIO(data), "r") as film:
        frames = list(film.decode(video=0))
        assert film.duration == 2 * av.time_base
    assert len(frames) > 1
    assert {(frame.width, frame.height, frame.key_frame) for frame in frames} == {(32, 32, True)}
    assert data.rpartition(b"free")[2].startswith(b"one\0")
    assert len(data) == FILM_BYTES
    assert examine(io.BytesIO(data), len(data)) == ("video/mp4", Completeness.WHOLE)
    assert mp4("one") == mp4("one") != mp4("two")


async def fetch(url: str, method: str = "GET", **headers: str) -> Reply:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, url, headers=sent, allow_redirects=False) as got,
    ):
        return Reply(got.status, got.headers, await got.read())


async def test_it_is_served_from_its_success_on(service: Emulator) -> None:
    """Without a key; and the addresses that a task names are those."""
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
async def test_parts(service: Emulator, asked: str, status: int, part: slice) -> None:
    url = service.media_url(service.add_video("SUCCESS"))
    whole = await fetch(url)
    got = await fetch(url, Range=asked, If_Range=whole.headers["ETag"])
    assert (got.status, got.body) == (status, whole.body[part])
    if status == 206:
        first, last = part.start, part.start + len(got.body) - 1
        assert got.headers["Content-Range"] == f"bytes {first}-{last}/{len(whole.body)}"


async def test_changed_content(service: Emulator) -> None:
    """Another content has another tag, and If-Range of the old one brings all of it."""
    ref = service.add_video("SUCCESS")
    before = (await fetch(service.media_url(ref))).headers["ETag"]
    service.set_media(ref, b"something else")
    got = await fetch(service.media_url(ref), Range="bytes=5-", If_Range=before)
    assert (got.status, got.body) == (200, b"something else")
    assert got.headers["ETag"] != before
    with pytest.raises(KeyError):
        service.set_media(type(ref)("none"), b"")


async def test_faults_of_files_are_faults_of_files(service: Emulator) -> None:
    """They meet requests for files, of one task or of any, and no poll; and the other way."""
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
