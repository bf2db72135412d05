"""stdout and stderr: the one place that writes lines to them.

Results go to stdout, trouble to stderr.
"""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import sys
from collections.abc import Callable, Generator
from typing import Any, TextIO

import click

from ..language import tr
from .exit_status import ExitStatus
from .text import shown, shown_path

_UNWRITABLE = "aitoearn-async"


def _substitute(error: UnicodeError) -> tuple[str | bytes, int]:
    assert isinstance(error, UnicodeEncodeError)  # nothing is read through it
    text = error.object[error.start : error.end]
    # Bytes of a file's name go out as they are; a character that the locale lacks does not.
    return b"".join(
        bytes([ord(char) - 0xDC00]) if "\udc80" <= char <= "\udcff" else b"?" for char in text
    ), error.end


def prepare_streams() -> None:
    """Let all text be written, whatever the encoding of stdout and stderr."""
    codecs.register_error(_UNWRITABLE, _substitute)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_UNWRITABLE)


def echo(text: str | bytes) -> None:
    """Write a line of results."""
    if sys.stdout is not None:  # a shell may have closed it (`>&-`)
        click.echo(text, sys.stdout)


def echo_error(text: str, clean: Callable[[str], str] = shown) -> None:
    """Write a line about what went wrong, or what is left to do.

    Args:
        text: The line.
        clean: Takes out what a terminal would obey. `shown_path` leaves paths as they are, and is
            for lines without words of the service's.
    """
    # If stderr is full or closed, nobody can be told. The work goes on, and its exit status counts.
    with contextlib.suppress(OSError):
        if sys.stderr is not None:
            click.echo(clean(text), sys.stderr)


def on_terminal() -> bool:
    """Return whether stdout is a terminal that lines can be rewritten on."""
    return is_tty(sys.stdout) and os.environ.get("TERM", "").lower() not in ("dumb", "unknown")


def is_tty(stream: TextIO | None) -> bool:
    """Return whether a stream is a terminal."""
    return stream is not None and stream.isatty()


@contextlib.contextmanager
def spinner(text: str) -> Generator[Callable[[str], None]]:
    """Show that something is under way, on a terminal, for as long as the block takes.

    The block gets a function that changes the text.
    """
    if not is_tty(sys.stderr) or not on_terminal():
        yield lambda _: None
        return
    from rich.console import Console

    terminal: Any = _MayBeGone(sys.stderr)
    with Console(file=terminal, highlight=False, markup=False).status(text) as status:
        yield lambda text: status.update(text, spinner="dots")  # which draws it at once


class _MayBeGone:
    """A terminal that may be closed without ending the work: what is paid for is still named."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError):
            self._stream.write(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.flush()


def report_unusable_file(error: OSError) -> ExitStatus:
    """Write which file cannot be used: stdout, if the error names none."""
    if error.filename is not None:
        echo_error(f"{error.filename}: {error.strerror}", shown_path)
        return ExitStatus.USAGE
    echo_error(tr("stdout cannot be written to: {reason}").format(reason=error.strerror))
    discard_output(sys.stdout)
    return ExitStatus.USAGE


def flush() -> None:
    """Flush both streams. One that cannot be written to does not change the exit status."""
    # A shell may have closed them.
    for stream in filter(None, (sys.stdout, sys.stderr)):
        try:
            stream.flush()
        except OSError:
            discard_output(stream)


def discard_output(stream: TextIO) -> None:
    """Discard whatever is still written to a stream."""
    # Python would try once more at exit to write what is buffered, and complain.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
