"""The service, or a proxy, asks to be left alone: 429, `Retry-After` in every form."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import tenacity

from aitoearn_async import ImageRef, NotAskedError, RateLimitError, WaitTimeoutError
from tests.support.raw_server import Heard, Part, RawServer, Script, envelope, good, http, say

from .harness import Row, Trial

ROW = Row(
    13,
    "It asks to be left alone: 429, with and without `Retry-After`, and with nonsense in it",
    "Whoever is told so waits, and after two of them all requests of that route, for as long as it "
    "says and some more, at random, and five minutes at most. Nonsense counts as nothing said. "
    "Deadlines go on, patience is not used up.",
)

NOW = datetime(2026, 11, 6, 8, 49, 37, tzinfo=UTC)
DATE = format_datetime(NOW, usegmt=True)


def later(seconds: float) -> str:
    return format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)


def busy(*values: str, status: int = 429) -> bytes:
    head, body = http(b"busy", status).split(b"\r\n\r\n")
    lines = [f"Retry-After: {value}" for value in values] + [f"Date: {DATE}"]
    return b"\r\n".join([head, *(line.encode() for line in lines)]) + b"\r\n\r\n" + body


def refs(count: int) -> list[ImageRef]:
    return [ImageRef(f"{number:024x}") for number in range(count)]


# What the header says, and for how many seconds nobody asks. None: a second, as if unsaid.
SAID: dict[str, tuple[tuple[str, ...], float | None]] = {
    "seconds": (("60",), 60),
    "zero": (("0",), None),
    "a date": ((later(90),), 90),
    "a date that has passed": ((later(-90),), None),
    "far too long": (("999999999",), 300),
    "longer than any number of seconds": (("1000000000",), None),
    "a date in years": ((later(1e8),), 300),
    "1e9": (("1e9",), None),
    "nan": (("nan",), None),
    "inf": (("inf",), None),
    "negative": (("-5",), None),
    "junk": (("in a while",), None),
    "digits of another script": (("\u0661\u0662",), None),
    "two of them": (("60", "90"), 60),
    "none": ((), None),
}


async def test_a_good_answer_can_ask_for_it_too(trial: Trial) -> None:
    """With a status that is news or with one that is not, whatever the wait's strategy says."""

    def busy_but_well(heard: Heard) -> Iterable[Part]:
        status = "success" if heard.number == 3 else "generating"
        data = {"logId": heard.path.rpartition("/")[2], "status": status}
        return [http(envelope(data), headers={"Retry-After": "60"})]

    every_second = tenacity.wait_fixed(1)
    async with RawServer(busy_but_well) as server, server.client() as client:
        await trial.ends(lambda ref: client.wait_for(ref, wait=every_second), *refs(1))
        gaps = [after.at - before.at for before, after in itertools.pairwise(server.heard)]
    assert all(60 <= gap <= 73 for gap in gaps), gaps
    trial.wire(server, exactly=4)


@pytest.mark.parametrize("status", [200, 429, 503])
async def test_a_gateway_with_request_ids_of_its_own_is_obeyed(trial: Trial, status: int) -> None:
    """It cannot be told from an answer to somebody else; but it asks to be left alone."""
    no = b'{"code":429,"message":"slow down","requestId":"gateway-1","data":{}}'
    told = say(http(no, status, {"Retry-After": "60"}))
    async with RawServer(good("generating"), told, good()) as server, server.client() as client:
        every_five = tenacity.wait_fixed(5)
        await trial.ends(lambda ref: client.wait_for(ref, wait=every_five), *refs(1))
        assert 60 <= server.heard[2].at - server.heard[1].at <= 73
    trial.wire(server, exactly=3)


@pytest.mark.sampled(4)
@pytest.mark.parametrize(("values", "seconds"), SAID.values(), ids=SAID)
@pytest.mark.parametrize("status", [429, 503])
async def test_everybody_waits(
    trial: Trial, values: tuple[str, ...], seconds: float | None, status: int
) -> None:
    """Two tasks' answers, and none of twenty asks before the time; all do soon after."""
    if seconds is None:
        seconds = 1.0 if status == 429 else 0.0
    async with (
        RawServer(*[say(busy(*values, status=status))] * 2, good()) as server,
        server.client(concurrency=1, wait=tenacity.wait_fixed(1)) as client,
    ):
        # Those who are held, and the one who is told, have reached the service: a 503 is trouble.
        patience = 20 if status == 429 else None
        await trial.ends(
            lambda ref: client.wait_for(ref, patience=patience), *refs(20), status="success"
        )
        moments = [heard.at - server.heard[0].at for heard in server.heard[2:]]
    assert min(moments) >= seconds - 0.001
    assert max(moments) <= 1.2 * seconds + 5
    trial.wire(server, exactly=22)


