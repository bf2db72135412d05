"""The key goes to one origin. A redirect is an error, wherever it leads."""

from __future__ import annotations

import aiohttp
import pytest

from aitoearn_async import ServiceUnreachableError, UnexpectedResponseError
from tests.support.raw_server import KEY, REF, RawServer, good, http, say

REDIRECTS = [300, 301, 302, 303, 307, 308]


@pytest.mark.parametrize("own_session", [True, False], ids=["own session", "caller's session"])
@pytest.mark.parametrize("status", REDIRECTS)
async def test_a_redirect_to_another_origin(status: int, own_session: bool) -> None:
    """The other origin hears nothing at all, and the error names it."""
    async with RawServer() as other, aiohttp.ClientSession() as session:
        location = {"Location": f"{other.url}/api/ai/image/task/{REF.id}?a=b"}
        async with (
            RawServer(say(http(b"", status, location))) as server,
            server.client(session=None if own_session else session) as client,
        ):
            with pytest.raises(UnexpectedResponseError) as caught:
                await client.get(REF)
            assert not caught.value.transient
            assert caught.value.http_status == status
            assert other.url in str(caught.value)
            assert "base_url" in str(caught.value)
            assert server.count == 1
        assert other.lines == []
        assert other.raw == b""


@pytest.mark.parametrize("status", REDIRECTS)
@pytest.mark.parametrize(
    "location",
    [
        "/elsewhere",
        "?again",
        "//127.0.0.1:1/x",
        "http://169.254.169.254/latest/meta-data/",
        "https://example.org/",
        "ftp://example.org/",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "http://user:password@example.org/",
        "http://[half",
        "http://example.org:99999/",
        "//",
        "",
        "\\\\evil",
        "caf\xe9 caf\xe9",
        "x" * 7000,
    ],
)
async def test_a_redirect_to_anywhere(status: int, location: str) -> None:
    """Hostile locations are as little followed, and quoted without what they carry."""
    async with (
        RawServer(say(http(b"", status, {"Location": location}))) as server,
        server.client() as client,
    ):
        with pytest.raises(UnexpectedResponseError) as caught:
            await client.get(REF)
        assert not caught.value.transient
        assert "password" not in str(caught.value)
        assert len(str(caught.value)) < 400
        assert server.count == 1


async def test_a_redirect_without_a_location() -> None:
    """There is nowhere to go to; the error is the same."""
    async with RawServer(say(http(b"", 302))) as server, server.client() as client:
        with pytest.raises(UnexpectedResponseError, match="HTTP 302"):
            await client.get(REF)


async def test_redirects_in_a_wait() -> None:
    """They may pass, like other trouble before the service; at last they are the cause."""
    redirect = say(http(b"", 302, {"Location": "https://example.org/"}))
    async with (
        RawServer(redirect, good("generating"), redirect) as server,
        server.client() as client,
    ):
        with pytest.raises(ServiceUnreachableError) as caught:
            await client.wait_for(REF, patience=60)
        assert "https://example.org;" in str(caught.value.__cause__)
        assert caught.value.latest is not None


async def test_a_redirect_that_echoes_the_key() -> None:
    """Not even a location with the key in its host gets it into the message."""
    location = {"Location": f"https://{KEY}.example.org/{KEY}"}
    async with (
        RawServer(say(http(b"", 302, location)), good()) as server,
        server.client() as client,
    ):
        with pytest.raises(UnexpectedResponseError) as caught:
            await client.get(REF)
        assert KEY not in str(caught.value)
        assert KEY not in repr(caught.value)


async def test_a_redirect_to_a_huge_host() -> None:
    """The origin is quoted in short."""
    location = {"Location": f"https://{'a' * 60}.{'b' * 60}.{'c' * 60}.{'d' * 3000}.org/"}
    async with RawServer(say(http(b"", 302, location))) as server, server.client() as client:
        with pytest.raises(UnexpectedResponseError) as caught:
            await client.get(REF)
        assert len(str(caught.value)) < 400
