"""Waits for a long list of tasks, and tells a screen how it goes. Writes to no stream itself.

Of a task that has ended its count is kept, and a line of the latest few that went wrong.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque

from aitoearn_async import AiToEarnError, AnyTask, Batch, Outcome

from .progress import Pace, Progress
from .record import Record
from .screens import Screen
from .standing import Exit, standing_after
from .view import complaint, outcome_json
from .watch import drawn

_FAILURES_KEPT = 4


class Sweep:
    """A list that is being waited for.

    Args:
        batch: The waits, not begun.
        total: How many tasks are on the list, those of earlier runs too.
        ends: What came of these.
        record: Where outcomes are kept.
    """

    def __init__(
        self, batch: Batch[AnyTask], total: int, ends: Counter[Exit], record: Record | None
    ) -> None:
        self._batch = batch
        self._total = total
        self._ends = ends.copy()
        self._record = record
        self._failures: deque[str] = deque(maxlen=_FAILURES_KEPT)
        self._pace = Pace()
        self._began = time.monotonic()

    def look(self) -> Progress:
        """How the list stands now."""
        now, ended = time.monotonic(), self._ends.total()
        self._pace.note(now, ended)
        return Progress(
            total=self._total,
            ends=self._ends.copy(),
            statistics=self._batch.statistics(),
            elapsed=now - self._began,
            time_left=self._pace.time_left(self._total - ended),
            failures=tuple(self._failures),
        )

    async def run(self, screen: Screen) -> AiToEarnError | OSError | None:
        """Wait for all of them.

        Returns:
            What ended the whole of it early: a key that is not valid, a disk that is full.
        """
        async with drawn(screen):
            try:
                async with self._batch as batch:
                    await self._take_all(batch, screen)
            except BrokenPipeError:
                raise  # the screen's: nobody looks any more
            except (AiToEarnError, OSError) as error:
                return error
        return None

    async def _take_all(self, batch: Batch[AnyTask], screen: Screen) -> None:
        try:
            async for outcome in batch:
                self._take(outcome, screen)
        except asyncio.CancelledError:
            # What has ended is not to be asked for again.
            while batch.statistics().ready:
                self._take(await anext(batch), screen)
            raise

    def _take(self, outcome: Outcome[AnyTask], screen: Screen) -> None:
        standing = standing_after(outcome)
        if self._record is not None:
            self._record.append(outcome_json(standing))
        self._ends[standing.exit] += 1
        if standing.error is not None:
            self._failures.append(complaint(standing.ref, standing.error))
        screen.ended(standing)
