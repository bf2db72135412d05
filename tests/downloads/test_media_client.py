"""What goes to a media host and through whom, and which answers to a Range are believed."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from aitoearn_async._downloads.media_client import connects_otherwise
from tests.containers.samples import SVG
from tests.support.raw_server import FIN, ID, Heard, Part, RawServer, Script, http, say

from .storage import FILM, OTHER, address, client_for, cut, etag_of, film_at, picture_at, serve


async def test_a_media_host_gets_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Instrumentation adds headers to all sessions of a program: these are for the service."""

    async def on_start(_: aiohttp.ClientSession, __: SimpleNamespace, params: Any) -> None:
        params.headers["traceparent"] = "00-secret"

    make = aiohttp.ClientSession.__init__

    def instrumented(self: aiohttp.ClientSession, *args: Any, **named: Any) -> None:
        config = aiohttp.TraceConfig()
        config.on_request_start.append(on_start)
        make(self, *args, **{**named, "trace_configs": [config]})

    monkeypatch.setattr(aiohttp.ClientSession, "__init__", instrumented)
    async with RawServer(serve()) as server, client_for(server) as client:
        await client.download(film_at(address(server)), tmp_path)
    assert b"secret" not in server.raw
    assert {name.lower() for name, _ in server.heard[0].headers} == {
        *("host", "user-agent", "accept", "accept-encoding", "connection"),
    }


class Tunnel(aiohttp.TCPConnector):
    """Makes connections in a way of its own, as those through SOCKS do."""

    through = 0

    async def _wrap_create_connection(self, *args: Any, **named: Any) -> Any:
        type(self).through += 1
        return await super()._wrap_create_connection(*args, **named)


class Labelled(aiohttp.TCPConnector):
    """Makes them as ever."""

    label = "mine"


async def test_files_come_through_a_connector_that_connects_otherwise(tmp_path: Path) -> None:
    """In a session that has nothing else of the caller's."""
    mine = {"Authorization": "Bearer mine", "Cookie": "mine=1"}
    Tunnel.through = 0
    async with (
        RawServer(serve()) as server,
        aiohttp.ClientSession(connector=Tunnel(), headers=mine) as session,
        client_for(server, session=session) as client,
    ):
        await client.download(film_at(address(server)), tmp_path)
        assert Tunnel.through == 1
        assert b"mine" not in server.raw
        await client.aclose()
        assert not session.closed


@pytest.mark.parametrize("is_used", [False, True])
async def test_no_file_goes_around_a_connector_that_is_closed(
    is_used: bool, tmp_path: Path
) -> None:
    """Whoever goes through a proxy does not want the host to see where from."""
    async with RawServer(serve()) as server:
        async with aiohttp.ClientSession(connector=Tunnel()) as session:
            client = client_for(server, session=session)
            if is_used:
                await client.download(film_at(address(server)), tmp_path / "before")
        with pytest.raises(RuntimeError, match="session given to the Client is closed"):
            await client.download(film_at(address(server)), tmp_path)
        await client.aclose()
        assert server.count == is_used


async def test_any_other_connector_is_for_the_service_alone() -> None:
    assert connects_otherwise(Tunnel())
    for connector in (None, aiohttp.TCPConnector(), Labelled(), aiohttp.UnixConnector("/x")):
        assert not connects_otherwise(connector)


def first_of(heard: Heard) -> int:
    return int((heard.header("Range") or "bytes=0-").removeprefix("bytes=").removesuffix("-"))


def rest(status: int, content: bytes = FILM, etag: str | None = None, **headers: str) -> Script:
    """The rest that is asked for, under this status; or all, if nothing special is asked for."""

    def script(heard: Heard) -> Iterable[Part]:
        first = first_of(heard)
        tag = {"ETag": etag or etag_of(content)}
        if heard.header("Range") is None:
            return [http(content, 200, tag)]
        span = {"Content-Range": f"bytes {first}-{len(content) - 1}/{len(content)}"}
        return [http(content[first:], status, {**span, **tag, **headers})]

    return script


def plain(status: int, *headers: tuple[str, str]) -> Script:
    """Nothing but this, as long as a part is asked for; else all of the other file."""

    def script(heard: Heard) -> Iterable[Part]:
        if heard.header("Range") is None:
            return [http(OTHER, 200, {"ETag": '"other"'})]
        return [http(b"", status, dict(headers))]

    return script


