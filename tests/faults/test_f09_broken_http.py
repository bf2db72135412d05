"""Bytes that break HTTP, and headers of every kind."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aitoearn_async import (
    AiToEarnError,
    ConnectionFailedError,
    ImageTask,
    RequestTimeoutError,
    TransportError,
    UnexpectedResponseError,
)
from aitoearn_async.emulator import VirtualTimeLoop
from tests.support.answers import BARE, BODY, CHUNK, CHUNKED, WHOLE
from tests.support.raw_server import FIN, ID, KEY, REF, Heard, Part, RawServer, Script, http, say

from .harness import Entry, Row, Trial
from .shared import costs_a_poll, is_no_matter

ROW = Row(
    9,
    "The answer breaks HTTP: no status line, two lengths, a NUL, a header of 9 kB, 200 headers",
    "A transport error that costs a poll. It is never taken for an HTTP 400 of the service, "
    "and the connection it came on is given up.",
)

BROKEN: dict[str, tuple[Part, ...]] = {
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20 + b"\r\n\r\n", FIN),
    "zeros": (b"\0" * 100 + b"\r\n\r\n", FIN),
    "HTTP/0.9": (BODY + b"\r\n\r\n", FIN),
    "a length and chunks": (
        WHOLE.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n"),
        FIN,
    ),
    "a negative length": (http(BODY, length=-1), FIN),
    "a length that is none": (BARE + b"Content-Length: 1e3\r\n\r\n" + BODY, FIN),
    "a NUL in a header": (http(BODY, headers={"X-Name": "a\0b"}), FIN),
    "a header without a name": (WHOLE.replace(b"\r\n", b"\r\n: x\r\n", 1), FIN),
    "a header without a colon": (WHOLE.replace(b"\r\n", b"\r\nnothing\r\n", 1), FIN),
    "a header of 9 kB": (http(BODY, headers={"X-Name": "x" * 9000}), FIN),
    "a header name of 9 kB": (http(BODY, headers={"X" * 9000: "x"}), FIN),
    "200 headers": (http(BODY, headers={f"X-{n}": "x" for n in range(200)}), FIN),
    "a status of two digits": (WHOLE.replace(b"200", b"20", 1), FIN),
}
# In the body of an answer whose head was good.
BROKEN_BODY: dict[str, tuple[Part, ...]] = {
    "a chunk size that is none": (CHUNKED + b"xyz\r\n" + BODY + b"\r\n0\r\n\r\n", FIN),
    "a negative chunk size": (CHUNKED + b"-5\r\n" + BODY + b"\r\n0\r\n\r\n", FIN),
    "a chunk longer than said": (CHUNKED + b"5\r\n" + BODY + b"\r\n0\r\n\r\n", FIN),
}


@pytest.mark.parametrize("parts", BROKEN.values(), ids=BROKEN)
async def test_what_is_not_http(trial: Trial, parts: tuple[Part, ...]) -> None:
    """It has no status: whatever an HTTP library makes one of is not quoted."""
    error = await costs_a_poll(trial, *parts, error=UnexpectedResponseError)
    assert error.label == "not HTTP"
    assert isinstance(error, UnexpectedResponseError)
    assert "400" not in str(error).replace(str(error.request_id), "")


@pytest.mark.parametrize("parts", BROKEN_BODY.values(), ids=BROKEN_BODY)
async def test_chunks_that_are_none(trial: Trial, parts: tuple[Part, ...]) -> None:
    """A body that cannot be taken apart is a transport's fault too, of either kind."""
    async with RawServer(say(*parts)) as server, server.client(attempts=2) as client:
        (error,) = await trial.ends(client.get, REF)
        assert isinstance(error, TransportError)
        assert error.transient
        assert error.http_status is None
    trial.wire(server, exactly=2)


# Of these aiohttp's parsers, the one in C and the one in Python, think differently.
DOUBTFUL: dict[str, tuple[Part, ...]] = {
    "two lengths": (WHOLE.replace(b"\r\n\r\n", b"\r\nContent-Length: 5\r\n\r\n"), FIN),
    "less announced than sent": (http(BODY, length=len(BODY) - 1), FIN),
    "lines that end in LF": (WHOLE.replace(b"\r\n", b"\n"), FIN),
    "a folded header": (http(BODY, headers={"X-Name": "a\r\n b"}), FIN),
    "a blank before the colon": (WHOLE.replace(b"Content-Type:", b"Content-Type :"), FIN),
    "HTTP/2.0": (WHOLE.replace(b"1.1", b"2.0", 1), FIN),
    "HTTP/9.9": (WHOLE.replace(b"1.1", b"9.9", 1), FIN),
    "a length of 4,000 digits": (BARE + b"Content-Length: " + b"1" * 4000 + b"\r\n\r\n", FIN),
    "a chunk size of 40 digits": (CHUNKED + b"1" * 40 + b"\r\n" + BODY, FIN),
}


@pytest.mark.parametrize("parts", DOUBTFUL.values(), ids=DOUBTFUL)
async def test_what_is_http_to_some(trial: Trial, parts: tuple[Part, ...]) -> None:
    """The right answer, or a transport error: never a wrong answer, and never another error."""
    async with RawServer(say(*parts)) as server, server.client(attempts=1) as client:
        (end,) = await trial.ends(client.get, REF, status="success", or_error=True)
        assert isinstance(end, ImageTask | TransportError), end
    trial.wire(server, exactly=1)


