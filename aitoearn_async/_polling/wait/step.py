"""The decision after a poll: one plain function on plain state.

    given this answer at this moment:    poll again then · it has ended · give up then

It does no I/O, has no clock, and awaits nothing. So one wait and a hundred thousand are decided
alike, and every case can be tested as a value. Its rules:

- A failed poll is not a failed task. It costs one poll, and the next comes later.
- A wait ends only on a definite answer, at its deadline, or when trouble has lasted for all of its
  patience. A refusal that contradicts earlier good answers must be confirmed by a second one.
- The last sleep before an end is shortened, so that one last poll fits in.
- A wait that is owed a poll is not given up at its deadline, unless a poll has reached the service.
- A poll that was held back because the service is down is no poll, and does not slow down the
  wait's cadence.
- A wait never polls before the moment that the service asks for (`Retry-After`), not even for its
  last poll.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar, cast

import msgspec

from ..._verdict import NO_TURN, Verdict, longer
from ...contract.endpoints import ENDPOINTS
from ...contract.status import TaskState
from ...contract.tasks import Task
from ...errors import (
    AiToEarnError,
    ApiError,
    AuthenticationError,
    ConnectionFailedError,
    NotAskedError,
    RateLimitError,
    TaskNotFoundError,
)
from ..cadence.schedule import FIRST_TROUBLE, HELD_BACK, delay_after, shortened
from .ends import (
    deadline_of,
    end_of,
    final_error,
    is_first_contact,
    is_first_trouble,
    patience_end,
)
from .settings import OWN_TROUBLE, WaitSettings
from .state import OWED, PollError, PollResult, WaitState

_KEPT_OF_THE_SLOWEST = 0.75
"""The part of the duration of the slowest poll that still counts after the next one."""
_SLOWER_POLL, _TIMER_SECONDS = 1.25, 0.02
"""The time that a last poll gets before the end: so many times the slowest, and so many seconds."""

T = TypeVar("T", bound=Task)


class PollAt(msgspec.Struct):
    """Poll again at `moment`."""

    moment: float
    changed: bool = False
    """This poll brought a status that is new, so that an iteration gives its task."""
    is_put_off: bool = False
    """The service asks not to be asked about this task before, whatever else is known of it."""


class Ended(msgspec.Struct, Generic[T]):
    """The task has ended, as the service says."""

    task: T
    failed: bool
    changed: bool = True


class GiveUpAt(msgspec.Struct):
    """No further poll; raise the error at `moment`."""

    moment: float
    error: AiToEarnError
    changed: bool = False


Decision = PollAt | Ended[T] | GiveUpAt

Poll = Callable[[WaitState[T], float], Awaitable[PollResult[T] | Verdict]]
"""Polls once for a wait, until the given deadline (infinity for no limit)."""
Step = Callable[[WaitState[T], WaitSettings, PollResult[T] | Verdict, float, float], Decision[T]]
"""Decides what follows a poll, as `step` does."""


def begin(wait: WaitState[Any], settings: WaitSettings, now: float) -> None:
    """Note that a wait begins: it is polled now, or left to a round."""
    wait.started = now
    if not settings.timeout:
        wait.final_poll_for = now


def step(
    wait: WaitState[T],
    settings: WaitSettings,
    result: PollResult[T] | Verdict,
    asked: float,
    now: float,
) -> Decision[T]:
    """Bring a wait up to date after a poll, and return the next decision.

    Args:
        wait: The state of the wait.
        settings: The settings of the wait, with `poll_seconds` brought up to date as well.
        result: The result of the poll.
        asked: The moment when it began.
        now: The moment when it came back.
    """
    if isinstance(result, PollResult):
        settings.poll_seconds = max(now - asked, _KEPT_OF_THE_SLOWEST * settings.poll_seconds)
        return _after_answer(wait, settings, result, asked, now)
    if isinstance(result.error, NotAskedError) or result.error.label == NO_TURN:
        return _after_no_poll(wait, settings, result, asked, now)
    settings.poll_seconds = max(now - asked, _KEPT_OF_THE_SLOWEST * settings.poll_seconds)
    return _after_trouble(wait, settings, result, asked, now)


def go_on(wait: WaitState[T], settings: WaitSettings, now: float) -> Decision[T]:
    """Return the next decision for a wait that rounds have polled so far."""
    return _next_decision(wait, settings, None, now, changed=False)


def _after_answer(
    wait: WaitState[T], settings: WaitSettings, answer: PollResult[T], asked: float, now: float
) -> Decision[T]:
    changed = answer.status != wait.status
    if wait.counts is None and wait.status in (None, answer.status) and not answer.is_copy:
        wait.polls += 1  # as long as all answers are the same, nothing else need be counted
    else:
        wait.count_poll(f"{answer.status} from a cache" if answer.is_copy else answer.status)
    if wait.final_poll_for == OWED:
        wait.final_poll_for = None
    wait.status, wait.validator = answer.status, answer.validator
    wait.last_error = wait.failing_since = None
    evidence = settings.evidence
    evidence.good_answers += 1
    if evidence.unconfirmed:
        evidence.unconfirmed.pop(wait.ref, None)
    task, learner = answer.task, settings.learner
    if task is None:
        if learner is not None:
            wait.observe_running(asked)
        return _next_decision(wait, settings, None, now, changed, answer.retry_after)
    wait.latest, state = task, task.state
    is_over = state is not TaskState.RUNNING
    if learner is not None:
        times = ENDPOINTS[type(wait.ref)].times_of(task)
        wait.meet(learner, times, now)
        if is_over:
            wait.observe_end(learner, times, now)
        else:
            wait.observe_running(asked)
    if is_over:
        return Ended(task, state is TaskState.FAILED)
    return _next_decision(wait, settings, task, now, changed, answer.retry_after)


def _after_trouble(
    wait: WaitState[T], settings: WaitSettings, verdict: Verdict, asked: float, now: float
) -> Decision[T]:
    error = cast("PollError", verdict.error)
    wait.count_poll(error.label)
    if wait.final_poll_for == OWED and not isinstance(error, ConnectionFailedError):
        wait.final_poll_for = None
    wait.validator, wait.last_error = None, error
    if _is_definite(verdict):
        if not _needs_confirmation(wait, settings, error):
            return GiveUpAt(now, error)
        unconfirmed = settings.evidence.unconfirmed
        if wait.ref not in unconfirmed:
            unconfirmed[wait.ref] = settings.evidence.good_answers
        else:
            unconfirmed[wait.ref] = OWN_TROUBLE
            if wait.failing_since is None:
                wait.failing_since = asked
    # A client that is told to slow down has reached the service, so patience is not used up.
    elif wait.failing_since is None and not isinstance(error, RateLimitError):
        wait.failing_since = asked
    return _next_decision(wait, settings, error, now, changed=False, delay=verdict.delay)


def _after_no_poll(
    wait: WaitState[T], settings: WaitSettings, verdict: Verdict, asked: float, now: float
) -> Decision[T]:
    """Decide after a request that was not sent. It is no poll, but it may use up patience."""
    error = wait.last_error = cast("PollError", verdict.error)
    if error.label == NO_TURN:
        # The delay was on this side, so it uses up no patience. The poll is still due.
        if wait.failing_since is not None:
            wait.failing_since += now - asked
        return _poll_at(wait, settings, now, now, now, changed=False)
    if verdict.delay is not None:
        # The service wants to be left alone for a while. The poll is due as soon as that is over.
        moment = now + longer(verdict.delay)
        return _poll_at(wait, settings, moment, moment, now, changed=False)
    if wait.failing_since is None:
        wait.failing_since = asked
    # The usual delay keeps tasks spread out. But a task that is polled once an hour must not wait
    # another hour for a poll that was due now.
    delay = delay_after(settings.wait, max(wait.polls, 1), wait.started, now, error)
    most = FIRST_TROUBLE if is_first_contact(settings, error) else HELD_BACK
    return _poll_at(wait, settings, now + shortened(delay, most), now, now, changed=False)


def _is_definite(verdict: Verdict) -> bool:
    """Return whether the service itself said no, or whether the host is not trusted."""
    return isinstance(verdict.error, ApiError | ConnectionFailedError) and not verdict.retry


def _needs_confirmation(wait: WaitState[Any], settings: WaitSettings, error: AiToEarnError) -> bool:
    evidence = settings.evidence
    unconfirmed = evidence.unconfirmed.get(wait.ref)
    if isinstance(error, AuthenticationError | ConnectionFailedError):
        # It would end all waits of the call, and so it must come twice: one node of many can be
        # wrong, and the service also says 401 when it fails to look the account up.
        if evidence.good_answers or wait.ref in evidence.just_submitted:
            # A good answer to any of the waits since the first refusal shows that the key is good.
            return unconfirmed != evidence.good_answers
        evidence.refusals += 1
        return evidence.refusals < 2
    if unconfirmed is not None:
        return False
    if isinstance(error, TaskNotFoundError):
        # The service may give the id of a task before it can find it.
        return wait.ref in evidence.just_submitted
    return type(error) is ApiError and wait.status is not None


def _next_decision(
    wait: WaitState[T],
    settings: WaitSettings,
    outcome: T | AiToEarnError | None,
    now: float,
    changed: bool,
    delay: float | None = None,
) -> Decision[T]:
    if settings.learner is not None:
        pause = settings.learner.delay(wait.cohort, wait.started, now, wait.polls)
    else:
        known = wait.latest if outcome is None else outcome
        pause = delay_after(settings.wait, wait.polls, wait.started, now, known)
    if wait.last_error is not None and is_first_trouble(wait, settings):
        pause = shortened(pause, FIRST_TROUBLE)
    earliest = now if delay is None else now + longer(delay)
    decision = _poll_at(wait, settings, max(now + pause, earliest), earliest, now, changed)
    if delay and isinstance(decision, PollAt):
        decision.is_put_off = True
    return decision


def _poll_at(
    wait: WaitState[T],
    settings: WaitSettings,
    moment: float,
    earliest: float,
    now: float,
    changed: bool,
) -> Decision[T]:
    """Return the decision for a wait whose next poll is due at a moment.

    It is polled then; or earlier, for the last time before its end; or it is given up.
    """
    if wait.final_poll_for == OWED:
        return _owed_poll_at(wait, settings, moment, now, changed)
    end = end_of(wait, settings)
    # A poll that begins later than this would not be back before the end.
    last = end - _SLOWER_POLL * settings.poll_seconds - _TIMER_SECONDS
    if moment <= last:
        wait.final_poll_for = None
        return PollAt(moment, changed)
    if wait.final_poll_for == end:
        return give_up(wait, settings, max(now, end), changed)
    if last < max(now, earliest):
        # There is no time for another poll as slow as the slowest. A faster one may come back, so
        # one that is due before the end is tried; its deadline is the end.
        if moment >= end:
            return give_up(wait, settings, max(now, end), changed)
        last = moment
    wait.final_poll_for = end
    return PollAt(last, changed)


def _owed_poll_at(
    wait: WaitState[T], settings: WaitSettings, moment: float, now: float, changed: bool
) -> Decision[T]:
    """Return the same for a wait that is owed a poll: its deadline does not end it."""
    if moment >= (end := patience_end(wait, settings)):
        return give_up(wait, settings, max(now, end), changed)
    deadline = deadline_of(wait, settings)
    return PollAt(min(moment, deadline) if deadline > now else moment, changed)


def give_up(
    wait: WaitState[Any], settings: WaitSettings, moment: float, changed: bool = False
) -> GiveUpAt:
    """Return the end of a wait that is out of time, or out of patience."""
    return GiveUpAt(moment, final_error(wait, settings, moment), changed)
