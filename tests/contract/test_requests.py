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

URL = "https://example.com/a.png"
PNG = "data:image/png;base64,iVBORw0KGgo="
LEAST: dict[type[TaskRequest[Any]], dict[str, Any]] = {
    GenerateImage: {"model": "m", "prompt": "p"},
    EditImage: {"model": "m", "prompt": "p", "image": URL},
    GenerateVideo: {"model": "m", "prompt": "p"},
}
SURROGATE = "\ud83d"
NO_TEXT: list[Any] = ["", 1, b"x", [], SURROGATE]
NO_MEDIA: list[Any] = ["", "cat.png", "ftp://x/y", "data:image/png", b"", 1, io.StringIO("x"), {}]
NO_ADDRESS: list[Any] = ["", "cat.mp4", "data:video/mp4;base64,AA==", b"x", Path("x"), 1]
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
    (GenerateVideo, "video_url", [*NO_ADDRESS, [URL]]),
    (GenerateVideo, "images", [URL, [], *([each] for each in NO_MEDIA)]),
    (GenerateVideo, "videos", [URL, [], *([each] for each in NO_ADDRESS)]),
    (GenerateVideo, "audios", [URL, [], *([each] for each in NO_MEDIA)]),
    (GenerateVideo, "mode", NO_TEXT),
    (GenerateVideo, "size", NO_TEXT),
    (GenerateVideo, "resolution", NO_TEXT),
    (GenerateVideo, "ratio", NO_TEXT),
    (GenerateVideo, "duration", [0, -1, float("nan"), float("inf"), True, "5"]),
    (GenerateVideo, "seed", [1.0, 2**53, -(2**53), True, "1"]),
    (GenerateVideo, "watermark", [0, 1, "yes"]),
    (GenerateVideo, "tools", [{}, [], ["web_search"], [{"type": object()}]]),
    (GenerateVideo, "metadata", NO_OBJECT),
]

FULL = [
    (
        GenerateImage(
            model="m",
            prompt="p",
            n=10,
            quality="high",
            response_format="b64_json",
            size="1x1",
            style="vivid",
            user="u",
        ),
        {
            "model": "m",
            "prompt": "p",
            "n": 10,
            "quality": "high",
            "size": "1x1",
            "response_format": "b64_json",
            "style": "vivid",
            "user": "u",
        },
    ),
    (
        EditImage(model="m", prompt="p", image=[URL, PNG], mask=PNG, n=1, size="1x1", user="u"),
        {
            "model": "m",
            "prompt": "p",
            "image": [URL, PNG],
            "mask": PNG,
            "n": 1,
            "size": "1x1",
            "user": "u",
        },
    ),
    (
        GenerateVideo(
            model="m",
            prompt="p",
            group_id="g",
            image=URL,
            image_tail=PNG,
            video_url=URL,
            images=[URL],
            videos=[URL],
            audios=[URL],
            mode="pro",
            resolution="720p",
            ratio="16:9",
            duration=5,
            seed=-1,
            watermark=False,
            tools=[{"type": "web_search"}],
            metadata={"a": [1, None]},
        ),
        {
            "model": "m",
            "prompt": "p",
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


@pytest.mark.parametrize(("kind", "name", "values"), BAD)
def test_a_field_that_cannot_be_used_is_named(
    kind: type[TaskRequest[Any]], name: str, values: list[Any]
) -> None:
    for value in values:
        with pytest.raises(ValueError, match=rf"^{name}=") as caught:
            kind(**{**LEAST[kind], name: value})
        assert len(str(caught.value)) < 500
        assert str(caught.value).count(": ") >= 1, "says what to do"


def test_every_field_has_a_rule() -> None:
    for kind in LEAST:
        tried = {name for each, name, _ in BAD if each is kind}
        assert tried == set(kind.__struct_fields__)


@pytest.mark.parametrize(("request_", "fields"), FULL)
def test_json_has_the_services_names(request_: TaskRequest[Any], fields: dict[str, Any]) -> None:
    body = msgspec.json.encode(request_)
    assert msgspec.json.decode(body) == fields
    assert msgspec.json.decode(body, type=type(request_)) == request_
    assert pickle.loads(pickle.dumps(request_)) == request_


def test_what_is_not_given_is_not_sent() -> None:
    for kind, least in LEAST.items():
        assert msgspec.json.decode(msgspec.json.encode(kind(**least))) == least


def test_what_comes_out_of_json_is_checked_too() -> None:
    with pytest.raises(msgspec.ValidationError, match="prompt="):
        msgspec.json.decode(b'{"model": "m", "prompt": ""}', type=GenerateImage)


def test_kinds() -> None:
    assert (GenerateImage.ref_type, GenerateVideo.ref_type) == (ImageRef, VideoRef)
    assert [kind(**least).kind for kind, least in LEAST.items()] == ["image", "image", "video"]


def test_fields_that_contradict_each_other() -> None:
    for more in ({"resolution": "720p"}, {"ratio": "1:1"}):
        with pytest.raises(ValueError, match=r"^size= .*give size alone"):
            GenerateVideo(model="m", prompt="p", size="1x1", **more)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^image_tail= "):
        GenerateVideo(model="m", prompt="p", image=[URL, URL], image_tail=URL)
    GenerateVideo(model="m", prompt="p", image=(URL,), image_tail=URL)
    GenerateVideo(model="m", prompt="p", image_tail=URL)


def test_prompts_are_counted_as_the_service_counts() -> None:
    GenerateImage(model="m", prompt="x" * 4000)
    GenerateImage(model="m", prompt="😀" * 2000)


def test_sources_of_all_kinds() -> None:
    for source in (URL, PNG, Path("cat.png"), b"x", io.BytesIO(b"x")):
        EditImage(model="m", prompt="p", image=source, mask=source)
        GenerateVideo(model="m", prompt="p", image=[source, source], audios=(source,))


@given(st.binary(min_size=1000, max_size=2000), st.text(min_size=500, max_size=900))
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
