"""The service's date, which runs on with the event loop's clock, virtual or not."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

_1970 = datetime.fromtimestamp(0, UTC)


class Calendar:
    """The dates of moments on the event loop's clock; `start`: when it is first asked."""

    def __init__(self, start: datetime | None) -> None:
        self._start = start.replace(tzinfo=UTC) if start and start.tzinfo is None else start
        self._epoch: float | None = None

    def epoch(self, now: float) -> float:
        """Return the seconds since 1970 at which the loop's clock says 0."""
        if self._epoch is None:
            start = time.time() if self._start is None else self._start.timestamp()
            self._epoch = start - now
        return self._epoch

    def date(self, at: float) -> datetime:
        """Return the date of a moment."""
        return _1970 + timedelta(seconds=self.epoch(at) + at)

    def moment(self, at: float) -> str:
        """Return that date as the service writes it: ISO 8601, with milliseconds."""
        return self.date(at).isoformat(timespec="milliseconds").replace("+00:00", "Z")
