"""What to do after a poll: one plain function on plain state.

    given this answer at this moment:    poll again then · it has ended · give up then

No I/O, no clock of its own, no await, so one wait and a hundred thousand are decided alike,
and every case can be tested as a value. The rules it holds:

- A failed poll is not a failed task. It costs one poll, and the next comes later.
- A wait ends early only on a definite answer, its deadline, or when trouble has lasted for
  all of its patience. A refusal that contradicts earlier good answers needs a second one.
- The last sleep before an end is shortened so that one last poll still fits in.
- What the service asks for (`Retry-After`) is never undercut, not even for that last poll.
"""

from __future__ import annotations

import math
import random
from typing import Generic, NamedTuple, TypeVar, cast

from ..contract.models import AnyTask, Task
from ..contract.refs import AnyRef, TaskRef
from ..errors import (
    AiToEarnError,
    ApiError,
    AuthenticationError,
    ConnectionFailedError,
    ContractError,
    RateLimitError,
    ServiceUnreachableError,
    TransportError,
    WaitTimeoutError,
)
from .schedule import WaitStrategy, delay_after

T = TypeVar("T", bound=Task)

PollError = ApiError | TransportError | ContractError
"""What a poll can come to, other than a task."""

_MOST_KINDS_SEEN = 12


class Terms(NamedTuple):
    """What a wait was asked to be; shared by all waits that were asked alike."""

    timeout: float
    """Seconds from the first poll; infinity for no limit."""
    patience: float
    """Seconds of trouble; infinity for no limit."""
    wait: WaitStrategy


class Wait(Generic[T]):
    """How one wait stands. Plain data; `step` alone changes it. Moments are loop time."""

    __slots__ = (
        "clipped_to",  # the end that a poll has been brought forward for
        "doubted",  # a refusal has contradicted good answers, and awaits confirmation
        "latest",  # the task as of the last good poll
        "pace",  # how long a poll takes, in seconds: the slowest, of late
        "polls",  # how many came back, with whatever
        "ref",
        "seen",  # what they came back with, and how often
        "started",  # when the first poll began; None before
        "terms",
        "trouble",  # the last poll's error, if it had one
        "trouble_since",  # when the first poll began of those that got nowhere
    )

    def __init__(self, ref: TaskRef[T], terms: Terms) -> None:
        self.ref = ref
        self.terms = terms
        self.started: float | None = None
        self.polls = 0
        self.latest: T | None = None
        self.trouble: PollError | None = None
        self.trouble_since: float | None = None
        self.doubted = False
        self.pace = 0.0
        self.clipped_to: float | None = None
        self.seen: dict[str, int] = {}

    def end(self) -> float:
        """When this wait ends if nothing changes: its deadline, or its patience with trouble."""
        return min(self.deadline(), self.patience_end())

    def deadline(self) -> float:
        """When the time for this task is over."""
        return math.inf if self.started is None else self.started + self.terms.timeout

    def patience_end(self) -> float:
        """When the present trouble has lasted too long; infinity while there is none."""
        if self.trouble_since is None:
            return math.inf
        return self.trouble_since + self.terms.patience


class PollAt(NamedTuple):
    """Poll again at `moment`. `changed`: the caller of an iterator is to hear of this poll."""

    moment: float
    changed: bool = False


class Ended(NamedTuple, Generic[T]):
    """The task has ended, as the service says."""

    task: T


class GiveUpAt(NamedTuple):
    """No further poll; raise the error at `moment`."""

    moment: float
    error: AiToEarnError
    changed: bool = False


Decision = PollAt | Ended[T] | GiveUpAt


def begin(wait: Wait[T], now: float) -> Decision[T]:
    """The first decision: poll at once, unless there is no time at all."""
    wait.started = now
    if wait.terms.timeout <= 0:
        return _give_up(wait, now)
    return PollAt(now)


def step(wait: Wait[T], answer: T | PollError, asked: float, now: float) -> Decision[T]:
    """The next decision.

    Args:
        wait: How the wait stands; brought up to date.
        answer: What the poll came to.
        asked: When it began.
        now: When it came back.
    """
    wait.polls += 1
    wait.pace = max(now - asked, 0.75 * wait.pace)
    if isinstance(answer, Task):
        return _after_answer(wait, answer, now)
    return _after_trouble(wait, answer, asked, now)


def _after_answer(wait: Wait[T], task: T, now: float) -> Decision[T]:
    changed = wait.latest is None or wait.latest.status != task.status
    wait.latest = task
    wait.trouble = wait.trouble_since = None
    wait.doubted = False
    _count(wait, task.status)
    if task.done:
        return Ended(task)
    return _next(wait, task, now, changed)


def _after_trouble(wait: Wait[T], error: PollError, asked: float, now: float) -> Decision[T]:
    wait.trouble = error
    _count(wait, error.label)
    if _is_definite(error):
        if not _needs_confirmation(wait, error):
            return GiveUpAt(now, error)
        wait.doubted = True
    # One who is told to slow down has reached the service: no reason to lose patience.
    elif wait.trouble_since is None and not isinstance(error, RateLimitError):
        wait.trouble_since = asked
    return _next(wait, error, now, changed=False)


def _is_definite(error: PollError) -> bool:
    """The service itself said no, or cannot be trusted to be the service."""
    return isinstance(error, ApiError | ConnectionFailedError) and not error.transient


def _needs_confirmation(wait: Wait[T], error: PollError) -> bool:
    # The service also says 401 when it fails to look the account up.
    contradicts = isinstance(error, AuthenticationError) or type(error) is ApiError
    return contradicts and wait.latest is not None and not wait.doubted


def _next(wait: Wait[T], outcome: T | PollError, now: float, changed: bool) -> Decision[T]:
    assert wait.started is not None
    delay = delay_after(
        wait.terms.wait, polls=wait.polls, started=wait.started, now=now, outcome=outcome
    )
    earliest = now + _asked_for(outcome)
    moment = max(now + delay, earliest)
    end = wait.end()
    # A poll that begins later than this would not be back before the end.
    last = end - 1.25 * wait.pace - 0.02
    if moment <= last:
        return PollAt(moment, changed)
    if wait.clipped_to == end or last <= now or last < earliest:
        return _give_up(wait, max(now, end), changed)
    wait.clipped_to = end
    return PollAt(last, changed)


def _asked_for(outcome: object) -> float:
    """How long the service asked to be left alone, in seconds; some more, at random."""
    seconds = getattr(outcome, "retry_after", None)
    return seconds * random.uniform(1.0, 1.2) if seconds else 0.0


def _give_up(wait: Wait[T], moment: float, changed: bool = False) -> GiveUpAt:
    assert wait.started is not None
    out_of_time = wait.deadline() <= wait.patience_end()
    kind = WaitTimeoutError if out_of_time else ServiceUnreachableError
    error = kind(
        cast("AnyRef", wait.ref),
        cast("AnyTask | None", wait.latest),
        moment - wait.started,
        wait.polls,
        wait.seen,
    )
    error.__cause__ = wait.trouble
    return GiveUpAt(moment, error, changed)


def _count(wait: Wait[T], what: str) -> None:
    if what not in wait.seen and len(wait.seen) >= _MOST_KINDS_SEEN:
        what = "other"
    wait.seen[what] = wait.seen.get(what, 0) + 1
