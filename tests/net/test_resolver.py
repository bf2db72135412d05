"""Names are looked up in threads of our own, whatever becomes of the loop's."""

from __future__ import annotations

import asyncio
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import aiohttp
import pytest

from aitoearn_async import Client, ConnectionFailedError, GenerateImage
from aitoearn_async._net.resolver import own_resolver
from aitoearn_async.emulator import Emulator, VirtualTimeLoop
from tests.support.raw_server import REF


async def test_polls_go_out_when_all_threads_of_the_loop_are_taken() -> None:
    """By calls of the application's own, for as long as it likes."""
    free, taken = threading.Event(), ThreadPoolExecutor(1)
    asyncio.get_running_loop().set_default_executor(taken)
    taken.submit(free.wait)
    async with Emulator() as service:
        url = service.url.replace("127.0.0.1", "localhost")
        async with Client(service.api_key, base_url=url, request_timeout=5) as client:
            assert (await client.get(service.add_image("success"))).done
    free.set()


async def test_a_silent_name_server_costs_no_more_than_the_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The thread is left to itself."""
    free = threading.Event()

    def silent(*_: object, **__: object) -> list[object]:
        free.wait(30)
        raise socket.gaierror(socket.EAI_AGAIN, "try again")

    monkeypatch.setattr(socket, "getaddrinfo", silent)
    resolver = own_resolver()
    assert resolver is not None
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await resolver.resolve("media.example", 443)
    free.set()


async def test_a_resolver_without_threads_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """As aiohttp has one where aiodns is installed."""
    assert isinstance(own_resolver(), aiohttp.ThreadedResolver)
    monkeypatch.setattr(aiohttp, "DefaultResolver", aiohttp.abc.AbstractResolver)
    assert own_resolver() is None


async def test_an_address_of_one_link_alone_is_looked_up_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its zone has a name, for which aiohttp asks the loop."""
    found = (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fe80::1", 443, 0, 1))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [found])
    resolver = own_resolver()
    assert resolver is not None
    (address,) = await resolver.resolve("media.example", 443)
    assert address["host"].startswith("fe80::1%")


@pytest.mark.parametrize("found", [[], [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", (10, b""))]])
async def test_a_name_without_an_address_of_use_is_one_that_is_not_resolved(
    monkeypatch: pytest.MonkeyPatch, found: list[Any]
) -> None:
    """Such as one of IPv6 alone, for a Python that was built without it."""
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    async with Client("k", base_url="http://api.internal", attempts=1) as client:
        for call in (client.get(REF), client.submit(GenerateImage(model="m", prompt="a cat"))):
            with pytest.raises(ConnectionFailedError, match="name was not resolved"):
                await call


def test_a_loop_with_lookups_of_its_own_is_asked() -> None:
    """As uvloop has them."""

    class OwnLoop(VirtualTimeLoop):
        async def getaddrinfo(self, *_: object, **__: object) -> list[Any]:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.7", 443))]

    async def main() -> str:
        resolver = own_resolver()
        assert resolver is not None
        (address,) = await resolver.resolve("media.example", 443)
        return address["host"]

    with asyncio.Runner(loop_factory=OwnLoop) as runner:
        assert runner.run(main()) == "192.0.2.7"
