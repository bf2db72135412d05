"""Downloads: what ends up on the disk, and what goes over the wire for it."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import functools
import pickle
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import aiohttp
import pytest

from aitoearn_async import (
    Client,
    ClientClosedError,
    DownloadError,
    Image,
    ImageTask,
    MediaAddressError,
    VideoTask,
)
from aitoearn_async.emulator import Emulator, Fault
from aitoearn_async.emulator.pictures import mp4
from tests.containers import producers
from tests.support.clock import ROUNDING
from tests.support.raw_server import (
    FIN,
    ID,
    KEY,
    RST,
    STALL,
    Heard,
    Part,
    RawServer,
    Script,
    envelope,
    http,
    refuse,
    say,
    task,
    together,
)

from .storage import (
    FILM,
    OTHER,
    PICTURE,
    SECRET,
    UNPROVED,
    address,
    client_for,
    cut,
    etag_of,
    film_at,
    names,
    picture_at,
    serve,
)

NAME = f"video-{ID}.mp4"
PART = f".video-{ID}.part"
NOTE = f"{PART}.json"
PAGE = b"<!doctype html><title>Sign in</title>" * 100


async def download(directory: Path, *scripts: Script, **options: object) -> RawServer:
    """Save a film from a server of these scripts, and see that it is there."""
    async with RawServer(*scripts) as server, client_for(server) as client:
        paths = await client.download(film_at(address(server)), directory, **options)  # type: ignore[arg-type]
        assert paths == [directory / NAME]
        assert names(directory) == [NAME]
        return server


async def failure(directory: Path, *scripts: Script, **options: object) -> DownloadError:
    """What saving a film comes to, of which the service names the same address again."""
    left = list(scripts)

    def choose(heard: Heard) -> Script:
        if heard.path.startswith("/api/"):
            data = task("SUCCESS", kind="video", videoUrl=address(server))
            return say(http(envelope(data)))
        return left.pop(0) if len(left) > 1 else left[0]

    async with RawServer(choose=choose) as server, client_for(server) as client:
        film = film_at(address(server))
        with pytest.raises(DownloadError) as caught:
            await client.download(film, directory, **{"timeout": 60.0, **options})  # type: ignore[arg-type]
        assert caught.value.task == film
        assert caught.value.ref == film.ref
        assert_says_no_secret(caught.value)
        assert NAME not in names(directory)
        return caught.value


def assert_says_no_secret(error: DownloadError) -> None:
    shown = (
        "".join(traceback.format_exception(error)) + repr(error) + str(vars(error).get("message"))
    )
    assert SECRET not in shown
    assert "/store/" not in shown
    assert KEY not in shown
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.task, again.transient) == (str(error), error.task, error.transient)


async def test_a_film(tmp_path: Path) -> None:
    """It is there, byte for byte, under a name of the task's; one request, and no key in it."""
    server = await download(tmp_path, serve())
    assert (tmp_path / NAME).read_bytes() == FILM
    assert server.count == 1
    heard = server.heard[0]
    assert heard.header("Accept-Encoding") == "identity"
    assert heard.header("Range") is None
    assert heard.path == f"/store/there.bin?{SECRET}"
    assert KEY.encode() not in server.raw
    assert b"x-api-key" not in server.raw.lower()


async def test_a_session_of_the_callers_is_for_the_service(tmp_path: Path) -> None:
    """Files are fetched without it, and with nothing of what it adds."""
    mine = {"Authorization": "Bearer mine", "X-Api-Key": "mine", "Cookie": "mine=1"}
    async with aiohttp.ClientSession(headers=mine) as session, Emulator() as service:
        async with RawServer(serve()) as server:
            options = {"session": session, "base_url": service.url, "private_media": True}
            async with Client(service.api_key, **options) as client:  # type: ignore[arg-type]
                await client.download(film_at(address(server)), tmp_path)
                await client.get(service.add_image())
            assert b"mine" not in server.raw
            assert service.api_key.encode() not in server.raw
        assert service.requests[0].headers["Authorization"] == "Bearer mine"
        assert not session.closed


async def test_pictures_of_all_sources(tmp_path: Path) -> None:
    """Addresses, base64 and data URIs alike, in order; what has neither is left out."""
    inline = base64.b64encode(PICTURE).decode()
    jpeg = b"\xff\xd8\xff" + bytes(300_000)
    async with RawServer(serve(PICTURE)) as server, client_for(server) as client:
        made = ImageTask(
            log_id=ID,
            status="success",
            images=[
                Image(url=address(server)),
                Image(url=""),
                Image(b64_json=inline, url="https://never.example/"),
                Image(url=f"data:image/png;base64,{inline}"),
                Image(b64_json=base64.b64encode(jpeg).decode()),
                Image(url=f"data:image/png;base64,{quote(inline, safe='')}"),
            ],
        )
        paths = await client.download(made, tmp_path / "new" / "one")
    stems = [f"image-{ID}-1.png", f"image-{ID}-3.png", f"image-{ID}-4.png"]
    stems += [f"image-{ID}-5.jpg", f"image-{ID}-6.png"]
    assert [path.name for path in paths] == stems
    assert [path.read_bytes() for path in paths] == [PICTURE] * 3 + [jpeg, PICTURE]
    assert names(tmp_path / "new" / "one") == stems
    assert server.count == 1


