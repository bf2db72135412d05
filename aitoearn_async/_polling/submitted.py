"""The name of the task in errors that come after its submit: it is paid for, and goes on."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from ..contract.tasks import TaskRef
from ..errors import AiToEarnError


@contextmanager
def naming(ref: TaskRef[Any]) -> Generator[None]:
    """Make every error that is raised inside name the task that has been submitted."""
    try:
        yield
    except BaseException as exc:
        exc.add_note(f"{ref} was submitted and goes on")
        if isinstance(exc, AiToEarnError):
            exc.ref = ref  # type: ignore[assignment]
        raise
