"""Disks that are full, read-only, shared or somebody's trap; processes that are killed.

Whatever happens, a name that can be seen belongs to a complete file.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import io
import os
import random
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aitoearn_async import DownloadError
from aitoearn_async._downloads import part_file
from aitoearn_async._downloads.part_file import PartMetadata
from aitoearn_async._downloads.transfer_error import TransferError
from aitoearn_async._runtime.threads import Threads
from tests.support.forks import Forks
from tests.support.raw_server import ID, STALL, Heard, Part, RawServer, http

from .storage import (
    FILM,
    OTHER,
    PICTURE,
    address,
    answer,
    client_for,
    cut,
    etag_of,
    film_at,
    names,
    picture_at,
    serve,
)

NAME = f"video-{ID}.mp4"
PART = f".video-{ID}.part"
NOTE = f"{PART}.json"
BLOCK = 256 * 1024
"""Bytes that are written at a time."""


def children() -> Forks:
    """Processes that download, one after the other."""
    return Forks("tests.downloads.child", ["aitoearn_async._assembly", "tests.downloads.storage"])


def size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - it comes about in another process
        await asyncio.sleep(0.001)


class Host:
    """Has one file or another, and sends so much of it and no more."""

    def __init__(self) -> None:
        self.content = FILM
        self.most = len(FILM)

    def __call__(self, heard: Heard) -> list[Part]:
        head, _, body = answer(heard, self.content, etag_of(self.content), {}).partition(
            b"\r\n\r\n"
        )
        first = len(self.content) - len(body)
        parts: list[Part] = [head + b"\r\n\r\n" + body[: max(0, self.most - first)]]
        return parts if self.most == len(self.content) else [*parts, STALL]

    def another(self) -> None:
        self.content = OTHER if self.content is FILM else FILM


MOMENTS = ("start", "block", "request", "block", "request") * 2
"""When it is killed: some time after it has begun, or has asked, or has a block on the disk."""


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_killed_at_ten_moments(tmp_path: Path) -> None:
    """kill -9, again and again: never a wrong or partial file, and in the end the right one.

    It cannot have finished, since it is not sent all. The file is another one now and then, so
    that what is there is not always to be gone on with.
    """
    chance, host = random.Random(), Host()
    note = tmp_path / NOTE

    def has_block() -> bool:
        with contextlib.suppress(FileNotFoundError):  # a note of another file is taken away
            ours = etag_of(host.content)[1:-1] in note.read_text()
            return ours and size_of(tmp_path / PART) >= BLOCK
        return False

    async with RawServer(host) as server, children() as child:
        for moment in MOMENTS:
            asked = server.count
            host.most = chance.randrange(BLOCK if moment == "block" else 0, len(FILM))
            await child.start(address(server), str(tmp_path))
            assert await child.line() == "ready"
            if moment != "start":
                await until(lambda asked=asked: server.count > asked)  # type: ignore[misc]
            if moment == "block":
                await until(has_block)
            await asyncio.sleep(chance.uniform(0.0, 0.1 if moment == "start" else 0.02))
            assert await child.kill()
            assert set(names(tmp_path)) <= {PART, NOTE}
            if chance.random() < 0.3 and moment != "block":
                host.another()
        host.most = len(FILM)
        await child.start(address(server), str(tmp_path))
        said, _ = await child.rest()
        assert "saved" in said
        resumed = sum(heard.header("Range") is not None for heard in server.heard)
    assert resumed >= MOMENTS.count("block"), "each block there was to be gone on with"
    assert names(tmp_path) == [NAME]
    assert (tmp_path / NAME).read_bytes() == host.content


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_killed_when_it_is_nearly_done(tmp_path: Path) -> None:
    """Just before the file gets its name, or after: there is all of it, or it has none."""
    chance, host = random.Random(), Host()
    async with RawServer(host) as server, children() as child:
        for _ in range(5):
            await child.start(address(server), str(tmp_path))
            assert await child.line() == "ready"
            await until(lambda: size_of(tmp_path / PART) > BLOCK or NAME in names(tmp_path))
            await asyncio.sleep(chance.uniform(0.0, 0.01))
            await child.kill()
            assert set(names(tmp_path)) <= {NAME, PART, NOTE}
            if NAME in names(tmp_path):
                assert (tmp_path / NAME).read_bytes() == host.content
                (tmp_path / NAME).unlink()
        await child.start(address(server), str(tmp_path))
        said, _ = await child.rest()
    assert "saved" in said
    assert names(tmp_path) == [NAME]
    assert (tmp_path / NAME).read_bytes() == host.content


async def test_a_full_disk(tmp_path: Path) -> None:
    """A file that cannot grow on is no file; what there is of it can be gone on with."""
    async with RawServer(serve()) as server, children() as child:
        for limit in (0, 10, 300_000, len(FILM) - 1):
            folder = tmp_path / str(limit)
            await child.start(address(server), str(folder), f"limit={limit}")
            said, _ = await child.rest()
            assert "File too large" in said
            assert "transient=False" in said
            assert "cause=OSError(27" in said
            assert set(names(folder)) <= {PART, NOTE}
            async with client_for(server) as client:
                await client.download(film_at(address(server)), folder)
            assert names(folder) == [NAME]
            assert (folder / NAME).read_bytes() == FILM


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """80 MB cost a few."""
    block = bytes(1_000_000)
    head = http(b"", length=len(FILM) + 80 * len(block))
    parts = [head, FILM, *[block] * 80]

    async with RawServer(lambda _: Trickle(parts)) as server, children() as child:
        await child.start(address(server), str(tmp_path))
        said, _ = await child.rest()
    lines = said.splitlines()
    assert lines[1].startswith("saved")
    assert (tmp_path / NAME).stat().st_size == len(FILM) + 80_000_000
    assert int(lines[2].removeprefix("grew ")) < 24_000_000


class Trickle:
    """Parts with a breath between them, so that the server does not hold them all."""

    def __init__(self, parts: list[bytes]) -> None:
        self._parts = parts

    def __iter__(self) -> Iterator[Part]:
        for part in self._parts:
            yield part
            yield 0.005


@pytest.mark.parametrize("place", ["file", "file/below"])
async def test_where_no_directory_can_be(tmp_path: Path, place: str) -> None:
    """A file is none, and none is below it, for no user: that is said, and nothing asked for."""
    (tmp_path / "file").write_text("x")
    async with RawServer(serve()) as server, client_for(server) as client:
        with pytest.raises(DownloadError, match="Not a directory, in ") as caught:
            await client.download(film_at(address(server)), tmp_path / place)
        assert isinstance(caught.value.__cause__, NotADirectoryError)
        assert server.count == 0


async def test_where_a_directory_has_the_name(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    async with RawServer(serve()) as server, client_for(server) as client:
        with pytest.raises(DownloadError):
            await client.download(film_at(address(server)), tmp_path)
    assert (tmp_path / NAME).is_dir()


@pytest.mark.parametrize("name", [PART, NOTE])
async def test_a_link_that_lies_there(name: str, tmp_path: Path) -> None:
    """Nothing is written through a link that somebody has put where the part would be."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    directory = tmp_path / "there"
    directory.mkdir()
    (directory / name).symlink_to(victim)
    async with RawServer(serve()) as server, client_for(server) as client:
        if name == PART:
            with pytest.raises(DownloadError):
                await client.download(film_at(address(server)), directory)
        else:
            await client.download(film_at(address(server)), directory)
            assert (directory / NAME).read_bytes() == FILM
    assert victim.read_text() == "precious"


