"""The state of a wait at one moment, and the exit status of its end. Data, no output."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from aitoearn_async import (
    AiToEarnError,
    AnyTask,
    DownloadError,
    Outcome,
    ServiceUnreachableError,
    SubmitUncertainError,
    TaskFailedError,
    TaskState,
    Waiter,
    WaitTimeoutError,
)

from .exit_status import ExitStatus

_STATUSES: tuple[tuple[type[Exception], ExitStatus], ...] = (
    (TaskFailedError, ExitStatus.FAILED),
    (WaitTimeoutError, ExitStatus.GAVE_UP),
    (ServiceUnreachableError, ExitStatus.GAVE_UP),
    (SubmitUncertainError, ExitStatus.UNCERTAIN),
    (DownloadError, ExitStatus.NOT_SAVED),
    (AiToEarnError, ExitStatus.SERVICE),
    (OSError, ExitStatus.USAGE),
    (ValueError, ExitStatus.USAGE),
)


class WaitSnapshot(Outcome[AnyTask], frozen=True, kw_only=True):
    """The outcome of a wait as far as it is known, and how the wait goes."""

    ended: bool
    """True once nothing more is done: False while files of an ended task are saved."""
    trouble: str | None = None
    """The trouble of the last poll, in two or three words."""
    time_left: tuple[float, float] | None = None
    """Seconds in which it is likely to end, at the earliest and at the latest."""

    @property
    def status(self) -> ExitStatus:
        """The exit status that this end makes."""
        return exit_status_of(self.error)


def snapshot_of(waiter: Waiter[Any]) -> WaitSnapshot:
    """Return how a wait that goes on stands now."""
    now, expected = datetime.now(UTC), waiter.expected_end
    return WaitSnapshot(
        ref=waiter.ref,
        task=waiter.latest,
        ended=False,
        trouble=waiter.trouble.label if waiter.trouble else None,
        polls=waiter.polls,
        elapsed=waiter.elapsed,
        error=None,
        time_left=expected
        and ((expected[0] - now).total_seconds(), (expected[1] - now).total_seconds()),
    )


def failure_of(task: AnyTask) -> TaskFailedError | None:
    """Return the error for a failed task; None for any other task."""
    return TaskFailedError(task) if task.state is TaskState.FAILED else None


def exit_status_of(error: Exception | None) -> ExitStatus:
    """Return the exit status for an error, or for none."""
    found = (status for kind, status in _STATUSES if isinstance(error, kind))
    return next(found, ExitStatus.SUCCEEDED)
