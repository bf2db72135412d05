"""The emulator as a server: its start, its end, its restart, and what it remembers."""

from __future__ import annotations

import asyncio
from typing import Any, Literal, cast

import aiohttp
import pytest

from aitoearn_async import ImageRef
from aitoearn_async.emulator import Emulator, Fault

from .talk import IMAGE, ask, now, post, talk


async def test_requests_are_recorded(service: Emulator) -> None:
    """Every request counts, with its time and the task it was for."""
    ref, began = service.add_image(), now()
    await ask(service, ref)
    await asyncio.sleep(60)
    await ask(service, "/api/ai/nope?x=1", "POST", X_Custom="1")
    first, second = service.requests
    assert (first.method, first.path, first.ref) == ("GET", IMAGE + ref.id, ref)
    assert (second.method, second.path, second.ref) == ("POST", "/api/ai/nope?x=1", None)
    assert second.headers["x-custom"] == "1"
    assert [first.at, second.at] == pytest.approx([began, began + 60])


async def test_a_request_that_breaks_off_is_recorded(service: Emulator) -> None:
    """Its head has come, and whoever counts requests counts it."""
    host, port = service.url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(SUBMIT + b"\r\nHost: here\r\nContent-Length: 100\r\n\r\n{")
    await asyncio.sleep(1)
    writer.close()
    await asyncio.sleep(1)
    assert [(each.route, each.body) for each in service.requests] == [("submits", b"")]
    assert service.created == []


async def test_start_and_aclose_are_idempotent() -> None:
    """Starting twice is one server, closing twice is one end."""
    service = Emulator()
    with pytest.raises(RuntimeError, match="started"):
        _ = service.url
    await service.aclose()
    await service.start()
    url = service.url
    await service.start()
    assert service.url == url
    assert repr(service) == f"<Emulator {url}, 0 tasks, 0 requests>"
    await service.aclose()
    await service.aclose()
    assert "not running" in repr(service)


async def test_two_starts_at_once_are_one_server() -> None:
    """The second waits until the first listens; at a restart too, when both want its ports."""
    service = Emulator()
    addresses = set()
    for _ in range(2):
        await asyncio.gather(service.start(), service.start())
        addresses.add((service.url, service.storage_url))
        assert (await ask(service, service.add_image())).status == 200
        await service.aclose()
    assert len(addresses) == 1


@pytest.mark.parametrize("turns", [1, 2, 3, 4, 5])
async def test_an_end_that_is_cancelled_leaves_nothing_listening(turns: int) -> None:
    """Neither the API nor the storage: both are free for the next start."""
    service = Emulator()
    await service.start()
    addresses = service.url, service.storage_url
    ending = asyncio.create_task(service.aclose())
    for _ in range(turns):
        await asyncio.sleep(0)
    ending.cancel()
    await asyncio.wait([ending])
    async with service:
        assert (service.url, service.storage_url) == addresses


async def test_a_restart_keeps_address_and_tasks() -> None:
    """Between close and start nobody listens; after it all is as before."""
    async with Emulator() as service:
        ref, url = service.add_image(("generating", 5.0), "success"), service.url
        await service.aclose()
        with pytest.raises(aiohttp.ClientConnectorError):
            await ask(service, ref)
        await asyncio.sleep(5)
        await service.start()
        assert service.url == url
        assert (await ask(service, ref)).data["status"] == "success"


@pytest.mark.parametrize("stall", ["head", "body"])
async def test_it_closes_with_a_hundred_stalled_requests(stall: Literal["head", "body"]) -> None:
    """Closing ends what stalls, at once, and leaves nothing running."""
    async with Emulator() as service:
        ref = service.add_image()
        service.fault(Fault(stall=stall), times=99)
        service.fault(Fault(delay=1e6))
        asked = [asyncio.create_task(talk(service, ref)) for _ in range(100)]
        await asyncio.sleep(1)
        assert len(service.requests) == 100
        began = now()
    ends = await asyncio.gather(*asked)
    assert now() - began < 0.5
    assert all(not end.endswith(b"}") for end in ends[:99])
    assert ends[99].endswith(b"}")


async def test_it_closes_though_connections_are_just_coming_in() -> None:
    """Connections accepted in the moment of closing are ended too."""
    async with Emulator() as service:
        ref = service.add_image()
        asked = [asyncio.create_task(talk(service, ref)) for _ in range(20)]
        await asyncio.sleep(0)
    results = await asyncio.gather(*asked, return_exceptions=True)
    assert all(isinstance(result, bytes | OSError) for result in results)


