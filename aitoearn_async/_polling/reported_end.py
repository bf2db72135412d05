"""A task that has ended, as a page shows, and whose own polls fail.

It is tried a few times, then by its draft. In the end the page's word is all there is.
"""

from __future__ import annotations

from typing import TypeVar

from .._error_base import is_of_the_service
from .._verdict import Verdict
from ..contract.endpoints import endpoint_of
from ..contract.tasks import Task, TaskRef
from ..errors import (
    ApiError,
    AuthenticationError,
    NotAskedError,
    ServerError,
    ServiceUnreachableError,
    TaskNotFoundError,
)
from .pages import PageSource
from .step import Decision, Ended, GiveUpAt

T = TypeVar("T", bound=Task)

_TRIES_OF_A_REFUSAL = 2
_TRIES = 3
"""Failed polls of a task that has ended, before its draft is asked for; twice as many each time."""


class ReportedEnd:
    """The word of a page for a task that has ended, until its own answer comes.

    Args:
        status: The word.
    """

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
                return Ended(task)
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
        return Ended(endpoint_of(ref).bare(ref.id, self._status))
