"""The tasks, as the service describes them: one Struct a kind, and their parts.

Attributes are the service's fields in snake_case. Everything the real server has been seen
to leave out or to send as null is optional here, whatever the published contract requires.
Unknown fields are ignored. Nothing here decodes; see `envelope`.
"""

from __future__ import annotations

from abc import abstractmethod
from datetime import datetime
from typing import Annotated, Any

from msgspec import Meta, Struct, field

from .refs import AnyRef, ImageRef, VideoRef
from .status import TaskState, state_of

Moment = Annotated[datetime, Meta(tz=True)]
"""A point in time, always with its zone."""


class Task(Struct, frozen=True, kw_only=True, rename="camel"):
    """What every kind of task has: the service's word for how it stands, and its meaning."""

    status: str
    """The service's own word, as sent."""

    @property
    @abstractmethod
    def ref(self) -> AnyRef:
        """This task's name."""

    @property
    @abstractmethod
    def failure(self) -> str | None:
        """The service's reason for a failed task, whichever field it stands in."""

    @property
    def state(self) -> TaskState:
        """What `status` means: running, succeeded or failed."""
        return state_of(self.status)

    @property
    def done(self) -> bool:
        """Whether the task has ended, in success or failure."""
        return self.state is not TaskState.RUNNING


class Image(Struct, frozen=True, kw_only=True):
    """One generated image (`images[]`). It stands at a URL or is carried along as base64."""

    url: str | None = None
    """Absolute address. Can be empty or missing, also on success."""
    b64_json: str | None = None
    """The file itself in base64, when the submit asked for `b64_json`."""
    revised_prompt: str | None = None
    """The prompt the model really worked from."""


class ImageTask(Task, frozen=True, kw_only=True, rename="camel"):
    """An image task (`TaskStatusResponseVo`)."""

    log_id: str
    """The task's id (`logId`)."""
    started_at: Moment | None = None
    """When the work began."""
    duration_ms: float | None = field(name="duration", default=None)
    """How long the work took, in milliseconds. Only on tasks that have ended."""
    points: float | None = None
    """Credits spent."""
    request: dict[str, Any] | None = None
    """The submitted body, echoed. Source images come back with it, so it can be megabytes."""
    response: dict[str, Any] | None = None
    """The provider's answer, free-form."""
    images: list[Image] | None = None
    """What was made. Can be missing on success."""
    error_message: str | None = None
    """Why the task failed, if the service says."""
    created_at: Moment | None = None
    """When the task was submitted."""
    updated_at: Moment | None = None
    """When the service last touched the task."""

    @property
    def ref(self) -> ImageRef:
        """This task's name."""
        return ImageRef(self.log_id)

    @property
    def failure(self) -> str | None:
        """The service's reason for a failed task, whichever field it stands in."""
        return self.error_message


class VideoInput(Struct, frozen=True, kw_only=True, rename="camel"):
    """What a video task was asked for (`input`)."""

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
    """Whether a watermark was asked for. Sent, though the published contract lacks it."""


class VideoError(Struct, frozen=True, kw_only=True):
    """Why a video task failed (`error`)."""

    message: str | None = None
    """The reason. Can be empty."""


class VideoTask(Task, frozen=True, kw_only=True, rename="camel"):
    """A video task (`VideoTaskStatusResponseVo`)."""

    id: str
    """The task's id."""
    model: str | None = None
    """The model that does the work."""
    input: VideoInput | None = None
    """What was asked for."""
    video_url: str | None = None
    """Where the video is. Can be missing on success."""
    cover_url: str | None = None
    """Where its cover picture is."""
    media_id: str | None = None
    """The id under which the service stored it."""
    group_id: str | None = None
    """The media group it was stored in."""
    error: VideoError | None = None
    """Why the task failed. May also be there on success."""
    submitted_at: Moment | None = None
    """When the task was submitted."""
    started_at: Moment | None = None
    """When the work began."""
    finished_at: Moment | None = None
    """When it ended. Can be missing on success, and lie before `started_at`."""

    @property
    def ref(self) -> VideoRef:
        """This task's name."""
        return VideoRef(self.id)

    @property
    def failure(self) -> str | None:
        """The service's reason for a failed task, whichever field it stands in."""
        return self.error.message if self.error else None


AnyTask = ImageTask | VideoTask
