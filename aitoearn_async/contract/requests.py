"""The requests: one Struct for each kind of submit, checked when it is built.

Attributes are the service's fields. Those left at None are not sent. Wrong values are refused here,
with the name of the field. The rules that values are checked by are in `field_rules`, and the path
that a request goes to is in `endpoints`. No file is read here.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Generic, Literal, TypeVar

import msgspec
from msgspec import Struct, StructMeta, field
from msgspec.structs import fields, force_setattr

from . import field_rules
from .field_rules import Rule
from .image_tasks import ImageRef
from .kinds import AnyRef
from .video_tasks import VideoRef

R_co = TypeVar("R_co", covariant=True)

if TYPE_CHECKING:
    MediaSource = str | Path | bytes | BinaryIO | AsyncIterable[bytes]
else:
    # What comes out of JSON is text, and msgspec knows no binary files.
    MediaSource = Any
"""A picture, a sound or a video to work from.

A str is an address (`https://...`, or `asset://...` of volcengine) or a path in the service's own
storage (`ACCOUNT/temp/...`), which are sent as they are, or a data URI. A file is a
`pathlib.Path`, its content (bytes), a file opened in binary mode, or an async iterable of bytes;
the last two are read once, a file from where it stands. Files, and data URIs, are uploaded to the
service's store, and their addresses sent; see `upload=` of `Client.submit`.
"""

_DEFAULT_RULE = field_rules.text()
"""The rule of a field that has none of its own."""
_COMMON_RULES: Mapping[str, Rule] = {
    "prompt": field_rules.text(most=4000),
    "extra": field_rules.json_object,
}
"""The rules of fields that all requests have."""


class _Spelling(StructMeta):
    """Adds the name that is meant to the error about a misspelled argument."""

    if not TYPE_CHECKING:  # checkers see it themselves

        def __call__(cls, *args: object, **given: object) -> object:  # noqa: N805 - a metaclass
            try:
                return super().__call__(*args, **given)
            except TypeError as error:
                from difflib import get_close_matches

                known = cls.__struct_fields__
                for name in given:
                    if name not in known and (meant := get_close_matches(name, known, 1)):
                        raise TypeError(f"{error}. Did you mean {meant[0]!r}?") from None
                raise


class TaskRequest(
    Struct, Generic[R_co], metaclass=_Spelling, frozen=True, kw_only=True, omit_defaults=True
):
    """The base of all requests. The parameter is the ref that a submit returns.

    A request without files goes through JSON as it is: `msgspec.json.encode(request)`, and
    `msgspec.json.decode(body, type=GenerateImage)` reads it. Without `extra` that is the body
    that is sent; with it, `to_json()` is.
    """

    model: str
    """The model to do the work, by its name."""
    prompt: str
    """The prompt: 1 to 4,000 characters, as JavaScript counts them."""
    extra: Mapping[str, Any] | None = None
    """Fields of the service that are newer than this package, by the service's names:
    `{"background": "transparent"}`. They are merged into the body as they are, unchecked."""

    ref_type: ClassVar[type[AnyRef]]
    """The type of ref that a submit returns."""
    _required: ClassVar[frozenset[str]] = frozenset(["model", "prompt"])
    """The fields that must not be None."""
    _rules: ClassVar[Mapping[str, Rule]] = {}
    """The rules of fields that are not just text."""
    _files: ClassVar[Mapping[str, str]] = {}
    """The fields that hold files -> `"image"`, `"audio"` or `"video"`."""

    def __post_init__(self) -> None:
        rules = {**_COMMON_RULES, **self._rules}
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if value is None and name not in self._required:
                continue
            advice = rules.get(name, _DEFAULT_RULE)(value)
            if advice is not None:
                raise ValueError(f"{name}={short_repr(value)}: {advice}")
        problem = self._repeated_in_extra() or self._contradiction()
        if problem is not None:
            raise ValueError(problem)

    def _repeated_in_extra(self) -> str | None:
        """Return what is wrong with `extra`, if a field is in it that has its own argument."""
        for each in fields(self):
            if self.extra and (each.encode_name in self.extra or each.name in self.extra):
                return f"extra={short_repr(self.extra)}: {each.name}= is an argument of its own"
        return None

    def _contradiction(self) -> str | None:
        """Return what is wrong with fields that are right one by one."""
        return None

    def to_json(self) -> bytes:
        """Return the body that is sent, of a request without files."""
        if not self.extra:
            return msgspec.json.encode(self)
        known = msgspec.to_builtins(msgspec.structs.replace(self, extra=None))
        return msgspec.json.encode({**known, **self.extra})

    @property
    def kind(self) -> str:
        """Return what is made: `"image"` or `"video"`."""
        return str(self.ref_type.__struct_config__.tag)

    def sources(self) -> Iterator[tuple[str, str, Any]]:
        """Yield the fields with files: name, `"image"`, `"audio"` or `"video"`, and value."""
        for name, medium in self._files.items():
            if (value := getattr(self, name)) is not None:
                yield name, medium, value

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        values = ((name, getattr(self, name)) for name in self.__struct_fields__)
        return [(name, _ShortRepr(value)) for name, value in values if value is not None]

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"{type(self).__name__}({arguments})"


class GenerateImage(TaskRequest[ImageRef], frozen=True, kw_only=True, omit_defaults=True):
    """Make images from words (`POST /api/ai/image/generate/async`).

    Raises:
        ValueError: A field cannot be used; it is named.
    """

    n: int | None = None
    """The number of images, 1 to 10."""
    quality: str | None = None
    """One of the model's `qualities`."""
    response_format: Literal["url", "b64_json"] | None = None
    """`url`, or `b64_json`. The vendor's server of June 2026 answers both with addresses."""
    size: str | None = None
    """One of the model's `sizes`, such as `1024x1024`."""
    style: str | None = None
    """One of the model's `styles`."""
    user: str | None = None
    """A name of yours for whom it is made."""

    ref_type: ClassVar[type[AnyRef]] = ImageRef
    _rules = {
        "n": field_rules.whole(1, 10),
        "response_format": field_rules.one_of("url", "b64_json"),
    }


