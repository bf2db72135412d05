"""The routes that answer with many tasks: the logs, the video list and the drafts."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from aitoearn_async import AnyRef, ImageRef
from aitoearn_async.emulator import Emulator, Fault

from .talk import Reply, ask, post

LOGS = "/api/ai/logs"
QUERY = "/api/ai/draft-generation/query"


async def logs(service: Emulator, query: str = "", **headers: str) -> Any:
    return (await ask(service, f"{LOGS}?{query}", **headers)).data


def ids(page: dict[str, Any]) -> list[str]:
    return [row["id"] for row in page["list"]]


async def test_a_log_row_has_the_fields_of_a_real_one() -> None:
    """Status, model and times, in the service's order; no prompt, no result, no error text."""
    async with Emulator(date=datetime(2026, 11, 29, 17, tzinfo=UTC)) as service:
        service.add_image(("generating", 1.5), "success")
        video = service.add_video("QUEUED", model="grok-imagine-video")
        await asyncio.sleep(2)
        page = await logs(service)
        assert list(page) == ["page", "pageSize", "totalPages", "total", "list"]
        running, ended = page["list"]
        assert running == {
            "id": video.id,
            "userId": running["userId"],
            "userType": "user",
            "taskId": running["taskId"],
            "type": "video",
            "model": "grok-imagine-video",
            "channel": "grok",
            "status": "generating",
            "startedAt": "2026-11-29T17:00:00.000Z",
            "createdAt": "2026-11-29T17:00:00.000Z",
            "updatedAt": "2026-11-29T17:00:00.000Z",
        }
        assert " ".join(ended) == (
            "id userId userType type model channel status startedAt duration createdAt updatedAt"
        )
        assert (ended["status"], ended["duration"]) == ("success", 1500)
        assert ended["updatedAt"] == "2026-11-29T17:00:01.500Z"


async def test_the_newest_comes_first_page_by_page(service: Emulator) -> None:
    """Ten rows a page, or as many as are asked for; behind the last page nothing is left."""
    refs: list[AnyRef] = [service.add_image() for _ in range(6)]
    refs += [service.add_video() for _ in range(6)]
    newest = [ref.id for ref in reversed(refs)]
    first = await logs(service)
    assert ids(first) == newest[:10]
    assert [first[name] for name in ("page", "pageSize", "totalPages", "total")] == [1, 10, 2, 12]
    assert ids(await logs(service, "page=2")) == newest[10:]
    assert ids(await logs(service, "page=3&pageSize=5")) == newest[10:]
    assert ids(await logs(service, "page=9&pageSize=1000")) == []


@pytest.mark.parametrize("two", ["2.0", "02", "2e0", "+2", "%202%20", "2."])
async def test_a_page_number_is_read_as_javascript_reads_it(service: Emulator, two: str) -> None:
    """The service's schema takes what `Number()` makes of the text."""
    refs = [service.add_image() for _ in range(12)]
    page = await logs(service, f"page={two}&pageSize=10")
    assert (page["page"], ids(page)) == (2, [refs[1].id, refs[0].id])


async def test_filters(service: Emulator) -> None:
    """Rows are filtered by type, status, channel and model; other parameters do nothing."""
    image = service.add_image("success").id
    sora = service.add_video("InProgress").id
    wan = service.add_video("FAILURE", model="wan2.6-i2v").id
    for query, found in (
        ("type=image", [image]),
        ("type=video", [wan, sora]),
        ("type=chat", []),
        ("status=generating", [sora]),
        ("status=failed&type=video", [wan]),
        ("status=success&type=video", []),
        ("channel=openai", [sora]),
        ("model=wan2.6-i2v", [wan]),
        ("ids=1&since=2", [wan, sora, image]),
    ):
        assert ids(await logs(service, query)) == found, query


@pytest.mark.parametrize(
    "query",
    [
        "status=SUCCESS",
        "type=film",
        "pageSize=1001",
        "pageSize=0",
        "page=0",
        "page=1&page=2",
        "page=x",
        "page=",
        "page=2.5",
        "page=1_0",
        "page=%D9%A2",
        "page=Infinity",
        "page=NaN",
    ],
)
async def test_an_invalid_query_is_refused(service: Emulator, query: str) -> None:
    """The videos' own status words are no filter, and a page has 1 to 1,000 rows."""
    reply = await ask(service, f"{LOGS}?{query}")
    assert (reply.json["code"], reply.json["message"]) == (400, "Bad request")


