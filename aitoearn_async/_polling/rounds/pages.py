"""Pages of tasks, as rounds ask for them: what comes, and what is known of the way to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

import msgspec

from ..._verdict import Verdict
from ...contract.endpoints import LogRow
from ...contract.tasks import Task, TaskRef
from .page_scan import SIZES, PageRange, larger, smaller

T = TypeVar("T", bound=Task)

_SLOW, _FAST = 1.0, 0.25
"""Seconds for a page from which on a smaller one is asked for, and up to which a larger one."""
LARGE = 4_000_000
"""Bytes of a page from which on a smaller one is asked for."""


class RowPage(msgspec.Struct, frozen=True):
    """One page of the logs."""

    rows: Sequence[LogRow]
    total: int | None
    seconds: float
    """From when it was asked for, after any waiting for its turn."""
    bytes: int
    retry_after: float | None = None
    """Seconds for which the service says not to ask for another one."""
    is_unchanged: bool = False
    """The service says so; its rows are those of an earlier answer."""


class RouteState(msgspec.Struct):
    """The state of the pages for one kind of task; shared by all batches of a client."""

    gone: bool = False
    """The service has no such route, or refuses it."""
    size: int = 1000
    """Rows to ask for at a time."""
    most: int = 1000
    """Rows that the service gives at a time, however many are asked for."""
    contradictions: int = 0
    list_size: int = 125
    """Rows of the list of whole tasks to ask for at a time; 0: they are too large."""

    def adapt(self, page: RowPage, size: int) -> None:
        """Ask for smaller pages where one was slow or large, for larger ones where it was not."""
        if page.seconds > _SLOW or page.bytes > LARGE:
            self.size = min(self.size, smaller(size))
            return
        is_full = len(page.rows) == size == self.size
        if is_full and page.seconds < _FAST and 2 * page.bytes < LARGE:
            self.size = min(larger(self.size), self.most)

    def note_cut(self, page: RowPage, wanted: PageRange) -> bool:
        """Ask for pages of as many rows as a cut one has. Return whether there are any on it.

        Such pages are asked for from then on, until one shows that the total was wrong.
        """
        rows = len(page.rows)
        if not wanted.is_cut(rows, page.total):
            return False
        self.most = rows or SIZES[0]
        self.size = min(self.size, self.most)
        return rows > 0


class TaskPage(msgspec.Struct, frozen=True):
    """One page of whole tasks."""

    tasks: Sequence[Task]
    rows: int
    seconds: float
    """From when it was asked for, after any waiting for its turn."""
    bytes: int
    sent: float


class PageSource(Protocol):
    """Asks for pages, once each time."""

    def route(self, kind: str) -> RouteState:
        """Return what is known of the route for a kind of task."""
        ...

    async def logs(
        self, kind: str, wanted: PageRange, deadline: float, *, whole: bool
    ) -> RowPage | Verdict:
        """Ask for a page of the logs. `whole`: it has to come whole, though it may be unchanged."""
        ...

    async def draft(self, ref: TaskRef[T], deadline: float) -> T | None:
        """Return a task by another route than its own, if that shows that it has ended."""
        ...

    async def videos(self, number: int, size: int, deadline: float) -> TaskPage | Verdict:
        """Ask for a page of the list of videos."""
        ...
