"""Whether a request fits what its model accepts."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from aitoearn_async import (
    EditImage,
    EditModel,
    GenerateImage,
    GenerateVideo,
    ImageModel,
    Model,
    TaskRequest,
    VideoDefaults,
    VideoModel,
)
from aitoearn_async.contract.catalog import objection, price_of

URL = "https://example.com/a.png"
IMAGE = ImageModel(name="m", sizes=["1x1", "2K"], qualities=["high"], styles=[])
EDIT = EditModel(name="m", sizes=["1x1"], max_input_images=2)
VIDEO = VideoModel(
    name="m",
    modes=["text2video", "image2video", "flf2video"],
    resolutions=["720p"],
    durations=[4, 8.5],
    aspect_ratios=["16:9"],
    max_input_images=2,
)
ARK = VideoModel(
    name="m",
    channel="volcengine",
    modes=["text2video", "multi-ref", "video2video"],
    resolutions=["720p"],
    durations=[4],
    max_input_images=9,
    input_constraints={
        "images": {"maxCount": 3},
        "videos": {"maxCount": 2},
        "audios": {"maxCount": 1},
    },
)
GROK = VideoModel(name="m", channel="grok", modes=["text2video"], aspect_ratios=["1:1"])
OPENAI = VideoModel(name="m", channel="openai", durations=[4, 8.5])
WORDS = VideoModel(name="m", modes=["text2video"])
FRAMES = VideoModel(name="m", modes=["image2video"], max_input_images=1)


def image(**fields: Any) -> GenerateImage:
    return GenerateImage(model="m", prompt="p", **fields)


def edit(count: int, **fields: Any) -> EditImage:
    return EditImage(model="m", prompt="p", image=[URL] * count, **fields)


def video(**fields: Any) -> GenerateVideo:
    return GenerateVideo(model="m", prompt="p", **fields)


@pytest.mark.parametrize(
    ("request_", "model"),
    [
        (image(), IMAGE),
        (image(size="2k", quality="HIGH", style="any"), IMAGE),
        (image(size="9x9", quality="any"), ImageModel(name="m")),
        (edit(2, size="1x1"), EDIT),
        (EditImage(model="m", prompt="p", image=URL), EDIT),
        (edit(9), EditModel(name="m")),
        (video(), VIDEO),
        (video(resolution="720P", duration=4, ratio="16:9", image=URL, image_tail=URL), VIDEO),
        (video(duration=8.5), VIDEO),
        (video(duration=99, resolution="1p"), VideoModel(name="m")),
        (video(image=URL), FRAMES),
        (video(images=[URL]), FRAMES),
        (video(duration=-1, size="720P"), ARK),
        (video(duration=-1), VideoModel(name="m", durations=[4])),
        (video(mode="multi-ref", images=[URL] * 3, videos=[URL] * 2, audios=[URL]), ARK),
        (video(video_url=URL, videos=[URL]), ARK),
        (video(size="any"), VIDEO),
        (video(metadata={"aspectRatio": "1:1", "other": 1}), GROK),
        (video(mode="any", audios=[URL] * 9, videos=[URL]), VideoModel(name="m")),
    ],
)
def test_it_fits(request_: TaskRequest[Any], model: Model) -> None:
    assert objection(request_, [Model(name="other"), model]) is None


@pytest.mark.parametrize(
    ("request_", "model", "said"),
    [
        (image(size="9x9"), IMAGE, "size='9x9': m takes 1x1, 2K"),
        (image(quality="low"), IMAGE, "quality='low': m takes high"),
        (image(style="x"), ImageModel(name="m", styles=["y"]), "style='x': m takes y"),
        (edit(3), EDIT, "image=: m takes 2 at most, not 3"),
        (edit(1, size="2x2"), EDIT, "size='2x2': m takes 1x1"),
        (edit(1), EditModel(name="m", max_input_images=0), "image=: m takes none, not 1"),
        (video(resolution="1080p"), VIDEO, "resolution='1080p': m takes 720p"),
        (video(ratio="1:1"), VIDEO, "ratio='1:1': m takes 16:9"),
        (video(duration=5), VIDEO, "duration=5: m takes 4, 8.5"),
        (video(image=[URL] * 3), VIDEO, "image=: m takes 2 at most, not 3"),
        (
            video(image=URL, image_tail=URL),
            FRAMES,
            "image_tail=: m takes no last frame (image2video)",
        ),
        (video(mode="pro"), ARK, "mode='pro': m takes text2video, multi-ref, video2video"),
        (video(images=[URL] * 4), ARK, "images=: m takes 3 at most, not 4"),
        (video(videos=[URL] * 3), ARK, "videos=: m takes 2 at most, not 3"),
        (video(videos=[URL] * 2, video_url=URL), ARK, "videos=: m takes 2 at most, not 3"),
        (video(audios=[URL] * 2), ARK, "audios=: m takes 1 at most, not 2"),
        (video(images=[URL] * 2), FRAMES, "images=: m takes 1 at most, not 2"),
        (video(duration=5), ARK, "duration=5: m takes 4"),
        (video(duration=-1), OPENAI, "duration=-1: m takes 4, 8.5"),
        (video(size="1280x720"), ARK, "size='1280x720': m takes 720p"),
        (video(image=URL), WORDS, "image=: m works from words alone (text2video)"),
        (video(video_url=URL), FRAMES, "video_url=: m takes no video (image2video)"),
        (video(audios=[URL]), FRAMES, "audios=: m takes no sounds (image2video)"),
        (video(metadata={"aspectRatio": "9:9"}), GROK, "metadata='9:9': m takes 1:1"),
        (
            video(image=[URL] * 2, image_tail=URL),
            VideoModel(name="m"),
            "image_tail= is the last frame of a video with one first frame: give one image=",
        ),
        (video(), FRAMES, "image=: m works from more than words (image2video)"),
    ],
)
def test_it_does_not(request_: TaskRequest[Any], model: Model, said: str) -> None:
    assert objection(request_, [model]) == said


def test_a_model_that_is_not_there() -> None:
    models = [ImageModel(name=name) for name in ("gpt-image-2", "gpt-image-1", "flux")]
    request = GenerateImage(model="gpt-image2", prompt="p")
    said = objection(request, models)
    assert said is not None
    assert said.startswith("model='gpt-image2': the service lists no such model")
    assert "did you mean gpt-image-2 or gpt-image-1?" in said
    unlike = objection(GenerateImage(model="zzz", prompt="p"), models)
    assert unlike is not None
    assert "mean" not in unlike


PRICED = VideoModel(
    name="m",
    pricing=[
        {"resolution": "720p", "duration": 4, "price": 2},
        {"resolution": "720p", "duration": 8, "price": 4.0},
        {"resolution": "1080p", "price": 9},
        {"resolution": "1080p", "mode": "pro", "price": 12},
        {"resolution": "480p", "price": "dear"},
    ],
    defaults=VideoDefaults(resolution="720P", duration=4),
)


@pytest.mark.parametrize(
    ("fields", "price"),
    [
        ({}, 2),
        ({"duration": 8}, 4),
        ({"resolution": "1080P"}, 12),
        ({"resolution": "1080p", "mode": "std"}, 9),
        ({"size": "1280x720", "mode": "std"}, 9),
        ({"duration": 5}, None),
        ({"resolution": "480p"}, None),
    ],
)
def test_the_price_of_a_video(fields: dict[str, Any], price: float | None) -> None:
    """The highest of the prices that a request does not rule out, defaults included."""
    assert price_of(GenerateVideo(model="m", prompt="p", **fields), [PRICED]) == price


@pytest.mark.parametrize(
    ("channel", "fields", "price"),
    [
        ("grok", {"metadata": {"resolution": "1080P"}}, 12),
        ("grok", {"resolution": "1080p"}, 2),
        ("openai", {"metadata": {"resolution": "1080p"}}, 2),
        ("volcengine", {"duration": -1}, 4),
    ],
)
def test_the_price_of_what_a_provider_reads(
    channel: str, fields: dict[str, Any], price: float
) -> None:
    """Of the fields that it reads for the resolution, and of any length it may choose."""
    model = msgspec.structs.replace(PRICED, channel=channel)
    assert price_of(GenerateVideo(model="m", prompt="p", **fields), [model]) == price


@pytest.mark.parametrize(
    ("pricing", "n", "price"),
    [
        ("0.04", None, 0.04),
        ("3", 2, 6),
        (2.5, 4, 10),
        ("", 1, None),
        ("free", 1, None),
        ("nan", 1, None),
        ("-1", 1, None),
        (None, 1, None),
        ([], 1, None),
        ([{"price": 3}, "x", {"price": None}], 1, 3),
        ([{"price": 3}], 2, 6),
        ({"price": 3}, 1, None),
    ],
)
def test_the_price_of_images(pricing: Any, n: int | None, price: float | None) -> None:
    """One price for each image, as text; whatever else stands there tells none."""
    model = ImageModel(name="m", pricing=pricing)
    assert price_of(GenerateImage(model="m", prompt="p", n=n), [model]) == price


def test_no_price_of_a_model_that_is_not_listed() -> None:
    assert price_of(GenerateImage(model="other", prompt="p"), [ImageModel(name="m")]) is None
    assert price_of(GenerateImage(model="m", prompt="p"), []) is None
