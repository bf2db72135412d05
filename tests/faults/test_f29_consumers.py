"""The caller breaks off, fails, forgets or dawdles."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from typing import Any

import pytest

from aitoearn_async import (
    AnyRef,
    BatchStatistics,
    Client,
    ImageRef,
    ImageTask,
    Outcome,
    WaitTimeoutError,
)
from tests.support.raw_server import REF, Heard, Part, RawServer, good, http, say

from .calls import SOON, ref_of
from .harness import Row, Trial

ROW = Row(
    29,
    "A break out of the iteration, an error of the caller's, a consumer that is slow or forgets",
    "Nothing goes on behind the caller's back, and a wait can be taken up again. Who is slow "
    "holds back the polling and the reading of refs; what is ready is bounded.",
)

REFS = [ImageRef(f"{number:06}") for number in range(5000)]


async def test_a_break_out_of_a_wait(trial: Trial) -> None:
    """Nobody asks any more; iterating again goes on where it was left."""
    scripts = good("generating"), good("generating"), good("success")
    async with RawServer(*scripts) as server, server.client() as client:
        waiter = client.wait_for(REF, wait=SOON)
        async for news in waiter:
            assert news.status == "generating"
            break
        await asyncio.sleep(100)
        trial.wire(server, exactly=1)
        assert [news.status async for news in waiter] == ["success"]
    trial.wire(server, exactly=3)


@pytest.mark.parametrize(("away", "end"), [(400, ImageTask), (2000, WaitTimeoutError)])
async def test_a_wait_that_is_left_in_trouble(trial: Trial, away: float, end: type) -> None:
    """Patience is with the service: it does not run out while nobody asks. Time does."""
    scripts = good("generating"), say(http(b"", 502)), good("success", delay=1)
    async with RawServer(*scripts) as server, server.client() as client:
        waiter = client.wait_for(REF, wait=SOON)
        await anext(waiter)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(waiter), 1.5)
        assert waiter.trouble is not None
        await asyncio.sleep(away)
        assert [type(found) for found in await trial.ends(lambda _: anext(waiter), REF)] == [end]
    trial.wire(server, exactly=3 if end is ImageTask else 2)


async def test_a_wait_that_is_dropped(trial: Trial) -> None:
    """Half iterated and forgotten: it needs no finaliser, and the collector says nothing."""
    async with RawServer(good("generating")) as server, server.client() as client:
        for _ in range(20):
            async for _news in client.wait_for(REF, wait=SOON):
                break
        gc.collect()
        await asyncio.sleep(100)
        assert client.statistics().in_flight == 0
        assert server.open == 1
    trial.wire(server, exactly=20)


async def test_an_error_in_the_body(trial: Trial) -> None:
    """It is the caller's error that comes out, of a wait and of a batch; and all is over."""

    async def fail(source: AsyncIterator[object]) -> None:
        async for _ in source:
            raise ZeroDivisionError

    async with RawServer(good("generating"), good()) as server, server.client() as client:
        with pytest.raises(ZeroDivisionError):
            await fail(client.wait_for(REF))
        with pytest.raises(ZeroDivisionError):
            async with client.as_completed(REFS) as batch:
                await fail(batch)
        asked = server.count
        await asyncio.sleep(100)
        assert server.count == asked
        assert client.statistics().in_flight == client.statistics().queued == 0
        await trial.ends(client.get, REF, status="success")
    trial.wire(server)


@pytest.mark.parametrize("count", [0, 1, 3, 70])
async def test_a_break_out_of_a_batch(trial: Trial, count: int) -> None:
    """When its block is left nothing goes on: no poll, no reading of refs."""
    refs = iter(REFS)
    async with RawServer() as server, server.client(concurrency=8) as client:
        async with client.as_completed(refs, max_pending=100) as batch:
            taken: list[Outcome[ImageTask]] = []
            if count:
                async for outcome in batch:
                    taken.append(outcome)
                    if len(taken) == count:
                        break
        asked, following = server.count, next(refs)
        assert int(following.id) <= count + 100, "refs are read as room frees up"
        await asyncio.sleep(100)
        assert server.count == asked
        trial.book(map(ref_of, taken), taken, status="success")
    trial.wire(server)


