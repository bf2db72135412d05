"""The submits as the vendor's own server takes, refuses and loses them."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import aiohttp
import pytest

from aitoearn_async import ImageRef, VideoRef
from aitoearn_async.emulator import Emulator, Fault

from .talk import Reply, ask, now, post

GENERATE = "/api/ai/image/generate/async"
EDIT = "/api/ai/image/edit/async"
VIDEO = "/api/ai/video/generations"
PICTURE = "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()
GROUP = "6" * 24


async def submit(service: Emulator, path: str, **fields: Any) -> Reply:
    body = {"model": "sora-2", "prompt": "x", **fields}
    return await post(service, path, json.dumps(body).encode())


async def video_of(service: Emulator, **fields: Any) -> Any:
    """The video that a submit makes, as its own route shows it some seconds later."""
    receipt = await submit(service, VIDEO, **fields)
    await asyncio.sleep(3)
    return (await ask(service, VideoRef(receipt.data["id"]))).data


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        (GENERATE, {"model": "no-such"}),
        (EDIT, {"model": "no-such", "image": "https://x/1.png"}),
        (VIDEO, {"duration": -1}),
        (VIDEO, {"duration": 2.5, "size": "1x1", "resolution": "720p", "metadata": {"a": [1]}}),
        (VIDEO, {"tools": [{"type": "web_search"}], "mode": "text2video", "unknown": None}),
        (VIDEO, {"prompt": "\U0001f408" * 2000}),
    ],
)
async def test_what_is_taken(service: Emulator, path: str, fields: dict[str, Any]) -> None:
    """Image models are not looked at, numbers are any, and unknown fields are dropped."""
    assert (await submit(service, path, **fields)).json["code"] == 0
    assert len(service.created) == 1


@pytest.mark.parametrize(
    ("path", "fields", "code", "message"),
    [
        (GENERATE, {"prompt": ""}, 400, "Bad request"),
        (GENERATE, {"n": 11}, 400, "Bad request"),
        (GENERATE, {"style": None}, 400, "Bad request"),
        (EDIT, {"image": []}, 400, "Bad request"),
        (EDIT, {"image": "x", "n": 2}, 400, "Bad request"),
        (EDIT, {}, 400, "Bad request"),
        (VIDEO, {"duration": "5"}, 400, "Bad request"),
        (VIDEO, {"tools": [{"type": "other"}]}, 400, "Bad request"),
        (VIDEO, {"prompt": "\U0001f408" * 2001}, 400, "Bad request"),
        (VIDEO, {"model": "none"}, 12300, "Invalid AI model"),
        (VIDEO, {"mode": "teleport"}, 12300, "Invalid AI model"),
        (VIDEO, {"groupId": "f" * 24}, 12801, "Material group not found"),
        (VIDEO, {"groupId": "f" * 24, "model": "none"}, 12801, "Material group not found"),
        (VIDEO, {"groupId": "mine"}, 500, "Internal server error"),
        (VIDEO, {"image": PICTURE}, 10100, "Failed to download file from S3"),
    ],
)
async def test_what_is_refused(
    service: Emulator, path: str, fields: dict[str, Any], code: int, message: str
) -> None:
    """A refusal has the service's code and words, and makes no task."""
    reply = await submit(service, path, **fields)
    assert (reply.json["code"], reply.json["message"]) == (code, message)
    assert service.created == []


@pytest.mark.parametrize(("path", "calls"), [(GENERATE, 0), (VIDEO, 1)])
async def test_a_row_ends_at_16_mib(service: Emulator, path: str, calls: int) -> None:
    """A larger body is refused without a task; a video's provider has been called by then."""
    model = "veo-3.1" if path == VIDEO else "m"
    field = "image" if path == VIDEO else "user"
    large = await submit(service, path, model=model, **{field: "x" * (16 * 2**20)})
    assert (large.json["code"], service.created) == (500, [])
    assert service.provider_calls[None] == calls
    assert (await submit(service, path, model=model, **{field: "x" * 2**20})).json["code"] == 0


@pytest.mark.parametrize(
    "path",
    [
        "/api/ai/image/generate/async",
        "/api/assets/uploadSign",
        "/api/ai/draft-generation/query",
    ],
)
async def test_a_body_without_a_bottom_is_refused(service: Emulator, path: str) -> None:
    """Whatever type it is said to be of."""
    body = b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    for media_type in ("application/json", "text/plain"):
        reply = await post(service, path, body, **{"Content-Type": media_type})
        assert (reply.status, reply.json["code"]) == (200, 400)


