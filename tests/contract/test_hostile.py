"""Bodies that nobody sends in good faith: they cost little, crash nothing, and fool nobody."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitoearn_async import Client, ContractError, ImageRef, UnexpectedResponseError
from aitoearn_async.contract.endpoints import endpoint_of
from aitoearn_async.contract.envelope import Envelope, Malformed, decode_head
from aitoearn_async.contract.refusal import Refusal, refusal

from .samples import Reply, replaying
from .strategies import moderate

ENDPOINT = endpoint_of(ImageRef("66"))


def answer(more: bytes = b"", status: bytes = b"success", end: bytes = b"") -> bytes:
    """A good answer with more fields in its data, and more after its end."""
    data = b'{"logId":"66","status":"' + status + b'"' + more + b"}"
    return b'{"data":' + data + b',"code":0,"requestId":"r"}' + end


NO_JSON = {
    "nothing": b"",
    "blanks": b" \r\n\t ",
    "a page": b"<html><body>502 Bad Gateway</body></html>",
    "plain text": b"OK",
    "UTF-16": answer().decode().encode("utf-16"),
    "a NUL at the end": answer(end=b"\x00"),
    "two answers": answer(end=answer()),
    "a comment": b"/* hi */" + answer(),
    "a comma too many": answer(b","),
    "single quotes": answer().replace(b'"', b"'"),
    "NaN": answer(b',"points":NaN'),
    "infinity": answer(b',"response":{"n":-Infinity}'),
    "a leading zero": answer(b',"points":01'),
    "a leading plus": answer(b',"points":+1'),
    "a line break in a text": answer(status=b"suc\ncess"),
    "an unknown escape": answer(status=rb"suc\xess"),
    "JSONP": b"callback(" + answer() + b")",
    "gzip": b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
    "cut after a pair of surrogates": answer(status=rb"\ud83d\ude00")[:-40],
    "half a surrogate pair, then a cut": answer(status=rb"\ud83d-")[:-27],
    "cut between surrogates": b'{"data":{"logId":"66","status":"\\ud83d\\',
    "cut in the second surrogate": b'{"data":{"logId":"66","status":"\\ud83d\\ude0',
    "cut after what only looks like one": b'{"data":{"logId":"66","status":"\\\\ud83d',
}
BROKEN_JSON = {
    "null": b"null",
    "a list": b"[" + answer() + b"]",
    "a text": b'"OK"',
    "no data": b'{"code":0}',
    "null data": b'{"code":0,"data":null}',
    "empty data": b'{"code":0,"data":{}}',
    "a list of data": b'{"code":0,"data":[{"logId":"66","status":"success"}]}',
    "no code": b'{"data":{"logId":"66","status":"success"}}',
    "code as text": answer().replace(b'"code":0', b'"code":"0"'),
    "code as a float": answer().replace(b'"code":0', b'"code":0.0'),
    "code as a boolean": answer().replace(b'"code":0', b'"code":false'),
    "code of 5,000 digits": answer().replace(b'"code":0', b'"code":' + b"9" * 5000),
    "code of 4,301 digits": answer().replace(b'"code":0', b'"code":' + b"9" * 4301),
    "no id": b'{"code":0,"data":{"status":"success"}}',
    "no status": b'{"code":0,"data":{"logId":"66"}}',
    "points past all floats": answer(b',"points":1e400'),
    "half a surrogate pair in a field": answer(status=rb"\ud800"),
    "halves of two pairs": answer(status=rb"\ud83d\ud83d\ude00"),
    "the wrong half of a pair": answer(status=rb"\ude00\ud83d"),
    "half a surrogate pair in an echo": answer(rb',"request":{"prompt":"\udfff"}'),
    "half a surrogate pair in what is skipped": answer(rb',"x":"\uD83D"'),
    "invalid UTF-8 in a field": answer(status=b"\xff"),
    "an encoded surrogate": answer(status=b"\xed\xa0\x80"),
}


@pytest.mark.parametrize("body", NO_JSON.values(), ids=NO_JSON)
async def test_no_json(body: bytes) -> None:
    """A body that is not JSON is not from the service: it is worth another try."""
    result = ENDPOINT.codec.decode(body)
    assert isinstance(result, Malformed)
    assert not result.is_json
    assert decode_head(body, ENDPOINT.codec) is None
    assert refusal(body) is None
    with pytest.raises(UnexpectedResponseError) as caught:
        await get(body)
    assert caught.value.transient
    assert caught.value.http_status == 200


@pytest.mark.parametrize("body", BROKEN_JSON.values(), ids=BROKEN_JSON)
async def test_broken_json(body: bytes) -> None:
    """JSON that breaks the contract is told to, in a few words, and asked for once."""
    result = ENDPOINT.codec.decode(body)
    assert isinstance(result, Malformed)
    assert result.is_json
    assert 0 < len(result.reason) <= 200
    assert refusal(body) is None
    with pytest.raises(ContractError) as caught:
        await get(body)
    assert result.reason in str(caught.value)


@pytest.mark.parametrize(
    ("body", "broken"),
    [
        (answer(status=b"\xff"), Malformed("invalid UTF-8 in a text field", is_json=True)),
        (
            answer(status=rb"\ud800"),
            Malformed("half a surrogate pair in a text field", is_json=True),
        ),
        (
            b"<html>",
            Malformed("JSON is malformed: invalid character (byte 0)", is_json=False),
        ),
    ],
    ids=["no UTF-8", "half a pair", "a page"],
)
def test_what_is_wrong_is_said(body: bytes, broken: Malformed) -> None:
    """In the words of the decoder where they help, and in better ones where they do not."""
    assert ENDPOINT.codec.decode(body) == broken


async def get(body: bytes) -> object:
    async with (
        replaying(Reply(body)) as server,
        Client("k", base_url=server.url, attempts=1) as client,
    ):
        return await client.get(ImageRef("66"))


@pytest.mark.parametrize(
    "body",
    [
        answer(b',"x":"\xff\xfe"'),
        answer(rb',"x":"\ud83d\ude00"'),
        answer(b',"x":1e400,"y":' + b"9" * 10_000),
        answer(b',"points":12345678901234567890123'),
        answer(b',"status":"failed","status":"success"'),
        answer(b"", end=b"\r\n\t "),
        b'{"code":5,"code":0,"data":{},"data":{"logId":"66","status":"success"}}',
        answer(b',"request":{"' + b"k" * 1_000_000 + b'":1}'),
        answer(b',"request":{"x":[' + b'"a","[",' * 300_000 + b"[]," * 99 + b"1]}"),
    ],
    ids=lambda body: ascii(body[38:70]).replace("\\", "%"),
)
def test_strange_but_good(body: bytes) -> None:
    """What is odd outside of the fields that count does no harm; of doubled keys, the last wins."""
    result = ENDPOINT.codec.decode(body)
    assert isinstance(result, Envelope)
    assert result.data.status == "success"
    # None says no more than that the answer has to be read whole.
    seen = decode_head(body, ENDPOINT.codec)
    assert seen is None or seen.status == "success"


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (b'"no"', "no"),
        (b'""', ""),
        (b"null", ""),
        (b"5", "5"),
        (b'["a","b"]', '["a","b"]'),
        (b'{"zh":"\xe5\x90\xa6"}', '{"zh":"否"}'),
        (b'"\xff"', "\ufffd"),
        (b'"' + b"x" * 1_000_000 + b'"', "x" * 500),
        (b'"\\u0000\\u001b[31m"', "\x00\x1b[31m"),
    ],
    ids=lambda value: ascii(value[:20]).replace("\\", "%"),
)
def test_messages(message: bytes, text: str) -> None:
    """A refusal has words whatever they are made of, and not too many of them."""
    body = b'{"data":{},"code":401,"message":' + message + b',"requestId":null}'
    assert ENDPOINT.codec.decode(body) == refusal(body) == Refusal(401, text, None)


def test_code_against_data() -> None:
    """A code that says no beside a task that says yes: the code is what the service goes by."""
    body = answer().replace(b'"code":0', b'"code":-1,"message":"no"')
    assert ENDPOINT.codec.decode(body) == Refusal(-1, "no", "r")
    assert decode_head(body, ENDPOINT.codec) is None


DEEP = """
import threading
from aitoearn_async import ImageRef
from aitoearn_async.contract.endpoints import endpoint_of
from aitoearn_async.contract.envelope import Malformed, decode_head, refusal