class EditImage(TaskRequest[ImageRef], frozen=True, kw_only=True, omit_defaults=True):
    """Make an image from others (`POST /api/ai/image/edit/async`).

    Raises:
        ValueError: A field cannot be used; it is named.
    """

    image: MediaSource | Sequence[MediaSource]
    """The images to work from: one, or as many as the model takes (`max_input_images`)."""
    mask: MediaSource | None = None
    """The mask: an image that is transparent where to work."""
    n: int | None = None
    """The number of images. The service makes 1 at a time, and takes no other number."""
    size: str | None = None
    """One of the model's `sizes`."""
    response_format: Literal["url", "b64_json"] | None = None
    """`url`, or `b64_json`. The vendor's server of June 2026 answers both with an address."""
    user: str | None = None
    """A name of yours for whom it is made."""

    ref_type: ClassVar[type[AnyRef]] = ImageRef
    _required = frozenset(["model", "prompt", "image"])
    _rules = {
        "image": field_rules.one_or_more(field_rules.media),
        "mask": field_rules.media,
        "n": field_rules.whole(1, 1),
        "response_format": field_rules.one_of("url", "b64_json"),
    }
    _files = {"image": "image", "mask": "image"}


class GenerateVideo(TaskRequest[VideoRef], frozen=True, kw_only=True, omit_defaults=True):
    """Make a video (`POST /api/ai/video/generations`).

    Raises:
        ValueError: A field cannot be used; it is named.
    """

    group_id: str | None = field(name="groupId", default=None)
    """The media group of your account in which to store the result."""
    image: MediaSource | Sequence[MediaSource] | None = None
    """The first frame; or several images to work from, for models that take more."""
    image_tail: MediaSource | None = None
    """The last frame."""
    video_url: MediaSource | None = None
    """A video to change."""
    images: Sequence[MediaSource] | None = None
    """Images to refer to."""
    videos: Sequence[MediaSource] | None = None
    """Videos to refer to."""
    audios: Sequence[MediaSource] | None = None
    """Sounds to refer to."""
    mode: str | None = None
    """The way to work, in the model's own words."""
    size: str | None = None
    """Such as `1280x720`, for openai. volcengine takes it for the `resolution`; grok and dashscope
    ignore it."""
    resolution: str | None = None
    """One of the model's `resolutions`, such as `720p`."""
    ratio: str | None = None
    """One of the model's `aspect_ratios`, such as `16:9`."""
    aspect_ratio: str | None = None
    """Another name for `ratio`, under which it is kept: answers and models call it so."""
    duration: float | None = None
    """Length in seconds; one of the model's `durations`, or -1 for volcengine to choose."""
    seed: int | None = None
    """A seed for repeatable results, for models that have one."""
    watermark: bool | None = None
    """Put a watermark on it."""
    tools: Sequence[Mapping[str, Any]] | None = None
    """The tools that the model may use: `[{"type": "web_search"}]`, and nothing else."""
    metadata: Mapping[str, Any] | None = None
    """Further parameters of the model's provider. grok reads its resolution and its ratio here:
    `{"resolution": "720p", "aspectRatio": "16:9"}`."""

    ref_type: ClassVar[type[AnyRef]] = VideoRef
    _rules = {
        "image": field_rules.one_or_more(field_rules.media),
        "image_tail": field_rules.media,
        "video_url": field_rules.media,
        "images": field_rules.several(field_rules.media),
        "videos": field_rules.several(field_rules.media),
        "audios": field_rules.several(field_rules.media),
        "duration": field_rules.number,
        "seed": field_rules.whole(-(2**53) + 1, 2**53 - 1),
        "watermark": field_rules.flag,
        "tools": field_rules.several(field_rules.tool),
        "metadata": field_rules.json_object,
    }
    _files = {
        "image": "image",
        "image_tail": "image",
        "images": "image",
        "video_url": "video",
        "videos": "video",
        "audios": "audio",
    }

    def __post_init__(self) -> None:
        if (ratio := self.aspect_ratio) is not None and self.ratio in (None, ratio):
            force_setattr(self, "ratio", ratio)
            force_setattr(self, "aspect_ratio", None)
        super().__post_init__()

    def _contradiction(self) -> str | None:
        if self.aspect_ratio is not None:
            return "ratio= and aspect_ratio= are two names of one thing: give one"
        return None


class _ShortRepr:
    """A value whose `repr` is short."""

    def __init__(self, value: object) -> None:
        self._value = value

    def __repr__(self) -> str:
        return short_repr(self._value)


def short_repr(value: object) -> str:
    """Return a `repr` for a message: a data URI has megabytes of letters."""
    if isinstance(value, str) and value.startswith("data:"):
        head = value.partition(",")[0][:40]
        return f"{f'{head},...'!r} ({len(value):,} characters)"
    if isinstance(value, bytes | bytearray):
        return f"<{len(value):,} bytes>"
    if (values := field_rules.listed(value)) is not None:
        more = [f"... ({len(values):,} in all)"] * (len(values) > 4)
        return f"[{', '.join([*map(short_repr, values[:4]), *more])}]"
    if isinstance(value, str) and len(value) > 200:
        return f"{value[:200]!r}... ({len(value):,} characters)"
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."
