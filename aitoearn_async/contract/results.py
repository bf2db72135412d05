"""What a succeeded task has made, and where it is: a list of files to be had.

Two kinds of task put it into different fields; here they become alike. Nothing is fetched or
written here, and what a file is to be called on a disk is decided elsewhere.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import unquote

from .models import AnyTask, Image, ImageTask

_DATA = "data:"


class Result(NamedTuple):
    """One file that a task has made."""

    kind: str
    """`"image"` or `"video"`: what it has to be."""
    number: int | None
    """Which of the task's images it is, from 1; None where there can only be one file."""
    url: str | None
    """Where it stands."""
    data: str | None = None
    """The file itself, in base64, where it came along."""


def results_of(task: AnyTask) -> list[Result]:
    """The files of a task: its images, or its video.

    An image keeps its number, also where one before it has neither an address nor data. Such
    a one is left out. A video's cover is not among the results: it is a picture of it.
    """
    if isinstance(task, ImageTask):
        made = (_of_image(number, image) for number, image in enumerate(task.images or (), 1))
        return [result for result in made if result.url or result.data]
    return [Result("video", None, task.video_url)] if task.video_url else []


def _of_image(number: int, image: Image) -> Result:
    url, data = image.url or None, image.b64_json or None
    if data is None and url is not None and url[: len(_DATA)].lower() == _DATA:
        data = url
    if data is None:
        return Result("image", number, url)
    if data[: len(_DATA)].lower() == _DATA:
        data = unquote(data.partition(",")[2])  # in an address a `+` may be written as `%2B`
    return Result("image", number, None, data)
