"""Submit and wait: what is paid for is never lost."""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from aitoearn_async import (
    AiToEarnError,
    ApiError,
    AuthenticationError,
    BreakerState,
    Client,
    ClientClosedError,
    GenerateImage,
    GenerateVideo,
    InvalidRequestError,
    NotAskedError,
    RequestTimeoutError,
    ServerError,
    SubmitUncertainError,
    TaskFailedError,
    TaskRef,
    TaskState,
    WaitTimeoutError,
)
from aitoearn_async.emulator import Emulator, Fault
from tests.support.raw_server import RawServer, envelope, http

IMAGE = GenerateImage(model="gpt-image-2", prompt="a cat", n=2)
VIDEO = GenerateVideo(model="sora-2", prompt="a cat", duration=4, ratio="16:9")


@pytest.fixture
async def service() -> AsyncIterator[Emulator]:
    async with Emulator() as service:
        yield service


@pytest.fixture
async def client(service: Emulator) -> AsyncIterator[Client]:
    async with Client(service.api_key, base_url=service.url) as client:
        yield client


async def test_run(service: Emulator, client: Client) -> None:
    image = await client.run(IMAGE)
    assert image.images is not None
    assert len(image.images) == 2
    assert image.request == {"model": "gpt-image-2", "prompt": "a cat", "n": 2}
    video = await client.run(VIDEO)
    assert video.input is not None
    assert (video.input.prompt, video.input.aspect_ratio) == ("a cat", "16:9")
    assert service.created == [image.ref, video.ref]
    assert [request.method for request in service.requests].count("POST") == 2


