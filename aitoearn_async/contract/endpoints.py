"""The table of endpoints: the path of each, and what its answers decode to.

A new kind of task is a file beside `video_tasks`, its ref and Struct in the unions of `kinds`, and
a row in `ENDPOINTS`. A new submit is a Struct in `requests`, and a row in `SUBMITS`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Generic, TypeVar, cast

import msgspec

from . import image_tasks, video_tasks
from .catalog import EditModel, ImageModel, Model, VideoModel
from .drafts import Draft
from .envelope import Codec, Envelope, Malformed, codec_for, decode
from .image_tasks import ImageRef, ImageTask
from .json_limits import LateDecoder
from .kinds import parse_ref
from .outputs import Result
from .refusal import Refusal
from .requests import EditImage, GenerateImage, GenerateVideo, TaskRequest
from .status import TaskState, state_of
from .task_times import TaskTimes, moment_of, seconds_of
from .tasks import Task, TaskRef
from .video_tasks import VideoRef, VideoTask

CHINA = "https://aitoearn.cn"
"""The published host for China."""
INTERNATIONAL = "https://aitoearn.ai"
"""The published host for everywhere else."""

T = TypeVar("T", bound=Task)
M = TypeVar("M", bound=Model)
R = TypeVar("R", bound=TaskRef[Any])


# Polls.


class Endpoint(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """The facts about polls for one kind of task."""

    path: str
    """The path, up to the id."""
    codec: Codec[T]
    """Reads the answers."""
    bare: Callable[[str, str], T]
    """Makes a task from its id and its status, where no more is known."""
    results_of: Callable[[T], list[Result]]
    """Reads the files that a task has made."""
    times_of: Callable[[T], TaskTimes]
    """Reads what a task tells of its times."""
    echo_of: Callable[[T], Mapping[str, Any]]
    """Reads the fields of its request that a task repeats."""
    of_draft: Callable[[str, Draft], T]
    """Makes a task from its id and its draft."""
    may_write: Callable[[T], bool] | None = None
    """Tells whether a poll for a task that has ended may make the service write to its database.
    It tells so from an earlier answer about the task. Two such polls for one task are never sent at
    the same time. None: polls never write."""
    lost_code: int | None = None
    """The code of refusals that may be about a task that exists: then its draft can be read, and
    the task cannot."""


ENDPOINTS: dict[type[TaskRef[Any]], Endpoint[Any]] = {
    ImageRef: Endpoint(
        path="/api/ai/image/task/",
        codec=codec_for(ImageTask, "log_id"),
        bare=lambda id, status: ImageTask(log_id=id, status=status),
        results_of=image_tasks.results_of,
        times_of=image_tasks.times_of,
        echo_of=image_tasks.echo_of,
        of_draft=image_tasks.of_draft,
    ),
    VideoRef: Endpoint(
        path="/api/ai/video/generations/",
        codec=codec_for(VideoTask, "id"),
        bare=lambda id, status: VideoTask(id=id, status=status),
        results_of=video_tasks.results_of,
        times_of=video_tasks.times_of,
        echo_of=video_tasks.echo_of,
        of_draft=video_tasks.of_draft,
        may_write=video_tasks.may_write,
        lost_code=12302,
    ),
}

_HINTS: list[tuple[Any, str]] = [
    (Task, "give the ref of the task, task.ref"),
    (TaskRequest, "submit() makes a task of it, and returns its ref"),
    (Awaitable, "await it first"),
    ((list, tuple, set, Iterator), "wait_all() and as_completed() take several"),
    (object, "parse_ref() makes one of text such as 'image:66...'"),
]
"""Types that callers give in place of a ref -> what to do about it. The first that fits counts."""


def endpoint_of(ref: TaskRef[T]) -> Endpoint[T]:
    """Return the endpoint to ask for a task.

    Raises:
        TypeError: It is not a ref.
    """
    try:
        return ENDPOINTS[type(ref)]
    except KeyError:
        hint = next(hint for types, hint in _HINTS if isinstance(ref, types))
        raise TypeError(f"expected an ImageRef or a VideoRef, not {ref!r:.80}; {hint}") from None


def ref_of(given: TaskRef[T] | str) -> TaskRef[T]:
    """Return a ref, given as one or in its text form.

    Raises:
        ValueError: The text is no ref.
        TypeError: It is neither.
    """
    ref = cast("TaskRef[T]", parse_ref(given)) if isinstance(given, str) else given
    endpoint_of(ref)
    return ref


def task_of(ref: TaskRef[T], draft: Draft) -> T | None:
    """Return the task that a draft shows, if it is this one and has ended; else None."""
    if draft.id.lower() != ref.id.lower() or state_of(draft.status) is TaskState.RUNNING:
        return None
    return endpoint_of(ref).of_draft(ref.id, draft)


# Lists of models.


class Catalog(msgspec.Struct, Generic[M], frozen=True, kw_only=True):
    """The facts about one list of models."""

    path: str
    """The path, whole."""
    model: type[M]
    """The Struct of one entry."""


IMAGE_MODELS = Catalog(path="/api/ai/models/image/generation", model=ImageModel)
EDIT_MODELS = Catalog(path="/api/ai/models/image/edit", model=EditModel)
VIDEO_MODELS = Catalog(path="/api/ai/models/video/generation", model=VideoModel)

entries_decoder: LateDecoder[Envelope[list[msgspec.Raw]]] = LateDecoder(Envelope[list[msgspec.Raw]])
"""Decodes a list of models, and leaves its entries as they are."""


# Submits.


class ImageReceipt(msgspec.Struct, frozen=True):
    """The answer to a submit that makes images: the id of the task."""

    id: str | int = msgspec.field(name="logId")


class VideoReceipt(msgspec.Struct, frozen=True):
    """The answer to a submit that makes a video: the id of the task."""

    id: str | int


class SubmitEndpoint(msgspec.Struct, Generic[R], frozen=True, kw_only=True):
    """The facts about one kind of submit."""

    path: str
    """The path, whole."""
    ref_type: type[R]
    """The ref of the task that comes of it."""
    decoder: LateDecoder[Envelope[Any]]
    """Decodes the answers, whose data has an `id`."""
    catalog: Catalog[Any]
    """The list of models to check it against."""

    def decode(self, body: bytes) -> Envelope[R] | Refusal | Malformed:
        """Decode an answer: its data is the ref of the task."""
        found = decode(body, self.decoder)
        if not isinstance(found, Envelope):
            return found
        id = str(found.data.id)
        try:
            return Envelope(found.code, self.ref_type(id), found.request_id)
        except ValueError:
            return Malformed(f"a submit is answered with the id {id!r:.60}", is_json=True)


SUBMITS: dict[type[TaskRequest[Any]], SubmitEndpoint[Any]] = {
    GenerateImage: SubmitEndpoint(
        path="/api/ai/image/generate/async",
        ref_type=ImageRef,
        decoder=LateDecoder(Envelope[ImageReceipt]),
        catalog=IMAGE_MODELS,
    ),
    EditImage: SubmitEndpoint(
        path="/api/ai/image/edit/async",
        ref_type=ImageRef,
        decoder=LateDecoder(Envelope[ImageReceipt]),
        catalog=EDIT_MODELS,
    ),
    GenerateVideo: SubmitEndpoint(
        path="/api/ai/video/generations",
        ref_type=VideoRef,
        decoder=LateDecoder(Envelope[VideoReceipt]),
        catalog=VIDEO_MODELS,
    ),
}


def submit_of(request: TaskRequest[R]) -> SubmitEndpoint[R]:
    """Return the endpoint that takes a request.

    Raises:
        TypeError: It is not a request.
    """
    try:
        return cast("SubmitEndpoint[R]", SUBMITS[type(request)])
    except KeyError:
        raise TypeError(
            f"expected a GenerateImage, EditImage or GenerateVideo, not {request!r:.80}"
        ) from None


# The list of videos.

VIDEO_LIST = "/api/ai/video/generations?page={page}&pageSize={size}"
"""The caller's own video tasks, newest first."""
MOST_ROWS = 1000
"""The largest `pageSize`."""


