"""The results file: what a run adds to it, and where the next one goes on."""

from __future__ import annotations

import asyncio
import errno
import io
import json
import os
import random
import signal
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import click
import pytest

from aitoearn_async import AnyTask, Batch, ImageRef, Outcome, ServerError, TaskState
from aitoearn_async._cli.files.results_file import ResultsFile
from aitoearn_async._cli.report.reporters import Reporter
from aitoearn_async._cli.run.batch_run import BatchRun
from aitoearn_async.emulator import Fault

from .conftest import Invoke, Service, forks, killing

NOBODY = "image:66f0c1d2e3a4b5c6d7e8f901"


class Files:
    """A list of tasks, and the results file that goes with it."""

    def __init__(self, folder: Path) -> None:
        self.list = folder / "refs.txt"
        self.out = folder / "out.jsonl"
        self.args = ("wait", "--file", str(self.list), "--out", str(self.out))

    def ask_for(self, *refs: object) -> None:
        self.list.write_text("".join(f"{ref}\n" for ref in refs))

    @property
    def outcomes(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.read_bytes().splitlines()]

    @property
    def states(self) -> list[tuple[str, str | None]]:
        return [(outcome["ref"], outcome["state"]) for outcome in self.outcomes]

    @property
    def whole(self) -> int:
        """How many lines are whole."""
        return self.out.read_bytes().count(b"\n") if self.out.exists() else 0

    def wait_for(self, lines: int) -> None:
        """Wait until so many lines are whole."""
        while self.whole < lines:
            time.sleep(0.001)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def line(ref: str, state: str | None = "succeeded") -> bytes:
    return b'{"ref":"%s","state":%s}\n' % (ref.encode(), json.dumps(state).encode())


def test_a_line_is_what_json_prints(service: Service, invoke: Invoke, files: Files) -> None:
    """A line of the file is that of `--json`, and stdout has nothing."""
    ref = service.do(service.emulator.add_image, "failed", error_message="不")
    files.ask_for(ref)
    result = invoke(*files.args, "--json")
    assert (result.status, result.out) == (1, "")
    assert result.err.startswith("1 of 1 ended · 1 failed · ")
    (kept,), (printed,) = files.outcomes, map(json.loads, invoke("wait", "--json", str(ref)).lines)
    assert kept | {"elapsed": 0} == printed | {"elapsed": 0}


def test_what_has_ended_is_not_asked_for_again(
    virtual: Service, invoke: Invoke, files: Files
) -> None:
    """A second run asks for what was given up or refused, and for nothing that has ended."""
    made = virtual.do(virtual.emulator.add_image, "success")
    failed = virtual.do(virtual.emulator.add_image, "failed")
    slow = virtual.do(virtual.emulator.add_video, "InProgress")
    files.ask_for(made, failed, slow, NOBODY, made)
    assert invoke(*files.args, "--timeout", "0.3").status == 4
    first = files.out.read_bytes()
    assert sorted(ref for ref, _ in files.states) == sorted(map(str, [made, failed, slow, NOBODY]))

    virtual.do(virtual.emulator.set_status, slow, "SUCCESS")
    virtual.do(virtual.emulator.add_image, "success", id=NOBODY.partition(":")[2])
    virtual.emulator.requests.clear()
    result = invoke(*files.args)
    assert {request.ref for request in virtual.emulator.requests} == {slow, ImageRef(NOBODY[6:])}
    assert files.out.read_bytes().startswith(first)
    assert sorted(files.states[4:]) == sorted([(str(slow), "succeeded"), (NOBODY, "succeeded")])
    assert result.err.startswith("4 of 4 ended · 3 succeeded · 1 failed · ")
    assert result.status == 1

    virtual.emulator.requests.clear()
    assert invoke(*files.args).status == 1
    assert not virtual.emulator.requests
    assert len(files.outcomes) == 6


@pytest.mark.parametrize("cut", [1, 4, 8, 9, 20, -2, -1, None])
def test_a_line_that_was_cut_off(tmp_path: Path, cut: int | None) -> None:
    """What is left of a line goes, unless only its end is missing; the next has its own line."""
    path = tmp_path / "out.jsonl"
    path.write_bytes(line("image:a") + line("image:b", "failed")[:cut])
    listed = dict.fromkeys(["image:a", "image:b", "image:c"])
    with ResultsFile(str(path)) as results:
        ends = results.drop_finished(listed)
        results.append(line("image:c").rstrip())
    whole = cut in (-1, None)
    assert list(listed) == (["image:c"] if whole else ["image:b", "image:c"])
    assert ends == Counter({TaskState.SUCCEEDED: 1, **({TaskState.FAILED: 1} if whole else {})})
    middle = line("image:b", "failed") if whole else b""
    assert path.read_bytes() == line("image:a") + middle + line("image:c")


