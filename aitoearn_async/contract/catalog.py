"""What each model accepts, as the service lists it, and whether a request fits.

All fields but the name are optional, whatever the service's own schema says: servers of
different ages say different things. Pure; nothing here is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from typing import Any, TypeVar

from msgspec import Struct

from .requests import EditImage, GenerateImage, GenerateVideo, TaskRequest
from .rules import listed


class Model(Struct, frozen=True, kw_only=True, rename="camel"):
    """What every model has."""

    name: str
    """What `model=` of a request is to be."""
    description: str | None = None
    """The name as shown to people."""
    summary: str | None = None
    """What it is good for."""
    logo: str | None = None
    """The address of its sign."""
    tags: list[str | dict[str, str]] | None = None
    """Words on it; a dict has the same word in several languages."""
    main_tag: str | None = None
    """The one of them that matters most."""
    pricing: Any = None
    """What it costs, where the server says so: text, or a list of objects."""


class ImageModel(Model, frozen=True, kw_only=True, rename="camel"):
    """A model for `GenerateImage`. An empty list says nothing about what fits."""

    sizes: list[str] | None = None
    """What `size` may be."""
    qualities: list[str] | None = None
    """What `quality` may be."""
    styles: list[str] | None = None
    """What `style` may be."""


class EditModel(Model, frozen=True, kw_only=True, rename="camel"):
    """A model for `EditImage`. An empty list says nothing about what fits."""

    sizes: list[str] | None = None
    """What `size` may be."""
    max_input_images: int | None = None
    """How many images `image` may hold."""


class VideoDefaults(Struct, frozen=True, kw_only=True, rename="camel"):
    """What a model makes of what is left out."""

    resolution: str | None = None
    """In place of `resolution`."""
    aspect_ratio: str | None = None
    """In place of `ratio`."""
    duration: float | None = None
    """In place of `duration`, in seconds."""


class VideoModel(Model, frozen=True, kw_only=True, rename="camel"):
    """A model for `GenerateVideo`. An empty list says nothing about what fits."""

    channel: str | None = None
    """The provider behind it."""
    modes: list[str] | None = None
    """What it works from: `text2video`, `image2video`, `video2video`, ..."""
    resolutions: list[str] | None = None
    """What `resolution` may be."""
    durations: list[float] | None = None
    """What `duration` may be, in seconds."""
    aspect_ratios: list[str] | None = None
    """What `ratio` may be."""
    max_input_images: int | None = None
    """How many images `image` and `image_tail` may hold together."""
    input_constraints: dict[str, Any] | None = None
    """Limits of files to refer to: for `images`, `videos` and `audios` their number, length,
    size and shape, in the service's own spelling."""
    defaults: VideoDefaults | None = None
    """What it makes of what is left out."""


M = TypeVar("M", bound=Model)


def objection(request: TaskRequest[Any], models: Sequence[Model]) -> str | None:
    """What the list of models has against a request; None if nothing."""
    model = next((model for model in models if model.name == request.model), None)
    if model is None:
        near = get_close_matches(request.model, [model.name for model in models], n=3)
        hint = f"; did you mean {' or '.join(near)}" if near else ""
        return f"model={request.model!r:.80}: the service lists no such model for this{hint}"
    return next(_objections(request, model), None)


def _objections(request: TaskRequest[Any], model: Model) -> Iterator[str]:
    if isinstance(request, GenerateImage) and isinstance(model, ImageModel):
        yield from _choice(model, "size", request.size, model.sizes)
        yield from _choice(model, "quality", request.quality, model.qualities)
        yield from _choice(model, "style", request.style, model.styles)
    elif isinstance(request, EditImage) and isinstance(model, EditModel):
        yield from _choice(model, "size", request.size, model.sizes)
        yield from _number(model, "image", _count(request.image), model.max_input_images)
    elif isinstance(request, GenerateVideo) and isinstance(model, VideoModel):
        yield from _choice(model, "resolution", request.resolution, model.resolutions)
        yield from _choice(model, "ratio", request.ratio, model.aspect_ratios)
        yield from _choice(model, "duration", request.duration, model.durations)
        frames = _count(request.image) + _count(request.image_tail)
        yield from _number(model, "image", frames, model.max_input_images)
        yield from _mode(model, request)


def _choice(
    model: Model, name: str, value: object, allowed: Iterable[object] | None
) -> Iterator[str]:
    choices = list(allowed or ())
    if value is None or not choices:
        return
    if _plain(value) not in map(_plain, choices):
        listed = ", ".join(
            f"{choice:g}" if isinstance(choice, float) else str(choice) for choice in choices
        )
        yield f"{name}={value!r:.60}: {model.name} takes {listed:.300}"


def _number(model: Model, name: str, count: int, most: int | None) -> Iterator[str]:
    if most is not None and count > most:
        takes = "takes none" if most < 1 else f"takes {most} at most"
        yield f"{name}=: {model.name} {takes}, not {count}"


def _mode(model: VideoModel, request: GenerateVideo) -> Iterator[str]:
    given = (
        *(request.image, request.image_tail, request.images),
        *(request.video_url, request.videos, request.audios),
    )
    if model.modes and "text2video" not in model.modes and given == (None,) * len(given):
        yield f"image=: {model.name} works from more than words ({', '.join(model.modes):.200})"


def _count(value: object) -> int:
    values = listed(value)
    return int(value is not None) if values is None else len(values)


def _plain(value: object) -> object:
    return value.casefold() if isinstance(value, str) else value
