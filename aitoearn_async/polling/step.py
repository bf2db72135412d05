"""What to do after a poll: one plain function on plain state.

    given this answer at this moment:    poll again then · it has ended · give up then

No I/O, no clock of its own, no await, so one wait and a hundred thousand are decided alike,
and every case can be tested as a value. The rules it holds:

- A failed poll is not a failed task. It costs one poll, and the next comes later.
- A wait ends early only on a definite answer, its deadline, or when trouble has lasted for
  all of its patience. A refusal that contradicts earlier good answers needs a second one.
- The last sleep before an end is shortened so that one last poll still fits in.
- A poll that was held back, since the service is down, is no poll; the wait keeps its cadence.
- What the service asks for (`Retry-After`) is never undercut, not even for that last poll.
"""

from __future__ import annotations

import math
import random
from collections.abc import Container
from typing import Any, Generic, TypeVar, cast

import msgspec

from ..contract.endpoints import endpoint_of
from ..contract.models import AnyTask, Task
from ..contract.refs import AnyRef, TaskRef
from ..errors import (
    AiToEarnError,
    ApiError,
    AuthenticationError,
    ConnectionFailedError,
    ContractError,
    NotAskedError,
    RateLimitError,
    ServiceUnreachableError,
    TaskNotFoundError,
    TransportError,
    WaitTimeoutError,
)
from .schedule import WaitStrategy, delay_after

T = TypeVar("T", bound=Task)

PollError = ApiError | TransportError | ContractError
"""What a poll can come to, other than a reply."""

_MOST_KINDS_SEEN = 12
_MOST_OF_A_WORD = 200
"""Characters of a status that are counted by, and kept in each wait. No real one has as many."""
_OWN_TROUBLE = -1
_MOST_HELD = 30.0
"""Seconds until a poll that was held, because the service is down, is tried again."""


class Reply(msgspec.Struct, Generic[T]):
    """What a good poll came to."""

    status: str
    """The service's word."""
    task: T | None
    """The whole task; None if it stands as the one who asked said it knew."""
    memo: str | None = None
    """What the one who polls wants to be reminded of next time. Means nothing here."""
    sent: float = math.nan
    """When the request went out, after any waiting for its turn."""


class Proof:
    """What is known against a refusal, of waits that were asked along with each other."""

    __slots__ = ("goods", "made")

    def __init__(self, made: Container[TaskRef[Any]] = ()) -> None:
        self.goods: int = 0  # good answers so far, to tasks of any kind
        self.made: Container[TaskRef[Any]] = made  # whose ids the service has just given


class Terms:
    """What waits that were asked alike have in common."""

    __slots__ = ("pace", "patience", "proof", "timeout", "wait")

    def __init__(
        self, timeout: float, patience: float, wait: WaitStrategy, proof: Proof | None = None
    ) -> None:
        self.timeout: float = timeout  # seconds from the first poll; infinity for no limit
        self.patience: float = patience  # seconds of trouble; infinity for no limit
        self.wait: WaitStrategy = wait
        self.pace: float = 0.0  # how long a poll takes, in seconds: the slowest, of late
        self.proof: Proof = proof or Proof()  # shared with what was asked along with them