class Page(msgspec.Struct, frozen=True):
    """One page of a list. Its rows are left as they are, so that one bad one spoils no other."""

    rows: list[msgspec.Raw] = msgspec.field(name="list")
    total: int | None = None


page_decoder: LateDecoder[Envelope[Page]] = LateDecoder(Envelope[Page])


# The logs.

LOGS = "/api/ai/logs?type={kind}&page={page}&pageSize={size}"
"""The caller's own tasks of a kind, newest first. Not in the published pages."""


class LogRow(msgspec.Struct, frozen=True, rename="camel"):
    """A task's row in the logs: its status and its times, and nothing of what it has made."""

    id: str
    status: str
    type: str | None = None
    model: str | None = None
    created_at: str | float | None = None
    started_at: str | float | None = None
    duration: float | None = None

    @property
    def runs(self) -> bool:
        """Return whether the task has not ended."""
        return state_of(self.status) is TaskState.RUNNING

    @property
    def submitted(self) -> datetime | None:
        """Return the moment when it was submitted, as far as the row tells."""
        return moment_of(self.created_at or self.started_at)

    @property
    def times(self) -> TaskTimes:
        """Return what the row tells of how long such tasks take."""
        submitted = seconds_of(self.submitted)
        started = seconds_of(moment_of(self.started_at or self.created_at))
        if started is None or self.duration is None:
            return TaskTimes(self.model, submitted, [])
        return TaskTimes(self.model, submitted, [started + self.duration / 1000])


class LogPage(msgspec.Struct, frozen=True):
    """One page of the logs."""

    rows: list[LogRow] = msgspec.field(name="list")
    total: int | None = None


log_decoder: LateDecoder[Envelope[LogPage]] = LateDecoder(Envelope[LogPage])
log_row_decoder: LateDecoder[LogRow] = LateDecoder(LogRow)


# Uploads.

UPLOAD_SIGN = "/api/assets/uploadSign"
"""The path that signs an upload. In no published page; seen in the vendor's open-source server."""
UPLOAD_CONFIRM = "/api/assets/{id}/confirm"
"""The path that confirms an upload."""


class SignedUpload(msgspec.Struct, frozen=True, rename="camel"):
    """The answer to a signing: where to put a file."""

    id: str
    upload_url: str
    """Takes one file for a while, without a key."""
    url: str | None = None
    """The address that the file will have."""


class ConfirmedUpload(msgspec.Struct, frozen=True):
    """The answer to a confirmation."""

    url: str | None = None
    """The address of the file."""


signed_decoder: LateDecoder[Envelope[SignedUpload]] = LateDecoder(Envelope[SignedUpload])
confirmed_decoder: LateDecoder[Envelope[ConfirmedUpload]] = LateDecoder(Envelope[ConfirmedUpload])
