"""The models: what each accepts, as the service lists it, and whether a request fits.

All fields but the name are optional, whatever the service's own schema says: servers of
different ages say different things. Pure; nothing here is asked for.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar, cast

from msgspec import Struct

from .field_rules import listed
from .requests import EditImage, GenerateImage, GenerateVideo, TaskRequest


class Model(Struct, frozen=True, kw_only=True, rename="camel"):
    """The fields that every model has."""

    name: str
    """The value for `model=` of a request."""
    description: str | None = None
    """The name as shown to people."""
    summary: str | None = None
    """Its strengths, in words."""
    logo: str | None = None
    """The address of its logo, a picture."""
    tags: list[str | dict[str, str]] | None = None
    """Its labels; a dict has one label in several languages."""
    main_tag: str | None = None
    """The most important of its labels."""
    pricing: Any = None
    """Its price, where the server says so: text, or a list of objects."""


class ImageModel(Model, frozen=True, kw_only=True, rename="camel"):
    """A model for `GenerateImage`. An empty list says nothing about what fits."""

    sizes: list[str] | None = None
    """The values of `size`."""
    qualities: list[str] | None = None
    """The values of `quality`."""
    styles: list[str] | None = None
    """The values of `style`."""


class EditModel(Model, frozen=True, kw_only=True, rename="camel"):
    """A model for `EditImage`. An empty list says nothing about what fits."""

    sizes: list[str] | None = None
    """The values of `size`."""
    max_input_images: int | None = None
    """The most images that `image` may hold."""


class VideoDefaults(Struct, frozen=True, kw_only=True, rename="camel"):
    """The values that a model uses for what is left out."""

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
    """The ways it works: `text2video`, `image2video`, `video2video`, ..."""
    resolutions: list[str] | None = None
    """The values of `resolution`."""
    durations: list[float] | None = None
    """The values of `duration`, in seconds."""
    aspect_ratios: list[str] | None = None
    """The values of `ratio`."""
    max_input_images: int | None = None
    """The most images that `image` and `image_tail` may hold together."""
    input_constraints: dict[str, Any] | None = None
    """Limits of files to refer to: for `images`, `videos` and `audios` their number, length,
    size and shape, in the service's own spelling."""
    defaults: VideoDefaults | None = None
    """The values that it uses for what is left out."""


LOSES_DATA_URIS = frozenset(["volcengine", "grok", "dashscope", "openai"])
"""The providers (`channel`) that a file in a video request does not reach.

The first three get the address of a file that is not there, as the vendor's server of June 2026
makes it, and the last is refused with code 10100.
"""

_AUTOMATIC = -1
"""The `duration` with which volcengine chooses the length."""
_MODES_FOR = (
    ("image_tail", ("lf2video",), "last frame"),
    ("video_url", ("video2video", "ref"), "video"),
    ("videos", ("video2video", "ref"), "videos"),
    ("audios", ("audio", "ref"), "sounds"),
)
"""Fields of a request, the words in the name of a mode that takes one, and what the field holds."""

M = TypeVar("M", bound=Model)


def model_of(request: TaskRequest[Any], models: Sequence[M]) -> M | None:
    """Return the model that a request names; None if it is not listed."""
    return next((model for model in models if model.name == request.model), None)


def objection(request: TaskRequest[Any], models: Sequence[Model]) -> str | None:
    """Return why a request does not fit the list of models; None if it does."""
    model = model_of(request, models)
    if model is None:
        from difflib import get_close_matches  # only for a hint, and slow to load

        near = get_close_matches(request.model, [model.name for model in models], n=3)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        return f"model={request.model!r:.80}: the service lists no such model for this{hint}"
    return next(_objections(request, model), None)


def price_of(request: TaskRequest[Any], models: Sequence[Model]) -> float | None:
    """Return the most that a request can cost, as the list of models says; None if it does not.

    Images have one price each, as text. Videos have a list of prices, each for some resolutions,
    shapes, modes or lengths. Where a request leaves open which of them is meant, and the model
    names no default, the highest counts.
    """
    model = model_of(request, models)
    if model is None:
        return None
    values = [model.pricing]
    if isinstance(model.pricing, list):
        values = [entry.get("price") for entry in _fitting(request, model)]
    prices = [price for price in map(_price_in, values) if price is not None]
    return max(prices) * (getattr(request, "n", None) or 1) if prices else None


def _fitting(request: TaskRequest[Any], model: Model) -> Iterator[dict[str, Any]]:
    """Yield the entries of a model's price list that a request does not rule out."""
    asked = _asked_for(request, model)
    for entry in model.pricing:
        if isinstance(entry, dict):
            case = cast("dict[str, Any]", entry)
            pairs = [(case.get(name), value) for name, value in asked.items()]
            if all(None in pair or _plain(pair[0]) == _plain(pair[1]) for pair in pairs):
                yield case


def _asked_for(request: TaskRequest[Any], model: Model) -> dict[str, object]:
    if not isinstance(request, GenerateVideo):
        return {
            "size": getattr(request, "size", None),
            "quality": getattr(request, "quality", None),
        }
    video = model if isinstance(model, VideoModel) else VideoModel(name=model.name)
    defaults = video.defaults or VideoDefaults()
    resolution, ratio = _resolution_and_ratio(request, video.channel)
    is_sized = request.size is not None  # it tells both the resolution and the ratio
    duration = None if request.duration == _AUTOMATIC else request.duration or defaults.duration
    return {
        "resolution": None if is_sized else resolution or defaults.resolution,
        "aspectRatio": None if is_sized else ratio or defaults.aspect_ratio,
        "duration": duration,
        "mode": request.mode,
    }


