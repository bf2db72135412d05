"""A results file: outcomes, one a line, added by one run after the other and never two at once.

Each line is handed to the system whole and at once, so it outlives the process, however that
ends. The next run cuts off what a killed run left unfinished. The text of a line is made
elsewhere; its `ref`, `state` and `paths` are read here.
"""

from __future__ import annotations

import errno
import io
import os
import stat
import sys
from collections import Counter
from pathlib import Path
from typing import Self

import click
import msgspec

from aitoearn_async import TaskState

from ..language import tr
from .ref_list import Listed, naming

_OPENING = b'{"ref":"'
"""The first bytes of a line. A last line that begins otherwise is somebody else's, and is not cut
off."""
_FINAL = (TaskState.SUCCEEDED, TaskState.FAILED)


class ResultsFileLostError(OSError):
    """The file is no longer at its path, or no longer has all that was written to it."""


class _ResultLine(msgspec.Struct):
    """The part of an outcome that matters to a later run."""

    ref: str
    state: TaskState | None
    paths: list[str] = []
    """The files that were saved."""

    def is_final(self, directory: Path | None) -> bool:
        """Return whether the task has ended, and its files are in the directory that wants them."""
        if directory is None or self.state is not TaskState.SUCCEEDED:
            return self.state in _FINAL
        names = [os.path.basename(path) for path in self.paths]
        return bool(names) and all((directory / name).is_file() for name in names)


_decoder = msgspec.json.Decoder(_ResultLine)


class ResultsFile:
    """A results file, open and locked.

    Args:
        path: The file. It is made if it is not there.

    Raises:
        click.BadParameter: It cannot be used, or another run is using it.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            self._file = io.FileIO(path, "a+")
        except OSError as error:
            raise self._refused(error.strerror or tr("it cannot be opened")) from None
        try:
            self._opened = os.fstat(self._file.fileno())
            if not stat.S_ISREG(self._opened.st_mode):
                raise self._refused(tr("it is not a regular file"))
            if not _lock(self._file):
                raise self._refused(tr("another run is writing to it"))
        except BaseException:
            self._file.close()
            raise
        self._size = self._opened.st_size

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def drop_finished(self, listed: Listed, directory: Path | None = None) -> Counter[TaskState]:
        """Remove from a list the tasks that have ended for good; cut off a line that is not whole.

        Of several lines for a task the last one counts.

        Args:
            listed: The list.
            directory: The directory for files. A task that succeeded stays on the list if any
                of its files is not there.

        Returns:
            The numbers of those that succeeded, and that failed.

        Raises:
            click.BadParameter: Something in the file is not an outcome.
        """
        ended: dict[str, TaskState] = {}
        end, whole = 0, True
        self._file.seek(0)
        with naming(self.path), open(self._file.fileno(), "rb", closefd=False) as lines:
            for number, text in enumerate(lines, 1):
                line = self._read(number, text)
                if line is None:
                    self._file.truncate(end)
                    break
                end, whole = end + len(text), text.endswith(b"\n")
                if line.ref not in listed and line.ref not in ended:
                    continue
                if line.state and line.is_final(directory):
                    listed.pop(line.ref, None)
                    ended[line.ref] = line.state
                else:
                    ended.pop(line.ref, None)
                    listed[line.ref] = None
        self._size = end
        if not whole:
            self.append(b"")
        return Counter(ended.values())

    def _read(self, number: int, text: bytes) -> _ResultLine | None:
        """Return a line of the file; None for the beginning of one that was cut off."""
        try:
            return _decoder.decode(text)
        except (ValueError, RecursionError):
            if not text.endswith(b"\n") and text[: len(_OPENING)] == _OPENING[: len(text)]:
                return None
            raise self._refused(
                tr("line {number} is not an outcome of a wait").format(number=number)
            ) from None

    def append(self, line: bytes) -> None:
        """Add a line.

        Raises:
            OSError: It cannot be written.
            ResultsFileLostError: As in `check`.
        """
        self.check()
        rest = memoryview(line + b"\n")
        with naming(self.path):
            while rest:
                written = self._file.write(rest)
                self._size += written
                rest = rest[written:]

    def check(self) -> None:
        """Check that all that was written is still at the path.

        Raises:
            ResultsFileLostError: Another file is at the path, or none, or it has been cut.
        """
        try:
            found = os.stat(self.path)
        except OSError:
            raise self._lost(tr("deleted or moved")) from None
        if not os.path.samestat(found, self._opened):
            raise self._lost(tr("replaced by another file"))
        if found.st_size < self._size:
            raise self._lost(tr("cut"))

    def _lost(self, happened: str) -> ResultsFileLostError:
        text = tr("it was {happened} while this run was writing to it").format(happened=happened)
        return ResultsFileLostError(errno.EIO, text, self.path)

    def _refused(self, why: str) -> click.BadParameter:
        return click.BadParameter(f"{self.path}: {why}", param_hint="'--out'")


if sys.platform == "win32":  # pragma: no cover

    def _lock(file: io.FileIO) -> bool:
        """Lock nothing: a lock would keep others from reading."""
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
