"""A real terminal: what stays on it, line by line, when a command has ended."""

from __future__ import annotations

import io
import os
import pty
import re
import struct
import time
from pathlib import Path
from typing import Any

import pyte
import pytest

from aitoearn_async.emulator import Fault

from .conftest import Invoke, Service, adopt_terminal, everything, on_terminal, plain, spawn

FAILING, ALL = 30, 120
REASON = "the provider refused this prompt, and says so at length, in a sentence that wraps"


class Terminal:
    """A terminal that a command is run in, with all that has scrolled off its screen."""

    def __init__(self, columns: int, rows: int = 24) -> None:
        self.columns = columns
        self._screen = pyte.HistoryScreen(columns, rows, history=100_000, ratio=1)
        self._stream = pyte.ByteStream(self._screen)
        self._size = struct.pack("HHHH", rows, columns, 0, 0)

    def run(self, *args: str, code: str | None = None) -> int:
        """Run a command, and return its exit status."""
        with on_terminal(*args, size=self._size, code=code) as (process, control):
            self._stream.feed(everything(control))
        return int(process.returncode)

    @property
    def lines(self) -> list[str]:
        """All lines, those that have scrolled away first."""
        gone = [self._text(line) for line in self._screen.history.top]
        return [*gone, *map(str.rstrip, self._screen.display)]

    @property
    def squeezed(self) -> str:
        """All text without blanks, as lines that were wrapped have no others."""
        return re.sub(r"\s", "", "".join(self.lines))

    def _text(self, line: Any) -> str:
        return "".join(line[column].data for column in range(self.columns)).rstrip()


@pytest.fixture
def refs(service: Service) -> tuple[list[str], list[str]]:
    """Tasks that succeed, and tasks that fail."""
    add = service.emulator.add_image

    def added() -> tuple[list[str], list[str]]:
        good = [str(add("success")) for _ in range(ALL - FAILING)]
        return good, [str(add("failed", error_message=REASON)) for _ in range(FAILING)]

    return service.do(added)


def error_line(ref: str) -> str:
    return f"{ref} failed: {REASON}".replace(" ", "")


@pytest.mark.slow
@pytest.mark.parametrize(("columns", "recorded"), [(80, False), (120, True)])
def test_failures_of_a_long_list_stay_readable(
    service: Service,
    refs: tuple[list[str], list[str]],
    tmp_path: Path,
    columns: int,
    recorded: bool,
) -> None:
    """Each failure is there in full, all of them once more at the end, and one bar."""
    good, bad = refs
    file = tmp_path / "refs.txt"
    mixed = [ref for number in range(FAILING) for ref in (*good[number::FAILING], bad[number])]
    file.write_text("\n".join(mixed))
    terminal = Terminal(columns)
    out = ("--out", str(tmp_path / "out.jsonl")) if recorded else ()
    assert terminal.run("wait", "--file", str(file), *out) == 1
    above, _, last = terminal.squeezed.partition("failures:image:")
    assert all(error_line(ref) in f"image:{last}" for ref in bad)
    assert all((error_line(ref) in above) is not recorded for ref in bad)
    assert recorded or all(f"{ref}http" in above for ref in good)
    assert terminal.lines.count("120 of 120 ended · 90 succeeded · 30 failed") == 1
    assert terminal.squeezed.count("━100%") == 1


@pytest.mark.slow
def test_failures_of_a_handful_stay_readable(
    service: Service, refs: tuple[list[str], list[str]]
) -> None:
    """Below the table there is a line for each task, and none is lost."""
    good, bad = refs
    terminal = Terminal(80)
    assert terminal.run("wait", *good[:5], *bad[:15]) == 1
    assert all(error_line(ref) in terminal.squeezed for ref in bad[:15])
    assert all(f"{ref}http" in terminal.squeezed for ref in good[:5])