class Wait(msgspec.Struct, Generic[T], order=True, gc=False):
    """How one wait stands. Plain data, in few bytes; moments are the client's clock's.

    Sorts by `due`, so that a heap of them is an agenda. The garbage collector need not look at
    a million of them, as no cycle forms through it while no error that it holds is raised.
    """

    due: float
    """When it is polled next; set by who schedules it."""
    ref: TaskRef[T]
    started: float = math.nan
    """When the first poll began."""
    polls: int = 0
    """How many came back, with whatever."""
    status: str | None = None
    """The service's word as of the last good poll."""
    latest: T | None = None
    """The task as of the last good poll that had news of it."""
    memo: str | None = None
    """From the last reply, for the next poll."""
    trouble: PollError | None = None
    """The last poll's error, if it had one."""
    trouble_since: float | None = None
    """When the first poll began of those that got nowhere."""
    doubted: int | None = None
    """A refusal awaits confirmation: it has contradicted good answers, so many of all waits; or
    `_OWN_TROUBLE`, when others have had good ones since: it is this task alone that is refused."""
    clipped_to: float | None = None
    """The end that a last poll has been brought forward for."""
    counts: dict[str, int] | None = None
    """What the polls came to, if not all to the present status."""
    verdict: AiToEarnError | None = None
    """What it is to be given up with when it is due; set by who schedules it."""
    over: bool = False
    """It has ended, and whoever still holds it is to forget it; set by who schedules it."""

    @property
    def seen(self) -> dict[str, int]:
        """What the polls came to, and how often."""
        if self.counts is not None:
            return self.counts
        return {self.status[:_MOST_OF_A_WORD]: self.polls} if self.status is not None else {}

    def end(self, terms: Terms) -> float:
        """When this wait ends if nothing changes: its deadline, or its patience with trouble."""
        if self.trouble_since is None:
            return self.started + terms.timeout
        return min(self.deadline(terms), self.patience_end(terms))

    def deadline(self, terms: Terms) -> float:
        """When the time for this task is over."""
        return self.started + terms.timeout

    def patience_end(self, terms: Terms) -> float:
        """When the present trouble has lasted too long; infinity while there is none."""
        return math.inf if self.trouble_since is None else self.trouble_since + terms.patience

    def back_by(self, terms: Terms, asked: float, due: float) -> float:
        """When a poll is given up that began now and was due then.

        Patience is with the service, and does not run out over a delay on this side, where the
        rate is too low for so many, or the consumer of an iteration was elsewhere.
        """
        return min(self.deadline(terms), self.patience_end(terms) + max(0.0, asked - due))

    @property
    def known(self) -> str | None:
        """The status that a poll need not bring again.

        None before the last poll of all: the task is then read whole, to be there if given up.
        """
        return self.status if self.clipped_to is None else None

    def latest_known(self) -> T | None:
        """The task as of the last good poll, as far as it was kept."""
        if self.latest is None and self.status is not None:
            return endpoint_of(self.ref).bare(self.ref.id, self.status)
        return self.latest


class PollAt(msgspec.Struct):
    """Poll again at `moment`. `changed`: the caller of an iterator is to hear of this poll."""

    moment: float
    changed: bool = False


class Ended(msgspec.Struct, Generic[T]):
    """The task has ended, as the service says."""

    task: T
    changed: bool = True


class GiveUpAt(msgspec.Struct):
    """No further poll; raise the error at `moment`."""

    moment: float
    error: AiToEarnError
    changed: bool = False


Decision = PollAt | Ended[T] | GiveUpAt


def begin(wait: Wait[T], terms: Terms, now: float) -> Decision[T]:
    """The first decision: poll at once, unless there is no time at all."""
    wait.started = now
    if terms.timeout <= 0:
        return give_up(wait, terms, now)
    return PollAt(now)


def step(
    wait: Wait[T], terms: Terms, answer: Reply[T] | PollError, asked: float, now: float
) -> Decision[T]:
    """The next decision.

    Args:
        wait: How the wait stands; brought up to date.
        terms: What was asked for; its pace is brought up to date.
        answer: What the poll came to.
        asked: When it began.
        now: When it came back.
    """
    if isinstance(answer, Reply):
        terms.pace = max(now - asked, 0.75 * terms.pace)
        return _after_reply(wait, terms, answer, now)
    if isinstance(answer, NotAskedError):
        return _after_silence(wait, terms, answer, asked, now)
    terms.pace = max(now - asked, 0.75 * terms.pace)
    return _after_trouble(wait, terms, answer, asked, now)


def _after_reply(wait: Wait[T], terms: Terms, reply: Reply[T], now: float) -> Decision[T]:
    changed = reply.status != wait.status
    if changed or wait.counts is not None:
        _count(wait, reply.status, as_before=not wait.polls)
    else:
        wait.polls += 1
    wait.status, wait.memo = reply.status, reply.memo
    wait.trouble = wait.trouble_since = None
    wait.doubted = None
    terms.proof.goods += 1
    if reply.task is not None:
        wait.latest = reply.task
        if reply.task.done:
            return Ended(reply.task)
    return _next(wait, terms, reply.task, now, changed)


def _after_trouble(
    wait: Wait[T], terms: Terms, error: PollError, asked: float, now: float
) -> Decision[T]:
    _count(wait, error.label, as_before=False)
    wait.memo, wait.trouble = None, error
    if _is_definite(error):
        if not _needs_confirmation(wait, terms, error):
            return GiveUpAt(now, error)
        if wait.doubted is None:
            wait.doubted = terms.proof.goods
        else:
            wait.doubted = _OWN_TROUBLE
            if wait.trouble_since is None:
                wait.trouble_since = asked
    # One who is told to slow down has reached the service: no reason to lose patience.
    elif wait.trouble_since is None and not isinstance(error, RateLimitError):
        wait.trouble_since = asked
    return _next(wait, terms, error, now, changed=False)


