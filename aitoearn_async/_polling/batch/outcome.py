"""The outcome of a task in a batch: failure as a value, so that one does not hide the others.

It goes through files, queues and databases as a line of JSON, in which errors are written by the
name of their type.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeAlias, TypeVar

import msgspec

from ... import errors
from ...contract.endpoints import endpoint_of
from ...contract.kinds import AnyRef, AnyTask, parse_ref
from ...contract.tasks import Task, TaskRef
from ...errors import AiToEarnError

T_co = TypeVar("T_co", bound=Task, covariant=True)

MaybeNone: TypeAlias = Any
"""None, of which type checkers want no test: not all of them understand `if outcome.ok:`."""


_WITH_TASK = (errors.TaskFailedError, errors.DownloadError)
_WITH_LATEST = (errors.WaitTimeoutError, errors.ServiceUnreachableError)


class _Error(msgspec.Struct):
    type: str
    message: str
    details: dict[str, Any] = {}


class _Line(msgspec.Struct, kw_only=True):
    """An outcome as it is written: in a Struct, since a dict takes twice the time."""

    ref: str
    state: str | None = None
    status: str | None = None
    polls: int
    elapsed: float
    task: msgspec.Raw = msgspec.Raw(b"null")
    """It is read by its kind, later; it is written as it is."""
    error: _Error | None = None
    paths: list[str] = []


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Line)


def _path(path: Path) -> str:
    # JSON is UTF-8. Bytes of a name in another encoding become `\\xb2`.
    return os.fsencode(path).decode("utf-8", "backslashreplace")


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
        task: Any = self.task
        error = self.error
        line = _Line(
            ref=str(self.ref),
            state=task.state if task else None,
            status=task.status if task else None,
            polls=self.polls,
            elapsed=round(self.elapsed, 3),
            task=task,
            error=None if error is None else _error_of(error),
            paths=[_path(path) for path in self.paths],
        )
        return _encoder.encode(line)

    @staticmethod
    def from_json(line: bytes | str) -> Outcome[Any]:
        """Return the outcome of a line that `to_json` made.

        An error of a type that this version does not know comes back as an `AiToEarnError`
        with the same words; its `__cause__` is not kept.

        Raises:
            ValueError: It is no such line.
        """
        try:
            read = _decoder.decode(line)
            ref = parse_ref(read.ref)
            kind = endpoint_of(ref).codec.task
            task: Any = msgspec.json.decode(read.task, type=kind | None)
        except msgspec.MsgspecError as error:
            raise ValueError(f"this is no outcome: {error}") from None
        return Outcome[Any](
            ref=ref,
            task=task,
            error=None if read.error is None else _rebuilt(read.error, ref, task),
            polls=read.polls,
            elapsed=read.elapsed,
            paths=tuple(Path(path) for path in read.paths),
        )


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


def _error_of(error: AiToEarnError) -> _Error:
    """Return the type, the words and the facts of an error, but no task: it stands beside it."""
    beside = ("task", "latest") if error.ref is not None else ("ref",)
    details = {name: value for name, value in error.facts().items() if name not in beside}
    return _Error(type(error).__name__, str(error), details)


def _rebuilt(read: _Error, ref: AnyRef, task: AnyTask | None) -> AiToEarnError:
    kind = getattr(errors, read.type, None)
    if not (isinstance(kind, type) and issubclass(kind, AiToEarnError)):
        kind = AiToEarnError  # a type of a newer version is not known here; its words are
    has_task, has_latest = issubclass(kind, _WITH_TASK), issubclass(kind, _WITH_LATEST)
    if has_task or has_latest:
        read.details.setdefault("ref", str(ref))  # lines of earlier versions have none
    error = kind(read.message, read.details)  # as `cls(*error.args)` does
    if has_task or has_latest:
        error.__dict__["task" if has_task else "latest"] = task
    return error
