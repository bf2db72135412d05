"""The outcome of a task in a batch: failure as a value, so that one does not hide the others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeAlias, TypeVar

import msgspec

from ...contract.tasks import Task, TaskRef
from ...errors import AiToEarnError
from . import outcome_json

T_co = TypeVar("T_co", bound=Task, covariant=True)

MaybeNone: TypeAlias = Any
"""None, of which type checkers want no test: not all of them understand `if outcome.ok:`."""


class Outcome(msgspec.Struct, Generic[T_co], frozen=True, kw_only=True):
    """The outcome of one ref of a batch.

    Succeeded: `task`, and no `error`. Failed: the failed `task`, and a `TaskFailedError`.
    Succeeded, but its files could not be saved: the `task`, and a `DownloadError`.
    Anything else: the `error`, and the task as of the last good poll, if there was one. A batch
    does not keep whole tasks while they run, so that task may hold no more than id and status.
    """

    ref: TaskRef[T_co]
    """The task asked for."""
    task: T_co | MaybeNone
    """The task, as far as it is known; None if no poll was good."""
    error: AiToEarnError | MaybeNone
    """The error that stands in the way of success; None if the task succeeded."""
    polls: int
    """The number of polls."""
    elapsed: float
    """Seconds from the first poll to the end."""
    paths: tuple[Path, ...] = ()
    """The files that were saved, where it was asked for (`save=`)."""

    @property
    def ok(self) -> bool:
        """Return whether the task succeeded."""
        return self.error is None

    def unwrap(self) -> T_co:
        """Return the succeeded task.

        Raises:
            AiToEarnError: It did not succeed; `error`.
        """
        if self.error is not None:
            raise self.error.with_traceback(None)  # or it grows with each use
        assert self.task is not None
        return self.task

    def to_json(self) -> bytes:
        """Return the outcome as one line of JSON, for a file, a queue or a database.

        The members are `ref`, `state`, `status`, `polls`, `elapsed`, `task` as the service
        writes it, `error` with its `type`, `message` and `details`, and `paths`. The line ends
        of the text are escaped, so it is one line. Bytes of a path that are not UTF-8 are
        written in hex.
        """
        return outcome_json.encode(self)

    @staticmethod
    def from_json(line: bytes | str) -> Outcome[Any]:
        """Return the outcome of a line that `to_json` made.

        An error of a type that this version does not know comes back as an `AiToEarnError`
        with the same words; its `__cause__` is not kept.

        Raises:
            ValueError: It is no such line.
        """
        return Outcome[Any](**outcome_json.decode(line))


# Type checkers see two shapes, so that the task is there after `if outcome.ok:`. mypy tells them
# apart by `ok`; pyright compares alone (`outcome.ok is True`, `outcome.error is None`), and for it,
# what a shape lacks is `Any`.
if TYPE_CHECKING:

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