async def test_a_link_to_nowhere(tmp_path: Path) -> None:
    """Nothing is made at its other end either."""
    directory = tmp_path / "there"
    directory.mkdir()
    (directory / PART).symlink_to(tmp_path / "victim")
    async with RawServer(serve()) as server, client_for(server) as client:
        with pytest.raises(DownloadError):
            await client.download(film_at(address(server)), directory, timeout=5)
    assert names(tmp_path) == ["there"]


@pytest.mark.parametrize("what", ["pipe", "link to a device", "huge"])
async def test_something_else_than_a_note(what: str, tmp_path: Path) -> None:
    """It is not waited for, nor read to its end, and counts as no note."""
    note = tmp_path / NOTE
    if what == "pipe":
        os.mkfifo(note)
    elif what == "huge":
        with note.open("wb") as file:
            file.truncate(10**13)  # sparse
    else:
        note.symlink_to("/dev/zero")
    (tmp_path / PART).write_bytes(b"x" * 5000)
    async with RawServer(serve()) as server, client_for(server) as client:
        await client.download(film_at(address(server)), tmp_path, timeout=5)
    assert names(tmp_path) == [NAME]
    assert (tmp_path / NAME).read_bytes() == FILM


async def test_a_pipe_that_lies_there(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / PART)
    async with RawServer(serve()) as server, client_for(server) as client:
        with pytest.raises(DownloadError, match="no regular file"):
            await client.download(film_at(address(server)), tmp_path, timeout=5)
    assert names(tmp_path) == [PART]


