"""The FastAPI recipe, served by uvicorn and asked by a real HTTP client."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from aitoearn_async import VideoRef
from aitoearn_async.emulator import Emulator, Fault

from .conftest import Recipe

uvicorn: Any = pytest.importorskip("uvicorn", reason="FastAPI's; not on this Python yet")


@pytest.fixture
async def browser(service: Emulator, recipe: Recipe) -> AsyncIterator[httpx.AsyncClient]:
    app = recipe("how-to/web-service.md", "main").app
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="on", ws="none"))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.01)
        address = "http://{}:{}".format(*listener.getsockname())
        async with httpx.AsyncClient(base_url=address, timeout=600, trust_env=False) as client:
            yield client
        server.should_exit = True
        await serving


async def test_an_order_leads_to_its_image(service: Emulator, browser: httpx.AsyncClient) -> None:
    service.script("image", ("generating", 8.0), "success")
    answer = await browser.put("/orders/first", json={"prompt": "a cat"})
    assert answer.status_code == 202
    image = await browser.get(answer.headers["Location"])
    assert image.status_code == 200
    assert image.json()["state"] == "succeeded"
    assert image.json()["images"][0].startswith("http")


async def test_an_order_that_is_repeated_is_submitted_once(
    service: Emulator, browser: httpx.AsyncClient
) -> None:
    answers = [await browser.put("/orders/first", json={"prompt": "a cat"}) for _ in range(3)]
    assert len({answer.json()["id"] for answer in answers}) == len(service.created) == 1


async def test_an_order_goes_on_when_its_browser_leaves(
    service: Emulator, browser: httpx.AsyncClient
) -> None:
    service.fault(Fault(delay=5.0))
    with pytest.raises(httpx.ReadTimeout):
        await browser.put("/orders/first", json={"prompt": "a cat"}, timeout=1)
    answer = await browser.put("/orders/first", json={"prompt": "a cat"})
    assert answer.json()["id"] == service.created[0].id
    assert len(service.created) == 1


async def test_an_image_that_takes_long_is_asked_for_again(
    service: Emulator, browser: httpx.AsyncClient
) -> None:
    ref = service.add_image(("generating", 30.0), "success")
    answers = [await browser.get(f"/images/{ref.id}") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 200]


async def test_a_failed_image_says_why(service: Emulator, browser: httpx.AsyncClient) -> None:
    ref = service.add_image("failed", error_message="No cats, please.")
    answer = await browser.get(f"/images/{ref.id}")
    assert answer.json() == {"state": "failed", "images": [], "reason": "No cats, please."}


async def test_the_whole_task_is_json(service: Emulator, browser: httpx.AsyncClient) -> None:
    ref = service.add_image("success")
    assert (await browser.get(f"/images/{ref.id}/task")).json()["status"] == "success"


async def test_changes_are_streamed_to_the_end(
    service: Emulator, browser: httpx.AsyncClient
) -> None:
    ref = service.add_image(("generating", 30.0), "failed")
    answer = await browser.get(f"/images/{ref.id}/changes")
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    assert answer.text == "data: running\n\nid: end\ndata: failed\n\n"


async def test_a_browser_that_has_seen_the_end_is_told_to_stop(
    service: Emulator, browser: httpx.AsyncClient
) -> None:
    ref = service.add_image("success")
    path = f"/images/{ref.id}/changes"
    assert (await browser.get(path, headers={"Last-Event-ID": "end"})).status_code == 204


async def test_nothing_is_polled_for_a_browser_that_has_left(
    service: Emulator, browser: httpx.AsyncClient
) -> None:
    ref = service.add_image("generating")
    async with browser.stream("GET", f"/images/{ref.id}/changes") as stream:
        async for line in stream.aiter_lines():
            assert line == "data: running"
            break
    await asyncio.sleep(30)
    polls = len(service.requests)
    await asyncio.sleep(300)
    assert len(service.requests) == polls


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/images/..", 404),
        ("/images/a%20b", 400),
        ("/images/cat", 400),
        ("/images/66f0a1b2c3d4e5f601020304", 404),
    ],
)
async def test_what_is_no_image_is_said_to_be_none(
    path: str, status: int, browser: httpx.AsyncClient
) -> None:
    for tail in ("", "/changes"):
        assert (await browser.get(path + tail)).status_code == status


async def test_an_order_with_nothing_in_it_is_refused(browser: httpx.AsyncClient) -> None:
    image = await browser.put("/orders/first", json={"prompt": ""})
    film = await browser.post("/films", json={"prompt": ""})
    for answer in (image, film):
        assert answer.status_code == 400
        assert "prompt" in answer.json()["detail"]


async def test_a_wrong_key_is_our_trouble_and_can_be_repaired(
    service: Emulator, browser: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    service.fault(Fault(code=401))
    refused = await browser.put("/orders/first", json={"prompt": "a cat"})
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "30")
    assert "PUT /orders/first" in caplog.text
    assert (await browser.put("/orders/first", json={"prompt": "a cat"})).status_code == 202


async def test_a_submit_whose_fate_is_open_is_not_repeated(
    service: Emulator, browser: httpx.AsyncClient
) -> None:
    """It stays open where the service's logs do not tell what became of it."""
    service.routes = service.routes - {"logs"}
    service.fault(Fault(reset=True, creates=True))
    for _ in range(2):
        answer = await browser.put("/orders/first", json={"prompt": "a cat"})
        assert answer.status_code == 502
    assert len(service.created) == 1


async def test_a_film_is_saved_in_the_background(
    service: Emulator, browser: httpx.AsyncClient, tmp_path: Path
) -> None:
    service.script("video", ("InProgress", 60.0), "SUCCESS")
    answer = await browser.post("/films", json={"prompt": "rain"})
    (ref,) = service.created
    assert answer.json() == {"ref": str(ref)}
    assert isinstance(ref, VideoRef)
    assert (await browser.get(f"/films/{ref.id}")).status_code == 404
    assert (await browser.get("/films/a%20b")).status_code == 400
    await asyncio.sleep(120)
    film = await browser.get(f"/films/{ref.id}")
    assert film.content == (tmp_path / f"films/video-{ref.id}.mp4").read_bytes()
