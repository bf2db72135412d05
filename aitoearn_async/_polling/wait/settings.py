"""The settings that waits of one call share, and the evidence against a refusal."""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Any, Protocol

import msgspec

from ...contract.tasks import TaskRef
from ..cadence.rhythm import Learner, Rhythm
from ..cadence.schedule import WaitStrategy

OWN_TROUBLE = -1
"""Stands in `Evidence.unconfirmed` for a task that was refused again after others had good answers:
the refusal is about this task alone."""


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
    good_answers: int = 0
    """The number of good answers so far, to tasks of any kind."""
    unconfirmed: dict[TaskRef[Any], int] = {}
    """The tasks with a refusal that must be confirmed, and `good_answers` when it came. They are
    few, so this is kept here, and not in each wait."""
    refusals: int = 0
    """The number of refusals of the key, or of trust, while there was no good answer."""
    failure_told: bool = False
    """A failed poll has been logged."""


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
    """Decides in place of `wait`, if there is one."""
    poll_seconds: float = 0.0
    """The duration of the slowest of the latest polls."""


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
