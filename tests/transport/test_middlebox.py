"""A NAT, a balancer or a mesh on the way, which forgets idle connections and tells nobody."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

import aiohttp
import pytest
import tenacity

from aitoearn_async import (
    AiToEarnError,
    GenerateImage,
    ImageRef,
    RequestTimeoutError,
    SubmitUncertainError,
)
from tests.support.raw_server import (
    REF,
    STALL,
    Heard,
    Line,
    LineServer,
    Part,
    RawServer,
    Script,
    good,
)

EVERY_TEN = tenacity.wait_fixed(10)
FORGETS_AFTER = 5.0
POLLS = 30


class Middlebox(LineServer):
    """Passes bytes on, until a connection has been idle for some seconds; then it reads no more."""

    def __init__(self, server: RawServer, forgets_after: float = FORGETS_AFTER) -> None:
        super().__init__()
        self._behind = server
        self._forgets_after = forgets_after
        self.swallowed: list[bytes] = []
        """What came first on each connection that was forgotten."""

    async def serve(self, line: Line) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._behind.port)
        back = asyncio.ensure_future(self._pass_back(reader, line))
        loop = asyncio.get_running_loop()
        try:
            while True:
                began = loop.time()
                data = await line.reader.read(64 * 1024)
                if not data:
                    return
                if loop.time() - began > self._forgets_after:
                    self.swallowed.append(data)
                    await loop.create_future()
                writer.write(data)
        finally:
            back.cancel()
            writer.transport.abort()

    async def _pass_back(self, reader: asyncio.StreamReader, line: Line) -> None:
        while data := await reader.read(64 * 1024):
            line.writer.write(data)


@pytest.fixture(autouse=True)
def one_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have connections grow old as the loop's clock says."""
    monkeypatch.setattr(time, "time", lambda: 1.8e9 + asyncio.get_running_loop().time())
    monkeypatch.setattr("aiohttp.connector.monotonic", lambda: asyncio.get_running_loop().time())


def ends_after(polls: int) -> RawServer:
    """Return a server on which a task ends with so many polls."""

    def choose(heard: Heard) -> Script:
        return good("success" if heard.number >= polls - 1 else "generating", delay=0.05)

    return RawServer(choose=choose)


async def test_a_middlebox_costs_one_poll() -> None:
    loop = asyncio.get_running_loop()
    async with (
        ends_after(POLLS) as server,
        Middlebox(server) as middlebox,
        middlebox.client() as client,
    ):
        began = loop.time()
        await client.wait_for(REF, wait=EVERY_TEN)
        assert client.statistics().failures == len(middlebox.swallowed) == 1
        assert loop.time() - began < (POLLS + 1) * 10.1 + 30
        assert len(middlebox.lines) == POLLS


async def test_a_batch_behind_a_middlebox_loses_a_poll_for_each_connection() -> None:
    """They had all been forgotten before anybody could know."""
    refs = [ImageRef(str(number)) for number in range(5)]
    async with (
        ends_after(5 * POLLS) as server,
        Middlebox(server) as middlebox,
        middlebox.client() as client,
    ):
        outcomes = await client.wait_all(refs, wait=EVERY_TEN)
        assert all(outcome.ok for outcome in outcomes)
        assert client.statistics().failures == len(middlebox.swallowed) <= 5


async def test_a_limit_that_is_still_too_long_is_learned_in_two_steps() -> None:
    """What is asked again after four seconds is above a limit of three, and below half of eight."""
    async with (
        RawServer(good()) as server,
        Middlebox(server, 3.0) as middlebox,
        middlebox.client(attempts=2, request_timeout=10) as client,
    ):
        for pause in (8.0, 3.9, 3.9, 3.9, 1.0, 1.0):
            await client.get(REF)
            await asyncio.sleep(pause)
        assert len(middlebox.swallowed) == 2
        lines = len(middlebox.lines)
        await client.get(REF)
        assert len(middlebox.lines) == lines, "one that is in use is used again"


@pytest.mark.parametrize("down", [STALL, 100.0], ids=["down", "slow"])
async def test_a_service_that_hangs_teaches_nothing(down: Part) -> None:
    """On whatever connection: afterwards they are used again, however long they lay idle."""

    def choose(heard: Heard) -> Script:
        def hang(heard: Heard) -> Iterable[Part]:
            return (down, *good("generating")(heard))

        hangs = 50 <= heard.at - began < 150
        return hang if hangs else good("success" if heard.at - began > 400 else "generating")

    began = asyncio.get_running_loop().time()
    async with RawServer(choose=choose) as server, server.client() as client:
        await client.wait_for(REF, wait=EVERY_TEN)
        failures = client.statistics().failures
        assert failures >= 3
        assert len(server.lines) == 1 + failures


async def test_a_task_whose_polls_always_hang_teaches_nothing() -> None:
    other = ImageRef("b")

    def choose(heard: Heard) -> Script:
        def hang(_: Heard) -> Iterable[Part]:
            return (STALL,)

        ends = heard.at - began > 400
        return hang if "task/b" in heard.path else good("success" if ends else "generating")

    began = asyncio.get_running_loop().time()
    async with RawServer(choose=choose) as server, server.client() as client:
        waits = (client.wait_for(ref, wait=EVERY_TEN, patience=120) for ref in (REF, other))
        done, error = await asyncio.gather(*waits, return_exceptions=True)
        assert not isinstance(done, BaseException)
        assert isinstance(error, AiToEarnError)
        last = [heard.connection for heard in server.heard if "task/b" not in heard.path][-20:]
        assert len(set(last)) == 1, "it lies idle for ten seconds each time"


@pytest.mark.parametrize(("header", "connections"), [("timeout=5", 3), ("timeout=65, max=100", 1)])
async def test_a_server_says_when_it_closes_idle_connections(header: str, connections: int) -> None:
    """Just before that moment, a request on one of them might come too late."""

    def choose(heard: Heard) -> Script:
        def keeps(heard: Heard) -> Iterable[Part]:
            _, answer = good()(heard)
            assert isinstance(answer, bytes)
            return (answer.replace(b"\r\n", f"\r\nKeep-Alive: {header}\r\n".encode(), 1),)

        return keeps

    async with RawServer(choose=choose) as server, server.client() as client:
        for pause in (3.9, 4.1, 4.1):
            await client.get(REF)
            await asyncio.sleep(pause)
        await client.get(REF)
        assert len(server.lines) == connections


async def test_a_submit_that_is_swallowed_is_sent_once() -> None:
    """It cannot happen on the client's own connections: a submit has a fresh one."""
    async with (
        RawServer(good("generating")) as server,
        Middlebox(server) as middlebox,
        aiohttp.ClientSession() as session,
        middlebox.client(session=session, attempts=1) as theirs,
        middlebox.client(attempts=1) as ours,
    ):
        for client in (theirs, ours):
            await client.get(REF)
        await asyncio.sleep(10)
        with pytest.raises(SubmitUncertainError) as caught:
            await theirs.submit(GenerateImage(prompt="a cat", model="m"))
        assert isinstance(caught.value.__cause__, RequestTimeoutError)
        assert [data[:4] for data in middlebox.swallowed].count(b"POST") == 1
        assert not [heard for heard in server.heard if heard.method == "POST"]
        await asyncio.sleep(10)
        await ours.submit(GenerateImage(prompt="a cat", model="m"))
        assert len([heard for heard in server.heard if heard.method == "POST"]) == 1
