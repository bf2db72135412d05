"""A local file is signed for, put to the store without the key, confirmed, and then sent."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitoearn_async import (
    AiToEarnError,
    ApiError,
    Client,
    ClientClosedError,
    ContractError,
    EditImage,
    GenerateVideo,
    SubmitUncertainError,
    UploadError,
)
from aitoearn_async._api import uploader
from aitoearn_async._uploads import content
from aitoearn_async._uploads.content import opened
from aitoearn_async.emulator import Emulator, Fault, VirtualTimeLoop
from tests.support.raw_server import (
    FIN,
    KEY,
    RST,
    STALL,
    Heard,
    Line,
    RawServer,
    Script,
    envelope,
    http,
    say,
)

from .stores import SECRET, TAKEN, Put, Service, Store, answers, length_of

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
MP3 = b"ID3\x04" + bytes(20)
MP4 = b"\x00\x00\x00\x18ftypisom" + bytes(12)
BIG = PNG + bytes(3_000_000)


def edit(image: Any, **fields: Any) -> EditImage:
    return EditImage(model="gpt-image-2", prompt="x", image=image, **fields)


async def pieces(*content: bytes) -> AsyncIterator[bytes]:
    for piece in content:
        await asyncio.sleep(0)
        yield piece


class UploadFile:
    """A file as web frameworks hand it over."""

    async def read(self, size: int = -1) -> bytes:
        raise AssertionError


async def test_every_kind_of_source_arrives(tmp_path: Path) -> None:
    path = tmp_path / "secret name.gif"
    path.write_bytes(PNG + b"path")
    async with Store() as store, Service(store) as service, service.client() as client:
        with path.open("rb") as file:
            file.seek(0)
            await client.submit(
                edit([path, PNG, io.BytesIO(PNG + b"io"), file, pieces(PNG, b"", b"stream")])
            )
        kept = {each.digest for each in store.kept}
        contents = [PNG + b"path", PNG, PNG + b"io", PNG + b"stream"]
        assert kept == {hashlib.sha256(content).hexdigest() for content in contents}
        (sent,) = service.submits
        assert all(address.startswith(f"{store.url}/") for address in sent["image"])
        assert SECRET not in json.dumps(sent)
        assert sent["image"][3] == sent["image"][0]
        assert {(each["filename"], each["type"]) for each in service.signed} == {
            ("image.png", "temp")
        }
        assert {each.media_type for each in store.kept} == {"image/png"}
        assert len(service.confirmed) == 4


@pytest.mark.parametrize("buffer", [bytearray, memoryview])
async def test_a_buffer_is_uploaded_as_bytes_are(buffer: Callable[[bytes], Any]) -> None:
    async with Store() as store, Service(store) as service, service.client() as client:
        await client.upload(buffer(PNG))
        assert [kept.digest for kept in store.kept] == [hashlib.sha256(PNG).hexdigest()]


async def test_a_video_request_has_addresses_in_all_its_fields() -> None:
    request = GenerateVideo(
        model="m",
        prompt="p",
        image=PNG,
        image_tail="data:image/png;base64,iVBORw0KGgo=",
        images=[PNG + b"1", "https://example.com/a.png"],
        videos=[MP4],
        audios=[MP3],
        video_url=MP4 + b"2",
    )
    async with Store() as store, Service(store) as service, service.client() as client:
        await client.submit(request)
        (sent,) = service.submits
        assert "data:" not in json.dumps(sent)
        assert sent["images"][1] == "https://example.com/a.png"
        assert isinstance(sent["videos"], list)
        names = sorted(each["filename"] for each in service.signed)
        assert names == ["audio.mp3", *["image.png"] * 3, *["video.mp4"] * 2]
        assert sorted(each["size"] for each in service.signed) == sorted(
            each.size for each in store.kept
        )


async def test_the_store_never_sees_the_key() -> None:
    async with Store(answers(503)) as store, Service(store) as service, service.client() as client:
        assert await client.upload(PNG) == f"{store.url}/{1:024x}"
        heads = b"".join(store.heads)
        assert len(store.heads) == 2
        assert KEY.encode() not in heads
        assert b"api-key" not in heads.lower()
        assert b"x-request-id" not in heads.lower()
        assert KEY.encode() in b"".join(service.heads)


async def test_the_same_bytes_are_uploaded_once(tmp_path: Path) -> None:
    path = tmp_path / "cat.png"
    path.write_bytes(PNG)
    forms: list[bytes | Path | str] = [PNG, path, str(path)]
    async with Store() as store, Service(store) as service, service.client() as client:
        found = await asyncio.gather(*(client.upload(each) for each in forms * 3))
        assert len(set(found)) == len(store.kept) == 1
        await asyncio.sleep(3590)
        assert await client.upload(PNG) == found[0]
        assert len(store.kept) == 1, "for an hour"
        await asyncio.sleep(11)
        await client.upload(PNG)
        assert len(store.kept) == 2


async def test_an_address_grows_old_while_the_machine_sleeps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The client's clock stands still then; the wall's does not."""
    async with Store() as store, Service(store) as service, service.client() as client:
        await client.upload(PNG)
        woken = time.time() + 3600
        monkeypatch.setattr(time, "time", lambda: woken)
        await client.upload(PNG)
        assert len(store.kept) == 2