SHAPES = [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]"), ('{"a":[', "]}"), ("[[],[{}],", "]")]
PLACES = [
    '{"data":{"logId":"1","status":"s","request":{"x":%s}},"code":0}',
    '{"data":{"logId":"1","status":"s","images":[%s]},"code":0}',
    '{"data":{"logId":"1","status":"s","startedAt":5,"x":%s},"code":0}',
    '{"data":{"logId":"1","status":"s","x":"\\\\"","y":%s},"code":0}',
    '{"data":{"logId":"1","status":"s","x":["","[","\\\\\\\\","]\\\\"","{}"],"y":%s},"code":0}',
    '{"data":{},"code":5,"message":%s}',
    '{"x":%s,"code":5}',
    "%s",
]
DEPTHS = [100, 128, 158, 159, 160, 190, 191, 192, 320, 400, 700, 2_000]

def go():
    endpoint = endpoint_of(ImageRef("1"))
    for place in PLACES:
        for opening, closing in SHAPES:
            for depth in [*DEPTHS, 300_000] if place == "%s" else DEPTHS:
                for closings in (depth, 0):
                    body = (place % (opening * depth + "1" + closing * closings)).encode()
                    result = endpoint.codec.decode(body)
                    decode_head(body, endpoint.codec), refusal(body)
                    if depth >= 400:
                        assert isinstance(result, Malformed), body[:200]
    print("done")

