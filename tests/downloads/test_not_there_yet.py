"""Storage that is some seconds behind the service: what it says then, and how long it is asked."""

from __future__ import annotations

import asyncio
import gzip
import logging
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from aitoearn_async import DownloadError, Image, ImageTask, VideoTask
from tests.support.raw_server import (
    FIN,
    ID,
    Chooser,
    Heard,
    Part,
    RawServer,
    Script,
    envelope,
    http,
    say,
    task,
)

from .storage import FILM, PICTURE, SECRET, address, client_for, film_at, names, serve

PAGE = b"<!doctype html><title>One moment</title>"
NOT_YET: dict[str, Script] = {
    **{str(status): say(http(b"", status)) for status in (202, 205, 400, 401, 403, 404, 409, 410)},
    **{str(status): say(http(b"", status)) for status in (412, 423)},
    **{str(status): say(b"HTTP/1.1 %d No\r\n\r\n" % status) for status in (204, 304)},
    "empty": say(http(b"")),
    "empty, chunked": say(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    "a page": say(http(PAGE, headers={"Content-Type": "text/html"})),
    "JSON": say(http(b'{"message":"not ready"}')),
    "XML": say(http(b"<?xml version='1.0'?><Error><Code>NoSuchKey</Code></Error>", 404)),
    "words": say(http(b"The file is being processed.")),
    "a packed page": say(http(gzip.compress(PAGE), headers={"Content-Encoding": "gzip"})),
    "a page in UTF-16": say(http(PAGE.decode().encode("utf-16"))),
    "words in UTF-16": say(http("Error: no such key".encode("utf-16"))),
}


def storage(early: Script, seconds: float, media: list[float]) -> Chooser:
    """Say this for so many seconds; the service goes on naming the same address."""

    def choose(heard: Heard) -> Script:
        if heard.path.startswith("/api/"):
            now = datetime.now(UTC).isoformat()
            url = f"http://{heard.header('Host')}/store/there.bin?{SECRET}"
            made = task("SUCCESS", kind="video", videoUrl=url, finishedAt=now)
            return say(http(envelope(made)))
        media.append(heard.at)
        return serve() if heard.at - media[0] >= seconds else early

    return choose


@pytest.mark.sampled(3)
@pytest.mark.parametrize("early", NOT_YET.values(), ids=NOT_YET)
async def test_a_file_that_comes_later_is_waited_for(early: Script, tmp_path: Path) -> None:
    """And its host is not hammered meanwhile."""
    media: list[float] = []
    async with (
        RawServer(choose=storage(early, 20.0, media)) as server,
        client_for(server) as client,
    ):
        (path,) = await client.download(film_at(address(server)), tmp_path)
    assert path.read_bytes() == FILM
    assert 20 <= media[-1] - media[0] < 36
    assert len(media) < 12


def ended(ago: timedelta | None, url: str) -> VideoTask:
    when = None if ago is None else datetime.now(UTC) - ago
    return VideoTask(id=ID, status="SUCCESS", video_url=url, finished_at=when)


@pytest.mark.parametrize("ago", [None, timedelta(days=1)], ids=["unknown", "long ago"])
async def test_what_ended_long_ago_is_asked_for_a_minute(
    ago: timedelta | None, tmp_path: Path
) -> None:
    """Then it is final, and the error says for how long it was asked."""
    loop, media = asyncio.get_running_loop(), list[float]()
    choose = storage(say(http(b"", 404)), 1e9, media)
    async with RawServer(choose=choose) as server, client_for(server) as client:
        began = loop.time()
        with pytest.raises(DownloadError, match=r"HTTP 404 \(asked for \d\d s\)") as caught:
            await client.download(ended(ago, address(server)), tmp_path)
        assert 60 <= loop.time() - began < 80
    assert not caught.value.transient
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("minutes", "is_late"), [(14, False), (-14, False), (16, True), (-16, True)]
)
async def test_just_now_is_a_quarter_of_an_hour(
    tmp_path: Path, minutes: int, is_late: bool
) -> None:
    """Clocks differ, so what will end in some minutes has ended too."""
    media: list[float] = []
    choose = storage(say(http(b"", 404)), 100.0, media)
    async with RawServer(choose=choose) as server, client_for(server) as client:
        task = ended(timedelta(minutes=minutes), address(server))
        if is_late:
            with pytest.raises(DownloadError, match="HTTP 404"):
                await client.download(task, tmp_path)
            assert media[-1] - media[0] < 80
        else:
            assert await client.download(task, tmp_path)


