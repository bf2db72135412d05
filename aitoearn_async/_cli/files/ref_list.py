"""Lists of tasks: a ref a line, read from a file or from standard input.

A list is read to its end before anything starts, so that a bad line is named first. It is held
as text, about 120 bytes a ref: it takes all refs to tell which come twice, and which of them a
results file has already.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import click

from aitoearn_async import parse_ref

from ..language import tr

_OPTION = "'--file'"
_STDIN = "-"
_MOST_NAMED = 5
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
            return refs_in(lines, tr("standard input") if file == _STDIN else file)
    except OSError as error:
        raise click.BadParameter(f"{file}: {error.strerror}", param_hint=_OPTION) from None


def without_comment(line: str) -> str:
    """Return a line of a list up to its `#`, and without blanks around it."""
    if "\0" in line:
        line = line.translate(_UTF_16)
    return line.partition("#")[0].strip()


def refs_in(lines: Iterable[str], source: str) -> Listed:
    """Return the refs in lines.

    Raises:
        click.BadParameter: Some lines are not refs; it names the first few.
    """
    listed: Listed = {}
    bad: list[str] = []
    for number, line in enumerate(lines, 1):
        text = without_comment(line)
        if not text or text in listed:
            continue
        try:
            parse_ref(text)
        except ValueError as error:
            where = tr("{source}, line {number}: {reason}")
            bad.append(where.format(source=source, number=number, reason=error))
            if len(bad) == _MOST_NAMED:
                break
        else:
            listed[text] = None
    if bad:
        raise click.BadParameter("\n".join(bad), param_hint=_OPTION)
    return listed
