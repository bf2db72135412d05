"""Batches that save: outcomes come when their files are there, and the polling goes on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aitoearn_async import (
    AuthenticationError,
    Client,
    ClientClosedError,
    DownloadError,
    ImageRef,
    ImageTask,
    TaskFailedError,
    VideoRef,
)
from aitoearn_async._polling.batch import save_queue
from aitoearn_async._polling.batch.outcome import Outcome
from aitoearn_async._polling.batch.save_queue import SaveQueue
from aitoearn_async.emulator import Emulator, Fault
from tests.downloads.storage import names
from tests.support.clock import ROUNDING


def client_of(service: Emulator, **options: object) -> Client:
    options = {"base_url": service.url, "private_media": True, **options}
    return Client(service.api_key, **options)  # type: ignore[arg-type]


async def test_outcomes_come_with_their_files(tmp_path: Path) -> None:
    async with Emulator() as service, client_of(service) as client:
        good = [service.add_image(("generating", n / 10), "success") for n in range(20)]
        bad = service.add_image("failed")
        async with client.as_completed([*good, bad, good[0]], save=tmp_path / "new") as batch:
            outcomes = [outcome async for outcome in batch]
            assert batch.statistics().succeeded == 21
            assert batch.statistics().saving == 0
    assert sorted(outcome.ref for outcome in outcomes) == sorted([*good, bad, good[0]])
    for outcome in outcomes:
        if outcome.ref == bad:
            assert isinstance(outcome.error, TaskFailedError)
            assert outcome.paths == ()
        else:
            (path,) = outcome.paths
            assert path == tmp_path / "new" / f"image-{outcome.ref.id}-1.png"
            assert path.read_bytes().startswith(b"\x89PNG")
    assert len([request for request in service.requests if request.media]) == 20


async def test_in_the_order_asked(tmp_path: Path) -> None:
    async with Emulator() as service, client_of(service) as client:
        refs = [service.add_video(("InProgress", 9.0 - n), "SUCCESS") for n in range(4)]
        outcomes = await client.wait_all(refs, save=str(tmp_path))
    assert [outcome.paths for outcome in outcomes] == [
        (tmp_path / f"video-{ref.id}.mp4",) for ref in refs
    ]


async def test_without_save_nothing_is_fetched() -> None:
    async with Emulator() as service, client_of(service) as client:
        (outcome,) = await client.wait_all([service.add_image("success")])
    assert outcome.paths == ()
    assert not [request for request in service.requests if request.media]


async def test_saving_that_fails_is_that_outcomes_error(tmp_path: Path) -> None:
    async with Emulator() as service, client_of(service) as client:
        refs = [service.add_image("success") for _ in range(3)]
        service.fault(Fault(status=451), refs[1], media=True)
        outcomes = await client.wait_all(refs, save=tmp_path)
    assert [outcome.ok for outcome in outcomes] == [True, False, True]
    failed = outcomes[1]
    assert isinstance(failed.error, DownloadError)
    assert failed.task is not None
    assert failed.task.done
    with pytest.raises(DownloadError):
        failed.unwrap()


async def test_saving_does_not_hold_up_the_polling(tmp_path: Path) -> None:
    """While files take their time, other tasks are polled and come to their ends."""
    async with Emulator() as service, client_of(service) as client:
        slow = [service.add_image("success") for _ in range(20)]
        for ref in slow:
            service.fault(Fault(delay=20.0), ref, media=True)
        failing = service.add_image(("generating", 3.0), "failed")
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with client.as_completed([*slow, failing], save=tmp_path) as batch:
            first = await anext(batch)
            assert first.ref == failing
            assert loop.time() - began < 20  # before the first file is there
            assert batch.statistics().saving == 20
            rest = [outcome async for outcome in batch]
        # Eight at a time: three rounds of twenty seconds, and what the disk takes of real ones.
        assert 60 - ROUNDING <= loop.time() - began < 80
        assert all(outcome.ok for outcome in rest)


async def test_what_is_not_saved_yet_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When too much waits to be saved, nothing more is polled until there is room."""
    monkeypatch.setattr(save_queue, "_MOST", 10)
    async with Emulator() as service, client_of(service, concurrency=4) as client:
        refs = [service.add_image("success") for _ in range(60)]
        service.fault(Fault(delay=5.0), media=True, times=None)
        async with client.as_completed(refs, save=tmp_path) as batch:
            await asyncio.sleep(4)
            assert 10 <= batch.statistics().saving < 10 + 4
            assert [request.route for request in service.requests].count("image") < 10 + 4
            outcomes = [outcome async for outcome in batch]
    assert len(outcomes) == 60
    assert all(outcome.ok for outcome in outcomes)


async def test_leaving_the_block_ends_it(tmp_path: Path) -> None:
    async with Emulator() as service, client_of(service) as client:
        refs = [service.add_image("success") for _ in range(20)]
        service.fault(Fault(stall="body"), media=True, times=None)
        async with client.as_completed(refs, save=tmp_path) as batch:
            await asyncio.sleep(4)
            assert batch.statistics().saving == 20
        assert not [task for task in asyncio.all_tasks() if "SaveQueue" in repr(task)]
        await asyncio.sleep(1)
        asked = len(service.requests)
        await asyncio.sleep(100)
        assert len(service.requests) == asked
    assert not [name for name in names(tmp_path) if not name.startswith(".")]