async def test_uploads_of_the_same_bytes_fail_together(tmp_path: Path) -> None:
    """In the time of one, each with the name of its own file."""
    paths = [tmp_path / f"{number}.png" for number in range(5)]
    for path in paths:
        path.write_bytes(PNG)
    plans = [answers(503)] * uploader.ATTEMPTS
    async with Store(*plans) as store, Service(store) as service, service.client() as client:
        calls = (client.upload(path) for path in paths)
        errors = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(error) for error in errors} == {UploadError}
        for path, error in zip(paths, errors, strict=True):
            assert path.name in str(error)
        assert len(store.heads) == uploader.ATTEMPTS
        await client.upload(paths[0])
        assert len(store.kept) == 1


async def test_an_open_file_is_read_from_where_it_stands(tmp_path: Path) -> None:
    """As a picture behind a header of somebody's own is."""
    path = tmp_path / "cat.bin"
    path.write_bytes(b"a header" + PNG)
    async with Store() as store, Service(store) as service, service.client() as client:
        with path.open("rb") as file:
            assert file.read(8) == b"a header"
            await client.upload(file)
        assert [each.digest for each in store.kept] == [hashlib.sha256(PNG).hexdigest()]


async def test_a_data_uri_is_of_the_type_that_it_says() -> None:
    """Its author knows, where nothing else tells: a sound may be of a kind unknown here."""
    address = "data:audio/x-new;base64,AAECAwQFBgcICQ=="
    request = GenerateVideo(model="m", prompt="p", audios=[address])
    async with Store() as store, Service(store) as service, service.client() as client:
        await client.submit(request)
        assert [each.media_type for each in store.kept] == ["audio/x-new"]


@pytest.mark.parametrize(
    "said", ["codecs=vp8,opus;base64", 'codecs="vp8, opus";base64', "base64;a=b"]
)
async def test_a_data_uri_is_read_as_browsers_write_it(said: str) -> None:
    """What follows its first comma may be a parameter."""
    text = base64.encodebytes(PNG).decode()
    async with Store() as store, Service(store) as service, service.client() as client:
        await client.upload(f"data:video/webm;{said},{text}")
        assert [each.digest for each in store.kept] == [hashlib.sha256(PNG).hexdigest()]
        assert [each.media_type for each in store.kept] == ["video/webm"]


@pytest.mark.parametrize("said", ["image/png\r\nX-Other: 1", "image/p\0g", "image/", "text/plain"])
async def test_a_type_that_no_file_can_have_is_not_believed(said: str) -> None:
    """It would have to stand in a header."""
    uri = f"data:{said};base64,iVBORw0KGgo="
    async with Store() as store, Service(store) as service, service.client() as client:
        await client.upload(uri)
        assert [each.media_type for each in store.kept] == ["image/png"]