async def test_one_picture_that_cannot_be_saved(tmp_path: Path) -> None:
    """The others are, whatever is wrong with it; and then that is said."""

    def store(heard: Heard) -> Iterable[Part]:
        return serve(PICTURE)(heard) if "good" in heard.path else [http(b"\x00" * 2000)]

    async with RawServer(store) as server, client_for(server) as client:
        images = [Image(url=f"{server.url}/{name}") for name in ("zero", "good", "zero", "good")]
        images.insert(0, Image(url="ftp://example.org/"))
        made = ImageTask(log_id=ID, status="success", images=images)
        with pytest.raises(MediaAddressError, match="no http"):
            await client.download(made, tmp_path)
        assert server.count == 4
    assert names(tmp_path) == [f"image-{ID}-3.png", f"image-{ID}-5.png"]


async def test_a_complete_file_is_left_alone(tmp_path: Path) -> None:
    """What is there costs no request, whatever it is by now."""
    (tmp_path / NAME).write_bytes(b"the user's own cut")
    server = await download(tmp_path, serve())
    assert server.count == 0
    assert (tmp_path / NAME).read_bytes() == b"the user's own cut"


@pytest.mark.parametrize("end", [FIN, RST], ids=["fin", "rst"])
async def test_it_goes_on_where_it_broke_off(end: object, tmp_path: Path) -> None:
    """What came is not asked for again: Range, and If-Range with the version it is of."""
    server = await download(tmp_path, cut(300_000, end=end), cut(200_000, end=end), serve())  # type: ignore[arg-type]
    assert (tmp_path / NAME).read_bytes() == FILM
    ranges = [heard.header("Range") for heard in server.heard]
    assert ranges[0] is None
    begins = [int(asked.removeprefix("bytes=").removesuffix("-")) for asked in ranges[1:] if asked]
    assert len(begins) == 2
    assert 0 < begins[0] <= 300_000
    assert begins[0] < begins[1] <= 500_000
    assert {heard.header("If-Range") for heard in server.heard[1:]} == {etag_of(FILM)}


@pytest.mark.parametrize("new", [20_000, 300_000])
@pytest.mark.parametrize("begin", [FILM, OTHER])
async def test_a_host_that_now_sends_all_of_a_file_again(
    begin: bytes, new: int, tmp_path: Path
) -> None:
    """What was there stays until there is more of that version; of another one, nothing does."""
    again = cut(new, begin, end=STALL)
    kept = 500_000 if begin is FILM else new

    def ignores_range(heard: Heard) -> Iterable[Part]:
        return again(dataclasses.replace(heard, headers=()))

    scripts = cut(500_000, end=STALL), ignores_range, serve(begin)
    async with RawServer(*scripts) as server, client_for(server) as client:
        for _ in range(2):
            call = asyncio.create_task(client.download(film_at(address(server)), tmp_path))
            await asyncio.sleep(1)
            call.cancel()
            await asyncio.wait([call])
        assert server.heard[1].header("Range") == "bytes=500000-"
        assert (tmp_path / PART).read_bytes() == begin[:kept]
        await client.download(film_at(address(server)), tmp_path)
        assert server.heard[2].header("Range") == f"bytes={kept}-"
    assert (tmp_path / NAME).read_bytes() == begin


async def test_the_next_call_goes_on(tmp_path: Path) -> None:
    """A call that was cancelled leaves what it has, hidden; the next one goes on with it."""
    async with RawServer(cut(500_000, end=STALL), serve()) as server, client_for(server) as client:
        film = film_at(address(server))
        first = asyncio.create_task(client.download(film, tmp_path))
        await asyncio.sleep(1)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        assert first.cancelled()
        assert names(tmp_path) == [PART, NOTE]
        assert SECRET not in (tmp_path / NOTE).read_text()
        size = (tmp_path / PART).stat().st_size
        assert 256 * 1024 <= size <= 500_000
        # Signed anew: the same file at what is left of its address.
        assert await client.download(film_at(address(server) + "2"), tmp_path) == [tmp_path / NAME]
        assert server.heard[1].header("Range") == f"bytes={size}-"
        await asyncio.sleep(1)
        assert server.open == 0
    assert names(tmp_path) == [NAME]
    assert (tmp_path / NAME).read_bytes() == FILM


async def test_less_than_a_block_is_gone_on_with(tmp_path: Path) -> None:
    """What has come when the time is over is kept, though it was not to be written yet."""
    async with RawServer(cut(100_000, end=STALL), serve()) as server, client_for(server) as client:
        with pytest.raises(DownloadError, match="not complete"):
            await client.download(film_at(address(server)), tmp_path, timeout=5)
        size = (tmp_path / PART).stat().st_size
        assert 0 < size <= 100_000
        await client.download(film_at(address(server)), tmp_path)
        assert server.heard[1].header("Range") == f"bytes={size}-"
    assert (tmp_path / NAME).read_bytes() == FILM


