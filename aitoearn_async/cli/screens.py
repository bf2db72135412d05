"""Where a wait is written to: a live terminal, a pipe, or a reader of JSON.

The streams are in here, and nothing else is: what is written comes from `view`. Results go to
stdout, trouble to stderr.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import NoReturn, Self, TextIO

import typer
from rich.console import Console, RenderableType
from rich.live import Live

from . import view
from .standing import Standing

Look = Callable[[], Sequence[Standing]]
"""Tells how all waits stand now."""

_ROWS_BESIDES = 5
"""Heading, `and more`, blank, summary, and the line the cursor is on."""
_WIDE = 1000
"""Columns of a pipe: nothing is ever cut."""


class PipedConsole(Console):
    """A console that leaves a broken pipe to its caller; rich's own exits on the spot."""

    def on_broken_pipe(self) -> NoReturn:
        raise BrokenPipeError


def console() -> Console:
    """stdout, for renderables."""
    width = None if on_terminal() else _WIDE
    return PipedConsole(highlight=False, markup=False, emoji=False, width=width)


def on_terminal() -> bool:
    """Whether stdout is a terminal that lines can be rewritten on."""
    # rich also takes FORCE_COLOR for a terminal, which CI systems set over pipes.
    return _is_tty(sys.stdout) and Console().is_interactive


def _is_tty(stream: TextIO | None) -> bool:
    # There is no stream at all where a shell has closed it (`>&-`).
    return stream is not None and stream.isatty()


def say(text: str | bytes) -> None:
    """A line of results."""
    typer.echo(text)


def complain(text: str) -> None:
    """A line about what went wrong, or was left."""
    typer.echo(view.shown(text), err=True)


class Screen:
    """Follows waits. Entered before the first poll, left after the last. This one is blank."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        return None

    def changed(self, standing: Standing) -> None:
        """A task still runs, and its status is a new one."""

    def ended(self, standing: Standing) -> None:
        """A wait is over."""

    def draw(self) -> None:
        """Some time has passed."""


class Lines(Screen):
    """A line for each change of status, as it happens."""

    def changed(self, standing: Standing) -> None:
        if (line := view.line(standing)) is not None:
            say(line)

    def ended(self, standing: Standing) -> None:
        self.changed(standing)
        if standing.error is not None:
            complain(view.complaint(standing.ref, standing.error))


class Json(Screen):
    """A line of JSON for each outcome, as it happens."""

    def ended(self, standing: Standing) -> None:
        say(view.outcome_json(standing))
        if standing.error is not None:
            complain(view.complaint(standing.ref, standing.error))


class Terminal(Screen):
    """One line a task, rewritten in place; what was made, and what went wrong, below it.

    Args:
        look: Tells how all waits stand now.
        passing: Leave nothing behind: something better comes afterwards.
    """

    def __init__(self, look: Look, *, passing: bool = False) -> None:
        self._look = look
        self._passing = passing
        self._console = console()
        self._live = Live(
            get_renderable=self._frame,
            console=self._console,
            auto_refresh=False,
            transient=passing,
            # A log that stderr was sent to is not to be drawn on the screen.
            redirect_stderr=_is_tty(sys.stderr),
        )

    def __enter__(self) -> Self:
        self._live.start(refresh=True)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._live.stop()
        if not self._passing:
            self._conclude()

    def draw(self) -> None:
        self._live.refresh()

    def _frame(self) -> RenderableType:
        return view.frame(self._look(), max(self._console.height - _ROWS_BESIDES, 1))

    def _conclude(self) -> None:
        # In full and as they are: the table above cuts, and rich would fold an address.
        for standing in self._look():
            if standing.error is not None:
                complain(view.complaint(standing.ref, standing.error))
            elif standing.task is not None and standing.task.done:
                say(f"{standing.ref} {' '.join(view.results(standing.task))}")


def screen_for(look: Look, *, passing: bool = False) -> Screen:
    """The screen for whoever reads stdout."""
    return Terminal(look, passing=passing) if on_terminal() else Lines()