@pytest.mark.parametrize("early", [http(b"", 404), http(PAGE * 100)], ids=["404", "a page"])
async def test_what_ended_just_now_is_asked_for_as_long_as_there_is_time(
    early: bytes, tmp_path: Path
) -> None:
    """The bytes of a page are none of the file: they give it no more time."""
    loop, media = asyncio.get_running_loop(), list[float]()
    choose = storage(say(early), 1e9, media)
    async with RawServer(choose=choose) as server, client_for(server) as client:
        began = loop.time()
        with pytest.raises(DownloadError, match=r"asked for \d\d\d s") as caught:
            await client.download(ended(timedelta(), address(server)), tmp_path, timeout=300)
        assert 280 <= loop.time() - began <= 300
    assert caught.value.transient
    assert len(media) < 40


async def test_without_a_limit_it_is_final_in_the_end(tmp_path: Path) -> None:
    """Storage that is a quarter of an hour behind never had it."""
    loop, media = asyncio.get_running_loop(), list[float]()
    choose = storage(say(http(b"", 404)), 1e9, media)
    async with RawServer(choose=choose) as server, client_for(server) as client:
        began = loop.time()
        with pytest.raises(DownloadError, match=r"asked for 9\d\d s") as caught:
            await client.download(ended(timedelta(), address(server)), tmp_path, timeout=None)
        assert loop.time() - began < 950
    assert not caught.value.transient


async def test_the_host_says_when(tmp_path: Path) -> None:
    media: list[float] = []
    choose = storage(say(http(b"", 404, {"Retry-After": "9"})), 5.0, media)
    async with RawServer(choose=choose) as server, client_for(server) as client:
        await client.download(film_at(address(server)), tmp_path)
    assert 9 <= media[1] - media[0] < 11
    assert len(media) == 2


XML = "<?xml version='1.0' encoding='UTF-8'?>"
SAID: dict[str, tuple[int, str, str]] = {
    "S3": (
        403,
        f"{XML}<Error><Code>AccessDenied</Code><Message>Request has expired</Message>"
        "<X-Amz-Expires>600</X-Amz-Expires><HostId>ho/st=</HostId></Error>",
        "HTTP 403 (AccessDenied: Request has expired)",
    ),
    "OSS": (
        404,
        f"{XML}\n<Error>\n  <Code>NoSuchKey</Code>\n  <Message>\u6307\u5b9a\u7684\n key"
        "\u4e0d\u5b58\u5728\u3002</Message>\n  <Key>there.bin</Key>\n</Error>",
        "HTTP 404 (NoSuchKey: \u6307\u5b9a\u7684 key\u4e0d\u5b58\u5728\u3002)",
    ),
    "Azure": (
        403,
        f"\ufeff{XML}<Error><Code>AuthenticationFailed</Code><Message>Server failed to "
        "authenticate the request.\nRequestId:1e4c\nTime:2026-11-25T09:00:00Z</Message></Error>",
        "HTTP 403 (AuthenticationFailed: Server failed to authenticate the request. RequestId:1e4c "
        "Time:2026-11-25T09:00:00Z)",
    ),
    "JSON": (401, '{"code":"401","error": "expired token"}', "HTTP 401 (401: expired token)"),
    "a page": (404, "<html><title>404 Not Found</title></html>", "HTTP 404"),
    "an address": (404, '{"error":"no file at https://x/?sign=1"}', "HTTP 404"),
    "codes for a terminal": (404, "<Code>\x1b[2J</Code>", "HTTP 404"),
    "in place of a file": (
        200,
        f"{XML}<Error><Code>NoSuchKey</Code></Error>",
        "is no video but text (NoSuchKey)",
    ),
}


