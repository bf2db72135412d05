"""Where a wait is written to: a live terminal, a pipe, or a reader of JSON.

The streams are in here, and nothing else is: what is written comes from `view`. Results go to
stdout, trouble to stderr.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import NoReturn, Self, TextIO

import typer
from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from . import progress, view
from .standing import Standing

Look = Callable[[], Sequence[Standing]]
"""Tells how all waits stand now."""
Glance = Callable[[], progress.Progress]
"""Tells how a long list stands now."""

_ROWS_BESIDES = 5
"""Heading, `and more`, blank, summary, and the line the cursor is on."""
_WIDE = 1000
"""Columns of a pipe: nothing is ever cut."""
_BETWEEN_NOTES = 10.0
"""Seconds between two lines of a log about a long list."""


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
    # A disk that is full, a reader who has left: there is nowhere left to say so, and what is
    # being done, and its status, count all the same.
    with contextlib.suppress(OSError):
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


class Notes(Screen):
    """A line now and then on how a long list stands, beside what another screen makes of it.

    Args:
        look: Tells how the list stands now.
        outcomes: Where outcomes go.
    """

    def __init__(self, look: Glance, outcomes: Screen) -> None:
        self._look = look
        self._outcomes = outcomes
        self._next = _BETWEEN_NOTES

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        complain(progress.line(self._look()))

    def ended(self, standing: Standing) -> None:
        self._outcomes.ended(standing)

    def draw(self) -> None:
        now = self._look()
        if now.elapsed >= self._next:
            self._next = now.elapsed + _BETWEEN_NOTES
            complain(progress.line(now))


class Redrawn(Screen):
    """A part of the terminal that is rewritten in place.

    Args:
        frame: Makes what is shown now, for a terminal of so many rows.
        passing: Leave nothing behind: something better comes afterwards.
    """

    def __init__(self, frame: Callable[[int], RenderableType], *, passing: bool = False) -> None:
        self._console = console()
        self._live = Live(
            get_renderable=lambda: frame(self._console.height),
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

    def draw(self) -> None:
        self._live.refresh()


class Terminal(Redrawn):
    """One line a task; what was made, and what went wrong, below it.

    Args:
        look: Tells how all waits stand now.
        passing: Leave nothing behind: something better comes afterwards.
    """

    def __init__(self, look: Look, *, passing: bool = False) -> None:
        self._look = look
        self._passing = passing
        super().__init__(self._frame, passing=passing)

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        super().__exit__(exc_type, exc, traceback)
        if not self._passing:
            self._conclude()

    def _frame(self, height: int) -> RenderableType:
        return view.frame(self._look(), max(height - _ROWS_BESIDES, 1))

    def _conclude(self) -> None:
        # In full and as they are: the table above cuts, and rich would fold an address.
        for standing in self._look():
            if standing.error is not None:
                complain(view.complaint(standing.ref, standing.error))
            elif standing.ended:
                say(view.made(standing))


class Bar(Redrawn):
    """How far a long list is; above it, if wanted, what was made and what went wrong.

    Args:
        look: Tells how the list stands now.
        bare: Leave the outcomes out: they are kept elsewhere.
    """

    def __init__(self, look: Glance, *, bare: bool) -> None:
        self._bare = bare
        self._unsaid: list[str] = []
        super().__init__(lambda _: progress.frame(look()))

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._say()
        super().__exit__(exc_type, exc, traceback)

    def ended(self, standing: Standing) -> None:
        if self._bare:
            return
        if standing.error is not None:
            complain(view.complaint(standing.ref, standing.error))
        else:
            self._unsaid.append(view.made(standing))

    def draw(self) -> None:
        self._say()
        super().draw()

    def _say(self) -> None:
        # Many at once: each print draws the bar again.
        if self._unsaid:
            self._console.print(Text("\n".join(self._unsaid)), soft_wrap=True)
            self._unsaid.clear()


def screen_for(look: Look, *, as_json: bool = False, passing: bool = False) -> Screen:
    """The screen for a handful of tasks, and whoever reads stdout."""
    if as_json:
        return Json()
    return Terminal(look, passing=passing) if on_terminal() else Lines()


def screen_for_list(look: Glance, *, as_json: bool, recorded: bool) -> Screen:
    """The screen for a long list, and whoever reads stdout.

    Args:
        look: Tells how the list stands now.
        as_json: Whether outcomes are wanted as JSON.
        recorded: Whether a file has the outcomes, so that stdout need not.
    """
    if on_terminal() and (recorded or not as_json):
        return Bar(look, bare=recorded)
    if recorded:
        return Notes(look, Screen())
    return Notes(look, Json() if as_json else Lines())
