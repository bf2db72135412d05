"""Whether a Struct says what the JSON says, field by field of the published contract.

Written from the contract and with the standard library alone, so that it shares no mistake
with the code under test.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec

from aitoearn_async import Image, ImageTask, VideoError, VideoInput, VideoTask

Check = Callable[[Any, Any], None]
"""Takes what the Struct has and what the JSON has; asserts that they are the same."""


def check_plain(ours: Any, theirs: Any) -> None:
    assert ours == theirs
    assert isinstance(ours, bool) == isinstance(theirs, bool)


def check_id(ours: Any, theirs: Any) -> None:
    assert ours == str(theirs)


def check_moment(ours: Any, theirs: Any) -> None:
    assert isinstance(ours, datetime)
    assert ours.utcoffset() == timedelta(0)
    assert ours == datetime.strptime(theirs, "%Y-%m-%dT%H:%M:%S.%f%z")


def check_images(ours: Any, theirs: Any) -> None:
    assert len(ours) == len(theirs)
    for image, json in zip(ours, theirs, strict=True):
        agree(image, json, IMAGE)


def check_input(ours: Any, theirs: Any) -> None:
    agree(ours, theirs, INPUT)


def check_error(ours: Any, theirs: Any) -> None:
    agree(ours, theirs, ERROR)


# JSON name -> attribute, and how to compare them.
Fields = Mapping[str, tuple[str, Check]]

IMAGE: Fields = {
    "url": ("url", check_plain),
    "b64_json": ("b64_json", check_plain),
    "revised_prompt": ("revised_prompt", check_plain),
}
INPUT: Fields = {
    "prompt": ("prompt", check_plain),
    "groupId": ("group_id", check_plain),
    "image": ("image", check_plain),
    "images": ("images", check_plain),
    "audios": ("audios", check_plain),
    "duration": ("duration", check_plain),
    "aspectRatio": ("aspect_ratio", check_plain),
    "resolution": ("resolution", check_plain),
    "videoUrl": ("video_url", check_plain),
    "videos": ("videos", check_plain),
    "watermark": ("watermark", check_plain),
}
ERROR: Fields = {"message": ("message", check_plain)}
IMAGE_TASK: Fields = {
    "logId": ("log_id", check_id),
    "status": ("status", check_plain),
    "startedAt": ("started_at", check_moment),
    "duration": ("duration_ms", check_plain),
    "points": ("points", check_plain),
    "request": ("request", check_plain),
    "response": ("response", check_plain),
    "images": ("images", check_images),
    "errorMessage": ("error_message", check_plain),
    "createdAt": ("created_at", check_moment),
    "updatedAt": ("updated_at", check_moment),
}
VIDEO_TASK: Fields = {
    "id": ("id", check_id),
    "model": ("model", check_plain),
    "status": ("status", check_plain),
    "input": ("input", check_input),
    "videoUrl": ("video_url", check_plain),
    "coverUrl": ("cover_url", check_plain),
    "mediaId": ("media_id", check_plain),
    "groupId": ("group_id", check_plain),
    "error": ("error", check_error),
    "submittedAt": ("submitted_at", check_moment),
    "startedAt": ("started_at", check_moment),
    "finishedAt": ("finished_at", check_moment),
}
TABLES: dict[type[msgspec.Struct], Fields] = {
    Image: IMAGE,
    ImageTask: IMAGE_TASK,
    VideoError: ERROR,
    VideoInput: INPUT,
    VideoTask: VIDEO_TASK,
}


def agree(ours: msgspec.Struct, json: Mapping[str, Any], fields: Fields | None = None) -> None:
    """Assert that a Struct says what the JSON says: missing and null alike are None."""
    for name, (attribute, check) in (fields or TABLES[type(ours)]).items():
        value = getattr(ours, attribute)
        if json.get(name) is None:
            assert value is None, f"{attribute} is {value!r}, but {name} is missing or null"
        else:
            check(value, json[name])
