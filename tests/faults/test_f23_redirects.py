"""Redirects of every kind, to anywhere. The key goes to one origin."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack

import aiohttp
import pytest

from aitoearn_async import Client, ImageTask, ServiceUnreachableError, UnexpectedResponseError
from tests.faults.test_f21_tls import served, trusting
from tests.support.raw_server import (
    KEY,
    REF,
    Heard,
    Part,
    RawServer,
    Script,
    envelope,
    good,
    http,
    say,
    task,
)

from .harness import Row, Trial

ROW = Row(
    23,
    "A redirect: to the same origin, another host, plain http, in a loop, to 169.254.169.254",
    "It is not followed, whatever its status and wherever it leads: an error names the origin "
    "it leads to, after one request, and nobody but the service is sent the key.",
)

STATUSES = [300, 301, 302, 303, 305, 307, 308]
SESSIONS = ["own session", "caller's session"]
PATH = f"/api/ai/image/task/{REF.id}"


@pytest.fixture(params=SESSIONS)
async def session(request: pytest.FixtureRequest) -> AsyncIterator[aiohttp.ClientSession | None]:
    """Of the client's own making, or one that follows redirects and keeps cookies."""
    if request.param == "own session":
        yield None
        return
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar, trust_env=True) as callers:
        yield callers


def to(location: str, status: int = 302) -> Script:
    """A redirect, and a cookie for good measure."""
    return say(http(b"", status, {"Location": location, "Set-Cookie": f"key={KEY}; Path=/"}))


async def refused(trial: Trial, client: Client, server: RawServer, status: int) -> str:
    """What is said of a redirect, after one request."""
    (error,) = await trial.ends(client.get, REF)
    assert type(error) is UnexpectedResponseError
    assert not error.transient
    assert error.http_status == status
    assert "base_url" in str(error)
    assert len(str(error)) < 400
    trial.wire(server, exactly=1)
    return str(error)


@pytest.mark.parametrize("status", STATUSES)
async def test_another_origin(
    trial: Trial, status: int, session: aiohttp.ClientSession | None
) -> None:
    """It hears nothing at all, though it would have a good answer; the error names it."""
    async with RawServer() as other, RawServer(to(other.url + PATH, status)) as server:
        async with server.client(session=session) as client:
            assert other.url in await refused(trial, client, server, status)
        assert other.lines == []
        trial.no_key_in(other.raw)


@pytest.mark.parametrize("status", STATUSES)
async def test_from_https_to_http(
    trial: Trial, status: int, session: aiohttp.ClientSession | None
) -> None:
    """Nothing goes out in the clear."""
    async with AsyncExitStack() as stack:
        other = await stack.enter_async_context(RawServer())
        server = await stack.enter_async_context(
            RawServer(to(other.url + PATH, status), tls=served("valid"))
        )
        async with server.client(session=session, ssl=trusting("valid")) as client:
            assert other.url in await refused(trial, client, server, status)
        assert other.lines == []
        trial.no_key_in(other.raw)


@pytest.mark.parametrize("location", [PATH, "", "?again", "/elsewhere"])
async def test_the_same_origin(
    trial: Trial, location: str, session: aiohttp.ClientSession | None
) -> None:
    """Nor is it followed home: a loop is one request, and so is a way that leads on."""
    async with RawServer(to(location)) as server, server.client(session=session) as client:
        assert server.url in await refused(trial, client, server, 302)


@pytest.mark.sampled(5)
@pytest.mark.parametrize(
    "location",
    [
        "//127.0.0.1:1/x",
        "http://169.254.169.254/latest/meta-data/",
        "http://[::ffff:169.254.169.254]/",
        "https://example.org/",
        "ftp://example.org/",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "http://user:password@example.org/",
        "http://[half",
        "http://example.org:99999/",
        "//",
        "//[]@",
        "\\\\evil",
        "caf\xe9 caf\xe9",
        "x" * 7000,
        f"https://{'a' * 60}.{'b' * 60}.{'c' * 60}.{'d' * 3000}.org/",
        f"https://{KEY}.example.org/{KEY}",
    ],
    ids=lambda location: ascii(location[:30]),
)
@pytest.mark.parametrize("status", STATUSES)
async def test_anywhere(trial: Trial, status: int, location: str) -> None:
    """Hostile locations are as little followed, and quoted in short, without what they carry."""
    async with RawServer(to(location, status)) as server, server.client() as client:
        said = await refused(trial, client, server, status)
        assert "password" not in said
        trial.no_key_in(said)


async def test_no_location(trial: Trial) -> None:
    """There is nowhere to go to; the error is the same."""
    async with RawServer(say(http(b"", 302))) as server, server.client() as client:
        assert "HTTP 302" in await refused(trial, client, server, 302)


async def test_by_a_proxy(trial: Trial) -> None:
    """A proxy that sends its callers elsewhere is not obeyed either."""
    async with RawServer() as other, RawServer(to(other.url + PATH)) as proxy:
        async with proxy.client(base_url="http://127.0.0.1:1", proxy=proxy.url) as client:
            assert other.url in await refused(trial, client, proxy, 302)
        assert other.lines == []


async def wait_for(client: Client) -> object:
    return await client.wait_for(REF, patience=60)


async def wait_all(client: Client) -> object:
    return (await client.wait_all([REF], patience=60))[0]


@pytest.mark.parametrize("wait", [wait_for, wait_all])
async def test_in_a_wait(trial: Trial, wait: Callable[[Client], Awaitable[object]]) -> None:
    """It may pass, like other trouble before the service; at last it is the cause."""
    async with RawServer() as other:
        redirect = to(other.url + PATH)
        scripts = redirect, good("generating"), redirect
        async with RawServer(*scripts) as server, server.client() as client:
            (end,) = await trial.ends(lambda _: wait(client), REF)
            error = getattr(end, "error", end)
            assert isinstance(error, ServiceUnreachableError)
            assert f"{other.url};" in str(error.__cause__)
            assert error.latest is not None
        assert other.lines == []
        trial.wire(server, at_most=60)


async def test_what_else_leads_elsewhere(trial: Trial) -> None:
    """Links, refreshes and media addresses of other origins are told of, and not asked for."""
    async with RawServer() as other:
        places = {
            "Location": other.url,
            "Link": f"<{other.url}>; rel=preload",
            "Refresh": other.url,
        }
        found = envelope(task(images=[{"url": other.url}], response={"url": other.url}))

        def script(_: Heard) -> Iterable[Part]:
            return (http(found, headers=places),)

        async with RawServer(script) as server, server.client() as client:
            for call in (client.get, client.wait_for):
                (image,) = await trial.ends(call, REF, status="success")
                assert isinstance(image, ImageTask)
                assert image.images
                assert image.images[0].url == other.url
            trial.wire(server, exactly=2)
        assert other.lines == []
