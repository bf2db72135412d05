"""The times that a task, or its row in a list, tells."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec


class TaskTimes(msgspec.Struct, frozen=True):
    """The facts a task tells of how long such tasks take. Moments are seconds since 1970."""

    model: str | None
    """The model that does the work."""
    submitted: float | None
    """The moment when it was submitted."""
    ended: list[float]
    """The moments when it ended, by each field that tells one. They may differ; go by the last."""


def seconds_of(moment: datetime | None) -> float | None:
    """Return a moment in seconds since 1970."""
    return None if moment is None else moment.timestamp()


def moment_of(value: object) -> datetime | None:
    """Return a moment with its zone, of text or of milliseconds; None if it cannot be read.

    Text without a zone is taken for UTC, wherever it is read.
    """
    try:
        if isinstance(value, str):
            moment = datetime.fromisoformat(value)
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        pass
    return None
