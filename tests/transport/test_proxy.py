"""Proxies: those of `proxy=`, those of the environment, and what they get to see."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from aitoearn_async import Client, ConnectionFailedError, UnexpectedResponseError, VideoTask
from aitoearn_async.emulator.pictures import mp4
from tests.support.raw_server import KEY, REF, RawServer, good, http, say, unused_url

SERVICE = "http://api.internal:8080"
VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy of the developer's own."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


async def test_a_proxy() -> None:
    """A plain request is handed to the proxy whole."""
    async with RawServer() as proxy:
        async with proxy.client(base_url=SERVICE, proxy=proxy.url) as client:
            assert (await client.get(REF)).done
        assert proxy.heard[0].path == f"{SERVICE}/api/ai/image/task/{REF.id}"


async def test_a_proxy_with_a_password() -> None:
    """Its login goes to the proxy, and into no message."""
    async with RawServer(say(http(b"", 407))) as proxy:
        address = proxy.url.replace("http://", "http://user:secret-word@")
        async with proxy.client(base_url=SERVICE, proxy=address) as client:
            with pytest.raises(UnexpectedResponseError, match="407") as caught:
                await client.get(REF)
            assert "secret-word" not in repr(client)
        assert proxy.heard[0].header("Proxy-Authorization") is not None
        assert "secret-word" not in str(caught.value)


async def test_files_come_through_the_proxy_which_gets_its_login(tmp_path: Path) -> None:
    """It alone does; a media host of plain http is asked for by the proxy."""
    film = mp4("one")
    async with RawServer(say(http(film))) as proxy:
        address = proxy.url.replace("http://", "http://user:secret-word@")
        async with proxy.client(base_url=SERVICE, proxy=address, private_media=True) as client:
            task = VideoTask(id="a", status="SUCCESS", video_url="http://media.internal/a")
            (path,) = await client.download(task, tmp_path)
        assert path.read_bytes() == film
        assert proxy.heard[0].path == "http://media.internal/a"
        assert proxy.heard[0].header("Proxy-Authorization") is not None


@pytest.mark.parametrize("status", [403, 407, 502])
async def test_a_proxy_that_refuses_a_tunnel(status: int) -> None:
    """To https a proxy only opens a way; the key is not among what it hears."""
    async with RawServer(say(http(b"<html>", status))) as proxy:
        async with proxy.client(base_url="https://api.internal", proxy=proxy.url) as client:
            with pytest.raises(ConnectionFailedError, match="proxy"):
                await client.get(REF)
        assert {heard.method for heard in proxy.heard} == {"CONNECT"}
        assert KEY.encode() not in proxy.raw


async def test_a_proxy_that_is_not_there() -> None:
    """It is a failed connection, without the proxy's login in the message."""
    address = (unused_url()).replace("http://", "http://user:secret-word@")
    async with RawServer() as server, server.client(proxy=address, attempts=2) as client:
        with pytest.raises(ConnectionFailedError) as caught:
            await client.get(REF)
        assert caught.value.transient
        assert "secret-word" not in str(caught.value)
        assert client.statistics().requests == 2
        assert server.lines == []


@pytest.mark.parametrize(
    ("named", "told"), [("HTTPS_PROXY", True), ("HTTP_PROXY", False), ("NO_PROXY", False)]
)
async def test_a_proxy_that_is_passed_by_is_told_of_where_nobody_answers(
    monkeypatch: pytest.MonkeyPatch, named: str, told: bool
) -> None:
    """In a company's network nothing else leads out, and nothing else says why."""
    monkeypatch.setenv(named, "http://proxy.example:3128")
    address = unused_url().replace("http://", "https://")
    async with Client(KEY, base_url=address, attempts=1) as client:
        with pytest.raises(ConnectionFailedError) as caught:
            await client.get(REF)
    assert ("HTTPS_PROXY is set, and is obeyed with trust_env" in str(caught.value)) is told


@pytest.mark.parametrize("address", ["http://10.1:3128", "http://10.0.0.256:3128"])
def test_a_proxy_whose_host_cannot_be_one(address: str) -> None:
    """It is refused when the client is made, and not taken for one that is down."""
    with pytest.raises(ValueError, match="proxy= is no"):
        Client(KEY, base_url="https://api.example", proxy=address)


async def test_the_environments_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is used when asked for, and only then."""
    async with RawServer() as proxy, RawServer() as server:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        async with server.client() as client:
            await client.get(REF)
        assert (proxy.count, server.count) == (0, 1)
        async with server.client(trust_env=True) as client:
            await client.get(REF)
        assert (proxy.count, server.count) == (1, 1)
        monkeypatch.setenv("NO_PROXY", "localhost,127.0.0.1")
        async with server.client(trust_env=True) as client:
            await client.get(REF)
        assert (proxy.count, server.count) == (1, 2)


async def test_an_environments_proxy_without_a_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    """`host:port`, as other programs take it, is enough."""
    async with RawServer() as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"127.0.0.1:{proxy.port}")
        async with proxy.client(base_url=SERVICE, trust_env=True) as client:
            await client.get(REF)
        assert proxy.count == 1


async def test_an_argument_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is said in the code holds."""
    async with RawServer() as proxy, RawServer() as other:
        monkeypatch.setenv("HTTP_PROXY", other.url)
        options = {"base_url": SERVICE, "proxy": proxy.url, "trust_env": True}
        async with proxy.client(**options) as client:
            await client.get(REF)
        assert (proxy.count, other.count) == (1, 0)


async def test_the_environments_proxy_is_for_one_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy for https is none for http."""
    monkeypatch.setenv("HTTPS_PROXY", unused_url())
    async with RawServer() as server, server.client(trust_env=True) as client:
        assert (await client.get(REF)).done


async def test_the_environments_proxy_for_https(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tunnel is asked for at the proxy that the environment names."""
    async with RawServer(say(http(b"", 502))) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        options = {"trust_env": True, "ssl": ssl.create_default_context()}
        async with proxy.client(base_url="https://api.internal", **options) as client:
            with pytest.raises(ConnectionFailedError):
                await client.get(REF)
        assert {heard.path for heard in proxy.heard} == {"api.internal:443"}


async def test_netrc_is_not_read(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    """Trusting the environment's proxy does not mean sending logins of the caller's."""
    netrc = f"{tmp_path}/netrc"
    with open(netrc, "w") as file:  # noqa: ASYNC230 - a line, once
        file.write("machine 127.0.0.1 login user password secret-word\n")
    monkeypatch.setenv("NETRC", netrc)
    async with RawServer(good()) as server, server.client(trust_env=True) as client:
        await client.get(REF)
        assert server.heard[0].header("Authorization") is None
