"""A call is ended from outside, at any step: cancelled, timed out, interrupted, closed, left."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import types
from collections import Counter
from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator
from typing import Any

import pytest

from aitoearn_async import (
    BreakerState,
    Client,
    ClientClosedError,
    ImageRef,
    ImageTask,
    RequestTimeoutError,
)
from aitoearn_async.emulator import VirtualTimeLoop
from tests.support.answers import CHUNKED
from tests.support.raw_server import (
    REF,
    RST,
    STALL,
    Heard,
    Part,
    RawServer,
    Script,
    envelope,
    good,
    http,
    say,
    task,
    together,
)

from .calls import CALLS, OTHER, SOON, Call, about_ref, words
from .harness import Row, Trial

ROW = Row(
    28,
    "Cancelled at every step of every call; timed out, interrupted; the client closed under it",
    "It ends at once, with the reason of whoever ended it. Nothing is left of it and nothing "
    "complains; its place is free, and the client, if it is still open, goes on.",
)

TURNS = 40
"""Of the loop; a call takes ten of them and more until it sleeps."""

each_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing is left to complain about: no lost exception, no unclosed socket."""
    yield
    gc.collect(1)
    loud = [
        record
        for record in caplog.records
        if record.levelno >= logging.WARNING and "is down" not in record.getMessage()
    ]
    assert [record.getMessage() for record in loud] == []


def lives(*, pieces: bool = True) -> Script:
    """Each task runs when it is asked first and has ended the second time, and so again.

    The answers come in three pieces, now and then, or as one of a length not known beforehand.
    """
    asked: Counter[str] = Counter()

    def script(heard: Heard) -> Iterable[Part]:
        asked[heard.path] += 1
        id = heard.path.rpartition("/")[2]
        body = envelope(task("generating" if asked[heard.path] % 2 else "success", id=id))
        whole = http(body)
        if pieces and heard.number % 3 == 1:
            whole = CHUNKED + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        elif not pieces or heard.number % 3:
            return (whole,)
        return whole[:40], 0, whole[40:-20], 0, whole[-20:]

    return script


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def whole(call: Call, client: Client) -> object:
    return await call(client)


async def still_works(trial: Trial, server: RawServer, client: Client) -> None:
    """All places are free, the client goes on, and its sockets go when it closes."""
    statistics = client.statistics()
    assert (statistics.in_flight, statistics.queued) == (0, 0)
    await trial.ends(client.get, REF)
    await client.aclose()
    await asyncio.sleep(0.01)
    assert server.open == 0


async def cancelled(running: asyncio.Future[Any]) -> None:
    """Cancel; it ends in this instant, and as cancelled."""
    began = asyncio.get_running_loop().time()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert asyncio.get_running_loop().time() - began < 0.001


@pytest.mark.sampled(4)
@each_call
@pytest.mark.parametrize("fresh", [True, False], ids=["new connection", "used connection"])
async def test_at_every_turn_of_the_loop(trial: Trial, call: Call, fresh: bool) -> None:
    """After k turns, for every k, on one place that the next call needs."""
    under_way = 0
    async with RawServer(lives()) as server, server.client(concurrency=1) as client:
        if not fresh:
            await trial.ends(client.get, REF)
        for count in range(TURNS):
            running = asyncio.ensure_future(call(client))
            await turns(count)
            if running.done():
                running.result()
                continue
            under_way += 1
            await cancelled(running)
            if fresh:
                server.hang_up()
                await asyncio.sleep(0.001)
        assert under_way >= 8, "many a cancellation came while something was under way"
        await still_works(trial, server, client)
    trial.wire(server, at_most=2 * TURNS + 2)


@pytest.mark.parametrize("given", [False, True], ids=["queued", "given the place"])
async def test_in_the_queue(trial: Trial, given: bool) -> None:
    """Who is cancelled while waiting for a place, or in the instant of getting it, passes it on."""
    async with (
        RawServer(good(delay=1)) as server,
        server.client(concurrency=1, attempts=1) as client,
    ):

        async def first() -> object:
            task = await client.get(REF)
            if given:
                second.cancel()  # it has been given the place, and has not been told yet
            return task

        calls = [asyncio.ensure_future(first())]
        await asyncio.sleep(0)
        second = asyncio.ensure_future(client.get(OTHER))
        await asyncio.sleep(0)
        calls.append(asyncio.ensure_future(client.get(REF)))
        await asyncio.sleep(0.5)
        assert client.statistics().queued == 2
        if not given:
            second.cancel()
        trial.book([REF, REF], await together(*calls), status="success")
        (end,) = await together(second)
        assert isinstance(end, asyncio.CancelledError)
        await still_works(trial, server, client)
    trial.wire(server, exactly=3)


