"""Observers: yours, structlog's and Prometheus', and what a client without one does."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import structlog
from prometheus_client import CollectorRegistry

from aitoearn_async import (
    AiToEarnError,
    BreakerState,
    Client,
    GenerateImage,
    ImageRef,
    telemetry,
)
from aitoearn_async.emulator import Emulator, Fault
from aitoearn_async.telemetry import (
    BreakerChange,
    Observer,
    Operation,
    Poll,
    Prometheus,
    Structlog,
    Wait,
)

CAT = GenerateImage(model="gpt-image-2", prompt="a cat")


class Notes(Observer):
    """Writes down all that it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def began(self, operation: Operation) -> None:
        self.told.append(f"began {type(operation).__name__}")

    def entered(self, operation: Operation) -> None:
        self.told.append("entered")

    def left(self, operation: Operation) -> None:
        self.told.append("left")

    def polled(self, wait: Wait, poll: Poll) -> None:
        self.told.append(f"{wait.status} > {poll.status} {poll.result}")

    def ended(self, operation: Operation) -> None:
        self.told.append(f"ended {operation.outcome}")

    def breaker_changed(self, change: BreakerChange) -> None:
        self.told.append(f"{change.before} > {change.after}")


class Broken(Observer):
    """Raises at everything."""

    def began(self, operation: Operation) -> None:
        raise KeyError(type(operation).__name__)

    polled = ended = began  # type: ignore[assignment]


def client_of(service: Emulator, *observers: Observer) -> Client:
    return Client(service.api_key, base_url=service.url, private_media=True, telemetry=observers)


async def test_the_order_of_things(aitoearn_service: Emulator, tmp_path: Path) -> None:
    """An operation begins, is worked for, and ends; a poll is told with what was known before."""
    notes = Notes()
    ref = aitoearn_service.add_image(("generating", 1.8), "success")
    async with client_of(aitoearn_service, notes) as client:
        await client.download(await client.wait_for(ref), tmp_path)
    assert notes.told == [
        "None > closed",
        *("began Wait", "entered", "None > generating changed"),
        *("generating > generating not_modified", "generating > success changed"),
        *("left", "ended succeeded"),
        *("began Download", "entered", "left", "ended succeeded"),
        "closed > None",
    ]


async def test_a_task_that_works_for_many_waits(aitoearn_service: Emulator) -> None:
    """Each poll of a batch is entered and left: the next one is for another wait."""
    notes = Notes()
    ref = aitoearn_service.add_image(("generating", 1.8), "success")
    async with client_of(aitoearn_service, notes) as client:
        await client.wait_all([ref])
    poll = ["entered", "left"]
    assert notes.told[1:-1] == [
        *("began Wait", *poll, "None > generating changed"),
        *(*poll, "generating > generating not_modified"),
        *(*poll, "generating > success changed", "ended succeeded"),
    ]


async def test_the_body_of_an_iteration_is_not_the_waits(aitoearn_service: Emulator) -> None:
    """The task works for its caller from a change on, until he asks for the next one."""
    notes = Notes()
    ref = aitoearn_service.add_image(("generating", 1.8), "success")
    async with client_of(aitoearn_service, notes) as client:
        async for _ in client.wait_for(ref):
            assert notes.told.count("left") == notes.told.count("entered") > 0
    assert notes.told.count("entered") == 2


async def test_an_answer_without_a_304_is_unchanged(aitoearn_service: Emulator) -> None:
    """It is told apart from one that says so in no bytes."""
    notes = Notes()
    ref = aitoearn_service.add_image(("generating", 1.8), "success")
    aitoearn_service.fault(Fault(headers={"ETag": ""}), ref, times=None)
    async with client_of(aitoearn_service, notes) as client:
        await client.wait_for(ref)
    assert "generating > generating unchanged" in notes.told


async def test_what_is_no_request_is_no_submit(aitoearn_service: Emulator) -> None:
    """It is refused, and nobody is told of it."""
    notes = Notes()
    async with client_of(aitoearn_service, notes) as client:
        with pytest.raises(TypeError, match="GenerateImage"):
            await client.submit("a cat")  # type: ignore[arg-type]
    assert notes.told == ["None > closed", "closed > None"]


