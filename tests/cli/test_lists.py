"""Lists of tasks in files: what is read, what is refused, and what it does to the command."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

import click
import pytest

from aitoearn_async._cli.files import ref_list

from .conftest import Invoke, Service, killing, spawn


def test_comments_blank_lines_and_repeats_are_passed_over() -> None:
    """What is left of a list is each ref once, in order, and nothing else."""
    lines = ["# mine\n", "\n", "video:b  # the cat\n", "  image:a\t\r\n", "video:b\n", "image:c"]
    assert list(ref_list.refs_in(lines, "x")) == ["video:b", "image:a", "image:c"]


def test_bad_lines_are_named_by_number() -> None:
    """Bad lines are named by number, but no more than a few of them."""
    with pytest.raises(click.BadParameter) as caught:
        ref_list.refs_in(["image:a", "#", "audio:a", "image:b", "image:"], "x.txt")
    first, second = caught.value.message.splitlines()
    assert first.startswith("x.txt, line 3: not a task: 'audio:a'")
    assert second.startswith("x.txt, line 5: not a task id")
    with pytest.raises(click.BadParameter) as caught:
        ref_list.refs_in(["66f0c1d2e3a4b5c6d7e8f901"] * 9, "x.txt")
    assert len(caught.value.message.splitlines()) == 5


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"image:a\n\n# x\nimage:a b\n", "refs.txt, line 4: not a task id: 'a b'"),
        (b"image:a\nimage:\xff\xfe\n", "refs.txt, line 2: not a task id: '\\udcff\\udcfe'"),
        (b"\x00\x01", "refs.txt, line 1"),
        (None, "refs.txt: No such file"),
    ],
    ids=["bad", "not UTF-8", "binary", "missing"],
)
def test_a_list_that_cannot_be_used(
    service: Service, invoke: Invoke, tmp_path: Path, content: bytes | None, named: str
) -> None:
    """A list that cannot be used makes 2, before anything is asked or made."""
    file, out = tmp_path / "refs.txt", tmp_path / "out.jsonl"
    if content is not None:
        file.write_bytes(content)
    result = invoke("wait", "image:a", "--file", str(file), "--out", str(out))
    assert (result.status, result.out) == (2, "")
    assert named in result.err
    assert "--file" in result.err
    assert not service.emulator.requests
    assert not out.exists()


def test_a_list_and_refs(service: Service, invoke: Invoke, tmp_path: Path) -> None:
    """Refs that are named come before those of a file, and none is asked for twice."""
    refs = [str(service.do(service.emulator.add_image, "success")) for _ in range(3)]
    file = tmp_path / "refs.txt"
    file.write_text("\ufeff" + "\n".join(refs[1:]))
    assert len(invoke("wait", refs[0], refs[1], "--file", str(file)).lines) == 3
    assert len(service.emulator.requests) == 3


def test_a_list_that_windows_powershell_has_written(
    service: Service, invoke: Invoke, tmp_path: Path
) -> None:
    """Its `>>` writes UTF-16, and a carriage return at the end of each line."""
    refs = [str(service.do(service.emulator.add_image, "success")) for _ in range(2)]
    file = tmp_path / "refs.txt"
    file.write_bytes("".join(f"{ref}\r\n" for ref in ["# mine", *refs]).encode("utf-16"))
    assert len(invoke("wait", "--file", str(file)).lines) == 2
    fleet = f"sqlite:///{tmp_path}/fleet.db"
    added = invoke("fleet", "add", "--file", str(file), "--fleet", fleet)
    assert added.lines == ["2 of 2 were new"]


def test_a_list_on_standard_input(service: Service) -> None:
    """A list can come from a pipe; lines come out of one, and how it went on stderr."""
    made = service.do(service.emulator.add_image, "success", images=["u:1"])
    failed = service.do(service.emulator.add_image, "failed", error_message="No.")
    with spawn("wait", "--file", "-", stdin=-1) as process:
        out, err = process.communicate(f"# two\n{made}\n\n{failed}\n", timeout=200)
    assert process.returncode == 1
    assert sorted(line.split(" after ")[0] for line in out.splitlines()) == sorted(
        [f"{made} success", f"{failed} failed"]
    )
    complaint, summary = err.splitlines()
    assert complaint == f"{failed} failed: No."
    assert summary.startswith("2 of 2 ended · 1 succeeded · 1 failed · ")


def test_a_bad_line_on_standard_input(invoke: Invoke) -> None:
    """Of a pipe, too, a bad line is named, though it be the last."""
    reading, writing = os.pipe()
    os.write(writing, b"image:a\nimage")
    os.close(writing)
    before = os.dup(0)
    os.dup2(reading, 0)
    try:
        result = invoke("wait", "--file", "-")
    finally:
        os.dup2(before, 0)
        os.close(before)
        os.close(reading)
    assert (result.status, result.out) == (2, "")
    assert "standard input, line 2: not a task: 'image'" in result.err


def test_ctrl_c_while_a_list_is_read(invoke: Invoke, tmp_path: Path) -> None:
    """A list that never comes to its end can be left: nothing has started."""
    fifo = tmp_path / "refs.txt"
    os.mkfifo(fifo)
    writers: list[int] = []

    def is_open() -> bool:
        with contextlib.suppress(OSError):  # nobody reads yet
            writers.append(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))
        return bool(writers)

    with killing(signal.SIGINT, is_open):
        result = invoke("wait", "--file", str(fifo))
    os.close(writers[0])
    assert (result.status, result.out, result.err) == (130, "", "\ninterrupted\n")


def test_an_empty_list(service: Service, invoke: Invoke, tmp_path: Path) -> None:
    """Where there is nothing to wait for, all of it has succeeded."""
    file = tmp_path / "refs.txt"
    file.write_text("# nothing today\n")
    for tty in (False, True):
        assert invoke("wait", "--file", str(file), tty=tty).status == 0
    assert not service.emulator.requests


def test_many_refs_are_a_list(service: Service, invoke: Invoke) -> None:
    """More refs than a screen has room for are waited for as a list is."""
    refs = [str(service.do(service.emulator.add_image, "success")) for _ in range(21)]
    assert invoke("wait", *refs[:20]).err == ""
    result = invoke("wait", *refs, "--concurrency", "4", "--rate", "200", "--max-pending", "7")
    assert (result.status, len(result.lines)) == (0, 21)
    assert result.err.startswith("21 of 21 ended · 21 succeeded")


@pytest.mark.parametrize(
    "args", [("--concurrency", "0"), ("--rate", "0"), ("--rate", "nan"), ("--max-pending", "0")]
)
def test_limits_that_are_none(service: Service, invoke: Invoke, args: tuple[str, ...]) -> None:
    """A limit that is out of its range makes 2."""
    result = invoke("wait", "image:a", *args)
    assert (result.status, result.out) == (2, "")
