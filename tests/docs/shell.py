"""Runs the shell blocks of the documentation, or checks what must not be run.

A block that calls nothing but the package's own command line and a few harmless tools is run
by a real shell, against an emulator in another thread. Installing things is only looked at:
whether the extras exist, and the commands that come after it.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import re
import shlex
import subprocess
import sys
import threading
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue

from click.testing import CliRunner

from aitoearn_async import parse_ref
from aitoearn_async._cli.commands import app
from aitoearn_async.emulator import Emulator
from benchmarks.__main__ import BENCHMARKS, COMMANDS

from .pages import ROOT

_LITERAL_ID = re.compile(r'\b(image|video)(?:Ref\("|:)([0-9a-f]{24})\b', re.IGNORECASE)
_OPERATORS = {"&&", "||", "|", ";"}
_HARMLESS = {"aitoearn-async", "echo", "printf", "cat", "sort", "xargs", "head"}


def add_tasks(service: Emulator, text: str, *, ended: bool = False) -> None:
    """Let the service have the tasks that a text names by a literal id."""
    for kind, id in _LITERAL_ID.findall(text):
        ref = parse_ref(f"{kind.lower()}:{id}")
        add = service.add_image if ref.kind == "image" else service.add_video
        with contextlib.suppress(ValueError):  # there already
            add(*["success"] * ended, id=ref.id)


def run(code: str, folder: Path, *, run_it: bool = True) -> None:
    """Run a block, or check each of its commands."""
    commands = [
        command for line in code.replace("\\\n", " ").splitlines() for command in _commands(line)
    ]
    if run_it and all(Path(command[0]).name in _HARMLESS for command in commands):
        _run_in_shell(code, folder)
        return
    for command in commands:
        program = Path(command[0]).name
        assert program in _CHECKS, f"{program}: neither run nor checked by us"
        _CHECKS[program](command)


def _commands(line: str) -> Iterator[list[str]]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars="&|;")
    lexer.whitespace_split = True
    command: list[str] = []
    for word in [*lexer, ";"]:
        if word not in _OPERATORS:
            command.append(word)
        elif command:
            yield command
            command = []


def _run_in_shell(code: str, folder: Path) -> None:
    with _service(code) as service:
        scripts = Path(sys.executable).parent
        environment = {
            "AITOEARN_API_KEY": service.api_key,
            "AITOEARN_BASE_URL": service.url,
            "AITOEARN_PRIVATE_MEDIA": "1",
            "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(folder),
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", code],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
    assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"


@contextlib.contextmanager
def _service(text: str) -> Iterator[Emulator]:
    """An emulator in real time, in a thread of its own, with the tasks that a text names.

    What is submitted has ended when it is first asked about: pages are right, and not slow.
    """
    started: SimpleQueue[tuple[Emulator, asyncio.AbstractEventLoop, asyncio.Event]] = SimpleQueue()

    async def serve() -> None:
        enough = asyncio.Event()
        async with Emulator() as service:
            add_tasks(service, text, ended=True)
            service.script("image", "success")
            service.script("video", "SUCCESS")
            started.put((service, asyncio.get_running_loop(), enough))
            await enough.wait()

    def main() -> None:
        with asyncio.Runner() as runner:
            runner.run(serve())

    thread = threading.Thread(target=main)
    thread.start()
    service, loop, enough = started.get(timeout=200)
    try:
        yield service
    finally:
        loop.call_soon_threadsafe(enough.set)
        thread.join()


@functools.cache
def help_of(*command: str) -> str:
    """What the command line says of itself."""
    result = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "100"})
    assert result.exit_code == 0, result.output
    return result.output


def _check_cli(command: list[str]) -> None:
    """The command and its options are in the help."""
    words = [word for word in command[1:3] if word.isalpha()]
    usage = help_of(*words[: 2 if words[0] in ("generate", "edit", "fleet") else 1])
    for word in command[1:]:
        option = word.partition("=")[0]
        if option.startswith("--"):
            assert re.search(rf"(?<!\S){re.escape(option)}\b", usage), f"no {option}"


def _check_pip(command: list[str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert command[1] == "install"
    for word in command[2:]:
        if word.startswith("-"):
            assert word in ("-e", "-q", "-U"), f"no option {word}"
            continue
        if word in _FRAMEWORKS:
            continue
        name, _, extras = word.removesuffix("]").partition("[")
        assert name in (".", project["name"]), f"who is {name}?"
        for extra in filter(None, extras.split(",")):
            assert extra in project["optional-dependencies"], f"no extra [{extra}]"


_FRAMEWORKS = {
    "aiogram",
    "cryptography",
    "discord.py",
    "fastapi",
    "jupyterlab",
    "nonebot-adapter-onebot",
    "nonebot2[fastapi]",
    "uvicorn",
}
"""What recipes are for, by the names a reader installs them with."""


def _check_python(command: list[str]) -> None:
    if command[1:3] == ["-m", "benchmarks"]:
        assert command[3] in {*BENCHMARKS, *COMMANDS}, f"no benchmark: {command[3]}"
    elif command[1:] == ["-m", "tests.docs.translation"]:
        assert (ROOT / "tests/docs/translation.py").is_file()
    elif command[1].startswith(".ci/"):
        assert (ROOT / command[1]).is_file(), f"there is no {command[1]}"
    else:
        assert command[1:] == ["-m", "venv", ".venv"]


def _check_export(command: list[str]) -> None:
    for word in command[1:]:
        name = word.partition("=")[0]
        known = (
            "AITOEARN_API_KEY",
            "AITOEARN_BASE_URL",
            "AITOEARN_PRIVATE_MEDIA",
            "AITOEARN_FLEET",
            "AITOEARN_TELEMETRY",
        )
        assert name in known, f"who reads {name}?"


def _check_zensical(command: list[str]) -> None:
    assert command[1] in ("build", "serve")
    assert (ROOT / command[command.index("-f") + 1]).is_file()


def _check_tool(command: list[str]) -> None:
    for word in command[1:]:
        if "/" in word or word.endswith(".py"):
            assert (ROOT / word).exists(), f"there is no {word}"


def _check_script(command: list[str]) -> None:
    assert (ROOT / command[0]).is_file(), f"there is no {command[0]}"


def _only_shown(command: list[str]) -> None:
    """The recipes' tests do what it does."""


_CHECKS: dict[str, Callable[[list[str]], None]] = {
    "aitoearn-async": _check_cli,
    "pip": _check_pip,
    "curl": _only_shown,
    "opentelemetry-instrument": lambda command: run(" ".join(command[1:]), Path(), run_it=False),
    "uvicorn": _only_shown,
    "python": _check_python,
    "python3": _check_python,
    "export": _check_export,
    "zensical": _check_zensical,
    "pytest": _check_tool,
    "ruff": _check_tool,
    "mypy": _check_tool,
    "basedpyright": _check_tool,
    "pylint": _check_tool,
    "vulture": _check_tool,
    "zizmor": _check_tool,
    "release": _check_script,
    "try-wheel": _check_script,
}
