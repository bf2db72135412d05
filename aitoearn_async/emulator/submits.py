"""What becomes of a submit: whether the service takes its body, and what it makes of it.

Plain functions on plain data. The checks are those of the service's own schemas.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, TypeGuard

import msgspec

from aitoearn_async import AnyRef, ImageRef, VideoRef

from . import pictures
from .models import MODELS

BAD_REQUEST: Final = 400
INVALID_MODEL: Final = 12300
NO_SUCH_GROUP: Final = 12801

UrlOf = Callable[[AnyRef, int], str]
"""Where a task's file with a number stands."""

_Rule = Callable[[Any], bool]


def _text(least: int, most: int | None = None) -> _Rule:
    def rule(value: Any) -> bool:
        if not isinstance(value, str):
            return False
        length = len(value.encode("utf-16-le", "surrogatepass")) // 2
        return length >= least and (most is None or length <= most)

    return rule


def _whole(low: int, high: int) -> _Rule:
    return lambda value: type(value) is int and low <= value <= high


def _list_of(rule: _Rule) -> _Rule:
    return lambda value: _is_list(value) and all(map(rule, value))


def _is_list(value: Any) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def _text_or_texts(value: Any) -> bool:
    return isinstance(value, str) or _texts(value)


_any_text = _text(0)
_texts = _list_of(_any_text)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _format(value: Any) -> bool:
    return value in ("url", "b64_json")


def _tool(value: Any) -> bool:
    return isinstance(value, dict) and value == {"type": "web_search"}


_IMAGE: Final[dict[str, _Rule]] = {
    "prompt": _text(1, 4000),
    "model": _any_text,
    "n": _whole(1, 10),
    "quality": _any_text,
    "response_format": _format,
    "size": _any_text,
    "style": _any_text,
    "user": _any_text,
}
_EDIT: Final[dict[str, _Rule]] = {
    "model": _any_text,
    "image": _text_or_texts,
    "prompt": _text(1, 4000),
    "mask": _any_text,
    "n": _whole(1, 1),
    "size": _any_text,
    "response_format": _format,
    "user": _any_text,
}
_VIDEO: Final[dict[str, _Rule]] = {
    "model": _text(1),
    "prompt": _text(1, 4000),
    **dict.fromkeys(["groupId", "image_tail", "video_url", "mode", "size"], _any_text),
    **dict.fromkeys(["resolution", "ratio"], _any_text),
    "image": _text_or_texts,
    **dict.fromkeys(["images", "videos", "audios"], _texts),
    "duration": _number,
    "seed": lambda value: type(value) is int,
    "watermark": lambda value: isinstance(value, bool),
    "tools": _list_of(_tool),
    "metadata": lambda value: isinstance(value, dict),
}


class Route:
    """One kind of submit: which refs come of it, and what its body may hold."""

    def __init__(
        self,
        kind: type[ImageRef] | type[VideoRef],
        rules: Mapping[str, _Rule],
        required: Collection[str],
        models: str,
    ) -> None:
        self.kind = kind
        self._rules = rules
        self._required = required
        self._models = models

    def judge(self, body: bytes, groups: Collection[str]) -> int | dict[str, Any]:
        """The fields of a body that can be used, or the code to refuse it with."""
        try:
            fields = msgspec.json.decode(body, type=dict[str, Any])
        except (ValueError, RecursionError):
            return BAD_REQUEST
        if not all(fields.get(name) for name in self._required):
            return BAD_REQUEST
        known = {name: value for name, value in fields.items() if name in self._rules}
        if not all(self._rules[name](value) for name, value in known.items()):
            return BAD_REQUEST
        if known.get("groupId") and known["groupId"] not in groups:
            return NO_SUCH_GROUP
        if all(model["name"] != known["model"] for model in MODELS[self._models]):
            return INVALID_MODEL
        return known


SUBMITS: Final[dict[str, Route]] = {
    "/api/ai/image/generate/async": Route(
        ImageRef, _IMAGE, ["model", "prompt"], "/api/ai/models/image/generation"
    ),
    "/api/ai/image/edit/async": Route(
        ImageRef, _EDIT, ["model", "prompt", "image"], "/api/ai/models/image/edit"
    ),
    "/api/ai/video/generations": Route(
        VideoRef, _VIDEO, ["model", "prompt"], "/api/ai/models/video/generation"
    ),
}


def receipt(ref: AnyRef) -> bytes:
    """The JSON (`data`) that a submit is answered with."""
    if isinstance(ref, ImageRef):
        return msgspec.json.encode({"logId": ref.id, "status": "generating"})
    return msgspec.json.encode({"id": ref.id, "status": "SUBMITTED"})


_ECHOED: Final = {
    **{name: name for name in ("prompt", "groupId", "image", "images", "audios", "videos")},
    **{name: name for name in ("duration", "resolution", "watermark")},
    "ratio": "aspectRatio",
    "video_url": "videoUrl",
}


def video_input(fields: Mapping[str, Any]) -> dict[str, Any]:
    """What a video task says it was asked for (`input`)."""
    return {name: fields[sent] for sent, name in _ECHOED.items() if sent in fields}


def images_made(fields: Mapping[str, Any], ref: AnyRef, url_of: UrlOf) -> list[dict[str, Any]]:
    """What an image task makes (`images`): at addresses of the emulator's, or in base64."""
    numbers = range(1, fields.get("n", 1) + 1)
    if fields.get("response_format") == "b64_json":
        contents = [pictures.png(f"{ref}-{number}") for number in numbers]
        return [{"b64_json": base64.b64encode(content).decode()} for content in contents]
    return [{"url": url_of(ref, number)} for number in numbers]
