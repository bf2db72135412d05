"""All kinds of tasks: their unions, and the text form of a ref of any kind."""

from __future__ import annotations

from typing import get_args

from .image_tasks import ImageRef, ImageTask
from .tasks import escaped
from .video_tasks import VideoRef, VideoTask

AnyTask = ImageTask | VideoTask
"""A task of either kind, for annotations."""

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
        raise ValueError(f"not a task: {escaped(text)}; write {forms}")
    return REF_TYPES[kind](id)
