"""The tasks as Structs: names, units, reasons, and points in time that nobody can read."""

from __future__ import annotations

import copy
import json
import pickle
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from aitoearn_async import (
    Image,
    ImageRef,
    ImageTask,
    VideoError,
    VideoInput,
    VideoRef,
    VideoTask,
)
from aitoearn_async.contract.endpoints import endpoint_of
from aitoearn_async.contract.envelope import Envelope, Malformed
from aitoearn_async.contract.refusal import Refusal

IMAGE: dict[str, Any] = {"logId": "66", "status": "success", "startedAt": "2026-06-01T10:00:00Z"}
VIDEO: dict[str, Any] = {"id": "67", "status": "SUCCESS", "submittedAt": "2026-06-01T10:00:00Z"}


def body(data: dict[str, Any], **more: Any) -> bytes:
    """The bytes of a good answer."""
    answer = {"code": 0, "message": "ok", "requestId": "r", **more, "data": data}
    return msgspec.json.encode(answer)


def image(**fields: Any) -> ImageTask:
    """An image task with these JSON fields, read as any answer is."""
    result = endpoint_of(ImageRef("66")).codec.decode(body({**IMAGE, **fields}))
    assert isinstance(result, Envelope), result
    return result.data


def video(**fields: Any) -> VideoTask:
    """A video task with these JSON fields, read as any answer is."""
    result = endpoint_of(VideoRef("67")).codec.decode(body({**VIDEO, **fields}))
    assert isinstance(result, Envelope), result
    return result.data


def test_the_least_there_can_be() -> None:
    """An id and a status make a task; all else is None when missing, not empty or zero."""
    tasks = ImageTask(log_id="66", status="generating"), VideoTask(id="67", status="InProgress")
    for struct in (*tasks, Image(), VideoInput(), VideoError()):
        optional = set(struct.__struct_fields__) - {"id", "log_id", "status"}
        assert {getattr(struct, name) for name in optional} == {None}


def test_units() -> None:
    """An image's duration is in milliseconds, may be fractional or 0, and is never rounded."""
    assert image(duration=42000).duration_ms == 42000
    assert image(duration=0.5).duration_ms == 0.5
    assert image(duration=0).duration_ms == 0
    assert image().duration_ms is None
    assert video(input={"duration": 6}).input == VideoInput(duration=6)


def test_ref() -> None:
    """A task knows its name, and the name fits the question that brought it."""
    assert image().ref == ImageRef("66")
    assert video().ref == VideoRef("67")


@pytest.mark.parametrize(
    ("task", "reason"),
    [
        (image(status="failed"), None),
        (image(status="failed", errorMessage=None), None),
        (image(status="failed", errorMessage=""), ""),
        (image(status="failed", errorMessage="no"), "no"),
        (video(status="FAILURE"), None),
        (video(status="FAILURE", error=None), None),
        (video(status="FAILURE", error={}), None),
        (video(status="FAILURE", error={"message": None}), None),
        (video(status="FAILURE", error={"message": ""}), ""),
        (video(status="FAILURE", error={"message": "no", "code": 5}), "no"),
        (video(status="SUCCESS", error={"message": "late warning"}), "late warning"),
    ],
)
def test_failure(task: ImageTask | VideoTask, reason: str | None) -> None:
    """The reason of a failure is found in whichever field the kind of task has it."""
    assert task.failure == reason


def test_images() -> None:
    """An image stands at a URL or is carried along, and every part of it can be missing."""
    task = image(images=[{"url": None}, {}, {"b64_json": "aGk=", "url": "", "x": 1}])
    assert task.images == [Image(), Image(), Image(b64_json="aGk=", url="")]


def test_one_source_image_or_several() -> None:
    """The source image of a video is one URL or a list, as it was submitted."""
    assert video(input={"image": "https://x/1.png"}).input == VideoInput(image="https://x/1.png")
    assert video(input={"image": ["a", "b"]}).input == VideoInput(image=["a", "b"])
    assert video(input={"image": []}).input == VideoInput(image=[])


READABLE = {
    "2026-06-01T10:00:00.000Z": datetime(2026, 6, 1, 10, tzinfo=UTC),
    "2026-06-01T10:00:00Z": datetime(2026, 6, 1, 10, tzinfo=UTC),
    "2026-06-01T18:00:00+08:00": datetime(2026, 6, 1, 10, tzinfo=UTC),
    "2026-06-01T18:00:00+0800": datetime(2026, 6, 1, 10, tzinfo=UTC),
    "2026-06-01T18:00:00+08": datetime(2026, 6, 1, 10, tzinfo=UTC),
    "2026-06-01T10:00:00-00:00": datetime(2026, 6, 1, 10, tzinfo=UTC),
    "2026-06-01T10:00:00": datetime(2026, 6, 1, 10, tzinfo=UTC),
    "2026-06-01 10:00:00": datetime(2026, 6, 1, 10, tzinfo=UTC),
    "2026-06-01T10:00": datetime(2026, 6, 1, 10, tzinfo=UTC),
    "2026-06-01": datetime(2026, 6, 1, tzinfo=UTC),
    "2026-06-01T10:00:00.123456789Z": datetime(2026, 6, 1, 10, 0, 0, 123457, tzinfo=UTC),
    # Rounded up, this would lie after the last moment there is.
    "9999-12-31T23:59:59.9999999Z": datetime.max.replace(tzinfo=UTC),
    1780308000000: datetime(2026, 6, 1, 10, tzinfo=UTC),
    1780308000000.5: datetime(2026, 6, 1, 10, 0, 0, 500, tzinfo=UTC),
    0: datetime(1970, 1, 1, tzinfo=UTC),
    -1000: datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC),
}
JUNK: list[Any] = [
    *("", " ", "null", "Invalid Date", "yesterday", "2026-13-01T10:00:00Z", "24:00"),
    *("2026-06-01T25:00:00Z", "2026-06-01T10:00:60Z", "0"),
    *("1780308000000", "T", "\x00", "2026-06-01T10:00:00+99:99", "中", "9" * 5000),
    *(10**18, -(10**18), 10**400, 1e300, [], ["2026"], {}, {"$date": 5}),
]
WHEN: dict[type[Any], list[str]] = {
    ImageTask: ["startedAt", "createdAt", "updatedAt"],
    VideoTask: ["submittedAt", "startedAt", "finishedAt"],
}