async def test_a_page_in_between(tmp_path: Path) -> None:
    """Something else in place of the rest is not written, and costs nothing of what is there."""
    page = say(http(PAGE, headers={"Content-Type": "text/html"}))
    scripts = [cut(500_000, end=STALL), page, serve()]

    def choose(heard: Heard) -> Script:
        if heard.path.startswith("/api/"):
            data = task("SUCCESS", kind="video", videoUrl=address(server))
            return say(http(envelope(data)))
        return scripts.pop(0)

    async with RawServer(choose=choose) as server, client_for(server) as client:
        film = film_at(address(server))
        with pytest.raises(DownloadError, match="not complete"):
            await client.download(film, tmp_path, timeout=5)
        size = (tmp_path / PART).stat().st_size
        with pytest.raises(DownloadError, match="no video but text"):
            await client.download(film, tmp_path, timeout=0.1)
        assert (tmp_path / PART).stat().st_size == size
        await client.download(film, tmp_path)
        assert server.heard[-1].header("Range") == f"bytes={size}-"
    assert (tmp_path / NAME).read_bytes() == FILM


async def test_a_page_without_an_end(tmp_path: Path) -> None:
    """What is no film is known by its beginning, and not read on."""
    endless = [http(PAGE[:100], length=10**9), *[PAGE, 1.0] * 50]
    began = asyncio.get_running_loop().time()
    error = await failure(tmp_path, say(*endless), timeout=4)  # type: ignore[arg-type]
    assert "no video" in str(error)
    assert asyncio.get_running_loop().time() - began < 40  # the page takes 50 s


async def test_all_came_but_the_name(tmp_path: Path) -> None:
    """A file that had come whole when the process died costs no request."""
    async with RawServer(cut(300_000, end=STALL)) as server, client_for(server) as client:
        film = film_at(address(server))
        with pytest.raises(DownloadError):
            await client.download(film, tmp_path, timeout=5)
        (tmp_path / PART).write_bytes(FILM)
        assert await client.download(film, tmp_path) == [tmp_path / NAME]
        assert server.count == 1
    assert (tmp_path / NAME).read_bytes() == FILM


def resumed(answer: Callable[[int], bytes]) -> Script:
    """All of another version; and this answer to who asks for what is missing from a byte on."""

    @functools.wraps(answer)
    def script(heard: Heard) -> list[bytes]:
        asked = heard.header("Range")
        if asked is None:
            return [http(OTHER, headers={"ETag": etag_of(OTHER)})]
        return [answer(int(asked.removeprefix("bytes=").removesuffix("-")))]

    return script


def rest(body: bytes, first: int, *, etag: str = etag_of(FILM), total: int = len(FILM)) -> bytes:
    span = f"bytes {first}-{first + len(body) - 1}/{total}"
    return http(body, 206, {"ETag": etag, "Content-Range": span})


@resumed
def lying(first: int) -> bytes:
    """Says 206 with the rest of another version, whatever If-Range wants."""
    return rest(OTHER[first:], first, etag=etag_of(OTHER))


@resumed
def unnamed(first: int) -> bytes:
    """Says 206, and not of what version."""
    return rest(OTHER[first:], first).replace(b"ETag", b"X-Tag")


@resumed
def shifted(first: int) -> bytes:
    """Says 206 with another part than was asked for."""
    return rest(FILM[5:], 5)


@resumed
def bare(first: int) -> bytes:
    """Says 206, and not of which part."""
    return rest(OTHER[first:], first, etag=etag_of(OTHER)).replace(b"Content-Range", b"X-Range")


@resumed
def beyond(first: int) -> bytes:
    """Says 416: the file has become shorter."""
    return http(b"", 416, {"Content-Range": "bytes */4"})


@resumed
def moved(first: int) -> bytes:
    """Says 206 with as many bytes as are missing, of that very version, from elsewhere."""
    return rest(FILM[5 : len(FILM) - first + 5], 5)


@resumed
def longer(first: int) -> bytes:
    """Says 206 of that very version, which has become longer."""
    return rest(FILM[first:] + b"and more", first, total=len(FILM) + 8)


@resumed
def ended(first: int) -> bytes:
    """Says 206 and which bytes follow, and ends in good order before all of them came."""
    lines = [
        "HTTP/1.1 206 Partial Content",
        "Transfer-Encoding: chunked",
        f"ETag: {etag_of(FILM)}",
        f"Content-Range: bytes {first}-{len(FILM) - 1}/{len(FILM)}",
    ]
    content = FILM[first:-9]
    head = "\r\n".join(lines).encode() + b"\r\n\r\n"
    return head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(content), content)


CHANGED = (serve(OTHER), lying, unnamed, shifted, moved, longer, ended, bare, beyond)


@pytest.mark.parametrize("then", CHANGED, ids=lambda script: script.__name__)
async def test_what_changed_meanwhile_begins_again(then: Script, tmp_path: Path) -> None:
    """Never half of one and half of the other, also from a host that does not heed If-Range."""
    server = await download(tmp_path, cut(300_000), then)
    assert (tmp_path / NAME).read_bytes() == OTHER
    assert server.heard[1].header("Range") is not None