async def test_probes(trial: Trial) -> None:
    """Those of an outage are under way no longer: the next one finds the service well again."""
    refs = [ImageRef(str(number)) for number in range(30)]
    answer = [say(http(b"", 503))]
    async with (
        RawServer(choose=lambda _: answer[0]) as server,
        server.client(attempts=1) as client,
    ):
        await trial.ends(client.get, *refs)
        assert client.statistics().breaker is BreakerState.OPEN
        answer[0], asked = say(STALL), server.count
        for ref in refs[:8]:
            await asyncio.sleep(3)
            probe = asyncio.ensure_future(client.get(ref))
            await asyncio.sleep(0.1)
            await cancelled(probe)
        assert server.count == asked + 8
        answer[0] = good()
        await asyncio.sleep(3)
        await trial.ends(client.get, REF, status="success")
        await still_works(trial, server, client)


@types.coroutine
def stopping(call: Awaitable[Any], at: int, how: Callable[[], object]) -> Generator[Any, Any, Any]:
    """Go on with a call, but do something to it when it awaits for the `at`-th time."""
    steps = call.__await__()
    step, thrown = 0, None
    while True:
        try:
            awaited = steps.send(None) if thrown is None else steps.throw(thrown)
        except StopIteration as stop:
            return stop.value
        if step == at:
            how()
        step, thrown = step + 1, None
        try:
            yield awaited
        except BaseException as exc:
            thrown = exc


@each_call
async def test_at_every_await(trial: Trial, call: Call) -> None:
    """At each point at which the call waits for anything, up to its end."""
    async with RawServer(lives()) as server, server.client(concurrency=1) as client:
        for at in range(200):
            running: asyncio.Task[Any] = asyncio.ensure_future(
                stopping(whole(call, client), at, lambda: running.cancel())  # noqa: B023 - over before the next turn
            )
            (end,) = await together(running)
            if not isinstance(end, BaseException):
                assert words(end)[-1] == "success" or call is CALLS["get"]
                break
            assert isinstance(end, asyncio.CancelledError)
        assert 2 <= at < 100, "it has ended at last"
        trial.figure(f"points at which {call.__name__} was cancelled", at)
        await still_works(trial, server, client)
    trial.wire(server)


@pytest.mark.parametrize("trouble", [say(RST), say(http(b"", 503)), say(0.5, STALL)])
async def test_at_every_await_between_attempts(trial: Trial, trouble: Script) -> None:
    """`get` repeats after trouble; what ends it meanwhile is not one more trouble to repeat."""
    for at in range(200):
        async with (
            RawServer(trouble, trouble, good()) as server,
            server.client(concurrency=1, request_timeout=2) as client,
        ):
            running: asyncio.Task[Any] = asyncio.ensure_future(
                stopping(client.get(REF), at, lambda: running.cancel())  # noqa: B023 - over before the next turn
            )
            (end,) = await together(running)
            asked = server.count
            await asyncio.sleep(100)
            assert server.count == asked
            assert (client.statistics().in_flight, client.statistics().queued) == (0, 0)
        if not isinstance(end, BaseException):
            assert end.status == "success"
            break
        assert isinstance(end, asyncio.CancelledError), at
    assert 5 <= at < 100, "it has ended at last"


@pytest.mark.sampled(7)
@each_call
@pytest.mark.parametrize(
    "seconds", [0.001, 0.5, 0.999, 1.0, 1.5, 2.0, 2.5, 4.0, 10.0, 10.001, 11.0, 29.0]
)
async def test_in_the_course_of_time(trial: Trial, call: Call, seconds: float) -> None:
    """While an answer is awaited, while one sleeps between tries or polls, and between both."""
    scripts: list[Script] = [good("generating", delay=0.5), say(RST), say(0.5, STALL)]
    scripts += [good("generating", delay=1)] * 3
    async with (
        RawServer(*scripts, good(delay=1)) as server,
        server.client(concurrency=1, request_timeout=8) as client,
    ):
        running = asyncio.ensure_future(call(client))
        await asyncio.sleep(seconds)
        if not running.done():
            await cancelled(running)
        await together(running)
        await still_works(trial, server, client)
    trial.wire(server)


