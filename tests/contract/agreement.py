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
        agree(image, json)


Fields = Mapping[str, tuple[str, Check]]
"""JSON name -> attribute, and how to compare them."""


def fields(names: str, **checks: Check) -> Fields:
    """The fields that are named, each as `name` or `jsonName=attribute`."""
    pairs = [each.partition("=")[::2] for each in names.split()]
    return {
        name: (other or name, checks.get(name, check_moment if name[-2:] == "At" else check_plain))
        for name, other in pairs
    }


def agree(ours: msgspec.Struct, json: Mapping[str, Any], table: Fields | None = None) -> None:
    """Assert that a Struct says what the JSON says: missing and null alike are None."""
    for name, (attribute, check) in (table or TABLES[type(ours)]).items():
        value = getattr(ours, attribute)
        if json.get(name) is None:
            assert value is None, f"{attribute} is {value!r}, but {name} is missing or null"
        else:
            check(value, json[name])


TABLES: dict[type[msgspec.Struct], Fields] = {
    Image: fields("url b64_json revised_prompt"),
    ImageTask: fields(
        "logId=log_id status startedAt=started_at duration=duration_ms points request response "
        "images errorMessage=error_message createdAt=created_at updatedAt=updated_at",
        logId=check_id,
        images=check_images,
    ),
    VideoError: fields("message"),
    VideoInput: fields(
        "prompt groupId=group_id image images audios duration aspectRatio=aspect_ratio resolution "
        "videoUrl=video_url videos watermark"
    ),
    VideoTask: fields(
        "id model status input videoUrl=video_url coverUrl=cover_url mediaId=media_id "
        "groupId=group_id error submittedAt=submitted_at startedAt=started_at "
        "finishedAt=finished_at",
        id=check_id,
        input=agree,
        error=agree,
    ),
}
