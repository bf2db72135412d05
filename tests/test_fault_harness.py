"""The books of the fault suite: what they hold, and that nothing gets past them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import pytest

from aitoearn_async import (
    AiToEarnError,
    AnyRef,
    ImageRef,
    ImageTask,
    Outcome,
    TransportError,
    WaitTimeoutError,
)
from tests.faults.harness import Entry, Row, Trial, child, memory
from tests.support.raw_server import ID, KEY, REF, RST, RawServer, good, say

OTHER = ImageRef(ID[::-1])


@pytest.fixture
def trial() -> Trial:
    return Trial(Entry(row=Row(0, "none", "nothing"), test="this"))


async def test_calls_are_booked(trial: Trial) -> None:
    """Tasks and errors of ours are ends; requests and overshoots are counted."""
    loop = asyncio.get_running_loop()
    async with RawServer(good(), say(RST)) as server, server.client(attempts=1) as client:
        with trial.on_time(loop.time() + 1):
            ends = await trial.ends(client.get, REF, OTHER)
        assert sum(isinstance(end, AiToEarnError) for end in ends) == 1
    trial.wire(server, exactly=2)
    entry = trial.entry
    assert (entry.submitted, entry.ended, entry.wrong, entry.requests) == (2, 2, 0, 2)
    assert entry.overshoots == [0.0]
    trial.check()


def failing(ref: AnyRef) -> object:
    raise ValueError(ref)


WRONG: dict[str, tuple[Callable[[], object], str]] = {
    "no end": (lambda: None, "lost"),
    "an error of another kind": (lambda: OSError("no"), "lost"),
    "a cancellation": (lambda: asyncio.CancelledError(), "lost"),
    "another's outcome": (
        lambda: Outcome(ref=OTHER, task=None, error=TransportError("no"), polls=1, elapsed=0.0),
        "wrong",
    ),
    "an error that tells the key": (lambda: TransportError(f"no: {KEY}"), "key"),
    "an error whose note tells the key": (
        lambda: _with_note(TransportError("no"), KEY),
        "key",
    ),
    "an error whose attribute holds the key": (
        lambda: WaitTimeoutError(REF, None, 1.0, 1, {KEY: 1}),
        "key",
    ),
}


def _with_note(error: Exception, note: str) -> Exception:
    error.add_note(note)
    return error


@pytest.mark.parametrize(("end", "complaint"), WRONG.values(), ids=WRONG)
def test_what_must_not_be(trial: Trial, end: Callable[[], object], complaint: str) -> None:
    """A lost call, a wrong result and a sighting of the key fail the test."""
    trial.book([REF], [end()])
    with pytest.raises(AssertionError, match=complaint):
        trial.check()


async def test_wrong_tasks(trial: Trial) -> None:
    """A task is wrong if it is another's, or has another status."""
    async with RawServer() as server, server.client() as client:
        task = await client.get(REF)
    trial.book([REF], [task], status="success")
    trial.check()
    trial.book([OTHER], [task])
    trial.book([REF], [task], status="failed")
    assert (trial.entry.wrong, trial.entry.lost) == (2, 0)


async def test_an_error_in_place_of_a_task(trial: Trial) -> None:
    """Where a task of a certain status is expected, an error is wrong; unless it is said not."""
    outcome = Outcome[ImageTask](
        ref=REF, task=None, error=TransportError("no"), polls=1, elapsed=0.0
    )
    for end in (TransportError("no"), outcome):
        trial.book([REF], [end], status="success", or_error=True)
        trial.book([REF], [end])
    trial.check()
    for end in (TransportError("no"), outcome):
        trial.book([REF], [end], status="success")
    assert (trial.entry.wrong, trial.entry.lost) == (2, 0)


async def test_what_is_left_behind(trial: Trial) -> None:
    """A task, a timer, a socket that was not there before is noticed."""
    loop = asyncio.get_running_loop()
    async with trial.left_as_found():
        timer = loop.call_later(3600, print)
        sleeping = loop.create_task(asyncio.sleep(7200))
        sock = socket.socket()
        loop.call_later(1000, print).cancel()
        await asyncio.sleep(0)
    assert trial.entry.left == {"tasks": 1, "timers": 2, "sockets": 1, "descriptors": 1}
    timer.cancel()
    sleeping.cancel()
    sock.close()


async def test_every_test_is_looked_at(request: pytest.FixtureRequest) -> None:
    """What no task may outlive is not only declared."""
    assert request.fixturenames[0] == "nothing_left"


async def test_bounds(trial: Trial) -> None:
    """An end that comes too late or too early, and a figure that is too high, fail the test."""
    now = asyncio.get_running_loop().time()
    with pytest.raises(AssertionError, match="too late"), trial.on_time(now + 1):
        await asyncio.sleep(1.1)
    with pytest.raises(AssertionError, match="too early"), trial.on_time(now + 9, early=0.5):
        await asyncio.sleep(0)
    with pytest.raises(AssertionError, match="lag: 3, 2 at most"):
        trial.figure("lag", 3, 2)
    async with RawServer() as server, server.client() as client:
        await client.get(REF)
        with pytest.raises(AssertionError, match="1 requests on the wire, not 2"):
            trial.wire(server, exactly=2)
        with pytest.raises(AssertionError, match="0 at most"):
            trial.wire(server, at_most=0)
        trial.no_key_in(server.raw)
    assert trial.entry.sightings == 1


async def test_a_child_that_fails(trial: Trial) -> None:
    """Its exit code is the test's failure, and it is not left running."""
    async with trial.left_as_found():
        with pytest.raises(AssertionError, match="exit 1"):
            await child("tests.faults.no_such_module")
        with pytest.raises(TimeoutError):
            await child("http.server", "0", seconds=0.2)
    trial.check()


def test_memory() -> None:
    """What is there now is no more than what was there at most."""
    assert 2**20 < memory() <= memory(peak=True) < 2**40
