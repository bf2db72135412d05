"""How a fault is proved to be survived, and the figures of it.

A file of this suite names its row, and its tests ask for a `trial`, which keeps their books:

    ROW = Row(2, "The connection is reset", "A lost poll is repeated; nothing else is lost.")

    async def test_a_reset_before_the_head(trial: Trial) -> None:
        async with RawServer(say(RST), good()) as server, server.client() as client:
            (task,) = await trial.ends(client.get, REF, status="success")
        trial.wire(server, exactly=2)

The calls go through `trial.ends` (all at once; an error of ours is an end like any other) or,
where a test makes them itself, their ends are booked with `trial.book`. More of it:

    with trial.on_time(began + 10): ...             over then: the overshoot is a figure
    trial.figure("peak of memory, MB", 3.1, 8.0)    any other figure, with the most it may be
    trial.no_key_in(sink.raw)                       what reached others than the API
    await child("tests.faults.bombs", server.url)   a module run as a process; its JSON

Asserted of every test, at its end, and never needing a line: no call is lost (ended with
neither a task nor one of our errors), no task is another's, the key is in no log and no
error, and asyncio tasks, timers, sockets and file descriptors are back where they were. Tests
that are no coroutine functions have a loop of their own: `async with trial.left_as_found()`.

With FAULTS_RECORD=FILE in the environment, the books of all tests are written to FILE as JSON:
a list of `Entry`. This file knows no fault; those are in the tests.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pickle
import stat
import sys
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

import msgspec

from aitoearn_async import AiToEarnError, AnyRef, Outcome
from tests.support.raw_server import KEY

RECORD = "FAULTS_RECORD"
"""The environment variable that names the file of the record."""
ROOT = Path(__file__).parents[2]
MOST_OVERSHOOT = 0.05
"""Seconds after its end by which a wait must have raised."""


class Row(msgspec.Struct, frozen=True):
    """A fault of the table, for people who have not read the tests."""

    number: int
    fault: str
    """What happens, in a few words."""
    survives: str
    """What the SDK does then, in a sentence or two."""


class Figure(msgspec.Struct, frozen=True):
    """A measured value, and the most it may be."""

    what: str
    value: float
    at_most: float | None = None


MOST_HEARD = 100
"""Errors of a test in which the key is looked for. Some tests have ten thousand, all alike."""


class Entry(msgspec.Struct, kw_only=True):
    """The books of one test."""

    row: Row
    test: str
    passed: bool = False
    submitted: int = 0
    """Calls made."""
    ended: int = 0
    """Calls that came to a task or to an error of ours."""
    wrong: int = 0
    """Calls that came to another's task, or to a status that was not the task's."""
    requests: int = 0
    """Requests that reached a server."""
    overshoots: list[float] = []
    """Seconds by which bounds were exceeded, one for each that was looked at."""
    left: dict[str, int] = {}
    """Tasks, timers, sockets, descriptors that were there afterwards and not before."""
    sightings: int = 0
    """Places outside of requests to the API where the key was seen."""
    figures: list[Figure] = []

    @property
    def lost(self) -> int:
        """Calls that came to nothing that a caller could handle."""
        return self.submitted - self.ended


class Counting(Protocol):
    """A server that counts what it is asked."""

    @property
    def count(self) -> int: ...


class Trial:
    """The books of one test, kept while it runs.

    Args:
        entry: Where the figures go.
    """

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self.is_over = False
        """Whether what is left behind has been looked at."""

    async def ends(
        self,
        call: Callable[[Any], Awaitable[Any]],
        *refs: AnyRef,
        status: str | None = None,
        or_error: bool = False,
        also: tuple[type[BaseException], ...] = (),
    ) -> list[Any]:
        """Make a call for each ref, all at once. Returns what they came to, errors included.

        Args:
            call: `client.get`, or anything that makes an awaitable of a ref.
            refs: One call each.
            status: The word that the task must have that each of them comes to.
            or_error: Whether, with a status, an error of ours will do as well.
            also: Errors that are an end as well, and no loss: `asyncio.CancelledError`.
        """
        ends = await asyncio.gather(*map(call, refs), return_exceptions=True)
        self.book(refs, ends, status=status, or_error=or_error, also=also)
        return ends

    def book(
        self,
        refs: Iterable[AnyRef],
        ends: Iterable[object],
        *,
        status: str | None = None,
        or_error: bool = False,
        also: tuple[type[BaseException], ...] = (),
    ) -> None:
        """Book what calls came to, pair by pair: tasks, outcomes of a batch, or errors.

        Fewer ends than refs are lost calls.
        """
        entry, left = self.entry, iter(ends)
        for ref in refs:
            end = next(left, None)
            entry.submitted += 1
            task = end
            if isinstance(end, Outcome):
                entry.wrong += end.ref != ref
                task = end.task if end.error is None else end.error
            if isinstance(task, BaseException):
                expected = isinstance(task, (AiToEarnError, *also))
                entry.ended += expected
                wrong = expected and status is not None and not or_error
                entry.wrong += wrong
                if entry.submitted <= MOST_HEARD:
                    entry.sightings += KEY in said_by(task)
                if wrong or not expected:
                    traceback.print_exception(task)  # shown by pytest where the test fails
            elif task is not None:
                entry.ended += 1
                own = getattr(task, "ref", None)
                right = own is not None and str(own).lower() == str(ref).lower()
                entry.wrong += not right or status not in (None, getattr(task, "status", None))

    def wire(
        self, *servers: Counting, exactly: int | None = None, at_most: int | None = None
    ) -> None:
        """Book what servers were asked, and assert how often that was."""
        count = sum(server.count for server in servers)
        self.entry.requests += count
        if exactly is not None:
            assert count == exactly, f"{count} requests on the wire, not {exactly}"
        if at_most is not None:
            assert count <= at_most, f"{count} requests on the wire, {at_most} at most"

    @contextlib.contextmanager
    def on_time(self, end: float, *, early: float | None = None) -> Iterator[None]:
        """What happens in the block is over by `end`, in loop time, and 50 ms at the most.

        Args:
            end: When a bound passes.
            early: How many seconds sooner it may be over; None if that does not matter.
        """
        loop = asyncio.get_running_loop()
        yield
        over = loop.time() - end
        self.entry.overshoots.append(max(over, 0.0))
        assert over <= MOST_OVERSHOOT, f"{over:.3f} s too late"
        if early is not None:
            assert over >= -early - 0.001, f"{-over:.3f} s too early"

    def figure(self, what: str, value: float, at_most: float | None = None) -> None:
        """Book any other figure, and assert that it is no more than it may be.

        The report shows the highest of those that are called alike.
        """
        self.entry.figures.append(Figure(what, float(value), at_most))
        assert at_most is None or value <= at_most, f"{what}: {value:g}, {at_most:g} at most"

    def no_key_in(self, *texts: bytes | str) -> None:
        """Book how often the key is seen in what left the API's origin, or was said."""
        for text in texts:
            raw = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
            self.entry.sightings += raw.count(KEY.encode())

    @contextlib.asynccontextmanager
    async def left_as_found(self) -> AsyncIterator[None]:
        """Tasks, timers, sockets and descriptors are afterwards as they were before."""
        before = standing()
        yield
        after = standing()
        for _ in range(20):  # the last callbacks of transports
            if not _more(before, after):
                break
            await asyncio.sleep(0.01)
            after = standing()
        self.is_over = True
        for what, count in _more(before, after).items():
            self.entry.left[what] = self.entry.left.get(what, 0) + count

    def check(self) -> None:
        """What is asserted of every test."""
        entry = self.entry
        assert entry.lost == 0, f"{entry.lost} of {entry.submitted} calls lost"
        assert entry.wrong == 0, f"{entry.wrong} of {entry.submitted} results wrong"
        assert not entry.left, f"left behind: {entry.left}"
        assert entry.sightings == 0, "the API key was seen where it must not be"


