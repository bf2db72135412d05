"""What can be asked to be made: one Struct a submit, checked when it is built.

Attributes are the service's fields; those left at None are not sent. Wrong values are
refused here, by name, before anything is sent. Where a request goes to is in `endpoints`;
files are read, and become text, elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Generic, Literal, TypeVar

from msgspec import Struct, field
from msgspec.structs import fields

from . import rules
from .refs import AnyRef, ImageRef, VideoRef
from .rules import Rule

R_co = TypeVar("R_co", covariant=True)

if TYPE_CHECKING:
    MediaSource = str | Path | bytes | BinaryIO
else:
    # What comes out of JSON is text, and msgspec knows no binary files.
    MediaSource = Any
"""A picture or sound to work from.

A str is an address (`https://...`) or a data URI, and is sent as it is. A file is a
`pathlib.Path`, its content (bytes), or a file opened in binary mode, which is read once from
where it stands; it goes out as a data URI.
"""


class TaskRequest(Struct, Generic[R_co], frozen=True, kw_only=True, omit_defaults=True):
    """What all requests share. The parameter is the ref that a submit returns.

    A request without files goes through JSON as it is: `msgspec.json.encode(request)` is the
    body that is sent, and `msgspec.json.decode(body, type=GenerateImage)` reads it.
    """

    model: str
    """The model to do the work, by its name."""
    prompt: str
    """What to make, in words: 1 to 4,000 characters, as JavaScript counts them."""

    ref_type: ClassVar[type[AnyRef]]
    """What kind of ref a submit returns."""
    _rules: ClassVar[Mapping[str, Rule]] = {}
    _files: ClassVar[Mapping[str, str]] = {}

    def __post_init__(self) -> None:
        for name, rule in {**_COMMON, **self._rules}.items():
            value = getattr(self, name)
            if value is None and name not in self._required:
                continue
            if (advice := rule(value)) is not None:
                raise ValueError(f"{name}={shown(value)}: {advice}")
        if (problem := self._contradiction()) is not None:
            raise ValueError(problem)

    _required: ClassVar[frozenset[str]] = frozenset(["model", "prompt"])

    def _contradiction(self) -> str | None:
        """What is wrong with fields that are right one by one."""
        return None

    @property
    def kind(self) -> str:
        """What is made: `"image"` or `"video"`."""
        return str(self.ref_type.__struct_config__.tag)

    def sources(self) -> Iterator[tuple[str, str, Any]]:
        """The fields that may hold files: name, `"image"` or `"audio"`, and value."""
        for name, medium in self._files.items():
            if (value := getattr(self, name)) is not None:
                yield name, medium, value

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        values = ((each.name, getattr(self, each.name)) for each in fields(self))
        return [(name, _Shown(value)) for name, value in values if value is not None]

    def __repr__(self) -> str:
        # A data URI is megabytes of letters.
        said = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"{type(self).__name__}({said})"


class GenerateImage(TaskRequest[ImageRef], frozen=True, kw_only=True, omit_defaults=True):
    """Make images from words (`POST /api/ai/image/generate/async`).

    Raises:
        ValueError: A field cannot be used; it is named.
    """

    n: int | None = None
    """How many, 1 to 10."""
    quality: str | None = None
    """One of the model's `qualities`."""
    response_format: Literal["url", "b64_json"] | None = None
    """Whether the images come as addresses (`url`) or in the answer itself (`b64_json`)."""
    size: str | None = None
    """One of the model's `sizes`, such as `1024x1024`."""
    style: str | None = None
    """One of the model's `styles`."""
    user: str | None = None
    """A name of yours for whom it is made."""

    ref_type: ClassVar[type[AnyRef]] = ImageRef
    _rules = {
        "n": rules.whole(1, 10),
        "quality": rules.text(),
        "response_format": rules.one_of("url", "b64_json"),
        "size": rules.text(),
        "style": rules.text(),
        "user": rules.text(),
    }