@pytest.mark.parametrize(("values", "seconds"), SAID.values(), ids=SAID)
async def test_what_the_error_says(
    trial: Trial, values: tuple[str, ...], seconds: float | None
) -> None:
    """Callers with a loop of their own read the same number, and never a senseless one."""
    # A 503 alone pauses nobody where nothing is said, so none is made up.
    async with (
        RawServer(say(busy(*values, status=503))) as server,
        server.client(attempts=1) as client,
    ):
        (error,) = await trial.ends(client.get, *refs(1))
    assert error.retry_after == seconds
    trial.wire(server, exactly=1)


@pytest.mark.slow
async def test_those_told_the_same_do_not_return_together(trial: Trial) -> None:
    """A thousand tasks, told to wait a minute, come back over more than a fifth of it."""
    async with (
        RawServer(*[say(busy("60"))] * 2, good("generating")) as server,
        server.client(concurrency=64) as client,
        client.as_completed(refs(1000), wait=tenacity.wait_fixed(3600), timeout=None) as batch,
    ):
        await asyncio.sleep(200)
        assert batch.statistics().pending == 1000
        moments = sorted(heard.at - server.heard[0].at for heard in server.heard)
    held = [moment for moment in moments if moment > 1]
    trial.figure("spread of the return, share of the pause", (held[-1] - held[0]) / 60)
    assert held[0] >= 59
    assert held[-1] - held[0] >= 0.2 * 60
    busiest = max(sum(1 for m in held if at <= m < at + 1) for at in held[::10])
    trial.figure("tasks in the busiest second, of 1,000", busiest, 250)


async def test_few_do_not_return_together_either(trial: Trial) -> None:
    """Forty, too few for any pace: each adds something of its own, at random."""
    async with (
        RawServer(*[say(busy("60"))] * 2, good()) as server,
        server.client(concurrency=1, wait=tenacity.wait_fixed(1)) as client,
    ):
        await trial.ends(client.wait_for, *refs(40), status="success")
        moments = [heard.at - server.heard[0].at for heard in server.heard[2:]]
    assert 60 <= min(moments) <= max(moments) <= 72.1
    spread = (max(moments) - min(moments)) / 60
    trial.figure("spread of the return of forty, share of the pause", spread)
    assert spread >= 0.1, "of 0.2, half of which forty draws hardly ever leave out"
    trial.wire(server, exactly=42)


async def test_calls_that_are_told_the_same(trial: Trial) -> None:
    """`get` comes again when it was told to, and some time later: not all at one moment."""

    def choose(heard: Heard) -> Script:
        return say(busy("200")) if heard.number < 40 else good()

    options = {"attempts": 2, "request_timeout": 200}
    async with RawServer(choose=choose) as server, server.client(**options) as client:
        await trial.ends(client.get, *refs(40), status="success")
        moments = [heard.at - server.heard[0].at for heard in server.heard[40:]]
    assert 200 - 0.1 <= min(moments) <= max(moments) <= 245
    assert max(moments) - min(moments) >= 0.1 * 200, "more than the pace makes of it"
    trial.wire(server, exactly=80)


async def test_it_asks_ever_less(trial: Trial) -> None:
    """Where it does not say for how long, each pause from the second on is twice the last."""
    async with RawServer(say(busy())) as server, server.client() as client:
        await trial.ends(lambda ref: client.wait_for(ref, timeout=120), *refs(1))
        moments = [heard.at for heard in server.heard]
    pauses = [b - a for a, b in itertools.pairwise(moments)]
    for pause, least in zip(pauses[:5], [1, 1, 2, 4, 8], strict=True):
        assert least - 0.001 <= pause <= 1.2 * least + 10
    trial.wire(server, at_most=10)


async def test_the_deadline_wins(trial: Trial) -> None:
    """A wait whose time is over sooner does not ask again, and raises in time."""
    loop = asyncio.get_running_loop()
    async with RawServer(say(busy("120"))) as server, server.client() as client:
        begun = loop.time()
        with trial.on_time(begun + 30, early=0.0):
            (end,) = await trial.ends(lambda ref: client.wait_for(ref, timeout=30), *refs(1))
        assert isinstance(end, WaitTimeoutError)
        assert end.seen == {"HTTP 429": 1}
    trial.wire(server, exactly=1)


async def test_patience_is_not_used_up(trial: Trial) -> None:
    """Neither by a 429 nor by what is held because of it."""
    answers = [say(busy("100"))] * 10 + [good()]
    async with RawServer(*answers) as server, server.client() as client:
        await trial.ends(
            lambda ref: client.wait_for(ref, timeout=None, patience=50), *refs(1), status="success"
        )
    trial.wire(server, exactly=11)


