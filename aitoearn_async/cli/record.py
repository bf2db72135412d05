"""A results file: outcomes, one a line, added by one run after the other and never two at once.

Each line is handed to the system whole and at once, so it outlives the process, however that
ends. What a killed run left unfinished is cut off before the next one adds anything. How a
line is made is in `view`; here no more than its `ref` and `state` are read.
"""

from __future__ import annotations

import io
import os
import stat
import sys
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
import typer

from aitoearn_async import TaskState

from .lists import Listed
from .standing import Exit

OPTION = "--out"

_FINAL = {TaskState.SUCCEEDED: Exit.SUCCEEDED, TaskState.FAILED: Exit.FAILED}
_OPENING = b'{"ref":"'
"""What a line begins with. An end of a file that does not is somebody else's, and not cut."""


class Line(msgspec.Struct):
    """What of an outcome matters to a later run."""

    ref: str
    state: TaskState | None
    paths: list[str] = []
    """The files that were saved."""

    def is_final(self, directory: Path | None) -> bool:
        """Whether there is nothing left to do: the task has ended, and its files are there.

        Args:
            directory: Where they have to be; None if nobody wants them.
        """
        if directory is None or self.state is not TaskState.SUCCEEDED:
            return self.state in _FINAL
        names = [os.path.basename(path) for path in self.paths]
        return bool(names) and all((directory / name).is_file() for name in names)


_decoder = msgspec.json.Decoder(Line)


class Record:
    """A results file, open and locked.

    Args:
        path: The file. Where there is none, it is made.

    Raises:
        typer.BadParameter: It cannot be used, or another run is using it.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            self._file = io.FileIO(path, "a+")
        except OSError as error:
            raise self._refused(error.strerror or "it cannot be opened") from None
        try:
            if not stat.S_ISREG(os.fstat(self._file.fileno()).st_mode):
                raise self._refused("it is no regular file")
            if not _lock(self._file):
                raise self._refused("another run is writing to it")
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    def strike_off(self, listed: Listed, directory: Path | None = None) -> Counter[Exit]:
        """Take off a list what has ended for good, and see that the last line is whole.

        Args:
            listed: The list.
            directory: Where files are to be saved. A task that succeeded stays on the list
                where any of them is not there.

        Returns:
            How many of the list succeeded, and how many failed.

        Raises:
            typer.BadParameter: Something in the file is no outcome.
        """
        ends: Counter[Exit] = Counter()
        end, whole = 0, True
        self._file.seek(0)
        with open(self._file.fileno(), "rb", closefd=False) as lines:
            for number, text in enumerate(lines, 1):
                line = self._read(number, text)
                if line is None:
                    break
                end, whole = end + len(text), text.endswith(b"\n")
                if line.state and line.is_final(directory) and line.ref in listed:
                    del listed[line.ref]
                    ends[_FINAL[line.state]] += 1
        self._file.truncate(end)
        if not whole:
            self.append(b"")
        return ends

    def _read(self, number: int, text: bytes) -> Line | None:
        """A line of the file; None for the first part of one."""
        try:
            return _decoder.decode(text)
        except (ValueError, RecursionError):
            if not text.endswith(b"\n") and text[: len(_OPENING)] == _OPENING[: len(text)]:
                return None
            raise self._refused(f"line {number} is no outcome of a wait") from None

    def append(self, line: bytes) -> None:
        """Add a line.

        Raises:
            OSError: It cannot be written.
        """
        rest = memoryview(line + b"\n")
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            raise OSError(error.errno, error.strerror, self.path) from None

    def _refused(self, why: str) -> typer.BadParameter:
        return typer.BadParameter(f"{self.path}: {why}", param_hint=OPTION)


if sys.platform == "win32":  # pragma: no cover

    def _lock(file: io.FileIO) -> bool:
        """Nothing to lock with that would not keep others from reading."""
        return True

else:
    import fcntl

    def _lock(file: io.FileIO) -> bool:
        """Keep other runs out, until the file is closed or the process ends in any way."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # a file system without locks
            return True
        return True