async def test_a_large_body_gets_more_time_than_a_request() -> None:
    """A second for each 128 KiB, so that a slow line can carry it."""

    class Slow(Service):
        async def answer(self, head: bytes, line: Line) -> bool:
            if length_of(head) > 1_000_000:
                await asyncio.sleep(37)
            return await super().answer(head, line)

    async with Store() as store, Slow(store) as service, service.client(attempts=1) as client:
        await client.submit(edit(PNG + bytes(786_432)), upload="never")  # a MiB in base64: 8 s
        assert len(service.submits) == 1


async def test_the_oldest_address_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is remembered does not grow with the files."""
    monkeypatch.setattr(uploader, "_MOST_REMEMBERED", 2)
    async with Store() as store, Service(store) as service, service.client() as client:
        for content in (b"1", b"2", b"3", b"3", b"2", b"1"):
            await client.upload(PNG + content)
        assert len(store.kept) == 4


async def test_bytes_that_are_uploaded_already_are_told_as_done() -> None:
    """Progress says so at once."""
    told: list[tuple[int, int | None]] = []
    async with Store() as store, Service(store) as service, service.client() as client:
        await client.upload(PNG)
        await client.upload(PNG, progress=lambda done, of: told.append((done, of)))
        assert told == [(len(PNG), len(PNG))]


@pytest.mark.parametrize("confirmation", [{}, {"url": None}, {"url": "temp/1.png"}])
async def test_the_address_of_the_signature_stands_in(confirmation: dict[str, Any]) -> None:
    """A confirmation may say nothing that is an address."""
    async with Store() as store, Service(store) as service, service.client() as client:
        service.confirmation = confirmation
        assert await client.upload(PNG) == f"{store.url}/{1:024x}"


async def test_a_confirmation_without_any_address() -> None:
    """The service breaks its word, and nothing is submitted."""
    async with Store() as store, Service(store) as service, service.client() as client:
        service.confirmation, service.signed_address = {}, "temp/1.png"
        with pytest.raises(ContractError, match="without an address"):
            await client.submit(edit(PNG))
        assert service.submits == []


async def test_a_store_is_left_alone_as_long_as_it_asks() -> None:
    """Its `Retry-After` counts, whatever the backoff."""
    plan = answers(503, **{"Retry-After": "40"})
    async with Store(plan) as store, Service(store) as service, service.client() as client:
        began = asyncio.get_running_loop().time()
        await client.upload(PNG)
        assert 40 <= asyncio.get_running_loop().time() - began < 50


async def test_a_store_that_redirects_for_ever() -> None:
    """It is given up after some hops."""
    plans = [answers(307, Location=f"/{n}") for n in range(30)]
    async with Store(*plans) as store, Service(store) as service, service.client() as client:
        with pytest.raises(UploadError, match="HTTP 307"):
            await client.upload(PNG)
        assert len(store.heads) < 30


async def test_a_stream_of_many_pieces() -> None:
    """Small and large ones, in a plain async iterable that is no generator."""

    class Stream:
        def __init__(self) -> None:
            self.left = [PNG, bytes(300_000), b"", bytes(300_000), b"x"]

        def __aiter__(self) -> Stream:
            return self

        async def __anext__(self) -> bytes:
            if not self.left:
                raise StopAsyncIteration
            return self.left.pop(0)

    async with Store() as store, Service(store) as service, service.client() as client:
        await client.upload(Stream())
        assert store.kept[0].size == len(PNG) + 600_001


async def test_a_stream_that_gives_lines_may_have_none() -> None:
    """The output of a process, or the body of an answer, is no text."""
    content = PNG + bytes(2_000_000)
    reader = asyncio.StreamReader()
    reader.feed_data(content)
    reader.feed_eof()
    async with (
        RawServer(say(http(content))) as server,
        aiohttp.ClientSession() as session,
        session.get(server.url) as response,
    ):
        for stream in (reader, response.content):
            async with Store() as store, Service(store) as service, service.client() as client:
                await client.upload(stream)
                assert store.kept[0].digest == hashlib.sha256(content).hexdigest()


async def test_a_copy_that_finds_no_room_says_where() -> None:
    """Nobody has named the directory of temporary files, which may be a small one."""
    resource = pytest.importorskip("resource")
    most = resource.getrlimit(resource.RLIMIT_FSIZE)
    async with Store() as store, Service(store) as service, service.client() as client:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, most[1]))
        try:
            with pytest.raises(OSError, match=re.escape(repr(tempfile.gettempdir()))):
                await client.upload(pieces(BIG))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, most)
        assert service.heads == []


async def test_a_stream_that_is_too_large_is_left_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not read to its end, which it may not have."""
    given = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal given
        yield PNG
        while True:
            given += 1
            yield bytes(100_000)

    monkeypatch.setattr(content, "MOST_BYTES", 1_000_000)
    with pytest.raises(ValueError, match="larger than the 1,000,000 bytes"):
        async with opened(endless(), "it", field="image", medium=None):
            pass
    assert given < 20


