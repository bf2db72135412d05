"""OpenTelemetry's spans: one for each wait, submit and download, which ends whatever happens."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import tenacity
from opentelemetry import context, trace
from opentelemetry.trace import SpanKind, StatusCode

from aitoearn_async import (
    AiToEarnError,
    Client,
    ClientClosedError,
    GenerateImage,
    GenerateVideo,
    ImageRef,
    SubmitUncertainError,
)
from aitoearn_async.emulator import Emulator, Fault
from tests.support.clock import ROUNDING
from tests.support.raw_server import ID, REF, RawServer, envelope, http, say

from .recorder import Recorder, events

CAT = GenerateImage(model="gpt-image-2", prompt="a cat", n=2)


def slow(service: Emulator, seconds: float = 1000.0) -> ImageRef:
    return service.add_image(("generating", seconds), "success")


async def test_a_wait_is_one_span(
    aitoearn_service: Emulator, client: Client, recorder: Recorder
) -> None:
    """However many polls it takes: its events are the changes, and its attributes the facts."""
    waiter = client.wait_for(slow(aitoearn_service, 100))
    task = await waiter
    span = recorder.only
    assert (span.name, span.kind) == ("wait image", SpanKind.CLIENT)
    assert span.status.status_code is StatusCode.UNSET
    assert events(span) == ["task.status_changed"] * 2
    assert span.attributes is not None
    assert dict(span.attributes) == {
        "server.address": "127.0.0.1",
        "server.port": int(aitoearn_service.url.rpartition(":")[2]),
        "aitoearn.task.id": task.log_id,
        "aitoearn.task.kind": "image",
        "aitoearn.task.status": "success",
        "aitoearn.outcome": "succeeded",
        "aitoearn.wait.polls": waiter.polls,
        "aitoearn.wait.time_to_notice": pytest.approx(waiter.elapsed - 100, abs=1.1),
        "gen_ai.request.model": "gpt-image-2",
    }


async def test_submit_wait_and_download_are_three(
    client: Client, recorder: Recorder, tmp_path: Path
) -> None:
    """The submit has the names that the conventions for generative AI give."""
    task = await client.run(CAT, save=tmp_path)
    submit, wait, download = recorder.spans
    assert [submit.name, wait.name, download.name] == [
        *("generate_content gpt-image-2", "wait image", "download image"),
    ]
    assert submit.attributes is not None
    assert download.attributes is not None
    assert {
        "gen_ai.operation.name": "generate_content",
        "gen_ai.provider.name": "aitoearn",
        "gen_ai.request.model": "gpt-image-2",
        "gen_ai.request.choice.count": 2,
        "gen_ai.output.type": "image",
        "aitoearn.task.id": task.log_id,
    }.items() <= dict(submit.attributes).items()
    assert download.attributes["aitoearn.download.files"] == len(task.urls)


async def test_a_video_has_no_number(client: Client, recorder: Recorder) -> None:
    """Only what a request says is told of it."""
    await client.submit(GenerateVideo(model="sora-2", prompt="rain"))
    assert recorder.told("gen_ai.output.type") == ["video"]
    assert recorder.told("gen_ai.request.choice.count") == []


async def test_a_service_without_dates(recorder: Recorder) -> None:
    """Nobody knows when an end was, so nobody is told how late it was noticed."""
    task = {"logId": ID, "status": "success", "updatedAt": "2026-01-01T00:00:00.000Z"}
    async with (
        RawServer(say(http(envelope(task)))) as server,
        server.client(telemetry=recorder.observer()) as client,
    ):
        await client.wait_for(REF)
    assert recorder.told("aitoearn.outcome") == ["succeeded"]
    assert recorder.told("aitoearn.wait.time_to_notice") == []


async def test_an_end_of_long_ago_was_not_noticed_late(
    aitoearn_service: Emulator, client: Client, recorder: Recorder
) -> None:
    """A wait for a task that is over already has noticed nothing late."""
    ref = slow(aitoearn_service, 5)
    await asyncio.sleep(100)
    await client.wait_for(ref)
    assert recorder.told("aitoearn.wait.time_to_notice") == []


async def test_parents(aitoearn_service: Emulator, client: Client, recorder: Recorder) -> None:
    """All belong to the span that is current where they were begun, also those of a batch."""
    tracer = recorder.tracers.get_tracer("mine")
    with tracer.start_as_current_span("mine") as mine:
        await client.wait_for(slow(aitoearn_service, 5))
        await client.wait_all([slow(aitoearn_service, 5), slow(aitoearn_service, 9)])
        await client.submit(CAT)
        assert trace.get_current_span() is mine
    *spans, _ = recorder.spans
    assert len(spans) == 4
    assert all(span.parent == mine.get_span_context() for span in spans)


async def test_a_wait_is_no_child_of_one_that_was_discarded(
    aitoearn_service: Emulator, recorder: Recorder
) -> None:
    """The worker that polled for it goes on with another one, as if nothing had been."""
    key, url = aitoearn_service.api_key, aitoearn_service.url
    first, second = slow(aitoearn_service, 5), slow(aitoearn_service, 5)
    aitoearn_service.fault(Fault(delay=5), first)
    async with (
        Client(key, base_url=url, concurrency=1, telemetry=recorder.observer()) as client,
        client.as_completed([first, second]) as batch,
    ):
        await asyncio.sleep(1)
        assert batch.discard(first)
        assert [outcome.ok async for outcome in batch] == [True]
    assert recorder.told("aitoearn.outcome") == ["abandoned", "succeeded"]
    assert [span.parent for span in recorder.spans] == [None, None]


async def test_trouble_is_an_event(
    aitoearn_service: Emulator, client: Client, recorder: Recorder
) -> None:
    """The first of a row, with what is known of it, and the moment when it is over."""
    ref = slow(aitoearn_service, 20)
    for fault in Fault(delay=0.1), Fault(status=502), Fault(status=502), Fault(code=500):
        aitoearn_service.fault(fault)
    await client.wait_for(ref, wait=tenacity.wait_fixed(1))
    span = recorder.only
    assert events(span) == [
        *("task.status_changed", "poll.trouble", "poll.trouble", "poll.recovered"),
        "task.status_changed",
    ]
    told = [dict(event.attributes or {}) for event in span.events if "trouble" in event.name]
    assert [each["error.type"] for each in told] == ["ServerError", "ServerError"]
    assert [each["aitoearn.error.label"] for each in told] == ["HTTP 502", "code 500"]
    assert told[0]["http.response.status_code"] == 502
    assert told[0]["aitoearn.request_id"]


async def test_what_is_held_back_is_trouble_too(
    aitoearn_service: Emulator, recorder: Recorder
) -> None:
    """It is no poll, and is told once, however often it was held."""
    key, url = aitoearn_service.api_key, aitoearn_service.url
    refs = [slow(aitoearn_service, 15) for _ in range(30)]
    aitoearn_service.fault(Fault(status=502), times=30)
    async with Client(key, base_url=url, concurrency=2, telemetry=recorder.observer()) as client:
        outcomes = await client.wait_all(refs, wait=tenacity.wait_fixed(1))
    assert all(outcome.ok for outcome in outcomes)
    polls = {str(outcome.ref.id): outcome.polls for outcome in outcomes}
    for span in recorder.spans:
        assert span.attributes is not None
        assert (
            span.attributes["aitoearn.wait.polls"]
            == polls[str(span.attributes["aitoearn.task.id"])]
        )
        assert events(span).count("poll.trouble") <= 3
    labels = {
        (event.attributes or {}).get("aitoearn.error.label")
        for span in recorder.spans
        for event in span.events
    }
    assert {"HTTP 502", "not asked"} <= labels
    counted = recorder.counts("aitoearn.client.polls", "aitoearn.poll.result")
    assert sum(counted.values()) == sum(polls.values())
    assert ("held",) not in counted


# Every way in which a wait can end.

End = Callable[[Client, Emulator], Awaitable[object]]


async def _failed(client: Client, service: Emulator) -> object:
    return await client.wait_for(service.add_image("failed"))


async def _failed_and_returned(client: Client, service: Emulator) -> object:
    return await client.wait_for(service.add_image("failed"), raise_on_failure=False)


async def _timed_out(client: Client, service: Emulator) -> object:
    return await client.wait_for(slow(service), timeout=10)


async def _refused(client: Client, service: Emulator) -> object:
    return await client.wait_for(ImageRef("f" * 24))


async def _unreachable(client: Client, service: Emulator) -> object:
    service.fault(Fault(reset=True), times=1000)
    return await client.wait_for(slow(service), patience=20)


async def _cancelled(client: Client, service: Emulator) -> object:
    return await asyncio.wait_for(client.wait_for(slow(service)), 5)


async def _closed(client: Client, service: Emulator) -> object:
    asyncio.get_running_loop().call_later(5, lambda: asyncio.ensure_future(client.aclose()))
    return await client.wait_for(slow(service))


async def _iteration_left(client: Client, service: Emulator) -> None:
    async for _ in client.wait_for(slow(service)):
        break


async def _iteration_cancelled(client: Client, service: Emulator) -> None:
    async def go() -> None:
        async for _ in client.wait_for(slow(service)):
            pass

    await asyncio.wait_for(go(), 5)


async def _coroutine_closed(client: Client, service: Emulator) -> None:
    waiter = client.wait_for(slow(service))

    async def drive() -> None:
        waiter.send(None)  # up to its first request

    await asyncio.create_task(drive())
    waiter.close()  # in another context


async def _strategy_raises(client: Client, service: Emulator) -> object:
    def wrong(_: object) -> float:
        raise ZeroDivisionError

    return await client.wait_for(slow(service), wait=wrong)


async def _batch_left(client: Client, service: Emulator) -> None:
    async with client.as_completed([slow(service)]):
        await asyncio.sleep(5)


async def _batch_cancelled(client: Client, service: Emulator) -> None:
    await asyncio.wait_for(client.wait_all([slow(service)]), 5)


async def _discarded(client: Client, service: Emulator) -> None:
    ref = slow(service)

    async def refs() -> AsyncIterator[ImageRef]:
        yield ref
        await asyncio.sleep(20)

    async with client.as_completed(refs()) as batch:
        await asyncio.sleep(5)
        assert batch.discard(ref)
        assert not batch.discard(ref)
        assert [outcome async for outcome in batch] == []


async def _discarded_in_flight(client: Client, service: Emulator) -> None:
    ref = slow(service)
    service.fault(Fault(delay=5))
    async with client.as_completed([ref]) as batch:
        await asyncio.sleep(2)
        assert batch.discard(ref)
        await asyncio.sleep(10)


async def _batch_of_a_wrong_key(client: Client, service: Emulator) -> None:
    service.fault(Fault(code=401), times=9)
    await client.wait_all([slow(service)])


async def _batch_closed(client: Client, service: Emulator) -> None:
    asyncio.get_running_loop().call_later(5, lambda: asyncio.ensure_future(client.aclose()))
    await client.wait_all([slow(service)])


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("end", "outcome", "error"),
    [
        (_failed, "failed", "TaskFailedError"),
        (_failed_and_returned, "failed", "TaskFailedError"),
        (_timed_out, "timed_out", "WaitTimeoutError"),
        (_refused, "refused", "TaskNotFoundError"),
        (_unreachable, "unreachable", "ServiceUnreachableError"),
        (_strategy_raises, "failed", "ZeroDivisionError"),
        (_batch_of_a_wrong_key, "refused", "AuthenticationError"),
        (_cancelled, "cancelled", None),
        (_closed, "closed", None),
        (_iteration_left, "abandoned", None),
        (_iteration_cancelled, "cancelled", None),
        (_coroutine_closed, "abandoned", None),
        (_batch_left, "abandoned", None),
        (_batch_cancelled, "cancelled", None),
        (_batch_closed, "closed", None),
        (_discarded, "abandoned", None),
        (_discarded_in_flight, "abandoned", None),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
async def test_a_span_ends_however_its_wait_does(
    end: End,
    outcome: str,
    error: str | None,
    aitoearn_service: Emulator,
    client: Client,
    recorder: Recorder,
) -> None:
    """Exactly once; bad ends are errors, and what the caller wanted is none."""
    before = context.get_current()
    with contextlib.suppress(AiToEarnError, TimeoutError, ZeroDivisionError):
        await end(client, aitoearn_service)
    gc.collect()
    span = recorder.only
    assert context.get_current() == before
    assert span.attributes is not None
    assert span.attributes["aitoearn.outcome"] == outcome
    assert (span.status.status_code is StatusCode.ERROR) is (error is not None)
    if error is not None:
        assert span.attributes["error.type"] == error
    assert recorder.counts("aitoearn.client.wait.duration", "aitoearn.outcome") == {(outcome,): 1}


async def test_a_wait_that_is_taken_up_again_is_another_span(
    aitoearn_service: Emulator, client: Client, recorder: Recorder
) -> None:
    """What was cancelled has an end; using the waiter again is a wait again, used twice or not."""
    waiter = client.wait_for(slow(aitoearn_service, 20))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(waiter, 5)
    first = asyncio.create_task(waiter)
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="already under way"):
        await waiter
    await first
    await waiter
    assert recorder.told("aitoearn.outcome") == ["cancelled", "succeeded"]


async def test_an_unused_wait_has_none(client: Client, recorder: Recorder) -> None:
    """It has not begun, so there is nothing to tell."""
    client.wait_for("image:66").close()
    nothing: list[ImageRef] = []
    async with client.as_completed(nothing) as batch:
        assert [outcome async for outcome in batch] == []
    assert recorder.started == 0


async def test_rounds(aitoearn_service: Emulator, client: Client, recorder: Recorder) -> None:
    """A wait that pages see to has its span too, from its beginning on, also when it is left."""
    refs: list[Any] = [slow(aitoearn_service, 30 + number) for number in range(20)]
    refs += [aitoearn_service.add_video(("InProgress", 60), "SUCCESS") for _ in range(20)]
    outcomes = await client.wait_all(refs)
    assert all(outcome.ok for outcome in outcomes)
    assert recorder.started == len(recorder.spans) == 40
    assert recorder.told("aitoearn.outcome") == ["succeeded"] * 40
    assert min(recorder.told("aitoearn.wait.time_to_notice")) >= 0
    durations = [point for name, _, point in recorder.points() if name.endswith("wait.duration")]
    longest = max(point.max for point in durations)
    assert longest == pytest.approx(max(outcome.elapsed for outcome in outcomes), abs=ROUNDING)
    async with client.as_completed([slow(aitoearn_service) for _ in range(20)]):
        await asyncio.sleep(20)
    assert recorder.told("aitoearn.outcome")[40:] == ["abandoned"] * 20


async def test_waits_that_pages_see_to_together(
    aitoearn_service: Emulator, client: Client, recorder: Recorder
) -> None:
    """Many single waits are asked for by pages: each has its own span."""
    refs = [aitoearn_service.add_video(("InProgress", 60), "SUCCESS") for _ in range(20)]
    waits = [asyncio.create_task(client.wait_for(ref)) for ref in refs]
    others = [asyncio.create_task(client.wait_for(ref)) for ref in refs[:3]]
    await asyncio.sleep(20)
    for wait in others:
        wait.cancel()
    await asyncio.gather(*waits)
    assert recorder.started == len(recorder.spans)
    assert sorted(recorder.told("aitoearn.outcome")) == ["cancelled"] * 3 + ["succeeded"] * 20


async def test_a_submit_that_is_not_taken(
    aitoearn_service: Emulator, client: Client, recorder: Recorder
) -> None:
    """A refusal and an open fate are told apart, and so is a cancellation."""
    aitoearn_service.fault(Fault(code=12300))
    with pytest.raises(AiToEarnError):
        await client.submit(CAT)
    aitoearn_service.fault(Fault(stall="head", creates=True))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.submit(CAT), 5)
    assert recorder.told("aitoearn.outcome") == ["refused", "cancelled"]
    refused, cancelled = recorder.spans
    assert refused.status.status_code is StatusCode.ERROR
    assert cancelled.status.status_code is StatusCode.UNSET
    assert recorder.counts("gen_ai.client.operation.duration", "error.type") == {
        ("ApiError",): 1,
        (None,): 1,
    }


async def test_an_uncertain_submit(recorder: Recorder) -> None:
    """The service has no logs, and nobody knows what became of it."""
    async with (
        Emulator(routes={"logs": False}) as service,
        Client(
            service.api_key, base_url=service.url, attempts=1, telemetry=recorder.observer()
        ) as client,
    ):
        service.fault(Fault(reset=True, creates=True))
        with pytest.raises(SubmitUncertainError):
            await client.submit(CAT)
    assert recorder.told("aitoearn.outcome") == ["uncertain"]


async def test_a_download_that_fails(
    aitoearn_service: Emulator, client: Client, recorder: Recorder, tmp_path: Path
) -> None:
    """It is an error, whoever asked for it."""
    ref = aitoearn_service.add_image()
    aitoearn_service.set_media(ref, b"not a picture")
    (outcome,) = await client.wait_all([ref], save=tmp_path)
    assert not outcome.ok
    wait, download = recorder.spans
    assert wait.attributes is not None
    assert wait.attributes["aitoearn.outcome"] == "succeeded"
    assert download.attributes is not None
    assert download.attributes["error.type"] == "DownloadError"


async def test_a_closed_client_has_nothing_to_tell(client: Client, recorder: Recorder) -> None:
    """What is refused at once has not begun."""
    await client.aclose()
    for call in (client.submit(CAT), client.wait_for("image:66")):
        with pytest.raises(ClientClosedError):
            await call
    assert recorder.started == len(recorder.spans)
