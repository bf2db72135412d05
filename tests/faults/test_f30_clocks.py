"""Clocks that jump, stop, or are a little off."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from email.utils import formatdate
from functools import partial
from pathlib import Path

import pytest
import tenacity

from aitoearn_async import ImageRef, VideoRef, WaitTimeoutError
from aitoearn_async.emulator.pictures import mp4
from tests.support.clock import ROUNDING
from tests.support.loops import BlockableLoop, CoarseLoop, run
from tests.support.raw_server import (
    REF,
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
)

from .harness import Row, Trial

ROW = Row(
    30,
    "Clocks: the wall's jumps by an hour, the machine sleeps for one, timers come early",
    "Waits go by a clock of their own, which stands still while the machine sleeps: nothing "
    "times out unheard, nothing is due all at once, and connections from before are not used.",
)

HOUR = 3600.0
EVERY_TEN = tenacity.wait_fixed(10)


class Wall:
    """The wall's clock, which can be set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.offset = 0.0
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() + self.offset)


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> Wall:
    return Wall(monkeypatch)


@pytest.mark.parametrize("jump", [HOUR, -HOUR], ids=["forward", "back"])
async def test_the_walls_clock_jumps(trial: Trial, wall: Wall, jump: float) -> None:
    """Calls under way, asleep and to come last as long and ask as often as ever."""
    loop = asyncio.get_running_loop()
    refs = [ImageRef(f"a{number}") for number in range(20)]
    async with RawServer(good("generating", delay=0.5)) as server, server.client() as client:
        began = loop.time()
        loop.call_later(55.25, setattr, wall, "offset", jump)
        waits = trial.ends(lambda ref: client.wait_for(ref, timeout=105, wait=EVERY_TEN), *refs)
        batch = client.wait_all([VideoRef("b")], timeout=105, wait=EVERY_TEN)
        with trial.on_time(began + 105):
            ends, outcomes = await asyncio.gather(waits, batch)
        trial.book([VideoRef("b")], outcomes)
        assert {type(end) for end in (*ends, outcomes[0].error)} == {WaitTimeoutError}
        assert {end.polls for end in (*ends, outcomes[0].error)} == {11}
    trial.wire(server, exactly=21 * 11)


async def test_a_date_to_come_back_at_from_a_clock_that_is_off(trial: Trial) -> None:
    """`Retry-After` as a date counts from the answer's own `Date`, not from any clock here."""
    then = time.time() - 5 * HOUR
    headers = {
        "Date": formatdate(then, usegmt=True),
        "Retry-After": formatdate(then + 60, usegmt=True),
    }
    async with (
        RawServer(say(http(b"", 429, headers)), good()) as server,
        server.client() as client,
    ):
        await trial.ends(client.get, REF, status="success")
        assert 59 <= server.heard[1].at - server.heard[0].at <= 73
    trial.wire(server, exactly=2)


def in_shanghai(moment: float) -> str:
    """Return a date as one writes it who takes HTTP's zone for the machine's."""
    there = datetime.fromtimestamp(moment + 8 * HOUR, UTC)
    return there.strftime("%a, %d %b %Y %H:%M:%S CST")


@pytest.mark.parametrize(
    ("jump", "date_of"),
    [
        (HOUR, partial(formatdate, usegmt=True)),
        (-HOUR, partial(formatdate, usegmt=True)),
        (0.0, in_shanghai),  # that is no date of HTTP, and this machine's clock counts
    ],
    ids=["forward", "back", "another zone"],
)
async def test_a_file_that_comes_late_under_a_clock_that_is_off(
    trial: Trial, wall: Wall, tmp_path: Path, jump: float, date_of: Callable[[float], str]
) -> None:
    """Its task has just ended, by the service's clock: so it is waited for longer than a minute."""
    now, film = time.time(), mp4("one")
    ended = datetime.fromtimestamp(now - 60, UTC).isoformat()
    media: list[float] = []

    def choose(heard: Heard) -> Script:
        if heard.path.startswith("/api/"):
            address = f"http://{heard.header('Host')}/film.mp4"
            made = task("SUCCESS", id="v", kind="video", videoUrl=address, finishedAt=ended)
            return say(http(envelope(made), headers={"Date": date_of(now)}))
        media.append(heard.at)
        return say(http(film if heard.at - media[0] > 150 else b"", 200))

    wall.offset = jump
    async with (
        RawServer(choose=choose) as server,
        server.client(private_media=True) as client,
    ):
        (path,) = await client.download("video:v", tmp_path)
    assert path.read_bytes() == film
    trial.wire(server, at_most=60)