def test_a_file_with_nothing_to_add_is_left_alone(
    service: Service, invoke: Invoke, files: Files
) -> None:
    """Nothing is cut off either: it may be one that can only be added to."""
    files.ask_for("image:1")
    files.out.write_bytes(line("image:1"))
    os.utime(files.out, (1, 1))
    assert invoke(*files.args).status == 0
    assert files.out.read_bytes() == line("image:1")
    assert files.out.stat().st_mtime == 1


@pytest.mark.parametrize("left", [1, 9, 40])
def test_a_run_after_half_a_line(service: Service, invoke: Invoke, files: Files, left: int) -> None:
    """What a run left of a line, killed while it wrote, is cut off by the next, which asks again:
    in the end each task has one line, and each line is whole."""
    refs = [service.do(service.emulator.add_image, "success") for _ in range(3)]
    files.ask_for(*refs)
    assert invoke(*files.args).status == 0
    *whole, last = files.out.read_bytes().splitlines(keepends=True)
    files.out.write_bytes(b"".join(whole) + last[:left])
    service.emulator.requests.clear()
    assert invoke(*files.args).status == 0
    assert len(service.emulator.requests) == 1
    assert sorted(ref for ref, _ in files.states) == sorted(map(str, refs))
    assert files.out.read_bytes().startswith(b"".join(whole))
    assert files.out.read_bytes().endswith(b"\n")


@pytest.mark.parametrize(
    ("states", "end"),
    [
        (("failed", "succeeded"), TaskState.SUCCEEDED),
        (("succeeded", "failed"), TaskState.FAILED),
        (("succeeded", "succeeded"), TaskState.SUCCEEDED),
        (("failed", "running"), None),
        (("failed", None), None),
        (("failed", "running", "succeeded"), TaskState.SUCCEEDED),
        ((None,), None),
    ],
    ids=str,
)
def test_of_several_lines_for_a_task_the_last_one_counts(
    tmp_path: Path, states: tuple[str | None, ...], end: TaskState | None
) -> None:
    """Whether it has ended, and how. A task that nobody asks about takes no part in it."""
    path = tmp_path / "out.jsonl"
    path.write_bytes(b"".join(line(ref, state) for state in states for ref in ("image:a", NOBODY)))
    listed = {"image:a": None}
    with ResultsFile(str(path)) as results:
        assert results.drop_finished(listed) == Counter([end] if end else [])
    assert list(listed) == ([] if end else ["image:a"])


def test_a_task_whose_files_are_not_all_there_is_not_settled(tmp_path: Path) -> None:
    """Where files are asked for: those of one that has made several, one of which was deleted."""
    path, there = tmp_path / "out.jsonl", tmp_path / "image-a-1.png"
    there.touch()
    saved = {"ref": "image:a", "state": "succeeded", "paths": [str(there), "image-a-2.png"]}
    path.write_bytes(json.dumps(saved).encode() + b"\n")
    for left in (["image:a"], []):
        listed = {"image:a": None}
        with ResultsFile(str(path)) as results:
            results.drop_finished(listed, tmp_path)
        assert list(listed) == left
        (tmp_path / "image-a-2.png").touch()


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"image:a\nimage:b\n", "line 1"),
        (b"dear diary", "line 1"),
        (line("image:a") + b"\n", "line 2"),
        (line("image:a")[:-9] + b"\n" + line("image:b"), "line 1"),
        (line("image:a", "elated"), "line 1"),
        (line("image:a") + bytes(9), "line 2"),
        (b'{"ref":"image:\xff","state":null}\n', "line 1"),
        (b'{"x":' + b"[" * 100_000 + b"\n", "line 1"),
    ],
    ids=["list", "diary", "blank", "torn within", "state", "zeros", "no UTF-8", "deep"],
)
def test_a_file_of_something_else(tmp_path: Path, content: bytes, named: str) -> None:
    """A file with anything else in it is refused, and left as it is."""
    path = tmp_path / "out.jsonl"
    path.write_bytes(content)
    with (
        ResultsFile(str(path)) as results,
        pytest.raises(click.BadParameter, match=f"{named} is not an outcome"),
    ):
        results.drop_finished({})
    assert path.read_bytes() == content


