"""A client on a loop, in a thread or in a process that is not its own, or after its end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import warnings
from collections.abc import Callable, Coroutine
from typing import Any, cast

import aiohttp
import pytest
from yarl import URL

from aitoearn_async import AiToEarnError, Client, ClientClosedError, GenerateImage, ImageRef
from aitoearn_async.emulator import VirtualTimeLoop
from tests.support.raw_server import KEY, REF, STALL, RawServer, good, http, say, together

from .calls import CALLS, Call, words
from .harness import Row, Trial, child

ROW = Row(
    32,
    "The loop is closed first, or another one; a fork; another thread; use after the close",
    "A client belongs to one loop of one process at a time. It moves on where that loop is closed "
    "and nothing was under way; every other use is one clear error that says so, and one that is "
    "dropped without a close says that.",
)


def complaints(recwarn: pytest.WarningsRecorder) -> list[str]:
    """What is warned of when all that was dropped is gone, aiohttp's last words included."""
    warnings.simplefilter("always")
    said: list[str] = []
    while True:
        gc.collect()
        if not recwarn.list:
            return said
        # They hold what they warn of.
        said += [f"{warning.category.__name__}: {warning.message}" for warning in recwarn.list]
        recwarn.clear()


each_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


@each_call
async def test_use_after_close(trial: Trial, call: Call) -> None:
    """A closed client refuses every use, with one error, and sends nothing."""
    async with RawServer() as server:
        async with server.client() as client:
            waiter, batch = client.wait_for(REF), client.as_completed([REF])
        assert "closed" in repr(client)
        ends = await trial.ends(lambda _: call(client), REF)
        ends += await together(waiter, client.__aenter__())
        async with batch:
            ends += await together(anext(batch))
        assert {type(end) for end in ends} == {ClientClosedError}
        assert "new Client" in str(ends[0])
        assert server.lines == []


@pytest.mark.parametrize("used", [True, False], ids=["used", "never used"])
async def test_closing_twice(trial: Trial, used: bool) -> None:
    """The second time there is nothing to do, at the same time or later."""
    async with RawServer() as server, server.client() as client:
        if used:
            await trial.ends(client.get, REF, status="success")
        await asyncio.gather(client.aclose(), client.aclose())
        await client.aclose()
        await asyncio.sleep(0.01)
        assert server.open == 0
    trial.wire(server, exactly=int(used))


async def test_a_session_of_the_callers_stays_open(trial: Trial) -> None:
    """It is not the client's to close: another one can go on with it."""
    async with RawServer() as server, aiohttp.ClientSession() as session:
        for _ in range(2):
            async with server.client(session=session) as client:
                await trial.ends(client.get, REF, status="success")
            assert not session.closed
        assert server.open == 1
    trial.wire(server, exactly=2)


def test_made_outside_of_a_loop() -> None:
    """A client may be made before there is a loop; its first use settles it there."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        server = RawServer()
        runner.run(server.__aenter__())
        client = server.client()

        async def main() -> None:
            async with client:
                assert (await client.get(REF)).done
            await server.__aexit__(None, None, None)

        runner.run(main())


def test_statistics_are_for_everybody(trial: Trial) -> None:
    """They are read without a loop, and on another one, and settle the client on neither."""
    refs = [ImageRef(f"a{number}") for number in range(20)]
    server = RawServer(*[say(http(b"", 503))] * 20, good())
    client = Client(KEY, base_url="http://127.0.0.1:1", attempts=1)

    async def look() -> None:
        assert client.statistics().requests == 0

    async def main() -> None:
        nonlocal client
        async with client:
            await trial.ends(client.get, REF)
        async with server, server.client(attempts=1) as client:
            await trial.ends(client.get, *refs)
            assert client.statistics().breaker.value == "open"
            await asyncio.sleep(2)
            await trial.ends(client.get, REF, status="success")

    assert client.statistics().paused_for == 0
    for step in (look, main):
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            runner.run(step())
    assert client.statistics().breaker.value == "recovering"
    trial.wire(server, exactly=21)


@each_call
def test_a_second_loop(trial: Trial, call: Call) -> None:
    """A client at home on one loop says clearly that it cannot serve on another.

    Not even its close: the connections are the other loop's.
    """
    clients: list[Client] = []

    async def first() -> None:
        async with aiohttp.ClientSession() as session:
            clients.append(Client(KEY, base_url="http://127.0.0.1:1", session=session, attempts=1))
            await trial.ends(clients[0].get, REF)

    async def second() -> None:
        (client,) = clients
        ends = await trial.ends(lambda _: call(client), REF, also=(RuntimeError,))
        ends += await together(client.aclose(), client.__aenter__())
        for end in ends:
            assert type(end) is RuntimeError
            assert "another event loop" in str(end)
            assert "one Client per event loop" in str(end)
        assert "open" in repr(client)

    for main in (first, second, second):
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            runner.run(main())


def test_closed_on_another_loop(trial: Trial) -> None:
    """Once closed a client is closed on every loop."""
    client = Client(KEY)
    for _ in range(2):
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            runner.run(client.aclose())
            ends = runner.run(trial.ends(client.get, REF))
            assert [type(end) for end in ends] == [ClientClosedError]


def in_turn(*mains: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Each on a loop of its own, which is closed before the next begins."""
    for main in mains:
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            runner.run(main())


