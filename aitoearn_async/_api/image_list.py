"""The caller's image tasks, newest first, from the service's logs: ids and states, page by page.

The logs hold no prompt and no result: `client.get` brings a whole task. The route is not among
the published ones.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from .._polling.awaitables import not_an_end
from .._polling.rounds.page_scan import PageRange
from .._runtime.bounded_dict import BoundedDict
from ..contract.endpoints import LOGS, LogRow, log_decoder
from ..contract.image_tasks import ImageRef
from ..contract.status import TaskState, state_of
from ..contract.tasks import is_id

if TYPE_CHECKING:
    from .caller import ApiCaller

_MOST_SEEN = 10_000
"""Rows that are known again, where tasks made meanwhile push them onto the next page."""


class ListedImage(msgspec.Struct, frozen=True):
    """A row of the list: an image task, without its prompt and its images."""

    ref: ImageRef
    """The task, for `client.get` or `client.wait_for`."""
    status: str
    """The service's own word."""
    model: str | None = None
    """The model that does the work."""
    created_at: datetime | None = None
    """The time of the submit."""
    duration_ms: float | None = None
    """The time that the work took, in milliseconds. Only on tasks that have ended."""

    @property
    def id(self) -> str:
        """The id of the task."""
        return self.ref.id

    @property
    def state(self) -> TaskState:
        """The meaning of `status`: running, succeeded or failed."""
        return state_of(self.status)


class ImageList(AsyncIterator[ListedImage]):
    """The caller's image tasks, newest first, made by `Client.list_images`.

        async for row in client.list_images():
            print(row.ref, row.status)

    It holds one page and nothing else, so it can be left at any time. After an error the
    iteration can be taken up again where it was.

    Attributes:
        total: The number of tasks when last asked; None before.
    """

    def __init__(self, page_size: int, caller: ApiCaller) -> None:
        self.total: int | None = None
        self._caller = caller
        self._next: PageRange | None = PageRange(0, page_size)
        self._ready: deque[ListedImage] = deque()
        self._seen: BoundedDict[str, None] = BoundedDict(_MOST_SEEN)
        self._repeated = 0  # rows that were there before
        self._total_at_first = 0

    def __aiter__(self) -> ImageList:
        return self

    async def __anext__(self) -> ListedImage:
        while not self._ready:
            if self._next is None:
                raise StopAsyncIteration
            try:
                await self._advance(self._next)
            except StopAsyncIteration as exc:
                raise not_an_end(exc) from exc
        return self._ready.popleft()

    async def _advance(self, wanted: PageRange) -> None:
        path = LOGS.format(kind="image", page=wanted.number, size=wanted.size)
        page = await self._caller.call(path, log_decoder, is_list=True)
        if wanted is not self._next:
            return  # another task that goes through the same list has had it meanwhile
        if self.total is None:
            self._total_at_first = page.total or 0
        self.total = page.total
        new = [row for row in page.rows if self._is_new(row)]
        self._ready.extend(_listed(row) for row in new if is_id(row.id))
        self._repeated += len(page.rows) - len(new)
        # Tasks made meanwhile push as many others onto pages still to come.
        is_endless = not new and self._repeated > (page.total or 0) - self._total_at_first
        self._next = None if is_endless else wanted.following(len(page.rows), page.total)

    def _is_new(self, row: LogRow) -> bool:
        if row.id in self._seen:
            return False
        self._seen[row.id] = None
        return True


def _listed(row: LogRow) -> ListedImage:
    return ListedImage(ImageRef(row.id), row.status, row.model, row.submitted, row.duration)