@pytest.mark.parametrize("note", [b"", b"{", b"[]", b'{"etag":5}', b"\xff" * 100])
async def test_a_note_that_is_none(note: bytes, tmp_path: Path) -> None:
    """A part without a word on what it is a part of is begun again."""
    (tmp_path / PART).write_bytes(b"x" * 5000)
    (tmp_path / NOTE).write_bytes(note)
    async with RawServer(serve()) as server, client_for(server) as client:
        await client.download(film_at(address(server)), tmp_path)
        assert server.heard[0].header("Range") is None
    assert names(tmp_path) == [NAME]
    assert (tmp_path / NAME).read_bytes() == FILM


async def test_another_process_has_it(tmp_path: Path) -> None:
    """While somebody else holds the part nothing is written to it, and it is tried again."""
    with io.FileIO(tmp_path / PART, "w") as theirs:
        fcntl.flock(theirs, fcntl.LOCK_EX)
        theirs.write(b"theirs")
        async with RawServer(serve()) as server, client_for(server) as client:
            film = film_at(address(server))
            with pytest.raises(DownloadError, match="another download") as caught:
                await client.download(film, tmp_path, timeout=5)
            assert caught.value.transient
            assert server.count == 0
            assert (tmp_path / PART).read_bytes() == b"theirs"
            saving = asyncio.create_task(client.download(film, tmp_path))
            await asyncio.sleep(2)
            fcntl.flock(theirs, fcntl.LOCK_UN)
            assert await saving == [tmp_path / NAME]


FORKED = """
import asyncio, os, sys
from aitoearn_async import Client, VideoTask

pipe = os.pipe()
children = []

def fork(done, of):
    if done and not children:
        children.append(os.fork())
        if not children[0]:
            os.close(pipe[1])
            os.read(pipe[0], 1)
            os._exit(0)

async def main(id, url, where):
    film = VideoTask(id=id, status="SUCCESS", video_url=url)
    async with Client("key", base_url=url, private_media=True) as client:
        await client.download(film, where, timeout=20, progress=fork)

asyncio.run(main(*sys.argv[1:]))
os.close(pipe[1])
assert os.waitpid(children[0], 0)[1] == 0
"""


async def test_a_fork_does_not_keep_the_part(tmp_path: Path) -> None:
    """A process that was forked in the middle has the file open too, for as long as it lives."""
    async with RawServer(cut(600_000), serve()) as server:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", FORKED, ID, server.url, str(tmp_path))
        )
        assert await process.wait() == 0
        assert (tmp_path / NAME).read_bytes() == FILM
        assert server.heard[1].header("Range")


async def test_another_process_takes_its_time(tmp_path: Path) -> None:
    """As long as that one gets on it is waited for, to the deadline."""
    async with RawServer(serve()) as server, client_for(server) as client:
        with io.FileIO(tmp_path / PART, "w") as theirs:
            fcntl.flock(theirs, fcntl.LOCK_EX)
            saving = asyncio.ensure_future(client.download(film_at(address(server)), tmp_path))
            for _ in range(30):
                await asyncio.sleep(10)
                theirs.write(FILM[:1000])
            assert not saving.done()
            (tmp_path / PART).rename(tmp_path / NAME)
        assert await saving == [tmp_path / NAME]
        assert server.count == 0