@pytest.mark.parametrize("name", SAID)
async def test_the_storages_own_words_are_told(name: str, tmp_path: Path) -> None:
    status, body, words = SAID[name]
    choose = storage(say(http(body.encode(), status)), 1e9, [])
    async with RawServer(choose=choose) as server, client_for(server) as client:
        with pytest.raises(DownloadError) as caught:
            await client.download(ended(None, address(server)), tmp_path)
    assert f"{words} (asked for " in str(caught.value)


async def test_the_log_says_once_what_is_waited_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    media: list[float] = []
    choose = storage(say(http(b"", 404)), 20.0, media)
    async with RawServer(choose=choose) as server, client_for(server) as client:
        await client.download(film_at(address(server)), tmp_path)
    told = [record.getMessage() for record in caplog.records if record.levelno > logging.DEBUG]
    assert told == [f"video:{ID} is not saved yet: 127.0.0.1 answered HTTP 404"]


async def test_others_are_saved_meanwhile(tmp_path: Path) -> None:
    """A file that is waited for takes no place of those that can be had."""
    loop = asyncio.get_running_loop()

    def choose(heard: Heard) -> Script:
        if heard.path.startswith("/api/"):
            id = heard.path.rpartition("/")[2]
            url = address(server, f"/missing/{id}")
            return say(http(envelope(task("SUCCESS", kind="video", id=id, videoUrl=url))))
        return say(http(b"", 404)) if "missing" in heard.path else serve()

    async with RawServer(choose=choose) as server, client_for(server) as client:
        gone = [
            VideoTask(id=f"a{n}", status="SUCCESS", video_url=address(server, f"/missing/a{n}"))
            for n in range(20)
        ]
        waiting = [asyncio.ensure_future(client.download(made, tmp_path)) for made in gone]
        await asyncio.sleep(5)
        began = loop.time()
        await client.download(film_at(address(server)), tmp_path)
        assert loop.time() - began < 2
        results = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(result, DownloadError) for result in results)


@pytest.mark.parametrize("first", [say(http(b"", 404)), say(http(b"", 503)), say(FIN)])
async def test_a_file_that_does_not_come_holds_up_none_of_the_others(
    first: Script, tmp_path: Path
) -> None:
    """They are fetched while it is waited for, though their addresses expire sooner than that."""
    loop = asyncio.get_running_loop()
    began, fetched = loop.time(), list[float]()

    def choose(heard: Heard) -> Script:
        if heard.path.startswith("/api/"):
            return say(http(envelope(task("success", images=[{"url": url} for url in urls]))))
        if "first" in heard.path:
            return first
        fetched.append(loop.time())
        return serve(PICTURE) if loop.time() - began < 5 else say(http(b"", 403))

    async with RawServer(choose=choose) as server, client_for(server) as client:
        urls = [address(server, f"/{name}") for name in ("first", "second", "third")]
        images = [Image(url=url) for url in urls]
        made = ImageTask(log_id=ID, status="success", images=images)
        with pytest.raises(DownloadError, match=r"HTTP|lost"):
            await client.download(made, tmp_path)
    assert loop.time() - began > 25, "and it is waited for all the same"
    assert names(tmp_path) == [f"image-{ID}-{number}.png" for number in (2, 3)]
    assert max(fetched) - began < 5


