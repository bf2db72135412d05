"""Reporters of waits for a pipe: lines of text, lines of JSON, a log. They follow waits.

Those for a terminal are in `live`; the text comes from `words`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Self

from . import progress, words
from .echo import echo, echo_error
from .progress import Progress
from .snapshot import WaitSnapshot

Look = Callable[[], Sequence[WaitSnapshot]]
"""Returns how all waits stand now."""
ListLook = Callable[[], Progress]
"""Returns how a long list stands now."""

_SECONDS_BETWEEN_LINES = 10.0
"""The time between two lines of a log about a long list."""


class Reporter:
    """Follows waits: entered before the first poll, left after the last. This one is silent."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def changed(self, snapshot: WaitSnapshot) -> None:
        """Report that a running task has a new status."""

    def ended(self, snapshot: WaitSnapshot) -> None:
        """Report that a wait is over."""

    def tick(self) -> None:
        """Report that some time has passed."""


class LineReporter(Reporter):
    """A line for each change of status, as it happens."""

    def changed(self, snapshot: WaitSnapshot) -> None:
        if (line := words.line(snapshot)) is not None:
            echo(line)

    def ended(self, snapshot: WaitSnapshot) -> None:
        self.changed(snapshot)
        report_error(snapshot)


class JsonReporter(Reporter):
    """A line of JSON for each outcome, as it happens."""

    def ended(self, snapshot: WaitSnapshot) -> None:
        echo(snapshot.to_json())
        report_error(snapshot)


class LogReporter(Reporter):
    """A line now and then about a long list as a whole; another reporter gets the outcomes."""

    def __init__(self, look: ListLook, outcomes: Reporter) -> None:
        self._look = look
        self._outcomes = outcomes
        self._next = _SECONDS_BETWEEN_LINES

    def __exit__(self, *error: object) -> None:
        echo_error(progress.line(self._look()))

    def ended(self, snapshot: WaitSnapshot) -> None:
        self._outcomes.ended(snapshot)

    def tick(self) -> None:
        now = self._look()
        if now.elapsed >= self._next:
            self._next = now.elapsed + _SECONDS_BETWEEN_LINES
            echo_error(progress.line(now))


def report_error(snapshot: WaitSnapshot) -> None:
    """Write a line about a wait that did not end in success."""
    if snapshot.error is not None:
        echo_error(words.error_line(snapshot.ref, snapshot.error))
