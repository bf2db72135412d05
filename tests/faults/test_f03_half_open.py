"""A peer that is there, takes everything, and says nothing."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import pytest

from aitoearn_async import (
    ConnectionFailedError,
    ImageRef,
    RequestTimeoutError,
    WaitTimeoutError,
)
from tests.support.answers import BODY, CHUNK, CHUNKED, HEAD
from tests.support.raw_server import KEY, REF, STALL, Part, RawServer, say

from .harness import Row, Trial
from .shared import TIMEOUT, ends_at_its_bound, ends_on_time

ROW = Row(
    3,
    "The server takes the connection and the request, and never answers",
    "Each request ends at `request_timeout` and each wait at its own deadline, on time; "
    "the silent connection is given up and the next request has a fresh one.",
)

SILENT: dict[str, tuple[Part, ...]] = {
    "no answer": (STALL,),
    "silence in the head": (HEAD[:40], STALL),
    "silence after the head": (HEAD, STALL),
    "silence in the body": (HEAD + BODY[:10], STALL),
    "silence before the last chunk": (CHUNKED + CHUNK, STALL),
    "silence after an interim answer": (b"HTTP/1.1 102 Processing\r\n\r\n", STALL),
}


@pytest.mark.parametrize("parts", SILENT.values(), ids=SILENT)
async def test_a_request_ends_on_time(trial: Trial, parts: tuple[Part, ...]) -> None:
    """Neither sooner nor later than it may take; what it hung on is closed."""
    await ends_on_time(trial, *parts)


async def test_requests_that_end_close_to_each_other(trial: Trial) -> None:
    """Begun 30 ms after one another: none is kept for the end of the next."""
    loop = asyncio.get_running_loop()
    async with (
        RawServer(say(STALL)) as server,
        server.client(attempts=1, request_timeout=TIMEOUT) as client,
    ):

        async def later(number: int) -> None:
            await asyncio.sleep(0.03 * number)
            with trial.on_time(loop.time() + TIMEOUT, early=0):
                await trial.ends(client.get, REF)

        await asyncio.gather(*map(later, range(20)))
    trial.wire(server, exactly=20)


async def test_a_request_of_a_wait_ends_on_time(trial: Trial) -> None:
    """Long before the wait does, and the next poll has an answer."""
    await ends_at_its_bound(trial, STALL)


async def test_every_attempt_has_its_time(trial: Trial) -> None:
    """Attempts and the pauses between them stay within the bound of the call."""
    loop = asyncio.get_running_loop()
    async with (
        RawServer(say(STALL)) as server,
        server.client(attempts=3, request_timeout=TIMEOUT) as client,
    ):
        with trial.on_time(loop.time() + 3 * TIMEOUT):
            (error,) = await trial.ends(client.get, REF)
        assert type(error) is RequestTimeoutError
    trial.wire(server, exactly=3)


@pytest.mark.parametrize("timeout", [0.5, 5.2, 10.0, 95.0])
async def test_a_wait_ends_at_its_own_deadline(trial: Trial, timeout: float) -> None:
    """Shorter or longer than a request: on time to the hundredth, and it says what it saw."""
    loop = asyncio.get_running_loop()
    async with RawServer(say(STALL)) as server, server.client(request_timeout=TIMEOUT) as client:
        with trial.on_time(loop.time() + timeout, early=0):
            (error,) = await trial.ends(lambda ref: client.wait_for(ref, timeout=timeout), REF)
        assert type(error) is WaitTimeoutError
        assert error.seen == {"no answer in time": error.polls}
    trial.wire(server, exactly=error.polls)


@pytest.mark.slow
async def test_hundreds_of_waits_end_at_their_deadlines(trial: Trial) -> None:
    """More tasks than places: those that never got one end on time as well."""
    loop = asyncio.get_running_loop()
    refs = [ImageRef(str(number)) for number in range(300)]
    async with (
        RawServer(say(STALL)) as server,
        server.client(request_timeout=TIMEOUT, concurrency=50) as client,
    ):
        with trial.on_time(loop.time() + 15, early=0):
            await trial.ends(lambda ref: client.wait_for(ref, timeout=15), *refs)
        assert client.statistics().queued == client.statistics().in_flight == 0
    trial.wire(server, at_most=100)


async def test_a_wait_that_never_gets_a_place_ends_on_time(trial: Trial) -> None:
    """Others hang on all places there are, for longer than it has: it is not their hostage."""
    loop = asyncio.get_running_loop()
    async with (
        RawServer(say(STALL)) as server,
        server.client(attempts=1, request_timeout=60, concurrency=2) as client,
    ):
        others = asyncio.ensure_future(trial.ends(client.get, REF, REF))
        await asyncio.sleep(1)
        with trial.on_time(loop.time() + 15, early=0):
            (error,) = await trial.ends(lambda ref: client.wait_for(ref, timeout=15), REF)
        assert type(error) is WaitTimeoutError
        with trial.on_time(loop.time() + 15, early=0):
            (outcome,) = await client.wait_all([REF], timeout=15)
        trial.book([REF], [outcome])
        assert type(outcome.error) is WaitTimeoutError
        assert client.statistics().queued == 0
        await others
    trial.wire(server, exactly=2)


@contextlib.contextmanager
def deaf() -> Iterator[tuple[socket.socket, str]]:
    """A listening socket whose connections nobody ever takes up."""
    with socket.create_server(("127.0.0.1", 0), backlog=16) as sock:
        yield sock, "http://127.0.0.1:{1}".format(*sock.getsockname())


CONNECTED, NOT_CONNECTED = (TIMEOUT, RequestTimeoutError), (3.0, ConnectionFailedError)


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_server_process_that_hangs(trial: Trial, scheme: str) -> None:
    """The kernel answers, the process does not, with TLS not even the handshake.

    Who has never been answered there waits no longer than that for a connection.
    """
    loop = asyncio.get_running_loop()
    with deaf() as (_, url):
        client = RawServer().client(
            base_url=url.replace("http", scheme), attempts=1, request_timeout=TIMEOUT
        )
        async with client:
            seconds, kind = CONNECTED if scheme == "http" else NOT_CONNECTED
            with trial.on_time(loop.time() + seconds, early=0.02):
                (error,) = await trial.ends(client.get, REF)
            assert type(error) is kind
            assert KEY not in str(error)
