"""A no in whatever shape a gateway gives it, and content that counts before its dress."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitoearn_async import ImageRef, VideoRef
from aitoearn_async.contract import refusal as reader
from aitoearn_async.contract.endpoints import ENDPOINTS
from aitoearn_async.contract.envelope import Envelope, Malformed, decode_row
from aitoearn_async.contract.refusal import Members, Refusal, refusal

from .strategies import TEXTS

CODEC = ENDPOINTS[ImageRef].codec
WORDS = "余额不足 (balance is 0.01)"

SHAPES: dict[str, tuple[Any, int | None]] = {
    "the service's": ({"code": 401, "message": WORDS, "data": {}}, 401),
    "a nested error": ({"error": {"message": WORDS, "code": "insufficient_quota"}}, None),
    "an error that is text": ({"error": WORDS}, None),
    "a code that is a word": ({"code": "insufficient_quota", "message": WORDS}, None),
    "a code that is text": ({"code": "1", "message": WORDS}, 1),
    "no success": ({"success": False, "message": WORDS}, None),
    "short names": ({"code": 1, "msg": WORDS}, 1),
    "a detail": ({"detail": WORDS}, None),
    "an error beside a code": ({"code": 5, "error": {"msg": WORDS}}, 5),
    "problem details": (
        {"type": "about:blank", "title": "No", "status": 403, "detail": WORDS},
        None,
    ),
    "a title alone": ({"title": WORDS, "status": 402}, None),
    "gRPC's": ({"code": 7, "message": WORDS, "details": []}, 7),
    "GraphQL's": ({"data": None, "errors": [{"message": WORDS}]}, None),
    "errors by field": ({"errors": {"model": [WORDS]}}, None),
    "an error in a list": ([{"error": {"code": 403, "message": WORDS}}], None),
    "capitals": ({"RequestId": None, "Code": "InvalidApiKey", "Message": WORDS}, None),
    "Tencent's": ({"Response": {"Error": {"Code": "AuthFailure", "Message": WORDS}}}, None),
    "WeChat's": ({"errcode": 40001, "errmsg": WORDS}, None),
    "Baidu's": ({"error_code": 110, "error_msg": WORDS}, None),
    "MiniMax's": ({"base_resp": {"status_code": 1004, "status_msg": WORDS}}, None),
    "Apigee's": ({"fault": {"faultstring": WORDS, "detail": {"errorcode": "x"}}}, None),
    "a status that is a word": ({"status": "fail", "reason": WORDS}, None),
    "no success, in spite of the code": ({"code": 0, "success": False, "message": WORDS}, None),
    "a code that is a float": ({"code": 403.0, "message": WORDS}, 403),
    "a code that is a list": ({"code": [403], "message": WORDS}, None),
    "words in the data": ({"code": 5, "message": "", "data": {"message": WORDS}}, 5),
}
BY_FIELD = f'{{"model":["{WORDS}"]}}'
NO_NO: list[Any] = [
    {},
    {"code": 0, "message": "ok"},
    {"code": 0, "data": {"logId": 1}, "error": None},
    {"data": {"logId": "66", "status": 5}, "code": 0, "message": WORDS},
    {"data": {"logId": "66"}, "message": WORDS},
    {"data": {"logId": "66"}, "code": [0], "message": WORDS},
    {"data": {"logId": "66"}, "errcode": 0, "status": "fail", "message": WORDS},
    {"error": 0, "errcode": 0, "ret": "0", "status": 200, "success": True},
    {"Response": {"RequestId": "r"}},
    {"base_resp": {"status_code": 0}},
    [[]],
    [],
    "no",
    None,
]


@pytest.mark.parametrize(("body", "code"), SHAPES.values(), ids=SHAPES)
def test_the_words_of_a_no_are_heard(body: Any, code: int | None) -> None:
    """Whatever shape it has, a poll and every other call come to the same refusal."""
    data = json.dumps(body).encode()
    no = refusal(data)
    assert no is not None
    assert CODEC.decode(data) == no
    assert no.code == code
    assert no.message in (WORDS, BY_FIELD)


STATUSES: list[tuple[Any, int | None]] = [
    ({"statusCode": 429, "message": WORDS}, 429),
    ({"status": 503, "error": "Service Unavailable", "path": "/"}, 503),
    ({"type": "about:blank", "title": "No", "status": "504"}, 504),
    ({"error": {"code": 503, "message": WORDS, "status": "UNAVAILABLE"}}, 503),
    ({"errors": [{"message": WORDS, "status": "502"}]}, 502),
    ({"ret": 400, "msg": WORDS}, 400),
    ({"code": 500, "message": WORDS, "status": 503}, None),
    ({"status": 200, "error": WORDS}, None),
    ({"base_resp": {"status_code": 1004, "status_msg": WORDS}}, None),
    ({"error": {"code": "insufficient_quota", "message": WORDS}}, None),
]


@pytest.mark.parametrize(("body", "status"), STATUSES)
def test_the_status_that_a_gateway_names(body: Any, status: int | None) -> None:
    """Where it has no code of the service; other numbers of its own are none."""
    no = refusal(json.dumps(body).encode())
    assert no is not None
    assert no.status == status


def test_words_in_the_encoding_of_old_gateways() -> None:
    """JSON is UTF-8, and what they send is not."""
    body = json.dumps({"code": 5, "msg": WORDS}, ensure_ascii=False).encode("gb18030")
    assert CODEC.decode(body) == Refusal(5, WORDS, None)


@pytest.mark.parametrize("body", NO_NO)
def test_what_says_no_no_is_none(body: Any) -> None:
    """Least of all an answer with the code for all is well."""
    assert refusal(json.dumps(body).encode()) is None


@given(st.dictionaries(TEXTS, st.none() | st.booleans() | st.integers() | TEXTS, max_size=6))
def test_no_object_breaks_it(body: dict[str, Any]) -> None:
    found = refusal(json.dumps(body).encode())
    assert found is None or len(found.message) <= 500


def test_an_ordinary_refusal_is_taken_apart_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server in trouble says no thousands of times, and each no is as cheap as a poll."""
    taken_apart: list[bytes] = []

    def members_of(body: bytes) -> Members:
        taken_apart.append(body)
        return plain(body)

    plain = reader.members_of
    monkeypatch.setattr(reader, "members_of", members_of)
    body = b'{"data":{},"code":500,"message":"no","timestamp":1795352289758,"requestId":"r"}'
    assert refusal(body) == Refusal(500, "no", "r", b"1795352289758")
    assert taken_apart == [body]


@pytest.mark.parametrize("id", [17, "r-1", None, 1.5, {"a": 1}, [1], True])
def test_a_request_id_of_any_kind_costs_nothing(id: Any) -> None:
    """Nothing needs it to be text."""
    task = {"logId": "66", "status": "success"}
    body = json.dumps({"code": 0, "data": task, "requestId": id}).encode()
    found = CODEC.decode(body)
    assert isinstance(found, Envelope)
    assert found.data.status == "success"


def test_an_id_that_is_a_number_is_the_id() -> None:
    body = b'{"code":0,"data":{"logId":12345678,"status":"success"}}'
    found = CODEC.decode(body)
    assert isinstance(found, Envelope)
    assert found.data.log_id == "12345678"
    row = decode_row(b'{"id":12345678,"status":"SUCCESS"}', ENDPOINTS[VideoRef].codec)
    assert not isinstance(row, Malformed)
    assert row.id == "12345678"
