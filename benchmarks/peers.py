"""The clients we compare with: how each is installed, opened and asked, as its own pages say.

A row of `WAYS` for each; each is imported only in the process that measures it. How much it is
asked, and what that costs, is not known here.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple

import aiohttp
import msgspec

from aitoearn_async import Client, ImageRef, ImageTask

from .server import KEY

INSTALL = "pip install -e '.[bench]'"

Poll = Callable[[str], Awaitable[object]]
"""Asks once how the task with this id stands."""
Opened = AbstractAsyncContextManager[Poll]


class Missing(Exception):
    """A peer is not installed, or does not work with this Python."""


def late(name: str) -> Any:
    """Import a module of the extra.

    Raises:
        Missing: It is not there, or fails.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise Missing(f"not installed: {INSTALL}") from error
    except Exception as error:  # a peer may fail on a Python that is newer than it
        raise Missing(f"fails on this Python: {type(error).__name__}") from error


class Envelope(msgspec.Struct, frozen=True, rename="camel"):
    """The service's, as one would write it by hand."""

    code: int
    data: ImageTask
    request_id: str | None = None


@contextlib.asynccontextmanager
async def _by_hand(base_url: str) -> AsyncIterator[Poll]:
    decoder = msgspec.json.Decoder(Envelope)
    address = f"{base_url}/api/ai/image/task/"
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"X-Api-Key": KEY},
    ) as session:

        async def poll(task_id: str) -> ImageTask:
            async with session.get(address + task_id) as response:
                body = await response.read()
            return decoder.decode(body).data

        yield poll


@contextlib.asynccontextmanager
async def _get(base_url: str) -> AsyncIterator[Poll]:
    async with Client(KEY, base_url=base_url) as client:
        yield lambda task_id: client.get(ImageRef(task_id))


def _openai(transport: str) -> Callable[[str], Opened]:
    @contextlib.asynccontextmanager
    async def opened(base_url: str) -> AsyncIterator[Poll]:
        module = late("openai")
        if transport == "aiohttp":
            late("aiohttp")
            own = {"http_client": module.DefaultAioHttpClient()}
        else:
            own = {}
        async with module.AsyncOpenAI(api_key=KEY, base_url=f"{base_url}/v1", **own) as client:
            yield client.videos.retrieve

    return opened


def _runwayml(transport: str) -> Callable[[str], Opened]:
    @contextlib.asynccontextmanager
    async def opened(base_url: str) -> AsyncIterator[Poll]:
        module = late("runwayml")
        if transport == "aiohttp":
            late("httpx_aiohttp")
            own = {"http_client": module.DefaultAioHttpClient()}
        else:
            own = {}
        async with module.AsyncRunwayML(api_key=KEY, base_url=base_url, **own) as client:
            yield client.tasks.retrieve

    return opened


@contextlib.asynccontextmanager
async def _replicate(base_url: str) -> AsyncIterator[Poll]:
    client = late("replicate").Client(api_token=KEY, base_url=base_url)
    yield client.predictions.async_get


@contextlib.asynccontextmanager
async def _fal(base_url: str) -> AsyncIterator[Poll]:
    # Its addresses are https; those of a handle are what the server said at submission.
    handle, httpx = late("fal_client").AsyncRequestHandle, late("httpx")
    queue = f"{base_url}/fal-ai/flux/requests/"
    async with httpx.AsyncClient(headers={"Authorization": f"Key {KEY}"}, timeout=120.0) as client:

        def poll(task_id: str) -> Awaitable[object]:
            address = queue + task_id
            asked = handle(task_id, address, f"{address}/status", f"{address}/cancel", client)
            status: Awaitable[object] = asked.status()
            return status

        yield poll


class Way(NamedTuple):
    """One way to poll."""

    package: str | None
    """The distribution it is, if it is a peer."""
    opened: Callable[[str], Opened]


WAYS = {
    "by hand": Way(None, _by_hand),
    "client.get": Way(None, _get),
    "openai, httpx": Way("openai", _openai("httpx")),
    "openai, aiohttp": Way("openai", _openai("aiohttp")),
    "runwayml, httpx": Way("runwayml", _runwayml("httpx")),
    "runwayml, aiohttp": Way("runwayml", _runwayml("aiohttp")),
    "replicate": Way("replicate", _replicate),
    "fal-client": Way("fal-client", _fal),
}


def versions() -> dict[str, str]:
    """Return the versions of the peers that are installed."""
    found: dict[str, str] = {}
    for way in WAYS.values():
        with contextlib.suppress(PackageNotFoundError):
            if way.package is not None:
                found[way.package] = version(way.package)
    return found