@pytest.mark.sampled(4)
@each_call
@pytest.mark.parametrize("seconds", [0.0, 0.001, 0.5, 1.0, 2.0, 3.0, 9.0])
async def test_a_timeout_of_the_callers(trial: Trial, call: Call, seconds: float) -> None:
    """`asyncio.timeout` and `asyncio.wait_for` end a call in their own name, and in time."""
    me = asyncio.current_task()
    assert me is not None

    async def within() -> object:
        async with asyncio.timeout(seconds):
            return await call(client)

    loop = asyncio.get_running_loop()
    async with (
        RawServer(good("generating", delay=1)) as server,
        server.client(concurrency=1) as client,
    ):
        for _ in range(2):
            for ending in (within(), asyncio.wait_for(call(client), seconds)):
                with trial.on_time(loop.time() + seconds):
                    (end,) = await trial.ends(lambda _, e=ending: e, REF, also=(TimeoutError,))  # type: ignore[misc]
                ended_well = call is CALLS["get"] and seconds > 1
                assert type(end) is (ImageTask if ended_well else TimeoutError)
        assert me.cancelling() == 0
        await still_works(trial, server, client)
    trial.wire(server)


@each_call
async def test_a_group_whose_other_member_fails(trial: Trial, call: Call) -> None:
    """The calls of a `TaskGroup` are cancelled at once, all of them."""

    async def group() -> None:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(5):
                tasks.create_task(whole(call, client))
            await asyncio.sleep(1.5)
            raise ZeroDivisionError

    loop = asyncio.get_running_loop()
    async with RawServer(say(STALL)) as server, server.client(concurrency=3) as client:
        with trial.on_time(loop.time() + 1.5), pytest.raises(ExceptionGroup) as caught:
            await group()
        assert [type(one) for one in caught.value.exceptions] == [ZeroDivisionError]
        await asyncio.sleep(0.01)
        assert server.open == 0
        assert client.statistics().in_flight == client.statistics().queued == 0
    trial.wire(server, exactly=3)


@pytest.mark.sampled(4)
@each_call
@pytest.mark.parametrize("used", [True, False], ids=["used connection", "new connection"])
async def test_the_client_is_closed(trial: Trial, call: Call, used: bool) -> None:
    """After k turns, for every k: running calls end in that instant, with one clear error."""
    loop = asyncio.get_running_loop()
    closed = 0
    async with RawServer(lives()) as server:
        for count in range(TURNS):
            client = server.client(concurrency=2)
            if used:
                await client.get(REF)
                await client.get(REF)
            running = [asyncio.ensure_future(call(client)) for _ in range(3)]
            await turns(count)
            began = loop.time()
            await client.aclose()
            ends = await together(*running)
            assert loop.time() - began < 0.001
            for end in ends:
                trial.book([REF], [about_ref(end)])
                closed += isinstance(end, ClientClosedError)
                if isinstance(end, BaseException):
                    assert type(end) is ClientClosedError
        await asyncio.sleep(0.01)
        assert server.open == 0
    assert closed >= TURNS / 2
    trial.wire(server)


async def test_the_close_itself(trial: Trial) -> None:
    """A close that is cancelled half-way has closed; a second one has nothing left to do."""
    async with RawServer(lives()) as server:
        for count in range(12):
            client = server.client()
            await trial.ends(client.get, *[REF] * 3)
            call = asyncio.ensure_future(client.get(REF))
            await turns(count)
            closing = asyncio.ensure_future(client.aclose())
            await turns(count % 4)
            closing.cancel()
            _, end = await together(closing, call)
            trial.book([REF], [end])
            await client.aclose()
            await asyncio.sleep(0.01)
            assert server.open == 0
    trial.wire(server)


async def test_a_close_at_every_await(trial: Trial) -> None:
    """Nor does it matter where it was cancelled."""
    async with RawServer(lives()) as server:
        for at in range(20):
            client = server.client()
            await trial.ends(client.get, *[REF] * 3)
            closing: asyncio.Task[Any] = asyncio.ensure_future(
                stopping(client.aclose(), at, lambda: closing.cancel())  # noqa: B023 - over before the next turn
            )
            (end,) = await together(closing)
            await asyncio.sleep(0.01)
            assert server.open == 0
            if end is None:
                break
    trial.wire(server)


BLOCKS: dict[str, Callable[[Client], Any]] = {
    "the batch's": lambda client: client.as_completed([REF, OTHER], wait=SOON),
    "the client's": lambda client: client,
}