async def test_an_observer_disturbs_nothing(
    aitoearn_service: Emulator, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """What it raises is logged once for each, and the others hear all the same."""
    notes = Notes()
    async with client_of(aitoearn_service, Broken(), Broken(), notes) as client:
        await client.run(CAT, save=tmp_path)
    assert notes.told.count("ended succeeded") == 3
    lines = [record for record in caplog.records if "observer" in record.message]
    assert [line.message for line in lines] == ["the observer Broken failed, and may again"] * 2
    assert all(line.exc_info is not None for line in lines)


def test_what_is_no_observer_is_refused() -> None:
    """At the call, by name."""
    for wrong in (5, [Notes(), "otel"], Notes):
        with pytest.raises(TypeError, match="give an Observer, such as OpenTelemetry"):
            Client("k", telemetry=wrong)  # type: ignore[arg-type]

    class Awaited(Observer):
        async def ended(self, operation: Operation) -> None:  # type: ignore[override]
            """Never get here."""

    with pytest.raises(TypeError, match=r"Awaited\.ended is called where nothing can be awaited"):
        Client("k", telemetry=Awaited())


async def test_nobody(aitoearn_service: Emulator) -> None:
    """An empty list is as good as None."""
    async with client_of(aitoearn_service) as client:
        assert (await client.run(CAT)).done


async def test_structlog(aitoearn_service: Emulator, tmp_path: Path) -> None:
    """Ends at `info`, trouble and bad ends at `warning`, and no prompt."""
    ref = aitoearn_service.add_image(("generating", 5), "success")
    aitoearn_service.fault(Fault(status=502), ref, times=2)
    with structlog.testing.capture_logs() as logs:
        async with client_of(aitoearn_service, Structlog()) as client:
            await client.wait_for(ref)
            await client.run(CAT, save=tmp_path)
            with pytest.raises(AiToEarnError):
                await client.wait_for(ImageRef("f" * 24))
            bad = aitoearn_service.add_image("failed")
            await client.wait_for(bad, raise_on_failure=False)
    lines = [(each["log_level"], each["event"].removeprefix("aitoearn.")) for each in logs]
    assert lines[:2] == [("debug", "wait.began"), ("warning", "poll.trouble")]
    assert lines.count(("warning", "poll.trouble")) == 2, "once a row"
    assert lines.count(("debug", "task.status_changed")) == 5
    ends = [each for each in logs if each["event"].endswith("ended")]
    assert [(each["log_level"], each["outcome"]) for each in ends] == [
        *(("info", "succeeded"),) * 4,
        ("warning", "refused"),
        ("warning", "failed"),
    ]
    assert ends[0]["ref"] == str(ref)
    assert ends[1]["model"] == "gpt-image-2"
    assert ends[3]["files"] == 1
    assert ends[4]["error"] == "TaskNotFoundError"
    assert "a cat" not in str(logs)


async def test_structlog_leaves_standard_output_alone(
    aitoearn_service: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where nobody has configured it: the results of a program are there."""
    structlog.reset_defaults()
    async with client_of(aitoearn_service, Structlog()) as client:
        await client.wait_for(aitoearn_service.add_image())
    out, err = capsys.readouterr()
    assert out == ""
    assert "aitoearn.wait.ended" in err


async def test_structlog_may_be_asynchronous(
    aitoearn_service: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    """An observer is called where nothing can be awaited, and loses nothing."""
    logger = structlog.wrap_logger(
        logging.getLogger("mine"),
        processors=[structlog.processors.KeyValueRenderer()],
        wrapper_class=structlog.stdlib.AsyncBoundLogger,
    )
    with caplog.at_level("INFO", "mine"):
        async with client_of(aitoearn_service, Structlog(logger)) as client:
            await client.wait_for(aitoearn_service.add_image())
    assert "aitoearn.wait.ended" in caplog.text


async def test_structlog_tells_of_the_breaker(aitoearn_service: Emulator) -> None:
    """When the service goes down, when it answers again, and when it is well."""
    refs = [aitoearn_service.add_image(("generating", 60), "success") for _ in range(30)]
    aitoearn_service.fault(Fault(status=502), times=40)
    with structlog.testing.capture_logs() as logs:
        async with client_of(aitoearn_service, Structlog(structlog.get_logger())) as client:
            await client.wait_all(refs)
    changes = [each for each in logs if each["event"] == "aitoearn.breaker.changed"]
    assert [(each["log_level"], each["before"], each["after"]) for each in changes] == [
        ("warning", "closed", "open"),
        ("warning", "open", "recovering"),
        ("info", "recovering", "closed"),
    ]


async def test_prometheus(aitoearn_service: Emulator) -> None:
    """Two observers of one registry count together."""
    registry = CollectorRegistry()
    value: Any = registry.get_sample_value
    ref = aitoearn_service.add_image(("generating", 20), "success")
    async with (
        client_of(aitoearn_service, Prometheus(registry)) as one,
        client_of(aitoearn_service, Prometheus(registry)) as other,
    ):
        state = {"address": aitoearn_service.url, "state": "closed"}
        assert value("aitoearn_breaker_clients", state) == 2
        await asyncio.gather(one.wait_for(ref), other.run(CAT))
    for name, labels in {
        "aitoearn_wait_seconds_count": {"kind": "image", "outcome": "succeeded"},
        "aitoearn_time_to_notice_seconds_count": {"kind": "image"},
    }.items():
        assert value(name, labels) == 2
    submits = {"kind": "image", "outcome": "succeeded"}
    assert value("aitoearn_submit_seconds_count", submits) == 1
    assert value("aitoearn_submit_seconds_bucket", {**submits, "le": "81.92"}) == 1
    polls = [request for request in aitoearn_service.requests if request.ref is not None]
    by_result = [
        value("aitoearn_polls_total", {"kind": "image", "result": result}) or 0
        for result in ("changed", "unchanged", "not_modified", "failed")
    ]
    assert sum(by_result) == len(polls)
    assert value("aitoearn_breaker_clients", state) == 0


async def test_a_closed_client_is_not_counted(aitoearn_service: Emulator) -> None:
    """Not even when its breaker is found to have closed, long after."""
    registry = CollectorRegistry()
    recovering = asyncio.Event()

    class Recovery(Observer):
        def breaker_changed(self, change: BreakerChange) -> None:
            if change.after == "recovering":
                recovering.set()

    refs = [aitoearn_service.add_image(("generating", 60), "success") for _ in range(30)]
    aitoearn_service.fault(Fault(status=502), times=40)
    async with (
        client_of(aitoearn_service, Prometheus(registry), Recovery()) as client,
        client.as_completed(refs),
    ):
        await recovering.wait()
    await asyncio.sleep(600)
    assert client.statistics().breaker is BreakerState.CLOSED
    (family,) = [each for each in registry.collect() if each.name == "aitoearn_breaker_clients"]
    assert {sample.value for sample in family.samples} == {0}


def test_two_threads_may_begin_to_count_at_once() -> None:
    """A client of each has an observer of its own, and they have one registry."""

    class Registry(CollectorRegistry):
        def __init__(self) -> None:
            super().__init__()
            self.is_second = threading.Event()
            self.other = threading.Thread(target=Prometheus, args=[self])

        def register(self, collector: Any) -> None:
            if self.other.ident is None:
                self.other.start()
                self.is_second.wait(0.05)
            elif threading.current_thread() is self.other:
                self.is_second.set()
            super().register(collector)

    registry = Registry()
    Prometheus(registry)
    registry.other.join()
    assert not registry.is_second.is_set()


async def test_prometheus_counts_no_more_than_there_is(
    aitoearn_service: Emulator, tmp_path: Path
) -> None:
    """A poll that was held is none, a download has no metric, and an end of long ago no delay."""
    registry = CollectorRegistry()
    refs = [aitoearn_service.add_image("success") for _ in range(30)]
    await asyncio.sleep(1000)
    aitoearn_service.fault(Fault(status=502), times=30)
    async with client_of(aitoearn_service, Prometheus(registry)) as client:
        client.requests_per_second = 10
        outcomes = await client.wait_all(refs, save=tmp_path)
    by_result = [
        registry.get_sample_value("aitoearn_polls_total", {"kind": "image", "result": result})
        for result in ("changed", "failed", "held")
    ]
    assert by_result == [30, sum(each.polls for each in outcomes) - 30, None]
    name = "aitoearn_time_to_notice_seconds_count"
    assert registry.get_sample_value(name, {"kind": "image"}) is None


async def test_the_environment_switches_it_on(
    aitoearn_service: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`AITOEARN_TELEMETRY` names hooks, with one observer for all clients of a process."""
    monkeypatch.setenv("AITOEARN_TELEMETRY", "structlog, prometheus,otel,structlog")
    with structlog.testing.capture_logs() as logs:
        for _ in range(2):
            async with Client(aitoearn_service.api_key, base_url=aitoearn_service.url) as client:
                await client.wait_for(aitoearn_service.add_image())
    assert [each["event"] for each in logs].count("aitoearn.wait.ended") == 2
    monkeypatch.setenv("AITOEARN_TELEMETRY", "loud")
    with pytest.raises(ValueError, match="AITOEARN_TELEMETRY='loud': set it to otel, prometheus,"):
        Client("k")
    Client("k", telemetry=Notes())  # the caller's word counts
    for empty in ("", " "):
        monkeypatch.setenv("AITOEARN_TELEMETRY", empty)
        Client("k")


@pytest.mark.slow
def test_off_costs_no_import() -> None:
    """A client without observers imports nothing of telemetry, installed or not."""
    code = "import sys; from aitoearn_async import Client; Client('k'); print(*sys.modules)"
    command = [sys.executable, "-W", "error", "-c", code]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded = run.stdout.split()
    assert "aitoearn_async._client" in loaded
    assert not [name for name in loaded if "telemetry" in name or "watched" in name]


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the extra that brings it."""
    monkeypatch.setitem(sys.modules, "aitoearn_async.telemetry.otel", None)
    monkeypatch.delitem(vars(telemetry), "OpenTelemetry", raising=False)
    with pytest.raises(ImportError, match=r'OpenTelemetry needs .* "aitoearn-async\[otel\]"'):
        _ = telemetry.OpenTelemetry
    with pytest.raises(AttributeError, match="no attribute 'Zipkin'"):
        _ = telemetry.Zipkin  # type: ignore[attr-defined]
