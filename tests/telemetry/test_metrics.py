"""OpenTelemetry's metrics over a bulk with faults, and what is in none of them or of the spans."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import tenacity
from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor
from opentelemetry.sdk.trace import TracerProvider

from aitoearn_async import AiToEarnError, Client, GenerateImage, ImageRef
from aitoearn_async.emulator import Emulator, Fault
from aitoearn_async.telemetry import Poll, Wait

from .recorder import Recorder

PROMPT = "a very private cat"
SIGNED = "Signature=secret-signature"


@pytest.mark.slow
async def test_a_bulk_with_faults(
    aitoearn_service: Emulator, client: Client, recorder: Recorder
) -> None:
    """Polls by what they brought, waits by outcome, and the breaker, add up to what there was."""
    service = aitoearn_service
    refs = [
        service.add_image(("generating", 20.0 + number), "failed" if number % 4 else "success")
        for number in range(40)
    ]
    endless = service.add_image(("generating", 10_000), "success")
    loop, states = asyncio.get_running_loop(), list[dict[tuple[Any, ...], int]]()

    def state() -> dict[tuple[Any, ...], int]:
        return recorder.counts("aitoearn.client.breaker.state", "aitoearn.breaker.state")

    loop.call_later(6, lambda: service.fault(Fault(status=503), times=45))
    loop.call_later(12, lambda: states.append(state()))
    outcomes = await client.wait_all(
        [*refs, endless, ImageRef("f" * 24)], timeout=300, wait=tenacity.wait_fixed(2)
    )
    ends = Counter("succeeded" if each.ok else type(each.error).__name__ for each in outcomes)
    assert ends["WaitTimeoutError"] == ends["TaskNotFoundError"] == 1
    waits = recorder.counts("aitoearn.client.wait.duration", "aitoearn.outcome", "error.type")
    assert waits == {
        ("succeeded", None): 10,
        ("failed", "TaskFailedError"): 30,
        ("timed_out", "WaitTimeoutError"): 1,
        ("refused", "TaskNotFoundError"): 1,
    }
    polls = recorder.counts("aitoearn.client.polls", "aitoearn.poll.result")
    assert sum(polls.values()) == sum(each.polls for each in outcomes)
    assert polls["failed",] == 46
    assert polls["changed",] == 41 + 40
    assert polls["not_modified",] > 100
    errors = recorder.counts("aitoearn.client.polls", "error.type")
    assert (errors["ServerError",], errors["TaskNotFoundError",]) == (45, 1)
    noticed = recorder.counts("aitoearn.client.wait.time_to_notice", "aitoearn.task.kind")
    assert noticed == {("image",): 40}
    assert {name for each in states for (name,), n in each.items() if n} == {"open"}
    assert state()["closed",] == 1
    await client.aclose()
    assert not any(state().values())


async def test_polls_are_counted_while_a_wait_lasts(
    aitoearn_service: Emulator, client: Client, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The counter is told once a second at most, and does not wait for the end of a wait."""
    moment = 0.0
    monkeypatch.setattr("aitoearn_async.telemetry.otel.monotonic", lambda: moment)
    ref = aitoearn_service.add_image(("generating", 10_000), "success")
    wait = asyncio.create_task(client.wait_for(ref, wait=tenacity.wait_fixed(2)))

    async def counted_after(seconds: float) -> int:
        await asyncio.sleep(seconds)
        return sum(recorder.counts("aitoearn.client.polls").values())

    assert await counted_after(1) == 1
    assert await counted_after(6) == 1
    moment = 1.0
    assert await counted_after(2) == 5
    wait.cancel()
    await asyncio.wait([wait])
    assert await counted_after(0) == 5


