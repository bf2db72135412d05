"""A NAT, a balancer or a mesh on the way, which forgets connections that lie idle."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from functools import partial

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
    RST,
    STALL,
    Heard,
    Line,
    LineServer,
    Part,
    RawServer,
    Script,
    good,
)

from .harness import Row, Trial

ROW = Row(
    39,
    "A NAT, balancer or mesh on the way forgets idle connections, and swallows what comes on them, "
    "or resets them",
    "Silence costs one poll a connection, and teaches for how long connections may lie idle: then "
    "they are given up in time. A reset costs no poll, and no attempt: the request goes out on "
    "another connection. A submit always has a fresh one.",
)

EVERY_TEN = tenacity.wait_fixed(10)
FORGETS_AFTER = 5.0
POLLS = 30


class Middlebox(LineServer):
    """Passes bytes on, until a connection has been idle for some seconds; then it reads no more.

    Args:
        server: To whom it passes them on.
        forgets_after: How long a connection may be idle.
        resets: Whether it answers with a reset then, and not with silence.
    """

    def __init__(
        self, server: RawServer, forgets_after: float = FORGETS_AFTER, *, resets: bool = False
    ) -> None:
        super().__init__()
        self._behind = server
        self._forgets_after = forgets_after
        self._resets = resets
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
                    if self._resets:
                        line.hang_up(RST)
                        return
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


async def test_silence_costs_one_poll(trial: Trial) -> None:
    loop = asyncio.get_running_loop()
    async with (
        ends_after(POLLS) as server,
        Middlebox(server) as middlebox,
        middlebox.client() as client,
    ):
        with trial.on_time(loop.time() + (POLLS + 1) * 10.1 + 30):
            await trial.ends(partial(client.wait_for, wait=EVERY_TEN), REF, status="success")
        trial.figure("polls lost", client.statistics().failures, 1)
        assert len(middlebox.swallowed) == 1
        assert len(middlebox.lines) == POLLS
    trial.wire(server, exactly=POLLS)


@pytest.mark.parametrize("whose", ["ours", "theirs"])
async def test_a_reset_costs_no_poll(trial: Trial, whose: str) -> None:
    """Each is asked again at once, on a connection of its own; so there is nothing to learn."""
    loop = asyncio.get_running_loop()
    async with (
        ends_after(POLLS) as server,
        Middlebox(server, resets=True) as middlebox,
        aiohttp.ClientSession() as session,
        middlebox.client(session=session if whose == "theirs" else None) as client,
    ):
        with trial.on_time(loop.time() + POLLS * 10.1):
            await trial.ends(partial(client.wait_for, wait=EVERY_TEN), REF, status="success")
        assert client.statistics().failures == 0
        assert len(middlebox.swallowed) > POLLS / 3
    trial.wire(server, exactly=POLLS)


async def test_silence_costs_a_batch_one_poll_for_each_connection(trial: Trial) -> None:
    """They had all been forgotten before anybody could know."""
    refs = [ImageRef(str(number)) for number in range(5)]
    async with (
        ends_after(5 * POLLS) as server,
        Middlebox(server) as middlebox,
        middlebox.client() as client,
    ):
        trial.book(refs, await client.wait_all(refs, wait=EVERY_TEN), status="success")
        trial.figure("polls lost, of five connections", client.statistics().failures, 5)
        assert client.statistics().failures == len(middlebox.swallowed)
    trial.wire(server)


async def test_a_limit_that_is_still_too_long_is_learned_in_two_steps(trial: Trial) -> None:
    """What is asked again after four seconds is above a limit of three, and below half of eight."""
    async with (
        RawServer(good()) as server,
        Middlebox(server, 3.0) as middlebox,
        middlebox.client(attempts=2, request_timeout=10) as client,
    ):
        for pause in (8.0, 3.9, 3.9, 3.9, 1.0, 1.0):
            await trial.ends(client.get, REF, status="success")
            await asyncio.sleep(pause)
        assert len(middlebox.swallowed) == 2
        lines = len(middlebox.lines)
        await trial.ends(client.get, REF, status="success")
        assert len(middlebox.lines) == lines, "one that is in use is used again"
    trial.wire(server, exactly=7)


@pytest.mark.parametrize("down", [STALL, 100.0], ids=["down", "slow"])
async def test_a_service_that_hangs_teaches_nothing(trial: Trial, down: Part) -> None:
    """On whatever connection: afterwards they are used again, however long they lay idle."""

    def choose(heard: Heard) -> Script:
        def hang(heard: Heard) -> Iterable[Part]:
            return (down, *good("generating")(heard))

        hangs = 50 <= heard.at - began < 150
        return hang if hangs else good("success" if heard.at - began > 400 else "generating")

    began = asyncio.get_running_loop().time()
    async with RawServer(choose=choose) as server, server.client() as client:
        await trial.ends(partial(client.wait_for, wait=EVERY_TEN), REF, status="success")
        failures = client.statistics().failures
        assert failures >= 3
        assert len(server.lines) == 1 + failures
    trial.wire(server)


async def test_a_task_whose_polls_always_hang_teaches_nothing(trial: Trial) -> None:
    other = ImageRef("b")

    def choose(heard: Heard) -> Script:
        def hang(_: Heard) -> Iterable[Part]:
            return (STALL,)

        ends = heard.at - began > 400
        return hang if "task/b" in heard.path else good("success" if ends else "generating")

    began = asyncio.get_running_loop().time()
    async with RawServer(choose=choose) as server, server.client() as client:
        wait_for = partial(client.wait_for, wait=EVERY_TEN, patience=120)
        done, error = await trial.ends(wait_for, REF, other)
        assert not isinstance(done, BaseException)
        assert isinstance(error, AiToEarnError)
        last = [heard.connection for heard in server.heard if "task/b" not in heard.path][-20:]
        assert len(set(last)) == 1, "it lies idle for ten seconds each time"
    trial.wire(server)


@pytest.mark.parametrize(("header", "connections"), [("timeout=5", 3), ("timeout=65, max=100", 1)])
async def test_a_server_says_when_it_closes_idle_connections(
    trial: Trial, header: str, connections: int
) -> None:
    """Just before that moment, a request on one of them might come too late."""

    def choose(heard: Heard) -> Script:
        def keeps(heard: Heard) -> Iterable[Part]:
            _, answer = good()(heard)
            assert isinstance(answer, bytes)
            return (answer.replace(b"\r\n", f"\r\nKeep-Alive: {header}\r\n".encode(), 1),)

        return keeps

    async with RawServer(choose=choose) as server, server.client() as client:
        for pause in (3.9, 4.1, 4.1, 0.0):
            await trial.ends(client.get, REF, status="success")
            await asyncio.sleep(pause)
        assert len(server.lines) == connections
    trial.wire(server, exactly=4)


async def test_a_submit_that_is_swallowed_is_sent_once(trial: Trial) -> None:
    """It cannot happen on the client's own connections: a submit has a fresh one."""
    async with (
        RawServer(good("generating")) as server,
        Middlebox(server) as middlebox,
        aiohttp.ClientSession() as session,
        middlebox.client(session=session, attempts=1) as theirs,
        middlebox.client(attempts=1) as ours,
    ):
        for client in (theirs, ours):
            await trial.ends(client.get, REF)
        await asyncio.sleep(10)
        with pytest.raises(SubmitUncertainError) as caught:
            await theirs.submit(GenerateImage(prompt="a cat", model="m"))
        assert isinstance(caught.value.__cause__, RequestTimeoutError)
        assert [data[:4] for data in middlebox.swallowed].count(b"POST") == 1
        assert not [heard for heard in server.heard if heard.method == "POST"]
        await asyncio.sleep(10)
        await ours.submit(GenerateImage(prompt="a cat", model="m"))
        assert len([heard for heard in server.heard if heard.method == "POST"]) == 1
    trial.wire(server)
