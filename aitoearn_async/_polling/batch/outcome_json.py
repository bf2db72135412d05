"""An outcome as one line of JSON, and back: for files, queues and databases.

Errors are written by the name of their type. What they mean is in `errors`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from ... import errors
from ...contract.endpoints import endpoint_of
from ...contract.tasks import AnyRef, AnyTask, Task, parse_ref

if TYPE_CHECKING:
    from .outcome import Outcome

_WITH_TASK = (errors.TaskFailedError, errors.DownloadError)
_WITH_LATEST = (errors.WaitTimeoutError, errors.ServiceUnreachableError)


class _Error(msgspec.Struct):
    type: str
    message: str
    details: dict[str, Any] = {}


class _Written(msgspec.Struct):
    """An outcome as it is written: in a Struct, since a dict takes twice the time."""

    ref: str
    state: str | None
    status: str | None
    polls: int
    elapsed: float
    task: Task | None
    error: _Error | None
    paths: list[str]


class _OutcomeLine(msgspec.Struct):
    ref: str
    polls: int
    elapsed: float
    task: msgspec.Raw = msgspec.Raw(b"null")
    error: _Error | None = None
    paths: list[str] = []


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_OutcomeLine)


def encode(outcome: Outcome[Any]) -> bytes:
    """Return the outcome as a line of JSON, without the line's end."""
    task: Task | None = outcome.task
    error = outcome.error
    written = _Written(
        str(outcome.ref),
        task.state.value if task else None,
        task.status if task else None,
        outcome.polls,
        round(outcome.elapsed, 3),
        task,
        None if error is None else _Error(type(error).__name__, str(error), _details(error)),
        [_path(path) for path in outcome.paths] if outcome.paths else [],
    )
    return _encoder.encode(written)


def _path(path: Path) -> str:
    # JSON is UTF-8. Bytes of a name in another encoding become `\\xb2`.
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def decode(line: bytes | str) -> dict[str, Any]:
    """Return the fields of the outcome that a line of JSON holds.

    Raises:
        ValueError: It holds none.
    """
    try:
        read = _decoder.decode(line)
        ref = parse_ref(read.ref)
        kind = endpoint_of(ref).codec.task
        task: Any = msgspec.json.decode(read.task, type=kind | None)
    except msgspec.MsgspecError as error:
        raise ValueError(f"this is no outcome: {error}") from None
    return {
        "ref": ref,
        "task": task,
        "error": None if read.error is None else _error(read.error, ref, task),
        "polls": read.polls,
        "elapsed": read.elapsed,
        "paths": tuple(Path(path) for path in read.paths),
    }


def _details(error: errors.AiToEarnError) -> dict[str, Any]:
    """Return the facts that an error holds, without the task, which stands beside it."""
    facts = error.facts()
    beside = ("task", "latest") if error.ref is not None else ("ref",)
    return {name: value for name, value in facts.items() if name not in beside}


def _error(read: _Error, ref: AnyRef, task: AnyTask | None) -> errors.AiToEarnError:
    kind = getattr(errors, read.type, None)
    if not (isinstance(kind, type) and issubclass(kind, errors.AiToEarnError)):
        kind = errors.AiToEarnError  # a type of a newer version is not known here; its words are
    has_task, has_latest = issubclass(kind, _WITH_TASK), issubclass(kind, _WITH_LATEST)
    if has_task or has_latest:
        read.details.setdefault("ref", str(ref))  # lines of earlier versions have none
    error = kind(read.message, read.details)  # as `cls(*error.args)` does
    if has_task or has_latest:
        error.__dict__["task" if has_task else "latest"] = task
    return error