def running_ours() -> set[asyncio.Task[Any]]:
    """The tasks that run this package's code, and not a server's."""
    return {
        task
        for task in asyncio.all_tasks()
        if "/aitoearn_async/" in str(getattr(task.get_coro(), "cr_code", ""))
    }


@pytest.mark.sampled(3)
@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
@pytest.mark.parametrize("error", [None, ZeroDivisionError])
async def test_a_block_is_left(
    trial: Trial, block: Callable[[Client], Any], error: type[Exception] | None
) -> None:
    """After k turns, for every k, with an error or without: it is over when the block is."""
    async with RawServer(lives()) as server:
        for count in range(TURNS):
            client = server.client(concurrency=1)
            try:
                async with block(client):
                    waiting = asyncio.ensure_future(client.wait_for(REF, wait=SOON))
                    await turns(count)
                    if error is not None:
                        raise error
            except ZeroDivisionError:
                assert error is not None
            assert running_ours() <= {waiting}
            await client.aclose()
            (end,) = await together(waiting)
            trial.book([REF], [end])
            await asyncio.sleep(0.01)
            assert server.open == 0
    trial.wire(server)


@pytest.mark.sampled(3)
@each_call
def test_interrupted_from_the_keyboard(trial: Trial, call: Call) -> None:
    """Ctrl-C at every turn: `asyncio.run` ends with `KeyboardInterrupt` and nothing else."""
    complaints: list[object] = []

    async def main(count: int) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, about: complaints.append(about))
        async with trial.left_as_found(), RawServer(lives()) as server:
            try:
                async with server.client(concurrency=1) as client:
                    running = call(client)
                    interrupting = asyncio.ensure_future(interrupt_after(count))
                    await running
                    await asyncio.sleep(100)
            finally:
                statistics = client.statistics()
                assert (statistics.in_flight, statistics.queued) == (0, 0)
                await asyncio.sleep(0.01)
                assert server.open == 0
                assert interrupting.done()

    for count in range(TURNS):
        with (
            asyncio.Runner(loop_factory=VirtualTimeLoop) as runner,
            pytest.raises(KeyboardInterrupt),
        ):
            runner.run(main(count))
    gc.collect(1)
    assert complaints == []


async def interrupt_after(count: int) -> None:
    await turns(count)
    signal.raise_signal(signal.SIGINT)


INTERRUPTING: dict[str, Callable[[Client], Awaitable[object]]] = {
    "a strategy": lambda client: client.wait_all([REF], wait=interrupt),
    "a strategy of a wait": lambda client: client.wait_for(REF, wait=interrupt),
    "the source": lambda client: client.wait_all(interrupt(ref) for ref in [REF]),
    "a report": lambda client: client.wait_all([REF], progress=interrupt),
}


def interrupt(_: object) -> Any:
    raise KeyboardInterrupt


@pytest.mark.parametrize("call", INTERRUPTING.values(), ids=INTERRUPTING)
def test_interrupted_in_the_users_own_code(trial: Trial, call: Call) -> None:
    """It goes through at once, out of whichever task it struck, and no task is left behind."""
    left: list[set[asyncio.Task[Any]]] = []
    lasted: list[float] = []

    async def main() -> None:
        began = asyncio.get_running_loop().time()
        try:
            async with RawServer(good("generating")) as server, server.client() as client:
                await call(client)
        finally:
            left.append(running_ours())
            lasted.append(asyncio.get_running_loop().time() - began)

    with (
        asyncio.Runner(loop_factory=VirtualTimeLoop) as runner,
        pytest.raises(KeyboardInterrupt),
    ):
        runner.run(main())
    assert left == [set()]
    assert lasted[0] < 1.5, "the first poll, or the first report"


async def test_while_its_time_runs_out(trial: Trial) -> None:
    """A cancellation in the very turns in which a request times out is not lost."""
    loop = asyncio.get_running_loop()
    async with (
        RawServer(say(STALL)) as server,
        server.client(request_timeout=5, attempts=1) as client,
    ):
        for count in range(25):
            running = asyncio.ensure_future(client.get(REF))
            await asyncio.sleep(4.9)
            due = server.heard[-1].at + 5
            moment = loop.create_future()
            loop.call_at(due, moment.set_result, None)
            await moment
            await turns(count)
            expected = asyncio.CancelledError if running.cancel() else RequestTimeoutError
            (end,) = await together(running)
            trial.book([REF], [end], also=(asyncio.CancelledError,))
            assert isinstance(end, expected), count
        assert client.statistics().in_flight == 0
    trial.wire(server, exactly=25)
