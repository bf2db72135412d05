"""How `get` repeats what failed: how often, how soon, how long, and what for."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise

import pytest

from aitoearn_async import (
    AiToEarnError,
    AuthenticationError,
    ConnectionFailedError,
    ContractError,
    NotAskedError,
    RateLimitError,
    RequestTimeoutError,
    ServerError,
    TaskNotFoundError,
    UnexpectedResponseError,
)
from aitoearn_async._resilience.retry import Retrier
from aitoearn_async._runtime.lifetime import Lifetime
from aitoearn_async._verdict import Verdict
from tests.support.raw_server import (
    FIN,
    REF,
    RST,
    STALL,
    RawServer,
    Script,
    good,
    http,
    refuse,
    say,
    together,
)

NOW = datetime(2026, 11, 6, 8, 49, 37, tzinfo=UTC)


def busy(*values: str, date: str | None = format_datetime(NOW, usegmt=True)) -> Script:
    """A 429 with these `Retry-After` headers."""
    lines = [f"Retry-After: {value}\r\n" for value in values]
    if date is not None:
        lines.append(f"Date: {date}\r\n")
    response = http(b"", 429)
    head, end = response[:-2], response[-2:]
    return say(head + "".join(lines).encode() + end)


async def pause_after(script: Script) -> float:
    """Seconds between a failure and the next request."""
    async with RawServer(script, good()) as server:
        async with server.client(request_timeout=1000) as client:
            assert (await client.get(REF)).done
        first, second = server.heard
        return second.at - first.at


def date(seconds: float) -> str:
    return format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7),
        ("  7\t", 7),
        ("007", 7),
        ("0", None),
        ("299", 299),
        ("301", 300),
        ("1000000000", None),
        ("999999999", 300),
        (date(7), 7),
        (date(-7), None),
        (date(0), None),
        (date(10**7), 300),
        (date(7).removesuffix(" GMT"), 7),
        ("Friday, 06-Nov-26 08:49:44 GMT", 7),
        ("Fri Nov  6 08:49:44 2026", 7),
        ("Fri, 06 Nov 2026 09:49:44 +0100", 7),
        ("Fri, 06 Nov 2026 08:49:44 UTC", 7),
        ("Fri Nov  6 08:49:44 UTC 2026", 7),
        # Names of zones: in Shanghai and in Chicago it is CST, and of most there is no table.
        ("Fri, 06 Nov 2026 16:49:44 CST", None),
        ("Fri Nov 06 16:49:44 CST 2026", None),
        ("Fri, 06 Nov 2026 17:49:44 JST", None),
        ("Fri, 06 Nov 2026 16:49:44 GMT+08:00", None),
        ("Fri, 06 Nov 2026 16:49:44 GMT+0800 (CST)", None),
        ("Sun, 06 Nov 1994 08:49:37 GMT", None),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 300),
        ("Fri, 31 Dec 9999 23:59:59 -2359", 300),
        ("Mon, 01 Jan 0001 00:00:00 +2359", None),
        ("1e9", None),
        ("nan", None),
        ("inf", None),
        ("-5", None),
        ("+5", 5),
        ("1.5", 2),
        ("20.", 20),
        (".5", 1),
        (".", None),
        ("1.2.3", None),
        ('"7"', 7),
        ("2026-11-06T08:49:44Z", 7),
        ("2026-11-06T09:49:44+01:00", 7),
        ("2026-11-06T08:49:44", 7),
        ("2026-13-06T08:49:44Z", None),
        ("1_0", None),
        ("0x10", None),
        ("７", None),
        ("9" * 400, None),
        ("", None),
        (" ", None),
        ("soon", None),
        ("7 seconds", 7),
        ("7.5s", 8),
        ("7 sec", 7),
        ("7 minutes", None),
        ("7ms", None),
        ("7, 100", 7),
        ("7,", 7),
        ("Fri, 06 Nov 2026 08:49:44.5 GMT", 7),
        ("2026-11-06 08:49:44", 7),
        ("20261106T084944Z", 7),
        ("Fri, 06 Nov 2026 25:61:61 GMT", None),
        ("Fri, 06 Nov 99999999999999999999 08:49:44 GMT", None),
        ("Fri, 06 Nov 2026 08:49:44 +99999999999999", None),
        ("Fri, 06 Nov 2026 08:49:44 +9999", None),
        ("Fri, 32 Nov 2026 08:49:44 GMT", None),
        (",,,,,", None),
    ],
)
async def test_retry_after(value: str, seconds: float | None) -> None:
    """Seconds and dates are obeyed, up to 300 s and with jitter; anything else is ignored.

    So is what asks for no time at all.
    """
    pause = await pause_after(busy(value))
    if seconds is None:
        assert 0.99 <= pause <= 1.21, "a pause of the client's own"
    else:
        assert seconds - 0.01 <= pause <= 1.2 * seconds + 0.01


async def test_two_retry_after_headers() -> None:
    """The first one counts."""
    assert 7 <= await pause_after(busy("7", "100")) <= 8.41


@pytest.mark.parametrize(
    "own_date",
    [
        *(None, "", "yesterday", "Fri, 06 Nov 99999999999 08:49 GMT"),
        *("Fri, 06 Nov 2026 16:49:37 CST", "Fri, 06 Nov 2026 16:49:37 HKT"),
    ],
)
async def test_a_date_without_a_date_to_count_from(own_date: str | None) -> None:
    """Without the answer's own date, the local clock must do."""
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    assert 90 <= await pause_after(busy(soon, date=own_date)) <= 121