async def resumed(tmp_path: Path, then: Script) -> tuple[bytes, list[str | None]]:
    """Break off in the middle, and go on with what this answers."""
    async with RawServer(cut(300_000), then) as server, client_for(server) as client:
        (path,) = await client.download(film_at(address(server)), tmp_path)
        return path.read_bytes(), [heard.header("Range") for heard in server.heard]


@pytest.mark.parametrize("status", [200, 206])
async def test_the_rest_is_taken_under_either_status(status: int, tmp_path: Path) -> None:
    """`Content-Range` says what it is."""
    content, asked = await resumed(tmp_path, rest(status))
    assert content == FILM
    assert len(asked) == 2


@pytest.mark.parametrize("encoding", ["", "Identity", "identity, identity", "aws-chunked"])
async def test_the_rest_is_taken_where_no_encoding_has_a_name(
    encoding: str, tmp_path: Path
) -> None:
    """The last one is of uploads, and there are stores that give it back with the file."""
    said = {"Content-Encoding": encoding}
    begun = http(FILM, headers={"ETag": etag_of(FILM), **said})[:300_000]
    async with (
        RawServer(say(begun, 0.01, FIN), rest(206, FILM, None, **said)) as server,
        client_for(server) as client,
    ):
        (path,) = await client.download(film_at(address(server)), tmp_path)
        assert path.read_bytes() == FILM
        assert [heard.header("Range") is None for heard in server.heard] == [True, False]


@pytest.mark.parametrize("status", [201, 203, 226])
async def test_a_file_is_taken_under_any_status_that_can_have_one(
    status: int, tmp_path: Path
) -> None:
    """A proxy that changes something on the way says 203."""
    async with RawServer(say(http(FILM, status))) as server, client_for(server) as client:
        (path,) = await client.download(film_at(address(server)), tmp_path)
        assert path.read_bytes() == FILM


DROPPED: dict[str, Script] = {
    "another version, 206": rest(206, OTHER),
    "another version, 200": rest(200, OTHER),
    "416, with the size": plain(416, ("Content-Range", f"bytes */{len(OTHER)}")),
    "416, without": plain(416),
    "an empty rest": plain(206, ("Content-Range", "bytes 5-4/5")),
    "a weak tag": rest(206, OTHER, etag='W/"weak"'),
    "packed": rest(206, OTHER, etag=etag_of(FILM), **{"Content-Encoding": "gzip"}),
}


@pytest.mark.parametrize("then", DROPPED.values(), ids=DROPPED)
async def test_what_does_not_fit_the_part_drops_it(then: Script, tmp_path: Path) -> None:
    """And it begins again, without a Range; at the next attempt, not the next call."""
    content, asked = await resumed(tmp_path, then)
    assert content == OTHER
    assert asked[1] is not None
    assert asked[2:] == [None]


async def test_the_rest_as_if_it_were_all_drops_the_part(tmp_path: Path) -> None:
    """A store that forgets to say which part it sends."""

    def forgets(heard: Heard) -> Iterable[Part]:
        return [http(FILM[first_of(heard) :], 200, {"ETag": etag_of(FILM)})]

    content, asked = await resumed(tmp_path, forgets)
    assert content == FILM
    assert asked[2:] == [None]


@pytest.mark.parametrize("first", [0, 5])
async def test_a_part_that_nobody_asked_for(first: int, tmp_path: Path) -> None:
    """All of the file is welcome under any of the two statuses, a part of it is not."""

    def script(heard: Heard) -> Iterable[Part]:
        span = f"bytes {first}-{len(FILM) - 1}/{len(FILM)}"
        return [http(FILM[first:], 206, {"Content-Range": span})]

    async with RawServer(script) as server, client_for(server) as client:
        download = client.download(film_at(address(server)), tmp_path)
        if first:
            with pytest.raises(Exception, match="HTTP 206"):
                await download
        else:
            assert (await download)[0].name == f"video-{ID}.mp4"
    await asyncio.sleep(0)


async def test_what_is_packed_is_not_gone_on_with(tmp_path: Path) -> None:
    """Its tag may be that of the file, and the bytes that are asked for are not."""
    drawn = SVG.replace(b"<g>", b"<g>" + b"<path/>" * 300)
    tag = {"ETag": etag_of(drawn)}
    packed = http(gzip.compress(drawn, 0), headers={"Content-Encoding": "gzip", **tag})
    scripts = say(packed[:-200], 0.01, FIN), say(http(drawn, headers=tag))
    async with RawServer(*scripts) as server, client_for(server) as client:
        (path,) = await client.download(picture_at(address(server)), tmp_path)
        assert [heard.header("Range") for heard in server.heard] == [None, None]
    assert path.read_bytes() == drawn