class EditImage(TaskRequest[ImageRef], frozen=True, kw_only=True, omit_defaults=True):
    """Make an image from others (`POST /api/ai/image/edit/async`).

    Raises:
        ValueError: A field cannot be used; it is named.
    """

    image: MediaSource | Sequence[MediaSource]
    """What to work from: one, or as many as the model takes (`max_input_images`)."""
    mask: MediaSource | None = None
    """Where to work: an image that is transparent there."""
    n: int | None = None
    """How many. The service makes 1 at a time, and takes no other number."""
    size: str | None = None
    """One of the model's `sizes`."""
    response_format: Literal["url", "b64_json"] | None = None
    """Whether the image comes as an address (`url`) or in the answer itself (`b64_json`)."""
    user: str | None = None
    """A name of yours for whom it is made."""

    ref_type: ClassVar[type[AnyRef]] = ImageRef
    _required = frozenset(["model", "prompt", "image"])
    _rules = {
        "image": rules.one_or_more(rules.media),
        "mask": rules.media,
        "n": rules.whole(1, 1),
        "size": rules.text(),
        "response_format": rules.one_of("url", "b64_json"),
        "user": rules.text(),
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
    """The first frame; or several images to work from."""
    image_tail: MediaSource | None = None
    """The last frame."""
    video_url: str | None = None
    """The address of a video to change."""
    images: Sequence[MediaSource] | None = None
    """Images to refer to."""
    videos: Sequence[str] | None = None
    """Addresses of videos to refer to."""
    audios: Sequence[MediaSource] | None = None
    """Sounds to refer to."""
    mode: str | None = None
    """How to work, in the model's own words."""
    size: str | None = None
    """Such as `1280x720`. Says `resolution` and `ratio` in one: give it or them."""
    resolution: str | None = None
    """One of the model's `resolutions`, such as `720p`."""
    ratio: str | None = None
    """One of the model's `aspect_ratios`, such as `16:9`."""
    duration: float | None = None
    """Length in seconds; one of the model's `durations`."""
    seed: int | None = None
    """A number that makes chance repeatable, for models that have one."""
    watermark: bool | None = None
    """Whether to put a watermark on it."""
    tools: Sequence[Mapping[str, Any]] | None = None
    """What the model may use: `[{"type": "web_search"}]`."""
    metadata: Mapping[str, Any] | None = None
    """Further parameters of the model's provider."""

    ref_type: ClassVar[type[AnyRef]] = VideoRef
    _rules = {
        "group_id": rules.text(),
        "image": rules.one_or_more(rules.media),
        "image_tail": rules.media,
        "video_url": rules.address,
        "images": rules.several(rules.media),
        "videos": rules.several(rules.address),
        "audios": rules.several(rules.media),
        "mode": rules.text(),
        "size": rules.text(),
        "resolution": rules.text(),
        "ratio": rules.text(),
        "duration": rules.seconds,
        "seed": rules.whole(-(2**53) + 1, 2**53 - 1),
        "watermark": rules.flag,
        "tools": rules.several(rules.json_object),
        "metadata": rules.json_object,
    }
    _files = {"image": "image", "image_tail": "image", "images": "image", "audios": "audio"}

    def _contradiction(self) -> str | None:
        if self.size is not None and (self.resolution is not None or self.ratio is not None):
            return "size= says what resolution= and ratio= say: give size alone, or those two"
        if self.image_tail is not None and len(rules.listed(self.image) or ()) > 1:
            return "image_tail= is the last frame of a video with one first frame: give one image="
        return None


_COMMON: Mapping[str, Rule] = {"model": rules.text(), "prompt": rules.text(most=4000)}


class _Shown:
    """A value whose `repr` is short."""

    def __init__(self, value: object) -> None:
        self._value = value

    def __repr__(self) -> str:
        return shown(self._value)


def shown(value: object) -> str:
    """A value in a message: short, whatever it holds."""
    if isinstance(value, str) and value.startswith("data:"):
        kind = value.partition(",")[0][:40]
        return f"'{kind},...' ({len(value):,} characters)"
    if isinstance(value, bytes | bytearray):
        return f"<{len(value):,} bytes>"
    if (values := rules.listed(value)) is not None:
        more = [f"... ({len(values):,} in all)"] * (len(values) > 4)
        return f"[{', '.join([*map(shown, values[:4]), *more])}]"
    if isinstance(value, str) and len(value) > 200:
        return f"{value[:200]!r}... ({len(value):,} characters)"
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."
