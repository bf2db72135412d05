"""A session of the caller's own: used as it is, and left open."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import aiohttp
import pytest
from yarl import URL

from aitoearn_async import (
    AuthenticationError,
    ConnectionFailedError,
    ImageRef,
    ImageTask,
    ServerError,
    TaskNotFoundError,
)
from tests.support.answers import ZIPPED, encoded
from tests.support.raw_server import (
    KEY,
    REF,
    RST,
    STALL,
    RawServer,
    good,
    http,
    refuse,
    say,
    together,
)


async def test_it_is_used_and_left_open() -> None:
    """The caller goes on with it after the client is closed, by connections of its pool."""
    async with RawServer() as server, aiohttp.ClientSession() as session:
        async with server.client(session=session) as client:
            assert (await client.get(REF)).done
        assert not session.closed
        async with server.client(session=session) as client:
            assert (await client.get(REF)).done
        async with session.get(server.url + "/own") as response:
            assert response.status == 200
        assert [heard.connection for heard in server.heard] == [0, 0, 0]


OPTIONS: dict[str, dict[str, Any]] = {
    "raise_for_status": {"raise_for_status": True},
    "auto_decompress off": {"auto_decompress": False},
    "a total timeout": {"timeout": aiohttp.ClientTimeout(total=0.001)},
    "a read timeout": {"timeout": aiohttp.ClientTimeout(sock_read=0.001)},
    "skipped headers": {"skip_auto_headers": ["User-Agent", "Accept"]},
    "a key of its own": {"headers": {"x-api-key": "another"}},
    "a base URL": {"base_url": "http://127.0.0.1:1/elsewhere/"},
    "a small buffer": {"read_bufsize": 1},
    "HTTP/1.0": {"version": aiohttp.HttpVersion10},
    "HEAD-like headers": {"headers": {"Accept-Encoding": "br", "Accept": "text/html"}},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
async def test_whatever_it_was_made_with(options: dict[str, Any]) -> None:
    """No setting of a session changes what an answer comes to."""
    scripts = good(delay=1), refuse(500), refuse(401), say(http(b"<html>", 502))
    async with (
        RawServer(*scripts) as server,
        aiohttp.ClientSession(**options) as session,
        server.client(session=session, attempts=1) as client,
    ):
        assert (await client.get(REF)).done
        with pytest.raises(ServerError):
            await client.get(REF)
        with pytest.raises(AuthenticationError):
            await client.get(REF)
        with pytest.raises(ServerError, match="HTTP 502"):
            await client.get(REF)
        assert {heard.header("X-Api-Key") for heard in server.heard} == {KEY}


async def test_what_it_adds_goes_along() -> None:
    """Headers and cookies of the session's own are sent too."""
    jar = aiohttp.CookieJar(unsafe=True)
    async with RawServer() as server:
        jar.update_cookies({"pass": "word"}, URL(server.url))
        async with (
            aiohttp.ClientSession(cookie_jar=jar, headers={"X-Team": "blue"}) as session,
            server.client(session=session) as client,
        ):
            await client.get(REF)
        assert server.heard[0].header("X-Team") == "blue"
        assert server.heard[0].header("Cookie") == "pass=word"


async def test_without_decompression_none_is_asked_for() -> None:
    """A session that does not unpack gets nothing packed."""
    async with RawServer() as server, aiohttp.ClientSession(auto_decompress=False) as session:
        async with server.client(session=session) as client:
            await client.get(REF)
        assert server.heard[0].header("Accept-Encoding") == "identity"


async def test_what_comes_packed_all_the_same_is_read() -> None:
    """There are proxies that pack whatever they pass on."""
    packed = say(encoded(ZIPPED, "gzip"))
    async with (
        RawServer(packed) as server,
        aiohttp.ClientSession(auto_decompress=False) as session,
        server.client(session=session, attempts=1) as client,
    ):
        assert (await client.get(REF)).done


async def test_the_key_stays_out_of_it() -> None:
    """Other requests of the session go without the key."""
    async with RawServer() as server, RawServer() as other, aiohttp.ClientSession() as session:
        async with server.client(session=session) as client:
            await client.get(REF)
            async with session.get(other.url):
                pass
        assert KEY.encode() not in other.raw
        assert "X-Api-Key" not in session.headers


async def test_a_server_that_always_dies() -> None:
    """On a caller's session aiohttp itself repeats a request once, and no more."""
    async with RawServer(say(RST)) as server, aiohttp.ClientSession() as session:
        async with server.client(session=session, attempts=3) as client:
            with pytest.raises(ConnectionFailedError):
                await client.get(REF)
        assert 3 <= server.count <= 6


async def test_a_connector_with_one_place() -> None:
    """A tight connector only makes calls wait; errors give its place back."""
    connector = aiohttp.TCPConnector(limit=1)
    scripts = [say(RST), say(http(b"<html>")), refuse(404)] * 3
    async with (
        RawServer(*scripts, good()) as server,
        aiohttp.ClientSession(connector=connector) as session,
        server.client(session=session, attempts=20) as client,
    ):
        ends = [(await together(client.get(REF)))[0] for _ in range(5)]
        assert {type(end) for end in ends} == {TaskNotFoundError, ImageTask}