async def test_a_server_whose_clock_is_wrong() -> None:
    """A date counts from the answer's own date, whatever the local clock says."""
    then = datetime(2001, 1, 1, tzinfo=UTC)
    value = format_datetime(then + timedelta(seconds=50), usegmt=True)
    pause = await pause_after(busy(value, date=format_datetime(then, usegmt=True)))
    assert 50 <= pause <= 60.01


@pytest.mark.parametrize("status", [429, 503, 502])
async def test_retry_after_goes_with_every_transient_status(status: int) -> None:
    """Not only a 429 can ask to be left alone."""
    script = say(http(b"", status, {"Retry-After": "20"}))
    assert 20 <= await pause_after(script) <= 24.01


async def test_retry_after_spreads_those_who_come_back() -> None:
    """A hundred callers who are told the same do not come back at once."""
    async with RawServer(
        choose=lambda heard: busy("60") if heard.number < 100 else good()
    ) as server:
        async with server.client(concurrency=100) as client:
            await together(*(client.get(REF) for _ in range(100)))
        back = [heard.at - server.heard[0].at for heard in server.heard[100:]]
        assert len(back) == 100
        assert min(back) >= 60
        assert max(back) <= 75
        assert max(back) - min(back) > 8


async def test_an_undisturbed_call_sends_one_request() -> None:
    """A good answer is not asked for twice."""
    async with RawServer() as server, server.client(attempts=5) as client:
        await client.get(REF)
        assert server.count == 1
        assert client.statistics().requests == 1


DEFINITE: dict[str, tuple[Script, type[AiToEarnError]]] = {
    "no such task": (refuse(404), TaskNotFoundError),
    "broken contract": (say(http(b'{"code": 0, "data": {}}')), ContractError),
    "a redirect": (say(http(b"", 302)), UnexpectedResponseError),
    "refused by a proxy": (say(http(b"no", 413)), UnexpectedResponseError),
}


@pytest.mark.parametrize(("script", "error"), DEFINITE.values(), ids=DEFINITE)
async def test_a_definite_answer_is_not_asked_for_again(
    script: Script, error: type[AiToEarnError]
) -> None:
    """Where another try cannot help, there is none."""
    async with RawServer(script) as server, server.client(attempts=5) as client:
        with pytest.raises(error):
            await client.get(REF)
        assert server.count == 1


async def test_a_key_is_wrong_when_two_say_so() -> None:
    """On two connections. From then on one is enough, until there is a good answer."""
    no, yes = refuse(401), good()
    scripts = no, yes, no, no, no, yes, no, yes
    async with RawServer(*scripts) as server, server.client() as client:
        assert (await client.get(REF)).done
        assert server.heard[0].connection != server.heard[1].connection
        for asked in (4, 5):
            with pytest.raises(AuthenticationError):
                await client.get(REF)
            assert server.count == asked
        for _ in range(2):
            assert (await client.get(REF)).done
        assert server.count == 8
        assert client.statistics().requests == 8


async def test_a_single_attempt_is_one() -> None:
    async with RawServer(refuse(401)) as server, server.client(attempts=1) as client:
        with pytest.raises(AuthenticationError):
            await client.get(REF)
        assert server.count == 1


TRANSIENT: dict[str, tuple[Script, type[AiToEarnError]]] = {
    "a reset": (say(RST), ConnectionFailedError),
    "hung up": (say(FIN), ConnectionFailedError),
    "half an answer": (say(http(b"{", length=9), FIN), ConnectionFailedError),
    "no answer": (say(STALL), RequestTimeoutError),
    "code 500": (refuse(500), ServerError),
    "HTTP 502": (say(http(b"<html>", 502)), ServerError),
    "429": (say(http(b"", 429)), RateLimitError),
    "a page": (say(http(b"<html>")), UnexpectedResponseError),
    "garbage": (say(b"\0" * 100 + b"\r\n\r\n", FIN), UnexpectedResponseError),
}


