"""The facts an observer is told: waits, submits, downloads, polls, and the circuit breaker.

Plain data. Nothing of it holds the API key. A request holds its prompt, a task the addresses of
its files, and an error the service's words: an observer that shows them has chosen to.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec

from ..contract.kinds import AnyRef, AnyTask
from ..contract.requests import TaskRequest

OperationOutcome = Literal[
    "succeeded",
    "failed",
    "timed_out",
    "unreachable",
    "refused",
    "uncertain",
    "cancelled",
    "closed",
    "abandoned",
]
"""The end of an operation, in a word.

| word | meaning |
| --- | --- |
| `succeeded` | it brought what was asked for |
| `failed` | the task failed, or the files could not be saved, or the caller made a mistake |
| `timed_out` | the wait's `timeout` was over |
| `unreachable` | the service could not be reached, or not within the wait's `patience` |
| `refused` | the service said no |
| `uncertain` | a submit was sent, and nobody knows what became of it |
| `cancelled` | the caller was cancelled |
| `closed` | the client was closed |
| `abandoned` | an iteration or a batch was left, or a ref discarded |
"""


NO_FAILURE: tuple[OperationOutcome, ...] = ("succeeded", "cancelled", "closed", "abandoned")
"""The ends with which nothing went wrong."""


class Operation(msgspec.Struct, kw_only=True, eq=False):
    """One operation. It is the same object from `began` to `ended`, and can be a key."""

    address: str
    """The service's address."""
    began: float
    """The time when it began: seconds since 1970."""
    seconds: float | None = None
    """Seconds from its beginning to its end, by the client's clock; None before the end."""
    outcome: OperationOutcome | None = None
    """The end, in a word; None before it."""
    error: BaseException | None = None
    """The error that ended it, if one did. A failed task is none."""


class Wait(Operation, kw_only=True, eq=False):
    """The wait for one task."""

    ref: AnyRef
    """The task."""
    status: str | None = None
    """The service's word, as of the last good poll."""
    trouble: str | None = None
    """The last poll's error in two or three words, if it had one: `HTTP 502`."""
    polls: int = 0
    """The number of polls. A task of a batch may be told to have ended without one."""
    task: AnyTask | None = None
    """The task, if it has ended."""
    noticed_after: float | None = None
    """Seconds from the end of the task, as the service's dates tell it, to the moment when the
    end was noticed here. None where they do not tell, or it was over when the wait began."""


class Submit(Operation, kw_only=True, eq=False):
    """One submit, with the uploads that it takes."""

    request: TaskRequest[Any]
    """The request: model, prompt and the rest."""
    ref: AnyRef | None = None
    """The task that it made."""


class Download(Operation, kw_only=True, eq=False):
    """The saving of one task's files."""

    ref: AnyRef
    """The task."""
    paths: tuple[Path, ...] = ()
    """The files that were saved."""


class Poll(msgspec.Struct, frozen=True, kw_only=True):
    """One poll."""

    result: Literal["changed", "unchanged", "not_modified", "failed", "held"]
    """`changed`: there is news. `unchanged`: there is none, said with a whole answer.
    `not_modified`: there is none, said with an HTTP 304. `failed`: it brought nothing.
    `held`: it was not sent, since the service is down or wants to be left alone; told only where
    the wait had no trouble before, and not counted as a poll."""
    seconds: float
    """Seconds that it took, by the client's clock, the wait for its turn included."""
    status: str | None = None
    """The service's word; None of a poll that failed."""
    error: Exception | None = None
    """The error of a poll that failed or was held."""


class BreakerChange(msgspec.Struct, frozen=True, kw_only=True):
    """A change of a client's circuit breaker, as `Client.statistics()` shows it."""

    address: str
    """The service's address."""
    before: Literal["closed", "open", "recovering"] | None
    """The state until now; None of a client that was just made."""
    after: Literal["closed", "open", "recovering"] | None
    """The state from now on; None of a client that was closed."""
