"""The settings that waits of one call share, and the evidence against a refusal."""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Any, Protocol

import msgspec

from ...contract.tasks import TaskRef
from ..cadence.rhythm import Learner, Rhythm
from ..cadence.schedule import WaitStrategy

OWN_TROUBLE = -1
"""It stands in `Evidence.unconfirmed` where other tasks have had good answers since: only this one
is refused."""


class ServiceFacts(Protocol):
    """The facts about the service that a wait needs."""

    @property
    def answered(self) -> bool:
        """Return whether it has ever answered the client."""
        ...

    @property
    def address(self) -> str:
        """Return its address."""
        ...


class Evidence(msgspec.Struct):
    """The evidence against a refusal, from all waits of one call."""

    just_submitted: Container[TaskRef[Any]]
    """The tasks whose ids the service has just given."""
    service: ServiceFacts
    good_replies: int = 0
    """The number of good answers so far, to tasks of any kind."""
    unconfirmed: dict[TaskRef[Any], int] = {}
    """The number of good answers until each refusal that must be confirmed. It is here, and not in
    the wait, since there are few."""
    refusals: int = 0
    """The number of those of the key, or of trust, while there was no good answer."""
    failure_told: bool = False
    """The log has been told of a failed poll."""


class WaitSettings(msgspec.Struct):
    """The settings that the waits of one call share, for one kind of task."""

    timeout: float
    """Seconds from the first poll; infinity for no limit."""
    patience: float
    """Seconds of trouble; infinity for no limit."""
    wait: WaitStrategy
    evidence: Evidence
    """It is shared with the waits for tasks of other kinds."""
    learner: Learner | None = None
    """It takes the place of `wait`, if it is there."""
    poll_seconds: float = 0.0
    """The time that a poll takes: the slowest, of late."""


class WaitLimits(msgspec.Struct, frozen=True):
    """The limits of the waits of one call, as its arguments say."""

    timeout: float
    """Seconds from the first poll; infinity for no limit."""
    patience: float
    """Seconds of trouble; infinity for no limit."""
    wait: WaitStrategy | None
    """The delays between polls; None for what has been learned of each kind."""


def settings_for(kind: str, limits: WaitLimits, evidence: Evidence, rhythm: Rhythm) -> WaitSettings:
    """Return the settings of waits for one kind of task."""
    timeout, patience, wait = limits.timeout, limits.patience, limits.wait
    if wait is not None:
        return WaitSettings(timeout, patience, wait, evidence)
    learner = rhythm.learner(kind)
    return WaitSettings(timeout, patience, learner.backoff, evidence, learner)


def settings_by_kind(
    limits: WaitLimits, evidence: Evidence, rhythm: Rhythm
) -> Callable[[TaskRef[Any]], WaitSettings]:
    """Return a function that gives the settings of a wait, the same for all tasks of a kind."""
    made: dict[type, WaitSettings] = {}

    def settings_of(ref: TaskRef[Any]) -> WaitSettings:
        found = made.get(type(ref))
        if found is None:
            found = made[type(ref)] = settings_for(ref.kind, limits, evidence, rhythm)
        return found

    return settings_of
