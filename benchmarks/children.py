"""Processes of these benchmarks: those that say their figures at the end, and those that obey."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def command_of(module: str, *arguments: object) -> list[str]:
    """Return the command that runs one of our modules, without warnings of peers."""
    return [sys.executable, "-W", "ignore", "-m", f"benchmarks.{module}", *map(str, arguments)]


def output_of(module: str, *arguments: object, cwd: Path | None = None) -> bytes:
    """Run a module to its end, and return what it printed."""
    command = command_of(module, *arguments)
    return subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, check=True).stdout


class Child:
    """A process that answers each line it is given with a line. It ends when it is closed."""

    def __init__(self, module: str, *arguments: object, cwd: Path | None = None) -> None:
        self._process = subprocess.Popen(
            command_of(module, *arguments),
            cwd=cwd,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def line(self) -> str:
        """Return the next line that it prints; nothing if it has ended."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def ask(self, *words: object) -> str:
        """Give it a line, and return the next one that it prints."""
        assert self._process.stdin is not None
        self._process.stdin.write(" ".join(map(str, words)) + "\n")
        self._process.stdin.flush()
        return self.line()

    def close(self) -> str:
        """Close its standard input, wait for its end, and return what else it printed."""
        return self._process.communicate()[0]
