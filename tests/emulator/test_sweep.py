"""The sweep that sees the ends of videos, and the one process that it shares with answers."""

from __future__ import annotations

import asyncio
import math
import sys
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitoearn_async import AnyRef, VideoRef
from aitoearn_async.emulator import Emulator, VirtualTimeLoop

from .talk import ask, now, post

START = datetime(2026, 3, 1, 12, 0, 10, tzinfo=UTC)
LOGS = "/api/ai/logs?pageSize=1000"
EDIT = "/api/ai/image/edit/async"


async def status(service: Emulator, ref: AnyRef) -> str:
    word: str = (await ask(service, ref)).data["status"]
    return word


async def ended(service: Emulator) -> list[str]:
    """The ids of the tasks that the logs show as ended, newest first."""
    rows = (await ask(service, f"{LOGS}&status=success")).data["list"]
    return [row["id"] for row in rows]


def date(reply: Any) -> datetime:
    return parsedate_to_datetime(reply.headers["Date"])


async def test_dates_are_those_of_the_loops_clock() -> None:
    """Header, body and id tell the same date, which runs on with virtual time."""
    async with Emulator(date=START) as service:
        ref = service.add_image("success")
        assert int(ref.id[:8], 16) == START.timestamp()
        await asyncio.sleep(3600)
        reply = await ask(service, ref)
        assert date(reply) == START + timedelta(hours=1)
        assert reply.data["createdAt"] == "2026-03-01T12:00:10.000Z"
        refused = await ask(service, "/api/ai/nope")
        assert refused.json["timestamp"] == (START + timedelta(hours=1)).timestamp() * 1000


async def test_the_date_runs_on_from_the_first_task() -> None:
    """Also from one with an id of the test's own."""
    async with Emulator(date=START) as service:
        ref = service.add_image("success", id="mine")
        await asyncio.sleep(3600)
        reply = await ask(service, ref)
        assert date(reply) == START + timedelta(hours=1)
        assert reply.data["createdAt"] == "2026-03-01T12:00:10.000Z"


@pytest.mark.skipif(sys.platform == "win32", reason="the zone of a process is POSIX's")
async def test_a_date_without_a_zone_is_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the test runs."""
    try:
        with monkeypatch.context() as patch:
            patch.setenv("TZ", "Asia/Shanghai")
            time.tzset()
            async with Emulator(date=START.replace(tzinfo=None)) as service:
                shown = (await ask(service, service.add_image())).data["createdAt"]
    finally:
        time.tzset()
    assert shown == "2026-03-01T12:00:10.000Z"


async def test_without_a_date_it_is_this_machines(service: Emulator) -> None:
    """A test that says nothing gets the present."""
    reply = await ask(service, service.add_image())
    assert abs(date(reply) - datetime.now(UTC)) < timedelta(minutes=5)


async def test_videos_end_on_the_grid() -> None:
    """At :00 and :30 of the service's clock, however long ago the provider was done."""
    async with Emulator(date=START, sweep=30.0, seconds_per_video=0.0) as service:
        soon = service.add_video(("InProgress", 1.0), "SUCCESS")
        later = service.add_video(("InProgress", 25.0), "FAILURE")
        image = service.add_image(("generating", 1.0), "success")
        began, seen = now(), []
        for second in (19, 20.01, 49, 50.01):
            await asyncio.sleep(began + second - now())
            seen.append([await status(service, ref) for ref in (soon, later, image)])
        assert seen == [
            ["InProgress", "InProgress", "success"],
            ["SUCCESS", "InProgress", "success"],
            ["SUCCESS", "InProgress", "success"],
            ["SUCCESS", "FAILURE", "success"],
        ]
        found = (await ask(service, later)).data
        assert found["finishedAt"] == "2026-03-01T12:01:00.000Z"


async def test_the_provider_of_volcengine_says_when_it_ended() -> None:
    """That channel keeps the provider's moment; the others that of the look."""
    async with Emulator(date=START, sweep=30.0) as service:
        ref = service.add_video(("InProgress", 1.0), "SUCCESS", model="doubao-seedance-2-0")
        await asyncio.sleep(25)
        assert (await ask(service, ref)).data["finishedAt"] == "2026-03-01T12:00:11.000Z"


