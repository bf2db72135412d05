"""Refs: the same one again, very many, a source that fails half-way."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any

import pytest

from aitoearn_async import ImageRef, ImageTask, TaskRef, VideoRef
from tests.polling.model import Service, batch, images, until_error
from tests.support.raw_server import Heard, Part, RawServer, good

from .calls import SOON, ref_of
from .harness import Row, Trial, memory

ROW = Row(
    35,
    "The same task again and again; a hundred thousand; a source of refs that fails half-way",
    "A task that is given again while it is pending is polled once and answered for each time. "
    "What could be read has its outcome, and then comes the source's own error.",
)

REFS = images(40)


def lives() -> Callable[[Heard], Iterable[Part]]:
    """Each task runs twice when it is asked, and has then succeeded."""
    asked: Counter[str] = Counter()

    def script(heard: Heard) -> Iterable[Part]:
        asked[heard.path] += 1
        return good("success" if asked[heard.path] > 2 else "generating")(heard)

    return script


@pytest.mark.parametrize("times", [2, 25])
async def test_duplicates(trial: Trial, times: int) -> None:
    """Of a batch: one life on the wire, an outcome for each time."""
    refs = [ref for _ in range(times) for ref in REFS]
    async with RawServer(lives()) as server, server.client() as client:
        outcomes = await client.wait_all(refs, wait=SOON)
        trial.book(refs, outcomes, status="success")
        assert len(outcomes) == len(refs)
        trial.wire(server, exactly=3 * len(REFS))
    async with RawServer(lives()) as server, server.client() as client:
        async with client.as_completed(iter(refs), wait=SOON) as several:
            found = [outcome async for outcome in several]
        trial.book(map(ref_of, found), found, status="success")
        assert Counter(outcome.ref for outcome in found) == Counter(refs)
        trial.wire(server, exactly=3 * len(REFS))


async def test_one_id_of_two_kinds(trial: Trial) -> None:
    """An image and a video of the same id are two tasks."""
    refs: list[TaskRef[Any]] = [ImageRef("a"), VideoRef("a"), ImageRef("a")]
    async with RawServer(lives()) as server, server.client() as client:
        outcomes = await client.wait_all(refs, wait=SOON)
        trial.book([ImageRef("a"), VideoRef("a"), ImageRef("a")], outcomes, status="success")
    trial.wire(server, exactly=6)


async def test_single_waits_for_one_task(trial: Trial) -> None:
    """Waits that know nothing of each other ask each for itself, and none gets less."""
    async with RawServer(good()) as server, server.client() as client:
        await trial.ends(client.wait_for, *[REFS[0]] * 20, status="success")
    trial.wire(server, exactly=20)


def list_that_fails(count: int) -> Iterator[ImageRef]:
    yield from REFS[:count]
    raise ZeroDivisionError


async def stream_that_fails(count: int) -> AsyncIterator[ImageRef]:
    for ref in REFS[:count]:
        await asyncio.sleep(0.5)
        yield ref
    raise ZeroDivisionError


@pytest.mark.sampled(3)
@pytest.mark.parametrize("count", [0, 1, 20, 40])
@pytest.mark.parametrize("source", [list_that_fails, stream_that_fails])
async def test_a_source_that_fails(
    trial: Trial, source: Callable[[int], Iterator[ImageRef]], count: int
) -> None:
    """All it gave has its outcome first; then comes its error. `wait_all` has only the error."""
    async with RawServer(lives()) as server, server.client() as client:
        async with client.as_completed(source(count), wait=SOON) as some:
            outcomes, error = await until_error(some)
        assert isinstance(error, ZeroDivisionError)
        assert {outcome.ref for outcome in outcomes} == set(REFS[:count])
        trial.book(map(ref_of, outcomes), outcomes, status="success")
        trial.wire(server, exactly=3 * count)
        with pytest.raises(ZeroDivisionError):
            await client.wait_all(source(count), wait=SOON)
        assert client.statistics().in_flight == 0
    trial.wire(server)


async def test_very_many(trial: Trial, crowd: int) -> None:
    """Each has its outcome, and each task is polled once, whatever the crowd."""
    count, times = 10 * crowd, 5
    refs = images(count // times)
    service = Service(dict.fromkeys(refs, 0.0))
    found: Counter[TaskRef[ImageTask]] = Counter()
    before = memory()
    async with batch((ref for ref in refs for _ in range(times)), service) as waiting:
        async for outcome in waiting:
            assert outcome.ok
            found[outcome.ref] += 1
    trial.figure(f"MB more in memory after {count:,} refs", (memory() - before) / 1e6, 60)
    assert found == dict.fromkeys(refs, times)
    assert service.polls == dict.fromkeys(refs, 1)
    trial.entry.submitted += count
    trial.entry.ended += found.total()
