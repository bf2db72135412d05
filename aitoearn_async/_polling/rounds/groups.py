"""Rounds: a source of answers besides single polls, for many tasks of the caller's own.

    single polls     each task is asked about when it is likely to have ended
    a round          some pages of the service's logs tell how a thousand tasks stand at once

A wait that rounds can serve is taken off the agenda. It comes back as soon as a page shows that its
task has ended, and is then polled once, for the whole task. It also comes back when no page has its
task, when its time is nearly over, and when pages cannot be had. So a page only decides whom to
ask: what ends a wait is the task's own answer.

The waits of a kind are a `RoundGroup`, which takes them and hands them back; `RoundTimes` says when
the next `Round` goes through the pages. How pages are asked for is in `_api.task_pages`.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Generic, TypeVar

from ..._runtime.lifetime import Lifetime
from ...contract.tasks import Task, TaskRef
from .pages import PageSource
from .round import Round
from .round_group import RoundGroup, WaitOwner

T = TypeVar("T", bound=Task)

_ID_LENGTH = 24


class Rounds(Generic[T]):
    """The groups of waits that pages can tell of, of one batch or of the single waits of a client.

    Without a `source` of pages there are none.
    """

    def __init__(self, source: PageSource | None, lifetime: Lifetime, owner: WaitOwner[T]) -> None:
        self._source = source
        self._lifetime = lifetime
        self._owner = owner
        self._groups: dict[type[TaskRef[T]], RoundGroup[T] | None] = {}

    def of(self, ref: TaskRef[T]) -> RoundGroup[T] | None:
        """Return the group for the wait of a ref; None where no page can tell of it."""
        if self._source is None or len(ref.id) != _ID_LENGTH:
            return None  # the service has never given an id of another length
        ref_type = type(ref)
        if ref_type not in self._groups:
            self._groups[ref_type] = self._new(ref, self._source)
        return self._groups[ref_type]

    def join(self, ref: TaskRef[T]) -> RoundGroup[T] | None:
        """Note that there is one more wait. Return its group, as `of` does."""
        if (group := self.of(ref)) is not None:
            group.join()
        return group

    def _new(self, ref: TaskRef[T], source: PageSource) -> RoundGroup[T] | None:
        learner = self._owner.settings_of(ref).learner
        if learner is None:
            return None

        def run_round(group: RoundGroup[T]) -> Coroutine[Any, Any, None]:
            return Round(group, source, self._lifetime).run()

        group = RoundGroup(ref, learner, source, self._lifetime, self._owner, run_round)
        return None if group.route.gone else group

    def stop(self) -> None:
        """Cancel all timers."""
        for group in self._groups.values():
            if group is not None:
                group.stop()
