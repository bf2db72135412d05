"""Answers that are HTTP, but none of the service's: pages, nothing, any status there is."""

from __future__ import annotations

import ast

import pytest

from aitoearn_async import (
    AiToEarnError,
    ApiError,
    AuthenticationError,
    RateLimitError,
    ServerError,
    UnexpectedResponseError,
)
from tests.support.answers import BODY, PAGE, WHOLE, page
from tests.support.raw_server import (
    KEY,
    REF,
    Heard,
    Part,
    RawServer,
    Script,
    envelope,
    good,
    http,
    refuse,
    say,
)

from .harness import Row, Trial
from .shared import costs_a_poll, is_no_matter

ROW = Row(
    8,
    "Something else than the service answers: a page under a 200, nothing at all, any status",
    "A page or an empty body under a 200, and every 5xx, cost a poll. Other statuses are told "
    "as what they are. Errors quote the answer in short, without control characters or the key.",
)

NO_JSON: dict[str, bytes] = {
    "a page": page(200),
    "nothing": http(b""),
    "blanks": http(b"  \r\n "),
    "UTF-16": http(BODY.decode().encode("utf-16")),
    "two answers in one": http(BODY + BODY),
    "plain text": http(b"OK", headers={"Content-Type": "text/plain"}),
    "text that begins like a number": http(b"503 Service Unavailable"),
    "text that begins like a list": http(b"[error] no upstream"),
    "text that begins like a string": http(b'"upstream" is down'),
    "text that begins like nothing": http(b"null (no upstream)"),
    "part of it, as a 206": http(BODY[: len(BODY) // 2], 206),
}


@pytest.mark.parametrize("answer", NO_JSON.values(), ids=NO_JSON)
async def test_no_json_under_a_good_status(trial: Trial, answer: bytes) -> None:
    """Costs a poll, and the error begins to quote it."""
    status = int(answer.split()[1])
    error = await costs_a_poll(trial, answer, error=UnexpectedResponseError, status=status)
    assert f"HTTP {status}" in str(error)
    assert len(str(error)) < 400


def expected(status: int) -> tuple[type[AiToEarnError], bool]:
    """What a status is without the service's own words, and whether it is asked for again."""
    if status == 401:
        return AuthenticationError, False
    if status == 429:
        return RateLimitError, True
    if 500 <= status <= 599 and status != 511:
        return ServerError, True
    refused = 300 <= status <= 499 and status not in (304, 408, 425)
    return UnexpectedResponseError, not refused


BODILESS = (101, 204, 304)
"""No body follows these, whatever their headers say. (1xx but 101 are no answers at all.)"""
# Beyond 599 there are no classes any more: every seventh stands for its neighbours.
STATUSES = (101, *range(200, 600), *range(600, 1000, 7), 999)


@pytest.mark.slow
async def test_every_status(trial: Trial) -> None:
    """One request for each, with a page, or nothing where HTTP has nothing to follow."""

    def choose(heard: Heard) -> Script:
        status = STATUSES[heard.number]
        if status in BODILESS:
            return say(f"HTTP/1.1 {status} Whatever\r\n\r\n".encode())
        return say(page(status))

    async with RawServer(choose=choose) as server:
        for status in STATUSES:
            # A client each: one would soon hold such a service for down, and not ask.
            async with server.client(attempts=1) as client:
                (error,) = await trial.ends(client.get, REF)
            assert (type(error), error.transient) == expected(status), status
            assert error.http_status == status
            assert error.label == ("no JSON" if status == 200 else f"HTTP {status}")
            assert f"HTTP {status}" in str(error)
            assert len(str(error)) < 400
    trial.wire(server, exactly=len(STATUSES))
    trial.figure("statuses tried", len(STATUSES))


BAD_STATUSES = [b"0", b"1", b"20", b"99", b"1000", b"2000", b"-200", b"2e2", b"", b"\xb2\xb2\xb2"]


@pytest.mark.parametrize("status", BAD_STATUSES, ids=repr)
async def test_what_is_no_status(trial: Trial, status: bytes) -> None:
    """The answer is not HTTP; or, by a lenient parser, not the service's. Never a good one."""
    answer = WHOLE.replace(b" 200 ", b" " + status + b" ", 1)
    async with RawServer(say(answer), good()) as server, server.client(attempts=1) as client:
        (error,) = await trial.ends(client.get, REF)
        assert type(error) is UnexpectedResponseError
        await trial.ends(client.get, REF, status="success")
    trial.wire(server, exactly=2)


@pytest.mark.parametrize("status", [502, 503, 504, 500, 408])
async def test_trouble_of_a_proxy(trial: Trial, status: int) -> None:
    """What says "not now" costs a poll."""
    kind, _ = expected(status)
    error = await costs_a_poll(trial, page(status), error=kind, status=status)
    assert "502 Bad Gateway" in str(error), "the page is quoted"


@pytest.mark.parametrize("status", [302, 404, 500, 503, 999])
async def test_a_good_body_under_a_bad_status(trial: Trial, status: int) -> None:
    """It is not believed: something on the way may have kept it from long ago."""
    kind, _ = expected(status)
    scripts = good("generating"), say(http(BODY.replace(b"success", b"failed"), status)), good()
    async with RawServer(*scripts) as server, server.client() as client:
        waiter = client.wait_for(REF)
        await trial.ends(lambda _: waiter, REF, status="success")
        assert waiter.seen == {"generating": 1, f"HTTP {status}": 1, "success": 1}
    async with RawServer(*scripts[1:]) as other, other.client(attempts=1) as client:
        (error,) = await trial.ends(client.get, REF)
        assert type(error) is kind
    trial.wire(server, other, exactly=4)


@pytest.mark.parametrize("status", [200, 206, 400, 404, 500, 503, 999])
async def test_the_services_own_words_count_under_any_status(trial: Trial, status: int) -> None:
    """A refusal in the service's envelope is understood whatever the HTTP status says."""
    answer = http(envelope(code=12302, message="任务不存在"), status)
    async with RawServer(say(answer)) as server, server.client(attempts=3) as client:
        (error,) = await trial.ends(client.get, REF)
        assert isinstance(error, ApiError)
        assert (error.code, error.message, error.http_status) == (12302, "任务不存在", status)
    trial.wire(server, exactly=1)


INTERIM = b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n"
NO_MATTER: dict[str, tuple[Part, ...]] = {
    "one interim answer": (b"HTTP/1.1 100 Continue\r\n\r\n", WHOLE),
    "a storm of interim answers": (INTERIM * 5_000, WHOLE),
    "interim answers of every status": (
        b"".join(b"HTTP/1.1 %d Wait\r\n\r\n" % n for n in range(100, 200) if n != 101) + WHOLE,
    ),
    "an empty reason": (WHOLE.replace(b" Whatever", b" ", 1),),
    "no reason": (WHOLE.replace(b" Whatever", b"", 1),),
    "201": (http(BODY, 201),),
    "206, and all of it": (http(BODY, 206),),
    "299": (http(BODY, 299),),
    "called HTML": (http(BODY, headers={"Content-Type": "text/html"}),),
    "called nothing": (WHOLE.replace(b"Content-Type", b"X-Type", 1),),
}


@pytest.mark.parametrize("parts", NO_MATTER.values(), ids=NO_MATTER)
async def test_what_does_not_matter(trial: Trial, parts: tuple[Part, ...]) -> None:
    """The service's answer is known by its body; the rest may be odd."""
    await is_no_matter(trial, *parts)


QUOTED: dict[str, bytes] = {
    "long": b"<p>" + b"long " * 5_000,
    "control characters": b"\x1b[31m\x00\x07\r\n\xc2\x85\xe2\x80\xae",
    "not UTF-8": bytes(range(256)),
    "the key": b"you sent " + KEY.encode() + b"!",
    "the key at the edge": b"x" * 190 + KEY.encode(),
    "the key across the edge": b" " * 985 + KEY.encode(),
    "the key in capitals": b"you sent " + KEY.upper().encode(),
    "a refusal full of it": envelope(code=500, message=KEY * 40),
    "a refusal that ends in it": envelope(code=500, message=KEY * 18 + "x" * 4 + KEY),
}


@pytest.mark.parametrize("body", QUOTED.values(), ids=QUOTED)
async def test_how_it_is_quoted(trial: Trial, body: bytes) -> None:
    """In at most 200 printable characters, none of which are the key."""
    async with RawServer(say(http(body, 502))) as server, server.client(attempts=1) as client:
        (error,) = await trial.ends(client.get, REF)
        assert len(str(error)) < 400
        assert str(error).isprintable()
        assert KEY[:8] not in str(error).lower(), "not in part either"
        assert isinstance(error, ApiError)
        _, begins, quoted = error.message.partition("it begins ")
        told = ast.literal_eval(quoted) if begins else error.message
        trial.figure("characters quoted", len(told), 200)
    trial.wire(server, exactly=1)


async def test_a_page_does_not_end_a_wait(trial: Trial) -> None:
    """Not even one that a single request would not be repeated for."""
    scripts = good("generating"), say(page(404)), say(page(403)), say(http(PAGE, 413)), good()
    async with RawServer(*scripts) as server, server.client() as client:
        await trial.ends(client.wait_for, REF, status="success")
    trial.wire(server, exactly=5)


async def test_a_401_of_a_proxy_is_doubted_once(trial: Trial) -> None:
    """After good answers a first one is not believed; a second one is."""
    scripts = good("generating"), say(page(401)), good("generating"), say(page(401))
    async with RawServer(*scripts) as server, server.client() as client:
        (error,) = await trial.ends(client.wait_for, REF)
        assert type(error) is AuthenticationError
    trial.wire(server, exactly=5)


async def test_a_refusal_costs_one_request(trial: Trial) -> None:
    """The service's own 404 is final; a page with a 404 is not the service's."""
    async with RawServer(refuse(404)) as server, server.client(attempts=3) as client:
        await trial.ends(client.get, REF)
        await trial.ends(client.wait_for, REF)
    trial.wire(server, exactly=2)