async def test_a_shorter_one_in_its_place(tmp_path: Path) -> None:
    """Nothing of what was there before lies behind its end."""
    short = mp4("short")
    assert len(short) < 300_000
    await download(tmp_path, cut(300_000), serve(short))
    assert (tmp_path / NAME).read_bytes() == short


@pytest.mark.parametrize("etag", [None, 'W/"weak"', "no-quotes"])
async def test_without_a_version_nothing_is_gone_on_with(etag: str | None, tmp_path: Path) -> None:
    """A part of which nobody knows what it is a part of is not kept."""
    async with (
        RawServer(cut(300_000, etag=etag, end=STALL)) as server,
        client_for(server) as client,
    ):
        with pytest.raises(DownloadError, match="not complete within 5 s"):
            await client.download(film_at(address(server)), tmp_path, timeout=5)
    assert names(tmp_path) == []
    server = await download(tmp_path, cut(300_000, etag=etag), serve(etag=etag))
    assert [heard.header("Range") for heard in server.heard] == [None, None]
    assert (tmp_path / NAME).read_bytes() == FILM


DATES = {
    "old": ("Wed, 25 Nov 2026 08:00:00 GMT", "Wed, 25 Nov 2026 09:00:00 GMT", True),
    "of this minute": ("Wed, 25 Nov 2026 08:59:30 GMT", "Wed, 25 Nov 2026 09:00:00 GMT", False),
    "junk": ("yesterday", "Wed, 25 Nov 2026 09:00:00 GMT", False),
}


@pytest.mark.parametrize(("modified", "date", "exact"), DATES.values(), ids=DATES)
async def test_a_date_is_a_version_when_it_is_old(
    modified: str, date: str, exact: bool, tmp_path: Path
) -> None:
    """`Last-Modified` tells versions apart where no second one can have been made since."""
    headers = {"Last-Modified": modified, "Date": date}
    head = http(FILM, headers=headers)[: -len(FILM)]
    asked: list[str | None] = []

    def then(heard: Heard) -> list[bytes]:
        asked.append(heard.header("If-Range"))
        return [http(FILM, headers=headers)]

    await download(tmp_path, say(head + FILM[:300_000], 0.01, FIN), then)
    assert asked == [modified if exact else None]


async def test_part_of_another_address(tmp_path: Path) -> None:
    """What came from another address is not gone on with, though the tag is the same."""
    async with (
        RawServer(cut(300_000, etag='"1"', end=STALL), serve(OTHER, etag='"1"')) as server,
        client_for(server) as client,
    ):
        first, other = film_at(address(server)), film_at(address(server, "/store/other.bin"))
        with pytest.raises(DownloadError):
            await client.download(first, tmp_path, timeout=5)
        assert names(tmp_path) == [PART, NOTE]
        await client.download(other, tmp_path)
        assert server.heard[-1].header("Range") is None
    assert (tmp_path / NAME).read_bytes() == OTHER


WRONG: dict[str, tuple[Script, str]] = {
    "zeros": (say(http(bytes(5000), headers={"Content-Type": "video/mp4"})), "something else"),
    "a picture": (serve(PICTURE), "no video but image/png"),
    "a playlist": (serve(b"#EXTM3U\n#EXT-X-VERSION:3\n"), "but application/vnd.apple.mpegurl"),
    "sound": (serve(producers.film("mp4", None, "aac")), "no video but audio/mp4"),
    "gzip": (say(http(b"\x1f\x8b\x08" + FILM, headers={"Content-Encoding": "gzip"})), "but gzip"),
    "no length": (say(b"HTTP/1.1 200 OK\r\n\r\n" + UNPROVED, FIN), "how long"),
    "HTTP/1.0": (say(b"HTTP/1.0 200 OK\r\n\r\n" + UNPROVED, FIN), "how long"),
    "206 unasked": (say(http(FILM, 206)), "HTTP 206"),
    "405": (say(http(b"", 405)), "HTTP 405"),
    "451": (say(http(b"", 451)), "HTTP 451"),
    "too large": (say(http(b"", length=1024**3 + 1)), "larger than"),
    "redirects": (
        lambda heard: [http(FILM) if heard.number > 5 else http(b"", 302, {"Location": "/x"})],
        "more than 5 redirects",
    ),
}


@pytest.mark.parametrize(("script", "says"), WRONG.values(), ids=WRONG)
async def test_what_is_no_film(script: Script, says: str, tmp_path: Path) -> None:
    """It is said what it is, at once and once, and nothing is left."""
    began = asyncio.get_running_loop().time()
    error = await failure(tmp_path, script)
    assert says in str(error)
    assert not error.transient
    assert names(tmp_path) == []
    assert asyncio.get_running_loop().time() - began < 5  # threads take real time


PASSING: dict[str, Script] = {
    "500": say(http(b"", 500)),
    "503": say(http(b"", 503)),
    "429": say(http(b"", 429)),
    "408": say(http(b"", 408)),
    "closed": say(FIN),
    "reset": say(RST),
    "not HTTP": say(b"SSH-2.0-x\r\n", FIN),
    "cut in the head": say(http(FILM)[:40], FIN),
    "cut at once": cut(0),
    "cut": cut(100),
    "cut chunk": say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc", 0.01, FIN),
}


