"""Checksums that stores send with a file: what has another one is fetched again."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import zlib
from collections.abc import Iterable
from pathlib import Path

import pytest

from aitoearn_async import DownloadError, VideoTask
from tests.support.raw_server import FIN, ID, STALL, Heard, Part, RawServer, Script, http, say

from .storage import (
    FILM,
    OTHER,
    UNPROVED,
    address,
    client_for,
    cut,
    etag_of,
    film_at,
    names,
    serve,
)

SPOILT = FILM[:300_000] + bytes(100_000) + FILM[400_000:]
"""Zeros in the middle: the structure is whole."""


def text_of(name: str, content: bytes = FILM) -> str:
    """Return a hash in base64."""
    if name == "crc32":
        return base64.b64encode(zlib.crc32(content).to_bytes(4, "big")).decode()
    return base64.b64encode(hashlib.new(name, content).digest()).decode()


MD5, SHA256, SHA512 = text_of("md5"), text_of("sha256"), text_of("sha512")

SAID: dict[str, tuple[str, str]] = {
    "RFC 9530, of the file": ("Repr-Digest", f"sha-256=:{SHA256}:"),
    "RFC 9530, of the content": ("Content-Digest", f"sha-257=:AAA=:, sha-512=:{SHA512}:"),
    "RFC 3230": ("Digest", f"SHA-256={SHA256},MD5={MD5}"),
    "RFC 1864": ("Content-MD5", MD5),
    "Google's": ("x-goog-hash", f"crc32c=n03x6A==,md5={MD5}"),
    "Google's, in two headers": ("x-goog-hash", f"crc32c=n03x6A==\r\nx-goog-hash: md5={MD5}"),
    "Azure's": ("x-ms-blob-content-md5", MD5),
    "S3's": ("x-amz-checksum-sha256", SHA256),
    "S3's CRC": ("x-amz-checksum-crc32", text_of("crc32")),
}
IGNORED: dict[str, tuple[str, str]] = {
    "nothing": ("Content-MD5", ""),
    "in hex": ("Content-MD5", hashlib.md5(OTHER).hexdigest()),
    "no base64": ("Content-MD5", "n/a"),
    "too short": ("Content-MD5", "AAAA"),
    "of the parts of an upload": ("x-amz-checksum-sha256", f"{text_of('sha256', OTHER)}-7"),
    "a hash that Python does not have": ("x-goog-hash", "crc32c=n03x6A=="),
    "another name": ("Repr-Digest", f"sha-257=:{text_of('sha256', OTHER)}:"),
    "a tag that looks like one": ("ETag", etag_of(OTHER)),
    "of what was packed": ("Content-MD5", f"{text_of('md5', OTHER)}\r\nContent-Encoding: gzip"),
}


def film(content: bytes, name: str, value: str, **headers: str) -> Script:
    return say(http(content, headers={**headers, name: value}))


async def saved(tmp_path: Path, *scripts: Script) -> tuple[bytes, int]:
    """Return the file that these answers come to, and how many of them it took."""
    async with RawServer(*scripts) as server, client_for(server) as client:
        (path,) = await client.download(film_at(address(server)), tmp_path)
        assert names(tmp_path) == [path.name]
        return path.read_bytes(), server.count


@pytest.mark.parametrize(("name", "value"), SAID.values(), ids=SAID)
async def test_a_file_that_fits_is_fetched_once(name: str, value: str, tmp_path: Path) -> None:
    assert await saved(tmp_path, film(FILM, name, value)) == (FILM, 1)


@pytest.mark.parametrize(("name", "value"), SAID.values(), ids=SAID)
async def test_a_file_that_does_not_is_fetched_again(name: str, value: str, tmp_path: Path) -> None:
    """Though its length and its structure are those of a whole one."""
    spoilt, right = film(SPOILT, name, value), film(FILM, name, value)
    assert await saved(tmp_path, spoilt, right) == (FILM, 2)


async def test_a_large_file_that_fits_is_fetched_once(tmp_path: Path) -> None:
    """Its checksum is made of several pieces."""
    large = FILM * 3
    assert await saved(tmp_path, film(large, "Content-MD5", text_of("md5", large))) == (large, 1)


@pytest.mark.parametrize(("name", "value"), IGNORED.values(), ids=IGNORED)
async def test_what_tells_nothing_is_ignored(name: str, value: str, tmp_path: Path) -> None:
    assert await saved(tmp_path, film(FILM, name, value)) == (FILM, 1)


async def test_the_same_bytes_twice_are_the_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The checksum is wrong, as that of an image is which a CDN has made smaller.

    Its host is said to be one whose checksums are wrong, once, and they are ignored from then on.
    """
    wrong = film(FILM, "Content-MD5", text_of("md5", OTHER))
    async with RawServer(wrong) as server, client_for(server) as client:
        with caplog.at_level(logging.WARNING):
            for number, count in enumerate((2, 3, 4)):
                task = VideoTask(id=f"{ID}{number}", status="SUCCESS", video_url=address(server))
                (path,) = await client.download(task, tmp_path)
                assert path.read_bytes() == FILM
                assert server.count == count
    assert [record.getMessage() for record in caplog.records] == [
        "127.0.0.1 sends checksums that its files do not have: they are ignored from now on"
    ]


PASSING: dict[str, Script] = {
    "429": say(http(b"", 429)),
    "503": say(http(b"", 503)),
    "the connection ends": say(b"", FIN),
}


