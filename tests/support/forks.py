"""Processes that are forked of one which has imported what they need.

An import takes longer than most of what tests do to a process that is to be killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]

# The forked says its own number, so that nothing it says comes before that.
SERVER = """
import importlib, json, os, runpy, sys
for module in json.loads(sys.argv.pop(1)):
    importlib.import_module(module)
program = sys.argv[1]
for line in sys.stdin:
    child = os.fork()
    if not child:
        print(os.getpid(), flush=True)
        sys.argv[1:] = json.loads(line)
        if program.endswith(".py"):
            runpy.run_path(program, run_name="__main__")
        else:
            runpy.run_module(program, run_name="__main__", alter_sys=True)
        sys.exit()
    print(f"ended {os.waitpid(child, 0)[1]}", flush=True)
"""


class Forks:
    """A program that is run again and again, one process at a time.

    Args:
        program: A module, or a file in `cwd` whose name ends with `.py`.
        imports: The modules that all of them need.
        cwd: The folder that they run in.
        env: Their environment, unless it is this process's.
        log: Show what they write to stderr.
    """

    def __init__(
        self,
        program: str,
        imports: list[str],
        *,
        cwd: Path = ROOT,
        env: Mapping[str, str] | None = None,
        log: bool = True,
    ) -> None:
        self._command = [sys.executable, "-c", SERVER, json.dumps(imports), program]
        self._options: dict[str, Any] = {"cwd": cwd, "env": env}
        self._options["stderr"] = None if log else asyncio.subprocess.DEVNULL
        self._id = 0

    async def __aenter__(self) -> Forks:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *self._command, stdin=pipe, stdout=pipe, **self._options
        )
        assert process.stdin is not None
        assert process.stdout is not None
        self._process, self._orders, self._news = process, process.stdin, process.stdout
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._id:
            await self.kill()
        self._orders.close()
        await self._process.wait()

    async def start(self, *args: str) -> None:
        """Start one, when the one before has ended."""
        assert not self._id
        self._orders.write(json.dumps(args).encode() + b"\n")
        self._id = int(await self._news.readline())

    async def line(self) -> str:
        """Return the next line that it prints."""
        line = (await self._news.readline()).decode().rstrip("\n")
        assert not line.startswith("ended "), line
        return line

    async def rest(self) -> tuple[str, int]:
        """Return what it prints until it ends, and its exit status: less than 0 for a signal."""
        said = ""
        while not (line := (await self._news.readline()).decode()).startswith("ended "):
            assert line, "the process that forks is gone"
            said += line
        self._id = 0
        return said, os.waitstatus_to_exitcode(int(line.split()[1]))

    async def kill(self) -> bool:
        """Kill it. Return whether it had not ended before."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._id, signal.SIGKILL)
        return (await self.rest())[1] == -signal.SIGKILL
