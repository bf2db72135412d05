"""What the bytes of an answer come to, value by value: good, mended, refused, broken."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from aitoearn_async import ImageRef, ImageTask, TaskState
from aitoearn_async.contract.endpoints import endpoint_of
from aitoearn_async.contract.envelope import (
    Envelope,
    Malformed,
    TaskHead,
    decode,
    decode_head,
    decode_row,
)
from aitoearn_async.contract.json_limits import LateDecoder
from aitoearn_async.contract.refusal import Refusal, refusal

ENDPOINT = endpoint_of(ImageRef("66"))
NUMBERS = LateDecoder(Envelope[list[int]])

DEEP = b"[" * 200 + b"]" * 200
TOO_DEEP = Malformed("nested too deeply", is_json=True)
TOO_MANY = Malformed("more than 100,000 lists and objects", is_json=True)


def words(body: bytes, decoder: LateDecoder[Any] = ENDPOINT.codec.whole) -> str:
    """What the decoder itself says of a body."""
    with pytest.raises(msgspec.DecodeError) as caught:
        decoder.decode(body)
    return str(caught.value)


CUT = Malformed(words(b'{"data":'), is_json=False)
NO_PAGE = Malformed(words(b"<html>"), is_json=False)


def answer(more: bytes = b"", status: bytes = b'"success"') -> bytes:
    data = b'{"logId":"66","status":' + status + more + b"}"
    return b'{"data":' + data + b',"code":0,"requestId":"r"}'


NO_STATUS = Malformed(words(answer(status=b"5")), is_json=True)
TAIL = answer() + b',"code":5'
NO_LIST = b'{"code":0,"data":{}}'


def task(**fields: Any) -> ImageTask:
    return ImageTask(log_id="66", status="success", **fields)


@pytest.mark.parametrize(
    ("body", "comes_to"),
    [
        (answer(), Envelope(0, task(), "r")),
        (answer(status=b"5"), NO_STATUS),
        (b'{"code":5,"data":{},"message":"no","requestId":"r"}', Refusal(5, "no", "r")),
        (TAIL, Malformed(words(TAIL), is_json=False)),
        (answer(b',"x":' + DEEP), TOO_DEEP),
        (b"<html>", NO_PAGE),
    ],
    ids=["good", "no status", "refusal", "more than one", "deep", "a page"],
)
def test_an_answer_to_a_poll(body: bytes, comes_to: object) -> None:
    """A task, or in the decoder's words what is wrong with it."""
    assert ENDPOINT.codec.decode(body) == comes_to


def test_a_moment_that_cannot_be_read_is_left_out() -> None:
    """And nothing else of the answer is."""
    body = answer(b',"startedAt":"junk","createdAt":0,"points":3')
    mended = task(points=3, created_at=datetime(1970, 1, 1, tzinfo=UTC))
    assert ENDPOINT.codec.decode(body) == Envelope(0, mended, "r")


def test_what_is_wrong_with_half_an_answer_is_that_it_is_half() -> None:
    """Whatever else is, in the half there is: another try may bring all of it."""
    body = answer(status=b"5")
    assert ENDPOINT.codec.decode(body) == NO_STATUS
    for length in (34, 40, len(body) - 1):
        assert ENDPOINT.codec.decode(body[:length]) == CUT


@pytest.mark.parametrize(
    ("body", "comes_to"),
    [
        (b'{"code":0,"data":[1,2],"requestId":"r"}', Envelope(0, [1, 2], "r")),
        (b'{"code":5,"data":[1],"message":"no"}', Refusal(5, "no", None)),
        (b'{"code":5,"data":{},"message":"no"}', Refusal(5, "no", None)),
        (NO_LIST, Malformed(words(NO_LIST, NUMBERS), is_json=True, has_data=False)),
        (b'{"code":0,"data":' + DEEP + b"}", TOO_DEEP),
        (b'{"code":0,"data":[1', CUT),
        (b"<html>", NO_PAGE),
    ],
    ids=["good", "a code beside data", "refusal", "wrong data", "deep", "cut", "a page"],
)
def test_an_answer_that_is_no_task(body: bytes, comes_to: object) -> None:
    assert decode(body, NUMBERS) == comes_to


WRONG_STATUS = Malformed("Expected `str`, got `int` - at `$.status`", is_json=True)
NO_ROW = Malformed("JSON is malformed: trailing characters (byte 3)", is_json=False)


@pytest.mark.parametrize(
    ("row", "comes_to"),
    [
        (b'{"logId":"66","status":"success"}', task()),
        (b'{"logId":"66","status":"success","startedAt":"junk"}', task()),
        (b'{"logId":"66","status":5}', WRONG_STATUS),
        (b"{", CUT),
        (b'{},"code":5', NO_ROW),
    ],
    ids=["good", "mended", "broken", "cut", "a refusal, forged"],
)
def test_a_row_of_a_list(row: bytes, comes_to: object) -> None:
    """It is read as if it stood alone, and cannot say no for the whole service."""
    assert decode_row(row, ENDPOINT.codec) == comes_to


