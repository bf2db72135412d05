"""Whole answers that are none of the service's, or more than can be read."""

from __future__ import annotations

import gzip
import zlib

import pytest

from aitoearn_async import (
    ConnectionFailedError,
    ContractError,
    UnexpectedResponseError,
)
from tests.support.answers import BARE, BODY, CHUNKED, ZIPPED, encoded, failure_of
from tests.support.raw_server import REF, RawServer, envelope, http, say, task

BOMB = gzip.compress(b" " * 5_000_000)
DEFLATED_BOMB = zlib.compress(b" " * 5_000_000)


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
