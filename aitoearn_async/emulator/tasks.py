"""One stored task, and the JSON that the routes show of it.

Plain functions on plain data: no sockets, and every moment is handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from aitoearn_async import AnyRef, ImageRef, VideoRef

from .dialects import UNKNOWN_TASK
from .timeline import FAILURE_WORDS, SUCCESS_WORDS, StatusTimeline, log_status

_NOTHING: Final[Mapping[str, Any]] = {}

Moment = Callable[[float], str]
"""Turns seconds on the event loop's clock into a date of the service, in ISO 8601."""


@dataclass(slots=True, eq=False)
class StoredTask:
    """One task as the service's database has it. Times are seconds on the loop's clock."""

    ref: AnyRef
    timeline: StatusTimeline
    created: float
    account: str
    """The id of the user it belongs to."""
    model: str
    channel: str
    """The provider that its model is reached through."""
    content: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """The fields that are always in its own answers."""
    request: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """The stored request."""
    result: Callable[[], Mapping[str, Any]] = dict
    """Gives the fields of a success; they may name the server's own address."""
    failure: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """The fields of a failure."""
    fields: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """The fields that the test wants in its own answers, whatever the rest says."""
    type: str | None = None
    """The type of its row in the logs, where that is none of a task."""
    provider_id: str | None = None
    """The id at the provider, for videos."""
    looked_at: float | None = None
    """The moment when the sweep last asked the provider; `None`: the row is always up to date."""
    stops_sweep: bool = False
    """A run of the sweep ends in failure when it looks at it."""
    media: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """The media row that the first answer about a finished video has made."""
    files: dict[int, bytes] = field(default_factory=dict[int, bytes])
    """The files that the test put in place of its own, by their numbers."""
    is_cut_off: bool = False
    """A crash has ended the job that makes it."""
    failing_code: int | None = None
    """The code with which its own answers and pages of the video list fail."""
    failing_in_logs: bool = False
    """Pages of the logs fail too."""
    encoded: tuple[object, bytes] | None = None
    """The JSON of one stage: an echoed source image makes it megabytes."""
    encoded_log: tuple[object, bytes] | None = None
    """The JSON of its log row in one stage, of which a page has a thousand."""

    @property
    def request_bytes(self) -> int:
        """The size of the stored request as JSON."""
        return len(msgspec.json.encode(self.request))

    def stage(self, now: float) -> int:
        """Return the number of the stage that the row shows at a moment."""
        seen = now if self.looked_at is None else self.looked_at
        return self.timeline.stage(seen - self.created)

    def word(self, now: float) -> str:
        """Return the status word that the row shows at a moment."""
        return self.timeline.words[self.stage(now)]

    def running(self, now: float) -> bool:
        """Return whether the row shows neither success nor failure at a moment."""
        return log_status(self.word(now)) == "generating"

    def next_change(self) -> float:
        """Return the moment of the first change that the sweep has not seen yet."""
        seen = self.created if self.looked_at is None else self.looked_at
        return self.created + self.timeline.next_change(seen - self.created)

    def succeeded(self, now: float) -> bool:
        """Return whether the row shows a success at a moment."""
        return self.word(now).lower() in SUCCESS_WORDS

    def changed(self, stage: int) -> float:
        """Return the moment at which the row came to show a stage.

        With a sweep that is when it was looked at; the volcengine channel stores the
        provider's own moment.
        """
        begun = self.created + self.timeline.begins[stage]
        running = log_status(self.timeline.words[stage]) == "generating"
        if running or self.looked_at is None or self.channel == "volcengine":
            return begun
        return max(begun, self.looked_at)


def task_json(task: StoredTask, now: float, moment: Moment, *, echo: str | None = None) -> bytes:
    """Return the JSON (`data`) of the task's own route; `echo`: an id in place of its own."""
    stage = task.stage(now)
    if echo is not None:
        id_field = "logId" if isinstance(task.ref, ImageRef) else "id"
        return msgspec.json.encode({**document(task, stage, moment), id_field: echo})
    state = (stage, task.changed(stage), len(task.media))
    if task.encoded is None or task.encoded[0] != state:
        task.encoded = state, msgspec.json.encode(document(task, stage, moment))
    return task.encoded[1]


def document(task: StoredTask, stage: int, moment: Moment) -> dict[str, Any]:
    """Return the fields of the task's own route in one stage, in the service's order."""
    word = task.timeline.words[stage]
    shape = _image if isinstance(task.ref, ImageRef) else _video
    fields = shape(task, word, stage, moment) | dict(task.fields)
    return _without_unset(fields)


