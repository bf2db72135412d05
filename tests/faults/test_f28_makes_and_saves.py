"""The same of the calls that make, list and save: ended from outside at any step."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import math
from collections.abc import Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aitoearn_async import (
    Client,
    ClientClosedError,
    GenerateImage,
    SubmitUncertainError,
    VideoRef,
)
from aitoearn_async.emulator.pictures import mp4
from tests.downloads.storage import film_at, names, serve
from tests.support.raw_server import ID, Heard, Part, RawServer, envelope, http, task

from .calls import SOON
from .harness import Trial
from .test_f28_cancellation import ROW, stopping, turns

__all__ = ["ROW"]

FILM = mp4("one")
REQUEST = GenerateImage(model="m", prompt="a cat")
NAME, PART = f"video-{ID}.mp4", f".video-{ID}.part"
WHOLE = set[str](), {NAME}, {PART, f"{PART}.json"}
"""What may lie in a directory: nothing, a whole file, or what the next call goes on with."""

Call = Callable[[Client, RawServer, Path], Awaitable[Any]]


async def listed(client: Client) -> list[Any]:
    return [video async for video in client.list_videos()]


CALLS: dict[str, Call] = {
    "submit": lambda client, *_: client.submit(REQUEST),
    "run": lambda client, *_: client.run(REQUEST, wait=SOON),
    "models": lambda client, *_: client.image_models(),
    "list": lambda client, *_: listed(client),
    "download": lambda client, server, path: client.download(film_at(f"{server.url}/film"), path),
    "save": lambda client, _, path: client.wait_all([VideoRef(ID)], wait=SOON, save=path),
}
Begin = Callable[[Awaitable[Any], int], Awaitable["Ending"]]
"""Begins a call that is to be ended at a step."""
each_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


class Maker(RawServer):
    """Makes what it is asked to, lists it, and stores it, which comes in three pieces.

    Args:
        pause: Seconds between two of them.
    """

    def __init__(self, pause: float) -> None:
        super().__init__(self._answer)
        self._pause = pause

    def _answer(self, heard: Heard) -> Iterable[Part]:
        id = heard.path.rpartition("/")[2]
        if heard.path == "/film":
            (film,) = serve(FILM)(heard)
            assert isinstance(film, bytes)
            return film[:90], self._pause, film[90:900], self._pause, film[900:]
        if heard.method == "POST":
            data: object = {"id": ID, "logId": ID, "status": "generating"}
        elif len(id) != len(ID):
            row = task(id=ID, kind="video")
            data = [] if "models" in heard.path else {"list": [row], "total": 1, "page": 1}
        else:
            kind = "video" if "/video/" in heard.path else "image"
            data = task(id=id, kind=kind, videoUrl=f"{self.url}/film")
        body = json.loads(envelope({"x": 0})) | {
            "data": data,
            "requestId": heard.header("X-Request-Id"),
        }
        return (http(json.dumps(body).encode()),)

    @property
    def submits(self) -> int:
        """How many were begun."""
        return sum(heard.method == "POST" for heard in self.heard)

    @property
    def wholes(self) -> int:
        """How many came in to their last byte."""
        return self.raw.count(b'"prompt":"a cat"}')


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing is left to complain about."""
    yield
    gc.collect(1)
    loud = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert [record.getMessage() for record in loud] == []


async def whole(call: Call, client: Client, server: RawServer, path: Path) -> Any:
    return await call(client, server, path)


async def end_of(call: Awaitable[Any]) -> object:
    """What it came to. Not by `gather`, which makes a new `CancelledError` without the notes."""
    try:
        return await call
    except (Exception, asyncio.CancelledError) as exc:
        return exc


def client_of(server: RawServer) -> Client:
    return server.client(concurrency=1, private_media=True)


def check(end: object, server: Maker, before: tuple[int, int], path: Path) -> None:
    """What may be there after a call that was ended, and what must be said of it."""
    assert server.submits - before[0] <= 1, "sent once"
    assert set(names(path)) in WHOLE
    notes = "".join(getattr(end, "__notes__", ()))
    if server.wholes > before[1] and isinstance(end, BaseException):
        said = f"{end}\n{notes}"
        assert "may have made a task" in said or "was submitted and goes on" in said