threading.stack_size(128 * 1024)
thread = threading.Thread(target=go)
thread.start()
thread.join()
"""


@pytest.mark.slow
def test_deep_nesting_on_a_small_stack() -> None:
    """On a thread with 128 KiB of stack no depth ends the process, closed or left open."""
    run = subprocess.run([sys.executable, "-c", DEEP], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (0, "done\n", "")


DEEP_CLIENT = """
import asyncio, threading
from aiohttp import web
from aitoearn_async import AiToEarnError, Client, ImageRef

PLACES = [
    '{"data":{"logId":"1","status":"success","request":{"x":%s}},"code":0}',
    '{"data":{"logId":"1","status":"success","startedAt":5,"x":%s},"code":0}',
    '{"data":{},"code":5,"message":%s}',
]
BODIES = [
    (place % (opening * depth + "1" + closing * depth)).encode()
    for place in PLACES
    for opening, closing in [("[", "]"), ('[{"a":', "}]"), ('{"a":[', "]}")]
    for depth in (100, 155, 157, 158, 159, 160, 187, 190, 192, 300, 1_000)
]

async def ask(url):
    # In asyncio's debug mode: how long things take is not the matter here.
    asyncio.get_running_loop().slow_callback_duration = 60
    async with Client("k", base_url=url, attempts=1) as client:
        for number in range(len(BODIES)):
            ref = ImageRef(str(number))
            for call in (client.get(ref), client.wait_for(ref, patience=0)):
                try:
                    await call
                except AiToEarnError:
                    pass

async def main():
    async def say(request):
        body = BODIES[int(request.path.rpartition("/")[2])]
        return web.Response(body=body, content_type="application/json")

    runner = web.ServerRunner(web.Server(say))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = "http://{}:{}".format(*runner.addresses[0])
    over, loop = asyncio.Event(), asyncio.get_running_loop()

    def go():
        asyncio.run(ask(url))
        loop.call_soon_threadsafe(over.set)

    threading.stack_size(128 * 1024)
    threading.Thread(target=go, daemon=True).start()
    await over.wait()
    await runner.cleanup()
    print("done")

