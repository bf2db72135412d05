"""What only a process has: signals, pipes that break, terminals, packages that are missing."""

from __future__ import annotations

import contextlib
import importlib.abc
import os
import re
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import pytest

from aitoearn_async.__main__ import main
from aitoearn_async.emulator import Fault

from .conftest import Invoke, Service, adopt_terminal, everything, killing, on_terminal, spawn

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
        _, err = process.communicate(timeout=200)
    assert process.returncode == 2
    assert err.startswith("Usage: aitoearn-async wait ")


@pytest.mark.parametrize("name", ["click", "rich"])
def test_without_the_extra(name: str, invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the packages of the extra there is one line that says what to install."""
    for module in [module for module in sys.modules if module.startswith("aitoearn_async._cli")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, name, None)  # as if it were not installed
    result = invoke()
    assert (result.status, result.out) == (2, "")
    assert result.err.count("\n") == 1
    assert "pip install 'aitoearn-async[cli]'" in result.err


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
    """Of what is missing only click and rich are explained; Ctrl-C ends an import quietly too."""
    mine = [name for name in sys.modules if name.startswith("aitoearn_async._cli")]
    theirs = [name for name in sys.modules if name.partition(".")[0] == package]
    for name in mine + theirs:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "argv", ["x", "get", "image:a"])
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


def test_a_task_is_named_on_stderr_where_stdout_is_closed(
    service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is paid for, and its name is nowhere else."""
    monkeypatch.setattr(sys, "stdout", None)
    words = ["generate", "image", "--model", "gpt-image-2", "a cat", "--no-wait"]
    monkeypatch.setattr(sys, "argv", ["x", *words])
    with pytest.raises(SystemExit) as exit:
        main()
    monkeypatch.undo()
    assert exit.value.code == 0
    assert f"submitted {service.emulator.created[0]}" in capsys.readouterr().err


def test_lines_are_flushed_and_ctrl_c_ends_a_wait(service: Service) -> None:
    """Each line comes when it happens; Ctrl-C makes 130 and names what was left."""
    done = service.do(service.emulator.add_image, "success")
    running = service.do(service.emulator.add_video, "InProgress")
    with spawn("wait", str(done), str(running)) as process:
        assert process.stdout is not None
        first = {process.stdout.readline().split()[0] for _ in range(2)}
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=200)
    assert first == {str(done), str(running)}
    assert (process.returncode, out) == (130, "")
    assert err == (
        f"interrupted; not known to have ended: {running}\ngo on: aitoearn-async wait {running}\n"
    )


