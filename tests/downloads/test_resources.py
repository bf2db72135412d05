"""What this machine lacks for a moment is neither final nor the host's fault; and a bad disk."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO

import msgspec
import pytest

from aitoearn_async import DownloadError
from aitoearn_async._containers import examine as examining
from aitoearn_async._downloads import part_file
from tests.support.raw_server import ID, STALL, RawServer

from .storage import FILM, address, client_for, cut, film_at, names, serve

NAME = f"video-{ID}.mp4"


def failing(times: int, error: BaseException, real: Callable[..., int]) -> Callable[..., int]:
    """Fail so many times, and then do as ever."""
    left = [error] * times

    def call(*args: object) -> int:
        if left:
            raise left.pop()
        return real(*args)

    return call


LACKS = [
    *(OSError(number, os.strerror(number)) for number in (errno.EMFILE, errno.ENFILE)),
    *(OSError(number, os.strerror(number)) for number in (errno.EAGAIN, errno.ENOMEM)),
    OSError(errno.ETIMEDOUT, "the share did not answer"),
    MemoryError(),
]


@pytest.mark.parametrize("lack", LACKS, ids=repr)
async def test_a_lack_that_passes_is_waited_out(
    lack: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part_file, "_open", failing(2, lack, part_file._open))
    async with RawServer(serve()) as server, client_for(server) as client:
        (path,) = await client.download(film_at(address(server)), tmp_path)
    assert path.read_bytes() == FILM


async def test_a_lack_that_stays_is_told_as_one_that_may_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lack = OSError(errno.EMFILE, "Too many open files")
    monkeypatch.setattr(part_file, "_open", failing(1000, lack, part_file._open))
    async with RawServer(serve()) as server, client_for(server) as client:
        with pytest.raises(DownloadError, match="Too many open files, in") as caught:
            await client.download(film_at(address(server)), tmp_path)
        assert server.count == 0
    assert caught.value.transient
    assert isinstance(caught.value.__cause__, OSError)


async def test_a_full_disk_is_final(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(part_file, "_open", failing(1, full, part_file._open))
    async with RawServer(serve()) as server, client_for(server) as client:
        with pytest.raises(DownloadError, match="No space left") as caught:
            await client.download(film_at(address(server)), tmp_path)
    assert not caught.value.transient


async def test_what_could_not_be_synced_is_fetched_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a failed fsync nobody knows what is on the disk, whatever the next one says."""
    bad = OSError(errno.EIO, "Input/output error")
    monkeypatch.setattr(os, "fsync", failing(1, bad, os.fsync))  # type: ignore[arg-type]
    async with RawServer(serve()) as server, client_for(server) as client:
        with pytest.raises(DownloadError, match="Input/output error") as caught:
            await client.download(film_at(address(server)), tmp_path)
        assert not caught.value.transient
        assert names(tmp_path) == []
        await client.download(film_at(address(server)), tmp_path)
        assert [heard.header("Range") for heard in server.heard] == [None, None]
    assert names(tmp_path) == [NAME]


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.ENOSYS])
async def test_a_file_system_that_cannot_sync_is_taken_as_it_is(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As some shares are."""
    cannot = OSError(number, os.strerror(number))
    monkeypatch.setattr(os, "fsync", failing(9, cannot, os.fsync))  # type: ignore[arg-type]
    async with RawServer(serve()) as server, client_for(server) as client:
        await client.download(film_at(address(server)), tmp_path)
        assert server.count == 1
    assert names(tmp_path) == [NAME]


async def test_file_and_directory_are_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The content before it gets its name, and the name after that."""
    synced: list[tuple[bool, list[str]]] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        is_directory = os.path.samestat(os.fstat(descriptor), os.stat(tmp_path))
        synced.append((is_directory, names(tmp_path)))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    async with RawServer(serve()) as server, client_for(server) as client:
        await client.download(film_at(address(server)), tmp_path)
    assert [is_directory for is_directory, _ in synced] == [False, True]
    assert NAME not in synced[0][1]
    assert synced[1][1] == [NAME]


@pytest.mark.parametrize("how", ["its time is over", "cancelled"])
async def test_a_disk_that_stalls_holds_up_nobody(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call ends at its bound; the thread closes the file when the disk lets it."""
    stalled, free, fsync = threading.Event(), threading.Event(), os.fsync

    def stalls(descriptor: int) -> None:
        stalled.set()
        free.wait(60)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", stalls)
    async with RawServer(serve()) as server, client_for(server) as client:
        seconds = 2.0 if how == "its time is over" else None
        film = film_at(address(server))
        saving = asyncio.ensure_future(client.download(film, tmp_path, timeout=seconds))
        while not stalled.is_set():  # noqa: ASYNC110 - threads have no events of asyncio's
            await asyncio.sleep(0)
        if how == "cancelled":
            saving.cancel()
        await asyncio.wait([saving], timeout=20)
        assert saving.done()
        assert saving.cancelled() or isinstance(saving.exception(), DownloadError)
        free.set()
        monkeypatch.undo()
        while names(tmp_path) != [NAME]:  # noqa: ASYNC110 - a thread's work
            await asyncio.sleep(0)
        assert await client.download(film, tmp_path) == [tmp_path / NAME]
        assert server.count == 1


async def test_a_file_that_is_examined_when_the_call_is_cancelled_stays_a_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow disk does not give it its name behind the caller's back; the next call does."""
    begun, free, examine = threading.Event(), threading.Event(), examining.examine

    def slow(file: IO[bytes], size: int) -> examining.Judgement:
        begun.set()
        free.wait(60)
        return examine(file, size)

    monkeypatch.setattr(examining, "examine", slow)
    left, close = threading.Event(), part_file.PartFile.close

    def noted(part: part_file.PartFile) -> None:
        close(part)
        left.set()

    monkeypatch.setattr(part_file.PartFile, "close", noted)
    async with RawServer(serve()) as server, client_for(server) as client:
        film = film_at(address(server))
        saving = asyncio.ensure_future(client.download(film, tmp_path))
        while not begun.is_set():  # noqa: ASYNC110 - threads have no events of asyncio's
            await asyncio.sleep(0)
        saving.cancel()
        await asyncio.wait([saving])
        assert saving.cancelled()
        free.set()
        left.wait(60)
        assert names(tmp_path) == [f".video-{ID}.part", f".video-{ID}.part.json"]
        monkeypatch.undo()
        assert await client.download(film, tmp_path) == [tmp_path / NAME]
        assert server.count == 1


async def test_the_note_of_a_part_is_never_there_before_its_bytes_are_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut off between the two, a part of the old file would go on with the new one's name."""
    async with RawServer(cut(500_000, end=STALL), serve(etag='"new"')) as server:
        async with client_for(server) as client:
            with pytest.raises(DownloadError):
                await client.download(film_at(address(server)), tmp_path, timeout=5)
        part = part_file.PartFile(tmp_path, f"video-{ID}", [".mp4"])
        part.open()
        assert part.size > 0

        class CrashError(Exception):
            pass

        def crashes(*_: object, **__: object) -> None:
            raise CrashError

        monkeypatch.setattr(msgspec.json, "encode", crashes)
        part.restart(part_file.PartMetadata(source="x", etag='"new"', length=10))
        with pytest.raises(CrashError):
            part.write()
        part._close_file()
    assert (tmp_path / f".video-{ID}.part").stat().st_size == 0
