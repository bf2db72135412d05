"""`Client.get` and what goes with it, seen from both ends of the wire."""

from __future__ import annotations

import asyncio
import gc
import logging
import re
from pathlib import Path
from typing import Any

import aiohttp
import pytest

import aitoearn_async
from aitoearn_async import (
    ApiError,
    AuthenticationError,
    Client,
    ImageRef,
    ImageTask,
    InvalidRequestError,
    RateLimitError,
    ServerError,
    TaskNotFoundError,
    TaskState,
    VideoRef,
    VideoTask,
    wait_backoff,
)
from aitoearn_async.emulator import Emulator
from tests.support.raw_server import (
    FIN,
    ID,
    KEY,
    REF,
    RawServer,
    envelope,
    good,
    http,
    refuse,
    say,
    task,
    together,
)


async def test_one_request_for_an_image() -> None:
    """One GET to the image's address, with the headers it needs and no others."""
    async with RawServer() as server, server.client() as client:
        image = await client.get(ImageRef(ID))
        assert isinstance(image, ImageTask)
        assert image.log_id == ID
        assert image.state is TaskState.SUCCEEDED
        [heard] = server.heard
        assert (heard.method, heard.path) == ("GET", f"/api/ai/image/task/{ID}")
        assert {name for name, _ in heard.headers} == {
            "Host",
            "X-Api-Key",
            "X-Request-Id",
            "Accept",
            "Accept-Encoding",
            "User-Agent",
            "Cache-Control",
        }
        assert heard.header("Host") == f"127.0.0.1:{server.port}"
        assert heard.header("X-Api-Key") == KEY
        assert heard.header("Accept-Encoding") == "gzip"
        assert heard.header("Accept") == "application/json"
        assert heard.header("Cache-Control") == "no-cache"


async def test_one_request_for_a_video() -> None:
    """Videos have an address of their own."""
    async with RawServer(good("InProgress")) as server, server.client() as client:
        video = await client.get(VideoRef(ID))
        assert isinstance(video, VideoTask)
        assert (video.id, video.status, video.done) == (ID, "InProgress", False)
        assert server.heard[0].path == f"/api/ai/video/generations/{ID}"


async def test_the_user_agent_names_package_and_versions() -> None:
    """The service can tell who asks."""
    async with RawServer() as server, server.client() as client:
        await client.get(REF)
        agent = server.heard[0].header("User-Agent") or ""
        assert agent.startswith(f"aitoearn-async/{aitoearn_async.__version__} (aiohttp/")
        assert re.search(r"Python/3\.\d+\)$", agent)


async def test_request_ids_are_unique() -> None:
    """Every request of every client can be told from all others."""
    async with RawServer() as server, server.client() as client, server.client() as other:
        await together(*(c.get(REF) for c in (client, other) for _ in range(50)))
        ids = [heard.header("X-Request-Id") for heard in server.heard]
        assert len(set(ids)) == 100
        assert all(re.fullmatch(r"[0-9a-zA-Z_-]{8,64}", id or "") for id in ids)


async def test_a_failed_task_is_an_answer() -> None:
    """`get` returns a task as it stands, also if it stands badly."""
    async with RawServer(good("failed")) as server, server.client() as client:
        assert (await client.get(REF)).state is TaskState.FAILED


async def test_chinese_messages() -> None:
    """With a language the service's own words come through as they are."""
    async with (
        RawServer(refuse(12302, "任务不存在")) as server,
        server.client(language="zh-CN") as client,
    ):
        with pytest.raises(TaskNotFoundError, match="任务不存在") as caught:
            await client.get(REF)
        assert server.heard[0].header("Accept-Language") == "zh-CN"
        assert caught.value.message == "任务不存在"


CODES: dict[int, tuple[type[ApiError], int]] = {
    400: (InvalidRequestError, 1),
    401: (AuthenticationError, 2),
    403: (AuthenticationError, 2),
    404: (TaskNotFoundError, 1),
    429: (RateLimitError, 3),
    500: (ServerError, 3),
    10002: (InvalidRequestError, 1),
    12300: (ApiError, 1),
    12302: (TaskNotFoundError, 1),
    19000: (AuthenticationError, 2),
    -1: (ApiError, 1),
}


@pytest.mark.parametrize(("code", "expected"), CODES.items())
async def test_refusals(code: int, expected: tuple[type[ApiError], int]) -> None:
    """Each business code is its error, with all facts; only trouble is asked about again.

    And once a refusal of the key: one node of many may fail to look it up.
    """
    kind, requests = expected
    async with RawServer(refuse(code, "the reason")) as server, server.client() as client:
        with pytest.raises(ApiError) as caught:
            await client.get(REF)
        error = caught.value
        assert type(error) is kind
        assert (error.code, error.message, error.http_status) == (code, "the reason", 200)
        assert error.request_id == server.heard[-1].header("X-Request-Id")
        assert "the reason" in str(error)
        assert f"code {code}" in str(error)
        assert server.count == requests


async def test_statistics() -> None:
    """What has been done is counted: requests begun, and those that brought no task."""
    scripts = good(), say(FIN), good(), refuse(404), good(id="another"), good()
    async with RawServer(*scripts) as server, server.client() as client:
        assert client.statistics().requests == 0
        await together(*[client.get(REF)])
        await client.get(REF)
        with pytest.raises(TaskNotFoundError):
            await client.get(REF)
        await client.get(REF)
        statistics = client.statistics()
        assert server.count == 6
        assert statistics.failures in (2, 3), "a dead used connection is no failure"
        assert statistics.requests == server.count
        assert (statistics.in_flight, statistics.queued) == (0, 0)


