"""Both dialects: a recorded server's answers, and the published contract's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from aitoearn_async import ImageRef, VideoRef
from aitoearn_async.emulator import Emulator
from aitoearn_async.emulator.wire import etag_of

from .talk import IMAGE, UNKNOWN, VIDEO, ask, now, post, talk

# What a recorded server sends, case by case: the fields of `data`, in its order.
IMAGE_RUNNING = "logId status startedAt request createdAt updatedAt"
IMAGE_SUCCESS = "logId status startedAt duration request response images createdAt updatedAt"
IMAGE_FAILED = "logId status startedAt duration request errorMessage createdAt updatedAt"
VIDEO_RUNNING = "id model status input submittedAt startedAt"
VIDEO_SUCCESS = "id model status input videoUrl submittedAt startedAt finishedAt"
VIDEO_FAILURE = "id model status input error submittedAt startedAt finishedAt"


@pytest.fixture
async def published() -> AsyncIterator[Emulator]:
    async with Emulator(dialect="published") as service:
        yield service


@pytest.mark.parametrize(
    ("kind", "word", "fields"),
    [
        ("image", "generating", IMAGE_RUNNING),
        ("image", "success", IMAGE_SUCCESS),
        ("image", "failed", IMAGE_FAILED),
        ("video", "InProgress", VIDEO_RUNNING),
        ("video", "SUCCESS", VIDEO_SUCCESS),
        ("video", "FAILURE", VIDEO_FAILURE),
    ],
)
async def test_fields_are_those_of_a_real_server(
    service: Emulator, kind: str, word: str, fields: str
) -> None:
    """Every status brings the fields a real server sends with it, in its order."""
    ref = service.add_image(word) if kind == "image" else service.add_video(word)
    reply = await ask(service, ref)
    assert list(reply.data) == fields.split()
    assert list(reply.json) == ["data", "code", "message", "requestId"]
    assert (reply.json["code"], reply.json["message"]) == (0, "请求成功")
    assert reply.headers["Content-Type"] == "application/json; charset=utf-8"
    assert "Content-Encoding" not in reply.headers


@pytest.mark.parametrize(
    ("path", "language", "code", "message"),
    [
        (IMAGE + UNKNOWN, "en", 404, "任务不存在"),
        (VIDEO + UNKNOWN, "en", 12302, "Invalid AI task ID"),
        (VIDEO + UNKNOWN, "zh-CN", 12302, "无效的 AI 任务 ID"),
        (IMAGE + "not-an-id", "en", 10002, "Validation failed"),
        (VIDEO + "abcdefghijkl", "zh-TW", 10002, "参数验证失败"),
        (VIDEO + "z" * 24, "fr", 10002, "Validation failed"),
        (IMAGE + "%E4%B8%AD" * 4, "*", 10002, "Validation failed"),
        ("/api/ai/nope", "zh-CN", 404, "Cannot GET /ai/nope"),
        (IMAGE, "en", 404, "Cannot GET /ai/image/task/"),
        (IMAGE + UNKNOWN + "/x", "en", 404, f"Cannot GET /ai/image/task/{UNKNOWN}/x"),
    ],
)
async def test_refusals_are_those_of_a_real_server(
    service: Emulator, path: str, language: str, code: int, message: str
) -> None:
    """What cannot be answered is refused in an envelope, with HTTP 200."""
    reply = await ask(service, path, Accept_Language=language)
    assert reply.status == 200
    assert list(reply.json) == ["data", "code", "message", "timestamp", "requestId"]
    assert reply.data == {}
    assert (reply.json["code"], reply.json["message"]) == (code, message)


async def test_ids_are_of_one_kind(service: Emulator) -> None:
    """The id of an image is no video, and the other way round."""
    image, video = service.add_image(), service.add_video()
    assert (await ask(service, VideoRef(image.id))).json["code"] == 12302
    assert (await ask(service, ImageRef(video.id))).json["code"] == 404


@pytest.mark.parametrize("keys", [[], [""], ["wrong"], ["emulator-key", "emulator-key"]], ids=repr)
async def test_one_right_key_is_needed(service: Emulator, keys: list[str]) -> None:
    """A key that is missing, wrong, empty or sent twice is refused, whatever the id."""
    async with aiohttp.ClientSession() as session:
        for path in (IMAGE + service.add_image().id, VIDEO + "not-an-id"):
            headers = [("X-Api-Key", key) for key in keys]
            async with session.get(service.url + path, headers=headers) as response:
                reply = await response.json()
            assert (reply["code"], reply["message"]) == (401, "Unauthorized")


async def test_other_methods_have_no_route(service: Emulator) -> None:
    """Anything but GET and HEAD is an unknown route, in an envelope."""
    ref = service.add_image()
    reply = await ask(service, ref, "POST")
    assert reply.json["message"] == f"Cannot POST /ai/image/task/{ref.id}"
    head = await ask(service, ref, "HEAD")
    assert (head.status, head.body) == (200, b"")
    assert int(head.headers["Content-Length"]) == len((await ask(service, ref)).body)


async def test_a_request_id_is_echoed_or_made(service: Emulator) -> None:
    """The caller's request id comes back in header and body, else one of 21 characters."""
    ref = service.add_image()
    reply = await ask(service, ref, x_request_id="my-request-0001")
    assert reply.json["requestId"] == reply.headers["x-request-id"] == "my-request-0001"
    made = (await ask(service, ref)).json["requestId"]
    assert len(made) == 21
    assert made.isalnum()
    assert made == made.lower()


