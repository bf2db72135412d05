"""The base of all kinds of tasks: the name of one, and what the service says of it.

A ref names a task: its kind and its id. It is plain data: it goes through queues, JSON and
pickles. A ref knows the Struct that a poll answers with; each kind has its own in a file beside
this one. Attributes of tasks are the service's fields in snake_case. Everything the real server
has been seen to leave out or to send as null is optional, whatever the published contract
requires. Unknown fields are ignored. Nothing here decodes; see `envelope`.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar, cast

import msgspec
from msgspec import Meta, Struct

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
                f"not a task id: {escaped(self.id)}; an id is 1-128 characters of "
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


def is_id(text: str) -> bool:
    """Return whether it can be the id of a task."""
    return _ID.fullmatch(text) is not None


def escaped(text: str) -> str:
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
    def ref(self) -> TaskRef[Any]:
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
