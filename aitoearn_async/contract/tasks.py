"""One task: its name, and what the service says of it.

A ref names a task: its kind and its id. It is plain data: it goes through queues, JSON and
pickles. A ref knows the Struct that a poll answers with, and a task knows its ref, so both are
here. Attributes of tasks are the service's fields in snake_case. Everything the real server has
been seen to leave out or to send as null is optional, whatever the published contract requires.
Unknown fields are ignored. Nothing here decodes; see `envelope`.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar, cast, get_args

import msgspec
from msgspec import Meta, Struct, field

from .status import TaskState, state_of

T_co = TypeVar("T_co", covariant=True)

_ID = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII)


class TaskRef(msgspec.Struct, Generic[T_co], frozen=True, gc=False, tag_field="kind"):
    """The base of `ImageRef` and `VideoRef`. Its parameter is the Struct a poll answers with.

    Refs sort by kind, then id, so a mixed list of them sorts too.
    """

    id: str

    def __post_init__(self) -> None:
        if not isinstance(self.id, str):
            raise TypeError(f"a task id is a str, not {type(self.id).__name__}")
        if not is_id(self.id):
            raise ValueError(
                f"not a task id: {_shown(self.id)}; an id is 1-128 characters of "
                "A-Z a-z 0-9 - _, as the submit call returned it"
            )

    @property
    def kind(self) -> str:
        """`"image"` or `"video"`."""
        return str(self.__struct_config__.tag)

    def __str__(self) -> str:
        return f"{self.kind}:{self.id}"

    def __lt__(self, other: object) -> bool:
        return self._key < other._key if isinstance(other, TaskRef) else NotImplemented

    def __le__(self, other: object) -> bool:
        return self._key <= other._key if isinstance(other, TaskRef) else NotImplemented

    def __gt__(self, other: object) -> bool:
        return self._key > other._key if isinstance(other, TaskRef) else NotImplemented

    def __ge__(self, other: object) -> bool:
        return self._key >= other._key if isinstance(other, TaskRef) else NotImplemented

    @property
    def _key(self) -> tuple[str, str]:
        return self.kind, self.id


class ImageRef(TaskRef["ImageTask"], frozen=True, tag="image"):
    """An image task, by its `logId`.

    Args:
        id: 1-128 characters of `A-Z a-z 0-9 - _`; the service's own are 24 hex digits.

    Raises:
        ValueError: The id holds anything else.
    """


class VideoRef(TaskRef["VideoTask"], frozen=True, tag="video"):
    """A video task, by its `taskId`.

    Args:
        id: 1-128 characters of `A-Z a-z 0-9 - _`; the service's own are 24 hex digits.

    Raises:
        ValueError: The id holds anything else.
    """


AnyRef = ImageRef | VideoRef
"""A ref of either kind, for annotations and for `msgspec.json.decode(..., type=AnyRef)`."""

REF_TYPES: dict[str, type[AnyRef]] = {
    str(ref_type.__struct_config__.tag): ref_type for ref_type in get_args(AnyRef)
}
"""The type of ref of each kind."""


def parse_ref(text: str) -> AnyRef:
    """Read a ref from its text form, the inverse of `str(ref)`.

    Args:
        text: `image:ID` or `video:ID`.

    Raises:
        ValueError: The kind is unknown or the id is not one.
        TypeError: It is no text, such as the bytes that Redis gives.
    """
    if not isinstance(text, str):
        raise TypeError(f"a ref is read from a str, not {type(text).__name__}: {text!r:.60}")
    kind, colon, id = text.partition(":")
    if not colon or kind not in REF_TYPES:
        forms = " or ".join(f"{each}:ID" for each in REF_TYPES)
        raise ValueError(f"not a task: {_shown(text)}; write {forms}")
    return REF_TYPES[kind](id)


def is_id(text: str) -> bool:
    """Return whether it can be the id of a task."""
    return _ID.fullmatch(text) is not None


def _shown(text: str) -> str:
    """Return text for an error message: escaped, and cut where it is long."""
    return ascii(text if len(text) <= 60 else text[:60] + "...")


Moment = Annotated[datetime, Meta(tz=True)]
"""A point in time, always with its zone."""


class Task(Struct, frozen=True, kw_only=True, rename="camel"):
    """The base of every kind of task: the service's status word, and its meaning."""

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
        """Return what `status` means: running, succeeded or failed."""
        return state_of(self.status)

    @property
    def done(self) -> bool:
        """Return whether the task has ended, in success or failure."""
        return self.state is not TaskState.RUNNING

    @property
    @abstractmethod
    def urls(self) -> list[str]:
        """The addresses of the files that the task has made, in their order.

        Empty before the end. A file that came along as base64 has none; `Client.download` saves
        it all the same. The addresses expire.
        """

    @property
    @abstractmethod
    def prompt(self) -> str | None:
        """The prompt, where the service repeats it."""

    if TYPE_CHECKING:  # a field of a video, a property of an image

        @property
        def id(self) -> str:
            """The task's id."""
            ...

        @property
        def model(self) -> str | None:
            """The model that does the work, where the service says so."""
            ...

    def to_dict(self) -> dict[str, Any]:
        """Return the task as a dict that `json.dumps` takes, in the service's own names.

        Moments are text (RFC 3339), and fields that the service left out are None.
        """
        return cast("dict[str, Any]", msgspec.to_builtins(self))


