"""Reporters of waits for a terminal: a table or a bar that is rewritten in place.

What is written while a view is on the screen goes through its console, or it would be lost.
"""

from __future__ import annotations

import sys
from abc import abstractmethod
from collections.abc import Callable
from typing import NoReturn, Self

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from aitoearn_async import AnyTask, Outcome

from ..language import tr
from . import tables, words
from .echo import echo, echo_error, is_tty, on_terminal
from .reporters import GetProgress, GetSnapshots, Reporter, report_error
from .text import shown

_ROWS_BESIDES = 5
"""Heading, `and more`, blank, summary, and the line the cursor is on."""
_PIPE_COLUMNS = 1000
"""The width of a pipe: nothing is ever cut."""


class PipedConsole(Console):
    """A console that leaves a broken pipe to its caller; rich's own exits on the spot."""

    def on_broken_pipe(self) -> NoReturn:
        raise BrokenPipeError


def console() -> Console:
    """Return the console that draws on stdout."""
    width = None if on_terminal() else _PIPE_COLUMNS
    return PipedConsole(highlight=False, markup=False, emoji=False, width=width)


def redrawn(
    on: Console, frame: Callable[[], RenderableType] | None = None, *, erase: bool = False
) -> Live:
    """Return a part of the terminal that is rewritten in place, whenever it is told to be."""
    return Live(
        get_renderable=frame,
        console=on,
        auto_refresh=False,
        transient=erase,
        # A log that stderr was sent to is not to be drawn on the screen.
        redirect_stderr=is_tty(sys.stderr),
    )


class _Redrawn(Reporter):
    """A reporter that draws."""

    def __init__(self, *, erase: bool = False) -> None:
        self._console = console()
        self._live = redrawn(self._console, self._frame, erase=erase)

    @abstractmethod
    def _frame(self) -> RenderableType:
        """Return what is shown now."""

    def __enter__(self) -> Self:
        self._live.start(refresh=True)
        return self

    def __exit__(self, *error: object) -> None:
        self._live.stop()

    def tick(self) -> None:
        self._live.refresh()


class LiveTable(_Redrawn):
    """One line a task; results and failures below it, in full."""

    def __init__(self, get_snapshots: GetSnapshots, *, erase: bool = False) -> None:
        self._get_snapshots = get_snapshots
        super().__init__(erase=erase)

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        # In full and as they are: the table above cuts, and rich would fold an address.
        for snapshot in () if self._live.transient else self._get_snapshots():
            report_error(snapshot)
            if snapshot.ended and snapshot.error is None:
                echo(words.result_line(snapshot))

    def _frame(self) -> RenderableType:
        return tables.wait_table(
            self._get_snapshots(), max(self._console.height - _ROWS_BESIDES, 1)
        )


class LiveBar(_Redrawn):
    """The progress of a long list; above it results and failures, and all failures at the end.

    Args:
        get_progress: Returns how the list stands now.
        bare: Write no outcomes above it, since they are kept elsewhere.
    """

    def __init__(self, get_progress: GetProgress, *, bare: bool) -> None:
        self._get_progress = get_progress
        self._bare = bare
        self._unwritten: list[str] = []
        self._over = False
        super().__init__()

    def __exit__(self, *error: object) -> None:
        self._write()
        self._over = True
        super().__exit__(*error)
        # Failures were far apart above the bar, or not there at all.
        failures = self._get_progress().failures
        if failures and is_tty(sys.stderr):
            for line in (tr("failures:"), *failures):
                echo_error(line)

    def _frame(self) -> RenderableType:
        now = self._get_progress()
        return tables.progress_bar(now._replace(failures=()) if self._over else now)

    def ended(self, outcome: Outcome[AnyTask]) -> None:
        if self._bare:
            return
        if outcome.error is None:
            self._unwritten.append(words.result_line(outcome))
        elif is_tty(sys.stderr):
            self._unwritten.append(shown(words.error_line(outcome.ref, outcome.error)))
        else:
            report_error(outcome)

    def tick(self) -> None:
        self._write()
        super().tick()

    def _write(self) -> None:
        # Many at once: each print draws the bar again.
        if self._unwritten:
            self._console.print(Text("\n".join(self._unwritten)), soft_wrap=True)
            self._unwritten.clear()
