"""The end of a wait whose task has not ended: its moment, and its error.

Patience is for a service that has been seen. Until a client has had its first good answer, an
address where nobody listens, or another server, is more likely wrong than down.
"""

from __future__ import annotations

import logging
import math
from typing import Any, cast

from ..._verdict import HOSTS_OWN
from ...contract.kinds import AnyRef, AnyTask
from ...errors import (
    AiToEarnError,
    ConnectionFailedError,
    ContractError,
    ServiceUnreachableError,
    UnexpectedResponseError,
    WaitTimeoutError,
)
from .settings import WaitSettings
from .state import OWED, WaitState

logger: logging.Logger = logging.getLogger("aitoearn_async")

FIRST_CONTACT = 8.0
"""Seconds of patience with a service that has never answered, where nobody, or another server, is
at its address: enough for a service that is started together with its client."""

# A port of TLS hangs up on plain HTTP, and so does a balancer that has nobody behind it.
_NOBODY = HOSTS_OWN | {"lost connection"}
_PASSING_LABELS = frozenset(["stray answer", "huge answer", "no memory", "HTTP 408", "HTTP 425"])


def deadline_of(wait: WaitState[Any], settings: WaitSettings) -> float:
    """Return the moment when the time for a task is over."""
    return wait.started + settings.timeout


def patience_end(wait: WaitState[Any], settings: WaitSettings) -> float:
    """Return the moment when trouble has lasted too long; infinity while there is none."""
    if wait.failing_since is None:
        return math.inf
    if is_first_contact(settings, wait.last_error):
        return wait.failing_since + min(settings.patience, FIRST_CONTACT)
    return wait.failing_since + settings.patience


def end_of(wait: WaitState[Any], settings: WaitSettings) -> float:
    """Return the moment when a wait ends if nothing changes: out of time, or out of patience."""
    if wait.failing_since is None:
        return wait.started + settings.timeout
    return min(deadline_of(wait, settings), patience_end(wait, settings))


def response_deadline(
    wait: WaitState[Any], settings: WaitSettings, asked: float, due: float
) -> float:
    """Return the moment when a poll is given up that began now and was due then.

    Patience is for the service. It does not run out over a delay on this side: a rate that is
    too low for so many polls, or a slow consumer of an iteration.
    """
    # With a timeout of 0 a task is polled once, and the request has a timeout of its own. So has
    # one that is owed.
    is_bound = settings.timeout and wait.final_poll_for != OWED
    deadline = wait.started + settings.timeout if is_bound else math.inf
    if wait.failing_since is None:
        return deadline
    return min(deadline, patience_end(wait, settings) + max(0.0, asked - due))


def is_first_contact(settings: WaitSettings, error: BaseException | None) -> bool:
    """Return whether the error of a poll shows that the address may be wrong."""
    return not settings.evidence.service.answered and _is_a_strangers(error)


def is_first_trouble(wait: WaitState[Any], settings: WaitSettings) -> bool:
    """Return whether a wait is in trouble before any good answer: it must be short then."""
    evidence = settings.evidence
    first_refusal = wait.ref in evidence.unconfirmed and not evidence.good_answers
    return first_refusal or is_first_contact(settings, wait.last_error)


def _is_a_strangers(error: BaseException | None) -> bool:
    if isinstance(error, ConnectionFailedError):
        return error.label in _NOBODY
    if isinstance(error, UnexpectedResponseError):
        return error.label not in _PASSING_LABELS
    if isinstance(error, ContractError):
        return error.is_foreign
    # The poll was not sent, because of the trouble that others had.
    return error is not None and error.__cause__ is not None and _is_a_strangers(error.__cause__)


def final_error(wait: WaitState[Any], settings: WaitSettings, moment: float) -> AiToEarnError:
    """Return the error of a wait that is out of time, or out of patience, at this moment."""
    facts = (
        cast("AnyRef", wait.ref),
        cast("AnyTask | None", wait.latest_known()),
        moment - wait.started,
        wait.polls,
        wait.seen,
    )
    error: WaitTimeoutError | ServiceUnreachableError
    if deadline_of(wait, settings) <= moment and wait.final_poll_for != OWED:
        error = WaitTimeoutError(*facts)
    elif is_first_contact(settings, wait.last_error):
        error = ServiceUnreachableError(*facts)
        error.address = settings.evidence.service.address
    else:
        error = ServiceUnreachableError(*facts)
    error.__cause__ = wait.last_error
    return error


def warn_of_first_failure(wait: WaitState[Any], settings: WaitSettings) -> None:
    """Log the first failed poll after which a wait goes on, once for all waits of a call."""
    evidence = settings.evidence
    if not evidence.failure_told and wait.failing_since is not None:
        evidence.failure_told = True
        error = wait.last_error
        trouble = error.__cause__ if error is not None and error.__cause__ else error
        # As text: a record may be kept, and an error holds the frames it was raised through.
        reason = str(trouble).removeprefix(f"{wait.ref}: ")
        logger.warning("a poll of %s failed, and is repeated: %s", wait.ref, reason)