async def test_a_pool_that_the_caller_holds_is_no_outage(caplog: pytest.LogCaptureFixture) -> None:
    """Its only connection is taken for longer than patience lasts: nobody asked the service."""
    loop, busy = asyncio.get_running_loop(), asyncio.Event()

    async def hold(session: aiohttp.ClientSession, url: str) -> None:
        async with session.get(url):  # the answer is here, and is not read
            busy.set()
            await asyncio.sleep(100)

    connector = aiohttp.TCPConnector(limit=1)
    endless = say(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", STALL)
    async with (
        RawServer(endless, good()) as server,
        aiohttp.ClientSession(connector=connector) as session,
        server.client(session=session, request_timeout=5) as client,
    ):
        holding = asyncio.ensure_future(hold(session, server.url))
        await busy.wait()
        refs = [ImageRef(f"task-{number}") for number in range(3)]
        outcomes = await client.wait_all(refs, patience=20)
        assert [outcome.ok for outcome in outcomes] == [True] * 3
        assert loop.time() > 100
        await holding
        statistics = client.statistics()
        assert statistics.outages == 0
        assert server.count == 1 + 3
        assert statistics.requests <= 4, "one may have had a connection as its time was up"
    told = [message for message in caplog.messages if "no connection of the session" in message]
    assert 1 <= len(told) <= 3
    assert not any("is down" in message for message in caplog.messages)


async def test_a_mistake_in_a_middleware() -> None:
    """A `RuntimeError` of the caller's own code is his to see, and no reason to try again."""
    calls = 0

    async def broken(_: object, __: object) -> aiohttp.ClientResponse:
        nonlocal calls
        calls += 1
        raise RuntimeError("broken middleware")

    async with (
        RawServer() as server,
        aiohttp.ClientSession(middlewares=[broken]) as session,
        server.client(session=session) as client,
    ):
        with pytest.raises(RuntimeError, match="broken middleware"):
            await client.get(REF)
        assert calls == 1
        assert client.statistics().in_flight == 0


async def test_an_error_of_the_language_in_code_of_the_callers_passes_as_it_is() -> None:
    """No network can cause it, and no wait is to go on for it."""

    async def broken(_: object, __: object) -> aiohttp.ClientResponse:
        raise KeyError("no such header")

    async with (
        RawServer() as server,
        aiohttp.ClientSession(middlewares=[broken]) as session,
        server.client(session=session) as client,
    ):
        for call in (client.get(REF), client.wait_for(REF), client.wait_all([REF])):
            with pytest.raises(KeyError, match="no such header"):
                await call
        assert client.statistics().in_flight == 0


class ProxyDownError(Exception):
    """As packages that connect through a proxy of another kind have them."""


async def test_a_strangers_trouble_passes_and_keeps_its_cause() -> None:
    left = 2

    async def down(request: aiohttp.ClientRequest, handler: Any) -> aiohttp.ClientResponse:
        nonlocal left
        left -= 1
        if left >= 0:
            raise ProxyDownError("SOCKS: general failure")
        return cast("aiohttp.ClientResponse", await handler(request))

    async with (
        RawServer() as server,
        aiohttp.ClientSession(middlewares=[down]) as session,
        server.client(session=session, attempts=1) as client,
    ):
        with pytest.raises(ConnectionFailedError, match="session given to the Client") as caught:
            await client.get(REF)
        assert "SOCKS: general failure" in str(caught.value)
        assert isinstance(caught.value.__cause__, ProxyDownError)
        assert (await client.wait_for(REF)).done


async def test_closed_under_those_who_wait_for_a_connection() -> None:
    """aiohttp cancels what they wait for. Nobody has cancelled them: they hear of an error."""
    async with RawServer(good(delay=10)) as server:
        session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1))
        async with server.client(session=session) as client:
            refs = [ImageRef("a"), ImageRef("b")]
            calls = [client.get(REF), client.wait_for(REF), client.wait_all(refs)]
            ends = asyncio.ensure_future(together(*calls))
            await asyncio.sleep(2)
            await session.close()
            for end in await ends:
                assert type(end) is RuntimeError
                assert "session given to the Client is closed" in str(end)
            assert (client.statistics().in_flight, client.statistics().queued) == (0, 0)


async def test_a_middleware_that_waits_for_what_is_cancelled() -> None:
    """Nor is that a cancellation of the call."""
    inner: asyncio.Future[aiohttp.ClientResponse] = asyncio.get_running_loop().create_future()
    inner.cancel()

    async def waiting(_: object, __: object) -> aiohttp.ClientResponse:
        return await inner

    async with (
        RawServer() as server,
        aiohttp.ClientSession(middlewares=[waiting]) as session,
        server.client(session=session) as client,
    ):
        with pytest.raises(RuntimeError, match="something was cancelled"):
            await client.get(REF)
        assert client.statistics().in_flight == 0