@pytest.mark.sampled(3)
@pytest.mark.parametrize("attempts", [1, 2, 5])
@pytest.mark.parametrize(("script", "error"), TRANSIENT.values(), ids=TRANSIENT)
async def test_transient_trouble_that_lasts(
    script: Script, error: type[AiToEarnError], attempts: int
) -> None:
    """There are `attempts` requests on the wire, no hidden ones, and the last error is raised."""
    async with (
        RawServer(script) as server,
        server.client(attempts=attempts, request_timeout=10) as client,
    ):
        with pytest.raises(error) as caught:
            await client.get(REF)
        assert server.count == attempts
        assert client.statistics().requests == attempts
        assert client.statistics().failures == attempts
        ids = [heard.header("X-Request-Id") for heard in server.heard]
        assert len(set(ids)) == attempts, "every request has an id of its own"
        assert getattr(caught.value, "request_id", None) == ids[-1]


@pytest.mark.parametrize(("script", "error"), TRANSIENT.values(), ids=TRANSIENT)
async def test_transient_trouble_that_passes(script: Script, error: type[AiToEarnError]) -> None:
    """The last of the attempts is as good as the first."""
    async with (
        RawServer(script, script, good()) as server,
        server.client(attempts=3, request_timeout=10) as client,
    ):
        assert (await client.get(REF)).done
        assert server.count == 3


async def test_a_definite_answer_after_trouble() -> None:
    """Trouble first, then a clear no: that is it."""
    async with RawServer(say(RST), refuse(404), good()) as server, server.client() as client:
        with pytest.raises(TaskNotFoundError):
            await client.get(REF)
        assert server.count == 2


async def test_the_backoff() -> None:
    """Each pause is random, the most it can be doubles up to 8 s, and no two calls agree."""
    gaps: list[list[float]] = []
    async with RawServer(say(RST)) as server:
        for _ in range(20):
            first = server.count
            async with server.client(attempts=9, request_timeout=1000) as client:
                await together(client.get(REF))
            at = [heard.at for heard in server.heard[first:]]
            gaps.append([after - deadline for deadline, after in pairwise(at)])
    caps = [0.5, 1, 2, 4, 8, 8, 8, 8]
    for number, cap in enumerate(caps):
        column = [row[number] for row in gaps]
        assert max(column) <= cap + 0.01
        assert max(column) > 0.5 * cap
        assert min(column) < 0.5 * cap


async def test_no_pause_after_the_last_attempt() -> None:
    """The last error is raised at once."""
    loop = asyncio.get_running_loop()
    async with RawServer(busy("7")) as server, server.client(attempts=2) as client:
        with pytest.raises(RateLimitError):
            await client.get(REF)
        assert loop.time() - server.heard[1].at < 0.01


async def test_never_longer_than_all_its_requests_may_take() -> None:
    """A pause that would lead past `attempts` times `request_timeout` is not begun."""
    loop = asyncio.get_running_loop()
    async with (
        RawServer(busy("31")) as server,
        server.client(attempts=3, request_timeout=10) as client,
    ):
        began = loop.time()
        with pytest.raises(RateLimitError) as caught:
            await client.get(REF)
        assert caught.value.retry_after == 31
        assert loop.time() - began < 0.1
        assert server.count == 1


async def test_the_last_attempt_gets_what_is_left() -> None:
    """Timeouts and pauses together stay within the whole call's bound."""
    loop = asyncio.get_running_loop()
    async with (
        RawServer(say(STALL)) as server,
        server.client(attempts=4, request_timeout=10) as client,
    ):
        began = loop.time()
        with pytest.raises(RequestTimeoutError):
            await client.get(REF)
        assert loop.time() - began <= 40.02
        assert server.count == 4


@pytest.mark.parametrize("attempts", [1, 3])
@pytest.mark.parametrize("script", [say(RST), say(STALL), refuse(500)])
async def test_the_error_is_alone(script: Script, attempts: int) -> None:
    """Neither earlier attempts nor the errors of other libraries hang on to it."""
    async with (
        RawServer(script) as server,
        server.client(attempts=attempts, request_timeout=5) as client,
    ):
        with pytest.raises(AiToEarnError) as caught:
            await client.get(REF)
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None


async def ends_of(ends: list[AiToEarnError], *, seconds: float = 1000.0) -> str:
    """What a call with two attempts comes to that meets these, and then all is well."""
    lifetime = Lifetime()

    async def attempt(deadline: float) -> str | Verdict:
        if ends:
            return Verdict.on(ends.pop(0))
        return "good"

    first = Verdict.on(ends.pop(0))
    return await Retrier(lifetime, attempts=2).again(
        attempt, first, lifetime.time() + seconds, None
    )


async def test_who_is_held_has_not_asked() -> None:
    """Until the service wants to be asked again no attempt is used up, though time is."""
    held = [NotAskedError("later", retry_after=5.0) for _ in range(6)]
    assert await ends_of([*held, ServerError(503)]) == "good"
    with pytest.raises(ServerError):
        await ends_of([ServerError(503), *held, ServerError(503)])
    began = asyncio.get_running_loop().time()
    with pytest.raises(NotAskedError):
        await ends_of([*held], seconds=20)
    assert asyncio.get_running_loop().time() - began < 20
    with pytest.raises(NotAskedError):
        await ends_of([NotAskedError("it is down") for _ in range(2)])
