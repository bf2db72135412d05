"""JSON that ends before its end, under a length that is right."""

from __future__ import annotations

import json

import pytest

from aitoearn_async import GenerateImage, UnexpectedResponseError
from aitoearn_async.contract.endpoints import endpoint_of, submit_of
from aitoearn_async.contract.envelope import Malformed, decode, decode_head
from aitoearn_async.contract.refusal import refusal
from tests.contract.samples import SAMPLES, Sample
from tests.support.answers import BODY
from tests.support.raw_server import ID, REF, Heard, RawServer, Script, envelope, http, say, task

from .harness import Row, Trial
from .shared import costs_a_poll

ROW = Row(
    7,
    "The JSON is cut, at any byte",
    "Half an answer is never taken for a whole one, nor for a refusal, nor for a broken "
    "contract: it costs a poll.",
)

MOST = 3_000
"""Of a sample's bytes, so many at both ends are tried: one sample echoes a large picture."""


def cuts(body: bytes) -> list[int]:
    size = len(body)
    return [cut for cut in range(size) if cut < MOST or cut >= size - MOST]


@pytest.mark.sampled(3)
@pytest.mark.usefixtures("untraced")
@pytest.mark.parametrize("written", ["UTF-8", "escaped", "code first"])
def test_every_sample_cut_at_every_byte(trial: Trial, written: str) -> None:
    """Each recorded answer, and the same as servers write it that escape all but ASCII, or that
    begin with the code, after which half an answer looks the most like a whole one."""
    tried = 0
    for sample in SAMPLES.values():
        body = sample.body.encode()
        if not body.startswith(b"{"):
            continue
        if written == "escaped":
            body = json.dumps(json.loads(body) | {"more": "🎬 \\ud83d 你好"}).encode()
        elif written == "code first":
            body = json.dumps({"code": 0} | json.loads(body)).encode()
        tried += check(sample, body)
    assert tried > 30_000
    trial.figure("offsets tried", tried)


def check(sample: Sample, body: bytes) -> int:
    endpoint = endpoint_of(sample.ref)
    offsets = cuts(body)
    for cut in offsets:
        half = body[:cut]
        result = endpoint.codec.decode(half)
        assert isinstance(result, Malformed), (sample.name, cut)
        assert not result.is_json, (sample.name, cut, result.reason)
        assert decode_head(half, endpoint.codec) is None
        assert refusal(half) is None
    return len(offsets)


BREAKING = {
    "a code in quotes": b'{"code":"0","data":{"logId":"%s","status":"success"}}' % ID.encode(),
    "a status that is a number": b'{"data":{"status":1,"logId":[2]},"code":0,"message":"ok"}',
    "no data": b'{"data":null,"code":0,"message":"ok","requestId":"x"}',
    "a list": b'[{"code":0}, {"code":1}]',
}


@pytest.mark.parametrize("body", BREAKING.values(), ids=BREAKING)
def test_what_breaks_the_contract_cut_at_every_byte(body: bytes) -> None:
    """Half of it says no more of the contract than half of any other answer."""
    endpoint, receipts = endpoint_of(REF), submit_of(GenerateImage(model="m", prompt="p")).decoder
    for cut in range(len(body) + 1):
        for result in (endpoint.codec.decode(body[:cut]), decode(body[:cut], receipts)):
            assert isinstance(result, Malformed)
            assert result.is_json is (cut == len(body)), (cut, result.reason)


STRANGE = {
    "plain": BODY,
    "emoji": envelope(task(request={"prompt": "🎬🎥"})),
    "escaped": json.dumps(json.loads(envelope(task(request={"prompt": "🎬🎥"})))).encode(),
    "a refusal": envelope(code=404, message="任务不存在"),
}


@pytest.mark.sampled(4)
@pytest.mark.parametrize("body", STRANGE.values(), ids=STRANGE)
async def test_cut_at_every_byte_on_the_wire(trial: Trial, body: bytes) -> None:
    """One request each, and each time a transient error that says what came."""

    def choose(heard: Heard) -> Script:
        return say(http(body[: heard.number]))

    async with RawServer(choose=choose) as server, server.client(attempts=1) as client:
        for _ in range(len(body)):
            (error,) = await trial.ends(client.get, REF)
            assert type(error) is UnexpectedResponseError
            assert error.transient
            assert error.http_status == 200
        assert client.statistics().failures == len(body)
    trial.wire(server, exactly=len(body))


@pytest.mark.parametrize("body", STRANGE.values(), ids=STRANGE)
async def test_half_of_it_costs_a_poll(trial: Trial, body: bytes) -> None:
    """To `get` and to a wait alike."""
    await costs_a_poll(
        trial, http(body[: len(body) // 2]), error=UnexpectedResponseError, status=200
    )
