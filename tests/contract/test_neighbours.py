"""Recorded answers to submits and lists, and what they come to."""

from __future__ import annotations

import pytest

from aitoearn_async import GenerateImage, GenerateVideo, VideoRef
from aitoearn_async.contract.endpoints import (
    endpoint_of,
    log_row_decoder,
    page_decoder,
    submit_of,
)
from aitoearn_async.contract.envelope import Envelope, Malformed, decode, decode_row
from aitoearn_async.contract.refusal import Refusal

IMAGE = submit_of(GenerateImage(model="m", prompt="p"))
VIDEO = submit_of(GenerateVideo(model="m", prompt="p"))
OK = '"code":0,"message":"请求成功","requestId":"3q8ao1nd1n5gnxyuzf94n"}'


def test_receipts() -> None:
    image = f'{{"data":{{"logId":"6b02e6e1d971ff8d14238fca","status":"generating"}},{OK}'
    video = f'{{"data":{{"id":"6b02e6e0d971ff8d14238f9d","status":"SUBMITTED"}},{OK}'
    for row, body, id in (
        (IMAGE, image, "6b02e6e1d971ff8d14238fca"),
        (VIDEO, video, "6b02e6e0d971ff8d14238f9d"),
    ):
        found = decode(body.encode(), row.decoder)
        assert isinstance(found, Envelope)
        assert found.data.id == id
        assert found.request_id == "3q8ao1nd1n5gnxyuzf94n"
    wrong_kind = decode(video.encode(), IMAGE.decoder)
    assert isinstance(wrong_kind, Malformed)
    assert wrong_kind.is_json


@pytest.mark.parametrize(
    ("body", "code"),
    [
        # A body over the limit, one that is no JSON, one that is invalid.
        (
            b'{"data":{},"code":500,"message":"Internal server error","timestamp":1795352289536}',
            500,
        ),
        (b'{"data":{},"code":400,"message":"Bad request","timestamp":1795352289236}', 400),
        (
            b'{"data":{},"code":400,"message":"Bad request","requestId":"97yoek87wf9ruc6s51175"}',
            400,
        ),
        (b'{"data":[],"code":12300,"message":null}', 12300),
    ],
)
def test_refusals(body: bytes, code: int) -> None:
    found = decode(body, IMAGE.decoder)
    assert isinstance(found, Refusal)
    assert found.code == code


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[" * 10**6, b'{"code":0}', b'{"code":0,"data":null}', b'{"code":"0","data":{}}'],
)
def test_what_is_no_answer(body: bytes) -> None:
    assert isinstance(decode(body, IMAGE.decoder), Malformed)


def test_lists() -> None:
    empty = f'{{"data":{{"page":1,"pageSize":10,"totalPages":0,"total":0,"list":[]}},{OK}'
    found = decode(empty.encode(), page_decoder)
    assert isinstance(found, Envelope)
    assert (found.data.rows, found.data.total) == ([], 0)
    one = '{"data":{"list":[{"id":"a","status":"x","finishedAt":"?"},{"id":1}]},"code":0}'
    found = decode(one.encode(), page_decoder)
    assert isinstance(found, Envelope)
    good, bad = (
        decode_row(bytes(row), endpoint_of(VideoRef("0")).codec) for row in found.data.rows
    )
    assert not isinstance(good, Malformed)
    assert good.id == "a"
    assert isinstance(bad, Malformed)


@pytest.mark.parametrize(
    ("fields", "submitted"),
    [
        ('"createdAt":"2026-11-29T17:00:00.000Z"', 1795971600.0),
        ('"createdAt":1795971600000', 1795971600.0),
        ('"startedAt":"2026-11-29T17:00:00.000Z"', 1795971600.0),
        ('"createdAt":"yesterday"', None),
        ('"model":null', None),
    ],
)
def test_the_times_of_a_log_row(fields: str, submitted: float | None) -> None:
    """Text or milliseconds; one that cannot be read is as one that is not there."""
    row = log_row_decoder.decode(f'{{"id":"a","status":"success",{fields}}}'.encode())
    assert row.times.submitted == submitted
