"""The timelines of tasks, and the fields of their answers."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest

from aitoearn_async import AnyRef, VideoRef
from aitoearn_async.emulator import Emulator

from .talk import UNKNOWN, ask


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


async def test_an_image_goes_through_its_words(service: Emulator) -> None:
    """Each word holds for its seconds, the last one for ever."""
    ref = service.add_image(("generating", 2.0), ("generating-hard", 3.0), "success")
    seen = []
    for pause in (0.0, 1.9, 0.2, 2.8, 0.2, 86_400):
        await asyncio.sleep(pause)
        seen.append((await ask(service, ref)).data["status"])
    assert seen == ["generating"] * 2 + ["generating-hard"] * 2 + ["success"] * 2


async def test_default_timelines_take_two_seconds(service: Emulator) -> None:
    """A task without a script runs, then succeeds."""
    refs: list[AnyRef] = [service.add_image(), service.add_video()]
    before = [(await ask(service, ref)).data["status"] for ref in refs]
    await asyncio.sleep(2)
    after = [(await ask(service, ref)).data["status"] for ref in refs]
    assert (before, after) == (["generating", "InProgress"], ["success", "SUCCESS"])


async def test_a_status_can_be_set(service: Emulator) -> None:
    """A set status holds from then on, and the rest of the timeline is forgotten."""
    ref = service.add_video(("InProgress", 10.0), "SUCCESS")
    await asyncio.sleep(1)
    service.set_status(ref, "FAILURE")
    assert (await ask(service, ref)).data["status"] == "FAILURE"
    await asyncio.sleep(100)
    assert (await ask(service, ref)).data["status"] == "FAILURE"
    service.set_status(ref, "InProgress")
    assert (await ask(service, ref)).data["status"] == "InProgress"


async def test_times_tell_the_timeline(service: Emulator) -> None:
    """The dates of an answer are as far apart as the timeline says."""
    image = service.add_image(("generating", 42.0), "success")
    video = service.add_video(("InProgress", 90.0), "SUCCESS")
    await asyncio.sleep(100)
    drawn, filmed = (await ask(service, image)).data, (await ask(service, video)).data
    assert drawn["duration"] == 42_000
    assert moment(drawn["updatedAt"]) - moment(drawn["createdAt"]) == timedelta(seconds=42)
    took = moment(filmed["finishedAt"]) - moment(filmed["submittedAt"])
    assert took == timedelta(seconds=90)


async def test_a_removed_task_is_unknown(service: Emulator) -> None:
    """After `remove` the service has never heard of it nor of its files; the id is free again."""
    ref = service.add_image("success")
    service.set_media(ref, b"gone with it")
    service.remove(ref)
    assert (await ask(service, ref)).json["code"] == 404
    with pytest.raises(KeyError):
        service.remove(ref)
    assert service.add_image("success", id=ref.id) == ref
    assert (await ask(service, urlsplit(service.media_url(ref)).path)).body[1:4] == b"PNG"


async def test_content_is_what_the_test_says(service: Emulator) -> None:
    """Requests, images, messages and raw fields come back as given."""
    drawn = service.add_image(
        "success",
        request={"prompt": "p", "n": 2},
        images=["https://a/1.png", {"b64_json": "aGk="}],
        fields={"response": msgspec.UNSET, "surprise": [1]},
    )
    failed = service.add_video("FAILURE", error_message="", input={"prompt": "q"}, model="m")
    data = (await ask(service, drawn)).data
    assert data["images"] == [{"url": "https://a/1.png"}, {"b64_json": "aGk="}]
    assert data["request"] == {"prompt": "p", "n": 2}
    assert "response" not in data
    assert data["surprise"] == [1]
    data = (await ask(service, failed)).data
    assert (data["error"], data["input"], data["model"]) == (
        {"message": ""},
        {"prompt": "q"},
        "m",
    )


async def test_what_is_empty_is_not_left_out(service: Emulator) -> None:
    """No image, and an address without a letter, are answered so; an id or a key is refused."""
    drawn = service.add_image("success", images=[])
    filmed = service.add_video("SUCCESS", video_url="")
    assert (await ask(service, drawn)).data["images"] == []
    assert (await ask(service, filmed)).data["videoUrl"] == ""
    with pytest.raises(ValueError, match="not a task id"):
        service.add_image(id="")
    with pytest.raises(ValueError, match="key"):
        service.add_video(api_key="")


async def test_ids_are_fresh_and_like_the_services(service: Emulator) -> None:
    """Generated ids are 24 hex digits and never come twice."""
    ids = [service.add_image("success").id for _ in range(2000)]
    assert len(set(ids)) == 2000
    assert all(len(id) == 24 and int(id, 16) for id in ids)


async def test_any_id_can_be_added(service: Emulator) -> None:
    """An id of the test's own is found; hex digits in either case."""
    odd = service.add_image("success", id="my-task_1")
    plain = service.add_video("SUCCESS", id="abcdef" * 4)
    assert (await ask(service, odd)).data["logId"] == "my-task_1"
    assert (await ask(service, VideoRef("ABCDEF" * 4))).data["id"] == plain.id


@pytest.mark.parametrize(
    "timeline",
    [
        (("generating", 2.0),),
        ("generating", "success"),
        (("generating", -1.0), "success"),
        (("generating", float("nan")), "success"),
        (("generating", float("inf")), "success"),
        (("generating",), "success"),
    ],
)
async def test_a_malformed_timeline_is_refused(service: Emulator, timeline: Any) -> None:
    """A timeline that makes no sense is a ValueError where it is written."""
    with pytest.raises(ValueError, match=r"word"):
        service.add_image(*timeline)


async def test_an_id_is_given_once(service: Emulator) -> None:
    """Adding a task twice is an error, but an image and a video may share an id."""
    service.add_image("success", id=UNKNOWN)
    service.add_video("SUCCESS", id=UNKNOWN)
    with pytest.raises(ValueError, match="already"):
        service.add_image("success", id=UNKNOWN.upper())
