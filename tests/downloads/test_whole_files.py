"""Files that are whole for HTTP, and cut off by what their own structure says; and the reverse."""

from __future__ import annotations

import base64
from pathlib import Path
from urllib.parse import quote

import pytest

from aitoearn_async import DownloadError, Image, ImageTask, VideoTask
from aitoearn_async._downloads.filenames import SUFFIXES
from tests.containers.samples import SAMPLES, SVG
from tests.support.raw_server import FIN, ID, RawServer, Script, http, say

from .storage import UNPROVED, address, client_for, cut, etag_of, film_at, names, serve

TOLD = ["PNG", "JPEG", "GIF", "WebP", "AVIF", "TIFF", "MP4", "MP4, moov first", "WebM", "AVI"]
KEPT = [name for name, sample in SAMPLES.items() if sample.media_type in SUFFIXES]


def made_of(name: str, url: str) -> ImageTask | VideoTask:
    if SAMPLES[name].media_type.startswith("image/"):
        return ImageTask(log_id=ID, status="success", images=[Image(url=url)])
    return VideoTask(id=ID, status="SUCCESS", video_url=url)


def chunked(content: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(content), content)


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", KEPT)
async def test_every_container_is_saved_with_its_own_suffix(name: str, tmp_path: Path) -> None:
    content = SAMPLES[name].make()
    async with RawServer(say(http(content))) as server, client_for(server) as client:
        (path,) = await client.download(made_of(name, address(server)), tmp_path)
    assert path.suffix == SUFFIXES[SAMPLES[name].media_type]
    assert path.read_bytes() == content


@pytest.mark.parametrize("name", TOLD)
async def test_a_cut_file_is_fetched_again(name: str, tmp_path: Path) -> None:
    """Whichever way HTTP says that it is whole; and nothing but the whole one gets a name."""
    content = SAMPLES[name].make()
    half = content[: len(content) // 2]
    scripts = say(http(half)), say(chunked(half)), say(http(content))
    async with RawServer(*scripts) as server, client_for(server) as client:
        (path,) = await client.download(made_of(name, address(server)), tmp_path)
        assert server.count == 3
    assert path.read_bytes() == content
    assert names(tmp_path) == [path.name]


@pytest.mark.parametrize("name", TOLD)
async def test_what_proves_itself_whole_needs_no_length(name: str, tmp_path: Path) -> None:
    """The connection's end is the file's, where the file says so too."""
    content = SAMPLES[name].make()
    script = say(b'HTTP/1.0 200 OK\r\nETag: "1"\r\n\r\n' + content, FIN)
    async with RawServer(script) as server, client_for(server) as client:
        (path,) = await client.download(made_of(name, address(server)), tmp_path)
        assert server.count == 1
    assert path.read_bytes() == content


WAYS: dict[str, tuple[Script, ...]] = {
    "with a length": (say(http(SVG[:-20])),),
    "in chunks": (say(chunked(SVG[:-20])),),
    "to the end of the connection": (say(b"HTTP/1.0 200 OK\r\n\r\n" + SVG[:-20], FIN),),
}


@pytest.mark.parametrize("scripts", WAYS.values(), ids=WAYS)
async def test_a_file_that_stays_cut_is_no_result(
    scripts: tuple[Script, ...], tmp_path: Path
) -> None:
    """It is fetched three times, and not for as long as there is time: it may be large."""
    async with RawServer(*scripts) as server, client_for(server) as client:
        with pytest.raises(DownloadError, match=r"cut off: its [\d,]+ bytes") as caught:
            await client.download(made_of("SVG", address(server)), tmp_path)
        assert server.count == 3
    assert caught.value.transient
    assert names(tmp_path) == []


URIS = {
    "base64": "data:image/svg+xml;base64," + base64.b64encode(SVG).decode(),
    "capitals": "DATA:image/svg+xml;BASE64," + base64.b64encode(SVG).decode(),
    "percent-encoded": "data:image/svg+xml," + quote(SVG),
    "with a charset": "data:image/svg+xml;charset=utf-8," + quote(SVG),
    "raw": "data:image/svg+xml;utf8," + SVG.decode(),
    "for addresses": "data:;base64," + base64.urlsafe_b64encode(SVG).decode(),
    "encoded twice": "data:;base64," + quote(base64.b64encode(SVG).decode(), safe=""),
    "blanks before it": "  data:;base64," + base64.b64encode(SVG).decode(),
}


@pytest.mark.parametrize("uri", URIS.values(), ids=URIS)
async def test_a_data_uri_of_any_kind_is_a_file(uri: str, tmp_path: Path) -> None:
    async with RawServer() as server, client_for(server) as client:
        for image in (Image(url=uri), Image(b64_json=uri)):
            made = ImageTask(log_id=ID, status="success", images=[image])
            (path,) = await client.download(made, tmp_path)
            assert path.suffix == ".svg"
            assert path.read_bytes().strip() == SVG.strip()
            path.unlink()
        assert server.count == 0


async def test_a_film_in_the_address_is_a_file(tmp_path: Path) -> None:
    content = SAMPLES["MP4"].make()
    uri = "data:video/mp4;base64," + base64.b64encode(content).decode()
    async with RawServer() as server, client_for(server) as client:
        (path,) = await client.download(made_of("MP4", uri), tmp_path)
        assert server.count == 0
    assert path.read_bytes() == content


async def test_a_rest_that_is_shorter_than_it_says_is_not_the_rest(tmp_path: Path) -> None:
    """Its chunks end in order, and its structure does not tell: the range that it names does."""
    tag, total = etag_of(UNPROVED), len(UNPROVED)
    head = (
        f"HTTP/1.1 206 Partial Content\r\nETag: {tag}\r\nTransfer-Encoding: chunked\r\n"
        f"Content-Range: bytes 2000-{total - 1}/{total}\r\n\r\n"
    ).encode()
    some = head + b"%x\r\n%b\r\n0\r\n\r\n" % (1000, UNPROVED[2000:3000])
    scripts = cut(2000, UNPROVED), say(some), serve(UNPROVED)
    async with RawServer(*scripts) as server, client_for(server) as client:
        (path,) = await client.download(film_at(address(server)), tmp_path)
        assert server.heard[1].header("Range") == "bytes=2000-"
    assert path.read_bytes() == UNPROVED