async def test_a_key_that_is_refused_loses_nothing(tmp_path: Path) -> None:
    """What had succeeded is saved and handed over; then comes the error."""
    async with Emulator() as service, client_of(service) as client:
        refs = [service.add_image("success") for _ in range(12)]
        lost = service.add_image(("generating", 1.5), "success")
        for ref in refs:
            service.fault(Fault(delay=9.0), ref, media=True)
        service.fault(Fault(code=401), lost, times=None)
        service.fault(Fault(delay=2.0, code=401), lost, times=None)
        async with client.as_completed(_after(refs, lost), save=tmp_path) as batch:
            got = [await anext(batch) for _ in refs]
            with pytest.raises(AuthenticationError):
                await anext(batch)
    assert sorted(outcome.ref for outcome in got) == sorted(refs)
    assert all(outcome.ok for outcome in got)


async def _after(refs: list[ImageRef], last: ImageRef) -> AsyncIterator[ImageRef]:
    for ref in refs:
        yield ref
    await asyncio.sleep(5)
    yield last


async def test_a_client_that_closes(tmp_path: Path) -> None:
    """Outcomes that were being saved say so, and then the batch does."""
    async with Emulator() as service:
        client = client_of(service)
        ref = service.add_image("success")
        service.fault(Fault(stall="head"), media=True, times=None)
        async with client.as_completed([ref], save=tmp_path) as batch:
            await asyncio.sleep(3)
            await client.aclose()
            outcome = await anext(batch)
            assert isinstance(outcome.error, ClientClosedError)
            assert outcome.task is not None
            with pytest.raises(ClientClosedError):
                await anext(batch)


def _cancel_the_saving() -> None:
    saving = [task for task in asyncio.all_tasks() if task.get_name() == "aitoearn-batch-save"]
    assert saving
    for task in saving:
        task.cancel()


async def test_saving_that_a_stranger_cancels_ends_the_batch(tmp_path: Path) -> None:
    """Nobody waits for ever for an outcome whose files do not come any more."""
    async with Emulator() as service, client_of(service) as client:
        service.fault(Fault(stall="head"), media=True, times=None)
        async with client.as_completed([service.add_image("success")], save=tmp_path) as batch:
            await asyncio.sleep(3)
            _cancel_the_saving()
            async with asyncio.timeout(1):
                with pytest.raises(RuntimeError, match="not by the batch"):
                    await anext(batch)
            assert batch.statistics().saving == 0


async def test_saving_that_a_stranger_cancels_after_an_error_leaves_that_error(
    tmp_path: Path,
) -> None:
    """The consumer that has the files come first is told."""
    async with Emulator() as service, client_of(service) as client:
        ref, lost = service.add_image("success"), service.add_image("success")
        service.fault(Fault(stall="head"), media=True, times=None)
        service.fault(Fault(code=401), lost, times=None)
        async with client.as_completed(_after([ref], lost), save=tmp_path) as batch:
            coming = asyncio.ensure_future(anext(batch))
            await asyncio.sleep(30)
            assert not coming.done()
            _cancel_the_saving()
            async with asyncio.timeout(1):
                with pytest.raises(AuthenticationError):
                    await coming


async def test_a_mistake_ends_the_batch(tmp_path: Path) -> None:
    """What is no error of ours is raised, and does not hang."""
    delivered: list[object] = []
    failed: list[BaseException] = []

    async def keep(task: ImageTask) -> tuple[Path, ...]:
        await asyncio.sleep(1)
        raise ZeroDivisionError

    kept: SaveQueue[ImageTask] = SaveQueue(
        keep, lambda *outcome: delivered.append(outcome), lambda: None, failed.append
    )
    task = ImageTask(log_id="66", status="success")
    for _ in range(20):
        kept.take(Outcome(ref=task.ref, task=task, error=None, polls=1, elapsed=0.0), 1)
    await asyncio.sleep(3)
    assert {type(error) for error in failed} == {ZeroDivisionError}
    assert not delivered
    assert kept.held == 0


async def test_saving_that_does_not_hear_of_the_end_brings_nothing() -> None:
    """It may swallow the cancellation; what it has saved then is nobody's."""
    delivered: list[object] = []
    failed: list[BaseException] = []

    async def keep(task: ImageTask) -> tuple[Path, ...]:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(1 if task.id == "66" else 3)
            raise ZeroDivisionError
        return ()

    kept: SaveQueue[ImageTask] = SaveQueue(
        keep, lambda *outcome: delivered.append(outcome), lambda: None, failed.append
    )
    for id in ("66", "67"):
        task = ImageTask(log_id=id, status="success")
        kept.take(Outcome(ref=task.ref, task=task, error=None, polls=1, elapsed=0.0), 1)
    await asyncio.sleep(5)
    assert [type(error) for error in failed] == [ZeroDivisionError]
    assert not delivered
    assert kept.held == 0


async def test_save_is_a_directory() -> None:
    async with Client("key") as client:
        for wrong in ("", 5):
            with pytest.raises(TypeError, match="save="):
                client.as_completed([VideoRef("67")], save=wrong)  # type: ignore[arg-type]


async def test_only_so_many_are_saved_at_a_time() -> None:
    """The others wait for their turn, and all of them have it."""
    at_work, most, delivered = 0, 0, 0

    async def keep(task: ImageTask) -> tuple[Path, ...]:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        await asyncio.sleep(1)
        at_work -= 1
        return (Path("file"),)

    def deliver(outcome: Outcome[ImageTask], times: int) -> None:
        nonlocal delivered
        assert outcome.paths == (Path("file"),)
        delivered += times

    queue: SaveQueue[ImageTask] = SaveQueue(keep, deliver, lambda: None, print)
    task = ImageTask(log_id="66", status="success")
    for _ in range(150):
        queue.take(Outcome(ref=task.ref, task=task, error=None, polls=1, elapsed=0.0), 1)
    await asyncio.sleep(10)
    assert most == 64
    assert delivered == 150