@pytest.mark.slow
def test_a_log_does_not_disturb_a_view(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of its lines stays above the table, which is there once."""
    monkeypatch.setenv("AITOEARN_LOG", "debug")
    ref = service.do(service.emulator.add_image, "success")
    service.do(service.emulator.fault, Fault(status=502), ref)
    terminal = Terminal(160)
    assert terminal.run("wait", str(ref)) == 0
    for status in (502, 200):
        assert (
            f"DEBUGaitoearn_async:GET/api/ai/image/task/{ref.id}:HTTP{status}" in terminal.squeezed
        )
    assert sum(line.startswith("task ") for line in terminal.lines) == 1


@pytest.mark.parametrize("columns", [80, 120])
def test_lists_are_tables(
    service: Service, invoke: Invoke, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    """Columns are aligned, words are whole, and statuses are the command line's own."""
    monkeypatch.setenv("COLUMNS", str(columns))
    for _ in range(3):
        service.do(service.emulator.add_video, "SUCCESS")
    service.do(service.emulator.add_video, "FAILURE")
    heading, *rows = plain(invoke("videos", tty=True).out).splitlines()
    assert heading.split() == ["task", "status", "model", "submitted", "prompt"]
    assert [row.split()[1] for row in rows] == ["failed", "succeeded", "succeeded", "succeeded"]
    column = heading.index("status")
    assert all(row[column - 1] == " " and row[column] in "fs" for row in rows)

    heading, *rows = plain(invoke("models", "video", tty=True).out).splitlines()
    assert heading.split() == ["for", "model", "accepts"]
    column = heading.index("accepts")
    assert all(row[column - 2 : column] == "  " for row in rows)
    assert "16:9" in " ".join(row[column:] for row in rows).split("ratios ")[1]


def test_a_task_is_a_card(service: Service, invoke: Invoke) -> None:
    """`get` on a terminal shows what it shows in a pipe, in columns, and an address is whole."""
    url = "https://media.example/" + "long/" * 60
    ref = service.do(service.emulator.add_image, "success", images=[url])
    shown = plain(invoke("get", str(ref), tty=True).out)
    assert shown.splitlines()[:2] == [f"{ref}  succeeded", f"  result    {url}"]
    assert shown.splitlines() == invoke("get", str(ref)).lines


def test_a_long_list_is_shown_as_it_comes(
    service: Service, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table of more than a hundred tasks is written in parts, each with its headings."""
    monkeypatch.setenv("COLUMNS", "120")
    service.do(lambda: [service.emulator.add_video("SUCCESS") for _ in range(103)])
    lines = plain(invoke("videos", "--limit", "0", tty=True).out).splitlines()
    assert [number for number, line in enumerate(lines) if line.startswith("task ")] == [0, 101]
    assert len({line.split()[0] for line in lines}) == 104


def test_a_log_of_stderr_gets_failures_as_they_come(
    service: Service, invoke: Invoke, tmp_path: Path
) -> None:
    """With `2> log` the screen has the bar, and not the failures."""
    ref = service.do(service.emulator.add_image, "failed", error_message="No.")
    file = tmp_path / "refs.txt"
    file.write_text(f"{ref}\n")
    log = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    result = invoke("wait", "--file", str(file), tty=True, err=log)
    log.seek(0)
    assert log.read() == f"{ref} failed: No.\n"
    assert "1 of 1 ended · 1 failed" in plain(result.out)
    assert "No." not in result.out


@pytest.mark.slow
def test_something_moves_while_a_submit_is_slow(service: Service) -> None:
    """A spinner says what is under way, and is gone afterwards."""
    service.do(service.emulator.script, "image", "success")
    args = ("generate", "image", "--model", "gpt-image-2", "--no-wait", "a cat")
    with on_terminal(*args) as (process, control):
        seen = everything(control)
    assert process.returncode == 0
    assert "submitting …" in seen.decode()
    (ref,) = service.emulator.created
    assert seen.decode().rstrip().endswith(str(ref))


@pytest.mark.slow
def test_the_upload_before_a_submit_is_told(service: Service, tmp_path: Path) -> None:
    """In megabytes of all files, until they have gone out."""
    files = [tmp_path / "1.png", tmp_path / "2.png"]
    for number, file in enumerate(files):
        file.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(1_000_000) + bytes([number]))
    images = [f"--image={file}" for file in files]
    edit = ("edit", "image", "--model", "gpt-image-2", "--no-wait", "--private-media")
    with on_terminal(*edit, *images, "a hat") as (process, control):
        seen = everything(control).decode()
    assert process.returncode == 0
    assert re.search(r"uploading, 0\.[35] of 2\.0 MB …", seen)
    (ref,) = service.emulator.created
    assert seen.rstrip().endswith(str(ref))


@pytest.mark.sampled(2)
@pytest.mark.parametrize("phase", ["submit", "wait"])
def test_a_terminal_that_is_closed(service: Service, tmp_path: Path, phase: str) -> None:
    """What may be paid for is named where stderr still is, though the terminal is gone."""
    if phase == "submit":
        service.do(service.emulator.fault, Fault(stall="head", creates=True))
    else:
        service.do(service.emulator.script, "image", "generating")
    control, terminal = pty.openpty()
    log = tmp_path / "log"
    args = ("generate", "image", "--model", "gpt-image-2", "--no-check", "a cat")
    own: dict[str, Any] = {"start_new_session": True, "preexec_fn": adopt_terminal}
    with (
        log.open("w") as stderr,
        spawn(*args, stdin=terminal, stdout=terminal, stderr=stderr, **own) as process,
    ):
        os.close(terminal)
        while len(service.emulator.requests) < (1 if phase == "submit" else 2):
            time.sleep(0.01)
        os.close(control)
        assert process.wait(timeout=200) == 130
    (ref,) = service.emulator.created
    said = log.read_text()
    assert ("may have made a task" if phase == "submit" else f"wait {ref}") in said
    assert "Traceback" not in said