async def test_the_provider_refuses_without_a_row(service: Emulator) -> None:
    """A fault says so: code 500, and nothing in the logs."""
    service.fault(Fault(code=500), route="submits")
    assert (await submit(service, VIDEO)).json["code"] == 500
    assert (await ask(service, "/api/ai/logs")).data["total"] == 0
    assert (await submit(service, VIDEO)).json["code"] == 0


@pytest.mark.parametrize(
    ("fault", "seconds_per_answer", "tasks"),
    [
        (Fault(delay=60.0), 0.0, 1),
        (Fault(delay=60.0, creates=False), 0.0, 0),
        (Fault(headers={"X": "y"}), 60.0, 1),
    ],
    ids=["a late answer", "a late refusal", "a busy process"],
)
async def test_a_client_that_leaves_takes_nothing_back(
    fault: Fault, seconds_per_answer: float, tasks: int
) -> None:
    """The request has arrived, and makes its task, though nobody waits for the answer."""
    async with Emulator(seconds_per_answer=seconds_per_answer) as service:
        service.fault(fault)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(submit(service, GENERATE), 10)
        await asyncio.sleep(1)
        assert len(service.created) == tasks


# Files in videos.


@pytest.mark.parametrize("model", ["doubao-seedance-2-0", "grok-imagine-video", "wan2.6-i2v"])
@pytest.mark.parametrize("field", ["image", "images"])
async def test_a_data_uri_is_lost(service: Emulator, model: str, field: str) -> None:
    """It becomes the signed address of a file that is not there; the task is made and fails."""
    video = await video_of(
        service, model=model, **{field: PICTURE if field == "image" else [PICTURE]}
    )
    (shown,) = [video["input"][field]] if field == "image" else video["input"][field]
    assert shown.startswith(f"{service.storage_url}/aitoearn/data%3Aimage/png%3Bbase64%2C")
    assert "X-Amz-Signature=" in shown
    assert (video["status"], bool(video["error"]["message"])) == ("FAILURE", True)


async def test_a_relay_passes_a_data_uri_on(service: Emulator) -> None:
    """It is the one channel that files in a request get through."""
    video = await video_of(service, model="veo-3.1", image=PICTURE)
    assert (video["status"], video["input"]["image"]) == ("SUCCESS", PICTURE)


@pytest.mark.parametrize("source", ["https://x/1.png", "asset://asset-1"])
async def test_addresses_get_through(service: Emulator, source: str) -> None:
    """What is an address stays as it is, on every channel."""
    video = await video_of(service, model="doubao-seedance-2-0", image=source)
    assert (video["status"], video["input"]["image"]) == ("SUCCESS", source)


async def test_one_channel_for_all_models() -> None:
    """`channel=` puts all video models on one provider."""
    async with Emulator(channel="relay") as service:
        video = await video_of(service, model="sora-2", image=PICTURE)
        assert video["status"] == "SUCCESS"
        models = (await ask(service, "/api/ai/models/video/generation")).data
        assert {model["channel"] for model in models} == {"relay"}
    with pytest.raises(ValueError, match="pigeon"):
        Emulator(channel="pigeon")


async def test_each_emulator_has_models_of_its_own(service: Emulator) -> None:
    """A model that one test takes away is there for the next."""
    for models in service.models.values():
        models.clear()
    assert (await submit(service, VIDEO)).json["code"] == 12300
    async with Emulator() as other:
        assert (await submit(other, VIDEO)).json["code"] == 0


async def test_b64_json_is_never_answered(service: Emulator) -> None:
    """The images are stored, and answered with their addresses."""
    receipt = await submit(service, GENERATE, n=2, response_format="b64_json")
    await asyncio.sleep(3)
    ref = ImageRef(receipt.data["logId"])
    found = (await ask(service, ref)).data
    assert found["images"] == [{"url": service.media_url(ref, number)} for number in (1, 2)]
    assert found["request"]["response_format"] == "b64_json"


# What is made, and when.


async def test_models_take_times_of_their_own(service: Emulator) -> None:
    """A model's timeline comes before the kind's, and its seconds are drawn for each task."""
    drawn = iter([0.0, 10.0, 20.0])  # the first one is drawn when the timeline is checked
    service.script("video", ("InProgress", 5.0), "SUCCESS")
    service.script("video", ("InProgress", lambda: next(drawn)), "SUCCESS", model="veo-3.1")
    began = now()
    for model in ("sora-2", "veo-3.1", "veo-3.1"):
        await submit(service, VIDEO, model=model)
    ended = []
    for second in (4, 6, 11, 21):
        await asyncio.sleep(began + second - now())
        rows = (await ask(service, "/api/ai/logs?status=success")).data["list"]
        ended.append([row["model"] for row in rows])
    assert ended == [[], ["sora-2"], ["veo-3.1", "sora-2"], ["veo-3.1", "veo-3.1", "sora-2"]]