@pytest.mark.parametrize("another", [False, True])
def test_a_part_that_was_finished_meanwhile(
    another: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who opens a part and locks it when it has got its name does not write to it."""
    part = part_file.PartFile(tmp_path, "film", [".mp4"])
    lock = fcntl.flock

    def too_late(*args: int) -> None:
        (tmp_path / ".film.part").rename(tmp_path / "film.mp4")
        if another:
            (tmp_path / ".film.part").write_bytes(b"begun by somebody else")
        lock(*args)

    monkeypatch.setattr(fcntl, "flock", too_late)
    with pytest.raises(TransferError, match="another download is writing it"):
        part.open()
    part.close()
    assert names(tmp_path) == [".film.part"] * another + ["film.mp4"]


def test_a_file_that_was_finished_meanwhile_is_taken_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By another download, between the look for it and the lock on a part of our own."""
    part = part_file.PartFile(tmp_path, "film", [".mp4"])
    lock = fcntl.flock

    def at_last(*args: int) -> None:
        (tmp_path / "film.mp4").write_bytes(b"complete")
        lock(*args)

    monkeypatch.setattr(fcntl, "flock", at_last)
    assert part.open() == tmp_path / "film.mp4"
    assert names(tmp_path) == ["film.mp4"]


async def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As some shares are: nobody can be kept out, and files are saved all the same."""

    def no_locks(*_: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    async with RawServer(serve()) as server, client_for(server) as client:
        await client.download(film_at(address(server)), tmp_path)
    assert names(tmp_path) == [NAME]


async def test_a_small_file_takes_two_calls_of_a_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is claimed; and when all of it has come it is written, examined and named."""
    started: list[object] = []
    start = Threads.start

    def counted(self: Threads, *args: Any) -> asyncio.Future[Any]:
        started.append(args)
        return start(self, *args)

    monkeypatch.setattr(Threads, "start", counted)
    async with RawServer(serve(PICTURE)) as server, client_for(server) as client:
        await client.download(picture_at(address(server)), tmp_path)
    assert len(started) == 2


def test_a_part_in_short_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system may write less than it is given; the rest follows."""
    part = part_file.PartFile(tmp_path, "film", [".mp4"])
    part.open()
    part.restart(PartMetadata(etag='"1"'))
    write = os.write
    real = part._file

    class Short:
        def __getattr__(self, name: str) -> object:
            return getattr(real, name)

        def write(self, data: memoryview) -> int:
            return write(real.fileno(), data[:7])

    part._file = Short()  # type: ignore[assignment]
    part.append(b"0123456789" * 5)
    part.append(b"!")
    assert part.size == 51
    part.write()
    assert part.finish("film.mp4").read_bytes() == b"0123456789" * 5 + b"!"


def test_what_cannot_be_written_when_it_is_closed_is_dropped(tmp_path: Path) -> None:
    """A disk may be full by then: what was to follow is lost, and what is there stays."""
    part = part_file.PartFile(tmp_path, "film", [".mp4"])
    part.open()
    part.restart(PartMetadata(etag='"1"'))
    part.append(b"first")
    part.write()
    part.append(b"second")
    real = part._file

    class Full:
        def __getattr__(self, name: str) -> object:
            return getattr(real, name)

        def write(self, _: memoryview) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    part._file = Full()  # type: ignore[assignment]
    part.close()
    assert real.closed
    assert names(tmp_path) == [".film.part", ".film.part.json"]
    assert (tmp_path / ".film.part").read_bytes() == b"first"


async def test_longest_names(tmp_path: Path) -> None:
    """An id of 128 characters makes names that a file system takes."""
    async with RawServer(serve()) as server, client_for(server) as client:
        film = film_at(address(server))
        film = type(film)(id="-" * 128, status="SUCCESS", video_url=film.video_url)
        (path,) = await client.download(film, tmp_path)
    assert path.name == f"video-{'-' * 128}.mp4"


@pytest.mark.parametrize("name", ["n" * 251 + ".mp4", "\u96e8" * 83 + "ab.mp4"])
async def test_a_name_may_be_as_long_as_a_file_system_takes(name: str, tmp_path: Path) -> None:
    """The part has a shorter one then; two names that begin alike have parts of their own."""
    other = f"x{name[1:]}"
    async with RawServer(cut(300_000, end=STALL), serve()) as server, client_for(server) as client:
        with pytest.raises(DownloadError, match="not complete"):
            await client.download(film_at(address(server)), tmp_path / name, timeout=5)
        await client.download(film_at(address(server)), tmp_path / other)
        assert server.heard[-1].header("Range") is None
        assert await client.download(film_at(address(server)), tmp_path / name)
        assert server.heard[-1].header("Range") is not None
    assert names(tmp_path) == sorted([name, other])
    assert (tmp_path / name).read_bytes() == FILM


async def test_a_name_that_is_too_long_is_said_to_be(tmp_path: Path) -> None:
    async with RawServer(serve()) as server, client_for(server) as client:
        with pytest.raises(DownloadError, match="File name too long"):
            await client.download(film_at(address(server)), tmp_path / f"{'n' * 252}.mp4")
        assert server.count == 0


async def test_an_empty_file_is_no_complete_one(tmp_path: Path) -> None:
    """A power failure leaves such files on systems that do not write them when they are asked."""
    (tmp_path / NAME).touch()
    async with RawServer(serve()) as server, client_for(server) as client:
        await client.download(film_at(address(server)), tmp_path)
    assert (tmp_path / NAME).read_bytes() == FILM


async def test_a_directory_that_vanishes(tmp_path: Path) -> None:
    """There is an error then, and nothing in any other place."""
    directory = tmp_path / "there"

    def script(heard: Heard) -> Iterator[Part]:
        yield answer(heard, FILM, etag_of(FILM), {})[:-1000]
        yield 1.0
        shutil.rmtree(directory)
        yield FILM[-1000:]

    async with RawServer(script) as server, client_for(server) as client:
        with pytest.raises(DownloadError, match="No such file or directory"):
            await client.download(film_at(address(server)), directory)
    assert names(tmp_path) == []
