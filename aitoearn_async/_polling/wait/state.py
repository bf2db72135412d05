"""The state of one wait, and the result of one poll. Plain data: `step` decides what follows."""

from __future__ import annotations

import math
from typing import Generic, TypeVar

import msgspec

from ...contract.endpoints import endpoint_of
from ...contract.tasks import Task, TaskRef
from ...errors import ApiError, ContractError, TransportError
from ..cadence.observed_task import ObservedTask

T = TypeVar("T", bound=Task)

PollError = ApiError | TransportError | ContractError
"""The error that a poll can come to."""

OWED: float = math.inf
"""It stands in `WaitState.final_poll_for` of a wait that is not given up before it was polled."""
_MOST_KINDS_SEEN = 12
_MOST_OF_A_WORD = 200
"""Characters of a status that are counted by, and kept in each wait. No real one has as many."""


class PollResult(msgspec.Struct, Generic[T]):
    """The result of a good poll."""

    status: str
    """The service's word."""
    task: T | None
    """The whole task; None if its status is the one that the wait knew."""
    validator: str | None = None
    """The validator (RFC 9110) that the next poll sends back. It has no meaning here."""
    sent: float = math.nan
    """The moment when the request went out, after any waiting for its turn."""
    is_copy: bool = False
    """It comes from a cache, not from the service."""
    retry_after: float | None = None
    """Seconds for which the service says not to ask again."""
    not_modified: bool = False
    """The answer was an HTTP 304."""


class WaitState(ObservedTask, Generic[T], gc=False):
    """The state of one wait. Plain data, in few bytes; moments are the client's clock's.

    The garbage collector does not look at them, since no cycle goes through one, as long as no
    error that it holds is raised.
    """

    due: float
    """The moment of its next poll; set by its scheduler."""
    ref: TaskRef[T]
    polls: int = 0
    """The number of polls that came back, whatever they brought."""
    status: str | None = None
    """The service's word as of the last good poll."""
    latest: T | None = None
    """The task as of the last good poll that had news of it."""
    validator: str | None = None
    """The validator of the last response, for the next poll."""
    last_error: PollError | None = None
    """The last poll's error, if it had one."""
    failing_since: float | None = None
    """The moment when the first of the polls began that have failed since the last good one."""
    final_poll_for: float | None = None
    """The end of the wait, if the next poll is the last one before it; or `OWED`."""
    counts: dict[str, int] | None = None
    """The counts of what the polls came to, unless all came to the present status."""
    over: bool = False
    """It has ended, and must be dropped by all that still hold it; set by its scheduler."""

    @property
    def seen(self) -> dict[str, int]:
        """Return what the polls came to, and how often."""
        if self.counts is not None:
            return self.counts
        word = self.status
        return {} if word is None else {word[:_MOST_OF_A_WORD]: self.polls}

    def count_poll(self, what: str) -> None:
        """Count a poll that did not come to the same as all before it.

        Args:
            what: The status it brought, or the label of its error.
        """
        counts = self.counts = self.seen
        what = what[:_MOST_OF_A_WORD]
        if what not in counts and len(counts) >= _MOST_KINDS_SEEN:
            what = "other"
        counts[what] = counts.get(what, 0) + 1
        self.polls += 1

    def latest_known(self) -> T | None:
        """The task as of the last good poll, as far as it was kept."""
        if self.latest is None and self.status is not None:
            return endpoint_of(self.ref).bare(self.ref.id, self.status)
        return self.latest
