"""The two shapes of an outcome, for type checkers: after `if outcome.ok:` the task is there.

There is one class when the program runs. mypy tells the shapes apart by `ok`; pyright compares
alone (`outcome.ok is True`, `outcome.error is None`), and for it, what a shape lacks is `Any`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar

from .outcome import Outcome

if TYPE_CHECKING:
    from ..contract.tasks import Task
    from ..errors import AiToEarnError

    T_co = TypeVar("T_co", bound=Task, covariant=True)

    class SucceededOutcome(Outcome[T_co], frozen=True, kw_only=True):
        """The outcome of a task that succeeded, and whose files were saved if asked for."""

        ok: Literal[True]  # pyright: ignore[reportIncompatibleMethodOverride]
        """The mark of this shape."""
        task: T_co
        """The finished task."""

    class UnsuccessfulOutcome(Outcome[T_co], frozen=True, kw_only=True):
        """Any other outcome."""

        ok: Literal[False]  # pyright: ignore[reportIncompatibleMethodOverride]
        """The mark of this shape."""
        error: AiToEarnError
        """The error that stands in the way of success."""

    EitherOutcome: TypeAlias = SucceededOutcome[T_co] | UnsuccessfulOutcome[T_co]
else:
    EitherOutcome = Outcome
