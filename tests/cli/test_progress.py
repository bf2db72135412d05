"""What there is to see of a long list: numbers, estimates, and a bar on a terminal."""

from __future__ import annotations

import asyncio
import os
import re
from collections import Counter
from pathlib import Path

import pytest

from aitoearn_async import BatchStatistics, Client, ImageRef, ImageTask
from aitoearn_async._cli.report import progress, tables
from aitoearn_async._cli.report.exit_status import ExitStatus
from aitoearn_async._cli.report.progress import Progress, Throughput, rough_duration, time_left
from aitoearn_async._cli.report.reporters import LogReporter, Reporter
from aitoearn_async._cli.report.snapshot import WaitSnapshot, snapshot_of
from aitoearn_async.emulator import Emulator

from .conftest import Invoke, Service, drawn, everything, on_terminal, plain


def stand(
    total: int = 1000,
    ended: int = 410,
    *,
    failed: int = 0,
    lag: float = 0.0,
    elapsed: float = 12.3,
    left: tuple[float, float] | None = None,
    failures: tuple[str, ...] = (),
) -> Progress:
    statistics = BatchStatistics(
        pending=0, in_flight=0, ready=0, succeeded=0, failed=0, unresolved=0, polls=0,
        unchanged=0, polls_per_second=1234.5, lag=lag, exhausted=True,
    )  # fmt: skip
    ends = Counter({ExitStatus.SUCCEEDED: ended - failed, ExitStatus.FAILED: failed})
    return Progress(total, ends, statistics, elapsed, left, failures)


def bar(shown: Progress, width: int = 60) -> list[str]:
    return drawn(tables.progress_bar(shown), width)


def steadily(seconds: int, each: int, before: int = 0) -> list[tuple[float, int]]:
    return [(1e6 + second, before + second * each) for second in range(seconds + 1)]


@pytest.mark.parametrize(
    ("samples", "seconds"),
    [
        ([], None),
        (steadily(9, 100), None),
        (steadily(60, 0), None),
        (steadily(10, 1), None),
        (steadily(20, 1), 500),
        (steadily(20, 50, before=300_000), 10),
        ([(0, 0), (30, 30), (60, 60)], 500),
        ([(0, 0), (30, 10), (60, 60)], None),
        ([(0, 0), (30, 50), (60, 60)], None),
        ([(0, 0), (30, 60), (60, 60)], None),
        ([(0, 0), (1, 10_000), (2, 10_000), (12, 10_010)], None),
    ],
    ids=["nothing", "too short", "standstill", "too few", "slow", "resumed", "steady",
         "speeding up", "slowing down", "stalled", "a burst at the start"],
)  # fmt: skip
def test_an_estimate_is_made_where_tasks_end_steadily(
    samples: list[tuple[float, int]], seconds: float | None
) -> None:
    """There is an estimate if enough tasks have ended, at an even speed; else there is none."""
    assert time_left(samples, 500) == seconds


def test_an_estimate_forgets_what_was_long_ago() -> None:
    """What an estimate goes by is the last minute, in samples of a second."""
    pace = Throughput()
    for tenth in range(36_000):
        second = tenth / 10
        pace.note(second, int(second * 100 if second < 1800 else 180_000 + (second - 1800)))
    assert time_left(pace.samples, 60) == pytest.approx(60, rel=0.05)


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (0.2, 0.2, "about 10 s"),
        (0, 44, "about 10-40 s"),
        (38, 44, "about 40 s"),
        (100, 100, "about 2 min"),
        (100, 250, "about 2-4 min"),
        (10, 250, "about 1-4 min"),
        (5300, 5300, "about 88 min"),
        (5300, 5400, "about 1-2 h"),
        (90_000, 90_000, "about 25 h"),
    ],
)
def test_an_estimate_is_no_more_exact_than_it_can_be(low: float, high: float, text: str) -> None:
    """An estimate is rounded, and is a range where that matters."""
    assert rough_duration(low, high) == text.replace("-", "–")


@pytest.mark.parametrize(
    ("ranges", "text"),
    [
        ([], ""),
        ([None], ""),
        ([(10.0, 30.0), None], ""),
        ([(120.0, 130.0), (60.0, 300.0)], "time left: about 2-5 min"),
    ],
)
def test_a_handful_takes_as_long_as_the_last_of_them(
    ranges: list[tuple[float, float] | None], text: str
) -> None:
    """Nothing is said while one of them may take any time; those that have ended do not count."""
    refs = [ImageRef(f"{number:024x}") for number in range(len(ranges))]
    waits = [
        WaitSnapshot(
            ref=ref, task=None, error=None, ended=False, polls=1, elapsed=5.0, time_left=left
        )
        for ref, left in zip(refs, ranges, strict=True)
    ]
    done = ImageTask(log_id="f" * 24, status="success")
    ended = WaitSnapshot(ref=done.ref, task=done, error=None, ended=True, polls=3, elapsed=9.0)
    last = drawn(tables.wait_table([*waits, ended], 20), 100)[-1]
    assert last.partition(" · time left")[2] == text.partition("time left")[2].replace("-", "–")


async def test_the_end_that_a_wait_expects_is_seen(
    aitoearn_service: Emulator, aitoearn_client: Client
) -> None:
    """As soon as enough tasks of its model have ended."""

    def one_more() -> ImageRef:
        return aitoearn_service.add_image(("generating", 20.0), "success")

    first = aitoearn_client.wait_for(one_more())
    assert snapshot_of(first).time_left is None
    await asyncio.gather(first, *(aitoearn_client.wait_for(one_more()) for _ in range(30)))
    waiter = aitoearn_client.wait_for(one_more())
    waiting = asyncio.create_task(waiter)
    await asyncio.sleep(1)
    left = snapshot_of(waiter).time_left
    assert left is not None
    assert 5 < left[0] < left[1] < 30
    await waiting
    assert snapshot_of(waiter).time_left is None