async def test_a_call_in_the_pause_says_how_long_it_lasts(trial: Trial) -> None:
    """`get` is not sent, and the client's statistics say why."""
    async with (
        RawServer(*[say(busy("60"))] * 2, good()) as server,
        server.client(attempts=1) as client,
    ):
        (_, first) = await trial.ends(client.get, *refs(2))
        (second,) = await trial.ends(client.get, *refs(1))
        assert isinstance(first, RateLimitError)
        assert isinstance(second, NotAskedError)
        assert second.retry_after is not None
        assert 59 < second.retry_after <= 60
        statistics = client.statistics()
        assert 59 < statistics.paused_for <= 60
        assert statistics.held == 1
        await asyncio.sleep(61)
        assert client.statistics().paused_for == 0
        await trial.ends(client.get, *refs(1), status="success")
    trial.wire(server, exactly=3)


@pytest.mark.slow
@pytest.mark.usefixtures("untraced")
async def test_it_recovers_from_a_limit_of_the_service(
    trial: Trial, caplog: pytest.LogCaptureFixture
) -> None:
    """Where a proxy allows twenty a second and the client would ask fifty: it slows down, gets
    nearly all that is allowed, and lines tell of it."""
    window: list[float] = []

    def limited(heard: Heard) -> Script:
        window[:] = [moment for moment in window if moment > heard.at - 1]
        if len(window) >= 20:
            return say(http(b"", 429))
        window.append(heard.at)
        return good("generating")

    async with (
        RawServer(choose=limited) as server,
        server.client(concurrency=64) as client,
        client.as_completed(refs(500), wait=tenacity.wait_fixed(10), timeout=None) as batch,
    ):
        await asyncio.sleep(300)
        assert batch.statistics().pending + batch.statistics().in_flight == 500
        complaints = server.count - batch.statistics().unchanged
        trial.figure("requests refused, share", (complaints - 500) / server.count, 0.25)
        assert server.count > 300 * 20 * 0.4
    lines = [r for r in caplog.records if "asks to be left alone" in r.getMessage()]
    assert 1 <= len(lines) <= 60
    assert all(line.levelno == logging.WARNING for line in lines)


@pytest.mark.parametrize("values", [("0",), (later(-90),)], ids=["zero", "a date that has passed"])
async def test_at_once_is_no_time_to_come_back(trial: Trial, values: tuple[str, ...]) -> None:
    """Calls that all meet trouble are repeated no sooner, and no more often, for such a hint."""

    async def asked_of(answer: bytes) -> int:
        async with RawServer(say(answer)) as server, server.client() as client:
            await trial.ends(client.get, *refs(300))
        trial.wire(server)
        return server.count

    hinted = await asked_of(busy(*values, status=503))
    trial.figure("requests of 300 calls, told to come at once", hinted, 100)
    async with RawServer(say(busy(*values))) as server, server.client() as client:
        (end,) = await trial.ends(client.get, *refs(1))
        assert isinstance(end, RateLimitError)
        first, second, third = (heard.at for heard in server.heard)
        assert second - first + 0.001 >= 1
        assert third - second + 0.001 >= 1
    trial.wire(server, exactly=3)


@pytest.mark.slow
@pytest.mark.usefixtures("untraced")
async def test_one_line_for_one_storm(trial: Trial, caplog: pytest.LogCaptureFixture) -> None:
    """Ten minutes of 429, each with a second to wait, are told once, and a longer pause too."""
    loop = asyncio.get_running_loop()
    began = loop.time()

    def choose(heard: Heard) -> Script:
        passed = heard.at - began
        if passed > 610:
            return good()
        return say(busy("1" if passed < 600 else "5"))

    async with RawServer(choose=choose) as server, server.client() as client:
        # Ten would be asked about by pages too, whose storm is another one.
        await trial.ends(client.wait_for, *refs(9), status="success")
        lines = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
        assert [line.rpartition("no request for ")[2] for line in lines] == ["1 s", "5 s"]
    trial.wire(server)


@pytest.mark.sampled(2)
@pytest.mark.usefixtures("untraced")
@pytest.mark.parametrize("values", [(), ("1",)], ids=["unsaid", "a second"])
async def test_one_in_three_hundred_is_an_accident(trial: Trial, values: tuple[str, ...]) -> None:
    """It is obeyed, and slows nobody down afterwards: all tasks are asked about nearly as often."""

    def choose(heard: Heard) -> Script:
        return say(busy(*values)) if heard.number % 300 == 299 else good("generating")

    async with (
        RawServer(choose=choose) as server,
        server.client() as client,
        client.as_completed(refs(100), wait=tenacity.wait_random(4, 6), timeout=None) as batch,
    ):
        await asyncio.sleep(60)
        standing = batch.statistics()
        assert standing.pending + standing.in_flight == 100
        trial.figure("polls missing, share", 1 - server.count / (100 * 12), 0.15)
    trial.entry.requests += server.count