NO_MATTER: dict[str, tuple[Part, ...]] = {
    "a header that is not UTF-8": (http(BODY, headers={"X-Name": "caf\xe9"}),),
    "a charset that is none": (http(BODY, headers={"Content-Type": "text/x; charset=base64"}),),
    "a type that is none": (http(BODY, headers={"Content-Type": "@/;=;"}),),
    "an ETag that is none": (http(BODY, headers={"ETag": 'W/"\x80" "'}),),
    "a date that is none": (http(BODY, headers={"Date": "yesterday", "Retry-After": "nan"}),),
    "a thousand cookies": (http(BODY, headers={"Set-Cookie": "a=b; Domain=x" * 500}),),
    "a redirect that is none": (http(BODY, headers={"Location": "http://elsewhere.test/"}),),
    "a protocol to upgrade to": (http(BODY, headers={"Upgrade": "h2c"}),),
    "120 headers": (http(BODY, headers={f"X-{n}": "x" for n in range(120)}),),
    "chunks with extensions and trailers": (
        CHUNKED + CHUNK.replace(b"\r\n", b";a=b\r\n", 1) + b"0\r\nX-Sum: 1\r\n\r\n",
    ),
}


@pytest.mark.parametrize("parts", NO_MATTER.values(), ids=NO_MATTER)
async def test_headers_that_do_not_matter(trial: Trial, parts: tuple[Part, ...]) -> None:
    """What stands in headers that are not needed makes no answer worse."""
    await is_no_matter(trial, *parts)


NAMES = [
    *("ETag", "Retry-After", "Date", "Location", "Content-Type", "Content-Encoding", "Link"),
    *("Set-Cookie", "Connection", "Keep-Alive", "X-Request-Id", "Transfer-Encoding", "Vary"),
    *("Content-Length", "Trailer", "Upgrade", "Server", "Cache-Control", "Proxy-Authenticate"),
]
TOKENS = st.text("abcdefghijklmnopqrstuvwxyzABCDEFXYZ0123456789-_.!#$%&'*+^`|~", min_size=1)
VALUES = (
    st.binary(max_size=60)
    | st.sampled_from([b"gzip", b"br", b"chunked", b"close", b"*", b"0", b"9" * 30, b"\xff", b""])
    | st.just(KEY.encode())
)
HEADERS = st.lists(st.tuples((st.sampled_from(NAMES) | TOKENS).map(str.encode), VALUES), max_size=8)
STATUSES = st.sampled_from([200, 200, 200, 204, 206, 302, 304, 401, 404, 429, 500, 503, 999])


def answer(status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> bytes:
    lines = [b"HTTP/1.1 %d x" % status, *(name + b": " + value for name, value in headers)]
    return b"\r\n".join(lines) + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body


ANSWERS = st.builds(answer, STATUSES, HEADERS, st.just(BODY) | st.binary(max_size=40))
RAW = st.binary(max_size=300) | st.builds(
    lambda whole, at, byte: whole[: at % len(whole)] + byte + whole[at % len(whole) + 1 :],
    st.sampled_from([WHOLE, CHUNKED + CHUNK + b"0\r\n\r\n", http(b"", 503)]),
    st.integers(0, 10_000),
    st.binary(max_size=3),
)


async def take(trial: Trial, answers: list[bytes]) -> None:
    """What the client makes of these, one after the other, each on a connection of its own."""

    def choose(heard: Heard) -> Script:
        return say(answers[heard.number], FIN)

    options = {"attempts": 1, "request_timeout": 5}
    async with RawServer(choose=choose) as server:
        for _ in answers:
            # A client each: some of these answers ask to be left alone.
            async with server.client(**options) as client:
                (end,) = await trial.ends(client.get, REF)
                assert isinstance(end, AiToEarnError) or end.log_id == ID
                statistics = client.statistics()
                assert (statistics.in_flight, statistics.queued) == (0, 0)
    trial.wire(server, exactly=len(answers))


@settings(
    derandomize=True,  # the same examples on every run
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(answers=st.lists(ANSWERS | RAW, min_size=1, max_size=12))
def test_any_head_and_any_bytes(trial: Trial, answers: list[bytes]) -> None:
    """Whatever comes over a connection: a task of that id, or one of our errors, in time."""

    async def main() -> None:
        async with trial.left_as_found():
            await take(trial, answers)
        trial.check()

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(main())


def test_the_examples_reach_every_end(trial: Trial) -> None:
    """What is tried above comes to tasks, broken transports, time-outs and refusals alike."""
    tried = [
        http(BODY),
        *(answer(status, [], b"") for status in (401, 500)),
        b"junk\r\n\r\n",
        CHUNKED + CHUNK,
        answer(200, [(b"Content-Encoding", b"gzip")], BODY),
    ]
    own = Trial(Entry(row=ROW, test="own"))

    async def main() -> list[object]:
        def choose(heard: Heard) -> Script:
            return say(tried[heard.number], FIN)

        async with RawServer(choose=choose) as server, server.client(attempts=1) as client:
            return [end for _ in tried for end in await own.ends(client.get, REF)]

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        kinds = {type(end) for end in runner.run(main())}
    assert {ImageTask, ConnectionFailedError, UnexpectedResponseError} < kinds
    assert RequestTimeoutError not in kinds
    trial.book([], [])
