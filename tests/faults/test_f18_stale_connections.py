"""Connections that the server closed while nobody used them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from aitoearn_async import ConnectionFailedError, ImageRef, wait_backoff
from tests.support.raw_server import (
    FIN,
    REF,
    RST,
    End,
    Heard,
    Part,
    RawServer,
    Script,
    good,
    http,
    say,
)

from .harness import Row, Trial

ROW = Row(
    18,
    "The server closes idle connections, a hundred at a time, or just as a request comes",
    "A connection that may have been dead when it was taken costs no attempt and counts as no "
    "failure: the request goes out on another one. A fresh connection is not forgiven.",
)

REFS = [ImageRef(str(number)) for number in range(100)]


@pytest.mark.sampled(5)
@pytest.mark.parametrize("how", [FIN, RST])
@pytest.mark.parametrize("pause", [0.0, 0.01, 5.0, 100.0])
async def test_a_hundred_stale_connections(trial: Trial, how: End, pause: float) -> None:
    """They cost no call anything, whether the news of their end has come in or not."""
    async with (
        RawServer(good(delay=1)) as server,
        server.client(concurrency=100, attempts=1) as client,
    ):
        for _ in range(3):
            await trial.ends(client.get, *REFS, status="success")
            server.hang_up(how)
            await asyncio.sleep(pause)
        assert client.statistics().failures == 0
    trial.wire(server, exactly=300)


def used_up(how: End) -> Script:
    """The server reads the request and hangs up, as one does that was just about to."""
    return say(how)


@pytest.mark.sampled(2)
@pytest.mark.parametrize("how", [FIN, RST])
async def test_connections_that_look_alive(trial: Trial, how: End) -> None:
    """Servers that hang up only when asked again cost no attempt either; each only once."""

    def choose(heard: Heard) -> Script:
        first = heard.number < 100 or heard.connection >= 100
        return good(delay=1) if first else used_up(how)

    async with (
        RawServer(choose=choose) as server,
        server.client(concurrency=100, attempts=1) as client,
    ):
        await trial.ends(client.get, *REFS, status="success")
        assert len(server.lines) == 100
        await trial.ends(client.get, REF, status="success")
        assert 102 <= server.count <= 201
        await trial.ends(client.get, *REFS, status="success")
        assert client.statistics().failures == 0
        assert client.statistics().requests == server.count, "those sent again count too"
    trial.wire(server, exactly=100 + 100 + 101)


@pytest.mark.parametrize("how", [FIN, RST])
async def test_a_fresh_connection_is_not_forgiven(trial: Trial, how: End) -> None:
    """A server that hangs up on every request is trouble: one request for each attempt."""
    async with RawServer(say(how)) as server, server.client(attempts=3) as client:
        (error,) = await trial.ends(client.get, REF)
        assert type(error) is ConnectionFailedError
        assert client.statistics().failures == 3
    trial.wire(server, exactly=3)


async def test_a_used_connection_that_breaks_in_the_answer(trial: Trial) -> None:
    """Once an answer has begun the request has arrived: that is a failure, and it counts."""
    half = http(b"{", length=99)

    def choose(heard: Heard) -> Iterable[Part]:
        return (half, 0.1, FIN) if heard.number == 1 else good()(heard)

    async with RawServer(choose) as server, server.client(attempts=2) as client:
        await trial.ends(client.get, REF, status="success")
        await trial.ends(client.get, REF, status="success")
        assert client.statistics().failures == 1
    trial.wire(server, exactly=3)


@pytest.mark.sampled(3)
@pytest.mark.parametrize("idle", [1.0, 5.0, 5.5, 30.0])
async def test_waits_across_the_servers_idle_timeout(trial: Trial, idle: float) -> None:
    """A service that closes after five seconds, polled more or less often: no poll is lost."""

    def closing(heard: Heard) -> Iterable[Part]:
        word = "generating" if heard.at < began + 6 * idle else "success"
        return (*good(word)(heard), 5.0, FIN)

    options = {"wait": wait_backoff(idle), "request_timeout": 600}
    async with RawServer(closing) as server, server.client(**options) as client:
        began = asyncio.get_running_loop().time()
        outcomes = await client.wait_all(REFS[:20])
        trial.book(REFS[:20], outcomes, status="success")
        assert client.statistics().failures == 0
    trial.wire(server, exactly=sum(outcome.polls for outcome in outcomes))


@pytest.mark.parametrize("header", ["close", "Close", "keep-alive, close"])
async def test_connections_the_server_announces_to_close(trial: Trial, header: str) -> None:
    """They are not used again, though the server leaves them open."""

    def closing(heard: Heard) -> Iterable[Part]:
        (pause, answer) = good()(heard)
        assert isinstance(answer, bytes)
        return (pause, answer.replace(b"\r\n", f"\r\nConnection: {header}\r\n".encode(), 1))

    async with RawServer(closing) as server, server.client(attempts=1) as client:
        for _ in range(3):
            await trial.ends(client.get, REF, status="success")
        assert [heard.connection for heard in server.heard] == [0, 1, 2]
    trial.wire(server, exactly=3)
