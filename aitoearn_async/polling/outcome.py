"""How a task of a batch ended: failure as a value, so that one does not hide the others."""

from __future__ import annotations

from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from ..contract.models import Task
from ..contract.refs import TaskRef
from ..errors import AiToEarnError

T_co = TypeVar("T_co", bound=Task, covariant=True)


class Outcome(msgspec.Struct, Generic[T_co], frozen=True, kw_only=True):
    """What came of one ref of a batch.

    Succeeded: `task`, and no `error`. Failed: the failed `task`, and a `TaskFailedError`.
    Succeeded, but its files could not be saved: the `task`, and a `DownloadError`.
    Anything else: the `error`, and the task as of the last good poll, if there was one. A
    batch does not keep what did not change, so that task may hold no more than id and status.
    """

    ref: TaskRef[T_co]
    """The task asked for."""
    task: T_co | None
    """The task, as far as it is known."""
    error: AiToEarnError | None
    """Why there is no success."""
    polls: int
    """How often the service was asked."""
    elapsed: float
    """Seconds from the first poll to the end."""
    paths: tuple[Path, ...] = ()
    """The files that were saved, where it was asked for (`save=`)."""

    @property
    def ok(self) -> bool:
        """Whether the task succeeded."""
        return self.error is None

    def unwrap(self) -> T_co:
        """The succeeded task.

        Raises:
            AiToEarnError: It did not succeed; `error`.
        """
        if self.error is not None:
            raise self.error.with_traceback(None)  # or it grows with each use
        assert self.task is not None
        return self.task
