"""Reporters, which follow waits, for a pipe. Those for a terminal are in `live`.

Which one suits stdout is said in `choice`; the text comes from `words`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Self

from aitoearn_async import AnyTask, Outcome

from . import progress, words
from .echo import echo, echo_error
from .progress import Progress
from .snapshot import WaitSnapshot

GetSnapshots = Callable[[], Sequence[WaitSnapshot]]
"""Returns how all waits stand now."""
GetProgress = Callable[[], Progress]
"""Returns how a long list stands now."""

_SECONDS_BETWEEN_LINES = 10.0
"""The time between two lines of a log about a long list."""


class Reporter:
    """Follows waits: entered before the first poll, left after the last. This one is silent."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def changed(self, outcome: Outcome[AnyTask]) -> None:
        """Report that a running task has a new status."""

    def ended(self, outcome: Outcome[AnyTask]) -> None:
        """Report that a wait is over."""

    def tick(self) -> None:
        """Report that some time has passed."""


class LineReporter(Reporter):
    """A line for each change of status, as it happens."""

    def changed(self, outcome: Outcome[AnyTask]) -> None:
        if (line := words.change_line(outcome)) is not None:
            echo(line)

    def ended(self, outcome: Outcome[AnyTask]) -> None:
        self.changed(outcome)
        report_error(outcome)


class JsonReporter(Reporter):
    """A line of JSON for each outcome, as it happens."""

    def ended(self, outcome: Outcome[AnyTask]) -> None:
        echo(outcome.to_json())
        report_error(outcome)


class LogReporter(Reporter):
    """A line now and then about a long list as a whole; another reporter gets the outcomes."""

    def __init__(self, get_progress: GetProgress, outcomes: Reporter) -> None:
        self._get_progress = get_progress
        self._outcomes = outcomes
        self._next = _SECONDS_BETWEEN_LINES

    def __exit__(self, *error: object) -> None:
        echo_error(progress.progress_line(self._get_progress()))

    def ended(self, outcome: Outcome[AnyTask]) -> None:
        self._outcomes.ended(outcome)

    def tick(self) -> None:
        now = self._get_progress()
        if now.elapsed >= self._next:
            self._next = now.elapsed + _SECONDS_BETWEEN_LINES
            echo_error(progress.progress_line(now))


def report_error(outcome: Outcome[AnyTask]) -> None:
    """Write a line about a wait that did not end in success."""
    if outcome.error is not None:
        echo_error(words.error_line(outcome.ref, outcome.error))
