"""Whether a request fits what its model accepts."""

from __future__ import annotations

from typing import Any

import pytest

from aitoearn_async import (
    EditImage,
    EditModel,
    GenerateImage,
    GenerateVideo,
    ImageModel,
    Model,
    TaskRequest,
    VideoModel,
)
from aitoearn_async.contract.catalog import objection

URL = "https://example.com/a.png"
IMAGE = ImageModel(name="m", sizes=["1x1", "2K"], qualities=["high"], styles=[])
EDIT = EditModel(name="m", sizes=["1x1"], max_input_images=2)
VIDEO = VideoModel(
    name="m",
    modes=["text2video", "image2video"],
    resolutions=["720p"],
    durations=[4, 8.5],
    aspect_ratios=["16:9"],
    max_input_images=2,
)
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
        (video(images=[URL, URL]), FRAMES),
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
        (video(image=URL, image_tail=URL), FRAMES, "image=: m takes 1 at most, not 2"),
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
    assert "did you mean gpt-image-2 or gpt-image-1" in said
    unlike = objection(GenerateImage(model="zzz", prompt="p"), models)
    assert unlike is not None
    assert "mean" not in unlike
