"""One round: it goes through the pages of the logs, and fetches the videos that have ended.

Which pages to ask for is decided in `page_scan`; what a row means for its wait, in `round_group`.
"""

from __future__ import annotations

from typing import Generic, TypeVar

from ..._runtime.lifetime import Lifetime
from ..._verdict import Verdict, spoils_a_page
from ...contract.tasks import Task
from ...contract.video_tasks import VideoRef
from ...errors import AuthenticationError, NotAskedError
from ..wait.state import WaitState
from .page_scan import SIZES, PageRange, PageScan
from .pages import LARGE, PageSource
from .round_group import RoundGroup

T = TypeVar("T", bound=Task)

_PAGE_SECONDS = 60.0
"""Seconds within which a page has to come."""
_FEWEST_OF_A_PAGE = 8
"""Ended videos from which on they are fetched by pages of their list."""


class Round(Generic[T]):
    """One round for the waits of one kind."""

    def __init__(self, group: RoundGroup[T], source: PageSource, lifetime: Lifetime) -> None:
        self._group = group
        self._source = source
        self._lifetime = lifetime
        self._scan = PageScan(group.route.size, group.parked, group.places)
        self._ended: list[tuple[int, WaitState[T]]] = []
        self._is_cut = False  # the last page was, so those that were not met may be past it
        self._busy = 0.0  # seconds that the service has taken

    async def run(self) -> None:
        """Go through the pages, and hand back the waits whose tasks have ended."""
        group, times, scan = self._group, self._group.times, self._scan
        came = await self._read_pages(times.wants_whole(self._lifetime.time()))
        searched = self._busy
        times.note_found(any_end=came and bool(self._ended))
        if came:
            is_partial = scan.is_failing or scan.is_stopped or times.is_failing or self._is_cut
            group.places, group.pages = scan.places, scan.pages
            group.end_round(any_missing=scan.missing > 0, is_partial=is_partial)
            if group.ref_type is VideoRef:  # of others there is no list
                await self._fetch_ended()
        if not came or self._lifetime.time() < times.rests_until:
            group.dissolve()
        now = self._lifetime.time()
        if times.note_over(now, busy=self._busy, searched=searched, parked=group.parked):
            group.dissolve()

    async def _read_pages(self, whole: bool) -> bool:
        """Go through the pages. Return False if pages cannot be had."""
        group, scan = self._group, self._scan
        while (wanted := scan.next()) is not None:
            asked = self._lifetime.time()
            page = await self._source.logs(group.kind, wanted, asked + _PAGE_SECONDS, whole=whole)
            now = self._lifetime.time()
            if isinstance(page, Verdict):
                self._busy += now - asked
                if spoils_a_page(page.error):
                    scan.failed(wanted)
                    continue
                return self._survives(page, now)
            self._busy += page.seconds
            found, ended = group.read(page, asked)
            scan.took(wanted, len(page.rows), found, page.total)
            group.route.adapt(page, wanted.size)
            self._is_cut = group.route.note_cut(page, wanted)
            if page.retry_after is not None:
                group.times.leave_alone(page.retry_after, now)
                scan.stop()
            if group.ref_type is not VideoRef:  # there is no list of others: each is asked for
                group.poll_ended(ended)
            self._ended += [(wanted.at + place, wait) for place, wait in ended]
        if scan.is_failing:
            return group.times.note_failure(self._lifetime.time())
        group.times.note_pages()
        return True

    def _survives(self, verdict: Verdict, now: float) -> bool:
        """Note what came instead of a page. Return whether the next round is waited for."""
        times = self._group.times
        if verdict.delay is not None:
            times.leave_alone(verdict.delay, now)
        if verdict.retry:
            return times.note_failure(now)
        if not isinstance(verdict.error, AuthenticationError | NotAskedError):
            self._group.route.gone = True
        times.rest(now)
        return False

    async def _fetch_ended(self) -> None:
        """Fetch the videos that have ended, by pages of their list where that is less."""
        places = sorted(at for at, _ in self._ended)
        if len(places) < _FEWEST_OF_A_PAGE:
            places.clear()
        # The first page shows how large its rows are, and so how many of them the next may have.
        while places and (size := self._group.route.list_size):
            number = places[0] // size
            beyond = [at for at in places if at // size > number]
            if len(places) - len(beyond) > 1:
                await self._fetch(PageRange(number * size, size))
            places = beyond
        self._group.poll_ended(self._ended)

    async def _fetch(self, wanted: PageRange) -> None:
        asked = self._lifetime.time()
        page = await self._source.videos(wanted.number, wanted.size, asked + _PAGE_SECONDS)
        if isinstance(page, Verdict):
            # A bad or large row spoils a page: its neighbours come by smaller ones, or singly.
            if spoils_a_page(page.error) and wanted.size > _FEWEST_OF_A_PAGE:
                for part in wanted.parts():
                    await self._fetch(part)
            return
        self._busy += page.seconds
        for task in page.tasks:
            self._group.take_answer(task, page.sent, asked)
        if page.rows:
            a_row = page.bytes / page.rows
            fits = [size for size in SIZES if size * a_row <= LARGE]
            self._group.route.list_size = min(fits[0], self._group.route.most) if fits else 0