@pytest.mark.slow
def test_ctrl_c_ends_the_demo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Ctrl-C in the demo makes 130 and a line, and leaves no file behind."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with spawn("demo") as process:
        assert process.stdout is not None
        while "generating" not in process.stdout.readline():
            pass
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=200)
    assert (process.returncode, err) == (130, "interrupted\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("wait", [True, False])
def test_ctrl_c_in_this_process(service: Service, invoke: Invoke, wait: bool) -> None:
    """An interrupted command is over at once, whatever it was doing."""
    ref = service.do(service.emulator.add_video, "InProgress")
    if not wait:
        service.do(service.emulator.fault, Fault(stall="head"), times=None)
    with killing(signal.SIGINT, lambda: service.emulator.requests):
        result = invoke("wait" if wait else "get", str(ref), tty=True)
    assert result.status == 130
    assert "interrupted\n" in result.err or "interrupted; " in result.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_interrupts_no_system_call(
    service: Service, invoke: Invoke, number: signal.Signals
) -> None:
    """It comes just before the event loop goes to sleep, or the system gives it to a thread."""
    ref = service.do(service.emulator.add_image, "success")
    service.do(service.emulator.fault, Fault(delay=20.0), times=None)
    began = time.monotonic()
    with killing(number, lambda: service.emulator.requests, only_the_thread=True):
        result = invoke("get", str(ref))
    assert (result.status, result.err) == (130, "interrupted\n")
    assert time.monotonic() - began < 10


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
        out, err = process.communicate(timeout=200)
    assert [result.status for result in results] == [0, 0, 0, 0]
    assert (process.returncode, out, err) == (0, "", "")
    assert all(re.match(r"#|export |$", line) for line in lines)


def test_an_emulator_that_cannot_be_told_of_is_not_said_to_have_no_port(invoke: Invoke) -> None:
    """A full disk, and a reader of a pipe who has left."""
    with open("/dev/full", "w") as full:
        done = invoke("emulator", out=full)
    assert (done.status, done.err) == (2, "stdout cannot be written to: No space left on device\n")
    there, here = os.pipe()
    os.close(there)
    with spawn("emulator", stdout=here) as process:
        os.close(here)
        assert process.stderr is not None
        assert (process.stderr.read(), process.wait(timeout=200)) == ("", 141)


@pytest.mark.slow
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
        process.wait(timeout=200)
    assert (process.returncode, err) == (141, "")


@pytest.mark.parametrize("command", ["get REF", "wait REF", "wait --json REF", "wait --help"])
def test_a_disk_that_is_full(service: Service, invoke: Invoke, command: str) -> None:
    """Results that cannot be written make 2 and a line, and not the 1 of a task that failed."""
    ref = service.do(service.emulator.add_image, "success")
    with open("/dev/full", "w") as full:
        done = invoke(*command.replace("REF", str(ref)).split(), out=full)
    assert done.status == 2
    assert done.err == "stdout cannot be written to: No space left on device\n"


def test_a_disk_that_is_full_ends_a_long_list(
    service: Service, invoke: Invoke, tmp_path: Path
) -> None:
    """Its last line says how far it has got, and then it is said of stdout."""
    file = tmp_path / "refs.txt"
    file.write_text(str(service.do(service.emulator.add_image, "success")))
    with open("/dev/full", "w") as full:
        done = invoke("wait", "--file", str(file), out=full)
    assert done.status == 2
    progress, said = done.err.splitlines()
    assert progress.startswith("1 of 1 ended")
    assert said == "stdout cannot be written to: No space left on device"


@pytest.mark.slow
def test_a_disk_that_is_full_ends_a_process(service: Service) -> None:
    """What is still buffered when the interpreter ends changes neither status nor words."""
    ref = service.do(service.emulator.add_image, "success")
    with open("/dev/full", "w") as full, spawn("wait", str(ref), stdout=full) as process:
        _, err = process.communicate(timeout=200)
    assert process.returncode == 2
    assert err == "stdout cannot be written to: No space left on device\n"


@pytest.mark.parametrize(
    ("reader", "args", "status"),
    [
        ("full disk", "get nonsense", 2),
        ("gone", "get nonsense", 2),
        ("gone", "get image:unknown", 4),
    ],
)
def test_complaints_that_cannot_be_written(
    service: Service, invoke: Invoke, reader: str, args: str, status: int
) -> None:
    """The status counts without them, and is not the 1 of a task that failed."""
    with _unwritable(reader) as err:
        assert invoke(*args.split(), err=err).status == status


def test_nobody_hears_what_was_paid_for(service: Service, invoke: Invoke) -> None:
    """A task is waited for and its result printed, though nobody reads stderr any more."""
    service.do(service.emulator.script, "image", "success")
    with _unwritable("gone") as err:
        result = invoke("generate", "image", "--model", "gpt-image-2", "x", err=err)
    assert result.status == 0
    assert result.out.startswith(f"{service.emulator.created[0]} success")


def test_ctrl_c_when_nobody_hears(service: Service, invoke: Invoke) -> None:
    """As of `2>&1 | tee log`, where Ctrl-C ends the reader first."""
    ref = service.do(service.emulator.add_video, "InProgress")
    with (
        _unwritable("gone") as err,
        killing(signal.SIGINT, lambda: service.emulator.requests),
    ):
        assert invoke("wait", str(ref), err=err).status == 130


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


@pytest.mark.parametrize("command", ["get REF", "wait REF", "wait --rate 9 --file FILE", "demo"])
def test_nobody_reads(
    service: Service,
    invoke: Invoke,
    command: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """A pipe that is broken from the start makes 141, in lines and in renderables."""
    reading, writing = os.pipe()
    os.close(reading)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    ref = service.do(service.emulator.add_image, "success")
    file = tmp_path / "refs.txt"
    file.write_text(str(ref))
    with contextlib.suppress(BrokenPipeError), os.fdopen(writing, "w") as out:
        args = command.replace("REF", str(ref)).replace("FILE", str(file)).split()
        assert invoke(*args, out=out).status == 141


@pytest.mark.slow
def test_the_demo_on_a_real_terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """On a terminal the demo ends well, and gives the cursor back. Its few seconds are virtual."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with on_terminal("demo", code=VIRTUALLY) as (process, control):
        seen = everything(control)
    assert process.returncode == 0
    assert b"HTTP 502, trying again" in seen
    assert b"is repeated" not in seen  # a warning about trouble that is planned
    assert b"5 of 5 ended" in seen
    saved = list(tmp_path.glob("aitoearn-demo-*/*"))
    assert len(saved) == 4
    # In full at the end, and not below the table that it takes away as well.
    assert [seen.count(bytes(path)) for path in saved] == [1] * 4
    assert seen.rindex(b"\x1b[?25h") > seen.rindex(b"\x1b[?25l")
    assert b"Traceback" not in seen


@pytest.mark.slow
def test_ctrl_c_on_a_real_terminal(service: Service) -> None:
    """Ctrl-C typed into a live view gives the cursor back, and no traceback."""
    ref = service.do(service.emulator.add_video, "InProgress")
    own: dict[str, Any] = {"start_new_session": True, "preexec_fn": adopt_terminal}
    with on_terminal("wait", str(ref), **own) as (process, control):
        seen = b""
        while b"running" not in seen:
            seen += os.read(control, 4096)
        os.write(control, b"\x03")
        seen += everything(control)
    assert process.returncode == 130
    assert f"interrupted; not known to have ended: {ref}".encode() in seen.replace(b"\r\n", b"")
    assert seen.rindex(b"\x1b[?25h") > seen.rindex(b"\x1b[?25l")
    assert b"Traceback" not in seen