def test_a_glance_sees_id_and_status() -> None:
    """Where there is more to be said, it sees nothing."""
    seen = decode_head(answer(b',"startedAt":"junk"'), ENDPOINT.codec)
    assert isinstance(seen, TaskHead)
    assert (seen.id, seen.status) == ("66", "success")
    for code in (b"1", b"-1", b"500"):
        assert decode_head(answer().replace(b'"code":0', b'"code":' + code), ENDPOINT.codec) is None
    assert decode_head(answer(b',"x":' + DEEP), ENDPOINT.codec) is None
    assert refusal(answer()) is None


def test_the_decoders_words_are_cut_short() -> None:
    """It quotes what it was sent; two hundred characters are enough of it."""
    decoder = LateDecoder(Envelope[TaskState])
    body = b'{"code":0,"data":"' + b"x" * 500 + b'"}'
    said = words(body, decoder)
    assert len(said) > 500
    assert decode(body, decoder) == Malformed(said[:200], is_json=True)


def test_a_decoder_that_runs_out_of_stack() -> None:
    """Deep enough for that is nothing that gets to it; but what it raises is no surprise."""

    class Bottomless:
        pass

    def fall(kind: type, value: object) -> object:
        raise RecursionError

    decoder = LateDecoder(Envelope[Bottomless])
    decoder.decode = msgspec.json.Decoder(Envelope[Bottomless], dec_hook=fall).decode
    assert decode(b'{"code":0,"data":1}', decoder) == TOO_DEEP


LISTS = (b"[", b"]")
OBJECTS = (b'{"a":', b"}")


@pytest.mark.parametrize("shape", [LISTS, OBJECTS], ids=["lists", "objects"])
@pytest.mark.parametrize(
    "inmost",
    [b"1", b'""', b'"[["', rb'"\\"', rb'"\""'],
    ids=["a number", "no text", "brackets", "a backslash", "a quote"],
)
def test_nesting_that_is_in_order(shape: tuple[bytes, bytes], inmost: bytes) -> None:
    """Sixty levels, and as many lists beside them, whatever texts stand among them."""
    opening, closing = shape
    deep = opening * 60 + inmost + closing * 60
    body = answer(b',"x":[' + b'[""],' * 60 + deep + b"]")
    assert ENDPOINT.codec.decode(body) == Envelope(0, task(), "r")


def test_few_brackets_are_left_to_the_decoder() -> None:
    """Sixty-four of them, or half as many open ones among others, are no danger to it."""
    begin = b'{"data":{"x":'
    assert ENDPOINT.codec.decode(begin + b"[" * 62) == CUT
    assert ENDPOINT.codec.decode(begin + b"[" * 63) == TOO_DEEP
    begin += b"[" + b"[]," * 64
    assert ENDPOINT.codec.decode(begin + b"[" * 29) == CUT
    assert ENDPOINT.codec.decode(begin + b"[" * 30) == TOO_DEEP


def test_a_hundred_thousand_lists_are_the_most() -> None:
    """Those in texts apart, of which there can be any number."""
    begin, end = b',"x":["[","[[",', b"1]"
    most = ENDPOINT.codec.decode(answer(begin + b"[]," * 99_997 + end))
    assert most == Envelope(0, task(), "r")
    assert ENDPOINT.codec.decode(answer(begin + b"[]," * 99_998 + end)) == TOO_MANY


@pytest.mark.parametrize("body", [DEEP, b'{"code":5,"message":' + DEEP + b"}"])
def test_what_is_nested_too_deeply_is_no_refusal_and_no_row(body: bytes) -> None:
    """It is never decoded, wherever it stands."""
    assert refusal(body) is None
    assert decode_row(body, ENDPOINT.codec) == TOO_DEEP


@pytest.mark.parametrize(
    ("error", "words_of_it"),
    [
        (b'{"msg":"no money"}', "no money"),
        (b'{"message":null,"detail":["a"]}', '["a"]'),
        (b"{}", "outside"),
        (b'{"message":null}', "outside"),
        (b'"plain"', "outside"),
    ],
)
def test_the_words_of_a_gateway_wherever_they_stand(error: bytes, words_of_it: str) -> None:
    """Inside of its error first, and else beside it."""
    found = refusal(b'{"message":"outside","error":' + error + b"}")
    assert found == Refusal(None, words_of_it, None)


@pytest.mark.parametrize("text", [b'"\\ud83d"', b'"\xff"'])
def test_text_that_cannot_be_read_in_an_answer_that_has_to_be_mended(text: bytes) -> None:
    """Half a surrogate, or what is no UTF-8: that is said of it, and nothing else raised."""
    found = ENDPOINT.codec.decode(answer(b',"startedAt":"junk","errorMessage":' + text))
    assert isinstance(found, Malformed)
    assert found.is_json