async def test_a_finished_video_of_a_group_makes_a_media_row(service: Emulator) -> None:
    """The first answer about it writes; each request that comes meanwhile writes once more."""
    service.groups.add(GROUP)
    ref = VideoRef((await submit(service, VIDEO, groupId=GROUP)).data["id"])
    assert "mediaId" not in (await ask(service, ref)).data
    assert service.media_rows == []
    await asyncio.sleep(3)
    answers = await asyncio.gather(*(ask(service, ref) for _ in range(3)))
    assert service.media_rows == [ref] * 3
    assert all(answer.data["groupId"] == GROUP for answer in answers)
    last = (await ask(service, ref)).data
    assert (len(service.media_rows), bool(last["mediaId"])) == (3, True)
    async with aiohttp.ClientSession() as session, session.get(last["coverUrl"]) as cover:
        assert (cover.content_type, (await cover.read())[1:4]) == ("image/png", b"PNG")
    assert list(last)[3:9] == [
        "input",
        "videoUrl",
        "coverUrl",
        "mediaId",
        "groupId",
        "submittedAt",
    ]


async def test_a_client_that_leaves_has_its_media_row_made(service: Emulator) -> None:
    """What the service has begun to write it writes."""
    service.groups.add(GROUP)
    ref = VideoRef((await submit(service, VIDEO, groupId=GROUP)).data["id"])
    await asyncio.sleep(3)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(ask(service, ref), 0.1)
    await asyncio.sleep(1)
    assert service.media_rows == [ref]


async def test_a_refused_request_makes_no_media_row(service: Emulator) -> None:
    """Neither one with a wrong key nor one by a route that there is not."""
    service.groups.add(GROUP)
    ref = VideoRef((await submit(service, VIDEO, groupId=GROUP)).data["id"])
    await asyncio.sleep(3)
    wrong = await ask(service, ref, X_Api_Key="wrong")
    service.routes.remove("video")
    assert [wrong.json["code"], (await ask(service, ref)).json["code"]] == [401, 404]
    assert service.media_rows == []


async def test_the_list_makes_media_rows_too(service: Emulator) -> None:
    """A page of finished videos writes for each of them that has none."""
    service.groups.add(GROUP)
    for _ in range(2):
        await submit(service, VIDEO, groupId=GROUP)
    await submit(service, VIDEO)
    await asyncio.sleep(3)
    await ask(service, VIDEO)
    assert sorted(map(str, service.media_rows)) == sorted(map(str, service.created[:2]))


async def test_a_crash_runs_images_again() -> None:
    """Connections are reset; a minute after the restart the job begins once more."""
    async with Emulator() as service:
        service.script("image", ("generating", 10.0), "success")
        ref = ImageRef((await submit(service, GENERATE)).data["logId"])
        done = service.add_image("success")
        video = service.add_video(("InProgress", 30.0), "SUCCESS")
        await asyncio.sleep(5)
        service.fault(Fault(stall="head"))
        stalled = asyncio.create_task(ask(service, ref))
        await asyncio.sleep(1)
        await service.crash()
        with pytest.raises(aiohttp.ClientError):
            await stalled
        await service.start()
        await asyncio.sleep(69)
        assert (await ask(service, ref)).data["status"] == "generating"
        assert (await ask(service, video)).data["status"] == "SUCCESS"
        await asyncio.sleep(1)
        assert (await ask(service, ref)).data["status"] == "success"
        assert [service.provider_calls[each] for each in (ref, done, video)] == [2, 1, 1]


async def test_a_crash_takes_up_only_what_was_cut_off() -> None:
    """Nothing that has been ended or removed meanwhile, and once for all crashes before a start."""
    async with Emulator() as service:
        service.script("image", ("generating", 10.0), "success")
        refs = [ImageRef((await submit(service, GENERATE)).data["logId"]) for _ in range(3)]
        ended, removed, twice = refs
        await service.crash()
        service.set_status(ended, "failed")
        service.remove(removed)
        await asyncio.sleep(20)
        await service.crash()
        await service.start()
        words = [(await ask(service, ref)).data["status"] for ref in (ended, twice)]
        assert words == ["failed", "generating"]
        assert [service.provider_calls[ref] for ref in refs] == [1, 0, 2]


async def test_a_job_that_is_cut_off_again_is_given_up() -> None:
    """Its image is being made for ever, and its provider is not called a third time."""
    async with Emulator() as service:
        ref = service.add_image(("generating", 10.0), "success")
        for _ in range(2):
            await service.crash()
            await service.start()
            await asyncio.sleep(65)
        await asyncio.sleep(1000)
        assert (await ask(service, ref)).data["status"] == "generating"
        assert service.provider_calls[ref] == 2
