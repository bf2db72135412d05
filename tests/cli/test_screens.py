"""What there is to see: on a terminal, in a pipe, and of the demo in both."""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from aitoearn_async import (
    AiToEarnError,
    AnyTask,
    EditModel,
    ImageModel,
    ImageRef,
    ImageTask,
    ServerError,
    ServiceUnreachableError,
    TaskFailedError,
    WaitTimeoutError,
)
from aitoearn_async._cli.report import tables, words
from aitoearn_async._cli.report.exit_status import ExitStatus, worst
from aitoearn_async._cli.report.snapshot import WaitSnapshot
from aitoearn_async._cli.run import demo
from aitoearn_async.emulator import Emulator

from .conftest import Invoke, Service, Tty, drawn, plain

REF = ImageRef("66f0c1d2e3a4b5c6d7e8f901")
RUNNING = ImageTask(status="generating", log_id=REF.id)
MADE = ImageTask(status="success", log_id=REF.id)
FAILED = ImageTask(status="failed", log_id=REF.id, error_message="No cats today.")


def snapshot(
    task: AnyTask | None = None, error: AiToEarnError | None = None, trouble: str | None = None
) -> WaitSnapshot:
    ended = error is not None or (task is not None and task.done)
    return WaitSnapshot(
        ref=REF, task=task, ended=ended, trouble=trouble, polls=3, elapsed=4.1, error=error
    )


def table(snapshots: list[WaitSnapshot], room: int = 20, width: int = 80) -> list[str]:
    return drawn(tables.wait_table(snapshots, room), width)


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        (snapshot(), "asking"),
        (snapshot(RUNNING), "running"),
        (snapshot(RUNNING, trouble="HTTP 502"), "HTTP 502, trying again"),
        (snapshot(MADE), "succeeded"),
        (snapshot(FAILED, TaskFailedError(FAILED)), "failed: No cats today."),
        (snapshot(RUNNING, WaitTimeoutError(REF, RUNNING, 4.1, 3, {})), "given up: out of time"),
        (
            snapshot(None, ServiceUnreachableError(REF, None, 4.1, 3, {}), "HTTP 502"),
            "given up: no good answer",
        ),
        (snapshot(RUNNING, ServerError(503, "Oops", http_status=503)), "Oops (HTTP 503)"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_row_says_how_a_task_stands(shown: WaitSnapshot, words: str) -> None:
    """A row has the task, what the last poll said, and what it cost."""
    row = table([shown])[1]
    assert re.fullmatch(rf"{REF}  {re.escape(words)} +3  4\.1 s", row)


def test_narrow_terminals_lose_the_end_of_the_status() -> None:
    """Where it is narrow the status is cut; the task and the numbers are not, and no row breaks."""
    row = table([snapshot(FAILED, TaskFailedError(FAILED))], width=60)[1]
    assert re.fullmatch(rf"{REF}  failed: .*…  +3  4\.1 s", row)


def test_a_long_reason_is_drawn_from_its_beginning() -> None:
    """A row is drawn again and again, and has no room for more. All of it stands below."""
    failed = ImageTask(status="failed", log_id=REF.id, error_message="no " * 100_000)
    assert len(tables.status_text(snapshot(failed, TaskFailedError(failed))).plain) < 1100


def test_a_low_terminal_shows_what_still_runs() -> None:
    """Where not all tasks fit, those that have ended make room."""
    lines = table([snapshot(MADE)] * 5 + [snapshot(RUNNING)] * 2, room=3)
    assert [line.split()[1] for line in lines[1:4]] == ["running", "running", "succeeded"]
    assert lines[4:] == ["and 4 more", "", "5 of 7 ended · 5 succeeded"]


def test_the_summary_counts_every_kind_of_end() -> None:
    """The summary says how many have ended, and how."""
    ends = [
        snapshot(MADE),
        snapshot(FAILED, TaskFailedError(FAILED)),
        snapshot(RUNNING, WaitTimeoutError(REF, RUNNING, 1, 1, {})),
        snapshot(None, ServerError(500)),
        snapshot(RUNNING),
    ]
    summary = words.summary_line(words.count_ends(ends), len(ends))
    assert summary == "4 of 5 ended · 1 succeeded · 1 failed · 1 given up · 1 refused"
    assert worst(words.count_ends(ends)) is ExitStatus.SERVICE


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0.0 s"), (59.94, "59.9 s"), (125, "2:05"), (3725.9, "1:02:05")]
)
def test_durations_are_short(seconds: float, text: str) -> None:
    """A duration is as exact as it is of interest."""
    assert words.duration(seconds) == text


@pytest.mark.parametrize(
    ("pricing", "said"),
    [
        (None, ""),
        ("", ""),
        ({}, ""),
        ([{"price": None}], ""),
        ("2 points an image", "price 2 points an image"),
        (0.5, "price 0.5"),
        ([{"duration": 4, "price": 10}, {"duration": 8, "price": 20, "mode": None}],
         "price 10 duration 4; price 20 duration 8"),
        ({"price": 3}, "price 3"),
        (["3\x1b[2J"], "price 3 [2J"),
    ],
)  # fmt: skip
def test_a_price_is_shown_where_the_service_tells_it(pricing: Any, said: str) -> None:
    """Prices come as text or as objects, and are shown as they come."""
    assert words.accepted_values(ImageModel(name="m", pricing=pricing)) == said


def test_how_many_pictures_a_model_takes_is_shown() -> None:
    assert words.accepted_values(EditModel(name="m", max_input_images=3)) == "images 3 at most"


def test_how_far_files_have_got_is_said_where_that_is_known() -> None:
    assert words.uploading(2_500_000, 5_000_000) == "uploading, 2.5 of 5.0 MB …"
    assert words.uploading(5_000_000, 5_000_000) == words.uploading(9, None) == "submitting …"