async def test_one_video_after_another_the_newest_first() -> None:
    """A look takes its time, so the oldest of many is known last."""
    async with Emulator(date=START, sweep=30.0, seconds_per_video=1.0) as service:
        refs = [service.add_video("SUCCESS") for _ in range(3)]
        refs = [service.add_video(("InProgress", 1.0), "SUCCESS") for _ in range(3)]
        newest = [ref.id for ref in reversed(refs)]
        await asyncio.sleep(20.01)
        for count in (0, 1, 2, 3):
            assert [id for id in await ended(service) if id in newest] == newest[:count]
            await asyncio.sleep(1)


async def test_a_long_run_overlaps_with_the_next_one() -> None:
    """Nothing locks the job: a video made meanwhile does not wait for the run before."""
    async with Emulator(date=START, sweep=30.0, seconds_per_video=10.0) as service:
        old = [service.add_video(("InProgress", 1.0), "SUCCESS") for _ in range(5)]
        await asyncio.sleep(25)
        new = service.add_video(("InProgress", 1.0), "SUCCESS")
        await asyncio.sleep(36)
        assert await status(service, new) == "SUCCESS"
        assert await status(service, old[0]) == "InProgress"
        await asyncio.sleep(30)
        assert len(await ended(service)) == 6


async def test_one_video_can_stop_all_older_ones() -> None:
    """A run ends where a look fails, and goes on when it does so no more."""
    async with Emulator(date=START, sweep=30.0) as service:
        older, bad, newer = [service.add_video(("InProgress", 1.0), "SUCCESS") for _ in range(3)]
        service.stop_sweep_at(bad)
        await asyncio.sleep(25)
        words = [await status(service, ref) for ref in (older, bad, newer)]
        assert words == ["InProgress", "InProgress", "SUCCESS"]
        service.stop_sweep_at(bad, stops=False)
        await asyncio.sleep(30)
        assert len(await ended(service)) == 3


async def test_a_set_status_shows_at_once() -> None:
    """What a test says holds from then on; the sweep is the provider's way."""
    async with Emulator(date=START, sweep=30.0) as service:
        ref = service.add_video("InProgress")
        service.set_status(ref, "FAILURE")
        assert await status(service, ref) == "FAILURE"


@pytest.mark.parametrize(
    ("stops", "change", "words"),
    [
        (False, lambda service, ref: service.set_status(ref, "QUEUED"), ["SUCCESS", "QUEUED"]),
        (False, lambda service, ref: service.stop_sweep_at(ref), ["SUCCESS", "InProgress"]),
        (True, lambda service, ref: service.remove(ref), ["InProgress"]),
    ],
    ids=["a status", "a stop", "a removal"],
)
async def test_a_change_is_for_the_looks_to_come(
    stops: bool, change: Callable[[Emulator, VideoRef], None], words: list[str]
) -> None:
    """The look that was due before it has been taken by then, though nobody has asked since."""
    async with Emulator(date=START, sweep=30.0) as service:
        older = service.add_video(("InProgress", 1.0), "SUCCESS")
        newer = service.add_video("InProgress")
        service.stop_sweep_at(newer, stops=stops)
        await asyncio.sleep(25)
        change(service, newer)
        known = [ref for ref in (older, newer) if service.tasks.get(ref)]
        assert [await status(service, ref) for ref in known] == words


async def test_a_file_is_there_from_the_look_on() -> None:
    """Also where nothing but the file is asked for."""
    async with Emulator(date=START, sweep=30.0) as service:
        path = urlsplit(service.media_url(service.add_video(("InProgress", 1.0), "SUCCESS"))).path
        await asyncio.sleep(15)
        early = await ask(service, path)
        await asyncio.sleep(10)
        assert [early.status, (await ask(service, path)).status] == [404, 200]


async def test_days_without_a_change_cost_nothing() -> None:
    """Runs that find nothing new are not gone through one by one."""
    async with Emulator(date=START, sweep=30.0) as service:
        never = service.add_video("InProgress")
        late = service.add_video(("InProgress", 86_400.0 * 365), "SUCCESS")
        await asyncio.sleep(86_400 * 364)
        assert await status(service, late) == "InProgress"
        await asyncio.sleep(86_400 + 60)
        assert (await status(service, late), await status(service, never)) == (
            "SUCCESS",
            "InProgress",
        )