@pytest.mark.parametrize("script", PASSING.values(), ids=PASSING)
async def test_passing_trouble(script: Script, tmp_path: Path) -> None:
    """It costs an attempt, and exactly one request."""
    server = await download(tmp_path, script, script, serve())
    assert (tmp_path / NAME).read_bytes() == FILM
    assert server.count == 3


STAYING = {name: script for name, script in PASSING.items() if name != "cut"}


@pytest.mark.parametrize("script", STAYING.values(), ids=STAYING)
async def test_trouble_that_stays(script: Script, tmp_path: Path) -> None:
    """Ten attempts without a new byte are enough; the error says that it may pass."""
    error = await failure(tmp_path, script, timeout=None)
    assert error.transient
    assert not set(names(tmp_path)) - {PART, NOTE}


async def test_growing_slowly_is_growing(tmp_path: Path) -> None:
    """As long as each few attempts bring something, there are more of them."""
    server = await download(tmp_path, *[cut(30_000)] * 24, serve(), timeout=None)
    assert server.count == 25
    assert (tmp_path / NAME).read_bytes() == FILM


@pytest.mark.parametrize("size", [1, 24])
async def test_its_time_is_over(tmp_path: Path, size: int) -> None:
    """The deadline is exact, also for one who sends a byte now and then, and less than a KiB."""
    drip: list[float | bytes] = [http(b"", length=len(FILM))]
    for at in range(0, 2000, size):
        drip += [FILM[at : at + size], 1.0]
    began = asyncio.get_running_loop().time()
    error = await failure(tmp_path, say(*drip), timeout=42.0)
    assert 42 - ROUNDING <= asyncio.get_running_loop().time() - began < 42.5
    assert "not complete within 42 s" in str(error)
    assert error.transient


@pytest.mark.parametrize("how", ["its time is over", "cancelled", "left alone"])
async def test_all_threads_of_the_loop_are_taken(how: str, tmp_path: Path) -> None:
    """By blocking calls of the user's own, without an end: files have threads for themselves."""
    loop, free = asyncio.get_running_loop(), threading.Event()
    taken = ThreadPoolExecutor(1)
    loop.set_default_executor(taken)
    taken.submit(free.wait)
    script = serve() if how == "left alone" else cut(300_000, end=STALL)
    here = threading.active_count()
    async with RawServer(script) as server, client_for(server) as client:
        seconds = 1.0 if how == "its time is over" else 60.0
        saving = asyncio.ensure_future(
            client.download(film_at(address(server)), tmp_path, timeout=seconds)
        )
        if how == "cancelled":
            await asyncio.sleep(1)
            saving.cancel()
        began = loop.time()
        await asyncio.wait([saving], timeout=2)
        assert saving.done()
        assert loop.time() - began < seconds + 1
        assert saving.cancelled() if how == "cancelled" else saving.exception() or saving.result()
    for _ in range(100):
        if threading.active_count() <= here:
            break
        time.sleep(0.001)  # noqa: ASYNC251 - the threads' own last moments
    assert threading.active_count() <= here
    free.set()


async def test_silence(tmp_path: Path) -> None:
    """A host that falls silent loses the connection, and is asked for the rest."""
    async with (
        RawServer(cut(300_000, end=STALL), serve()) as server,
        client_for(server, request_timeout=7.0) as client,
    ):
        began = asyncio.get_running_loop().time()
        await client.download(film_at(address(server)), tmp_path)
        assert 7 - ROUNDING <= asyncio.get_running_loop().time() - began < 12.0
    assert (tmp_path / NAME).read_bytes() == FILM


async def test_chunked(tmp_path: Path) -> None:
    """A body without a length, but with an end."""
    half = len(FILM) // 2
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (FILM[:half], FILM[half:]))
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    told: list[tuple[int, int | None]] = []
    await download(
        tmp_path, say(head + chunks + b"0\r\n\r\n"), progress=lambda *now: told.append(now)
    )
    assert (tmp_path / NAME).read_bytes() == FILM
    assert told[0] == (0, None)
    assert told[-1] == (len(FILM), None)


async def test_progress(tmp_path: Path) -> None:
    """It begins with what was there already, grows, and ends with all of it."""
    told: list[tuple[int, int | None]] = []
    await download(tmp_path, cut(300_000), serve(), progress=lambda *now: told.append(now))
    assert {total for _, total in told} == {len(FILM)}
    sizes = [size for size, _ in told]
    assert sizes == sorted(sizes)
    assert (sizes[0], sizes[-1]) == (0, len(FILM))
    assert sizes.count(300_000) == 2, "the end of an attempt, and the beginning of the next"
    assert len(set(sizes)) == len(sizes) - 1


@pytest.mark.parametrize("error", [ZeroDivisionError(), TimeoutError(), OSError("pipe")])
async def test_progress_that_fails(error: Exception, tmp_path: Path) -> None:
    """It ends the download with its own error."""

    def progress(size: int, total: int | None) -> None:
        if size:
            raise error

    async with RawServer(serve()) as server, client_for(server) as client:
        with pytest.raises(type(error)) as caught:
            await client.download(film_at(address(server)), tmp_path, progress=progress)
        assert caught.value is error
        await asyncio.sleep(1)
        assert server.open == 0
    assert names(tmp_path) == [PART, NOTE]