async def test_thousands_of_tasks_cost_no_timers(service: Emulator) -> None:
    """A task nobody asks for costs nothing, however many there are."""
    refs = [service.add_image(("generating", 100.0), "success") for _ in range(5000)]
    await asyncio.sleep(1000)
    assert (await ask(service, refs[-1])).data["status"] == "success"


@pytest.mark.parametrize("arguments", [{"api_key": ""}, {"dialect": "klingon"}], ids=str)
def test_arguments_are_checked(arguments: dict[str, Any]) -> None:
    """An emulator that could not work is refused where it is made."""
    with pytest.raises(ValueError, match=r"key|dialect"):
        Emulator(**arguments)


SUBMIT = b"POST /api/ai/video/generations HTTP/1.1"
BODY = b'{"model": "sora-2", "prompt": "x"}'


@pytest.mark.parametrize(
    ("lines", "body", "said"),
    [
        ([b"GET /api/ai/image/task/x HTTP/1.1", b"X-Request-Id: \xff\xfe"], b"", b'"code":10002'),
        ([SUBMIT, b"Expect: 100-continue"], BODY, b'"code":0'),
        ([b"GET /api/ai/image/task/%FF HTTP/1.1"], b"", b'"code":400'),
        ([b"GET /media/image/a%20b/1.png HTTP/1.1"], b"", b"no such file"),
    ],
    ids=["request id", "expect", "no UTF-8", "no id"],
)
async def test_odd_requests(
    service: Emulator,
    caplog: pytest.LogCaptureFixture,
    lines: list[bytes],
    body: bytes,
    said: bytes,
) -> None:
    """They are answered in the service's words, and are no errors of the emulator's own."""
    host, port = service.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    lines += [b"Host: here", f"X-Api-Key: {service.api_key}".encode()]
    lines += [f"Content-Length: {len(body)}".encode(), b"Connection: close", b"", b""]
    writer.write(b"\r\n".join(lines))
    if b"Expect: 100-continue" in lines:
        assert await reader.readline() == b"HTTP/1.1 100 Continue\r\n"
    writer.write(body)
    assert said in await reader.read()
    writer.close()
    assert caplog.records == []


async def test_an_address_that_cannot_be_had_leaves_nothing_behind() -> None:
    """Neither of the two sockets listens after a start that failed."""
    async with Emulator() as other:
        port = int(other.url.rpartition(":")[2])
        service = Emulator(port=port)
        with pytest.raises(OSError, match="address"):
            await service.start()
        assert "not running" in repr(service)


def test_a_timeline_for_a_kind_that_there_is_not() -> None:
    """A mistake in a word would give all tasks the usual timeline."""
    with pytest.raises(ValueError, match="'film'"):
        Emulator().script(cast(Any, "film"), "SUCCESS")


async def test_a_timeline_is_taken_back(service: Emulator) -> None:
    """Without stages, submits have the usual one again; those of one model, if it is named."""
    words = []
    for timeline, model in ((["failed"], None), ([], None), (["failed"], None), ([], "m")):
        service.script("image", *timeline, model=model)
        body = b'{"model": "m", "prompt": "x"}'
        receipt = (await post(service, "/api/ai/image/generate/async", body)).data
        words.append((await ask(service, ImageRef(receipt["logId"]))).data["status"])
    assert words == ["failed", "generating", "failed", "generating"]


def test_it_can_be_looked_at_when_its_loop_is_over() -> None:
    """And says why nobody would be answered, where another loop runs."""

    async def started() -> Emulator:
        service = Emulator()
        await service.start()
        await service.aclose()
        return service

    async def elsewhere(service: Emulator) -> str:
        with pytest.raises(RuntimeError, match="another loop than the fixture"):
            service.add_image()
        return "said"

    service = asyncio.run(started())
    assert service.url.startswith("http://127.0.0.1:")
    assert asyncio.run(elsewhere(service)) == "said"


def test_it_is_shown_while_another_loop_runs() -> None:
    """A failing test prints it, and fails for just that maybe."""

    async def shown(service: Emulator) -> str:
        return repr(service)

    service = Emulator()
    with asyncio.Runner() as own:
        own.run(service.start())
        with asyncio.Runner() as another:
            said = another.run(shown(service))
        own.run(service.aclose())
    assert said == f"<Emulator {service.url}, 0 tasks, 0 requests>"


async def test_a_request_is_shown_without_its_key(service: Emulator) -> None:
    """And compares with it."""
    await ask(service, "/api/ai/logs")
    (request,) = service.requests
    assert service.api_key not in repr(request)
    assert request.headers["X-Api-Key"] == service.api_key