def test_the_loop_is_closed_first(trial: Trial, recwarn: pytest.WarningsRecorder) -> None:
    """`asyncio.run` three times with one client, as scripts and task queues do: it moves along."""
    clients: list[Client] = []

    async def one() -> None:
        async with RawServer(good(), good()) as server:
            if not clients:
                clients.append(server.client())
            client = clients[0]
            client._parts.http.base_url = URL(server.url)
            await trial.ends(client.get, REF, status="success")
            assert (await client.wait_for(REF)).done
            trial.wire(server, exactly=2)

    in_turn(one, one, one)
    assert clients[0].statistics().requests == 6
    clients.clear()
    trial.no_key_in(*complaints(recwarn))


def test_a_wait_begun_outside_of_loops(trial: Trial) -> None:
    """`asyncio.run(client.wait_for(ref))` twice: the wait is made before its loop is."""
    client = Client(KEY, base_url="http://127.0.0.1:1")
    for close in (False, True):
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            with pytest.raises(AiToEarnError):
                runner.run(client.wait_for(REF, patience=5))
            if close:
                runner.run(client.aclose())


def test_a_submit_is_not_sent_again_after_a_move(trial: Trial) -> None:
    """A loop that ends under a submit has its fate open; the next loop sends what it is told to."""
    clients: list[Client] = []
    request = GenerateImage(model="m", prompt="a cat")

    async def cut_short() -> None:
        async with RawServer(say(STALL)) as server:
            clients.append(server.client())
            call = asyncio.create_task(clients[0].submit(request))
            await asyncio.sleep(5)
            call.cancel()
            with pytest.raises(asyncio.CancelledError) as caught:
                await call
            assert "may have made a task" in "".join(caught.value.__notes__)

    async def later() -> None:
        async with RawServer(good()) as server:
            clients[0]._parts.http.base_url = URL(server.url)
            await trial.ends(clients[0].get, REF, status="success")
            assert [heard.method for heard in server.heard] == ["GET"]
        await clients[0].aclose()

    in_turn(cut_short, later)


def test_a_loop_that_ended_under_a_call(trial: Trial, recwarn: pytest.WarningsRecorder) -> None:
    """Nobody knows what became of that call: the client does not move on as if it had ended."""
    clients = [Client(KEY, base_url="http://127.0.0.1:1")]
    loop = VirtualTimeLoop()
    loop.set_exception_handler(lambda *_: None)
    call = loop.create_task(cast("Coroutine[Any, Any, Any]", clients[0].wait_for(REF)))
    loop.run_until_complete(asyncio.sleep(3))
    loop.close()

    async def main() -> None:
        with pytest.raises(RuntimeError, match="another event loop"):
            await clients[0].get(REF)

    in_turn(main)
    with contextlib.suppress(RuntimeError):
        cast("Coroutine[Any, Any, Any]", call.get_coro()).close()
    del call
    clients.clear()
    complaints(recwarn)