@pytest.mark.parametrize("chunked", [False, True])
async def test_larger_than_wanted(chunked: bool, tmp_path: Path) -> None:
    """The cap holds for what is announced and for what comes; nothing is left of it."""
    body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(FILM), FILM)
    head = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nETag: "1"\r\n\r\n'
    script = say(head + body) if chunked else serve()
    error = await failure(tmp_path, script, max_bytes=len(FILM) - 1)
    assert "max_bytes=" in str(error)
    assert not error.transient
    assert names(tmp_path) == []


@pytest.mark.parametrize("size", [500, 200_000])
async def test_larger_than_wanted_and_broken_off(size: int, tmp_path: Path) -> None:
    """The cap holds for what has come, however it ends: it is not asked for again."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    film = b"%x\r\n%b\r\n" % (200_000, FILM[:200_000])
    async with RawServer(say(head + film, 0.01, RST)) as server, client_for(server) as client:
        with pytest.raises(DownloadError, match="max_bytes=") as caught:
            await client.download(film_at(address(server)), tmp_path, max_bytes=size - 1)
        assert not caught.value.transient
        assert server.count == 1
    assert names(tmp_path) == []


@pytest.mark.parametrize("status", [403, 404, 410])
async def test_an_expired_address(status: int, tmp_path: Path) -> None:
    """One more poll of the task, and on with the new address."""

    def choose(heard: Heard) -> Script:
        if heard.path.startswith("/api/"):
            url = f"{server.url}/new?{SECRET}"
            data = task("SUCCESS", kind="video", videoUrl=url)
            return say(http(envelope(data)))
        return serve() if heard.path.startswith("/new") else say(http(b"expired", status))

    async with RawServer(choose=choose) as server, client_for(server) as client:
        await client.download(film_at(address(server)), tmp_path)
        paths = [heard.path.partition("?")[0] for heard in server.heard]
        assert paths == ["/store/there.bin", f"/api/ai/video/generations/{ID}", "/new"]
        keys = [heard.header("X-Api-Key") for heard in server.heard]
        assert keys == [None, KEY, None]
    assert (tmp_path / NAME).read_bytes() == FILM


RENEWALS: dict[str, tuple[Script, str, bool]] = {
    "refused": (refuse(401), "could not be asked for again", False),
    "failed": (say(http(envelope(task("FAILURE", kind="video")))), "FAILURE", False),
    "empty": (say(http(envelope(task("SUCCESS", kind="video")))), "names no file", False),
    "trouble": (say(http(b"", 502)), "could not be asked for again", True),
}


@pytest.mark.parametrize(("api", "says", "transient"), RENEWALS.values(), ids=RENEWALS)
async def test_an_address_that_cannot_be_renewed(
    api: Script, says: str, transient: bool, tmp_path: Path
) -> None:
    """It is a DownloadError that says so."""

    def choose(heard: Heard) -> Script:
        return api if heard.path.startswith("/api/") else say(http(b"", 404))

    async with RawServer(choose=choose) as server, client_for(server) as client:
        with pytest.raises(DownloadError, match=says) as caught:
            await client.download(film_at(address(server)), tmp_path, timeout=30)
        assert caught.value.transient is transient
        assert_says_no_secret(caught.value)
    assert names(tmp_path) == []


async def test_a_task_without_files_is_asked_for_once_more(tmp_path: Path) -> None:
    """What a batch knows of a task may be no more than its status."""
    async with Emulator() as service:
        ref = service.add_video("SUCCESS")
        empty = service.add_image("success", images=[{"url": ""}])
        async with Client(service.api_key, base_url=service.url, private_media=True) as client:
            film = VideoTask(id=ref.id, status="SUCCESS")
            assert len(await client.download(film, tmp_path)) == 1
            with pytest.raises(DownloadError, match="names no file"):
                await client.download(await client.get(empty), tmp_path)


async def test_a_task_without_files_that_cannot_be_asked_for_again(tmp_path: Path) -> None:
    async with RawServer(say(http(b"", 502))) as server, client_for(server) as client:
        with pytest.raises(DownloadError, match="names no file, and the task could not") as caught:
            await client.download(VideoTask(id=ID, status="SUCCESS"), tmp_path)
        assert caught.value.transient
        assert server.count == 1


async def test_a_task_that_names_fewer_files_by_now(tmp_path: Path) -> None:
    """Its first file is not there, and the service has forgotten the second one meanwhile."""

    def choose(heard: Heard) -> Script:
        if heard.path.startswith("/api/"):
            one = [{"url": address(server, "/one")}]
            return say(http(envelope(task("success", images=one))))
        return say(http(b"", 404)) if "two" in heard.path else serve(PICTURE)

    async with RawServer(choose=choose) as server, client_for(server) as client:
        images = [Image(url=address(server, path)) for path in ("/one", "/two")]
        made = ImageTask(log_id=ID, status="success", images=images)
        with pytest.raises(DownloadError, match="no longer names all files"):
            await client.download(made, tmp_path)
    assert names(tmp_path) == [f"image-{ID}-1.png"]


async def test_closing_the_client_while_an_address_is_renewed(tmp_path: Path) -> None:
    def choose(heard: Heard) -> Script:
        return say(STALL) if heard.path.startswith("/api/") else say(http(b"", 404))

    async with RawServer(choose=choose) as server:
        client = client_for(server)
        saving = asyncio.create_task(client.download(film_at(address(server)), tmp_path))
        await asyncio.sleep(1)
        await client.aclose()
        with pytest.raises(ClientClosedError):
            await saving
    assert names(tmp_path) == []


async def test_closing_the_client_between_two_attempts(tmp_path: Path) -> None:
    """Whoever waits for another attempt has no place to give back."""
    async with RawServer(say(http(b"", 503))) as server:
        client = client_for(server)
        saving = asyncio.create_task(client.download(film_at(address(server)), tmp_path))
        await asyncio.sleep(0.2)
        assert server.count == 1
        await client.aclose()
        with pytest.raises(ClientClosedError):
            await saving


async def test_a_file_in_the_address_that_is_too_large(tmp_path: Path) -> None:
    plain = "data:image/svg+xml,<svg>" + "%20" * 100 + "</svg>"
    made = ImageTask(log_id=ID, status="success", images=[Image(url=plain)])
    async with Client(KEY) as client:
        with pytest.raises(DownloadError, match="max_bytes="):
            await client.download(made, tmp_path, max_bytes=110)
        assert names(tmp_path) == []
        (path,) = await client.download(made, tmp_path, max_bytes=111)
    assert path.stat().st_size == 111


async def test_one_file_of_several(tmp_path: Path) -> None:
    """Those that are complete stay, and are not asked for again."""
    async with Emulator() as service:
        ref = service.add_image("generating")
        service.remove(ref)
        urls = [service.media_url(ref, number) for number in (1, 2, 3)]
        ref = service.add_image("success", id=ref.id, images=urls)
        service.fault(Fault(delay=0.01), ref, media=True)
        service.fault(Fault(status=451), ref, media=True)
        async with Client(service.api_key, base_url=service.url, private_media=True) as client:
            made = await client.get(ref)
            with pytest.raises(DownloadError):
                await client.download(made, tmp_path)
            assert names(tmp_path) == [f"image-{ref.id}-{number}.png" for number in (1, 3)]
            service.requests.clear()
            paths = await client.download(made, tmp_path)
            assert len(service.requests) == 1
    assert len({path.read_bytes() for path in paths}) == 3


async def test_two_at_the_same_time(tmp_path: Path) -> None:
    """Two downloads of one file: one of them fetches it, and both have it."""
    async with RawServer(serve(FILM)) as server, client_for(server) as client:
        film = film_at(address(server))
        results = await together(*[client.download(film, tmp_path) for _ in range(5)])
    assert results == [[tmp_path / NAME]] * 5
    assert server.count == 1
    assert names(tmp_path) == [NAME]
    assert (tmp_path / NAME).read_bytes() == FILM


async def test_so_many_at_a_time(tmp_path: Path) -> None:
    """Eight tasks are fetched at the same time, and the rest after them."""
    most = 0

    def count(heard: Heard) -> list[object]:
        nonlocal most
        most = max(most, server.open)
        return [1.0, http(FILM)]

    async with RawServer(count) as server, client_for(server) as client:  # type: ignore[arg-type]
        films = [
            VideoTask(id=f"{n}", status="SUCCESS", video_url=address(server)) for n in range(30)
        ]
        await asyncio.gather(*[client.download(film, tmp_path) for film in films])
    assert most == 8
    assert len(names(tmp_path)) == 30


async def test_closing_the_client_ends_downloads(tmp_path: Path) -> None:
    """They end at once with ClientClosedError; what there is stays."""
    async with RawServer(cut(300_000, end=STALL)) as server:
        client = client_for(server)
        saving = asyncio.create_task(client.download(film_at(address(server)), tmp_path))
        await asyncio.sleep(1)
        await client.aclose()
        with pytest.raises(ClientClosedError):
            await saving
        with pytest.raises(ClientClosedError):
            await client.download(film_at(address(server)), tmp_path)
        await asyncio.sleep(1)
        assert server.open == 0
    assert names(tmp_path) == [PART, NOTE]


@pytest.mark.sampled(4)
@pytest.mark.parametrize("steps", range(0, 120, 7))
async def test_cancelled_at_any_moment(steps: int, tmp_path: Path) -> None:
    """Nothing is left but, perhaps, what the next call goes on with."""
    async with RawServer(serve()) as server, client_for(server) as client:
        film = film_at(address(server))
        saving = asyncio.create_task(client.download(film, tmp_path))
        for _ in range(steps):
            await asyncio.sleep(0)
        saving.cancel()
        await asyncio.gather(saving, return_exceptions=True)
        assert set(names(tmp_path)) in (set(), {PART, NOTE}, {NAME})
        await asyncio.sleep(1)
        assert server.open == 0
        assert await client.download(film, tmp_path) == [tmp_path / NAME]
    assert (tmp_path / NAME).read_bytes() == FILM


BAD_BASE64 = ["!!!!", "AAAAA", "QQ==QQ==", "é", "QQ=Q"]


@pytest.mark.parametrize("data", BAD_BASE64)
async def test_what_is_no_base64(data: str, tmp_path: Path) -> None:
    made = ImageTask(log_id=ID, status="success", images=[Image(b64_json=data)])
    async with Client(KEY) as client:
        with pytest.raises(DownloadError, match="base64"):
            await client.download(made, tmp_path)
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("data", "options", "says"),
    [(b"<html>" * 20, {}, "no image"), (PICTURE, {"max_bytes": len(PICTURE) - 1}, "max_bytes=")],
)
async def test_base64_of_no_picture(
    data: bytes, options: dict[str, int], says: str, tmp_path: Path
) -> None:
    inline = base64.b64encode(data).decode()
    made = ImageTask(log_id=ID, status="success", images=[Image(b64_json=inline)])
    async with Client(KEY) as client:
        with pytest.raises(DownloadError, match=says):
            await client.download(made, tmp_path, **options)  # type: ignore[arg-type]
    assert names(tmp_path) == []


BESIDE = {
    "words": "[base64 omitted]",
    "the beginning": base64.b64encode(PICTURE).decode()[:400] + "...",
    "half of it": base64.b64encode(PICTURE[: len(PICTURE) // 2]).decode(),
    "another file": base64.b64encode(b"<html>" * 20).decode(),
    "a data URI of nothing": "data:image/png;base64,",
}


@pytest.mark.parametrize("inline", BESIDE.values(), ids=BESIDE)
async def test_an_address_beside_what_is_no_picture_is_asked(inline: str, tmp_path: Path) -> None:
    """Gateways and logs cut base64 short."""
    async with RawServer(serve(PICTURE)) as server, client_for(server) as client:
        image = Image(url=address(server), b64_json=inline)
        made = ImageTask(log_id=ID, status="success", images=[image])
        (path,) = await client.download(made, tmp_path)
        assert server.count == 1
    assert path.read_bytes() == PICTURE
    assert names(tmp_path) == [path.name]


@pytest.mark.parametrize("has_address", [False, True])
async def test_of_a_picture_that_came_cut_the_task_is_polled_again(
    has_address: bool, tmp_path: Path
) -> None:
    """Also where its address has no more of it: the next answer may hold all of it."""

    def choose(heard: Heard) -> Script:
        whole = base64.b64encode(PICTURE).decode()
        made = say(http(envelope(task("success", images=[{"b64_json": whole}]))))
        return made if heard.path.startswith("/api/") else serve(PICTURE[:-20])

    half = base64.b64encode(PICTURE[:-20]).decode()
    async with RawServer(choose=choose) as server, client_for(server) as client:
        image = Image(b64_json=half, url=address(server) if has_address else None)
        made = ImageTask(log_id=ID, status="success", images=[image])
        (path,) = await client.download(made, tmp_path)
        assert server.count == 1 + has_address
    assert path.read_bytes() == PICTURE


async def test_base64_with_blanks_and_no_padding(tmp_path: Path) -> None:
    big = b"\x89PNG\r\n\x1a\n" + bytes(1_000_001)
    inline = base64.encodebytes(big).decode().rstrip("=\n")
    made = ImageTask(log_id=ID, status="success", images=[Image(b64_json=inline)])
    async with Client(KEY) as client:
        (path,) = await client.download(made, tmp_path)
    assert path.read_bytes() == big


MISUSE: dict[str, tuple[Callable[[], tuple[object, dict[str, object]]], type[Exception]]] = {
    "a list": (lambda: ([film_at("x")], {}), TypeError),
    "running": (lambda: (VideoTask(id=ID, status="InProgress"), {}), ValueError),
    "failed": (lambda: (VideoTask(id=ID, status="FAILURE"), {}), ValueError),
    "timeout": (lambda: (film_at("x"), {"timeout": -1.0}), ValueError),
    "max_bytes": (lambda: (film_at("x"), {"max_bytes": 0}), ValueError),
    "directory": (lambda: (film_at("x"), {"directory": 5}), TypeError),
    "no directory": (lambda: (film_at("x"), {"directory": ""}), TypeError),
    "zero character": (lambda: (film_at("x"), {"directory": "a\0b"}), ValueError),
    "hostile id": (
        lambda: (ImageTask(log_id="../../x", status="success", images=[Image(url="x")]), {}),
        ValueError,
    ),
}


@pytest.mark.parametrize(("made", "error"), MISUSE.values(), ids=MISUSE)
async def test_misuse(
    made: Callable[[], tuple[object, dict[str, object]]], error: type[Exception], tmp_path: Path
) -> None:
    thing, options = made()
    async with Client(KEY) as client:
        with pytest.raises(error):
            await client.download(thing, **{"directory": tmp_path, **options})  # type: ignore[arg-type]
    assert names(tmp_path) == []


async def test_no_address(tmp_path: Path) -> None:
    async with Client(KEY) as client:
        for url in ("ftp://host/x", "nonsense", "file:///etc/passwd", "http://[::1"):
            with pytest.raises(MediaAddressError):
                await client.download(picture_at(url), tmp_path)
    assert names(tmp_path) == []
