"""One record an endpoint: where it is, and what its answers decode to.

A new kind of task is a ref in `refs`, a Struct in `models`, and a row here. A new submit is a
Struct in `requests`, and a row here.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any, Generic, TypeVar, cast

import msgspec

from .catalog import EditModel, ImageModel, Model, VideoModel
from .envelope import Envelope, Glance
from .models import ImageTask, Task, VideoTask
from .refs import ImageRef, TaskRef, VideoRef
from .requests import EditImage, GenerateImage, GenerateVideo, TaskRequest

T = TypeVar("T", bound=Task)
M = TypeVar("M", bound=Model)
R = TypeVar("R")


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


class Receipt(msgspec.Struct, frozen=True):
    """What a submit is answered with: the id of the task."""

    id: str


class Catalog(msgspec.Struct, Generic[M], frozen=True, kw_only=True):
    """What there is to know about asking what models there are."""

    path: str
    """The path, whole."""
    model: type[M]
    """The Struct of one entry."""


class Submit(msgspec.Struct, Generic[R], frozen=True, kw_only=True):
    """What there is to know about one kind of submit."""

    path: str
    """The path, whole."""
    ref: type[R]
    """What names the task that comes of it."""
    decoder: msgspec.json.Decoder[Envelope[Receipt]]
    """Of answers."""
    catalog: Catalog[Any]
    """Where to ask what it accepts."""


IMAGE_MODELS = Catalog(path="/api/ai/models/image/generation", model=ImageModel)
EDIT_MODELS = Catalog(path="/api/ai/models/image/edit", model=EditModel)
VIDEO_MODELS = Catalog(path="/api/ai/models/video/generation", model=VideoModel)


def _submit(path: str, ref: type[R], id_name: str, catalog: Catalog[Any]) -> Submit[R]:
    receipt = msgspec.defstruct(
        f"{ref.__name__}Receipt",
        [("id", str, msgspec.field(name=id_name))],
        bases=(Receipt,),
        frozen=True,
    )
    return Submit(
        path=path,
        ref=ref,
        decoder=msgspec.json.Decoder(Envelope[receipt]),  # type: ignore[valid-type]
        catalog=catalog,
    )


_SUBMITS: dict[type[TaskRequest[Any]], Submit[Any]] = {
    GenerateImage: _submit("/api/ai/image/generate/async", ImageRef, "logId", IMAGE_MODELS),
    EditImage: _submit("/api/ai/image/edit/async", ImageRef, "logId", EDIT_MODELS),
    GenerateVideo: _submit("/api/ai/video/generations", VideoRef, "id", VIDEO_MODELS),
}


def submit_of(request: TaskRequest[R]) -> Submit[R]:
    """The row for a request.

    Raises:
        TypeError: It is not a request.
    """
    try:
        return cast("Submit[R]", _SUBMITS[type(request)])
    except KeyError:
        raise TypeError(
            f"expected a GenerateImage, EditImage or GenerateVideo, not {request!r:.80}"
        ) from None


class Page(msgspec.Struct, frozen=True):
    """One page of a list. Its rows are left as they are, so that one bad one spoils no other."""

    rows: list[msgspec.Raw] = msgspec.field(name="list")
    total: int | None = None


VIDEO_LIST = "/api/ai/video/generations?page={page}&pageSize={size}"
"""The caller's own video tasks, newest first."""
MOST_ROWS = 1000
"""The largest `pageSize`."""

page_decoder: msgspec.json.Decoder[Envelope[Page]] = msgspec.json.Decoder(Envelope[Page])
entries_decoder: msgspec.json.Decoder[Envelope[list[msgspec.Raw]]] = msgspec.json.Decoder(
    Envelope[list[msgspec.Raw]]
)
"""Of a catalog, its entries left as they are."""
