"""What can be asked to be made: every field is checked, and goes out under the service's name."""

from __future__ import annotations

import io
import math
import pickle
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.pretty import pretty_repr

from aitoearn_async import EditImage, GenerateImage, GenerateVideo, ImageRef, TaskRequest, VideoRef
from aitoearn_async.contract.requests import short_repr
from tests.support.cases import case
from tests.support.texts import CHARACTERS

URL = "https://example.com/a.png"
PNG = "data:image/png;base64,iVBORw0KGgo="
LEAST: dict[type[TaskRequest[Any]], dict[str, Any]] = {
    GenerateImage: {"model": "m", "prompt": "p"},
    EditImage: {"model": "m", "prompt": "p", "image": URL},
    GenerateVideo: {"model": "m", "prompt": "p"},
}
SURROGATE = "\ud83d"
NO_TEXT: list[Any] = ["", 1, b"x", [], SURROGATE]
NO_MEDIA: list[Any] = [
    "",
    "cat.png",
    "dir/cat.png",
    "asset://",
    "ftp://x/y",
    "data:image/png",
    b"",
    1,
    io.StringIO("x"),
    {},
]
NO_OBJECT: list[Any] = [1, "x", [1], {"x": object()}, {"x": SURROGATE}]
NO_OBJECT += [{"x": [math.nan]}, {"x": {"y": -math.inf}}]

BAD: list[tuple[type[TaskRequest[Any]], str, list[Any]]] = [
    *[(kind, "model", [*NO_TEXT, None]) for kind in LEAST],
    *[(kind, "prompt", [*NO_TEXT, None, "x" * 4001, "😀" * 2001]) for kind in LEAST],
    (GenerateImage, "n", [0, 11, 1.0, True, "1"]),
    (GenerateImage, "quality", NO_TEXT),
    (GenerateImage, "response_format", ["URL", "", 1, []]),
    (GenerateImage, "size", NO_TEXT),
    (GenerateImage, "style", NO_TEXT),
    (GenerateImage, "user", NO_TEXT),
    (EditImage, "image", [*NO_MEDIA, None, [], [URL, 1], [URL, "cat.png"]]),
    (EditImage, "mask", [*NO_MEDIA, [URL]]),
    (EditImage, "n", [0, 2, True]),
    (EditImage, "size", NO_TEXT),
    (EditImage, "response_format", ["png"]),
    (EditImage, "user", NO_TEXT),
    (GenerateVideo, "group_id", NO_TEXT),
    (GenerateVideo, "image", [*NO_MEDIA, [], [b""]]),
    (GenerateVideo, "image_tail", [*NO_MEDIA, [URL]]),
    (GenerateVideo, "video_url", [*NO_MEDIA, [URL]]),
    (GenerateVideo, "images", [URL, [], *([each] for each in NO_MEDIA)]),
    (GenerateVideo, "videos", [URL, [], *([each] for each in NO_MEDIA)]),
    (GenerateVideo, "audios", [URL, [], *([each] for each in NO_MEDIA)]),
    (GenerateVideo, "mode", NO_TEXT),
    (GenerateVideo, "size", NO_TEXT),
    (GenerateVideo, "resolution", NO_TEXT),
    (GenerateVideo, "ratio", NO_TEXT),
    (GenerateVideo, "duration", [float("nan"), float("inf"), True, "5", 10**400]),
    (GenerateVideo, "seed", [1.0, 2**53, -(2**53), True, "1"]),
    (GenerateVideo, "watermark", [0, 1, "yes"]),
    (GenerateVideo, "tools", [{}, [], ["web_search"], [{"type": object()}], [{"type": "x"}], [{}]]),
    (GenerateVideo, "metadata", NO_OBJECT),
]

