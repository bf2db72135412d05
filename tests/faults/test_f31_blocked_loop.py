"""The user's own code holds the loop up for seconds."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest
import tenacity

from aitoearn_async import ImageRef, RequestTimeoutError, WaitTimeoutError
from tests.support.loops import BlockableLoop, run
from tests.support.raw_server import REF, STALL, Heard, Part, RawServer, good

from .harness import Row, Trial

ROW = Row(
    31,
    "The loop is blocked by the user's own code, for seconds or an hour",
    "Answers that came meanwhile are taken, although their time is over. What has no answer "
    "ends when the loop is back, and not later.",
)


def the_loop() -> BlockableLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, BlockableLoop)
    return loop


@pytest.mark.sampled(4)
@pytest.mark.usefixtures("untraced")
@pytest.mark.parametrize("seconds", [5.5, 3600.0])
@pytest.mark.parametrize("count", [1, 300])
def test_answers_that_are_there(trial: Trial, count: int, seconds: float) -> None:
    """They lie in the sockets when the loop comes back, and every request's time is over."""

    async def main() -> None:
        def answer_then_block(heard: Heard) -> Iterable[Part]:
            yield from good()(heard)
            if heard.number == count - 1:
                the_loop().hold(seconds)

        async with (
            trial.left_as_found(),
            RawServer(answer_then_block) as server,
            server.client(request_timeout=5, attempts=1, concurrency=1000) as client,
        ):
            ends = await trial.ends(client.get, *[REF] * count, status="success")
            assert [end for end in ends if isinstance(end, Exception)] == []
        trial.wire(server, exactly=count)

    run(BlockableLoop, main())


@pytest.mark.parametrize("many", [False, True], ids=["wait_for", "wait_all"])
def test_last_answers_of_waits(trial: Trial, many: bool) -> None:
    """Waits whose deadline passes while the loop is held have the answer that is there."""
    refs = [ImageRef(f"a{number}") for number in range(40)]
    wait = tenacity.wait_fixed(8)

    async def main() -> None:
        def lives(heard: Heard) -> Iterable[Part]:
            yield from good("success" if heard.number >= len(refs) else "generating")(heard)
            if heard.number == 2 * len(refs) - 1:
                the_loop().hold(5)
                late.append(the_loop().time() - began - 10)

        began, late = the_loop().time(), list[float]()
        async with trial.left_as_found(), RawServer(lives) as server, server.client() as client:
            if many:
                ends: list[object] = list(await client.wait_all(refs, timeout=10, wait=wait))
                trial.book(refs, ends, status="success")
            else:
                ends = await trial.ends(
                    lambda ref: client.wait_for(ref, timeout=10, wait=wait), *refs, status="success"
                )
            assert late[0] > 2, "the deadline passed while the loop was held"
            assert not [
                end for end in ends if isinstance(end, Exception) or getattr(end, "error", None)
            ]
        trial.wire(server, exactly=2 * len(refs))

    run(BlockableLoop, main())


@pytest.mark.parametrize("seconds", [5.5, 3600.0])
def test_no_answer_is_there(trial: Trial, seconds: float) -> None:
    """A blocked loop does not make a request last longer than it must."""

    async def main() -> None:
        def block(_: Heard) -> Iterable[Part]:
            yield b"HTTP/1.1 200 OK\r\n"
            the_loop().hold(seconds)
            yield STALL

        async with (
            trial.left_as_found(),
            RawServer(block) as server,
            server.client(request_timeout=5, attempts=1) as client,
        ):
            with trial.on_time(the_loop().time() + seconds):
                (end,) = await trial.ends(client.get, REF)
            assert isinstance(end, RequestTimeoutError)
        trial.wire(server, exactly=1)

    run(BlockableLoop, main())


@pytest.mark.parametrize(
    ("at", "seconds", "end"),
    [(8, 5, 13), (3, 6, 10), (3, 20, 23)],
    ids=["over it", "before it", "long over it"],
)
def test_a_deadline_while_it_is_held(trial: Trial, at: float, seconds: float, end: float) -> None:
    """A wait of ten seconds whose time is over ends when the loop is back, whatever is due by
    then; and one whose time is not over has none added to it."""

    async def main() -> None:
        loop = the_loop()
        async with (
            trial.left_as_found(),
            RawServer(good("generating")) as server,
            server.client() as client,
        ):
            began = loop.time()
            loop.call_later(at, loop.hold, seconds)
            with trial.on_time(began + end, early=0):
                (error,) = await trial.ends(lambda ref: client.wait_for(ref, timeout=10), REF)
            assert isinstance(error, WaitTimeoutError)
        trial.wire(server)

    run(BlockableLoop, main())


@pytest.mark.slow
def test_held_again_and_again(trial: Trial) -> None:
    """Half of the time is the user's: every task has its outcome, and no poll is lost."""
    refs = [ImageRef(f"a{number}") for number in range(100)]

    async def main() -> None:
        loop = the_loop()

        def hold() -> None:
            loop.hold(5)
            timers.append(loop.call_later(5.01, hold))

        def lives(heard: Heard) -> Iterable[Part]:
            return good("success" if loop.time() > began + 60 else "generating", delay=0.1)(heard)

        async with (
            trial.left_as_found(),
            RawServer(lives) as server,
            server.client(request_timeout=5) as client,
        ):
            began = loop.time()
            timers = [loop.call_later(1, hold)]
            outcomes = await client.wait_all(refs, timeout=600)
            timers[-1].cancel()
            trial.book(refs, outcomes, status="success")
            assert client.statistics().failures == 0
        trial.wire(server)

    run(BlockableLoop, main())