def test_etags_are_made_as_the_service_makes_them() -> None:
    """A recorded body has its recorded ETag."""
    body = (
        '{"data":{},"code":404,"message":"任务不存在","timestamp":1795352288363,'
        '"requestId":"r1djby0rd8agk91bodi97"}'
    )
    assert etag_of(body.encode()) == 'W/"70-qGVDZEJeAk0QqXCYbXjxwGRASF0"'


async def test_what_has_not_changed_is_304(service: Emulator) -> None:
    """With a fixed request id an unchanged task is answered without a body."""
    ref = service.add_image(("generating", 60.0), "success")
    first = await ask(service, ref, x_request_id="fixed")
    await asyncio.sleep(30)
    assert (await ask(service, ref, x_request_id="fixed")).body == first.body
    etag = first.headers["ETag"]
    again = await ask(service, ref, x_request_id="fixed", If_None_Match=f'"x", {etag}')
    assert (again.status, again.body, again.headers["ETag"]) == (304, b"", etag)
    await asyncio.sleep(30)
    changed = await ask(service, ref, x_request_id="fixed", If_None_Match=etag)
    assert (changed.status, changed.data["status"]) == (200, "success")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Cache_Control": "no-cache"}, 200),
        ({"Cache_Control": "max-age=0, no-cache"}, 200),
        ({"Cache_Control": "max-age=0"}, 304),
        ({"Pragma": "no-cache"}, 304),
    ],
)
async def test_a_body_can_be_asked_for_in_any_case(
    service: Emulator, headers: dict[str, str], status: int
) -> None:
    """`Cache-Control: no-cache` goes past `If-None-Match`, and nothing else does."""
    ref = service.add_image("success")
    etag = (await ask(service, ref, x_request_id="fixed")).headers["ETag"]
    reply = await ask(service, ref, x_request_id="fixed", If_None_Match=etag, **headers)
    assert reply.status == status


async def test_a_submit_is_never_304(service: Emulator) -> None:
    """Only what reads can be answered without a body."""
    body = b'{"model": "m", "prompt": "x"}'
    reply = await post(service, "/api/ai/image/generate/async", body, If_None_Match="*")
    assert (reply.status, reply.json["code"]) == (200, 0)


async def test_a_star_matches_even_a_refusal(service: Emulator) -> None:
    """`If-None-Match: *` is answered 304, as a real server does even for a 401."""
    reply = await ask(service, IMAGE + UNKNOWN, If_None_Match="*", X_Api_Key="wrong")
    assert reply.status == 304


async def test_idle_connections_are_closed_after_five_seconds(service: Emulator) -> None:
    """A connection nobody uses ends like the real server's."""
    ref, began = service.add_image(), now()
    assert (await talk(service, ref)).endswith(b"}")
    assert now() - began == pytest.approx(5.0, abs=0.1)


async def test_published_images_have_points(published: Emulator) -> None:
    """The contract requires `points`, and here they are."""
    ref = published.add_image("success", points=3.5)
    assert (await ask(published, ref)).data["points"] == 3.5


async def test_published_required_fields_are_there(published: Emulator) -> None:
    """No field the contract requires is missing, in any status."""
    image, video = set(IMAGE_RUNNING.split()) | {"points"}, set(VIDEO_RUNNING.split())
    for word in ("generating", "success", "failed"):
        assert image <= (await ask(published, published.add_image(word))).data.keys()
    for word in ("InProgress", "SUCCESS", "FAILURE"):
        assert video <= (await ask(published, published.add_video(word))).data.keys()


async def test_published_unknown_ids_are_12302(published: Emulator) -> None:
    """The contract knows one code for an unknown id, and one for a malformed one."""
    for path in (IMAGE, VIDEO):
        assert (await ask(published, path + UNKNOWN)).json["code"] == 12302
        assert (await ask(published, path + "bad")).json["code"] == 10002
        assert (await ask(published, path + UNKNOWN, X_Api_Key="no")).json["code"] == 401


async def test_published_has_no_validators(published: Emulator) -> None:
    """The contract says nothing of ETags, so there are none."""
    ref = published.add_image()
    reply = await ask(published, ref, If_None_Match="*")
    assert reply.status == 200
    assert "ETag" not in reply.headers


async def test_published_image_words_are_a_closed_set(published: Emulator) -> None:
    """An image status outside the contract is refused; a video's is any string."""
    with pytest.raises(ValueError, match="queued"):
        published.add_image(("queued", 1.0), "success")
    ref = published.add_image()
    with pytest.raises(ValueError, match="done"):
        published.set_status(ref, "done")
    published.add_video(("queued", 1.0), "completed")
