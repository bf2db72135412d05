"""Lists of tasks: a ref a line, read from a file or from standard input.

A list is read to its end before anything starts, so that a bad line is named first. It is held
as text, about 120 bytes a ref: only who knows all refs can tell which come twice, and which of
them a results file has already. Whether a task has ended is not known here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TextIO

import typer

from aitoearn_async import parse_ref

OPTION = "--file"
STDIN = "-"
_MOST_NAMED = 5

Listed = dict[str, None]
"""Refs in their text form: in order, and each once."""


def read(file: str) -> Listed:
    """The refs in a file; `-` is standard input.

    Raises:
        typer.BadParameter: It cannot be read, or has lines that are no refs.
    """
    try:
        with _opened(file) as lines:
            return refs_in(lines, "standard input" if file == STDIN else file)
    except OSError as error:
        raise typer.BadParameter(f"{file}: {error.strerror}", param_hint=OPTION) from None


def _opened(file: str) -> TextIO:
    # What is not UTF-8 is let in, to be named with its line as everything else that is no ref.
    return open(
        0 if file == STDIN else file,
        encoding="utf-8-sig",
        errors="surrogateescape",
        closefd=file != STDIN,
    )


def refs_in(lines: Iterable[str], source: str) -> Listed:
    """The refs in lines. From a `#` on a line is a comment.

    Raises:
        typer.BadParameter: Some lines are no refs; it names the first few.
    """
    listed: Listed = {}
    bad: list[str] = []
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        if not text or text in listed:
            continue
        try:
            parse_ref(text)
        except ValueError as error:
            bad.append(f"{source}, line {number}: {error}")
            if len(bad) == _MOST_NAMED:
                break
        else:
            listed[text] = None
    if bad:
        raise typer.BadParameter("\n".join(bad), param_hint=OPTION)
    return listed
