"""Finds the end of a task whose own route fails for good, by another route of the service.

The service answers code 500 or 12302 for single rows, for ever, while all others are fine. Its
route for drafts shows them. It is asked seldom, and left alone where the service lacks it.
"""

from __future__ import annotations

from functools import partial
from typing import Any, TypeVar

from .._runtime.bounded_dict import BoundedDict
from .._verdict import Verdict
from ..contract.drafts import DRAFT, draft_decoder
from ..contract.endpoints import endpoint_of, task_of
from ..contract.envelope import decode
from ..contract.tasks import Task, TaskRef
from ..errors import ApiError
from .caller import ApiCaller
from .refusals import is_failure_of_the_service

T = TypeVar("T", bound=Task)

_PATIENT = 3
"""Answers with code 500 in a row before the other route is asked; twice as many each time."""
_MOST_REMEMBERED = 10_000
_decode = partial(decode, decoder=draft_decoder)
_NO_ROUTE = 404
"""The business code for: there is no such route."""


class DraftLookup:
    """Looks up tasks that fail on their own route.

    Args:
        caller: Calls the service.
    """

    def __init__(self, caller: ApiCaller) -> None:
        self._caller = caller
        self._failures: BoundedDict[TaskRef[Any], int] = BoundedDict(_MOST_REMEMBERED)
        self._is_missing = False

    def note_good(self, ref: TaskRef[Any]) -> None:
        """Note that a task's own route has answered."""
        if self._failures:
            self._failures.pop(ref, None)

    async def look_up_if_due(self, ref: TaskRef[T], verdict: Verdict, deadline: float) -> T | None:
        """Return the task, if it has ended and its own route does not say so.

        Args:
            ref: The task.
            verdict: On what its own route has answered just now.
            deadline: The moment of the client's clock at which this is over.
        """
        return await self.look_up(ref, deadline) if self._is_due(ref, verdict.error) else None

    async def look_up(self, ref: TaskRef[T], deadline: float) -> T | None:
        """Return the task, if its draft shows that it has ended."""
        if self._is_missing:
            return None
        question = self._caller.question(DRAFT.format(id=ref.id), _decode)
        question.route, question.subject = DRAFT.partition("{")[0], ref.id
        result = self._caller.read(await self._caller.http.send(question, deadline), question)
        if not isinstance(result, Verdict):
            return task_of(ref, result)
        no = result.error
        self._is_missing = isinstance(no, ApiError) and no.code == _NO_ROUTE
        return None

    def _is_due(self, ref: TaskRef[Any], error: Exception) -> bool:
        if not isinstance(error, ApiError) or error.http_status != 200:
            return False
        if error.code == endpoint_of(ref).lost_code:
            return True
        if not is_failure_of_the_service(error):
            return False
        count = self._failures.get(ref, 0) + 1
        self._failures[ref] = count
        turns, rest = divmod(count, _PATIENT)
        return not rest and turns.bit_count() == 1