async def test_what_saves_is_there_before_anything_is_paid_for(
    service: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is imported late, which can fail: without a descriptor, or while it is being upgraded."""
    async with Client(service.api_key, base_url=service.url, private_media=True) as client:
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, "aitoearn_async._downloads.downloader", None)
            with pytest.raises(ImportError):
                await client.run(IMAGE, save=tmp_path)
        assert service.created == []
        await client.run(IMAGE, save=tmp_path)
    assert len(os.listdir(tmp_path)) == 2


async def test_submitted_is_called_at_once(service: Emulator, client: Client) -> None:
    seen: list[Any] = []

    def submitted(ref: TaskRef[Any]) -> None:
        seen.append((ref, len(service.requests)))

    task = await client.run(IMAGE, submitted=submitted)
    assert seen == [(task.ref, 1)]


async def test_what_submitted_raises_names_the_task(service: Emulator, client: Client) -> None:
    def submitted(ref: TaskRef[Any]) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full") as caught:
        await client.run(IMAGE, submitted=submitted)
    assert caught.value.__notes__ == [f"{service.created[0]} was submitted and goes on"]


async def test_every_end_of_the_wait_has_the_ref(service: Emulator, client: Client) -> None:
    service.script("video", ("InProgress", 9999.0), "SUCCESS")
    service.script("image", "failed")
    with pytest.raises(WaitTimeoutError) as late:
        await client.run(VIDEO, timeout=60)
    with pytest.raises(TaskFailedError) as failed:
        await client.run(IMAGE)
    assert (await client.run(IMAGE, raise_on_failure=False)).status == "failed"
    service.fault(Fault(delay=0.001))
    service.fault(Fault(code=401), times=None)
    with pytest.raises(AuthenticationError) as refused:
        await client.run(IMAGE)
    service.clear_faults()
    for caught, ref in zip(
        (late, failed, refused),
        (service.created[0], service.created[1], service.created[3]),
        strict=True,
    ):
        error: AiToEarnError = caught.value
        assert error.ref == ref
        assert pickle.loads(pickle.dumps(error)).ref == ref


async def in_two_steps(client: Client, request: Any) -> Any:
    return await client.wait_for(await client.submit(request))


async def in_a_batch(client: Client, request: Any) -> Any:
    (outcome,) = await client.wait_all([await client.submit(request)])
    return outcome.unwrap()


@pytest.mark.parametrize("code", [401, 404])
@pytest.mark.parametrize("request_", [IMAGE, VIDEO], ids=["image", "video"])
@pytest.mark.parametrize("make", [Client.run, in_two_steps, in_a_batch])
async def test_the_receipt_is_believed_first(
    service: Emulator, client: Client, make: Any, request_: Any, code: int
) -> None:
    """The service took the submit, so it knows the key and the task: one no to that may pass."""
    service.fault(Fault(delay=0.001))
    service.fault(Fault(code=code), times=1)
    assert (await make(client, request_)).state is TaskState.SUCCEEDED
    service.fault(Fault(delay=0.001))
    service.fault(Fault(code=code), times=None)
    asked = len(service.requests)
    with pytest.raises(ApiError) as refused:
        await make(client, request_)
    assert refused.value.code == code
    assert len(service.requests) - asked == 3


async def test_receipts_are_not_kept_for_ever(
    service: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aitoearn_async._assembly._MOST_SUBMITTED", 20)
    async with Client(service.api_key, base_url=service.url) as client:
        refs = [await client.submit(IMAGE) for _ in range(21)]
        service.fault(Fault(code=404), times=None)
        for ref, polls in ((refs[0], 1), (refs[-1], 2)):
            service.requests.clear()
            with pytest.raises(ApiError):
                await client.wait_for(ref)
            assert len(service.requests) == polls


async def test_closed_and_cancelled_waits_have_the_ref(service: Emulator) -> None:
    service.script("video", ("InProgress", 9999.0), "SUCCESS")
    async with Client(service.api_key, base_url=service.url) as client:
        tasks = [asyncio.ensure_future(client.run(VIDEO)) for _ in range(2)]
        await asyncio.sleep(10)
        tasks[0].cancel()
        with pytest.raises(asyncio.CancelledError) as cancelled:
            await tasks[0]
    with pytest.raises(ClientClosedError) as closed:
        await tasks[1]
    noted = cancelled.value.__notes__[0].partition(" ")[0]
    assert {noted, str(closed.value.ref)} == {str(ref) for ref in service.created}


async def test_bad_numbers_spend_nothing(service: Emulator, client: Client) -> None:
    bad: list[dict[str, Any]] = [{"timeout": -1}, {"patience": float("nan")}, {"wait": 5}]
    for options in bad:
        with pytest.raises(ValueError, match="="):
            await client.run(IMAGE, **options)
    with pytest.raises(TypeError, match="GenerateImage"):
        await client.submit("a cat")  # type: ignore[arg-type]
    assert service.requests == []


@pytest.mark.parametrize(
    ("request_", "code", "kind"),
    [
        (GenerateVideo(model="none", prompt="x"), 12300, ApiError),
        (GenerateVideo(model="sora-2", prompt="x", group_id="f" * 24), 12801, ApiError),
        (GenerateVideo(model="refused", prompt="x"), 400, InvalidRequestError),
    ],
)
async def test_refusals(
    service: Emulator, client: Client, request_: Any, code: int, kind: type[ApiError]
) -> None:
    if request_.model == "refused":
        service.fault(Fault(code=400))
    with pytest.raises(kind) as caught:
        await client.run(request_)
    assert type(caught.value) is kind
    assert caught.value.code == code
    assert caught.value.ref is None
    assert (len(service.requests), service.created) == (1, [])
    notes = getattr(caught.value, "__notes__", [])
    assert ["model='none'; with check=True" in note for note in notes] == [True] * (code == 12300)


async def test_a_group_that_is_there(service: Emulator, client: Client) -> None:
    service.groups.add("g1")
    video = await client.run(GenerateVideo(model="sora-2", prompt="x", group_id="g1"))
    assert video.input is not None
    assert video.input.group_id == "g1"


async def test_limits_and_counts_are_the_clients(service: Emulator) -> None:
    async with Client(service.api_key, base_url=service.url, concurrency=1) as client:
        service.fault(Fault(delay=10))
        slow = asyncio.ensure_future(client.submit(IMAGE))
        await asyncio.sleep(1)
        fast = asyncio.ensure_future(client.submit(IMAGE))
        await asyncio.sleep(1)
        statistics = client.statistics()
        assert (statistics.requests, statistics.in_flight, statistics.queued) == (1, 1, 1)
        assert {await slow, await fast} == set(service.created)
    async with Client(service.api_key, base_url=service.url, requests_per_second=0.5) as client:
        began = asyncio.get_running_loop().time()
        await asyncio.gather(*(client.submit(IMAGE) for _ in range(3)))
        assert asyncio.get_running_loop().time() - began > 3.9
    with pytest.raises(ClientClosedError):
        await client.submit(IMAGE)


async def test_a_submit_is_no_probe(service: Emulator) -> None:
    """While the service is down something that costs nothing is asked for, and no submit sent."""
    async with Client(service.api_key, base_url=service.url, attempts=1) as client:
        service.fault(Fault(status=503), times=None)
        refs = [service.add_image() for _ in range(20)]
        await asyncio.gather(*map(client.get, refs), return_exceptions=True)
        assert client.statistics().breaker is BreakerState.OPEN
        service.requests.clear()
        for _ in range(20):
            with pytest.raises((ServerError, NotAskedError)):
                await client.submit(IMAGE)
            await asyncio.sleep(0.5)
        assert {request.method for request in service.requests} == {"GET"}
        assert 3 <= len(service.requests) <= 20, "one for each submit at most"
        service.clear_faults()
        await asyncio.sleep(3)
        assert await client.submit(IMAGE) == service.created[0]
        assert [request.method for request in service.requests][-2:] == ["GET", "POST"]


async def test_models(service: Emulator, client: Client) -> None:
    images, edits, videos = (
        await client.image_models(),
        await client.edit_models(),
        await client.video_models(),
    )
    assert images[0].name == "gpt-image-2"
    assert images[0].qualities == ["auto", "low", "medium", "high"]
    assert images[0].tags == ["text", {"en-US": "precise", "zh-CN": "精确"}]
    assert edits[0].max_input_images == 16
    assert videos[0].durations == [4, 8, 12]
    assert videos[0].defaults is not None
    assert videos[0].defaults.aspect_ratio == "16:9"
    assert (videos[1].input_constraints or {})["videos"]["maxCount"] == 3
    assert len(service.requests) == 3


async def test_checked_against_the_models(service: Emulator, client: Client) -> None:
    with pytest.raises(ValueError, match="lists no such model"):
        await client.submit(GenerateImage(model="gpt-image", prompt="x"), check=True)
    with pytest.raises(ValueError, match="duration=5: sora-2 takes 4, 8, 12"):
        await client.run(GenerateVideo(model="sora-2", prompt="x", duration=5), check=True)
    assert service.created == []
    assert [request.method for request in service.requests] == ["GET", "GET"]
    for _ in range(3):
        await client.submit(VIDEO, check=True)
    assert len(service.requests) == 5, "the list is kept"
    await asyncio.sleep(301)
    await client.submit(VIDEO, check=True)
    assert len(service.requests) == 7, "but not for ever"
    (await client.video_models()).pop(0)
    await client.submit(VIDEO, check=True)
    assert len(service.requests) == 9, "and what a caller does to his is his own"


async def test_many_checks_ask_once(service: Emulator, client: Client) -> None:
    await asyncio.gather(*(client.submit(VIDEO, check=True) for _ in range(5)))
    assert [request.method for request in service.requests].count("GET") == 1


async def test_many_checks_fail_together(service: Emulator, client: Client) -> None:
    """In the time of one, and not one after the other; whoever comes later tries anew."""
    service.fault(Fault(stall="head"), route="models", times=3)
    loop = asyncio.get_running_loop()
    began = loop.time()
    calls = (client.submit(VIDEO, check=True) for _ in range(30))
    errors = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(error) for error in errors} == {RequestTimeoutError}
    assert len(set(map(id, errors))) == 30, "each has an error of its own"
    assert loop.time() - began == pytest.approx(90, abs=10)
    await client.submit(VIDEO, check=True)


async def test_a_check_that_is_cancelled_is_made_by_the_next(
    service: Emulator, client: Client
) -> None:
    service.fault(Fault(stall="head"), route="models")
    first, second = (asyncio.create_task(client.submit(VIDEO, check=True)) for _ in range(2))
    await asyncio.sleep(1)
    first.cancel()
    assert await second in service.created
    assert first.cancelled()


async def test_an_odd_model_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    models: list[Any] = [{"name": 7}, {"name": "m", "sizes": None, "more": 1}, None]
    async with RawServer(lambda _: [http(envelope(models))]) as server:
        client = server.client()
        with caplog.at_level(logging.WARNING, "aitoearn_async"):
            assert [model.name for model in await client.image_models()] == ["m"]
        await client.aclose()
    assert len(caplog.records) == 2


async def test_an_uncertain_submit_pickles(service: Emulator, client: Client) -> None:
    service.routes = service.routes - {"logs"}
    service.fault(Fault(truncate=3))
    with pytest.raises(SubmitUncertainError) as caught:
        await client.run(VIDEO)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.request, again.reason, again.sent_at) == (
        VIDEO,
        caught.value.reason,
        caught.value.sent_at,
    )
    assert str(again) == str(caught.value)
