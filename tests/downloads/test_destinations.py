"""Where files go, what they are called there, and what may be asked for with them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from aitoearn_async import (
    Client,
    DownloadError,
    GenerateImage,
    Image,
    ImageRef,
    ImageTask,
    TaskNotFoundError,
)
from aitoearn_async.emulator import Emulator, Fault
from tests.support.raw_server import ID, RawServer, http, say

from .storage import FILM, PICTURE, address, client_for, film_at, names, picture_at, serve


def client_for_emulator(service: Emulator) -> Client:
    return Client(service.api_key, base_url=service.url, private_media=True)


async def test_the_name_of_a_file_is_one(tmp_path: Path) -> None:
    """It is called so, whatever it is, and nothing else lies there."""
    async with RawServer(serve(PICTURE)) as server, client_for(server) as client:
        paths = await client.download(picture_at(address(server)), tmp_path / "new" / "cat.jpg")
    assert paths == [tmp_path / "new" / "cat.jpg"]
    assert paths[0].read_bytes() == PICTURE
    assert names(tmp_path / "new") == ["cat.jpg"]


async def test_a_file_of_that_name_is_written_anew(tmp_path: Path) -> None:
    """The caller's name says nothing of which task the file there is of."""
    (tmp_path / "cat.png").write_bytes(b"of another task")
    async with RawServer(serve(PICTURE)) as server, client_for(server) as client:
        (path,) = await client.download(picture_at(address(server)), tmp_path / "cat.png")
    assert path.read_bytes() == PICTURE


async def test_a_directory_may_be_called_like_a_file(tmp_path: Path) -> None:
    (tmp_path / "cat.png").mkdir()
    async with RawServer(serve(PICTURE)) as server, client_for(server) as client:
        (path,) = await client.download(picture_at(address(server)), tmp_path / "cat.png")
    assert path == tmp_path / "cat.png" / f"image-{ID}-1.png"


async def test_one_name_is_not_enough_for_several_files(tmp_path: Path) -> None:
    async with RawServer(serve(PICTURE)) as server, client_for(server) as client:
        images = [Image(url=address(server)), Image(url=address(server))]
        made = ImageTask(log_id=ID, status="success", images=images)
        with pytest.raises(DownloadError, match=r"has 2 files, .*: give a directory"):
            await client.download(made, tmp_path / "cat.png")
        assert server.count == 0
    assert names(tmp_path) == []


async def test_a_cut_file_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "cat.png").write_bytes(b"whole")
    async with RawServer(say(http(PICTURE[:-5]))) as server, client_for(server) as client:
        with pytest.raises(DownloadError, match="cut off"):
            await client.download(picture_at(address(server)), tmp_path / "cat.png")
    assert (tmp_path / "cat.png").read_bytes() == b"whole"


async def batched(client: Client, ref: ImageRef) -> list[Path]:
    (outcome,) = await client.wait_all([ref], save="results")
    return list(outcome.paths)


async def run(client: Client, _: ImageRef) -> list[Path]:
    task = await client.run(GenerateImage(model="m", prompt="a cat"), save="results")
    return [Path("results", f"image-{task.id}-1.png")]


SAVES: dict[str, Callable[[Client, ImageRef], Coroutine[Any, Any, list[Path]]]] = {
    "a batch": batched,
    "run": run,
    "download": lambda client, ref: client.download(ref, "results"),
}


@pytest.mark.parametrize("save", SAVES.values(), ids=SAVES)
async def test_a_relative_path_is_that_of_the_call(
    save: Callable[[Client, ImageRef], Coroutine[Any, Any, list[Path]]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever directory the process works in when the file comes."""
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    async with Emulator() as service, client_for_emulator(service) as client:
        service.script("image", ("generating", 10), "success")
        service.fault(Fault(delay=5), times=1)
        monkeypatch.chdir(tmp_path / "here")
        saving = asyncio.create_task(save(client, service.add_image("success")))
        await asyncio.sleep(1)
        monkeypatch.chdir(tmp_path / "there")
        (path,) = await saving
    assert not path.is_absolute()
    assert names(tmp_path / "there") == []
    assert (tmp_path / "here" / path).is_file()


async def test_a_working_directory_that_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is an error of the download, like any other place that cannot be written to."""
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    async with RawServer(serve(PICTURE)) as server, client_for(server) as client:
        with pytest.raises(DownloadError, match="No such file or directory, in results"):
            await client.download(picture_at(address(server)), "results")


async def test_a_ref_is_polled_once(tmp_path: Path) -> None:
    async with Emulator() as service:
        ref, running = service.add_image("success"), service.add_image("generating")
        async with client_for_emulator(service) as client:
            paths = await client.download(ref, tmp_path)
            assert [request.media for request in service.requests] == [False, True]
            assert paths[0].is_file()
            with pytest.raises(ValueError, match="'generating'; wait for it first"):
                await client.download(running, tmp_path)
            with pytest.raises(TaskNotFoundError):
                await client.download(type(ref)("0" * 24), tmp_path)


async def test_the_limits_of_a_batch(tmp_path: Path) -> None:
    """They can be set wherever files can be asked for."""
    async with Emulator() as service:
        refs = [service.add_image("success") for _ in range(3)]
        async with client_for_emulator(service) as client:
            outcomes = await client.wait_all(refs, save=tmp_path, max_bytes=10)
            assert all("max_bytes=" in str(outcome.error) for outcome in outcomes)
            outcomes = await client.wait_all(refs, save=tmp_path, save_timeout=None)
            assert all(outcome.ok for outcome in outcomes)
            async with client.as_completed(refs, save=tmp_path, max_bytes=10_000_000) as batch:
                assert [outcome.ok async for outcome in batch] == [True] * 3


BAD_LIMITS = [{"save_timeout": -1.0}, {"max_bytes": 0}, {"save": "out.png"}]


@pytest.mark.parametrize("options", BAD_LIMITS, ids=str)
async def test_limits_that_are_none_are_refused_at_the_call(options: dict[str, object]) -> None:
    async with Emulator() as service, client_for_emulator(service) as client:
        with pytest.raises(ValueError, match=next(iter(options))):
            client.as_completed([], **{"save": "results", **options})  # type: ignore[call-overload]


SLOW = 40


async def test_a_slow_transfer_that_gets_on_is_not_cut_off(tmp_path: Path) -> None:
    """The time begins anew with what comes: here 400 s of it, of which 15 may stand still."""
    piece = len(FILM) // SLOW + 1
    parts: list[bytes | float] = [http(b"", length=len(FILM))]
    for at in range(0, len(FILM), piece):
        parts += [10.0, FILM[at : at + piece]]
    async with RawServer(say(*parts)) as server, client_for(server) as client:
        (path,) = await client.download(film_at(address(server)), tmp_path, timeout=15)
        assert server.count == 1
    assert path.read_bytes() == FILM


async def test_waiting_for_ones_turn_is_no_standing_still(tmp_path: Path) -> None:
    """The time of a download begins when there is a place for it."""
    async with Emulator() as service:
        refs = [service.add_image("success") for _ in range(40)]
        for ref in refs:
            service.fault(Fault(delay=10.0), ref, media=True)
        async with client_for_emulator(service) as client:
            outcomes = await client.wait_all(refs, save=tmp_path, save_timeout=15)
    assert all(outcome.ok for outcome in outcomes)