async def test_a_file_may_have_a_gibibyte(tmp_path: Path) -> None:
    """And not a byte more."""
    path = tmp_path / "large.png"
    path.write_bytes(PNG)
    for size, fits in ((2**30, True), (2**30 + 1, False)):
        os.truncate(path, size)  # takes no room on the disk
        with contextlib.nullcontext() if fits else pytest.raises(ValueError, match="larger than"):
            async with opened(path, "it", field="image", medium=None) as content:
                assert content.size == 2**30


async def test_a_few_go_at_the_same_time() -> None:
    slow = Put((http(),), pause=1.0)
    async with (
        Store(*[slow] * 10) as store,
        Service(store) as service,
        service.client() as client,
    ):
        await asyncio.gather(*(client.upload(PNG + bytes([n])) for n in range(10)))
        assert store.most_at_once == 4


async def test_one_goes_after_a_crowd_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """The threads that read files have ended meanwhile, and one of them is begun again."""
    monkeypatch.setattr("aitoearn_async._runtime.threads._IDLE_SECONDS", 0.01)
    async with Store() as store, Service(store) as service, service.client() as client:
        await asyncio.gather(*(client.upload(PNG + bytes([n])) for n in range(100)))
        while any("uploads" in each.name for each in threading.enumerate()):  # noqa: ASYNC110
            await asyncio.sleep(0)
        assert await client.upload(PNG + b"another")
        assert len(store.kept) == 101


