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


class _Envelope(msgspec.Struct, frozen=True, rename="camel"):
    """The service's, as one would write it by hand."""

    code: int
    data: ImageTask
    request_id: str | None = None


@contextlib.asynccontextmanager
async def by_hand(base_url: str) -> AsyncIterator[Poll]:
    decoder = msgspec.json.Decoder(_Envelope)
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


def _stainless(
    package: str, client: str, path: str, resource: str, *, aiohttp: bool
) -> Callable[[str], Opened]:
    """Return the way of a client that Stainless has generated: these are all alike."""

    @contextlib.asynccontextmanager
    async def opened(base_url: str) -> AsyncIterator[Poll]:
        module = late(package)
        if aiohttp:
            late("httpx_aiohttp")
        own = {"http_client": module.DefaultAioHttpClient()} if aiohttp else {}
        make = getattr(module, client)
        async with make(api_key=KEY, base_url=base_url + path, **own) as made:
            yield getattr(made, resource).retrieve

    return opened


_OPENAI = "openai", "AsyncOpenAI", "/v1", "videos"
_RUNWAYML = "runwayml", "AsyncRunwayML", "", "tasks"


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
    "by hand": Way(None, by_hand),
    "client.get": Way(None, _get),
    "openai, httpx": Way("openai", _stainless(*_OPENAI, aiohttp=False)),
    "openai, aiohttp": Way("openai", _stainless(*_OPENAI, aiohttp=True)),
    "runwayml, httpx": Way("runwayml", _stainless(*_RUNWAYML, aiohttp=False)),
    "runwayml, aiohttp": Way("runwayml", _stainless(*_RUNWAYML, aiohttp=True)),
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