def gap_in(trial: Trial, count: int, single: int) -> None:
    """So many tasks in a batch, and single waits, through an hour of sleep."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, BlockableLoop)
        refs = [ImageRef(f"a{number}") for number in range(count + single)]

        def lives(heard: Heard) -> Iterable[Part]:
            return good("success" if loop.time() > began + HOUR + 100 else "generating", delay=0.2)(
                heard
            )

        async with trial.left_as_found(), RawServer(lives) as server, server.client() as client:
            began = loop.time()
            loop.call_later(50.03, loop.hold, HOUR)
            waits = trial.ends(
                lambda ref: client.wait_for(ref, timeout=1800, patience=300, wait=EVERY_TEN),
                *refs[count:],
                status="success",
            )
            batch = client.wait_all(refs[:count], timeout=1800, patience=300, wait=EVERY_TEN)
            outcomes = (await asyncio.gather(waits, batch))[1]
            trial.book(refs[:count], outcomes, status="success")
            assert [type(outcome.error) for outcome in outcomes if not outcome.ok] == []
            before = in_each_second(server, began + 20, began + 50)
            after = in_each_second(server, began + 50 + HOUR, began + HOUR + 100)
            assert sum(after) >= 0.9 * 50 * sum(before) / 30, "everybody goes on"
            trial.figure("peak after an hour's sleep / usual", max(after) / max(before), 1.5)
        trial.wire(server)

    run(BlockableLoop, main())


def in_each_second(server: RawServer, begin: float, end: float) -> list[int]:
    counts = [0] * int(end - begin)
    for heard in server.heard:
        if 0 <= (second := int(heard.at - begin)) < len(counts):
            counts[second] += 1
    return counts


@pytest.mark.slow
def test_the_machine_sleeps_and_its_clock_runs_on(trial: Trial) -> None:
    """Waits of half an hour outlive an hour of sleep; each is polled when it was due."""
    gap_in(trial, 200, 0)


@pytest.mark.slow
def test_it_sleeps_under_single_waits(trial: Trial) -> None:
    """So do waits that are a coroutine each."""
    gap_in(trial, 0, 100)


def test_it_sleeps_under_calls_on_the_wire(trial: Trial) -> None:
    """What was under way is lost with its connection, and costs no more than this attempt."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, BlockableLoop)
        async with (
            trial.left_as_found(),
            RawServer(say(STALL), good()) as server,
            server.client() as client,
        ):
            loop.call_later(3, loop.hold, HOUR)
            began = loop.time()
            await trial.ends(lambda ref: client.wait_for(ref, timeout=600), REF, status="success")
            assert loop.time() - began < HOUR + 10
        trial.wire(server, exactly=2)

    run(BlockableLoop, main())


def test_it_sleeps_between_two_tries(trial: Trial) -> None:
    """`get` goes on with its attempts."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, BlockableLoop)
        tired = say(http(b"", 503, {"Retry-After": "20"}))
        async with (
            trial.left_as_found(),
            RawServer(tired, good()) as server,
            server.client() as client,
        ):
            loop.call_later(3, loop.hold, HOUR)
            await trial.ends(client.get, REF, status="success")
        trial.wire(server, exactly=2)

    run(BlockableLoop, main())


def test_the_pace_after_trouble_holds_after_a_sleep_too(trial: Trial) -> None:
    """Those who were told to wait are let out by the clock that they were held by."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, BlockableLoop)
        refs = [ImageRef(f"a{number}") for number in range(60)]
        busy = say(http(b"", 429, {"Retry-After": "5"}))
        scripts = good(delay=10), *[busy] * len(refs), good()
        async with (
            trial.left_as_found(),
            RawServer(*scripts) as server,
            server.client() as client,
        ):
            loop.call_later(3, loop.hold, HOUR)
            await trial.ends(client.get, REF, status="success")
            await trial.ends(client.get, *refs, status="success")
            back = [heard.at for heard in server.heard[1 + len(refs) :]]
            # At ten a second, as without a sleep; the pause alone spreads them over one.
            assert max(back) - min(back) > 3
        trial.wire(server, exactly=1 + 2 * len(refs))

    run(BlockableLoop, main())


@pytest.mark.parametrize("jump", [HOUR, -HOUR, 61.0])
async def test_connections_from_before_the_sleep(trial: Trial, wall: Wall, jump: float) -> None:
    """Where only the wall's clock tells of it: dead connections are not used again.

    Nobody answers on them any more, nor says so.
    """
    loop = asyncio.get_running_loop()
    before = 5

    def choose(heard: Heard) -> Iterable[Part]:
        slept = wall.offset != 0
        return (STALL,) if slept and heard.connection < before else good(delay=0.1)(heard)

    async with RawServer(choose) as server, server.client() as client:
        await trial.ends(client.get, *[REF] * before, status="success")
        wall.offset = jump
        await asyncio.sleep(0)
        began = loop.time()
        with trial.on_time(began + 0.1):
            await trial.ends(client.get, *[REF] * 3, status="success")
        await asyncio.sleep(1)
        await trial.ends(client.get, *[REF] * 3, status="success")
        # What had met a dead one went out again on a connection of its own, which is not kept.
        assert all(heard.connection >= before for heard in server.heard[before:])
    trial.wire(server, exactly=before + 6)


@pytest.mark.parametrize("pause", [0.0, 9.0, 14.0])
async def test_connections_in_use_are_kept(trial: Trial, wall: Wall, pause: float) -> None:
    """Without a sleep they are used again, for minutes if need be."""
    async with RawServer() as server, server.client() as client:
        for _ in range(9):
            await trial.ends(client.get, REF, status="success")
            await asyncio.sleep(pause)
            wall.offset += pause
        assert len(server.lines) == 1
    trial.wire(server, exactly=9)


@pytest.mark.parametrize("many", [False, True], ids=["wait_for", "wait_all"])
def test_timers_that_come_early(trial: Trial, many: bool) -> None:
    """No wait ends before its time, and no poll comes before it is due."""

    async def main() -> None:
        async with RawServer(good("generating")) as server, server.client() as client:
            if many:
                outcomes = await client.wait_all([REF], timeout=25, wait=EVERY_TEN)
                trial.book([REF], outcomes)
                error: object = outcomes[0].error
            else:
                (error,) = await trial.ends(
                    lambda ref: client.wait_for(ref, timeout=25, wait=EVERY_TEN), REF
                )
            assert isinstance(error, WaitTimeoutError)
            assert 25 - ROUNDING <= error.elapsed <= 25.05
            first, second, third = (heard.at for heard in server.heard[:3])
            assert second - first >= 10
            assert third - second >= 10
        trial.wire(server, exactly=4)

    run(CoarseLoop, main())