async def test_a_file_whose_read_stops_as_an_iterator_does() -> None:
    """That is a mistake, and the call ends with it."""

    class Pieces(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return next(parts)

    parts = iter([PNG])
    async with Store() as store, Service(store) as service, service.client() as client:
        with pytest.raises(RuntimeError, match="StopIteration"):
            await client.upload(Pieces())
        assert store.heads == []


FORKED = """
import asyncio, os
from aitoearn_async import Client
from aitoearn_async.emulator import Emulator

async def upload():
    async with (
        Emulator() as service,
        Client(service.api_key, base_url=service.url, private_media=True) as client,
        asyncio.timeout(100),
    ):
        assert await client.upload(b"\\x89PNG\\r\\n\\x1a\\n" + bytes(20))

asyncio.run(upload())
child = os.fork()
asyncio.run(upload())
assert not child or os.waitpid(child, 0)[1] == 0
"""


def test_a_forked_process_reads_files_as_well() -> None:
    """It has none of the threads that read them before."""
    subprocess.run([sys.executable, "-c", FORKED], check=True, timeout=250)


async def test_progress_is_told() -> None:
    told: list[tuple[int, int | None]] = []
    async with Store() as store, Service(store) as service, service.client() as client:
        await client.upload(BIG, progress=lambda done, of: told.append((done, of)))
        assert told[-1] == (len(BIG), len(BIG))
        assert told == sorted(told)
        assert len(told) > 5


async def test_an_async_progress_is_refused_before_anything_is_sent() -> None:
    """Nobody would await it: that is found at the call, and not when the first bytes go out."""

    async def show(done: int, of: int | None) -> None:
        raise AssertionError

    hook: Any = show
    async with Store() as store, Service(store) as service, service.client() as client:
        for call in (
            client.upload(PNG, progress=hook),
            client.submit(edit(PNG), progress=hook),
            client.run(edit(PNG), progress=hook),
            anext(client.watch(edit(PNG), progress=hook)),
        ):
            with pytest.raises(TypeError, match="give a function that is not async"):
                await call
        assert service.heads == store.heads == []


@pytest.mark.parametrize("how", ["submit", "run", "watch"])
async def test_the_files_of_a_submit_are_told_as_one(how: str) -> None:
    """The bytes of all of them, also of those that are there already, and begin again."""
    told: list[tuple[int, int | None]] = []
    sources = [BIG + b"1", BIG + b"2", BIG + b"2", PNG, "https://example.com/a.png"]
    size = 3 * (len(BIG) + 1) + len(PNG)
    failing = Put((RST,), read=1_000_000)
    async with Store(failing) as store, Service(store) as service, service.client() as client:
        await client.upload(PNG) if how == "submit" else None
        options: dict[str, Any] = {"progress": lambda *of: told.append(of)}
        if how == "submit":
            await client.submit(edit(sources), **options)
        elif how == "run":
            with pytest.raises(AiToEarnError):
                await client.run(edit(sources), patience=0, **options)
        else:
            with pytest.raises(AiToEarnError):
                await anext(client.watch(edit(sources), patience=0, **options))
        assert len(service.submits) == 1
        assert told[-1] == (size, size)
        assert {of for _, of in told} == {size}
        assert all(0 <= sent <= size for sent, _ in told)
        assert len(told) > 10


async def test_nothing_is_told_of_files_that_are_not_uploaded() -> None:
    """They go in the request itself, with it."""
    told: list[tuple[int, int | None]] = []
    async with Store() as store, Service(store) as service, service.client() as client:
        await client.submit(edit(PNG), upload="never", progress=lambda *of: told.append(of))
        await client.submit(edit("https://example.com/a.png"), progress=lambda *of: told.append(of))
        assert told == []
        assert len(service.submits) == 2


async def test_what_the_progress_of_a_submit_raises_ends_it() -> None:
    """Nothing is submitted then; and an async function is refused before anything is sent."""

    def stop(sent: int, of: int | None) -> None:
        raise LookupError("enough")

    async def forgotten(sent: int, of: int | None) -> None:
        pass

    async with Store() as store, Service(store) as service, service.client() as client:
        with pytest.raises(LookupError, match="enough"):
            await client.submit(edit([BIG, PNG]), progress=stop)
        with pytest.raises(TypeError, match="progress="):
            await client.submit(edit(PNG), progress=cast(Any, forgotten))
        assert service.submits == []


@pytest.mark.parametrize("error", [LookupError, ConnectionResetError, TimeoutError])
async def test_what_progress_raises_ends_the_upload(error: type[Exception]) -> None:
    """Also what a line raises: it may report to a socket of its own."""
    calls: list[int] = []

    def stop(done: int, of: int | None) -> None:
        calls.append(done)
        raise error("enough")

    async with Store() as store, Service(store) as service, service.client() as client:
        with pytest.raises(error, match="enough"):
            await client.upload(BIG, progress=stop)
        assert store.kept == []
    assert len(calls) == 1


async def test_an_upload_takes_the_same_memory_whatever_the_size(tmp_path: Path) -> None:
    path = tmp_path / "large.mp4"
    with path.open("wb") as file:
        file.write(MP4)
        file.truncate(24 * 2**20)  # sparse
    async with Store() as store, Service(store) as service, service.client() as client:
        await client.upload(PNG)
        tracemalloc.start()
        await client.upload(path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert store.kept[-1].size == 24 * 2**20
        assert peak < 6 * 2**20


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    "plan",
    [
        *map(answers, (400, 408, 409, 411, 425, 429, 500, 503, 599)),
        Put((RST,), read=0),
        Put((FIN,), read=100_000),
        Put((RST,), read=1_000_000),
        Put((b"HTTP/1.1 200 OK\r\n", RST)),
        Put((STALL,)),
        Put((STALL,), read=5),
    ],
)
async def test_a_put_that_failed_is_tried_again(plan: Put) -> None:
    async with Store(plan, plan) as store, Service(store) as service, service.client() as client:
        await client.submit(edit(BIG))
        assert store.kept[-1].digest == hashlib.sha256(BIG).hexdigest()
        assert len(service.submits) == 1
        assert len(service.signed) == 1


async def test_a_signature_that_is_refused_is_renewed() -> None:
    async with Store(answers(403)) as store, Service(store) as service, service.client() as client:
        await client.upload(PNG)
        assert len(service.signed) == 2
        assert service.confirmed == [f"{2:024x}"]


async def test_a_store_may_redirect_a_put() -> None:
    async with (
        Store() as other,
        Store(
            answers(307, Location="/elsewhere?x=1"), answers(308, Location=f"{other.url}/there")
        ) as store,
        Service(store) as service,
        service.client() as client,
    ):
        with pytest.raises(AiToEarnError):
            await client.upload(PNG)  # confirmed by none, as it is at another store
        assert other.kept[0].path == "/there"
        assert b"/elsewhere?x=1" in store.heads[1]
        assert KEY.encode() not in b"".join([*store.heads, *other.heads])


@pytest.mark.parametrize("target", ["file:///etc/passwd", "http://user:pass@127.0.0.1/x"])
async def test_a_redirect_to_nowhere_good_is_not_followed(target: str) -> None:
    async with (
        Store(answers(307, Location=target)) as store,
        Service(store) as service,
        service.client() as client,
    ):
        with pytest.raises(UploadError, match="the address"):
            await client.upload(PNG)


async def test_a_slow_store_has_its_time() -> None:
    slow = Put((http(),), pause=1.0)
    async with Store(slow) as store, Service(store) as service, service.client() as client:
        await client.upload(BIG)
        assert len(store.heads) == len(store.kept) == 1


async def test_a_store_that_goes_on_refusing() -> None:
    async with (
        Store(*[answers(503)] * 9) as store,
        Service(store) as service,
        service.client() as client,
    ):
        with pytest.raises(UploadError, match="HTTP 503") as caught:
            await client.submit(edit(BIG), upload="always")
        assert caught.value.transient
        assert SECRET not in str(caught.value)
        assert SECRET not in repr(caught.value.__cause__) + repr(caught.value.__context__)
        assert service.submits == []
        assert len(store.heads) == 5


async def test_where_the_store_fails_a_picture_goes_in_the_request(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Unlike a file in a video request, which the store's refusal then ends."""
    async with (
        Store(*[answers(404)] * 9) as store,
        Service(store) as service,
        service.client() as client,
    ):
        await client.submit(edit(PNG))
        assert service.submits[0]["image"].startswith("data:image/png;base64,")
        assert "HTTP 404" in caplog.text
        assert "Nothing was submitted" not in caplog.text
        with pytest.raises(UploadError, match="HTTP 404"):
            await client.submit(GenerateVideo(model="m", prompt="p", image=PNG))
        assert len(service.submits) == 1


async def test_an_internal_store_is_not_met_unless_allowed() -> None:
    async with (
        Store() as store,
        Service(store) as service,
        service.client(private_media=False) as client,
    ):
        with pytest.raises(UploadError, match="internal network"):
            await client.upload(PNG)
        assert store.heads == []


async def test_a_refusal_of_the_service_is_told_as_one() -> None:
    refusals = {"uploadSign": [12752]}
    async with Store() as store, Service(store, refusals) as service, service.client() as client:
        with pytest.raises(ApiError) as caught:
            await client.submit(edit(PNG))
        assert caught.value.code == 12752
        assert (service.submits, store.heads) == ([], [])


async def test_signing_and_confirming_are_repeated() -> None:
    trouble = {"uploadSign": [500], "confirm": [500]}
    async with Store() as store, Service(store, trouble) as service, service.client() as client:
        await client.upload(PNG)
        assert len(store.kept) == len(service.confirmed) == 1


async def test_a_file_that_changes_under_the_upload(tmp_path: Path) -> None:
    path = tmp_path / "cat.png"
    path.write_bytes(BIG)

    def change(done: int, of: int | None) -> None:
        with path.open("r+b") as file:
            file.seek(2_900_000)
            file.write(b"changed")

    async with Store() as store, Service(store) as service, service.client() as client:
        with pytest.raises(ValueError, match="was changed while it was read"):
            await client.upload(path, progress=change)
        assert store.kept == []
        assert service.confirmed == []


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (b"", "no bytes"),
        (b"<html>", "not an image or audio or a video; its content is nothing known"),
        (io.BytesIO(), "is empty"),
        (io.StringIO("x"), "binary mode"),
        (UploadFile(), r"its read\(\) is async"),
        (5, "give an address"),
        ("https://example.com/a.png", "an address already"),
        ("data:image/png;base64,A?", "base64 is wrong"),
        ("iVBORw0KGgo" * 400, r"^.{0,300}too long for a path; give base64 as a data: URI"),
    ],
)
async def test_what_is_not_uploaded(source: Any, said: str) -> None:
    async with Store() as store, Service(store) as service, service.client() as client:
        with pytest.raises(ValueError, match=said):
            await client.upload(source)
        assert service.heads == []


