"""Recorded answers to submits and lists, and what they come to."""

from __future__ import annotations

import pytest

from aitoearn_async import GenerateImage, GenerateVideo, VideoRef
from aitoearn_async.contract.endpoints import endpoint_of, page_decoder, submit_of
from aitoearn_async.contract.envelope import Broken, Envelope, Refusal, read_plain, read_row

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
        found = read_plain(body.encode(), row.decoder)
        assert isinstance(found, Envelope)
        assert found.data.id == id
        assert found.request_id == "3q8ao1nd1n5gnxyuzf94n"
    wrong_kind = read_plain(video.encode(), IMAGE.decoder)
    assert isinstance(wrong_kind, Broken)
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
    found = read_plain(body, IMAGE.decoder)
    assert isinstance(found, Refusal)
    assert found.code == code


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[" * 10**6, b'{"code":0}', b'{"code":0,"data":null}', b'{"code":"0","data":{}}'],
)
def test_what_is_no_answer(body: bytes) -> None:
    assert isinstance(read_plain(body, IMAGE.decoder), Broken)


def test_lists() -> None:
    empty = f'{{"data":{{"page":1,"pageSize":10,"totalPages":0,"total":0,"list":[]}},{OK}'
    found = read_plain(empty.encode(), page_decoder)
    assert isinstance(found, Envelope)
    assert (found.data.rows, found.data.total) == ([], 0)
    one = '{"data":{"list":[{"id":"a","status":"x","finishedAt":"?"},{"id":1}]},"code":0}'
    found = read_plain(one.encode(), page_decoder)
    assert isinstance(found, Envelope)
    good, bad = (read_row(bytes(row), endpoint_of(VideoRef("0"))) for row in found.data.rows)
    assert not isinstance(good, Broken)
    assert good.id == "a"
    assert isinstance(bad, Broken)
