"""Wait for a long list of tasks, and tell a reporter how it goes.

Of a task that has ended its count is kept, and a line if it did not succeed.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque

from aitoearn_async import AiToEarnError, AnyTask, Batch, Outcome

from ..files.results_file import ResultsFile
from ..report.exit_status import ExitStatus
from ..report.progress import Progress, Throughput, time_left
from ..report.reporters import Reporter
from ..report.snapshot import exit_status_of
from ..report.words import error_line
from .watch import ticking

_MOST_FAILURES = 1000
"""Lines kept about tasks that did not succeed: the latest ones."""


class BatchRun:
    """A list that is being waited for.

    Args:
        batch: The waits, not begun.
        total: The number of tasks on the list, those of earlier runs too.
        ends: The ends of those of earlier runs.
        results: The file that outcomes are kept in.
    """

    def __init__(
        self,
        batch: Batch[AnyTask],
        total: int,
        ends: Counter[ExitStatus],
        results: ResultsFile | None,
    ) -> None:
        self._batch = batch
        self._total = total
        self._ends = ends.copy()
        self._results = results
        self._failures: deque[str] = deque(maxlen=_MOST_FAILURES)
        self._pace = Throughput()
        self._began = time.monotonic()

    def progress(self) -> Progress:
        """Return how the list stands now."""
        now, ended = time.monotonic(), self._ends.total()
        self._pace.note(now, ended)
        statistics = self._batch.statistics()
        by_pace = time_left(self._pace.samples, self._total - ended)
        steady = None if by_pace is None else (by_pace, by_pace)
        return Progress(
            total=self._total,
            ends=self._ends.copy(),
            statistics=statistics,
            elapsed=now - self._began,
            # By the ages of the tasks, or else by how fast they end.
            time_left=statistics.time_left or steady,
            failures=tuple(self._failures),
        )

    async def run(self, reporter: Reporter) -> AiToEarnError | OSError | None:
        """Wait for all of them; return what ended it early: an invalid key, a full disk."""
        async with ticking(reporter):
            try:
                async with self._batch as batch:
                    await self._take_all(batch, reporter)
                if self._results is not None:
                    self._results.check()
            except AiToEarnError as error:
                return error
            except OSError as error:
                if error.filename is None:
                    raise  # the reporter's: stdout is full, or nobody looks any more
                return error
        return None

    async def _take_all(self, batch: Batch[AnyTask], reporter: Reporter) -> None:
        try:
            async for outcome in batch:
                self._take(outcome, reporter)
        except asyncio.CancelledError:
            # What has ended is not to be asked for again.
            while batch.statistics().ready:
                self._take(await anext(batch), reporter)
            raise

    def _take(self, outcome: Outcome[AnyTask], reporter: Reporter) -> None:
        if self._results is not None:
            self._results.append(outcome.to_json())
        self._ends[exit_status_of(outcome.error)] += 1
        if outcome.error is not None:
            self._failures.append(error_line(outcome.ref, outcome.error))
        reporter.ended(outcome)
