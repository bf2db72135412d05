"""The whole service is down for a minute, under a thousand waiting tasks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

import pytest
import tenacity

from aitoearn_async import (
    BreakerState,
    ImageRef,
    NotAskedError,
    ServiceUnreachableError,
)
from aitoearn_async.emulator import VirtualTimeLoop
from benchmarks.outage import outage
from tests.polling.model import now, run
from tests.support.raw_server import (
    RST,
    STALL,
    Heard,
    Part,
    RawServer,
    Script,
    good,
    http,
    refuse,
    say,
)

from .harness import Row, Trial

ROW = Row(
    14,
    "The service is down for a minute: 503 for everybody, code 500 for everybody, or silence",
    "Probes ask, and nobody else. All tasks keep their place, deadline and patience. When it is "
    "back they come back as spread out as they were, and all are answered within 1.5 periods.",
)


def refs(count: int) -> list[ImageRef]:
    return [ImageRef(f"{number:024x}") for number in range(count)]


@pytest.mark.slow
@pytest.mark.usefixtures("untraced")
@pytest.mark.parametrize(("latency", "kind"), [(0.05, "503"), (5.0, "refused")])
def test_a_minute_of_it(trial: Trial, latency: float, kind: str) -> None:
    """What the service is spared, and how soon all is well; as the benchmark has it at size."""
    count = 1000
    found = run(lambda: outage(count, latency, kind), lambda: VirtualTimeLoop(settle=0.0))
    trial.entry.submitted += count
    trial.entry.ended += count - int(found["lost"] + found["unanswered"])
    trial.figure("requests in the outage, % of usual", 100 * found["in_outage"], 2)
    # Of three seconds: in one of them are few requests of a thousand tasks, and much chance.
    trial.figure("busiest three seconds afterwards, of usual", found["peak_of_three"], 1.5)
    trial.figure("all answered again after, in periods", found["again_periods"], 1.5)
    assert found["outages"] == 1


TROUBLE = {
    "503": say(http(b"<html>down</html>", 503)),
    "code 500": refuse(500, "Internal Server Error"),
    "silence": say(3600.0),
    "reset": say(RST),
}


@pytest.mark.sampled(4)
@pytest.mark.parametrize("trouble", TROUBLE.values(), ids=TROUBLE)
async def test_whatever_it_looks_like(
    trial: Trial, trouble: Script, caplog: pytest.LogCaptureFixture
) -> None:
    """It opens once, is told in one line each, and a batch and single waits all end well."""
    began = now()

    def service(heard: Heard) -> Iterable[Part]:
        if began + 30 <= heard.at < began + 90:
            return trouble(heard)
        return good("success" if heard.at >= began + 120 else "generating")(heard)

    wait = tenacity.wait_random(4, 6)
    async with (
        RawServer(choose=lambda heard: service) as server,
        server.client(wait=wait, request_timeout=5, attempts=1) as client,
        client.as_completed(refs(40)) as batch,
    ):
        single = [ImageRef(f"single-{number}") for number in range(20)]
        waits = asyncio.gather(*(client.wait_for(ref) for ref in single))
        await asyncio.sleep(45)
        assert client.statistics().breaker is BreakerState.OPEN
        ends = await trial.ends(client.get, *(ImageRef(f"other-{n}") for n in range(5)))
        held = [end for end in ends if isinstance(end, NotAskedError)]
        assert len(held) >= 4, "one may have been the probe"
        assert all(error.__cause__ is not None for error in held)
        outcomes = [outcome async for outcome in batch]
        trial.book(refs(40), sorted(outcomes, key=str), status="success")
        trial.book(single, await waits, status="success")
        statistics = client.statistics()
    assert statistics.breaker is BreakerState.CLOSED
    assert statistics.outages == 1
    assert statistics.held > 300
    trial.wire(server, at_most=60 * 25)
    in_outage = [heard for heard in server.heard if began + 40 <= heard.at < began + 90]
    # One that is lost on a connection from before goes out once more, on a new one.
    times = 2 if trouble is TROUBLE["reset"] else 1
    trial.figure("probes in 50 s of it", len(in_outage) / times, 50)
    lines = [r.getMessage() for r in caplog.records if r.levelno >= logging.INFO]
    failed = [line for line in lines if line.startswith("a poll of ")]
    assert len(failed) == 21, "one for each wait, and one for the batch"
    lines = [line for line in lines if line not in failed]
    assert len(lines) == 3
    assert "is down" in lines[0]
    assert "answers again" in lines[1]
    assert "is well again" in lines[2]


async def test_probes_that_never_got_their_turn(trial: Trial) -> None:
    """They queued behind what hung, and then the service asked to be left alone. They are not
    under way any more, and there is a next one before what hangs is given up."""
    began = now()

    def choose(heard: Heard) -> Script:
        if heard.number < 7:
            return say(began + 15 - heard.at, http(b"", 429, {"Retry-After": "1"}))
        if heard.number < 27:
            return say(http(b"", 503))
        return say(STALL) if heard.number == 27 else good()

    async with (
        RawServer(choose=choose) as server,
        server.client(wait=tenacity.wait_random(0.9, 1.1), concurrency=8) as client,
    ):
        ends = trial.ends(client.wait_for, *refs(40), status="success")
        waits = asyncio.ensure_future(ends)
        await asyncio.sleep(24)
        assert client.statistics().in_flight == 1
        assert client.statistics().breaker is BreakerState.CLOSED
        await waits
    trial.wire(server, exactly=28 + 40)


async def test_patience_ends_while_it_lasts(trial: Trial) -> None:
    """Tasks that were held lose it too, each at its own time and after a last question; and
    deadlines are kept."""
    began = now()

    def service(heard: Heard) -> Iterable[Part]:
        up = heard.at < began + 30
        return (good("generating") if up else say(http(b"", 503)))(heard)

    async with (
        RawServer(choose=lambda heard: service) as server,
        server.client(wait=tenacity.wait_random(4, 6)) as client,
    ):
        outcomes = await client.wait_all(refs(30), patience=60, timeout=3600)
        trial.book(refs(30), outcomes)
        lasted = [outcome.elapsed for outcome in outcomes]
        assert all(isinstance(outcome.error, ServiceUnreachableError) for outcome in outcomes)
        assert 85 <= min(lasted) <= max(lasted) <= 97
        outcomes = await client.wait_all(refs(30), patience=None, timeout=20)
        trial.book(refs(30), outcomes)
        assert all(outcome.polls for outcome in outcomes), "each is asked for at the last"
        assert sum(outcome.polls for outcome in outcomes) < 30 + 30, "and there are probes"
        assert all(19.99 <= outcome.elapsed <= 20.05 for outcome in outcomes)
    trial.wire(server, at_most=30 * 8 + 160)