def test_clients_of_several_threads_are_counted_together(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each poll once, whichever of them has the turn when the counter is told."""
    monkeypatch.setattr("aitoearn_async.telemetry.otel._SECONDS_BETWEEN_FLUSHES", 0.0)
    observer, poll = recorder.observer(), Poll(result="unchanged", seconds=0.1)

    def work() -> None:
        wait = Wait(address="http://x", began=0.0, ref=ImageRef("f" * 24))
        observer.began(wait)
        for _ in range(5_000):
            observer.polled(wait, poll)
        observer.ended(wait)

    threads = [threading.Thread(target=work) for _ in range(4)]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert recorder.counts("aitoearn.client.polls") == {(): 20_000}


async def test_no_secret_is_recorded(
    aitoearn_service: Emulator, client: Client, recorder: Recorder, tmp_path: Path
) -> None:
    """No key, no address of a file, no prompt, and none of the service's own words."""
    service = aitoearn_service
    await client.submit(GenerateImage(model="gpt-image-2", prompt=PROMPT))
    service.fault(Fault(code=12300, message=f"{PROMPT} is not allowed, {service.api_key}"))
    with pytest.raises(AiToEarnError):
        await client.submit(GenerateImage(model="gpt-image-2", prompt=PROMPT))
    failed = service.add_image("failed", error_message=PROMPT)
    signed = f"{service.storage_url}/cat.png?{SIGNED}"
    ref = service.add_image(request={"prompt": PROMPT}, images=[signed])
    service.fault(Fault(code=500, message=PROMPT), ref)
    await client.wait_all([failed, ref], save=tmp_path)
    service.fault(Fault(status=403, body=SIGNED), ref, times=None, media=True)
    with pytest.raises(AiToEarnError):
        await client.download(ref, tmp_path / "other", timeout=5)
    told = recorder.everything()
    assert len(recorder.spans) == 6
    for secret in (PROMPT, service.api_key, service.storage_url, "cat.png", SIGNED):
        assert secret not in told


async def test_content_is_recorded_where_it_is_asked_for(
    aitoearn_service: Emulator, recorder: Recorder
) -> None:
    """Prompts, and the texts of errors; the key not even then."""
    service = aitoearn_service
    observer = recorder.observer(content=True)
    async with Client(service.api_key, base_url=service.url, telemetry=observer) as client:
        service.fault(Fault(code=12300, message=f"no cats, {service.api_key}"))
        with pytest.raises(AiToEarnError):
            await client.submit(GenerateImage(model="gpt-image-2", prompt=PROMPT))
    told = recorder.everything()
    assert PROMPT in told
    assert "no cats" in (recorder.spans[0].status.description or "")
    assert service.api_key not in told


@pytest.fixture
def instrumented() -> Iterator[Recorder]:
    """aiohttp's clients are instrumented, and this is where their spans go."""
    theirs = Recorder()
    instrumentor = AioHttpClientInstrumentor()
    instrumentor.instrument(tracer_provider=theirs.tracers)
    yield theirs
    instrumentor.uninstrument()


async def test_no_trace_header_goes_to_a_media_host(
    aitoearn_service: Emulator, recorder: Recorder, instrumented: Recorder, tmp_path: Path
) -> None:
    """Instrumentation of aiohttp traces the service, and no host of files, telemetry on or off."""
    service = aitoearn_service
    for telemetry in (None, recorder.observer()):
        async with Client(
            service.api_key, base_url=service.url, private_media=True, telemetry=telemetry
        ) as client:
            tracer = TracerProvider(shutdown_on_exit=False).get_tracer("mine")
            with tracer.start_as_current_span("mine"):
                await client.run(
                    GenerateImage(model="gpt-image-2", prompt="a cat"),
                    save=tmp_path / str(telemetry),
                )
    media = [request for request in service.requests if request.media]
    assert len(media) == 2
    assert not [name for request in media for name in request.headers if "trace" in name.lower()]
    assert any("traceparent" in request.headers for request in service.requests)


async def test_instrumentations_make_no_span_a_poll(
    aitoearn_service: Emulator, client: Client, recorder: Recorder, instrumented: Recorder
) -> None:
    """While telemetry is on, theirs are left out, as the span of the wait is there; not others'."""
    ref = aitoearn_service.add_image(("generating", 30), "success")
    await client.wait_for(ref)
    assert recorder.only
    assert instrumented.started == 0
    async with aiohttp.ClientSession() as session, session.get(aitoearn_service.url):
        pass
    assert instrumented.started == 1