FULL: list[tuple[type[TaskRequest[Any]], dict[str, Any]]] = [
    (
        GenerateImage,
        {
            "n": 10,
            "quality": "high",
            "response_format": "b64_json",
            "size": "1x1",
            "style": "vivid",
            "user": "u",
        },
    ),
    (EditImage, {"image": [URL, PNG], "mask": PNG, "n": 1, "size": "1x1", "user": "u"}),
    (
        GenerateVideo,
        {
            "groupId": "g",
            "image": URL,
            "image_tail": PNG,
            "video_url": URL,
            "images": [URL],
            "videos": [URL],
            "audios": [URL],
            "mode": "pro",
            "resolution": "720p",
            "ratio": "16:9",
            "duration": 5,
            "seed": -1,
            "watermark": False,
            "tools": [{"type": "web_search"}],
            "metadata": {"a": [1, None]},
        },
    ),
]
"""By the service's names, of which one is not the argument's."""


def test_a_field_that_cannot_be_used_is_named() -> None:
    for kind, name, values in BAD:
        with case(kind, name):
            for value in values:
                with pytest.raises(ValueError, match=rf"^{name}=") as caught:
                    kind(**{**LEAST[kind], name: value})
                assert len(str(caught.value)) < 500
                assert str(caught.value).count(": ") >= 1, "says what to do"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"promt": "a cat"}, "'promt'. Did you mean 'prompt'?"),
        ({"prompt": "a cat", "respons_format": "url"}, "Did you mean 'response_format'?"),
        ({"prompt": "a cat", "negative": "dogs"}, "'negative'"),
        ({}, "'prompt'"),
    ],
)
def test_a_misspelled_field_is_told_its_name(given: dict[str, Any], said: str) -> None:
    """As Python does for attributes; what resembles nothing gets no advice."""
    with pytest.raises(TypeError) as caught:
        GenerateImage(model="m", **given)
    assert str(caught.value).endswith(said)


def test_every_field_has_a_rule() -> None:
    for kind in LEAST:
        tried = {name for each, name, _ in BAD if each is kind}
        # These two are tested further below.
        assert tried | {"extra", "aspect_ratio"} >= set(kind.__struct_fields__)


@pytest.mark.parametrize(("kind", "fields"), FULL)
def test_json_has_the_services_names(kind: type[TaskRequest[Any]], fields: dict[str, Any]) -> None:
    arguments = {name.replace("groupId", "group_id"): value for name, value in fields.items()}
    request = kind(model="m", prompt="p", **arguments)
    body = msgspec.json.encode(request)
    assert msgspec.json.decode(body) == {"model": "m", "prompt": "p", **fields}
    assert msgspec.json.decode(body, type=kind) == request
    assert pickle.loads(pickle.dumps(request)) == request


def test_what_is_not_given_is_not_sent() -> None:
    for kind, least in LEAST.items():
        assert msgspec.json.decode(msgspec.json.encode(kind(**least))) == least


def test_what_comes_out_of_json_is_checked_too() -> None:
    with pytest.raises(msgspec.ValidationError, match="prompt="):
        msgspec.json.decode(b'{"model": "m", "prompt": ""}', type=GenerateImage)


def test_kinds() -> None:
    assert (GenerateImage.ref_type, GenerateVideo.ref_type) == (ImageRef, VideoRef)
    assert [kind(**least).kind for kind, least in LEAST.items()] == ["image", "image", "video"]


def test_what_the_service_takes_is_taken() -> None:
    """Its schema has no range for a length, and combines sizes as one likes."""
    path = "65a000000000000000000001/ai/images/gpt-image-2/202611/Rw7dW4.png"
    for fields in (
        *({"duration": value} for value in (-1, 0, 0.5, 10**6)),
        {"size": "720p", "resolution": "720p", "ratio": "16:9"},
        {"image": [path, "asset://asset-1"], "image_tail": path, "video_url": path},
        {"tools": [{"type": "web_search", "limit": 3}]},
        {"metadata": {"aspectRatio": "16:9", "resolution": "720p"}},
    ):
        request = GenerateVideo(model="m", prompt="p", **fields)  # type: ignore[arg-type]
        assert msgspec.json.decode(msgspec.json.encode(request)) == {
            "model": "m",
            "prompt": "p",
            **fields,  # type: ignore[dict-item]
        }