@pytest.mark.parametrize(("text", "moment"), READABLE.items())
def test_readable_moments(text: object, moment: datetime) -> None:
    """A point in time is read in any common form, and always has a zone."""
    for task, names in (
        (image(**dict.fromkeys(WHEN[ImageTask], text)), ("started_at", "created_at")),
        (video(**dict.fromkeys(WHEN[VideoTask], text)), ("submitted_at", "finished_at")),
    ):
        for name in names:
            found = getattr(task, name)
            assert found.utcoffset() is not None
            assert abs(found - moment) <= timedelta(microseconds=1)


@pytest.mark.parametrize("junk", JUNK, ids=lambda junk: ascii(junk)[:30].replace("\\", "%"))
def test_junk_moments(junk: object) -> None:
    """A point in time that cannot be read is None, and costs nothing else of the task."""
    urls = [{"url": "https://x/1.png"}]
    for field in WHEN[ImageTask]:
        task = image(**{field: junk}, images=urls, points=2)
        assert task == image(**{field: None}, images=urls, points=2)
    for field in WHEN[VideoTask]:
        clip = video(**{field: junk}, videoUrl="https://x/1.mp4", model="m")
        assert clip == video(**{field: None}, videoUrl="https://x/1.mp4", model="m")


def test_a_junk_moment_does_not_hide_other_faults() -> None:
    """Mending moments mends nothing else: a wrong type is still told, with its path."""
    answer = body({**IMAGE, "startedAt": "junk", "images": "none"})
    broken = endpoint_of(ImageRef("66")).codec.decode(answer)
    assert isinstance(broken, Malformed)
    assert broken.is_json


def test_a_junk_moment_in_a_refusal() -> None:
    """A refusal stays one, whatever stands beside its code."""
    answer = body({**IMAGE, "startedAt": "junk"}, code=500, message="no")
    assert endpoint_of(ImageRef("66")).codec.decode(answer) == Refusal(500, "no", "r")


def test_tasks_survive() -> None:
    """A task comes back from pickles, copies and JSON as it was."""
    for task in (
        image(images=[{"url": "u"}], request={"n": [1, None]}, duration=1.5),
        video(input={"image": ["a"]}, error={"message": "m"}, finishedAt="2026-06-01T10:00:00Z"),
    ):
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            assert pickle.loads(pickle.dumps(task, protocol)) == task
        assert copy.copy(task) == task
        assert copy.deepcopy(task) == task
        assert msgspec.json.decode(msgspec.json.encode(task), type=type(task)) == task


def test_tasks_are_frozen() -> None:
    """A task says how things stood at one moment, and cannot be changed."""
    with pytest.raises(AttributeError):
        image().status = "failed"  # type: ignore[misc]


def test_json_goes_by_the_services_names() -> None:
    """Encoded again, a task has the service's own field names."""
    assert msgspec.to_builtins(image(duration=1)).keys() == {
        *("logId", "status", "startedAt", "duration", "points", "request", "response"),
        *("images", "errorMessage", "createdAt", "updatedAt"),
    }


def test_both_kinds_have_the_same_words() -> None:
    """Id, model, prompt and addresses have one name each, whichever fields they stand in."""
    made = image(
        request={"model": "gpt-image-2", "prompt": "a cat"},
        images=[{"url": "https://x/1.png"}, {"b64_json": "aGk="}, {"url": "data:,x"}, {"url": ""}],
    )
    film = video(model="sora-2", input={"prompt": "rain"}, videoUrl="https://x/1.mp4")
    words = [(task.id, task.model, task.prompt, task.urls) for task in (made, film)]
    assert words == [
        ("66", "gpt-image-2", "a cat", ["https://x/1.png"]),
        ("67", "sora-2", "rain", ["https://x/1.mp4"]),
    ]


def test_what_was_not_said_is_none_or_empty() -> None:
    """A task without request, input or files has no model, prompt or addresses, and no trouble."""
    for task in (image(), video(), image(request={"model": 5}), video(input={}, videoUrl="")):
        assert (task.model, task.prompt, task.urls) == (None, None, [])
        assert (task.id, task.ref.id) == (task.id, task.id)


def test_a_task_as_a_dict() -> None:
    """`to_dict` gives the service's names and what JSON can hold, whole."""
    for task in (image(images=[{"url": "u"}], points=1.5), video(input={"prompt": "p"})):
        plain = task.to_dict()
        assert json.loads(json.dumps(plain)) == plain
        assert msgspec.convert(plain, type(task)) == task
    assert image().to_dict()["startedAt"] == "2026-06-01T10:00:00Z"