def _resolution_and_ratio(request: GenerateVideo, channel: str | None) -> tuple[Any, Any]:
    """Return the resolution and the ratio of a request, from where its provider reads them."""
    if channel != "grok":
        return request.resolution, request.ratio
    read = request.metadata or {}
    return read.get("resolution"), read.get("aspectRatio")


def _price_in(value: object) -> float | None:
    """Return a price, which is a number or the text of one."""
    try:
        number = float(value) if isinstance(value, str | int | float) else math.nan
    except (ValueError, OverflowError):
        return None
    return number if 0 <= number < math.inf else None


def _objections(request: TaskRequest[Any], model: Model) -> Iterator[str]:
    if isinstance(request, GenerateImage) and isinstance(model, ImageModel):
        yield from _choice_objection(model, "size", request.size, model.sizes)
        yield from _choice_objection(model, "quality", request.quality, model.qualities)
        yield from _choice_objection(model, "style", request.style, model.styles)
    elif isinstance(request, EditImage) and isinstance(model, EditModel):
        yield from _choice_objection(model, "size", request.size, model.sizes)
        yield from _count_objection(model, "image", _count(request.image), model.max_input_images)
    elif isinstance(request, GenerateVideo) and isinstance(model, VideoModel):
        yield from _setting_objections(model, request)
        yield from _mode_objections(model, request)
        yield from _source_objections(model, request)


def _choice_objection(
    model: Model, name: str, value: object, allowed: Iterable[object] | None
) -> Iterator[str]:
    choices = list(allowed or ())
    if value is None or not choices:
        return
    if _plain(value) not in map(_plain, choices):
        takes = ", ".join(
            f"{choice:g}" if isinstance(choice, float) else str(choice) for choice in choices
        )
        yield f"{name}={value!r:.60}: {model.name} takes {takes:.300}"


def _count_objection(model: Model, name: str, count: int, most: int | None) -> Iterator[str]:
    if most is not None and count > most:
        takes = "takes none" if most < 1 else f"takes {most} at most"
        yield f"{name}=: {model.name} {takes}, not {count}"


def _setting_objections(model: VideoModel, request: GenerateVideo) -> Iterator[str]:
    yield from _choice_objection(model, "resolution", request.resolution, model.resolutions)
    yield from _choice_objection(model, "ratio", request.ratio, model.aspect_ratios)
    is_automatic = request.duration == _AUTOMATIC and model.channel in (None, "volcengine")
    if not is_automatic:
        yield from _choice_objection(model, "duration", request.duration, model.durations)
    if model.channel == "volcengine" and request.resolution is None:
        yield from _choice_objection(model, "size", request.size, model.resolutions)
    if model.channel == "grok":
        resolution, ratio = _resolution_and_ratio(request, model.channel)
        yield from _choice_objection(model, "metadata", ratio, model.aspect_ratios)
        yield from _choice_objection(model, "metadata", resolution, model.resolutions)


def _mode_objections(model: VideoModel, request: GenerateVideo) -> Iterator[str]:
    yield from _choice_objection(model, "mode", request.mode, model.modes)
    modes = [mode.casefold() for mode in model.modes or ()]
    if not modes:
        return
    modes_listed = f"({', '.join(modes):.200})"
    names = ("image", "image_tail", "images", "video_url", "videos", "audios")
    given = [name for name in names if getattr(request, name) is not None]
    if not given and "text2video" not in modes:
        yield f"image=: {model.name} works from more than words {modes_listed}"
    if given and set(modes) == {"text2video"}:
        yield f"{given[0]}=: {model.name} works from words alone {modes_listed}"
    constraints = model.input_constraints or {}
    for name, words, medium in _MODES_FOR:
        is_taken = any(word in mode for word in words for mode in modes) or name in constraints
        if name in given and not is_taken:
            yield f"{name}=: {model.name} takes no {medium} {modes_listed}"


def _source_objections(model: VideoModel, request: GenerateVideo) -> Iterator[str]:
    frames = _count(request.image) + _count(request.image_tail)
    yield from _count_objection(model, "image", frames, model.max_input_images)
    if request.image_tail is not None and _count(request.image) > 1:
        yield "image_tail= is the last frame of a video with one first frame: give one image="
    videos = _count(request.videos) + _count(request.video_url)
    for name, count, most in (
        ("images", _count(request.images), model.max_input_images),
        ("videos", videos, None),
        ("audios", _count(request.audios), None),
    ):
        yield from _count_objection(model, name, count, _most(model, name, most))


def _most(model: VideoModel, name: str, otherwise: int | None) -> int | None:
    """Return how many files of a kind a model says that it takes."""
    said = (model.input_constraints or {}).get(name)
    count = cast("dict[str, Any]", said).get("maxCount") if isinstance(said, dict) else None
    return count if isinstance(count, int) else otherwise


def _count(value: object) -> int:
    values = listed(value)
    return int(value is not None) if values is None else len(values)


def _plain(value: object) -> object:
    return value.casefold() if isinstance(value, str) else value
