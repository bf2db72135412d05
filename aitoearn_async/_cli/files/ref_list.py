"""Lists of tasks: a ref a line, read from a file or from standard input.

For a wait, a list is read to its end before anything starts, so that a bad line is named first. It
is held as text, about 120 bytes a ref: it takes all refs to tell which come twice, and which of
them a results file has already. For a fleet it is read as it comes.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import io
import os
import stat
import sys
from collections.abc import AsyncGenerator, Generator, Iterable, Sequence

import click

from aitoearn_async import parse_ref

from ..language import tr

_OPTION = "'--file'"
_STDIN = "-"
_MOST_NAMED = 5
_CHUNK_BYTES = 64 * 1024
_UTF_16 = dict.fromkeys(map(ord, "\0\udcff\udcfe"))
"""Characters beside the letters of a ref in UTF-16, which `>>` of Windows PowerShell writes."""

Listed = dict[str, None]
"""Refs in their text form: in order, and each once."""


def require_refs(refs: Sequence[object], file: str | None) -> None:
    """Raise `click.UsageError` where neither a task nor a list is named."""
    if not refs and file is None:
        raise click.UsageError(tr("Name a task as REF, or a file of tasks with --file."))


def read(file: str) -> Listed:
    """Return the refs in a file; `-` is standard input.

    Raises:
        click.BadParameter: It cannot be read, or has lines that are not refs.
    """
    try:
        # What is not UTF-8 is let in, to be named with its line as everything else that is no ref.
        with open(
            0 if file == _STDIN else file,
            encoding="utf-8-sig",
            errors="surrogateescape",
            closefd=file != _STDIN,
        ) as lines:
            return refs_in(lines, name_of(file))
    except OSError as error:
        raise click.BadParameter(f"{file}: {error.strerror}", param_hint=_OPTION) from None


async def lines_of(file: str) -> AsyncGenerator[bytes]:
    """Yield the lines of a file as they come, of any length; `-` is standard input.

    Raises:
        OSError: It cannot be read; the error names it.
    """
    with naming(name_of(file)):
        if file == _STDIN and sys.stdin is None:  # a shell has closed it (`<&-`)
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        name = 0 if file == _STDIN else file
        with io.FileIO(name, closefd=name != 0) as raw:
            line = bytearray()
            while chunk := await _chunk(raw.fileno()):
                *ends, beginning = chunk.split(b"\n")
                for end in ends:
                    yield bytes(line + end)
                    line.clear()
                line += beginning
            yield bytes(line)


async def _chunk(file: int) -> bytes:
    """Read a part of a file, once there is one. A disk's files and /dev/null are always ready."""
    mode = os.fstat(file).st_mode
    if sys.platform != "win32" and (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(file)):
        loop, is_ready = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(file, is_ready.set)
        try:
            await is_ready.wait()
        finally:
            loop.remove_reader(file)
    return os.read(file, _CHUNK_BYTES)


def name_of(file: str) -> str:
    """Return what a file is called in messages."""
    return tr("standard input") if file == _STDIN else file


@contextlib.contextmanager
def naming(file: str) -> Generator[None]:
    """Within this block, make errors name a file."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, file) from None


def ref_in(line: str, source: str, number: int) -> str:
    """Return the ref in a line of a list, in its text form; "" if it is blank or a comment.

    Raises:
        ValueError: It has something else, and is named by its number.
    """
    if "\0" in line:
        line = line.translate(_UTF_16)
    text = line.partition("#")[0].strip()
    try:
        if text:
            parse_ref(text)
    except ValueError as error:
        where = tr("{source}, line {number}: {reason}")
        raise ValueError(where.format(source=source, number=number, reason=error)) from None
    return text


def refs_in(lines: Iterable[str], source: str) -> Listed:
    """Return the refs in lines.

    Raises:
        click.BadParameter: Some lines are not refs; it names the first few.
    """
    listed: Listed = {}
    bad: list[str] = []
    for number, line in enumerate(lines, 1):
        try:
            text = ref_in(line, source, number)
        except ValueError as error:
            bad.append(str(error))
            if len(bad) == _MOST_NAMED:
                break
        else:
            if text:
                listed[text] = None
    if bad:
        raise click.BadParameter("\n".join(bad), param_hint=_OPTION)
    return listed