async def test_what_was_held_is_no_failure() -> None:
    """It was not sent, and is counted as `held`."""
    async with RawServer(say(http(b"", 503))) as server, server.client(attempts=1) as client:
        calls = (client.get(ImageRef(f"{number:024x}")) for number in range(60))
        for call in calls:
            await together(call)
        told = client.statistics()
        assert told.held > 0
        assert told.failures == told.requests == server.count
        assert told.failures + told.held == 60


@pytest.mark.parametrize("id", ["a", "A-_9", "x" * 128, "66f0c0ffee0123456789abcd"])
async def test_ids_that_are_some(id: str) -> None:
    """What can be an id stands in the path as it is."""
    async with RawServer() as server, server.client() as client:
        assert (await client.get(ImageRef(id))).log_id == id
        assert server.heard[0].path == f"/api/ai/image/task/{id}"


@pytest.mark.parametrize("id", [None, 5, b"bytes", ["a"]])
def test_ids_that_are_no_text(id: Any) -> None:
    """A wrong type is a `TypeError`."""
    with pytest.raises(TypeError, match="task id"):
        ImageRef(id)


async def test_an_unknown_status_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """It means that the task still runs; each new word is worth one warning."""
    words = ["Dreaming", "Dreaming", "dreaming", "Sleeping"]
    scripts = [good(word) for word in words]
    async with RawServer(*scripts, good("success")) as server, server.client() as client:
        for word in words:
            image = await client.get(REF)
            assert (image.status, image.done) == (word, False)
        waiter = client.wait_for(REF, wait=wait_backoff(1))
        assert (await waiter).done
    warnings = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert [re.findall(r"'(\w+)'", warning) for warning in warnings] in (
        [["Dreaming"], ["dreaming"], ["Sleeping"]],
        [["Dreaming"], ["Sleeping"]],
    )


async def test_hostile_status_words(caplog: pytest.LogCaptureFixture) -> None:
    """A thousand different and huge words fill neither the log nor the memory."""
    bodies = [envelope(task(f"{n}\n\x1b[31m" + "w" * 10_000)) for n in range(300)]
    async with (
        RawServer(*(say(http(body)) for body in bodies)) as server,
        server.client() as client,
    ):
        for _ in bodies:
            await client.get(REF)
    messages = [record.getMessage() for record in caplog.records]
    assert 0 < len(messages) <= 100
    assert max(map(len, messages)) < 200
    assert not any("\n" in message or "\x1b" in message for message in messages)


async def test_connections_are_kept_and_shared() -> None:
    """Calls one after another use one connection."""
    async with RawServer() as server, server.client() as client:
        for _ in range(10):
            await client.get(REF)
            await client.wait_for(VideoRef(ID))
        assert server.count == 20
        assert len(server.lines) == 1


async def test_a_server_restart() -> None:
    """The client needs no restart when the server had one."""
    async with RawServer() as server, server.client(attempts=4) as client:
        await client.get(REF)
        await server.__aexit__(None, None, None)
        call = asyncio.ensure_future(client.get(REF))
        await asyncio.sleep(0.05)
        await server.__aenter__()
        assert (await call).done


async def test_cookies_are_not_kept() -> None:
    """What a server wants remembered is not."""
    cookie = {"Set-Cookie": "session=1; Path=/"}
    async with RawServer(say(http(envelope(task()), headers=cookie))) as server:
        async with server.client(base_url=f"http://localhost:{server.port}") as client:
            await client.get(REF)
            await client.get(REF)
        assert [heard.header("Cookie") for heard in server.heard] == [None, None]


async def test_a_session_that_its_owner_closed() -> None:
    """The error says whose session it is; it is a mistake, and not repeated."""
    async with RawServer() as server:
        async with aiohttp.ClientSession() as session:
            client = server.client(session=session)
            await client.get(REF)
        with pytest.raises(RuntimeError, match="session given to the Client is closed"):
            await client.get(REF)
        await client.aclose()
        assert client.statistics().in_flight == 0
        assert server.count == 1


async def test_many_clients() -> None:
    """Clients come and go without a trace."""
    async with RawServer() as server:
        for _ in range(50):
            async with server.client() as client:
                await client.get(REF)
        await asyncio.sleep(0.01)
        assert server.open == 0


def test_the_repr_says_where_and_whether() -> None:
    """Address and state, and nothing else."""
    assert repr(Client(KEY, base_url="https://example.org/a/")) == (
        "<Client https://example.org/a open>"
    )


async def test_the_rate_can_be_read_and_changed(aitoearn_service: Emulator) -> None:
    """A bad one is refused by name, and the old one stays."""
    async with Client("key", base_url=aitoearn_service.url, requests_per_second=5) as client:
        assert client.requests_per_second == 5
        client.requests_per_second = 0.5
        with pytest.raises(ValueError, match="requests_per_second=0"):
            client.requests_per_second = 0
        assert client.requests_per_second == 0.5
        client.requests_per_second = None
        assert client.requests_per_second is None


@pytest.mark.parametrize("turns", [1, 2, 3])
async def test_closing_that_is_cancelled_leaves_nothing_open(turns: int, tmp_path: Path) -> None:
    """Neither connections to the service nor to media hosts, whenever it is cancelled."""
    async with Emulator() as service:
        client = Client(service.api_key, base_url=service.url, private_media=True)
        await client.download(await client.get(service.add_image("success")), tmp_path)
        closing = asyncio.create_task(client.aclose())
        for _ in range(turns):
            await asyncio.sleep(0)
        closing.cancel()
        await asyncio.wait([closing])
        sessions = [each for each in gc.get_objects() if isinstance(each, aiohttp.ClientSession)]
        assert [each for each in sessions if not each.closed] == []
