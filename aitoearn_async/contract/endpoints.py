"""One record an endpoint: where a kind of task is asked for, and what its answers decode to.

A new kind of task is a ref in `refs`, a Struct in `models`, and a row here.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any, Generic, TypeVar, cast

import msgspec

from .envelope import Envelope, Glance
from .models import ImageTask, Task, VideoTask
from .refs import ImageRef, TaskRef, VideoRef

T = TypeVar("T", bound=Task)


class Endpoint(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """What there is to know about asking for one kind of task."""

    path: str
    """The path, up to the id."""
    task: type[T]
    """The Struct of a whole answer."""
    id_of: Callable[[T], str]
    """Where an answer echoes the id it is for."""
    bare: Callable[[str, str], T]
    """A task of which no more than id and status are known."""
    decoder: msgspec.json.Decoder[Envelope[T]]
    """Of whole answers. Built once: building one costs a thousand times a decode."""
    glance: msgspec.json.Decoder[Envelope[Glance]]
    """Of id and status alone, whatever else is there."""


def _row(path: str, task: type[T], id_field: str) -> Endpoint[T]:
    id_name = next(f.encode_name for f in msgspec.structs.fields(task) if f.name == id_field)
    glance = msgspec.defstruct(
        f"{task.__name__}Glance",
        [("id", str, msgspec.field(name=id_name)), ("status", str)],
        bases=(Glance,),
        frozen=True,
    )
    return Endpoint(
        path=path,
        task=task,
        id_of=attrgetter(id_field),
        bare=lambda id, status: task(**{id_field: id, "status": status}),
        decoder=msgspec.json.Decoder(Envelope[task]),  # type: ignore[valid-type]
        glance=msgspec.json.Decoder(Envelope[glance]),  # type: ignore[valid-type]
    )


_ENDPOINTS: dict[type[TaskRef[Any]], Endpoint[Any]] = {
    ImageRef: _row("/api/ai/image/task/", ImageTask, "log_id"),
    VideoRef: _row("/api/ai/video/generations/", VideoTask, "id"),
}


def endpoint_of(ref: TaskRef[T]) -> Endpoint[T]:
    """The row for a ref.

    Raises:
        TypeError: It is not a ref.
    """
    try:
        return cast("Endpoint[T]", _ENDPOINTS[type(ref)])
    except KeyError:
        raise TypeError(
            f"expected an ImageRef or a VideoRef, not {ref!r:.80}; "
            "parse_ref() makes one of text such as 'image:66...'"
        ) from None
