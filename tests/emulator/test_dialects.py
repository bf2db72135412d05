"""Both dialects, beyond what a recorded server answered (`test_recorded`) and the schemas say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from aitoearn_async.emulator import Emulator

from .talk import IMAGE, UNKNOWN, VIDEO, ask, now, post, talk


@pytest.fixture
async def published() -> AsyncIterator[Emulator]:
    async with Emulator(dialect="published") as service:
        yield service


@pytest.mark.parametrize("keys", [[], [""], ["wrong"], ["emulator-key", "emulator-key"]], ids=repr)
async def test_one_right_key_is_needed(service: Emulator, keys: list[str]) -> None:
    """A key that is missing, wrong, empty or sent twice is refused, whatever the id."""
    async with aiohttp.ClientSession() as session:
        for path in (IMAGE + service.add_image().id, VIDEO + "not-an-id"):
            headers = [("X-Api-Key", key) for key in keys]
            async with session.get(service.url + path, headers=headers) as response:
                reply = await response.json()
            assert (reply["code"], reply["message"]) == (401, "Unauthorized")


async def test_a_request_id_is_echoed_or_made(service: Emulator) -> None:
    """The caller's request id comes back in header and body, else one of 21 characters."""
    ref = service.add_image()
    reply = await ask(service, ref, x_request_id="my-request-0001")
    assert reply.json["requestId"] == reply.headers["x-request-id"] == "my-request-0001"
    made = (await ask(service, ref)).json["requestId"]
    assert len(made) == 21
    assert made.isalnum()
    assert made == made.lower()


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
    with pytest.raises(ValueError, match="queued"):
        published.script("image", ("queued", 1.0), "success")
    published.add_video(("queued", 1.0), "completed")