def standing() -> dict[str, int]:
    """What there is now, of all that could be left behind."""
    loop = asyncio.get_running_loop()
    scheduled: list[asyncio.TimerHandle] = loop._scheduled  # type: ignore[attr-defined]
    descriptors = _descriptors()
    return {
        "tasks": len(asyncio.all_tasks()),
        "timers": sum(not timer.cancelled() for timer in scheduled),
        "sockets": sum(descriptors.values()),
        "descriptors": len(descriptors),
    }


def _descriptors() -> dict[str, bool]:
    """The open file descriptors, and whether each is a socket."""
    found: dict[str, bool] = {}
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the one of the listing itself
            found[name] = stat.S_ISSOCK(os.fstat(int(name)).st_mode)
    return found


def _more(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    return {what: n - before[what] for what, n in after.items() if n > before[what]}


def said_by(error: BaseException) -> str:
    """All that an error says of itself: text, repr, notes, causes, attributes, pickle."""
    said = ["".join(traceback.format_exception(error)), repr(error)]
    seen: BaseException | None = error
    while seen is not None:
        said.append(repr(vars(seen)))
        seen = seen.__cause__ or seen.__context__
    if isinstance(error, AiToEarnError):
        said.append(pickle.dumps(error).decode("latin-1"))
    return "\n".join(said)


async def child(module: str, *arguments: object, seconds: float = 250.0) -> Any:
    """Run a module as a process of its own. Returns what it prints, which is JSON.

    It must exit with 0 and say nothing on stderr; its warnings are errors.
    """
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-W", "error", "-m", module, *map(str, arguments)],
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(seconds):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    said = err.decode(errors="replace")
    assert process.returncode == 0, f"{module}: exit {process.returncode}\n{said}"
    assert said == "", said
    return json.loads(out)


def memory(*, peak: bool = False) -> int:
    """Bytes of this process in memory now, or at most so far. Linux only.

    Of the two that Linux keeps, this is the peak that a parent process has no part in.
    """
    name = "VmHWM:" if peak else "VmRSS:"
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))