BODIES = [body.replace(b'"1"', b'"%d"' % n) for n, body in enumerate(BODIES)]
asyncio.run(main())
"""


@pytest.mark.slow
def test_deep_nesting_under_a_client_on_a_small_stack() -> None:
    """Nor does it with a client, its event loop and its awaits on that stack already."""
    run = subprocess.run(
        [sys.executable, "-c", DEEP_CLIENT], capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "done\n", "")


PIECES = [*'"\\\\[]{},:', "a", "é", "\\n", '\\\\"', '"["', "[[", "]]", "}{"]
BRACKETED = st.lists(st.lists(st.sampled_from(PIECES), max_size=30).map("".join), max_size=40)


@moderate
@given(BRACKETED, st.integers(0, 30))
def test_brackets_in_texts_are_none(texts: list[str], depth: int) -> None:
    """However many there are of them, and whatever quotes and backslashes stand beside them."""
    deep: object = texts
    for number in range(depth):
        deep = [deep, "]["] if number % 2 else {"}{": deep}
    body = json.dumps({"x": deep, "n": ["[" * 70]}).encode()
    result = ENDPOINT.codec.decode(answer(b',"request":' + body))
    assert isinstance(result, Envelope)


@moderate
@given(BRACKETED, st.sampled_from(["[", '{"":', '[{"":', '["",']))
def test_brackets_after_texts_are_some(texts: list[str], opening: str) -> None:
    """No text before it hides how deep an answer is."""
    body = json.dumps(texts)[:-1].encode() + b',"",' + opening.encode() * 200
    for whole in (body, body + b'"', body + b'"]', body + b"]" * 150):
        result = ENDPOINT.codec.decode(whole)
        assert isinstance(result, Malformed)
        assert result.reason == "nested too deeply"


FLOODS: dict[str, Callable[[int], bytes]] = {
    "lists": lambda size: b"[]," * (size // 3),
    "lists in an echo": lambda size: answer(b',"request":{"x":[' + b"[]," * (size // 3) + b"1]}"),
    "objects": lambda size: b"{}," * (size // 3),
    "openings": lambda size: b"[" * size,
    "openings to the limit": lambda size: b"[" * 99_999 + b" " * size,
    "closings": lambda size: b"]" * size,
    "closings of few openings": lambda size: b"[" * 65 + b"]" * size,
    "flat lists to the limit": lambda size: b"[" + b"[]," * 99_990 + b" " * size,
    "an open text": lambda size: b"[" * 200 + b'"' + b"x" * size,
    "backslashes": lambda size: b"[" * 200 + b'"' + b"\\" * size,
    "an odd backslash": lambda size: b"[" * 200 + b'"' + b"\\" * (size | 1),
    "quotes": lambda size: b"[" * 200 + b'"' * size,
    "escaped quotes": lambda size: b"[" * 200 + b'"' + b'\\"' * (size // 2),
    "quotes and backslashes": lambda size: b"[" * 200 + b'"\\' * (size // 2),
    "brackets in texts": lambda size: answer(b',"x":["' + b'[","' * (size // 4) + b'"]'),
    "texts between lists": lambda size: b"[" + b'"[",[],' * (size // 7),
    "digits": lambda size: b'{"data":{},"code":' + b"1" * size + b"}",
    "half pairs": lambda size: answer(status=b"\\ud800" * (size // 6)),
    "whole pairs": lambda size: answer(status=b"\\ud83d\\ude00" * (size // 12))[:-5],
    "doubled keys": lambda size: b'{"code":0' + b',"code":0' * (size // 9) + b"}",
    "moments": lambda size: answer(b',"xAt":5' * (size // 8) + b',"startedAt":"junk"'),
    "words": lambda size: b'{"data":{},"code":5,"message":[' + b'"a",' * (size // 4) + b"1]}",
    "blanks": lambda size: b" " * size,
    "invalid UTF-8": lambda size: answer(status=b"\xff" * size),
}


def cost(body: bytes) -> float:
    """Seconds of this thread's time to read a body in every way; the better of two."""
    times: list[float] = []
    for _ in range(2):
        began = time.thread_time()
        ENDPOINT.codec.decode(body)
        decode_head(body, ENDPOINT.codec)
        refusal(body)
        times.append(time.thread_time() - began)
    return min(times)


@pytest.mark.sampled(5)
@pytest.mark.usefixtures("untraced")  # the time is to be the reader's, not the tracer's
@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)
def test_cost_grows_with_size_alone(flood: Callable[[int], bytes]) -> None:
    """Four times the bytes cost four times the time: no body makes the reader go back and forth."""
    small, large = cost(flood(100_000)), cost(flood(400_000))
    assert large < 8 * small + 0.05


@pytest.mark.sampled(5)
@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)
def test_memory_grows_with_size_alone(flood: Callable[[int], bytes]) -> None:
    """Whatever a body is made of, it is not blown up into something many times its size."""
    body = flood(3_000_000)
    tracemalloc.start()
    try:
        ENDPOINT.codec.decode(body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 25_000_000


@pytest.mark.sampled(6)
@pytest.mark.usefixtures("untraced")
@pytest.mark.parametrize(
    "name", ["lists", "objects", "openings", "closings of few openings", "backslashes", "quotes"]
)
def test_six_megabytes(name: str) -> None:
    """A flood of 6 MB holds the loop up for a moment, not for seconds."""
    assert cost(FLOODS[name](6_000_000)) < 0.5