def test_an_interrupted_wait_names_what_it_leaves() -> None:
    """What an interrupted wait had not seen end is named; if there is nothing, that is said."""
    assert words.interrupted_text([snapshot(MADE)]) == "interrupted; all tasks had ended"
    assert words.interrupted_text([snapshot(MADE), snapshot()]).endswith(f"ended: {REF}")


def test_wait_on_a_terminal(service: Service, invoke: Invoke) -> None:
    """On a terminal the rows are redrawn, then results and errors follow whole."""
    url = "https://media.example/" + "long/" * 30
    made = service.do(service.emulator.add_image, ("generating", 1.5), "success", images=[url])
    failed = service.do(service.emulator.add_image, "failed", error_message="No cats today.")
    result = invoke("wait", str(made), str(failed), tty=True)
    assert result.status == 1
    assert "running" in plain(result.out)
    assert "2 of 2 ended · 1 succeeded · 1 failed" in plain(result.out)
    assert plain(result.lines[-1]) == f"{made} {url}"
    assert result.err == f"{failed} failed: No cats today.\n"


def test_a_dumb_terminal_gets_lines(
    service: Service, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A terminal that cannot rewrite lines is written to as a pipe is."""
    monkeypatch.setenv("TERM", "dumb")
    ref = service.do(service.emulator.add_image, "success")
    assert "\x1b" not in invoke("wait", str(ref), tty=True).out


def test_colours_forced_on_a_pipe_do_not_make_it_a_terminal(
    service: Service, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A CI system that asks for colours still gets a log of lines."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    ref = service.do(service.emulator.add_image, "success")
    assert len(invoke("wait", str(ref)).lines) == 1


@pytest.mark.parametrize("kind", [Tty, io.TextIOWrapper])
async def test_the_demo_goes_as_planned(
    kind: type[io.TextIOWrapper], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The demo succeeds in a few seconds of its clock, failure and 502s included.

    What it says it has submitted it waits for, and what it says it has saved is there.
    """
    out = kind(io.BytesIO(), encoding="utf-8")
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    began = asyncio.get_running_loop().time()
    assert await demo.play(tmp_path / "files") is ExitStatus.SUCCEEDED
    assert asyncio.get_running_loop().time() - began < 8
    out.flush()
    assert isinstance(out.buffer, io.BytesIO)
    text = plain(out.buffer.getvalue().decode())
    assert "5 of 5 ended · 4 succeeded · 1 failed" in text
    assert "3 HTTP 502" in text
    assert "HTTP 502, trying again" in text or kind is not Tty
    refs = re.findall(r"^submitted (\S+)  ", text, re.M)
    assert len(set(refs)) == 5
    assert all(ref.partition(":")[2] in text.partition("kind ")[2] for ref in refs)
    saved = sorted(map(Path, re.findall(r"^  (/\S+)$", text, re.M)))
    assert saved == sorted((tmp_path / "files").iterdir())
    begins = [(path.suffix, path.read_bytes()[:8]) for path in saved]
    assert begins.count((".png", b"\x89PNG\r\n\x1a\n")) == 2
    assert [begin[4:] for suffix, begin in begins if suffix == ".mp4"] == [b"ftyp"] * 2


async def test_the_demo_is_quiet_about_what_is_planned(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A warning of the package's goes to stderr where nobody has set up a log; not of the demo."""
    log = logging.getLogger("aitoearn_async")
    # For the demo alone: pytest has a log set up, and puts one here too where it sees that it is
    # cut off from it.
    with monkeypatch.context() as alone:
        alone.setattr(log, "propagate", False)
        await demo.play(tmp_path / "files")
    assert "is repeated" not in capsys.readouterr().err
    assert log.level == logging.NOTSET


@pytest.mark.parametrize("trouble", ["it fails", "it cannot be saved"])
async def test_a_demo_that_goes_otherwise_fails(
    trouble: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A demo in which something else happens than planned does not claim success."""
    monkeypatch.setattr(demo, "DEMO", (demo.Scene("image", ("success",), "a cat"),))
    script = Emulator.script
    if trouble == "it fails":
        monkeypatch.setattr(Emulator, "script", lambda self, kind, *_: script(self, kind, "failed"))
    else:
        (tmp_path / "files").touch()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        assert await demo.play(tmp_path / "files") is ExitStatus.SERVICE


@pytest.mark.parametrize(("status", "stays"), [(0, True), (4, False), (130, False), (141, False)])
def test_a_demo_litters_only_if_it_has_something_to_show(
    status: int, stays: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its directory stays for whoever wants to open the files; without an end there is none."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    used: list[Path] = []

    async def play(directory: Path) -> ExitStatus:
        used.append(directory)
        save(directory)
        return ExitStatus(status)

    def save(directory: Path) -> None:
        directory.mkdir(exist_ok=True)
        (directory / "a.png").touch()

    monkeypatch.setattr(demo, "play", play)
    assert demo.demo(save=None) == status
    assert used[0].parent == tmp_path
    assert used[0].exists() is stays
    assert demo.demo(save=tmp_path / "mine") == status
    assert used[1] == tmp_path / "mine"
    assert used[1].exists()


@pytest.mark.shows_key
async def test_the_emulator_serves_until_cancelled(capsys: pytest.CaptureFixture[str]) -> None:
    """The sample tasks are there as long as the emulator is."""
    serving = asyncio.create_task(demo.serve(0, "observed"))
    await asyncio.sleep(1)
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    assert len(re.findall(r"^#   (?:image|video):", capsys.readouterr().out, re.M)) == len(
        demo.SAMPLES
    )
