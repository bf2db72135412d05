"""The times that a task, or its row in a list, tells."""

from __future__ import annotations

from datetime import datetime

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