@pytest.mark.parametrize(
    ("total", "ended", "share"), [(0, 0, "100 %"), (4, 0, "0 %"), (4, 1, "25 %"), (4, 4, "100 %")]
)
def test_the_bar_is_as_long_as_what_has_ended(total: int, ended: int, share: str) -> None:
    """The bar shows how much has ended; of an empty list, all."""
    assert bar(stand(total, ended))[0].endswith(f" {share}")


def test_the_live_view() -> None:
    """The live view has a bar, the counts, the speed, an estimate and what went wrong of late."""
    lines = bar(
        stand(1_000_000, 999_999, failed=20, left=(70, 250), failures=("x failed: \x1bNo.",))
    )
    assert lines[0].startswith("━━━━")
    assert lines[0].endswith(" 99 %")
    assert lines[1:] == [
        "999,999 of 1,000,000 ended · 999,979 succeeded · 20 failed",
        "1,234 polls/s · 12.3 s",
        "time left: about 1–4 min",
        "latest failures",
        "  x failed:  No.",
    ]


def test_the_live_view_at_the_end() -> None:
    """At the end nothing is estimated."""
    assert "time left" not in "".join(bar(stand(ended=1000)))
    assert bar(stand(ended=1000))[0].endswith("100 %")


def test_lag_is_shown_when_it_matters() -> None:
    """That polls go out late is said once it is worth a thought: the rate is too low."""
    assert "late" not in progress.progress_line(stand(lag=0.9))
    assert progress.progress_line(stand(lag=75)) == (
        "410 of 1,000 ended · 410 succeeded · 1,234 polls/s · polls go out 1:15 late"
    )


def test_a_narrow_terminal_cuts_lines() -> None:
    """Where it is narrow lines are cut, so that the view stays as high as it is."""
    long = stand(failures=("image:66f0c1d2e3a4b5c6d7e8f901 failed: " + "no " * 50,))
    assert len(bar(long, 40)) == len(bar(long, 200))


def test_what_is_left_is_said_in_numbers() -> None:
    """An early end says how much is left, and where to go on if there is a file."""
    words = "590 of 1,000 not known to have ended"
    assert progress.unfinished_text(stand(), None).startswith(words)
    assert (
        progress.unfinished_text(stand(), "o.jsonl")
        == f"{words}; start the same command again to go on with o.jsonl"
    )
    assert progress.unfinished_text(stand(ended=1000), "o.jsonl") == "all tasks had ended"


def test_a_log_gets_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    """In a pipe there is a line every ten seconds, and one at the end."""
    elapsed = 0.0
    with LogReporter(lambda: stand(elapsed=elapsed), Reporter()) as notes:
        for tenth in range(255):
            elapsed = tenth / 10
            notes.tick()
        assert len(capsys.readouterr().err.splitlines()) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_list_on_a_terminal(service: Service, invoke: Invoke, tmp_path: Path) -> None:
    """On a terminal what was made stays above the bar, whole."""
    url = "https://media.example/" + "long/" * 30
    made = service.do(service.emulator.add_image, "success", images=[url])
    failed = service.do(service.emulator.add_image, "failed", error_message="No.")
    file = tmp_path / "refs.txt"
    file.write_text(f"{made}\n{failed}\n")
    result = invoke("wait", "--file", str(file), tty=True)
    assert result.status == 1
    assert f"{made} {url}" in plain(result.out).splitlines()
    assert "2 of 2 ended · 1 succeeded · 1 failed" in plain(result.out)
    assert f"{failed} failed: No." in plain(result.out).splitlines()
    assert plain(result.err) == f"failures:\n{failed} failed: No.\n"


def test_json_on_a_terminal_has_no_bar(service: Service, invoke: Invoke, tmp_path: Path) -> None:
    """Who asks for JSON gets JSON, on a terminal too."""
    file = tmp_path / "refs.txt"
    file.write_text(str(service.do(service.emulator.add_image, "success")))
    result = invoke("wait", "--file", str(file), "--json", tty=True)
    assert (len(result.lines), result.out[0]) == (1, "{")
    assert result.err.startswith("1 of 1 ended")


def test_a_real_terminal(service: Service, tmp_path: Path) -> None:
    """On a real terminal the bar is drawn, ends, and gives the cursor back."""
    refs = [service.do(service.emulator.add_image, "generating") for _ in "123"]
    refs.append(service.do(service.emulator.add_image, "failed"))
    file, out = tmp_path / "refs.txt", tmp_path / "out.jsonl"
    file.write_text("\n".join(map(str, refs)))
    with on_terminal("wait", "--file", str(file), "--out", str(out)) as (process, control):
        seen = b""
        while b" 25 %" not in seen:
            seen += os.read(control, 4096)
        for ref in refs[:3]:
            service.do(service.emulator.set_status, ref, "success")
        seen += everything(control)
    assert process.returncode == 1
    lines = plain(seen.decode()).replace("\r", "").split("\n")
    assert re.search("━[╸ ]+25 %.*━ 100 %", plain(seen.decode()), re.DOTALL)
    assert any("4 of 4 ended · 3 succeeded · 1 failed" in line for line in lines)
    assert f"{refs[3]} failed: The provider refused the prompt." in map(str.rstrip, lines)
    assert seen.rindex(b"\x1b[?25h") > seen.rindex(b"\x1b[?25l")
    assert b"Traceback" not in seen
    assert len(out.read_bytes().splitlines()) == 4