async def test_dropped_without_a_close(trial: Trial, recwarn: pytest.WarningsRecorder) -> None:
    """Python's warning for that says which client it was, and what to do; no other is needed."""
    async with RawServer() as server:
        client: Client | None = server.client()
        assert client is not None
        await trial.ends(client.get, REF, status="success")
        server.hang_up()
        client = None
        said = complaints(recwarn)
        assert said[0] == (
            f"ResourceWarning: a Client of {server.url} was dropped without being closed: "
            "use `async with Client()`, or call aclose()"
        )
        trial.no_key_in(*said)
        await asyncio.sleep(31)  # what would have ended its last request ends by itself
    trial.wire(server, exactly=1)


@pytest.mark.sampled(3)
@pytest.mark.parametrize("session", ["none", "closed", "a caller's"])
async def test_dropped_with_nothing_to_close(
    trial: Trial, recwarn: pytest.WarningsRecorder, session: str
) -> None:
    """A client that was not used, that is closed, or whose session is the caller's: no word."""
    async with RawServer() as server, aiohttp.ClientSession() as callers:
        client: Client | None = server.client(session=callers if session == "a caller's" else None)
        assert client is not None
        if session != "none":
            await trial.ends(client.get, REF, status="success")
        if session == "closed":
            await client.aclose()
        client = None
        assert complaints(recwarn) == []
        await asyncio.sleep(31)  # what would have ended its last request ends by itself


async def test_another_thread(trial: Trial) -> None:
    """Another thread has another loop, and changes nothing. The client goes on in its own."""
    async with RawServer() as server, server.client() as client:
        await trial.ends(client.get, REF, status="success")

        def elsewhere(call: Call) -> BaseException:
            with (
                asyncio.Runner(loop_factory=VirtualTimeLoop) as runner,
                pytest.raises(RuntimeError, match="another thread") as caught,
            ):
                runner.run(_whole(call, client))
            return caught.value

        for call in CALLS.values():
            assert not isinstance(await asyncio.to_thread(elsewhere, call), AiToEarnError)
        await trial.ends(client.get, REF, status="success")
        assert len(server.lines) == 1
        assert client.statistics().requests == 2  # nothing was counted from there
    trial.wire(server, exactly=2)


async def _whole(call: Call, client: Client) -> object:
    return await call(client)


async def test_another_thread_that_asks_the_loop(trial: Trial) -> None:
    """`asyncio.run_coroutine_threadsafe` is the way, and works with every call."""
    loop = asyncio.get_running_loop()
    async with RawServer() as server, server.client() as client:
        for call in CALLS.values():

            def elsewhere(call: Call = call) -> object:
                return asyncio.run_coroutine_threadsafe(_whole(call, client), loop).result(10)

            found = await asyncio.to_thread(elsewhere)
            assert set(words(found)) == {"success"}
    trial.wire(server, exactly=7)


async def test_outside_of_a_task(trial: Trial) -> None:
    """A coroutine driven by hand is told that it needs a task."""
    async with RawServer() as server, server.client() as client:
        ends: list[BaseException] = []

        def by_hand() -> None:
            try:
                client.get(REF).send(None)
            except RuntimeError as exc:
                ends.append(exc)

        asyncio.get_running_loop().call_soon(by_hand)
        await asyncio.sleep(0.01)
        assert "task" in str(ends[0])
    trial.wire(server, exactly=0)


@pytest.mark.shows_key  # to the server of clients that live in other processes
async def test_a_fork(trial: Trial) -> None:
    """The child may not use what it shares with its parent, nor close it; nor need it."""
    async with RawServer() as server:
        found = await child("tests.faults.forked", server.url)
        assert found["exit"] == 0
        for place, why in (("the same loop", "forked from"), ("another loop", "forked from")):
            for call, end in found["child"][place].items():
                assert end.startswith("RuntimeError: "), (place, call, end)
                assert why in end
        assert found["child"]["a client of its own"] == {"get": "done"}
        assert set(found["parent"].values()) == {"done"}
        by_line = [
            sum(heard.connection == line.number for heard in server.heard) for line in server.lines
        ]
        assert by_line[1] == 1, "the child's own client has a connection of its own"
    trial.wire(server, exactly=1 + 1 + 7)