async def test_each_key_sees_its_own_rows(service: Emulator) -> None:
    """Any key reads any task by its id, and only its own tasks in the logs and lists."""
    own = service.add_image("success")
    other = service.add_image("success", api_key="another")
    video = service.add_video("SUCCESS", api_key="another")
    assert ids(await logs(service)) == [own.id]
    assert ids(await logs(service, X_Api_Key="another")) == [video.id, other.id]
    assert (await ask(service, other)).data["logId"] == other.id
    assert ids((await ask(service, "/api/ai/video/generations")).data) == []
    listed = await ask(service, "/api/ai/video/generations", X_Api_Key="another")
    assert ids(listed.data) == [video.id]
    assert (await ask(service, LOGS, X_Api_Key="unknown")).json["code"] == 401


async def test_rows_of_other_types(service: Emulator) -> None:
    """They stand among the others, by their dates, and no route for tasks has them."""
    made = [service.add_image().id]
    await asyncio.sleep(1)
    made.append(service.add_log("chat"))
    await asyncio.sleep(1)
    made.append(service.add_video().id)
    made.append(service.add_log("video-edit", "failed", api_key="another"))
    page = await logs(service)
    assert ids(page) == made[2::-1]
    assert [row["type"] for row in page["list"]] == ["video", "chat", "image"]
    assert ids(await logs(service, "type=chat")) == ids(await logs(service, "model=gpt-5.5"))
    assert ids(await logs(service, "type=image")) == made[:1]
    assert ids(await logs(service, X_Api_Key="another")) == made[3:]
    assert (await ask(service, ImageRef(made[1]))).json["code"] == 404
    assert (await query(service, made[1])).json["data"] == []
    with pytest.raises(ValueError, match="'film'"):
        service.add_log("film")
    with pytest.raises(ValueError, match="'done'"):
        service.add_log("chat", "done")


async def test_a_row_that_fails_alone_is_a_row_like_others(service: Emulator) -> None:
    """It fails its own route and the video list; the logs only where that is asked for."""
    refs: list[AnyRef] = [service.add_image("success"), service.add_video("SUCCESS")]
    for ref in refs:
        service.spoil_row(ref, 500)
        assert (await ask(service, ref)).json["code"] == 500
    assert (await ask(service, "/api/ai/video/generations")).json["code"] == 500
    assert [row["status"] for row in (await logs(service))["list"]] == ["success"] * 2
    service.spoil_row(refs[0], in_logs=True)
    assert (await ask(service, LOGS)).json["code"] == 500
    assert ids(await logs(service, "type=video")) == [refs[1].id]
    with pytest.raises(ValueError, match="success"):
        service.spoil_row(refs[0], 0)


@pytest.mark.parametrize("dialect", ["observed", "published"])
async def test_routes_are_switched_off(dialect: Any) -> None:
    """A route that is off is answered as one that does not exist; it can be off later, too."""
    async with Emulator(routes=["image", "logs"], dialect=dialect) as service:
        assert (await ask(service, LOGS)).json["code"] == 0
        assert (await ask(service, "/api/ai/video/generations")).json["code"] == 404
        service.routes.remove("logs")
        reply = await ask(service, LOGS)
        assert (reply.json["code"], reply.json["message"]) == (404, "Cannot GET /ai/logs")


async def test_the_published_dialect_has_no_unpublished_routes() -> None:
    """Whoever keeps to the contract has none of the routes that it does not describe."""
    async with Emulator(dialect="published") as service:
        assert (await ask(service, LOGS)).json["code"] == 404
        assert (await ask(service, "/api/ai/models/image/edit")).json["code"] == 0


def test_an_unknown_route_is_refused() -> None:
    """A mistake in a name would switch everything off."""
    with pytest.raises(ValueError, match="lgos"):
        Emulator(routes=["lgos"])
    with pytest.raises(ValueError, match="lgos"):
        Emulator().fault(Fault(code=500), route="lgos")