@pytest.mark.parametrize("validator", [{}, {"ETag": etag_of(SPOILT)}], ids=["no ETag", "an ETag"])
@pytest.mark.parametrize("trouble", PASSING.values(), ids=PASSING)
async def test_trouble_with_the_second_fetch_is_no_proof_of_the_first(
    trouble: Script, validator: dict[str, str], tmp_path: Path
) -> None:
    """It passes, and the file is fetched again; the spoilt bytes never get its name."""
    spoilt, right = film(SPOILT, "Content-MD5", MD5, **validator), film(FILM, "Content-MD5", MD5)
    assert await saved(tmp_path, spoilt, trouble, right) == (FILM, 3)


@pytest.mark.parametrize("body", [b"<html>please wait</html>", b""], ids=["a page", "nothing"])
async def test_a_page_in_place_of_the_second_fetch_is_no_proof_of_the_first(
    body: bytes, tmp_path: Path
) -> None:
    """The task is polled for another address, and the file is fetched again."""
    spoilt, right = film(SPOILT, "Content-MD5", MD5), film(FILM, "Content-MD5", MD5)
    content, _ = await saved(tmp_path, spoilt, say(http(body)), right)
    assert content == FILM


async def test_the_same_bytes_again_after_such_trouble_are_the_file(tmp_path: Path) -> None:
    """The checksum is wrong, and the host was busy between the two."""
    wrong = film(FILM, "Content-MD5", text_of("md5", OTHER), ETag=etag_of(FILM))
    assert await saved(tmp_path, wrong, PASSING["503"], wrong) == (FILM, 3)


@pytest.mark.parametrize("status", [403, 404])
async def test_a_file_that_cannot_be_fetched_again_is_kept(status: int, tmp_path: Path) -> None:
    """An address may be good for one request, and the checksum may be wrong."""
    wrong = film(FILM, "Content-MD5", text_of("md5", OTHER))
    assert await saved(tmp_path, wrong, say(http(b"", status))) == (FILM, 2)


async def test_a_second_fetch_that_breaks_off_is_gone_on_with(tmp_path: Path) -> None:
    """Its bytes are those that came before, and the checksum is wrong."""
    said = {"Content-MD5": text_of("md5", OTHER), "ETag": etag_of(FILM)}
    whole = http(FILM, headers=said)
    broken = say(whole[:300_000], 0.01, FIN)
    assert await saved(tmp_path, say(whole), broken, serve()) == (FILM, 3)


async def test_a_second_fetch_that_breaks_off_is_not_taken_for_the_file(tmp_path: Path) -> None:
    """Nothing but its length tells that it is not whole."""
    whole = http(
        UNPROVED, headers={"Content-MD5": text_of("md5", OTHER), "ETag": etag_of(UNPROVED)}
    )
    broken = say(whole[:-99], 0.01, FIN)
    assert await saved(tmp_path, say(whole), broken, serve(UNPROVED)) == (UNPROVED, 3)


async def test_a_file_in_two_parts_is_checked_as_a_whole(tmp_path: Path) -> None:
    """By the checksum that came with the first; that of a rest may be of the rest alone."""
    said = {"Content-MD5": MD5, "ETag": etag_of(FILM)}
    broken = say(http(SPOILT, headers=said)[:500_000], 0.01, FIN)
    rest = serve(FILM, **{"Content-MD5": text_of("md5", b"the rest")})
    assert await saved(tmp_path, broken, rest, serve(FILM, **{"Content-MD5": MD5})) == (FILM, 3)


async def test_what_never_fits_is_an_error(tmp_path: Path) -> None:
    """Other bytes each time: nobody can say which of them are the file's."""

    def other(heard: Heard) -> Iterable[Part]:
        spoilt = FILM[:300_000] + bytes([heard.number + 1]) * 1000 + FILM[301_000:]
        return [http(spoilt, headers={"Content-MD5": MD5, "ETag": etag_of(spoilt)})]

    async with RawServer(other) as server, client_for(server) as client:
        with pytest.raises(DownloadError, match="its checksum") as caught:
            await client.download(film_at(address(server)), tmp_path)
    assert caught.value.transient
    assert names(tmp_path) == []


async def test_a_checksum_proves_an_end_that_nothing_else_tells(tmp_path: Path) -> None:
    """Neither its host says how long the file is, nor the file."""
    head = f"HTTP/1.1 200 OK\r\nContent-MD5: {text_of('md5', UNPROVED)}\r\n\r\n".encode()
    cut, whole = say(head + UNPROVED[:-99], FIN), say(head + UNPROVED, FIN)
    assert await saved(tmp_path, cut, whole) == (UNPROVED, 2)


async def test_a_part_with_a_hash_of_a_later_version_is_begun_anew(tmp_path: Path) -> None:
    """Whoever goes back to this version has such parts on the disk."""
    kept = tmp_path / f".video-{ID}.part.json"
    async with RawServer(cut(300_000, end=STALL), serve()) as server:
        async with client_for(server) as client:
            with pytest.raises(DownloadError):
                await client.download(film_at(address(server)), tmp_path, timeout=5)
        metadata = {**json.loads(kept.read_bytes()), "checksum": "blake9:00"}
        kept.write_text(json.dumps(metadata))
        async with client_for(server) as client:
            (path,) = await client.download(film_at(address(server)), tmp_path)
        assert path.read_bytes() == FILM
        assert server.count == 2
