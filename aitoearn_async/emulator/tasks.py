"""One stored task, and the JSON that the routes show of it.

Plain functions on plain data: no sockets, and every moment is handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from aitoearn_async import AnyRef, ImageRef, VideoRef

from .codes import UNKNOWN_TASK
from .timeline import StatusTimeline, log_status

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
    failure: str = ""
    """The reason of its failure, if it fails."""
    fields: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """The fields that the test wants in its own answers, whatever the rest says."""
    type: str | None = None
    """The type of its row in the logs, where it is no task."""
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
    def is_task(self) -> bool:
        """Return whether it is a task, and no other row of the logs."""
        return self.type is None

    @property
    def request_bytes(self) -> int:
        """The size of the stored request as JSON."""
        return len(msgspec.json.encode(self.request))

    def stage(self, now: float) -> int:
        """Return the number of the stage that the row shows at a moment."""
        seen = now if self.looked_at is None else self.looked_at
        return self.timeline.stage(seen - self.created)

    def status(self, stage: int) -> str:
        """Return `generating`, `success` or `failed`, whatever the word of a stage is."""
        return log_status(self.timeline.words[stage])

    def running(self, now: float) -> bool:
        """Return whether the row shows neither success nor failure at a moment."""
        return self.status(self.stage(now)) == "generating"

    def next_change(self) -> float:
        """Return the moment of the first change that the sweep has not seen yet."""
        seen = self.created if self.looked_at is None else self.looked_at
        return self.created + self.timeline.next_change(seen - self.created)

    def succeeded(self, now: float) -> bool:
        """Return whether the row shows a success at a moment."""
        return self.status(self.stage(now)) == "success"

    def result_in(self, stage: int) -> Mapping[str, Any]:
        """Return the fields of its result, which are there only in a stage of success."""
        return self.result() if self.status(stage) == "success" else {}

    def failure_in(self, stage: int) -> str | UnsetType:
        """Return the reason of its failure, which is there only in a stage of failure."""
        return self.failure if self.status(stage) == "failed" else UNSET

    def duration(self, stage: int) -> int | UnsetType:
        """Return the milliseconds that it took, which are there once it has ended."""
        if self.status(stage) == "generating":
            return UNSET
        return round((self.changed(stage) - self.created) * 1000)

    def changed(self, stage: int) -> float:
        """Return the moment at which the row came to show a stage.

        With a sweep that is when it was looked at; the volcengine channel stores the
        provider's own moment.
        """
        begun = self.created + self.timeline.begins[stage]
        running = self.status(stage) == "generating"
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
    shape = _image if isinstance(task.ref, ImageRef) else _video
    return _without_unset({**shape(task, stage, moment), **task.fields})


def _image(task: StoredTask, stage: int, moment: Moment) -> dict[str, Any]:
    result = task.result_in(stage)
    return {
        "logId": task.ref.id,
        "status": task.timeline.words[stage],
        "startedAt": moment(task.created),
        "duration": task.duration(stage),
        **task.content,
        "response": result.get("response", UNSET),
        "images": result.get("images", UNSET),
        "errorMessage": task.failure_in(stage),
        "createdAt": moment(task.created),
        "updatedAt": moment(task.changed(stage)),
    }


def _video(task: StoredTask, stage: int, moment: Moment) -> dict[str, Any]:
    ended, failure = task.status(stage) != "generating", task.failure_in(stage)
    media: Mapping[str, Any] = task.media if ended else {}
    return {
        "id": task.ref.id,
        "model": task.model,
        "status": task.timeline.words[stage],
        **task.content,
        "videoUrl": task.result_in(stage).get("videoUrl", UNSET),
        **{name: media.get(name, UNSET) for name in ("coverUrl", "mediaId", "groupId")},
        "error": UNSET if failure is UNSET else {"message": failure},
        "submittedAt": moment(task.created),
        "startedAt": moment(task.created),
        "finishedAt": moment(task.changed(stage)) if ended else UNSET,
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
    fields = {
        "id": task.ref.id,
        "userId": task.account,
        "userType": "user",
        "taskId": UNSET if task.provider_id is None else task.provider_id,
        "type": task.type or task.ref.kind,
        "model": task.model,
        "channel": task.channel,
        "status": task.status(stage),
        "startedAt": moment(task.created),
        "duration": task.duration(stage),
        "createdAt": moment(task.created),
        "updatedAt": moment(task.changed(stage)),
    }
    return _without_unset(fields)


def draft_row(task: StoredTask, now: float, moment: Moment) -> dict[str, Any]:
    """Return the task as `/api/ai/draft-generation/…` shows it."""
    stage = task.stage(now)
    # A task that fails with this code is one whose end was never stored.
    stored = task.failing_code != UNKNOWN_TASK
    result: Mapping[str, Any] = task.result_in(stage) if stored else {}
    response = result.get("response", UNSET)
    if isinstance(task.ref, VideoRef) and result:
        response = {**result, **task.media}
    fields = {
        "id": task.ref.id,
        "status": task.status(stage),
        "errorMessage": task.failure_in(stage) if stored else UNSET,
        "request": task.request,
        "response": response,
        "createdAt": moment(task.created),
        "updatedAt": moment(task.changed(stage)),
    }
    return _without_unset(fields)


_PROVIDER_WORDS: Final = {"generating": "running", "success": "succeeded", "failed": "failed"}


def provider_document(task: StoredTask, now: float, seconds: Callable[[float], int]) -> Any:
    """Return the answer of `GET /api/ai/volcengine/video/{id}`: the provider's own words.

    The form is that of Volcengine Ark's `GET /contents/generations/tasks/{id}`.
    """
    stage = task.stage(now)
    result, failure = task.result_in(stage), task.failure_in(stage)
    fields = {
        "id": task.provider_id,
        "model": task.model,
        "status": _PROVIDER_WORDS[task.status(stage)],
        "content": {"video_url": result["videoUrl"]} if result else UNSET,
        "error": UNSET if failure is UNSET else {"code": "InvalidParameter", "message": failure},
        "created_at": seconds(task.created),
        "updated_at": seconds(task.changed(stage)),
    }
    return _without_unset(fields)


def _without_unset(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not UNSET}
