"""Whole answers that are none of the service's, or more than can be read."""

from __future__ import annotations

import gzip
import zlib

import pytest

from aitoearn_async import (
    AiToEarnError,
    ApiError,
    AuthenticationError,
    ConnectionFailedError,
    ContractError,
    RateLimitError,
    ServerError,
    UnexpectedResponseError,
)
from tests.support.answers import BARE, BODY, CHUNKED, ZIPPED, encoded, failure_of, page
from tests.support.raw_server import FIN, REF, Part, RawServer, envelope, http, say, task

BOMB = gzip.compress(b" " * 5_000_000)
DEFLATED_BOMB = zlib.compress(b" " * 5_000_000)

NO_JSON: dict[str, tuple[Part, ...]] = {
    "a page": (page(200),),
    "nothing": (http(b""),),
    "blanks": (http(b"  \r\n "),),
    "cut where the connection's end is the end": (BARE + b"\r\n" + BODY[:-3], FIN),
    "HTTP/1.0, cut": (BARE.replace(b"1.1", b"1.0") + b"\r\n" + BODY[:20], FIN),
    "gzip, cut, of the length announced": (encoded(ZIPPED[:-20], "gzip"),),
    "an encoding nobody knows": (encoded(b"\x8b\x07\x80", "br-9"),),
    "UTF-16": (http(BODY.decode().encode("utf-16")),),
    "two answers in one": (http(BODY + BODY),),
}

STATUSES: dict[int, tuple[type[AiToEarnError], bool]] = {
    101: (UnexpectedResponseError, True),
    204: (UnexpectedResponseError, True),
    205: (UnexpectedResponseError, True),
    206: (UnexpectedResponseError, True),
    300: (UnexpectedResponseError, False),
    304: (UnexpectedResponseError, True),
    400: (UnexpectedResponseError, False),
    401: (AuthenticationError, False),
    403: (UnexpectedResponseError, False),
    404: (UnexpectedResponseError, False),
    407: (UnexpectedResponseError, False),
    408: (UnexpectedResponseError, True),
    413: (UnexpectedResponseError, False),
    425: (UnexpectedResponseError, True),
    429: (RateLimitError, True),
    431: (UnexpectedResponseError, False),
    500: (ServerError, True),
    502: (ServerError, True),
    503: (ServerError, True),
    504: (ServerError, True),
    511: (ServerError, True),
    599: (ServerError, True),
    600: (UnexpectedResponseError, True),
    999: (UnexpectedResponseError, True),
}


@pytest.mark.parametrize("parts", NO_JSON.values(), ids=NO_JSON)
async def test_what_is_not_json(parts: tuple[Part, ...]) -> None:
    """A page, nothing, or half an answer under a 200 is worth another try."""
    error = await failure_of(*parts)
    assert type(error) is UnexpectedResponseError
    assert error.transient
    assert error.http_status == 200


@pytest.mark.parametrize("cut", range(len(BODY)))
async def test_json_cut_anywhere(cut: int) -> None:
    """An answer cut at any byte is never taken for a whole one."""
    error = await failure_of(http(BODY[:cut]))
    assert type(error) is UnexpectedResponseError
    assert error.transient


@pytest.mark.parametrize(("status", "expected"), STATUSES.items())
async def test_a_status_without_the_services_words(
    status: int, expected: tuple[type[AiToEarnError], bool]
) -> None:
    """What speaks for the service is judged by its HTTP status, and quoted in short."""
    bodiless = status in (101, 204, 304)
    answer = http(b"", status) if bodiless else page(status)
    error = await failure_of(answer.replace(b"Content-Length: 0\r\n", b"") if bodiless else answer)
    assert (type(error), error.transient) == expected
    assert getattr(error, "http_status", None) == status
    assert error.label == f"HTTP {status}"
    assert f"HTTP {status}" in str(error)
    assert len(str(error)) < 400


