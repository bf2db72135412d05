"""Other loops and modes: uvloop, eager tasks, asyncio's debug mode."""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import logging
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import tenacity

from aitoearn_async import AiToEarnError, Client, ImageRef
from aitoearn_async.emulator import VirtualTimeLoop
from tests.support.raw_server import (
    FIN,
    REF,
    RST,
    Heard,
    Part,
    RawServer,
    good,
    http,
    refuse,
    say,
    together,
)

from .calls import CALLS, words
from .harness import Row, Trial

ROW = Row(
    38,
    "Another loop (uvloop), eager tasks, asyncio's debug mode",
    "The same results from the same requests, and as little left behind.",
)

SHORT = tenacity.wait_fixed(0.01)
REFS = [ImageRef(f"{number:04}") for number in range(30)]


def uvloop() -> asyncio.AbstractEventLoop:
    import uvloop

    return uvloop.new_event_loop()


def eager() -> asyncio.AbstractEventLoop:
    loop = VirtualTimeLoop()
    loop.set_task_factory(getattr(asyncio, "eager_task_factory"))  # noqa: B009 - of 3.12
    return loop


def debugging() -> asyncio.AbstractEventLoop:
    loop = VirtualTimeLoop()
    loop.set_debug(True)
    loop.slow_callback_duration = 60  # a warning about the machine is none about the code
    return loop


def eager_debugging() -> asyncio.AbstractEventLoop:
    loop = eager()
    loop.set_debug(True)
    loop.slow_callback_duration = 60
    return loop


LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.SelectorEventLoop,
    "virtual": VirtualTimeLoop,
    "debug": debugging,
}
if importlib.util.find_spec("uvloop") is not None:
    LOOPS["uvloop"] = uvloop
if sys.version_info >= (3, 12):
    LOOPS |= {"eager": eager, "eager, debug": eager_debugging}

each_loop = pytest.mark.parametrize("loop_factory", LOOPS.values(), ids=LOOPS)


def run(loop_factory: Callable[[], asyncio.AbstractEventLoop], main: Any) -> Any:
    """Run on such a loop; no task is left, and nobody complains to it."""
    complaints: list[object] = []

    async def whole() -> Any:
        asyncio.get_running_loop().set_exception_handler(lambda _, about: complaints.append(about))
        result = await main()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return result

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        result = runner.run(whole())
        gc.collect()
    assert complaints == []
    return result


TROUBLE: dict[int, Any] = {
    1: say(RST),
    2: say(http(b"<html>", 502)),
    4: say(FIN),
    6: refuse(500),
    7: good(id="another"),
    9: say(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", FIN),
}


def lives() -> Callable[[Heard], Iterable[Part]]:
    """Each task runs, meets its trouble, and ends; one in ten fails, one is unknown."""
    asked: Counter[str] = Counter()

    def script(heard: Heard) -> Iterable[Part]:
        asked[heard.path] += 1
        number = int(heard.path.rpartition("/")[2][:4], 16) % 10
        if asked[heard.path] == 2 and number in TROUBLE:
            return tuple(TROUBLE[number](heard))
        if number == 8:
            return tuple(refuse(404)(heard))
        word = "failed" if number == 3 else "success"
        return tuple(good(word if asked[heard.path] > 3 else "generating")(heard))

    return script


@pytest.mark.sampled(3)
@each_loop
def test_the_same_results(trial: Trial, loop_factory: Any) -> None:
    """Of every task in a batch, and of as many requests, whatever runs it."""

    async def main() -> None:
        async with RawServer(lives()) as server, server.client() as client:
            outcomes = await client.wait_all(REFS, wait=SHORT)
            trial.book(REFS, outcomes)
            found = Counter(
                type(outcome.error).__name__ if outcome.error else "success" for outcome in outcomes
            )
            assert found == {"success": 24, "TaskFailedError": 3, "TaskNotFoundError": 3}
            assert client.statistics().in_flight == 0
            # Four polls each, one for what is unknown; the last poll again where one was lost.
            trial.wire(server, exactly=27 * 4 + 3)
            await client.aclose()
            await asyncio.sleep(0.01)
            assert server.open == 0

    run(loop_factory, main)


@pytest.mark.sampled(7)
@each_loop
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_every_call(trial: Trial, loop_factory: Any, call: Callable[[Client], Any]) -> None:
    """Works, is cancelled at every turn, and is closed under: as on asyncio's own loop."""

    async def main() -> None:
        async with RawServer(good()) as server, server.client(concurrency=1) as client:
            assert set(words(await call(client))) == {"success"}
            for count in range(15):
                running = asyncio.ensure_future(_whole(call, client))
                for _ in range(count):
                    await asyncio.sleep(0)
                if running.cancel():
                    with pytest.raises(asyncio.CancelledError):
                        await running
            statistics = client.statistics()
            assert (statistics.in_flight, statistics.queued) == (0, 0)
            running = asyncio.ensure_future(_whole(call, client))
            await asyncio.sleep(0)
            await client.aclose()
            (end,) = await together(running)
            assert isinstance(end, AiToEarnError) or set(words(end)) == {"success"}
            trial.wire(server, at_most=40)
            await asyncio.sleep(0.01)
            assert server.open == 0

    run(loop_factory, main)


async def _whole(call: Callable[[Client], Any], client: Client) -> Any:
    return await call(client)


@each_loop
def test_a_waiter_as_a_task(trial: Trial, loop_factory: Any) -> None:
    """Task factories take a waiter for the coroutine it stands for."""

    async def main() -> None:
        async with RawServer(lives()) as server, server.client() as client:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(client.wait_for(ref, wait=SHORT)) for ref in REFS[4:7]]
            trial.book(REFS[4:7], [task.result() for task in tasks], status="success")
            timed = await asyncio.wait_for(client.wait_for(REFS[10], wait=SHORT), 10)
            trial.book([REFS[10]], [timed], status="success")
        trial.wire(server)

    run(loop_factory, main)


@each_loop
def test_a_deadline(trial: Trial, loop_factory: Any, caplog: pytest.LogCaptureFixture) -> None:
    """In time, and without a word of a slow callback or of a coroutine that nobody awaited."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with RawServer(good("generating")) as server, server.client() as client:
            began = loop.time()
            (end,) = await trial.ends(
                lambda ref: client.wait_for(ref, timeout=0.05, wait=SHORT), REF
            )
            assert type(end).__name__ == "WaitTimeoutError"
            assert 0.049 <= loop.time() - began <= 0.55
        trial.wire(server)

    run(loop_factory, main)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