async def test_a_slow_consumer(trial: Trial) -> None:
    """A hundred times slower than the service: outcomes do not pile up, nor refs, nor polls."""
    read: list[ImageRef] = []

    def source() -> Iterator[ImageRef]:
        for ref in REFS:
            read.append(ref)
            yield ref

    most_ready = most_owed = 0
    async with RawServer(good(delay=0.01)) as server, server.client(concurrency=8) as client:
        async with client.as_completed(source(), max_pending=50) as batch:
            for number in range(150):
                outcome = await anext(batch)
                await asyncio.sleep(1)
                statistics = batch.statistics()
                most_ready = max(most_ready, statistics.ready)
                most_owed = max(most_owed, len(read) - number - 1)
                trial.book([ref_of(outcome)], [outcome], status="success")
            assert server.count <= 200
        trial.figure("refs read and not yet answered for, of 50", most_owed, 50)
        trial.figure("outcomes that lay unread, of 50", most_ready, 50)
    trial.wire(server, at_most=200)


@pytest.mark.slow
async def test_a_consumer_that_never_comes_back(trial: Trial) -> None:
    """With no bound on refs it is the outcomes that are bounded; and no poll goes out then."""
    async with RawServer() as server, server.client(concurrency=8) as client:
        some = REFS[:1100]
        async with client.as_completed(some, max_pending=len(some)) as batch:
            await asyncio.sleep(100)
            ready = batch.statistics().ready
            asked = server.count
            await asyncio.sleep(1000)
            assert server.count == asked
            # Or it does come back: then all goes on.
            async with asyncio.timeout(100):
                outcomes = [outcome async for outcome in batch]
        trial.book(some, sorted(outcomes, key=str), status="success")
        trial.figure("outcomes that lay unread, of 1100", ready, 1024 + 8)
    trial.wire(server)


class EndingSource:
    """Says in the wrong way, and too early, that there is nothing more to come."""

    def __iter__(self) -> Iterator[ImageRef]:
        return self

    def __next__(self) -> ImageRef:
        raise StopAsyncIteration


def ending_strategy(_: object) -> float:
    raise StopAsyncIteration


def ending_hook(_: BatchStatistics) -> None:
    raise StopAsyncIteration


async def iterated(news: Any) -> list[Any]:
    return [one async for one in news]


async def all_of(client: Client, refs: Iterable[ImageRef], **options: Any) -> list[Any]:
    async with client.as_completed(refs, **options) as batch:
        return await iterated(batch)


MISTAKES: dict[str, Callable[[Client], Awaitable[object]]] = {
    "a strategy, iterating": lambda client: iterated(client.wait_for(REF, wait=ending_strategy)),
    "a strategy, in a batch": lambda client: all_of(client, REFS[:2], wait=ending_strategy),
    "a strategy, for all": lambda client: client.wait_all(REFS[:2], wait=ending_strategy),
    "a source": lambda client: all_of(client, EndingSource()),
    "a source, for all": lambda client: client.wait_all(EndingSource()),
    "a hook": lambda client: all_of(client, REFS[:2], progress=ending_hook),
}


@pytest.mark.parametrize("use", MISTAKES.values(), ids=MISTAKES)
async def test_a_mistake_that_looks_like_the_end(
    trial: Trial, use: Callable[[Client], Awaitable[object]]
) -> None:
    """What a `StopAsyncIteration` of the caller's leaves out is not left out in silence."""
    async with RawServer(good("generating")) as server, server.client() as client:
        with pytest.raises(RuntimeError, match="StopAsyncIteration") as caught:
            await use(client)
        assert isinstance(caught.value.__cause__, StopAsyncIteration)
    trial.wire(server)


async def test_deadlines_under_a_slow_consumer(trial: Trial) -> None:
    """A wait in a task of its own keeps its deadline, whoever sleeps over the news of another."""
    loop = asyncio.get_running_loop()

    def lives(heard: Heard) -> Iterable[Part]:
        return good("generating" if REF.id in heard.path else "success")(heard)

    async def timed(ref: AnyRef) -> object:
        with trial.on_time(loop.time() + 30):
            return await client.wait_for(ref, timeout=30)

    async with RawServer(lives) as server, server.client() as client:
        wait = asyncio.ensure_future(trial.ends(timed, REF))
        async with client.as_completed(REFS[:20]) as batch:
            async for _outcome in batch:
                await asyncio.sleep(7)
        await wait
    trial.wire(server)