@pytest.mark.parametrize("status", [200, 400, 404, 500, 503])
async def test_the_services_own_words_count_whatever_the_status(status: int) -> None:
    """A refusal in the service's own envelope is understood under every HTTP status."""
    error = await failure_of(http(envelope(code=12302, message="任务不存在"), status))
    assert isinstance(error, ApiError)
    assert (error.code, error.message, error.http_status) == (12302, "任务不存在", status)


async def test_a_long_page_is_quoted_in_short() -> None:
    """Neither the length nor the control characters of a page get into a message."""
    error = await failure_of(http(b"<p>\x1b[31m\x00" + b"long " * 5000, 502))
    assert len(str(error)) < 400
    assert str(error).isprintable()


@pytest.mark.parametrize(
    "answer",
    [
        encoded(BOMB, "gzip"),
        encoded(DEFLATED_BOMB, "deflate"),
        CHUNKED.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n")
        + b"%x\r\n%b\r\n" % (len(BOMB), BOMB),
        http(b" " * 1_000_001),
        http(length=10**12) + b" " * 1_100_000,
        CHUNKED + b"F4241\r\n" + b" " * 1_000_001,
        BARE + b"\r\n" + b" " * 1_000_001,
    ],
    ids=["gzip", "deflate", "gzip, chunked", "plain", "endless", "one chunk", "to the end"],
)
async def test_a_huge_answer_is_given_up(answer: bytes) -> None:
    """Past the cap reading stops, whichever way the size was hidden; once is enough."""
    error = await failure_of(answer, attempts=3, max_response_bytes=1_000_000)
    assert type(error) is UnexpectedResponseError
    assert not error.transient
    assert "1,000,000 bytes" in str(error)


async def test_the_cap_is_the_decoded_size() -> None:
    """An answer of exactly the cap is read, one byte more is not."""
    cap = len(BODY)
    answers = say(encoded(ZIPPED, "gzip")), say(encoded(gzip.compress(BODY + b" "), "gzip"))
    async with RawServer(*answers) as server, server.client(max_response_bytes=cap) as client:
        assert (await client.get(REF)).done
        with pytest.raises(UnexpectedResponseError, match="larger"):
            await client.get(REF)


async def test_an_answer_of_megabytes_is_read() -> None:
    """The service echoes submitted images, so a large answer is nothing unusual."""
    body = envelope(task(request={"image": "x" * 5_000_000}))
    async with (
        RawServer(say(http(body)), say(encoded(gzip.compress(body, 1), "gzip"))) as server,
        server.client() as client,
    ):
        for _ in range(2):
            request = (await client.get(REF)).request
            assert request is not None
            assert len(request["image"]) == 5_000_000


async def test_a_bomb_of_an_encoding_not_asked_for() -> None:
    """Only gzip is offered; what comes in another encoding is at most a failed request."""
    error = await failure_of(encoded(b"\x28\xb5\x2f\xfd" + b"\0" * 400, "zstd"))
    assert isinstance(error, ConnectionFailedError | UnexpectedResponseError)
    assert error.transient


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 1_000_000,
        b'{"data":' * 200_000 + b"}" * 200_000,
        b'{"code":0,"data":' + b"[],".join([b"["] + [b""] * 1_000_000) + b"[]]}",
        b'{"code":' + b"1" * 1_000_000 + b"}",
        b"1" * 1_000_000,
        b'{"code":0,"data":{"logId":"\\ud800","status":"x"}}',
        b'{"code":0,"data":{"logId":"\xff","status":"x"}}',
        b'{"code":0,"data":null}',
        b'{"code":0}',
        b'{"code":"0","data":{}}',
        b"[]",
        b"null",
        b'{"code":0,"data":{"logId":5,"status":"success"}}',
        b"\xef\xbb\xbf" + BODY,
        b"NaN",
    ],
    ids=lambda body: repr(body[:24]),
)
async def test_json_bombs_and_broken_contracts(body: bytes) -> None:
    """Hostile or wrong JSON is an error of this package, never a crash."""
    error = await failure_of(http(body))
    assert isinstance(error, ContractError | UnexpectedResponseError)
    assert len(str(error)) < 500
