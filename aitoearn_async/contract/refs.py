"""The name of one task: which kind it is, and its id.

A ref is plain data. It goes through queues, JSON and pickles, and says nothing about how
the task stands. What an answer looks like is in `models`; where to ask is in `endpoints`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Generic, TypeVar

import msgspec

if TYPE_CHECKING:
    from .models import ImageTask, VideoTask  # noqa: F401 - named in the strings below

T_co = TypeVar("T_co", covariant=True)

_ID = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII)


class TaskRef(msgspec.Struct, Generic[T_co], frozen=True, gc=False, tag_field="kind"):
    """What `ImageRef` and `VideoRef` share. Its parameter is the Struct a poll answers with.

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

_KINDS: dict[str, type[AnyRef]] = {"image": ImageRef, "video": VideoRef}


def parse_ref(text: str) -> AnyRef:
    """Read a ref from its text form, the inverse of `str(ref)`.

    Args:
        text: `image:ID` or `video:ID`.

    Raises:
        ValueError: The kind is unknown or the id is not one.
    """
    kind, colon, id = text.partition(":")
    if not colon or kind not in _KINDS:
        raise ValueError(f"not a task: {_shown(text)}; write image:ID or video:ID")
    return _KINDS[kind](id)


def is_id(text: str) -> bool:
    """Whether it can be the id of a task."""
    return _ID.fullmatch(text) is not None


def _shown(text: str) -> str:
    """Text for an error message: escaped, and cut where it would drown the message."""
    return ascii(text if len(text) <= 60 else text[:60] + "...")