def test_prompts_are_counted_as_the_service_counts() -> None:
    GenerateImage(model="m", prompt="x" * 4000)
    GenerateImage(model="m", prompt="😀" * 2000)


def test_sources_of_all_kinds() -> None:
    for source in (URL, PNG, Path("cat.png"), b"x", io.BytesIO(b"x")):
        EditImage(model="m", prompt="p", image=source, mask=source)
        GenerateVideo(model="m", prompt="p", image=[source, source], audios=(source,))


@given(st.binary(min_size=1000, max_size=2000), st.text(CHARACTERS, min_size=500, max_size=900))
def test_its_repr_is_short(content: bytes, text: str) -> None:
    uri = "data:image/png;base64," + "A" * 100_000
    prompt = "".join(c for c in text if c.isprintable()) or "x"
    request = GenerateVideo(model="m", prompt=prompt, images=[content] * 30 + [uri], image=uri)
    for said in (repr(request), str(request), pretty_repr(request)):
        assert "A" * 50 not in said
        assert len(said) < 3000
        assert "duration" not in said
    assert "'data:image/png;base64,...' (100,022 characters)" in repr(request)
    assert f"<{len(content):,} bytes>" in repr(request)
    assert short_repr("data:a\nb,c") == r"'data:a\nb,...' (10 characters)"


def test_fields_newer_than_the_package() -> None:
    """`extra` is merged into the body by the service's names, and the request stays itself."""
    request = GenerateImage(model="m", prompt="p", n=2, extra={"background": "transparent", "x": 1})
    body = {"model": "m", "prompt": "p", "n": 2, "background": "transparent", "x": 1}
    assert msgspec.json.decode(request.to_json()) == body
    assert msgspec.json.decode(msgspec.json.encode(request), type=GenerateImage) == request
    assert pickle.loads(pickle.dumps(request)) == request
    plain = GenerateImage(model="m", prompt="p")
    assert plain.to_json() == msgspec.json.encode(plain)
    assert "background" in repr(request)


@pytest.mark.parametrize("name", ["size", "group_id", "groupId", "model", "extra"])
def test_an_extra_field_that_is_known(name: str) -> None:
    """It is refused by the name of the argument it has, whichever way it is spelled."""
    argument = "group_id" if name == "groupId" else name
    with pytest.raises(ValueError, match=f"{argument}= is an argument of its own"):
        GenerateVideo(model="m", prompt="p", extra={name: "x"})


@pytest.mark.parametrize("wrong", [5, [("a", 1)], {"a": object()}, {"a": math.nan}])
def test_an_extra_field_that_json_has_not(wrong: Any) -> None:
    with pytest.raises(ValueError, match="extra="):
        GenerateImage(model="m", prompt="p", extra=wrong)


def test_two_names_of_a_videos_shape() -> None:
    """`aspect_ratio` is `ratio`: one of them is given, and it goes out under its own name."""
    video = GenerateVideo(model="m", prompt="p", aspect_ratio="16:9")
    assert video == GenerateVideo(model="m", prompt="p", ratio="16:9")
    assert video == GenerateVideo(model="m", prompt="p", ratio="16:9", aspect_ratio="16:9")
    assert (video.ratio, video.aspect_ratio) == ("16:9", None)
    assert msgspec.json.decode(video.to_json()) == {"model": "m", "prompt": "p", "ratio": "16:9"}
    with pytest.raises(ValueError, match="two names of one thing"):
        GenerateVideo(model="m", prompt="p", ratio="16:9", aspect_ratio="1:1")
    for wrong in (5, ""):
        with pytest.raises(ValueError, match="ratio="):
            GenerateVideo(model="m", prompt="p", aspect_ratio=wrong)  # type: ignore[arg-type]
