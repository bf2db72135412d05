"""What files are called, and which files a task has."""

from __future__ import annotations

import pytest

from aitoearn_async import Image, ImageRef, ImageTask, VideoRef, VideoTask
from aitoearn_async._containers import media_types
from aitoearn_async._downloads.filenames import SUFFIXES, file_name, suffixes_of
from aitoearn_async.contract import image_tasks, video_tasks
from aitoearn_async.contract.outputs import Result
from tests.containers.test_media_types import HEADS


def test_every_picture_and_film_that_is_known_has_a_suffix() -> None:
    tables = [
        *(types for _, types in media_types._SIGNATURES),
        *(types for _, types in media_types._PATTERNS),
        *media_types._RIFF.values(),
        *media_types._BRANDS.values(),
        *media_types._MATROSKA.values(),
        *((told,) for _, told in HEADS),
    ]
    known = {told for types in tables for told in types}
    assert set(SUFFIXES) == {told for told in known if told.startswith(("image/", "video/"))}


def test_suffixes_are_of_one_kind() -> None:
    """A picture's name is never taken for that of a film."""
    assert len(set(SUFFIXES.values())) == len(SUFFIXES)
    assert not set(suffixes_of("image")) & set(suffixes_of("video"))
    assert {*suffixes_of("image"), *suffixes_of("video")} == set(SUFFIXES.values())


def test_stems() -> None:
    """No id can make two files of different tasks have one name, or be an option or a device."""
    picture, film = Result("image", 1, "x"), Result("video", None, "x")
    assert file_name("image", "66", picture).whole("image/png") == "image-66-1.png"
    assert file_name("video", "66", film).whole("video/mp4") == "video-66.mp4"
    assert file_name("video", "-rf", film).stem == "video--rf"
    refs = [kind(id) for kind in (ImageRef, VideoRef) for id in ("a", "a-1", "a-1-1", "CON")]
    stems = [
        file_name(ref.kind, ref.id, Result(ref.kind, number, "x")).stem
        for ref in refs
        for number in ((1, 2, 11) if isinstance(ref, ImageRef) else (None,))
    ]
    assert len(set(stems)) == len(stems)


IMAGES: dict[str, tuple[list[Image] | None, list[Result]]] = {
    "none": (None, []),
    "empty": ([], []),
    "blank": ([Image(), Image(url=""), Image(url="", b64_json="")], []),
    "url": ([Image(url="u")], [Result("image", 1, "u")]),
    "data": ([Image(b64_json="QQ==")], [Result("image", 1, None, "QQ==")]),
    "both": ([Image(url="u", b64_json="QQ==")], [Result("image", 1, "u", "QQ==")]),
    "data URI": ([Image(url="DATA:image/png;base64,QQ==")], [Result("image", 1, None, "QQ==")]),
    "in b64_json": (
        [Image(b64_json="data:image/png;base64,QQ==")],
        [Result("image", 1, None, "QQ==")],
    ),
    "numbers stay": ([Image(), Image(url="u")], [Result("image", 2, "u")]),
}


@pytest.mark.parametrize(("images", "results"), IMAGES.values(), ids=IMAGES)
def test_files_of_images(images: list[Image] | None, results: list[Result]) -> None:
    assert (
        image_tasks.results_of(ImageTask(log_id="66", status="success", images=images)) == results
    )


def test_files_of_videos() -> None:
    film = VideoTask(id="67", status="SUCCESS", video_url="u", cover_url="c")
    assert video_tasks.results_of(film) == [Result("video", None, "u")]
    assert video_tasks.results_of(VideoTask(id="67", status="SUCCESS", cover_url="c")) == []
    assert video_tasks.results_of(VideoTask(id="67", status="SUCCESS", video_url="")) == []
