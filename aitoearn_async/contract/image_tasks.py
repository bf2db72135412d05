"""The facts about an image task that are found in other fields than those of other kinds."""

from __future__ import annotations

from typing import Any, cast

import msgspec

from .data_uris import is_data_uri
from .drafts import Draft, address_in
from .outputs import Result, result_at
from .task_times import TaskTimes, seconds_of
from .tasks import Image, ImageTask


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