async def test_files_are_looked_at_before_the_first_goes(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    async with Store() as store, Service(store) as service, service.client() as client:
        for wrong in (MP3, tmp_path / "empty.png", tmp_path / "none.png", pieces(b"x", b"y")):
            with pytest.raises((ValueError, OSError)):
                await client.submit(edit([PNG, wrong]))
        with pytest.raises(ValueError, match="upload='sometimes'"):
            await client.submit(edit(PNG), upload=cast(Any, "sometimes"))
        assert service.heads == []


async def test_a_service_without_uploads_is_asked_once() -> None:
    async with (
        Emulator(routes=["submits", "image", "models"]) as service,
        Client(service.api_key, base_url=service.url) as client,
    ):
        for _ in range(2):
            ref = await client.submit(edit(PNG))
        image = ((await client.get(ref)).request or {})["image"]
        assert image.startswith("data:image/png;base64,")
        assert sum("uploadSign" in each.path for each in service.requests) == 1
        with pytest.raises(UploadError, match="no route for uploads"):
            await client.upload(PNG)
        with pytest.raises(UploadError, match="no route for uploads"):
            await client.submit(edit(PNG), upload="always")


@pytest.mark.parametrize("status", [404, 405])
async def test_a_gateway_without_the_route_says_so_in_its_own_words(status: int) -> None:
    page = http(b"<html>no such page</html>", status, {"Content-Type": "text/html"})
    receipt = http(envelope({"logId": "1" * 24, "status": "generating"}))

    def choose(heard: Heard) -> Script:
        return say(page if "assets" in heard.path else receipt)

    async with RawServer(choose=choose) as server, server.client() as client:
        for _ in range(2):
            await client.submit(edit(PNG))
        assert sum("assets" in path.path for path in server.heard) == 1


async def test_what_cannot_arrive_without_uploads_is_refused_before_it_is_paid() -> None:
    async with (
        Emulator(routes=["submits", "image", "models"]) as service,
        Client(service.api_key, base_url=service.url) as client,
    ):
        with pytest.raises(ValueError, match=r"^<13,.* has no route.* http\(s\) address"):
            await client.submit(edit(PNG + bytes(13_000_000)))
        service.routes.discard("models")  # nobody knows whose the model is
        with pytest.raises(ValueError, match=r"would not reach the provider of veo-3\.1"):
            await client.submit(GenerateVideo(model="veo-3.1", prompt="p", image=PNG))
        service.routes.add("models")
        for model in ("sora-2", "doubao-seedance-2-0", "wan2.6-i2v", "unknown"):
            with pytest.raises(ValueError, match=f"would not reach the provider .*{model}"):
                await client.submit(GenerateVideo(model=model, prompt="p", image=PNG))
        with pytest.raises(ValueError, match='upload="never" was given'):
            await client.submit(
                GenerateVideo(model="sora-2", prompt="p", image=PNG), upload="never"
            )
        assert service.created == []
        await client.submit(GenerateVideo(model="veo-3.1", prompt="p", image=PNG))
        assert len(service.created) == 1


async def test_a_data_uri_is_left_alone_where_none_is_uploaded() -> None:
    uri = "data:image/png;base64,AAAA"
    async with Store() as store, Service(store) as service, service.client() as client:
        await client.submit(GenerateVideo(model="m", prompt="p", image=uri), upload="never")
        assert service.submits[0]["image"] == uri
        with pytest.raises(ValueError, match="base64 is wrong"):
            await client.submit(edit("data:image/png;base64,A?"))


async def test_uploads_of_the_emulator_are_made_and_read() -> None:
    async with (
        Emulator() as service,
        Client(service.api_key, base_url=service.url, private_media=True) as client,
    ):
        service.fault(Fault(status=503), media=True)
        ref = await client.submit(GenerateVideo(model="doubao-seedance-2-0", prompt="p", image=BIG))
        assert (await client.wait_for(ref)).status == "SUCCESS"
        puts = [each for each in service.requests if each.media]
        assert [each.method for each in puts] == ["PUT", "PUT"]
        assert all(service.api_key not in repr(each.headers) for each in puts)


async def test_a_source_whose_own_task_was_cancelled_is_blamed(aitoearn_client: Client) -> None:
    """The call was not: a task group would pass over it in silence."""

    async def chunks() -> AsyncIterator[bytes]:
        yield PNG
        cancelled = asyncio.ensure_future(asyncio.sleep(60))
        cancelled.cancel()
        await cancelled

    with pytest.raises(RuntimeError, match=r"the source of .* was cancelled"):
        await aitoearn_client.upload(chunks())


@pytest.mark.parametrize("where", ["opening", "signing", "putting", "confirming", "waiting"])
@pytest.mark.parametrize("how", ["cancelled", "closed"])
async def test_an_upload_that_is_left_leaves_nothing(where: str, how: str) -> None:
    """No task, no open file, no half a picture that is confirmed: whatever it was doing."""

    async def silent() -> AsyncIterator[bytes]:
        yield PNG
        await asyncio.get_running_loop().create_future()

    plans = [Put((STALL,), read=5)] * 9 if where in ("putting", "waiting") else []
    codes = {"signing": {"uploadSign": [500] * 9}, "confirming": {"confirm": [500] * 9}}
    async with Store(*plans) as store, Service(store, codes.get(where, {})) as service:
        async with service.client(attempts=9) as client:
            sources = [BIG + bytes([n]) for n in range(9 if where == "waiting" else 1)]
            source: Any = silent() if where == "opening" else sources
            call = asyncio.ensure_future(client.submit(edit(source)))
            await asyncio.sleep(1.0)
            assert not call.done()
            await client.aclose() if how == "closed" else call.cancel()
            await asyncio.wait([call])
            if how == "closed":
                assert isinstance(call.exception(), ClientClosedError)
            else:
                assert call.cancelled()
        assert service.submits == []
        assert service.confirmed == []


codes = st.lists(st.sampled_from([500, 503, 429, 408]), max_size=2)
ends = st.sampled_from([FIN, RST, STALL])
puts = st.one_of(
    st.just(TAKEN),
    st.builds(lambda status: answers(status), st.sampled_from([400, 403, 404, 500, 503])),
    st.builds(lambda end, read: Put((end,), read=read), ends, st.integers(0, 3_000_000)),
    st.builds(lambda end: Put((http()[:20], end)), ends),
)


@given(plans=st.lists(puts, max_size=7), sign=codes, confirm=codes, is_video=st.booleans())
def test_a_call_makes_one_task_at_most(
    plans: list[Put], sign: list[int], confirm: list[int], is_video: bool
) -> None:
    """Whatever happens to an upload, there is one submit, or an error that says there is none."""

    async def once() -> None:
        async with (
            Store(*plans) as store,
            Service(store, {"uploadSign": sign, "confirm": confirm}) as service,
            service.client() as client,
        ):
            request = GenerateVideo(model="m", prompt="p", image=BIG) if is_video else edit(BIG)
            try:
                ref = await client.submit(request)
            except SubmitUncertainError:
                pytest.fail("no upload makes a submit uncertain")
            except AiToEarnError:
                assert service.submits == []
            else:
                assert len(service.submits) == 1
                assert ref.id == f"{1:024x}"
                sent = service.submits[0]["image"]
                assert sent.startswith("data:" if not store.kept else store.url) or not is_video
            assert KEY.encode() not in b"".join(store.heads)

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(once())