async def elapsed(service: Emulator, paths: Iterable[str]) -> list[float]:
    """The seconds after which requests that are sent at once are answered."""
    began = now()

    async def one(path: str) -> float:
        await ask(service, path)
        return now() - began

    return sorted(await asyncio.gather(*(one(path) for path in paths)))


async def test_one_process_answers_one_after_another() -> None:
    """Each answer takes its time, and those behind it wait."""
    async with Emulator(seconds_per_answer=0.5) as service:
        ref = service.add_video("SUCCESS")
        path = f"/api/ai/video/generations/{ref.id}"
        assert await elapsed(service, [path] * 3) == pytest.approx([0.5, 1.0, 1.5])


async def test_a_page_takes_longer() -> None:
    """A thousand rows cost as much as some plain answers, and files in rows cost most."""
    async with Emulator(seconds_per_answer=0.01) as service:
        for _ in range(1000):
            service.add_image("success")
        (small,) = await elapsed(service, ["/api/ai/logs?pageSize=10"])
        (large,) = await elapsed(service, [LOGS])
        assert (small < 0.02, 0.05 < large < 0.1) == (True, True)
        service.add_image("success", request={"image": "x" * 4 * 2**20})
        (heavy,) = await elapsed(service, ["/api/ai/logs?pageSize=10"])
        assert heavy > 0.3


async def test_polls_make_videos_late() -> None:
    """The sweep waits for the answers before each of its looks."""

    async def seconds(polls: int) -> float:
        async with Emulator(
            date=START, sweep=30.0, seconds_per_video=0.0, seconds_per_answer=0.04
        ) as service:
            began = now()
            for _ in range(20):
                ref = service.add_video(("InProgress", 1.0), "SUCCESS")
            oldest = next(iter(service.tasks.of_kind(VideoRef))).ref
            await asyncio.sleep(19.9)

            async def poll() -> None:
                while now() - began < 25:
                    await ask(service, ref)

            polling = [asyncio.create_task(poll()) for _ in range(polls)]
            while await status(service, oldest) != "SUCCESS":
                assert now() - began < 60
            end = now() - began
            await asyncio.gather(*polling)
            return end

    assert await seconds(polls=10) - 20 > 3 * (await seconds(polls=0) - 20)


async def test_a_data_uri_holds_everybody_up() -> None:
    """The worker of an edit computes in the same process, for each byte of a file in it."""
    async with Emulator(seconds_per_answer=0.0075) as service:
        body = b'{"model":"m","prompt":"x","image":"data:image/png;base64,%s"}'
        await post(service, EDIT, body % (b"A" * (4 * 2**20)))
        (waited,) = await elapsed(service, ["/api/ai/logs"])
        assert 2.5 < waited < 3.5


@pytest.mark.parametrize(
    "options",
    [
        {"sweep": 0.0},
        {"seconds_per_video": -1.0},
        {"seconds_per_answer": math.nan},
        {"seconds_per_answer": math.inf},
    ],
)
def test_seconds_are_checked(options: dict[str, float]) -> None:
    """A number of seconds that makes no sense is refused where it is written."""
    with pytest.raises(ValueError, match="seconds"):
        Emulator(**options)  # type: ignore[arg-type]


@given(
    period=st.sampled_from([7.0, 30.0]),
    lives=st.lists(st.floats(0.0, 200.0), min_size=1, max_size=20),
    gaps=st.lists(st.floats(0.1, 90.0), min_size=1, max_size=12),
)
def test_no_video_ends_early_or_goes_back(
    period: float, lives: list[float], gaps: list[float]
) -> None:
    """Whenever one asks: an end shows after the provider's, on the grid, and stays."""

    async def main() -> None:
        service = Emulator(date=START, sweep=period, seconds_per_video=0.0)
        refs = [service.add_video(("InProgress", life), "SUCCESS") for life in lives]
        began, seen = now(), set[VideoRef]()
        phase = START.timestamp() % period
        for gap in gaps:
            await asyncio.sleep(gap)
            service.advance()
            age = now() - began
            last_run = (age + phase) // period * period - phase
            for ref, life in zip(refs, lives, strict=True):
                task = service.tasks.get(ref)
                assert task is not None
                if task.succeeded(now()):
                    seen.add(ref)
                    assert life <= age + 1e-6
                else:
                    assert ref not in seen
                    assert life > last_run - 1e-3 or last_run <= 1e-3

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(main())