# Drafts.


async def query(service: Emulator, *ids: str) -> Reply:
    return await post(service, QUERY, json.dumps({"taskIds": ids}).encode())


async def test_drafts_show_plain_tasks(service: Emulator) -> None:
    """Up to ten tasks by their ids, newest first; unknown ones and other keys' are left out."""
    image = service.add_image("success", request={"prompt": "cat", "model": "m"})
    failed = service.add_video("FAILURE", error_message="no")
    made = service.add_video("SUCCESS")
    other = service.add_image(api_key="another")
    asked = [image.id, other.id, made.id, "f" * 24, failed.id]
    rows = (await query(service, *asked)).json["data"]
    assert [row["id"] for row in rows] == [made.id, failed.id, image.id]
    assert [row["status"] for row in rows] == ["success", "failed", "success"]
    assert rows[0]["response"]["videoUrl"] == service.media_url(made)
    assert (rows[1]["errorMessage"], "response" in rows[1]) == ("no", False)
    assert rows[2]["request"] == {"prompt": "cat", "model": "m"}
    assert rows[2]["response"]["list"] == [{"url": f"media/image/{image.id}/1.png"}]
    for id in (image.id, "".join(f"%{ord(digit):02x}" for digit in image.id)):
        assert (await ask(service, f"/api/ai/draft-generation/{id}")).data == rows[2]


async def test_drafts_show_rows_that_fail_alone(service: Emulator) -> None:
    """They are the only way to see one of those whole."""
    ref = service.add_image("success")
    service.spoil_row(ref, 500)
    assert (await query(service, ref.id)).json["data"][0]["status"] == "success"


async def test_drafts_refuse(service: Emulator) -> None:
    """One malformed id fails all; 0 and 11 ids are invalid; another key's task is unknown."""
    good = service.add_image().id
    other = service.add_image(api_key="another").id
    assert (await query(service, good, "nope")).json["code"] == 500
    assert (await query(service)).json["code"] == 400
    assert (await query(service, *[good] * 11)).json["code"] == 400
    assert (await ask(service, f"/api/ai/draft-generation/{other}")).json["code"] == 12303
    assert (await ask(service, "/api/ai/draft-generation/nope")).json["code"] == 500


# The channel that answers with the provider's own words.


async def test_volcengine_is_asked_at_once() -> None:
    """An end shows, and is stored, without waiting for the next sweep."""
    async with Emulator(sweep=30.0, date=datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC)) as service:
        ref = service.add_video(("InProgress", 2.0), "SUCCESS", model="doubao-seedance-2-0")
        path = f"/api/ai/volcengine/video/{ref.id}"
        assert (await ask(service, path)).data["status"] == "running"
        await asyncio.sleep(2)
        assert (await ask(service, ref)).data["status"] == "InProgress"
        found = (await ask(service, path)).data
        assert found["status"] == "succeeded"
        assert found["content"] == {"video_url": service.media_url(ref)}
        assert found["updated_at"] - found["created_at"] == 2
        assert (await ask(service, ref)).data["status"] == "SUCCESS"


async def test_volcengine_has_only_its_own(service: Emulator) -> None:
    """Videos of other channels or keys, and images, are unknown there."""
    refs: list[AnyRef] = [
        service.add_video(model="sora-2"),
        service.add_video(model="doubao-seedance-2-0", api_key="another"),
        service.add_image(),
    ]
    for ref in refs:
        reply = await ask(service, f"/api/ai/volcengine/video/{ref.id}")
        assert reply.json["code"] == 12302
    assert (await ask(service, "/api/ai/volcengine/video/nope")).json["code"] == 500


async def test_volcengine_tells_a_failure_in_its_own_words(service: Emulator) -> None:
    """Without a sweep, too, where every answer is up to date."""
    ref = service.add_video("FAILURE", model="doubao-seedance-2-0", error_message="no cats")
    found = (await ask(service, f"/api/ai/volcengine/video/{ref.id}")).data
    assert found["status"] == "failed"
    assert found["error"] == {"code": "InvalidParameter", "message": "no cats"}