def _after_silence(
    wait: Wait[T], terms: Terms, error: NotAskedError, asked: float, now: float
) -> Decision[T]:
    """The service was not asked: that is no poll, but may use patience up all the same."""
    wait.trouble = error
    if error.retry_after is not None:
        # It is there, and wants to be left alone. This poll is due as soon as that is over.
        moment = now + _asked_for(error)
        return _poll_at(wait, terms, moment, moment, now, changed=False)
    if wait.trouble_since is None:
        wait.trouble_since = asked
    # The usual delay keeps tasks as spread out as they were. But one that is asked for once an
    # hour need not wait an hour more, for a poll that was due now.
    delay = min(
        delay_after(terms.wait, max(wait.polls, 1), wait.started, now, error),
        _MOST_HELD * random.uniform(0.8, 1.0),
    )
    return _poll_at(wait, terms, now + delay, now, now, changed=False)


def _is_definite(error: PollError) -> bool:
    """The service itself said no, or cannot be trusted to be the service."""
    return isinstance(error, ApiError | ConnectionFailedError) and not error.transient


def _needs_confirmation(wait: Wait[Any], terms: Terms, error: PollError) -> bool:
    if isinstance(error, AuthenticationError):
        # The service also says 401 when it fails to look the account up. What any of the waits
        # has been told since the first one speaks for the key once more.
        proof = terms.proof
        known = proof.goods > 0 or wait.ref in proof.made
        return known and wait.doubted != proof.goods
    if wait.doubted is not None:
        return False
    if isinstance(error, TaskNotFoundError):
        # Its receipt may be there before the task is, where it looks.
        return wait.ref in terms.proof.made
    return type(error) is ApiError and wait.status is not None


def _next(
    wait: Wait[T], terms: Terms, outcome: T | PollError | None, now: float, changed: bool
) -> Decision[T]:
    known = wait.latest if outcome is None else outcome
    moment = now + delay_after(terms.wait, wait.polls, wait.started, now, known)
    earliest = now if outcome is None else now + _asked_for(outcome)
    return _poll_at(wait, terms, max(moment, earliest), earliest, now, changed)


def _poll_at(
    wait: Wait[T], terms: Terms, moment: float, earliest: float, now: float, changed: bool
) -> Decision[T]:
    """Poll at a moment; or at an earlier one, as the last poll before the end; or give up."""
    end = wait.end(terms)
    # A poll that begins later than this would not be back before the end.
    last = end - 1.25 * terms.pace - 0.02
    if moment <= last:
        wait.clipped_to = None
        return PollAt(moment, changed)
    if wait.clipped_to == end:
        return give_up(wait, terms, max(now, end), changed)
    if last < max(now, earliest):
        # By the pace there is no time for another. But the pace is that of the slowest, so where
        # the next one is due before the end, it is tried; its request is bounded by the end.
        if moment >= end:
            return give_up(wait, terms, max(now, end), changed)
        last = moment
    wait.clipped_to = end
    return PollAt(last, changed)


def _asked_for(outcome: object) -> float:
    """How long the service asked to be left alone, in seconds; some more, at random."""
    seconds = getattr(outcome, "retry_after", None)
    return seconds * random.uniform(1.0, 1.2) if seconds else 0.0


def give_up(wait: Wait[Any], terms: Terms, moment: float, changed: bool = False) -> GiveUpAt:
    """The end of a wait that is out of time, or out of patience."""
    out_of_time = wait.deadline(terms) <= moment
    kind = WaitTimeoutError if out_of_time else ServiceUnreachableError
    error = kind(
        cast("AnyRef", wait.ref),
        cast("AnyTask | None", wait.latest_known()),
        moment - wait.started,
        wait.polls,
        wait.seen,
    )
    error.__cause__ = wait.trouble
    return GiveUpAt(moment, error, changed)


def _count(wait: Wait[Any], what: str, *, as_before: bool) -> None:
    if wait.counts is None and not as_before:
        wait.counts = wait.seen
    if wait.counts is not None:
        what = what[:_MOST_OF_A_WORD]
        if what not in wait.counts and len(wait.counts) >= _MOST_KINDS_SEEN:
            what = "other"
        wait.counts[what] = wait.counts.get(what, 0) + 1
    wait.polls += 1
