"""Reports of pages that tasks have ended, for as long as the tasks' own answers are awaited.

A task that has ended, as a page shows, and whose own polls fail is tried a few times, then by its
draft. In the end the page's word is all there is.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import Any, TypeVar

from ..._error_base import is_of_the_service
from ..._verdict import Verdict
from ...contract.endpoints import LogRow, endpoint_of
from ...contract.status import TaskState
from ...contract.tasks import Task, TaskRef
from ...errors import (
    ApiError,
    AuthenticationError,
    NotAskedError,
    ServerError,
    ServiceUnreachableError,
    TaskNotFoundError,
)
from ..wait.step import Decision, Ended, GiveUpAt
from .pages import PageSource

T = TypeVar("T", bound=Task)

_LOOK_AGAIN = 60.0
"""Seconds until those who are on no page are looked for once more."""
_MOST_ENDED = 64
"""Tasks that have ended and are looked for on pages, which must not say that they run."""
_TRIES_OF_A_REFUSAL = 2
_TRIES = 3
"""Failed polls of a task that has ended, before its draft is asked for; twice as many each time."""


class ReportedEnd:
    """The word of a page for a task that has ended, until its own answer comes."""

    def __init__(self, status: str) -> None:
        self._status = status
        self._tries = 0

    async def after_failure(
        self,
        ref: TaskRef[T],
        verdict: Verdict,
        decision: Decision[T],
        source: PageSource,
        deadline: float,
    ) -> Decision[T]:
        """Return what follows a failed poll of it: its end, or another try.

        The service answers 500 or "unknown" for some rows for ever, and its draft, or the word of
        the page, is then as much as can be known. What else fails may be over soon, so that is
        waited for with patience.
        """
        error = verdict.error
        if isinstance(error, NotAskedError):
            return self._at_the_end(ref, decision)
        self._tries += 1
        is_one = isinstance(error, TaskNotFoundError | ServerError)
        is_refused = is_one and is_of_the_service(error)
        most = _TRIES_OF_A_REFUSAL if is_refused else _TRIES
        if isinstance(error, TaskNotFoundError):
            most = 1
        turns, rest = divmod(self._tries, most)
        was_asked = isinstance(error, ApiError) and error.code == endpoint_of(ref).lost_code
        if not rest and turns.bit_count() == 1 and not was_asked:
            task = await source.draft(ref, deadline)
            if task is not None:
                return _ended(task)
        if is_refused and not rest:
            return self._bare(ref)
        return self._at_the_end(ref, decision)

    def _at_the_end(self, ref: TaskRef[T], decision: Decision[T]) -> Decision[T]:
        """Return the end that is known, where the wait would be given up for want of one."""
        if not isinstance(decision, GiveUpAt):
            return decision
        error = decision.error
        is_of_the_task = isinstance(error, ApiError) and not isinstance(error, AuthenticationError)
        if is_of_the_task or isinstance(error, ServiceUnreachableError):
            return self._bare(ref)
        return decision

    def _bare(self, ref: TaskRef[T]) -> Ended[T]:
        return _ended(endpoint_of(ref).bare(ref.id, self._status))


def _ended(task: T) -> Ended[T]:
    return Ended(task, task.state is TaskState.FAILED)


class PageReports:
    """The reports about tasks of one kind, and who is beyond the pages."""

    def __init__(self) -> None:
        self._ends: dict[TaskRef[Any], ReportedEnd] = {}
        self._overheard: dict[TaskRef[Any], str] = {}  # the same, of those polled singly meanwhile
        self._contradicted: set[TaskRef[Any]] = set()
        self._unlisted: set[TaskRef[Any]] = set()  # on no page
        self._look_again_at = math.inf  # for the unlisted
        self._look_again = _LOOK_AGAIN
        # Some of those whose own answer said that they have ended; and as of the round's beginning.
        self._ended: deque[str] = deque(maxlen=_MOST_ENDED)
        self._ended_before: set[str] = set()

    def __contains__(self, ref: TaskRef[Any]) -> bool:
        return ref in self._ends

    def note_end(self, ref: TaskRef[Any], status: str) -> None:
        """Note that a task has ended, as a page says."""
        self._ends[ref] = ReportedEnd(status)

    def overhear(self, ref: TaskRef[Any], status: str) -> None:
        """Note the same of one that is polled singly now, in case its own polls fail."""
        self._overheard[ref] = status

    def note_running(self, ref: TaskRef[Any]) -> bool:
        """Note that a task runs, as its own answer says. Return whether that refutes a page."""
        self._overheard.pop(ref, None)
        if ref not in self._ends:
            return False
        del self._ends[ref]
        self._contradicted.add(ref)
        return True

    def end_of(self, ref: TaskRef[Any]) -> ReportedEnd | None:
        """Return the report on a task whose own poll has failed; None if it runs."""
        if (status := self._overheard.pop(ref, None)) is not None:
            self._ends.setdefault(ref, ReportedEnd(status))
        return self._ends.get(ref)

    def note_unlisted(self, ref: TaskRef[Any], now: float) -> None:
        """Note that no page has a task. It is looked for again, each time after twice as long."""
        self._unlisted.add(ref)
        if self._look_again_at == math.inf:
            self._look_again_at = now + self._look_again
            self._look_again *= 2

    def is_beyond(self, ref: TaskRef[Any], now: float) -> bool:
        """Return whether pages cannot tell of a task: they were wrong, or none has had it."""
        if now >= self._look_again_at:  # its row may be there by now
            self._unlisted.clear()
            self._look_again_at = math.inf
        return ref in self._unlisted or ref in self._contradicted

    def begin_round(self) -> None:
        """Note that pages are asked for from now on."""
        self._ended_before = set(self._ended)

    def are_refuted_by(self, rows: Sequence[LogRow]) -> bool:
        """Return whether a page says that a task runs which had ended before the round."""
        return any(row.id in self._ended_before and row.runs for row in rows)

    def forget(self, ref: TaskRef[Any], *, has_ended: bool) -> bool:
        """Forget a task, which may have ended. Return whether a page has said that it had."""
        if has_ended:
            self._ended.append(ref.id)
        self._unlisted.discard(ref)
        self._contradicted.discard(ref)
        self._overheard.pop(ref, None)
        return self._ends.pop(ref, None) is not None