def _outcome(task: StoredTask, word: str) -> tuple[Mapping[str, Any], bool]:
    """Return the fields that a word brings, and whether it ends the task."""
    plain = word.lower()
    if plain in SUCCESS_WORDS:
        return task.result(), True
    return (task.failure, True) if plain in FAILURE_WORDS else (_NOTHING, False)


# An answer has its fields in the service's order, so each has a place, filled or not.
_NO_RESULT: Final = dict.fromkeys(["response", "images", "errorMessage"], msgspec.UNSET)
_NO_VIDEO: Final = dict.fromkeys(
    ["videoUrl", "coverUrl", "mediaId", "groupId", "error"], msgspec.UNSET
)


def _image(task: StoredTask, word: str, stage: int, moment: Moment) -> dict[str, Any]:
    outcome, ended = _outcome(task, word)
    changed = task.changed(stage)
    return {
        "logId": task.ref.id,
        "status": word,
        "startedAt": moment(task.created),
        "duration": _milliseconds(changed - task.created) if ended else msgspec.UNSET,
        **task.content,
        **_NO_RESULT,
        **outcome,
        "createdAt": moment(task.created),
        "updatedAt": moment(changed),
    }


def _video(task: StoredTask, word: str, stage: int, moment: Moment) -> dict[str, Any]:
    outcome, ended = _outcome(task, word)
    return {
        "id": task.ref.id,
        "model": task.model,
        "status": word,
        **task.content,
        **_NO_VIDEO,
        **outcome,
        **(task.media if ended else _NOTHING),
        "submittedAt": moment(task.created),
        "startedAt": moment(task.created),
        "finishedAt": moment(task.changed(stage)) if ended else msgspec.UNSET,
    }


def log_json(task: StoredTask, now: float, moment: Moment) -> bytes:
    """Return the JSON of the task's row in `GET /api/ai/logs`."""
    stage = task.stage(now)
    state = (stage, task.changed(stage))
    if task.encoded_log is None or task.encoded_log[0] != state:
        task.encoded_log = state, msgspec.json.encode(_log_row(task, stage, moment))
    return task.encoded_log[1]


def _log_row(task: StoredTask, stage: int, moment: Moment) -> dict[str, Any]:
    """Return the fields of a log row: no prompt, no result, no error text."""
    status = log_status(task.timeline.words[stage])
    changed = task.changed(stage)
    took = msgspec.UNSET if status == "generating" else _milliseconds(changed - task.created)
    fields = {
        "id": task.ref.id,
        "userId": task.account,
        "userType": "user",
        "taskId": msgspec.UNSET if task.provider_id is None else task.provider_id,
        "type": task.type or task.ref.kind,
        "model": task.model,
        "channel": task.channel,
        "status": status,
        "startedAt": moment(task.created),
        "duration": took,
        "createdAt": moment(task.created),
        "updatedAt": moment(changed),
    }
    return _without_unset(fields)


def draft_row(task: StoredTask, now: float, moment: Moment) -> dict[str, Any]:
    """Return the task as `/api/ai/draft-generation/…` shows it."""
    stage = task.stage(now)
    word = task.timeline.words[stage]
    status = log_status(word)
    outcome = _outcome(task, word)[0]
    if task.failing_code == UNKNOWN_TASK:  # since no result was ever stored
        outcome = _NOTHING
    error = outcome.get("errorMessage", outcome.get("error", _NOTHING).get("message"))
    if isinstance(task.ref, VideoRef):
        response = {**outcome, **task.media} if status == "success" and outcome else msgspec.UNSET
    else:
        response = outcome.get("response", msgspec.UNSET)
    fields = {
        "id": task.ref.id,
        "status": status,
        "errorMessage": error if status == "failed" else msgspec.UNSET,
        "request": task.request,
        "response": response,
        "createdAt": moment(task.created),
        "updatedAt": moment(task.changed(stage)),
    }
    return _without_unset(fields)


def provider_document(task: StoredTask, now: float, seconds: Callable[[float], int]) -> Any:
    """Return the answer of `GET /api/ai/volcengine/video/{id}`: the provider's own words.

    The form is that of Volcengine Ark's `GET /contents/generations/tasks/{id}`.
    """
    stage = task.stage(now)
    status = {"success": "succeeded", "failed": "failed"}.get(
        log_status(task.timeline.words[stage]), "running"
    )
    outcome = _outcome(task, task.timeline.words[stage])[0]
    fields: dict[str, Any] = {"id": task.provider_id, "model": task.model, "status": status}
    if status == "succeeded":
        fields["content"] = {"video_url": outcome.get("videoUrl")}
    if status == "failed":
        fields["error"] = {"code": "InvalidParameter", **outcome.get("error", _NOTHING)}
    return {
        **fields,
        "created_at": seconds(task.created),
        "updated_at": seconds(task.changed(stage)),
    }


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def _without_unset(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not msgspec.UNSET}
