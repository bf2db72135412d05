"""How a wait stands at one moment, and what exit status that makes. Data, no output."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from aitoearn_async import (
    AiToEarnError,
    AnyTask,
    DownloadError,
    Outcome,
    ServiceUnreachableError,
    SubmitUncertainError,
    TaskFailedError,
    TaskRef,
    TaskState,
    Waiter,
    WaitTimeoutError,
)


class Exit(enum.IntEnum):
    """Exit statuses. Of those a wait can end with, the higher is the more serious."""

    SUCCEEDED = 0
    FAILED = 1
    USAGE = 2
    GAVE_UP = 3
    SERVICE = 4
    UNCERTAIN = 5
    NOT_SAVED = 6
    INTERRUPTED = 130
    BROKEN_PIPE = 141


_EXITS: tuple[tuple[type[Exception], Exit], ...] = (
    (TaskFailedError, Exit.FAILED),
    (WaitTimeoutError, Exit.GAVE_UP),
    (ServiceUnreachableError, Exit.GAVE_UP),
    (SubmitUncertainError, Exit.UNCERTAIN),
    (DownloadError, Exit.NOT_SAVED),
    (AiToEarnError, Exit.SERVICE),
    (OSError, Exit.USAGE),
)


class Standing(NamedTuple):
    """One task as far as it is known, and how asking for it goes."""

    ref: TaskRef[AnyTask]
    task: AnyTask | None
    """As of the last good poll."""
    trouble: str | None
    """What the last poll met instead of an answer, in two or three words."""
    polls: int
    elapsed: float
    error: AiToEarnError | None = None
    """How the wait ended, if not in success."""
    paths: tuple[Path, ...] = ()
    """The files that were saved."""
    saving: bool = False
    """Whether its files are on their way."""

    @property
    def ended(self) -> bool:
        """Whether nothing more is done."""
        if self.saving:
            return False
        return self.error is not None or (self.task is not None and self.task.done)

    @property
    def exit(self) -> Exit:
        """The exit status this end makes."""
        return exit_of(self.error)


def standing_of(waiter: Waiter[Any], error: AiToEarnError | None = None) -> Standing:
    """How a wait stands now.

    Args:
        waiter: The wait.
        error: What it ended with, if it raised.
    """
    task: AnyTask | None = waiter.latest
    return Standing(
        ref=waiter.ref,
        task=task,
        trouble=waiter.trouble.label if waiter.trouble else None,
        polls=waiter.polls,
        elapsed=waiter.elapsed,
        error=error or failure_of(task),
    )


def standing_after(outcome: Outcome[AnyTask]) -> Standing:
    """How a wait stood at its end."""
    return Standing(
        ref=outcome.ref,
        task=outcome.task,
        trouble=None,
        polls=outcome.polls,
        elapsed=outcome.elapsed,
        error=outcome.error,
        paths=outcome.paths,
    )


def failure_of(task: AnyTask | None) -> TaskFailedError | None:
    """The error that a failed task is."""
    return TaskFailedError(task) if task is not None and task.state is TaskState.FAILED else None


def exit_of(error: Exception | None) -> Exit:
    """The exit status for an error, or for none."""
    return next((exit for kind, exit in _EXITS if isinstance(error, kind)), Exit.SUCCEEDED)


def worst(ends: Iterable[Exit]) -> Exit:
    """The exit status of a command that met all of these ends."""
    return max(ends, default=Exit.SUCCEEDED)
