"""Videos that have ended, fetched by pages of their list: each is asked for once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, TypeVar, cast

from .._verdict import Verdict, spoils_a_page
from ..contract.tasks import Task, TaskRef
from .clock import Clock
from .page_scan import SIZES, PageRange
from .pages import LARGE, PageSource
from .round_group import AWAITED, PAGE_SECONDS, PollScheduler, RoundGroup
from .state import PollResult, WaitState

T = TypeVar("T", bound=Task)

_FEWEST = 8
"""Ended videos from which on they are fetched by pages of their list."""


class WholeVideos(Generic[T]):
    """Fetches the videos of one batch."""

    def __init__(
        self,
        source: PageSource,
        clock: Clock,
        held: Mapping[TaskRef[T], WaitState[T]],
        polls: PollScheduler[T],
    ) -> None:
        self._source = source
        self._clock = clock
        self._held = held
        self._polls = polls

    async def fetch(self, group: RoundGroup[T], ended: list[tuple[int, WaitState[T]]]) -> None:
        """Fetch videos that have ended, by pages of their list where that is less."""
        places = sorted(at for at, _ in ended) if len(ended) >= _FEWEST else []
        # The first page shows how large its rows are, and so how many of them the next may have.
        while places and (size := group.route.list_size):
            number = places[0] // size
            beyond = [at for at in places if at // size > number]
            if len(places) - len(beyond) > 1:
                await self._fetch_page(group, PageRange(number * size, size))
            places = beyond
        now = self._clock.time()
        for _, wait in ended:
            if wait.due == AWAITED and not wait.over:
                self._polls.poll_at(wait, now)

    async def _fetch_page(self, group: RoundGroup[T], wanted: PageRange) -> None:
        asked = self._clock.time()
        page = await self._source.videos(wanted.number, wanted.size, asked + PAGE_SECONDS)
        if isinstance(page, Verdict):
            # A bad or large row spoils a page: its neighbours come by smaller ones, or singly.
            if spoils_a_page(page.error) and wanted.size > _FEWEST:
                for part in wanted.parts():
                    await self._fetch_page(group, part)
            return
        group.busy += page.seconds
        for task in page.tasks:
            ref = cast("TaskRef[T]", task.ref)
            wait = self._held.get(ref)
            if wait is not None and wait.due == AWAITED and ref in group.reported and task.done:
                result = PollResult(task.status, cast("T", task), None, page.sent)
                self._polls.answer(wait, result, asked)
        if page.rows:
            a_row = page.bytes / page.rows
            fits = [size for size in SIZES if size * a_row <= LARGE]
            group.route.list_size = min(fits[0], group.route.most) if fits else 0