class Ending:
    """Cancels a call, and notes when."""

    def __init__(self, call: Awaitable[Any]) -> None:
        self.task: asyncio.Future[Any] = asyncio.ensure_future(call)
        self.at = math.inf

    def cancel(self) -> None:
        self.at = asyncio.get_running_loop().time()
        self.task.cancel()


async def at_each(trial: Trial, call: Call, path: Path, begin: Begin, *, pause: float) -> int:
    """End a call at one step after the other, on one client, until it ends by itself."""
    server, loop = Maker(pause), asyncio.get_running_loop()
    async with server, client_of(server) as client:
        for step in range(400):
            for name in names(path):
                (path / name).unlink()
            before = server.submits, server.wholes
            ending = await begin(whole(call, client, server, path), step)
            end = await end_of(ending.task)
            # Real seconds: a file is closed before that, in a thread.
            assert loop.time() - ending.at < 2
            await asyncio.sleep(0.01)
            check(end, server, before, path)
            assert server.open <= 1, "no more than the one to the service is kept"
            if not isinstance(end, BaseException):
                break
            assert isinstance(end, asyncio.CancelledError), step
        await client.download(film_at(f"{server.url}/film"), path)
        assert names(path) == [NAME]
        assert (path / NAME).read_bytes() == FILM
        statistics = client.statistics()
        assert (statistics.in_flight, statistics.queued) == (0, 0)
        await client.aclose()
        await asyncio.sleep(0.01)
        assert server.open == 0
    trial.wire(server)
    return step


@pytest.mark.sampled(3)
@each_call
async def test_at_every_await(trial: Trial, call: Call, tmp_path: Path) -> None:
    """At each point at which it waits for anything: it is over then, and nothing goes on."""

    async def begin(running: Awaitable[Any], step: int) -> Ending:
        ending = Ending(stopping(running, step, lambda: ending.cancel()))
        return ending

    steps = await at_each(trial, call, tmp_path, begin, pause=5)
    assert 2 <= steps < 300
    trial.figure("points at which it was cancelled", steps)


@pytest.mark.sampled(6)
@each_call
async def test_at_every_turn_of_the_loop(trial: Trial, call: Call, tmp_path: Path) -> None:
    """After k turns, for every k up to its end."""

    async def begin(running: Awaitable[Any], step: int) -> Ending:
        ending = Ending(running)
        await turns(2 * step)
        ending.cancel()
        return ending

    assert await at_each(trial, call, tmp_path, begin, pause=0) >= 2


@pytest.mark.parametrize("seconds", [1.0, 3.0, 7.0])
@pytest.mark.parametrize("error", [None, ZeroDivisionError])
async def test_a_batch_that_saves_is_left(
    trial: Trial, seconds: float, error: type[Exception] | None, tmp_path: Path
) -> None:
    """While files are on their way: they are given up with it, and the next call goes on."""
    server, loop = Maker(5), asyncio.get_running_loop()
    async with server, client_of(server) as client:
        began = loop.time()
        with contextlib.suppress(ZeroDivisionError):
            async with client.as_completed([VideoRef(ID)], wait=SOON, save=tmp_path):
                await asyncio.sleep(seconds)
                if error is not None:
                    raise error
        assert loop.time() - began < seconds + 2
        await asyncio.sleep(0.01)
        assert server.open <= 1
        assert set(names(tmp_path)) in WHOLE
        asked = server.count
        await asyncio.sleep(100)
        assert server.count == asked
        await client.download(film_at(f"{server.url}/film"), tmp_path)
        assert (tmp_path / NAME).read_bytes() == FILM
    trial.wire(server)


@pytest.mark.sampled(3)
@each_call
async def test_the_client_is_closed(trial: Trial, call: Call, tmp_path: Path) -> None:
    """After k turns: one clear error, that says what may have been paid for."""
    closed = 0
    for count in range(0, 120, 3):
        path = tmp_path / str(count)
        server = Maker(0)
        async with server:
            client = client_of(server)
            running = asyncio.ensure_future(whole(call, client, server, path))
            await turns(count)
            began = asyncio.get_running_loop().time()
            await client.aclose()
            end = await end_of(running)
            assert asyncio.get_running_loop().time() - began < 2
            if isinstance(end, BaseException):
                closed += 1
                assert type(end) in (ClientClosedError, SubmitUncertainError)
            await asyncio.sleep(0.01)
            check(end, server, (0, 0), path)
            assert server.open == 0
    assert closed >= 3
    trial.book([], [])