async def test_an_address_that_expires_again_and_again(tmp_path: Path) -> None:
    """It is renewed as long as bytes come, and what came is not asked for again."""
    polls = 0

    def choose(heard: Heard) -> Script:
        nonlocal polls
        if heard.path.startswith("/api/"):
            polls += 1
            url = f"{server.url}/store/there.bin?sign={polls}"
            return say(http(envelope(task("SUCCESS", kind="video", videoUrl=url))))
        signed = heard.path.partition("sign=")[2]
        if not signed or int(signed) in used:
            return say(http(b"", 403))
        used.add(int(signed))
        return partial

    def partial(heard: Heard) -> Iterable[Part]:
        (part,) = serve()(heard)
        assert isinstance(part, bytes)
        head, _, body = part.partition(b"\r\n\r\n")
        return [head + b"\r\n\r\n" + body[:60_000], 0.01, FIN]

    used: set[int] = set()
    async with RawServer(choose=choose) as server, client_for(server) as client:
        (path,) = await client.download(film_at(address(server)), tmp_path)
    assert path.read_bytes() == FILM
    assert polls > 5


async def test_a_new_address_is_asked_for_before_the_old_one_again(tmp_path: Path) -> None:
    polls, media = 0, list[str]()

    def choose(heard: Heard) -> Script:
        nonlocal polls
        if heard.path.startswith("/api/"):
            polls += 1
            url = f"{server.url}/new" if polls > 1 else address(server)
            return say(http(envelope(task("SUCCESS", kind="video", videoUrl=url))))
        media.append(heard.path)
        return serve() if heard.path == "/new" else say(http(b"", 404))

    async with RawServer(choose=choose) as server, client_for(server) as client:
        await client.download(film_at(address(server)), tmp_path)
    assert media == [f"/store/there.bin?{SECRET}", "/new"]
    assert polls == 2


async def test_waiting_for_a_place_again_is_no_standing_still(tmp_path: Path) -> None:
    """Who waited for a file finds all places taken, for longer than he may stand still."""
    first = True

    def choose(heard: Heard) -> Script:
        nonlocal first
        if heard.path.startswith("/api/"):
            return say(http(envelope(task("SUCCESS", kind="video", videoUrl=address(server)))))
        if "slow" in heard.path:
            pieces = [FILM[at : at + 100_000] for at in range(0, len(FILM), 100_000)]
            drip = [part for piece in pieces for part in (10.0, piece)]
            return say(http(b"", length=len(FILM)), *drip)
        early, first = first, False
        return say(http(b"", 404)) if early else serve()

    async with RawServer(choose=choose) as server, client_for(server) as client:
        late = asyncio.ensure_future(
            client.download(film_at(address(server)), tmp_path, timeout=15)
        )
        await asyncio.sleep(0.2)
        slow = [
            VideoTask(id=f"s{n}", status="SUCCESS", video_url=address(server, "/slow"))
            for n in range(8)
        ]
        await asyncio.gather(*[client.download(made, tmp_path, timeout=15) for made in slow])
        assert (await late)[0].read_bytes() == FILM


async def test_who_stands_still_after_waiting_for_a_place_again_is_given_up(
    tmp_path: Path,
) -> None:
    """The time that was left goes on, and comes to its end, though it was over meanwhile."""
    first = True

    def choose(heard: Heard) -> Script:
        nonlocal first
        if heard.path.startswith("/api/"):
            return say(http(envelope(task("SUCCESS", kind="video", videoUrl=address(server)))))
        if "slow" in heard.path:
            return say(30.0, http(FILM))
        early, first = first, False
        drip = [part for _ in range(1000) for part in (10.0, b"\0")]
        return say(http(b"", 503)) if early else say(http(b"", length=len(FILM)), *drip)

    loop = asyncio.get_running_loop()
    async with (
        RawServer(choose=choose) as server,
        client_for(server, request_timeout=60.0) as client,
    ):
        late = asyncio.ensure_future(
            client.download(film_at(address(server)), tmp_path, timeout=15)
        )
        await asyncio.sleep(0.2)
        slow = [
            VideoTask(id=f"s{n}", status="SUCCESS", video_url=address(server, "/slow"))
            for n in range(8)
        ]
        calls = [client.download(made, tmp_path, timeout=None) for made in slow]
        await asyncio.gather(*calls)
        began = loop.time()
        with pytest.raises(DownloadError, match="not complete within 15 s"):
            await late
        assert loop.time() - began < 16
