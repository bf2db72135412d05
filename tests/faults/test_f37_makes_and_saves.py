"""The same of the calls that make, list and save: the key goes to the API, and nowhere else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest

from aitoearn_async import AiToEarnError, Client, DownloadError, GenerateImage
from tests.downloads.storage import FILM, film_at, serve
from tests.support.raw_server import FIN, KEY, RST, STALL, RawServer, Script, envelope, http, say

from .harness import Trial
from .test_f37_secrets import (
    ECHO,
    ROW,
    STALLS,
    TROUBLE,
    assert_clean,
    assert_error_clean,
    nothing_logged,
)

__all__ = ["ROW", "nothing_logged"]

REQUEST = GenerateImage(model="m", prompt="a cat")


async def listed(client: Client) -> object:
    return [video async for video in client.list_videos()]


USES: dict[str, Callable[[Client], Awaitable[object]]] = {
    "submit": lambda client: client.submit(REQUEST),
    "run": lambda client: client.run(REQUEST, timeout=20, patience=10),
    "checked": lambda client: client.submit(REQUEST, check=True),
    "models": lambda client: client.image_models(),
    "list": listed,
}
each_use = pytest.mark.parametrize("use", USES.values(), ids=USES)


def data(what: object) -> tuple[Script]:
    return (say(http(json.dumps({"code": 0, "data": what}).encode())),)


ANSWERS: dict[str, tuple[Script, ...]] = {
    # Of a task these are: a submit would take them.
    **{name: scripts for name, scripts in TROUBLE.items() if "stray" not in name},
    "an id that echoes": data({"id": f"no {KEY}", "logId": f"no {KEY}"}),
    "data that echoes": data(KEY),
    "a field that echoes": data({"total": KEY, "list": KEY, "logId": [KEY]}),
    "a refusal that echoes": (say(http(envelope(code=12300, message=f"{KEY}: no"), 400)),),
}


@pytest.mark.sampled(7)
@each_use
@pytest.mark.parametrize("scripts", ANSWERS.values(), ids=ANSWERS)
async def test_errors(
    trial: Trial, use: Callable[[Client], Awaitable[object]], scripts: tuple[Script, ...]
) -> None:
    """No error has it, nor what is said of a submit whose fate is open."""
    async with RawServer(*scripts) as server:
        async with server.client(request_timeout=2, max_response_bytes=1500) as client:
            with pytest.raises(AiToEarnError) as caught:
                await use(client)
        assert KEY.encode() in server.raw, "the key was sent"
    assert_error_clean(caught.value)
    trial.wire(server)


@pytest.mark.sampled(4)
@each_use
@pytest.mark.parametrize("script", STALLS.values(), ids=STALLS)
async def test_cancelled(
    trial: Trial, use: Callable[[Client], Awaitable[object]], script: Script
) -> None:
    """Nor has a cancellation, or what is noted on one."""
    async with RawServer(script) as server, server.client(attempts=50) as client:
        running = asyncio.ensure_future(use(client))
        await asyncio.sleep(0.2)
        assert_clean(repr(running), repr(running.get_stack()))
        running.cancel()
        try:
            await running
        except (asyncio.CancelledError, AiToEarnError) as exc:
            assert_error_clean(exc)
    trial.wire(server)


MEDIA: dict[str, Script] = {
    "a film": serve(FILM),
    "a page that echoes": say(http(ECHO)),
    "a refusal that echoes": say(http(ECHO, 403, {"X": KEY})),
    "a redirect that echoes": say(http(b"", 302, {"Location": f"ftp://{KEY}.org/{KEY}"})),
    "half of it": say(http(FILM, length=len(FILM) + 9, headers={"ETag": '"1"'}), FIN),
    "a reset": say(RST),
    "silence": say(STALL),
}


@pytest.mark.sampled(3)
@pytest.mark.parametrize("script", MEDIA.values(), ids=MEDIA)
async def test_where_files_are(trial: Trial, script: Script, tmp_path: Path) -> None:
    """A media host never hears it, whatever it answers, nor does one that it sends us to."""
    async with (
        aiohttp.ClientSession(headers={"X-Api-Key": KEY}) as session,
        RawServer(say(http(envelope(code=404)))) as api,
        RawServer(script) as host,
        RawServer(say(http(b"", 302, {"Location": f"{host.url}/film"}))) as first,
    ):
        for callers in (None, session):
            async with api.client(private_media=True, session=callers, request_timeout=2) as client:
                film = film_at(f"{first.url}/film")
                path = tmp_path / str(callers is None)
                try:
                    await client.download(film, path, timeout=5)
                except DownloadError as error:
                    assert_error_clean(error)
        assert host.count > 0
        trial.no_key_in(host.raw, first.raw)
    trial.wire(first, host)


async def test_a_proxy_on_the_way(trial: Trial) -> None:
    """One that is asked for a tunnel hears where to, and no more."""
    async with RawServer(say(http(ECHO, 502))) as proxy:
        async with Client(KEY, base_url="https://api.test", proxy=proxy.url) as client:
            for use in USES.values():
                with pytest.raises(AiToEarnError) as caught:
                    await use(client)
                assert_error_clean(caught.value)
        assert {heard.method for heard in proxy.heard} == {"CONNECT"}
        trial.no_key_in(proxy.raw)
    trial.wire(proxy)