class Image(Struct, frozen=True, kw_only=True):
    """One generated image (`images[]`). It stands at a URL or is carried along as base64."""

    url: str | None = None
    """Absolute address. Can be empty or missing, also on success."""
    b64_json: str | None = None
    """The file itself in base64, where a service answers a submit for `b64_json` so. The
    vendor's server of June 2026 never does: it stores the file, and `url` is its address."""
    revised_prompt: str | None = None
    """The prompt the model really worked from."""


class ImageTask(Task, frozen=True, kw_only=True, rename="camel"):
    """An image task (`TaskStatusResponseVo`)."""

    log_id: str
    """The task's id (`logId`)."""
    started_at: Moment | None = None
    """The moment when the work began."""
    duration_ms: float | None = field(name="duration", default=None)
    """The time that the work took, in milliseconds. Only on tasks that have ended."""
    points: float | None = None
    """Credits spent."""
    request: dict[str, Any] | None = None
    """The submitted body, echoed. Source images come back with it, so it can be megabytes."""
    response: dict[str, Any] | None = None
    """The provider's answer, free-form."""
    images: list[Image] | None = None
    """The images that were made. Can be missing on success."""
    error_message: str | None = None
    """Why the task failed, if the service says."""
    created_at: Moment | None = None
    """The moment when the task was submitted."""
    updated_at: Moment | None = None
    """The moment when the service last touched the task."""

    @property
    def ref(self) -> ImageRef:
        """This task's name."""
        return ImageRef(self.log_id)

    @property
    def id(self) -> str:
        """The task's id: `log_id`, by the name it has in a video task."""
        return self.log_id

    @property
    def model(self) -> str | None:
        """The model that does the work, where the service repeats the request."""
        return _text_in(self.request, "model")

    @property
    def prompt(self) -> str | None:
        """The prompt, where the service repeats the request."""
        return _text_in(self.request, "prompt")

    @property
    def urls(self) -> list[str]:
        """The addresses of the images, in their order.

        Empty before the end. An image that came along as base64 has none; `Client.download`
        saves it all the same. The addresses expire.
        """
        return [url for image in self.images or () for url in _addresses(image.url)]

    @property
    def failure(self) -> str | None:
        """The service's reason for a failed task, whichever field it stands in."""
        return self.error_message


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
        return _addresses(self.video_url)

    @property
    def failure(self) -> str | None:
        """The service's reason for a failed task, whichever field it stands in."""
        return self.error.message if self.error else None


def _addresses(url: str | None) -> list[str]:
    """Return an address in a list; nothing for what is a file itself (`data:`), or not there."""
    return [url] if url and url[:5].lower() != "data:" else []


def _text_in(body: dict[str, Any] | None, name: str) -> str | None:
    value = (body or {}).get(name)
    return value if isinstance(value, str) else None


AnyTask = ImageTask | VideoTask
