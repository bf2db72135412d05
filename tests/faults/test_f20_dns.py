"""The host's name: not known, not answered, known now and then, known by a dead address.

The names are those of an event loop that looks them up in a script; everything else is the
client's own session, resolver and sockets.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import aiohttp
import pytest

from aitoearn_async import (
    ConnectionFailedError,
    ImageRef,
    NotAskedError,
    RequestTimeoutError,
    ServiceUnreachableError,
    WaitTimeoutError,
)
from aitoearn_async.emulator import VirtualTimeLoop
from tests.support.raw_server import KEY, REF, RawServer, good, together

from .harness import Row, Trial
from .shared import TIMEOUT

ROW = Row(
    20,
    "DNS: no such name, no answer, an answer now and then, two addresses of which one is dead",
    "A lookup that fails or hangs is a lost poll that ends on time. A dead address is skipped. "
    "Many callers share one lookup.",
)

NAME = "service.localhost"
DEAD, ALIVE = "127.0.0.2", "127.0.0.1"

Lookup = list[str] | OSError | float
"""Addresses, an error, or seconds of silence."""


class NamingLoop(VirtualTimeLoop):
    """A loop that knows `NAME` from a script; the last line of it is for all further lookups."""

    script: list[Lookup]
    lookups = 0

    async def getaddrinfo(  # type: ignore[override]
        self, host: str, port: int, **options: Any
    ) -> list[tuple[Any, ...]]:
        if host != NAME:
            return await super().getaddrinfo(host, port, **options)
        line = self.script[min(self.lookups, len(self.script) - 1)]
        self.lookups += 1
        await asyncio.sleep(line if isinstance(line, float) else 0.01)
        if isinstance(line, OSError):
            raise line
        found = line if isinstance(line, list) else [ALIVE]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port)) for ip in found]


Main = Callable[[NamingLoop, RawServer, str], Awaitable[None]]


def with_names(trial: Trial, *script: Lookup) -> Callable[[Main], None]:
    """Run a function at once, on a loop with this script, a server, and its address by name."""

    def run(main: Main) -> None:
        async def all_of_it() -> None:
            loop = asyncio.get_running_loop()
            assert isinstance(loop, NamingLoop)
            loop.script = list(script)
            scripts = good("generating"), good()
            async with trial.left_as_found(), RawServer(*scripts) as server:
                await main(loop, server, server.url.replace(ALIVE, NAME))

        with asyncio.Runner(loop_factory=NamingLoop) as runner:
            runner.run(all_of_it())

    return run


FAILURES = {
    "no such name": socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
    "no answer yet": socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"),
    "no address": socket.gaierror(socket.EAI_FAIL, "Non-recoverable failure"),
    "no network": OSError(101, "Network is unreachable"),
}


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
def test_a_name_that_is_not_found(trial: Trial, failure: OSError) -> None:
    """One lookup an attempt, and an error that says so."""

    @with_names(trial, failure)
    async def _(loop: NamingLoop, server: RawServer, url: str) -> None:
        async with server.client(base_url=url, attempts=3) as client:
            (error,) = await trial.ends(client.get, REF)
        assert type(error) is ConnectionFailedError
        assert error.transient
        assert error.label == "no DNS answer"
        assert KEY not in str(error)
        assert loop.lookups == 3
        trial.wire(server, exactly=0)


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
def test_a_name_that_comes_and_goes(trial: Trial, failure: OSError) -> None:
    """Each failed lookup costs a poll; the wait ends as it would have."""

    @with_names(trial, failure, failure, [ALIVE])
    async def _(loop: NamingLoop, server: RawServer, url: str) -> None:
        async with server.client(base_url=url) as client:
            waiter = client.wait_for(REF)
            await trial.ends(lambda _: waiter, REF, status="success")
        assert waiter.polls == 4
        assert loop.lookups == 3, "what was found is kept"
        trial.wire(server, exactly=2)


@pytest.fixture
def no_threads() -> Iterator[None]:
    """No thread can be started: there is no room for such a stack."""
    before = threading.stack_size(1 << 46)
    yield
    threading.stack_size(before)


@pytest.mark.usefixtures("no_threads")
@pytest.mark.parametrize("session", [None, aiohttp.ClientSession], ids=["ours", "the caller's"])
async def test_no_thread_to_look_it_up_in(
    trial: Trial, session: Callable[[], aiohttp.ClientSession] | None
) -> None:
    """Nothing is sent, and an error of ours says what there was not enough of."""
    async with RawServer(good()) as server, contextlib.AsyncExitStack() as stack:
        theirs = await stack.enter_async_context(session()) if session else None
        url = server.url.replace(ALIVE, NAME)
        async with server.client(base_url=url, session=theirs) as client:
            (error,) = await trial.ends(client.get, REF)
            (end,) = await trial.ends(lambda ref: client.wait_for(ref, timeout=60), REF)
            assert (client.statistics().in_flight, client.statistics().queued) == (0, 0)
    assert type(error) is NotAskedError
    assert str(error).startswith("not sent, because this machine has no thread left")
    assert end.polls == 0
    assert "no thread left" in str(end.__cause__)
    trial.wire(server, exactly=0)


def test_a_wait_without_a_name(trial: Trial) -> None:
    """It ends within seconds, and the error tells what was seen and where."""

    @with_names(trial, FAILURES["no such name"])
    async def _(loop: NamingLoop, server: RawServer, url: str) -> None:
        async with server.client(base_url=url) as client:
            with trial.on_time(loop.time() + 8, early=0.2):
                (error,) = await trial.ends(lambda ref: client.wait_for(ref, timeout=60), REF)
        assert type(error) is ServiceUnreachableError
        assert error.address == url
        assert error.seen == {"no DNS answer": error.polls}
        trial.wire(server, exactly=0)


@pytest.mark.parametrize("over", ["request", "wait"])
def test_a_lookup_without_an_end(trial: Trial, over: str) -> None:
    """A lookup that hangs counts into the time of a request, and of a wait."""

    @with_names(trial, 10_000.0)
    async def _(loop: NamingLoop, server: RawServer, url: str) -> None:
        options = {"attempts": 1, "request_timeout": TIMEOUT}
        async with server.client(base_url=url, **options) as client:
            with trial.on_time(loop.time() + TIMEOUT, early=0):
                if over == "request":
                    (error,) = await trial.ends(client.get, REF)
                    assert type(error) is RequestTimeoutError
                else:
                    await trial.ends(lambda ref: client.wait_for(ref, timeout=TIMEOUT), REF)
        trial.wire(server, exactly=0)


def test_a_lookup_that_outlasts_requests(trial: Trial) -> None:
    """Each request of a wait ends in its own time; the wait goes on, to its own end."""

    @with_names(trial, 10_000.0)
    async def _(loop: NamingLoop, server: RawServer, url: str) -> None:
        async with server.client(base_url=url, request_timeout=TIMEOUT) as client:
            for seconds, fewest in ((TIMEOUT / 2, 1), (6 * TIMEOUT, 4)):
                with trial.on_time(loop.time() + seconds, early=0):
                    (error,) = await trial.ends(
                        lambda ref, s=seconds: client.wait_for(ref, timeout=s),  # type: ignore[misc]
                        REF,
                    )
                assert type(error) is WaitTimeoutError
                assert error.seen == {"no answer in time": error.polls}
                assert error.polls >= fewest
        trial.wire(server, exactly=0)


@pytest.mark.parametrize("addresses", [[DEAD, ALIVE], [ALIVE, DEAD], [DEAD, DEAD, ALIVE]])
def test_a_dead_address_that_refuses(trial: Trial, addresses: list[str]) -> None:
    """It is skipped within the same attempt."""

    @with_names(trial, addresses)
    async def _(loop: NamingLoop, server: RawServer, url: str) -> None:
        async with server.client(base_url=url, attempts=1) as client:
            with trial.on_time(loop.time() + 1):
                await trial.ends(client.get, REF, status="generating")
            assert client.statistics().failures == 0
        trial.wire(server, exactly=1)


@contextlib.contextmanager
def silent(port: int, host: str = DEAD) -> Iterator[None]:
    """The dead address takes no more connections: they are neither made nor refused."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(socket.create_server((host, port), backlog=0))
        for _ in range(8):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex((host, port))
        yield


