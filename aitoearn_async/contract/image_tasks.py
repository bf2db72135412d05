"""An image task, its ref, and the functions that read what other kinds have in other fields."""

from __future__ import annotations

from typing import Any, cast

import msgspec
from msgspec import Struct, field

from .data_uris import is_data_uri
from .drafts import Draft, address_in
from .outputs import Result, addresses, result_at
from .task_times import TaskTimes, seconds_of
from .tasks import Moment, Task, TaskRef


class ImageRef(TaskRef["ImageTask"], frozen=True, tag="image"):
    """An image task, by its `logId`.

    Args:
        id: 1-128 characters of `A-Z a-z 0-9 - _`; the service's own are 24 hex digits.

    Raises:
        ValueError: The id holds anything else.
    """


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
        return [url for image in self.images or () for url in addresses(image.url)]

    @property
    def failure(self) -> str | None:
        """The service's reason for a failed task, whichever field it stands in."""
        return self.error_message


def _text_in(body: dict[str, Any] | None, name: str) -> str | None:
    value = (body or {}).get(name)
    return value if isinstance(value, str) else None


def results_of(task: ImageTask) -> list[Result]:
    """Return its images.

    One that has neither an address nor data is left out; the others keep their numbers.
    """
    made = (_result(number, image) for number, image in enumerate(task.images or (), 1))
    return [result for result in made if result.url or result.data]


def _result(number: int, image: Image) -> Result:
    url = image.url or None
    if not image.b64_json:
        return result_at("image", number, url)
    if is_data_uri(image.b64_json):
        found = result_at("image", number, image.b64_json)
    else:
        found = Result("image", number, None, image.b64_json)
    return msgspec.structs.replace(found, url=None if url is None or is_data_uri(url) else url)


def times_of(task: ImageTask) -> TaskTimes:
    """Return its times; the model is in the echo of the request."""
    submitted, started = seconds_of(task.created_at), seconds_of(task.started_at)
    ended: list[float] = []
    if task.duration_ms is not None:
        ended = [at + task.duration_ms / 1000 for at in (started, submitted) if at is not None]
    if (updated := seconds_of(task.updated_at)) is not None:
        ended.append(updated)
    return TaskTimes(task.model, submitted, ended)


def echo_of(task: ImageTask) -> dict[str, Any]:
    """Return the fields of its request, as far as it repeats them."""
    return task.request or {}


def of_draft(id: str, draft: Draft) -> ImageTask:
    """Return the task that a draft shows.

    The draft holds an image's path on the storage, and no address: the images of a task are
    there only where they are addresses all the same.
    """
    return ImageTask(
        log_id=id,
        status=draft.status,
        request=draft.request,
        response=draft.response,
        images=_images((draft.response or {}).get("list")) or None,
        error_message=draft.error_message,
        created_at=draft.created_at,
        updated_at=draft.updated_at,
    )


def _images(rows: object) -> list[Image]:
    found: list[Image] = []
    for row in cast("list[object]", rows) if isinstance(rows, list) else []:
        fields = cast("dict[str, object]", row) if isinstance(row, dict) else {}
        if (url := address_in(fields.get("url"))) is not None:
            found.append(Image(url=url))
    return found