def test_a_file_that_cannot_be_opened(
    service: Service, invoke: Invoke, files: Files, tmp_path: Path
) -> None:
    """A results file that cannot be had makes 2, and says why."""
    files.ask_for("image:a")
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    for out in (tmp_path, tmp_path / "no" / "where", fifo):
        result = invoke(*files.args[:3], "--out", str(out))
        assert result.status == 2
        assert f"'--out': {out}: " in result.err
    os.close(reader)
    assert not service.emulator.requests


def test_two_runs_at_once(service: Service, invoke: Invoke, files: Files) -> None:
    """While one run writes to a file no other does; afterwards the next one may."""
    files.ask_for(service.do(service.emulator.add_image, "success"))
    with ResultsFile(str(files.out)):
        result = invoke(*files.args)
    assert result.status == 2
    assert "another run is writing to it" in result.err
    assert not service.emulator.requests
    assert invoke(*files.args).status == 0


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where files cannot be locked they can be written to all the same."""

    def flock(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", flock)
    with ResultsFile(str(tmp_path / "out.jsonl")) as results:
        assert results.drop_finished({}) == {}


def test_a_disk_that_is_full(
    service: Service, invoke: Invoke, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line that cannot be written ends the run, which says what is left."""
    files.ask_for(*(service.do(service.emulator.add_image, "success") for _ in range(2)))

    def full(self: io.FileIO, _: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(io, "FileIO", type("Full", (io.FileIO,), {"write": full}))
    result = invoke(*files.args)
    assert result.status == 2
    assert f"{files.out}: No space left on device" in result.err
    assert "2 of 2 not known to have ended; " in result.err


def test_a_file_that_cannot_be_cut_is_named(
    service: Service, invoke: Invoke, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that can only be added to, after a run that left half a line."""
    files.ask_for("image:1")
    files.out.write_bytes(line("image:1")[:9])

    def truncate(self: io.FileIO, _: object) -> int:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(io, "FileIO", type("Append", (io.FileIO,), {"truncate": truncate}))
    result = invoke(*files.args)
    assert (result.status, result.err) == (2, f"{files.out}: Operation not permitted\n")
    assert not service.emulator.requests


def test_a_wrong_key_ends_it_all(
    service: Service, invoke: Invoke, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key the service does not know makes 4, once, and leaves all tasks to the next run."""
    monkeypatch.setenv("AITOEARN_API_KEY", "not-the-key")
    files.ask_for(*(service.do(service.emulator.add_image, "success") for _ in range(30)))
    result = invoke(*files.args)
    assert result.status == 4
    last = result.err.splitlines()[-1]
    again = f"start the same command again to go on with {files.out}"
    assert last.endswith(f"; 30 of 30 not known to have ended; {again}")
    assert files.outcomes == []


@pytest.mark.parametrize("tty", [False, True])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c(
    service: Service, invoke: Invoke, files: Files, number: signal.Signals, tty: bool
) -> None:
    """Told to stop, it says what is left and makes 130; what had ended is in the file by then.

    It leaves no handler of a signal behind.
    """
    made = service.do(service.emulator.add_image, "success")
    slow = service.do(service.emulator.add_video, "InProgress")
    files.ask_for(slow, made)
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with killing(number, lambda: files.whole):
        result = invoke(*files.args, tty=tty)
    assert result.status == 130
    again = f"start the same command again to go on with {files.out}"
    said = f"interrupted; 1 of 2 not known to have ended; {again}"
    if tty:
        assert result.err == f"{said}\n"
    else:
        assert result.out == ""
        assert result.err.splitlines()[0].startswith("1 of 2 ended · 1 succeeded · ")
        assert result.err.splitlines()[1:] == [said]
    assert files.states == [(str(made), "succeeded")]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers


async def test_what_has_ended_is_kept_when_told_to_stop(tmp_path: Path) -> None:
    """Outcomes that nobody had taken when the run was told to stop are written all the same."""
    ended = [
        Outcome[AnyTask](ref=ImageRef(id), task=None, error=ServerError(500), polls=1, elapsed=1.0)
        for id in "ab"
    ]
    path = tmp_path / "out.jsonl"
    with ResultsFile(str(path)) as results:
        batch = cast("Batch[AnyTask]", _Interrupted(ended))
        run = BatchRun(batch, total=3, ends=Counter(), results=results)
        with pytest.raises(asyncio.CancelledError):
            await run.run(Reporter())
    assert run.progress().left == 1
    assert [json.loads(line)["ref"] for line in path.read_bytes().splitlines()] == [
        "image:a",
        "image:b",
    ]


class _Interrupted:
    """A batch whose reader is told to stop just when some tasks have ended."""

    def __init__(self, ended: list[Outcome[AnyTask]]) -> None:
        self.ended = ended
        self.told = False

    def statistics(self) -> Any:
        return SimpleNamespace(ready=len(self.ended), time_left=None)

    async def __aenter__(self) -> _Interrupted:
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self.told

    def __aiter__(self) -> _Interrupted:
        return self

    async def __anext__(self) -> Outcome[AnyTask]:
        if not self.told:
            self.told = True
            raise asyncio.CancelledError
        return self.ended.pop(0)


def test_kill_9_at_six_moments(service: Service, files: Files) -> None:
    """However often it is killed, in the end each task has one line, and each line is whole.

    Each time it has some lines to write, and is killed when some of them are there or none; and
    never can it end before that, since other tasks still run.
    """
    rng = random.Random()
    refs = [
        service.do(
            service.emulator.add_image,
            "generating",
            images=[{"b64_json": "iVBO" * (50_000 if number % 8 == 0 else 1)}],
        )
        for number in range(40)
    ]
    files.ask_for(*refs, *refs[:5])
    service.do(service.emulator.fault, Fault(status=502), refs[0])
    running = rng.sample(refs, len(refs))

    def end(count: int) -> None:
        for _ in range(count):
            word = rng.choice(["success", "failed"])
            service.do(service.emulator.set_status, running.pop(), word)

    with forks(*files.args) as start:
        for _ in range(6):
            before, ended = files.whole, rng.randint(1, 5)
            end(ended)
            run = start()
            if more := rng.randint(0, ended):
                files.wait_for(before + more)
            time.sleep(rng.uniform(0, 0.002 if more else 0.2))
            os.kill(run.id, signal.SIGKILL)
            assert run.status() == -signal.SIGKILL
        assert running
        end(len(running))
        assert start().status() in (0, 1)
    assert sorted(ref for ref, _ in files.states) == sorted(map(str, refs))
    assert {state for _, state in files.states} <= {"succeeded", "failed"}
    assert files.out.read_bytes().endswith(b"\n")


@pytest.mark.parametrize("how", ["replaced", "deleted", "cut"])
@pytest.mark.parametrize("when", ["under the run", "at its end"])
def test_a_file_that_is_lost_is_noticed(
    service: Service, invoke: Invoke, files: Files, monkeypatch: pytest.MonkeyPatch,
    how: str, when: str,
) -> None:  # fmt: skip
    """An editor that saves the file, a `rm`: no run says that all is well, and the next one asks
    for what is missing."""
    refs = [service.do(service.emulator.add_image, "success") for _ in range(4)]
    files.ask_for(*refs)
    append, number = ResultsFile.append, 4 if when == "at its end" else 2
    written: list[bytes] = []

    def disturbed(self: ResultsFile, line: bytes) -> None:
        append(self, line)
        written.append(line)
        if files.whole == number:
            _disturb(files.out, how)

    with monkeypatch.context() as patch:
        patch.setattr(ResultsFile, "append", disturbed)
        result = invoke(*files.args)
    assert result.status == 2
    assert len(written) == number, "nothing is written to what nobody reads"
    word = {"replaced": "replaced by another file", "deleted": "deleted or moved", "cut": "cut"}
    assert f"{files.out}: it was {word[how]} while this run was writing to it" in result.err
    assert invoke(*files.args).status == 0
    assert {ref for ref, _ in files.states} == set(map(str, refs))


def _disturb(path: Path, how: str) -> None:
    first = path.read_bytes().splitlines(keepends=True)[0]
    if how == "replaced":
        other = path.with_suffix(".new")
        other.write_bytes(first)
        other.replace(path)
    elif how == "deleted":
        path.unlink()
    else:
        path.write_bytes(first)