def test_a_dead_address_that_is_silent(trial: Trial) -> None:
    """It is not waited for: after a quarter of a second the other one is tried too."""

    @with_names(trial, [DEAD, ALIVE])
    async def _(loop: NamingLoop, server: RawServer, url: str) -> None:
        with silent(server.port):
            async with server.client(base_url=url, attempts=1) as client:
                began = loop.time()
                await trial.ends(client.get, REF, status="generating")
                lost = loop.time() - began
                assert lost > 0.1, "it was silent"
                trial.figure("seconds lost to a silent address", lost, 0.5)
        trial.wire(server, exactly=1)


def test_all_addresses_silent(trial: Trial) -> None:
    """A request that ends on time like any other: a service that was there may come back."""

    @with_names(trial, [ALIVE])
    async def _(loop: NamingLoop, server: RawServer, url: str) -> None:
        options = {"attempts": 1, "request_timeout": TIMEOUT}
        async with server.client(base_url=url, **options) as client:
            await trial.ends(client.get, REF, status="generating")
            server.hang_up()
            server._server.close()
            await asyncio.sleep(1)
            with silent(server.port, ALIVE), trial.on_time(loop.time() + TIMEOUT, early=0):
                (error,) = await trial.ends(client.get, REF)
        assert type(error) is RequestTimeoutError
        trial.wire(server, exactly=1)


