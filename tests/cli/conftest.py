"""The command line against a service on a thread of its own, so that tests can be plain.

`invoke` runs a command in this process and `spawn` in another; what a command does is the
same in both, but signals, terminals and exits are only real in the second.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import functools
import io
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, NamedTuple, ParamSpec, TextIO, TypeVar

import pytest
from rich.console import Console, RenderableType

from aitoearn_async.__main__ import main
from aitoearn_async.emulator import Emulator, VirtualTimeLoop

FORKS = """
import os, sys
import aitoearn_async._assembly, aitoearn_async._cli.commands, aitoearn_async._cli.run.wait
from aitoearn_async.__main__ import main
for _ in sys.stdin:
    if child := os.fork():
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    else:
        main()
"""

P = ParamSpec("P")
T = TypeVar("T")


class Service:
    """An emulator that runs while the test does something else."""

    def __init__(self) -> None:
        self.emulator = Emulator()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def do(self, method: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call one of the emulator's methods where it runs."""

        async def call() -> T:
            return method(*args, **kwargs)

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result(200)

    def __enter__(self) -> Service:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self.emulator.start(), self._loop).result(200)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self.emulator.aclose(), self._loop).result(200)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class VirtualService(Service):
    """An emulator on the loop that commands are run on too, so that none of them really waits.

    There is no thread: it does nothing while no command does.
    """

    def __init__(self) -> None:
        self.emulator = Emulator()
        # Bytes may be late on a busy machine, and the next timer may be minutes away.
        loop = functools.partial(VirtualTimeLoop, settle=0.005)
        self._runner = asyncio.Runner(loop_factory=loop)

    def run(self, main: Coroutine[Any, Any, T], **_: Any) -> T:
        """In place of `asyncio.run`."""
        return self._runner.run(main)

    def do(self, method: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        async def call() -> T:
            return method(*args, **kwargs)

        return self._runner.run(call())

    def __enter__(self) -> VirtualService:
        self._runner.run(self.emulator.start())
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self.emulator.aclose())
        self._runner.close()


class Tty(io.TextIOWrapper):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Result(NamedTuple):
    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


Invoke = Callable[..., Result]


def lead_to(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AITOEARN_BASE_URL", service.emulator.url)
    monkeypatch.setenv("AITOEARN_API_KEY", service.emulator.api_key)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """The service, and an environment that leads to it."""
    with Service() as service:
        lead_to(service, monkeypatch)
        yield service


@pytest.fixture
def virtual(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """The same for commands that would wait for long, and are invoked in this process."""
    with VirtualService() as service:
        lead_to(service, monkeypatch)
        monkeypatch.setattr(asyncio, "run", service.run)
        yield service


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No terminal but the one a test makes, no colours in it, and English."""
    for name in ("AITOEARN_LANGUAGE", "LANGUAGE", "LC_ALL", "LC_MESSAGES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "C.UTF-8")
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """Runs a command in this process.

    Its stdout and stderr are kept, unless they are given.
    """

    def run(
        *args: str, tty: bool = False, out: TextIO | None = None, err: TextIO | None = None
    ) -> Result:
        kind = Tty if tty else io.TextIOWrapper
        out, err = (given or kind(io.BytesIO(), encoding="utf-8") for given in (out, err))
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["whatever", *args])
            patch.setattr(sys, "stdout", out)
            patch.setattr(sys, "stderr", err)
            with pytest.raises(SystemExit) as exit:
                main()
        code = exit.value.code or 0
        assert isinstance(code, int)
        return Result(code, _text(out), _text(err))

    return run


@contextlib.contextmanager
def killing(
    number: int, when: Callable[[], object], *, only_the_thread: bool = False
) -> Iterator[None]:
    """Sends this process a signal, once something is so, while the block runs a command.

    Given to a thread that does nothing else, it interrupts no system call of the command's.
    """

    over = threading.Event()

    def kill() -> None:
        while not when():
            if over.wait(0.005):
                return
        if only_the_thread:
            signal.pthread_kill(threading.get_ident(), number)
        else:
            os.kill(os.getpid(), number)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        yield
    finally:
        over.set()
        killer.join()


def plain(text: str) -> str:
    """What is left of a text without what a terminal would obey."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def everything(control: int) -> bytes:
    """What a terminal is sent, until nobody has it open any more."""
    seen = b""
    # Linux reports the end of a terminal as an error.
    with contextlib.suppress(OSError):
        while chunk := os.read(control, 4096):
            seen += chunk
    return seen


def drawn(renderable: RenderableType, width: int) -> list[str]:
    """What a terminal of this width would show, line by line."""
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(renderable)
    return [line.rstrip() for line in capture.get().splitlines()]


def adopt_terminal() -> None:
    """Make the terminal the process's own: else ^C is a mere byte, and its end no signal."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _text(stream: Any) -> str:
    if not isinstance(getattr(stream, "buffer", None), io.BytesIO):
        return ""
    stream.flush()
    return str(stream.buffer.getvalue().decode(errors="surrogateescape"))


@contextlib.contextmanager
def spawn(*args: str, code: str | None = None, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """Runs a command in a process of its own, and ends it if the test does not."""
    program = ["-m", "aitoearn_async"] if code is None else ["-c", code]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    env = {**os.environ, "PYTHONUNBUFFERED": ""}
    with subprocess.Popen(
        [sys.executable, *program, *args], text=True, env=env, **pipes
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@contextlib.contextmanager
def on_terminal(
    *args: str, size: bytes = b"", **options: Any
) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Runs a command on a terminal to its end; the block gets the terminal's other end too."""
    control, terminal = pty.openpty()
    if size:
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, size)
    streams = {"stdin": terminal, "stdout": terminal, "stderr": terminal, **options}
    with spawn(*args, **streams) as process:
        os.close(terminal)
        yield process, control
        process.wait(timeout=200)
    os.close(control)


class Run(NamedTuple):
    """A command in a process that was forked."""

    id: int
    status: Callable[[], int]
    """Waits for its end."""


@contextlib.contextmanager
def forks(*args: str) -> Iterator[Callable[[], Run]]:
    """Runs a command again and again, in processes that need not import anything first."""
    streams = {"stdin": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with spawn(*args, code=FORKS, **streams) as process:
        orders, news = process.stdin, process.stdout
        assert orders is not None
        assert news is not None

        def start() -> Run:
            orders.write("\n")
            orders.flush()
            return Run(int(news.readline()), lambda: int(news.readline()))

        yield start
