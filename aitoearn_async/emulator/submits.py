"""The submits: the schemas of their bodies, and what the service makes of them.

Plain functions on plain data. The Structs are the service's own schemas: a field that they do
not name is dropped, and a value out of its range refuses the body.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Any, ClassVar, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from aitoearn_async import AnyRef, ImageRef, VideoRef

_PROMPT_UNITS: Final = 4000
"""UTF-16 code units that a prompt may have, as JavaScript counts them."""

Text = Annotated[str, Meta(min_length=1)]
Sources = str | list[str] | UnsetType
Texts = list[str] | UnsetType
Word = str | UnsetType
Format = Literal["url", "b64_json"] | UnsetType


class GenerateImageBody(msgspec.Struct):
    """The body of `POST /api/ai/image/generate/async`."""

    kind: ClassVar[type[AnyRef]] = ImageRef

    prompt: Text
    model: Text
    n: Annotated[int, Meta(ge=1, le=10)] | UnsetType = UNSET
    quality: Word = UNSET
    response_format: Format = UNSET
    size: Word = UNSET
    style: Word = UNSET
    user: Word = UNSET


class EditImageBody(msgspec.Struct):
    """The body of `POST /api/ai/image/edit/async`."""

    kind: ClassVar[type[AnyRef]] = ImageRef

    model: Text
    image: Text | Annotated[list[str], Meta(min_length=1)]
    prompt: Text
    mask: Word = UNSET
    n: Annotated[int, Meta(ge=1, le=1)] | UnsetType = UNSET
    size: Word = UNSET
    response_format: Format = UNSET
    user: Word = UNSET


class Tool(msgspec.Struct):
    """One of `tools`."""

    type: Literal["web_search"]


class GenerateVideoBody(msgspec.Struct):
    """The body of `POST /api/ai/video/generations`."""

    kind: ClassVar[type[AnyRef]] = VideoRef

    model: Text
    prompt: Text
    group_id: Word = msgspec.field(default=UNSET, name="groupId")
    image: Sources = UNSET
    image_tail: Word = UNSET
    video_url: Word = UNSET
    images: Texts = UNSET
    videos: Texts = UNSET
    audios: Texts = UNSET
    mode: Word = UNSET
    size: Word = UNSET
    resolution: Word = UNSET
    ratio: Word = UNSET
    duration: float | UnsetType = UNSET
    seed: int | UnsetType = UNSET
    watermark: bool | UnsetType = UNSET
    tools: list[Tool] | UnsetType = UNSET
    metadata: dict[str, Any] | UnsetType = UNSET


Body = GenerateImageBody | EditImageBody | GenerateVideoBody


def read_body(kind: type[Body], body: bytes) -> Body | None:
    """Return what the service reads of a body; `None` if its schema rejects it."""
    try:
        read = msgspec.json.decode(body, type=kind)
    except (ValueError, RecursionError):
        return None
    units = len(read.prompt.encode("utf-16-le", "surrogatepass")) // 2
    return read if units <= _PROMPT_UNITS else None


def receipt(ref: AnyRef) -> bytes:
    """Return the JSON (`data`) that a submit is answered with."""
    if isinstance(ref, ImageRef):
        return msgspec.json.encode({"logId": ref.id, "status": "generating"})
    return msgspec.json.encode({"id": ref.id, "status": "SUBMITTED"})


# Field of a submit -> field of `input` in the answers about the task.
_ECHOED: Final = {
    **{name: name for name in ("prompt", "groupId", "image", "images", "audios", "videos")},
    **{name: name for name in ("duration", "resolution", "watermark")},
    "ratio": "aspectRatio",
    "video_url": "videoUrl",
}


def video_input(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a video task says it was asked for (`input`)."""
    return {name: request[sent] for sent, name in _ECHOED.items() if sent in request}


# Channels whose sources become addresses of the service's own storage, and the one that
# fetches them before it calls the provider.
STORED_SOURCES: Final = frozenset(["volcengine", "grok", "dashscope"])
FETCHED_SOURCES: Final = "openai"
_SOURCES: Final = ("image", "image_tail", "video_url", "images", "videos", "audios")
_ADDRESSES: Final = ("http://", "https://", "asset://")


def paths_in(request: Mapping[str, Any]) -> list[str]:
    """Return the sources of a video that are no addresses: data URIs and storage paths."""
    given = [request[name] for name in _SOURCES if name in request]
    sources = [source for value in given for source in _listed(value)]
    return [source for source in sources if not source.startswith(_ADDRESSES)]


def with_sources(request: Mapping[str, Any], addresses: Mapping[str, str]) -> dict[str, Any]:
    """Return the request of a video with some of its sources exchanged for others."""

    def exchanged(value: str | list[str]) -> str | list[str]:
        found = [addresses.get(source, source) for source in _listed(value)]
        return found if isinstance(value, list) else found[0]

    return {
        name: exchanged(value) if name in _SOURCES else value for name, value in request.items()
    }


def inline_bytes(request: Mapping[str, Any]) -> int:
    """Return about how many bytes of files stand in a body as data URIs."""
    given = [request[name] for name in ("image", "mask") if name in request]
    sources = [source for value in given for source in _listed(value)]
    return sum(len(source) * 3 // 4 for source in sources if source.startswith("data:"))


def refused_by_model(request: Mapping[str, Any], models: Collection[Mapping[str, Any]]) -> bool:
    """Return whether a video's model is unknown, or has not the mode that is asked for."""
    model = next((model for model in models if model["name"] == request["model"]), None)
    return model is None or request.get("mode", model["modes"][0]) not in model["modes"]


def _listed(value: str | list[str]) -> list[str]:
    return value if isinstance(value, list) else [value]
