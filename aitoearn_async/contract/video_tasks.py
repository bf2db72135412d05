"""A video task, its ref, and the functions that read what other kinds have in other fields."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from .drafts import Draft, address_in
from .outputs import Result, addresses, result_at
from .task_times import TaskTimes, seconds_of
from .tasks import Moment, Task, TaskRef


class VideoRef(TaskRef["VideoTask"], frozen=True, tag="video"):
    """A video task, by its `taskId`.

    Args:
        id: 1-128 characters of `A-Z a-z 0-9 - _`; the service's own are 24 hex digits.

    Raises:
        ValueError: The id holds anything else.
    """


class VideoInput(Struct, frozen=True, kw_only=True, rename="camel"):
    """The request of a video task (`input`)."""

    prompt: str | None = None
    """The prompt."""
    group_id: str | None = None
    """The media group the result is to be stored in."""
    image: str | list[str] | None = None
    """Source image, or images: URLs."""
    images: list[str] | None = None
    """Reference images: URLs."""
    audios: list[str] | None = None
    """Reference audio: URLs."""
    duration: float | None = None
    """Length asked for, in seconds."""
    aspect_ratio: str | None = None
    """Such as `16:9`."""
    resolution: str | None = None
    """Such as `720p`."""
    video_url: str | None = None
    """First reference video: URL."""
    videos: list[str] | None = None
    """Reference videos: URLs."""
    watermark: bool | None = None
    """A watermark was asked for. Sent, though the published contract lacks it."""


class VideoError(Struct, frozen=True, kw_only=True):
    """Why a video task failed (`error`)."""

    message: str | None = None
    """The reason. Can be empty."""


class VideoTask(Task, frozen=True, kw_only=True, rename="camel"):
    """A video task (`VideoTaskStatusResponseVo`)."""

    id: str  # pyright: ignore[reportIncompatibleMethodOverride]
    """The task's id."""
    model: str | None = None  # pyright: ignore[reportIncompatibleMethodOverride]
    """The model that does the work."""
    input: VideoInput | None = None
    """The request."""
    video_url: str | None = None
    """The address of the video. Can be missing on success."""
    cover_url: str | None = None
    """The address of its cover picture."""
    media_id: str | None = None
    """The id under which the service stored it."""
    group_id: str | None = None
    """The media group it was stored in."""
    error: VideoError | None = None
    """Why the task failed. May also be there on success."""
    submitted_at: Moment | None = None
    """The moment when the task was submitted."""
    started_at: Moment | None = None
    """The moment when the work began."""
    finished_at: Moment | None = None
    """The moment when it ended. Can be missing on success, and lie before `started_at`."""

    @property
    def ref(self) -> VideoRef:
        """This task's name."""
        return VideoRef(self.id)

    @property
    def prompt(self) -> str | None:
        """The prompt, where the service repeats it (`input.prompt`)."""
        return self.input.prompt if self.input else None

    @property
    def urls(self) -> list[str]:
        """The address of the video, in a list as of images; empty before the end."""
        return addresses(self.video_url)

    @property
    def failure(self) -> str | None:
        """The service's reason for a failed task, whichever field it stands in."""
        return self.error.message if self.error else None


def results_of(task: VideoTask) -> list[Result]:
    """Return its video. The cover is not among its results: it is a picture of it."""
    return [result_at("video", None, task.video_url)] if task.video_url else []


def times_of(task: VideoTask) -> TaskTimes:
    """Return its times."""
    finished = seconds_of(task.finished_at)
    submitted = seconds_of(task.submitted_at or task.started_at)
    return TaskTimes(task.model, submitted, [] if finished is None else [finished])


def echo_of(task: VideoTask) -> dict[str, Any]:
    """Return the fields of its request, as far as it repeats them as they were sent."""
    return {"model": task.model, "prompt": task.prompt}


def of_draft(id: str, draft: Draft) -> VideoTask:
    """Return the task that a draft shows."""
    error, model = draft.error_message, (draft.request or {}).get("model")
    return VideoTask(
        id=id,
        status=draft.status,
        model=model if isinstance(model, str) else None,
        video_url=address_in((draft.response or {}).get("videoUrl")),
        error=None if error is None else VideoError(message=error),
        submitted_at=draft.created_at,
    )


def may_write(task: VideoTask) -> bool:
    """Return whether a video may be one of a media group, which its first whole answer fills."""
    return task.input is None or task.input.group_id is not None or task.group_id is not None
