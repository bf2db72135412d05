"""Answers to submits and lists that nobody has recorded, and what they come to."""

from __future__ import annotations

import pytest

from aitoearn_async import GenerateImage, VideoRef
from aitoearn_async.contract.endpoints import (
    endpoint_of,
    log_row_decoder,
    page_decoder,
    submit_of,
)
from aitoearn_async.contract.envelope import Envelope, Malformed, decode, decode_row

IMAGE = submit_of(GenerateImage(model="m", prompt="p"))


def test_a_receipt_of_another_kind() -> None:
    """It names no task of the kind that was asked for, and is broken."""
    video = b'{"data":{"id":"6b02e6e0d971ff8d14238f9d","status":"SUBMITTED"},"code":0}'
    found = decode(video, IMAGE.decoder)
    assert isinstance(found, Malformed)
    assert found.is_json


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[" * 10**6, b'{"code":0}', b'{"code":0,"data":null}', b'{"code":"0","data":{}}'],
)
def test_what_is_no_answer(body: bytes) -> None:
    assert isinstance(decode(body, IMAGE.decoder), Malformed)


def test_lists() -> None:
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