def test_all_addresses_silent_from_the_beginning(trial: Trial) -> None:
    """Nobody has ever answered there: it is more likely wrong than down, and seconds will do."""

    @with_names(trial, [DEAD])
    async def _(loop: NamingLoop, server: RawServer, url: str) -> None:
        with silent(server.port):
            async with server.client(base_url=url, attempts=1) as client:
                with trial.on_time(loop.time() + 3, early=0.02):
                    (error,) = await trial.ends(client.get, REF)
        assert type(error) is ConnectionFailedError
        assert error.label == "no connection"
        trial.wire(server, exactly=0)


def test_all_addresses_dead(trial: Trial) -> None:
    """A refused connection like any other."""

    @with_names(trial, [DEAD, DEAD])
    async def _(loop: NamingLoop, server: RawServer, url: str) -> None:
        async with server.client(base_url=url, attempts=2) as client:
            (error,) = await trial.ends(client.get, REF)
        assert type(error) is ConnectionFailedError
        assert error.label == "no connection"
        assert error.transient
        assert client.statistics().requests == 2
        trial.wire(server, exactly=0)


def test_many_callers_share_a_lookup(trial: Trial) -> None:
    """Fifty at once, and the end of some of them is not the end of the others."""

    @with_names(trial, 2.0)
    async def _(loop: NamingLoop, server: RawServer, url: str) -> None:
        refs = [ImageRef(str(number)) for number in range(50)]
        async with server.client(base_url=url, attempts=1) as client:
            others = [asyncio.ensure_future(client.get(ref)) for ref in refs[:5]]
            calls = asyncio.ensure_future(trial.ends(client.get, *refs))
            await asyncio.sleep(1)
            for other in others:
                other.cancel()
            ends = await calls
            await together(*others)
        assert {type(end) for end in ends} == {type(ends[0])}
        assert loop.lookups == 1
        trial.wire(server, exactly=50)
