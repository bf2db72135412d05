"""Names of hosts, looked up in threads of our own.

asyncio looks names up in the threads of its loop. Those may all be taken by the application's
own calls, and then no request of any client goes out, as if all services were down. And a
program that ends waits for them: with a name server that is silent that takes half a minute.
"""

from __future__ import annotations

import asyncio
import functools
import socket
from collections.abc import Awaitable
from typing import Any, cast

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from .._runtime.threads import Threads

_MOST = 16
"""Names that are looked up at the same time."""


class _Lookups:
    """The part of an event loop that aiohttp's resolver uses."""

    def __init__(self) -> None:
        self._threads = Threads(_MOST, "aitoearn-async names")

    def getaddrinfo(self, host: Any, port: Any, **how: int) -> Awaitable[Any]:
        loop = asyncio.get_running_loop()
        if type(loop).getaddrinfo is not asyncio.BaseEventLoop.getaddrinfo:
            return loop.getaddrinfo(host, port, **how)  # it has a way of its own
        # Looked up here and now: some replace it.
        return self._threads.start(functools.partial(socket.getaddrinfo, host, port, **how))

    def getnameinfo(self, address: Any, flags: int = 0) -> Awaitable[Any]:
        return self._threads.start(socket.getnameinfo, address, flags)


class _Resolver(aiohttp.ThreadedResolver):
    """A resolver whose answers have an address in them, as aiohttp takes for granted."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await super().resolve(host, port, family)
        if not found:  # all of them are IPv6 ones, say, and this Python has none
            raise socket.gaierror(socket.EAI_NONAME, "the name has no address of use here")
        return found


def own_resolver() -> AbstractResolver | None:
    """Return a resolver for one session; None where aiohttp has one without threads."""
    if aiohttp.DefaultResolver is not aiohttp.ThreadedResolver:
        return None
    return _Resolver(loop=cast(Any, _Lookups()))
