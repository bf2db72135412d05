"""How the service words its answers: codes, messages, envelopes and the JSON of a task.

Two dialects. `published` is the vendor's contract, word for word. `observed` is how a real
server speaks, where the two differ. Bytes out of plain data: no sockets, no clock.
"""

from __future__ import annotations

import http
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from aitoearn_async import AnyRef, ImageRef

from .lives import FAILURE_WORDS, SUCCESS_WORDS, Life


@dataclass(frozen=True)
class Dialect:
    """Where the two ways to speak differ."""

    unknown: Mapping[str, int]
    """Kind of task -> the code for an id that nobody knows."""
    points: bool
    """Whether image tasks say what they cost."""
    validators: bool
    """Whether answers carry an ETag, and 304 is spoken."""
    image_words: frozenset[str] | None
    """The status words an image task may have; `None`: any."""


DIALECTS: Final = {
    "published": Dialect(
        unknown={"image": 12302, "video": 12302},
        points=True,
        validators=False,
        image_words=frozenset(["generating", "success", "failed"]),
    ),
    "observed": Dialect(
        unknown={"image": 404, "video": 12302},
        points=False,
        validators=True,
        image_words=None,
    ),
}

_NOTHING: Final[Mapping[str, Any]] = {}

UNAUTHORIZED: Final = 401
NOT_FOUND: Final = 404
MALFORMED_ID: Final = 10002

# code -> English, and Chinese where the service translates.
_MESSAGES: Final = {
    400: ("Bad request",),
    UNAUTHORIZED: ("Unauthorized",),
    NOT_FOUND: ("任务不存在",),
    500: ("Internal server error",),
    MALFORMED_ID: ("Validation failed", "参数验证失败"),
    12300: ("Invalid model", "无效的模型"),
    12302: ("Invalid AI task ID", "无效的 AI 任务 ID"),
    12801: ("Material group not found", "素材组不存在"),
}


def message_for(code: int, language: str) -> str:
    """The service's words for a business code.

    Args:
        code: The business code.
        language: The value of the request's `Accept-Language`.
    """
    if code in _MESSAGES:
        return _MESSAGES[code][-1 if language.strip().lower().startswith("zh") else 0]
    try:
        return http.HTTPStatus(code).phrase
    except ValueError:
        return f"Error {code}"


def success(data: bytes, request_id: str) -> bytes:
    """The envelope of a good answer around JSON that is encoded already."""
    return msgspec.json.encode(
        {"data": msgspec.Raw(data), "code": 0, "message": "请求成功", "requestId": request_id}
    )


def error(code: int, message: str, request_id: str) -> bytes:
    """The envelope of a refusal. It carries the time, so no two are alike."""
    return msgspec.json.encode(
        {
            "data": {},
            "code": code,
            "message": message,
            "timestamp": time.time_ns() // 1_000_000,
            "requestId": request_id,
        }
    )


@dataclass(slots=True)
class Row:
    """One task as the service stores it."""

    ref: AnyRef
    life: Life
    born: float
    """When it was added, in seconds on the event loop's clock."""
    content: Mapping[str, Any]
    """What always stands in its answers."""
    made: Callable[[], Mapping[str, Any]]
    """What stands there once it has succeeded; it may name the server's own address."""
    refused: Mapping[str, Any]
    """What stands there once it has failed."""
    overlay: Mapping[str, Any]
    """What the test wants there, whatever the rest says."""
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    broken: int | None = None
    """The code with which it fails whatever it stands in."""
    encoded: tuple[int, bytes] | None = None
    """The JSON of one stage: an echoed source image makes it megabytes."""


def task_json(row: Row, now: float, *, echo: str | None = None) -> bytes:
    """The task's JSON (`data`) at a moment on the event loop's clock.

    Args:
        row: The task.
        now: The moment.
        echo: The id to give in place of its own.
    """
    stage = row.life.stage(now - row.born)
    if echo is not None:
        id_field = "logId" if isinstance(row.ref, ImageRef) else "id"
        return msgspec.json.encode({**document(row, stage), id_field: echo})
    if row.encoded is None or row.encoded[0] != stage:
        row.encoded = stage, msgspec.json.encode(document(row, stage))
    return row.encoded[1]


def document(row: Row, stage: int) -> dict[str, Any]:
    """The task's fields in one stage of its life, in the service's order."""
    word = row.life.words[stage]
    plain = word.lower()
    succeeded, failed = plain in SUCCESS_WORDS, plain in FAILURE_WORDS
    result = row.made() if succeeded else row.refused if failed else _NOTHING
    changed = timedelta(seconds=row.life.begins[stage])
    shape = _image if isinstance(row.ref, ImageRef) else _video
    fields = shape(row, word, result, changed, ended=succeeded or failed)
    fields |= row.overlay
    return {name: value for name, value in fields.items() if value is not msgspec.UNSET}


def has_succeeded(row: Row, now: float) -> bool:
    """Whether a task has made what it was to make, at a moment on the event loop's clock."""
    return row.life.words[row.life.stage(now - row.born)].lower() in SUCCESS_WORDS


def _image(
    row: Row, word: str, result: Mapping[str, Any], changed: timedelta, *, ended: bool
) -> dict[str, Any]:
    return {
        "logId": row.ref.id,
        "status": word,
        "startedAt": _moment(row.created),
        "duration": round(changed.total_seconds() * 1000) if ended else msgspec.UNSET,
        **row.content,
        **result,
        "createdAt": _moment(row.created),
        "updatedAt": _moment(row.created + changed),
    }


def _video(
    row: Row, word: str, result: Mapping[str, Any], changed: timedelta, *, ended: bool
) -> dict[str, Any]:
    content = dict(row.content)
    return {
        "id": row.ref.id,
        "model": content.pop("model"),
        "status": word,
        **content,
        **result,
        "submittedAt": _moment(row.created),
        "startedAt": _moment(row.created),
        "finishedAt": _moment(row.created + changed) if ended else msgspec.UNSET,
    }


def _moment(when: datetime) -> str:
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
