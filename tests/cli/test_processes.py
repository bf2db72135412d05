"""What only a process has: signals, pipes that break, terminals, packages that are missing."""

from __future__ import annotations

import contextlib
import fcntl
import importlib.abc
import io
import os
import pty
import re
import signal
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

import pytest

from aitoearn_async.__main__ import main
from aitoearn_async.emulator import Fault

from .conftest import Result, Service, everything, spawn

Invoke = Callable[..., Result]
WITHOUT = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {name!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
from aitoearn_async.__main__ import main
main()
"""

VIRTUALLY = """
import asyncio
from aitoearn_async.__main__ import main
from aitoearn_async.emulator import VirtualTimeLoop
asyncio.run = asyncio.Runner(loop_factory=VirtualTimeLoop).run
main()
"""


def test_module_and_script_have_one_name() -> None:
    """Under `python -m` the program calls itself what the script is called."""
    with spawn("wait") as process:
        _, err = process.communicate(timeout=50)
    assert process.returncode == 2
    assert err.startswith("Usage: aitoearn-async wait ")


@pytest.mark.parametrize("name", ["typer", "rich"])
def test_without_the_extra(name: str) -> None:
    """Without the packages of the extra there is one line that says what to install."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT.format(name=name)],
        capture_output=True, text=True, timeout=50, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "pip install 'aitoearn-async[cli]'" in done.stderr


@pytest.mark.parametrize(
    ("package", "error", "end"),
    [
        ("rich", ModuleNotFoundError(name="rich"), 2),
        ("msgspec", ModuleNotFoundError(name="msgspec"), None),
        ("rich", KeyboardInterrupt(), 130),
    ],
    ids=["extra", "bug", "ctrl-c"],
)
def test_what_can_happen_at_the_door(
    package: str,
    error: BaseException,
    end: int | None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Of what is missing only typer and rich are explained; Ctrl-C ends an import quietly too."""
    mine = [name for name in sys.modules if name.startswith("aitoearn_async.cli")]
    theirs = [name for name in sys.modules if name.partition(".")[0] == package]
    for name in mine + theirs:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [_Failing(package, error), *sys.meta_path])
    with pytest.raises(SystemExit if end else type(error)) as raised:
        main()
    assert getattr(raised.value, "code", None) == end
    assert ("pip install" in capsys.readouterr().err) is (end == 2)


class _Failing(importlib.abc.MetaPathFinder):
    def __init__(self, package: str, error: BaseException) -> None:
        self.package = package
        self.error = error

    def find_spec(self, name: str, path: object, target: object = None) -> None:
        if name.partition(".")[0] == self.package:
            raise self.error


def test_a_stdout_that_is_closed(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a stdout (`>&-`) a wait still ends with its status."""
    ref = service.do(service.emulator.add_image, "failed")
    for stream in ("stdout", "stderr"):
        monkeypatch.setattr(sys, stream, None)
    monkeypatch.setattr(sys, "argv", ["x", "wait", str(ref)])
    with pytest.raises(SystemExit) as exit:
        main()
    monkeypatch.undo()
    assert exit.value.code == 1


def test_lines_are_flushed_and_ctrl_c_ends_a_wait(service: Service) -> None:
    """Each line comes when it happens; Ctrl-C makes 130 and names what was left."""
    done = service.do(service.emulator.add_image, "success")
    running = service.do(service.emulator.add_video, "InProgress")
    with spawn("wait", str(done), str(running)) as process:
        assert process.stdout is not None
        first = {process.stdout.readline().split()[0] for _ in range(2)}
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=50)
    assert first == {str(done), str(running)}
    assert (process.returncode, out) == (130, "")
    assert err == f"interrupted; not known to have ended: {running}\n"


def test_ctrl_c_ends_the_demo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Ctrl-C in the demo makes 130 and a line, and leaves no file behind."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with spawn("demo") as process:
        assert process.stdout is not None
        while "generating" not in process.stdout.readline():
            pass
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=50)
    assert (process.returncode, err) == (130, "interrupted\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("wait", [True, False])
def test_ctrl_c_in_this_process(service: Service, invoke: Invoke, wait: bool) -> None:
    """An interrupted command is over at once, whatever it was doing."""
    ref = service.do(service.emulator.add_video, "InProgress")

    def interrupt() -> None:
        while not service.emulator.requests:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    helper = threading.Thread(target=interrupt)
    helper.start()
    if not wait:
        service.do(service.emulator.fault, Fault(stall="head"), times=None)
    result = invoke("wait" if wait else "get", str(ref), tty=True)
    helper.join()
    assert result.status == 130
    assert result.err.startswith("interrupted")


def test_the_emulator_serves_until_ctrl_c(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    """The emulator prints shell, has the tasks it names, and Ctrl-C is its proper end."""
    with spawn("emulator", "--dialect", "published") as process:
        assert process.stdout is not None
        lines: list[str] = []
        while not lines or "Ctrl-C" not in lines[-1]:
            lines.append(process.stdout.readline())
        for name, value in re.findall(r"^export (\w+)=(\S+)$", "".join(lines), re.MULTILINE):
            monkeypatch.setenv(name, value)
        refs = re.findall(r"^#   (\S+:\S+) ", "".join(lines), re.MULTILINE)
        results = [invoke("get", ref) for ref in refs]
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=50)
    assert [result.status for result in results] == [0, 0, 0, 0]
    assert (process.returncode, out, err) == (0, "", "")
    assert all(re.match(r"#|export |$", line) for line in lines)


def test_a_reader_who_leaves(service: Service) -> None:
    """When the reader of a pipe has left, the next line ends the wait, quietly."""
    image = service.do(service.emulator.add_image, "generating")
    video = service.do(service.emulator.add_video, "InProgress")
    with spawn("wait", str(image), str(video)) as process:
        assert process.stdout is not None
        for _ in range(2):
            process.stdout.readline()
        process.stdout.close()
        service.do(service.emulator.set_status, image, "success")
        assert process.stderr is not None
        err = process.stderr.read()
        process.wait(timeout=50)
    assert (process.returncode, err) == (141, "")


@pytest.mark.parametrize("command", ["get REF", "wait REF", "wait --json REF"])
def test_a_disk_that_is_full(service: Service, command: str) -> None:
    """Results that cannot be written make 2 and a line, and not the 1 of a task that failed."""
    ref = service.do(service.emulator.add_image, "success")
    with open("/dev/full", "w") as full:
        done = _written_to(full, *command.replace("REF", str(ref)).split())
    assert done.returncode == 2
    assert done.stderr == "stdout cannot be written to: No space left on device\n"


def test_a_full_disk_does_not_hide_what_was_paid_for(service: Service) -> None:
    """The ref of a task that is submitted is then named on stderr."""
    with open("/dev/full", "w") as full:
        done = _written_to(
            full, *["generate", "image", "--model", "gpt-image-2", "--no-wait", "cat"]
        )
    assert done.returncode == 2
    assert re.match(r"submitted image:\w+\nstdout cannot be written to: ", done.stderr)


def test_a_full_disk_and_a_help_text() -> None:
    with open("/dev/full", "w") as full:
        done = _written_to(full, "wait", "--help")
    assert done.returncode == 2
    assert done.stderr == "stdout cannot be written to: No space left on device\n"


@pytest.mark.parametrize(
    ("reader", "args", "status"),
    [
        ("full disk", "get nonsense", 2),
        ("gone", "get nonsense", 2),
        ("gone", "get image:unknown", 4),
    ],
)
def test_complaints_that_cannot_be_written(
    service: Service, reader: str, args: str, status: int
) -> None:
    """The status counts without them, and is not the 1 of a task that failed."""
    with _unwritable(reader) as err:
        done = subprocess.run(
            [sys.executable, "-m", "aitoearn_async", *args.split()],
            stderr=err, timeout=50, check=False,
        )  # fmt: skip
    assert done.returncode == status


def test_nobody_hears_what_was_paid_for(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task is waited for and its result printed, though nobody reads stderr any more."""
    service.do(service.emulator.script, "image", "success")
    out = io.TextIOWrapper(io.BytesIO())
    with _unwritable("gone") as err:
        monkeypatch.setattr(sys, "stderr", err)
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "argv", ["x", "generate", "image", "--model", "gpt-image-2", "x"])
        with pytest.raises(SystemExit) as exit:
            main()
        monkeypatch.undo()
    assert exit.value.code == 0
    out.seek(0)
    assert out.read().startswith(f"{service.emulator.created[0]} success")


def test_ctrl_c_when_nobody_hears(service: Service) -> None:
    """As of `2>&1 | tee log`, where Ctrl-C ends the reader first."""
    ref = service.do(service.emulator.add_video, "InProgress")
    with _unwritable("gone") as err, spawn("wait", str(ref), stderr=err) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=50) == 130


@contextlib.contextmanager
def _unwritable(why: str) -> Iterator[TextIO]:
    reading, writing = os.pipe()
    os.close(reading)
    if why == "full disk":
        os.close(writing)
        writing = os.open("/dev/full", os.O_WRONLY)
    # What is still in it is tried once more.
    with contextlib.suppress(OSError), os.fdopen(writing, "w") as file:
        yield file


def _written_to(file: Any, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "aitoearn_async", *args],
        stdout=file, stderr=subprocess.PIPE, text=True, timeout=50, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("command", ["get REF", "wait REF", "wait --rate 9 --file FILE", "demo"])
def test_nobody_reads(
    service: Service, command: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A pipe that is broken from the start makes 141, in lines and in renderables."""
    reading, writing = os.pipe()
    os.close(reading)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    ref = service.do(service.emulator.add_image, "success")
    file = tmp_path / "refs.txt"
    file.write_text(str(ref))
    with contextlib.suppress(BrokenPipeError), os.fdopen(writing, "w") as out:
        monkeypatch.setattr(sys, "stdout", out)
        args = command.replace("REF", str(ref)).replace("FILE", str(file)).split()
        monkeypatch.setattr(sys, "argv", ["x", *args])
        with pytest.raises(SystemExit) as exit:
            main()
        monkeypatch.undo()
    assert exit.value.code == 141


def test_the_demo_on_a_real_terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """On a terminal the demo ends well, and gives the cursor back. Its few seconds are virtual."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    control, terminal = pty.openpty()
    streams: dict[str, Any] = {"stdin": terminal, "stdout": terminal, "stderr": terminal}
    with spawn("demo", code=VIRTUALLY, **streams) as process:
        os.close(terminal)
        seen = everything(control)
        process.wait(timeout=50)
    os.close(control)
    assert process.returncode == 0
    assert b"HTTP 502, trying again" in seen
    assert b"5 of 5 ended" in seen
    assert len(list(tmp_path.glob("aitoearn-demo-*/*"))) == 4
    assert seen.rindex(b"\x1b[?25h") > seen.rindex(b"\x1b[?25l")
    assert b"Traceback" not in seen


def test_ctrl_c_on_a_real_terminal(service: Service) -> None:
    """Ctrl-C typed into a live view gives the cursor back, and no traceback."""
    ref = service.do(service.emulator.add_video, "InProgress")
    control, terminal = pty.openpty()
    streams: dict[str, Any] = {"stdin": terminal, "stdout": terminal, "stderr": terminal}
    own: dict[str, Any] = {"start_new_session": True, "preexec_fn": _adopt_terminal}
    with spawn("wait", str(ref), **own, **streams) as process:
        os.close(terminal)
        seen = b""
        while b"InProgress" not in seen:
            seen += os.read(control, 4096)
        os.write(control, b"\x03")
        seen += everything(control)
        process.wait(timeout=50)
    os.close(control)
    assert process.returncode == 130
    assert f"interrupted; not known to have ended: {ref}".encode() in seen.replace(b"\r\n", b"")
    assert seen.rindex(b"\x1b[?25h") > seen.rindex(b"\x1b[?25l")
    assert b"Traceback" not in seen


def _adopt_terminal() -> None:
    # Without this the ^C would be a mere byte.
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
