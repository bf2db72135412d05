"""JSON made to hurt whoever reads it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable

import pytest

from aitoearn_async import ContractError, UnexpectedResponseError
from tests.support.answers import BODY
from tests.support.raw_server import ID, REF, Heard, RawServer, Script, good, http, say

from .harness import Row, Trial, child

ROW = Row(
    26,
    "JSON made to hurt: a million levels deep, six megabytes of empty lists, a million digits, "
    "half a surrogate pair",
    "An error of this package for that task alone, in milliseconds and in memory of the body's "
    "own size; also on a thread with a stack of 128 KiB.",
)

MB = 1_000_000
SMALL_STACK = 128 * 1024
"""Bytes: the default of threads under musl. Some 400 levels of JSON overflow it."""


def inside(more: bytes) -> bytes:
    """A good answer with more in it."""
    return b'{"code":0,"data":{"logId":"%b","status":"success",%b}}' % (ID.encode(), more)


def nested(opening: bytes, closing: bytes, depth: int) -> bytes:
    return opening * depth + b"1" + closing * depth


PLACES: dict[str, tuple[bytes, bytes, bytes]] = {
    "lists": (b"[", b"]", b"%b"),
    "objects": (b'{"a":', b"}", b"%b"),
    "in an echo": (b'[{"a":', b"}]", inside(b'"request":{"x":%b}')),
    "in a field not known": (b"[", b"]", inside(b'"x":%b')),
    "beside a bad date": (b"[", b"]", inside(b'"startedAt":5,"x":%b')),
    "in a message": (b"[", b"]", b'{"code":5,"message":%b}'),
}
DEEP = {
    f"{name} {depth:,}": place % nested(opening, closing, depth)
    for depth in (60, 150, 200, 400, 1_000, 100_000)
    for name, (opening, closing, place) in PLACES.items()
} | {"left open": b"[" * MB, "objects left open": b'{"a":' * 200_000}

FLAT: dict[str, bytes] = {
    "empty lists": b'{"code":0,"data":[' + b"[]," * (2 * MB) + b"1]}",
    "empty lists in an echo": inside(b'"request":{"x":[' + b"[]," * (2 * MB) + b"1]}"),
    "empty objects": b"[" + b"{}," * (2 * MB) + b"1]",
    "nothing but quotes": b"[" * 99 + b'"' * (6 * MB),
    "brackets in texts": inside(b'"x":["' + b'[","' * (3 * MB // 2) + b'"]'),
    "texts between lists": b"[" + b'"[",[],' * MB + b"1]",
    "backslashes": b"[" * 99 + b'"' + b"\\" * (6 * MB),
    "a million digits": b'{"data":{},"code":' + b"1" * MB + b"}",
    "a number past all": inside(b'"points":1e999999'),
    "doubled keys": b'{"code":0' + b',"code":0' * 600_000 + b"}",
    "halves of surrogate pairs": inside(b'"errorMessage":"' + rb"\ud800" * MB + b'"'),
    "whole surrogate pairs, cut": inside(b'"errorMessage":"' + rb"\ud83d\ude00" * 500_000)[:-9],
    "invalid UTF-8": inside(b'"errorMessage":"' + b"\xff" * (6 * MB) + b'"'),
}
ODD: dict[str, tuple[bytes, type[Exception]]] = {
    "half a pair in the status": (inside(rb'"status":"\ud800"'), ContractError),
    "half a pair in an echo": (inside(rb'"request":{"p":"\udfff"}'), ContractError),
    "invalid UTF-8 in the status": (inside(b'"status":"\xff"'), ContractError),
    "a surrogate in UTF-8": (inside(b'"status":"\xed\xa0\x80"'), ContractError),
    "NaN": (inside(b'"points":NaN'), UnexpectedResponseError),
    "a comment": (b"/**/" + BODY, UnexpectedResponseError),
}


async def read_by_a_child(trial: Trial, bodies: dict[str, bytes], stack: int) -> list[object]:
    """Each of these read by a process of its own; it lives, and tells what it came to."""
    script = list(bodies.values())

    def choose(heard: Heard) -> Script:
        return say(http(script[heard.number]))

    options = json.dumps({"attempts": 1, "request_timeout": 200})
    async with RawServer(choose=choose) as server:
        found = await child("tests.faults.victim", server.url, len(bodies), stack, options)
    trial.wire(server, exactly=len(bodies))
    trial.figure("exit code of a process on a small stack" if stack else "exit code", 0, 0)
    assert len(found) == len(bodies)
    ends: list[object] = found
    return ends


KNOWN = "ContractError", "UnexpectedResponseError", "ApiError", "success"


@pytest.mark.sampled(2)
@pytest.mark.parametrize("stack", [0, SMALL_STACK], ids=["main thread", "small stack"])
@pytest.mark.shows_key  # to the server of a client that lives in another process
async def test_deep_nesting(trial: Trial, stack: int) -> None:
    """No depth ends the process, wherever it stands and whatever the stack."""
    for name, cost in zip(DEEP, await read_by_a_child(trial, DEEP, stack), strict=True):
        assert isinstance(cost, dict)
        assert cost["end"].startswith(KNOWN), (name, cost)
        if not name.endswith((" 60", " 150", " 200")):
            assert cost["end"].startswith(("ContractError", "UnexpectedResponseError")), name
        trial.figure("event loop held up by deep nesting, ms of CPU", 1000 * cost["held"], 150)


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("call", "status"),
    [("get", 500), ("wait_for", 200), ("models", 200)],
    ids=["under a 500", "as the second answer of a wait", "in a list"],
)
@pytest.mark.shows_key  # to the server of a client that lives in another process
async def test_deep_nesting_anywhere(trial: Trial, call: str, status: int) -> None:
    """Whatever reads an answer: on the small stack it is an error, or a poll lost."""
    answers = [say(http(body, status)) for body in DEEP.values()]
    asked: Counter[str] = Counter()  # by the first part of its ids, which is a client's own

    def choose(heard: Heard) -> Script:
        one = (heard.header("X-Request-Id") or "").partition("-")[0]
        asked[one] += 1
        if call == "wait_for" and asked[one] != 2:
            return good("generating" if asked[one] == 1 else "success")
        return answers[[*asked].index(one)]

    options = json.dumps({"attempts": 1, "request_timeout": 200})
    arguments = len(DEEP), SMALL_STACK, options, call
    async with RawServer(choose=choose) as server:
        found = await child("tests.faults.victim", server.url, *arguments)
    trial.wire(server, at_most=len(DEEP) * (3 if call == "wait_for" else 1))
    assert len(asked) == len(DEEP)
    for name, cost in zip(DEEP, found, strict=True):
        if call == "wait_for":
            assert cost["end"] == "success", (name, cost)
        else:
            assert cost["end"].startswith(("ServerError", *KNOWN)), (name, cost)


@pytest.mark.slow
@pytest.mark.shows_key  # to the server of a client that lives in another process
async def test_floods(trial: Trial) -> None:
    """Six megabytes of anything: a moment, and not much more memory than they take themselves."""
    for name, cost in zip(FLAT, await read_by_a_child(trial, FLAT, 0), strict=True):
        assert isinstance(cost, dict)
        assert cost["end"].startswith(KNOWN), (name, cost)
        # The body, once as it came in and once in one piece; and what is made of it.
        trial.figure("peak of memory for 6 MB of JSON, MB", cost["peak"] / MB, 45)
        trial.figure("event loop held up by 6 MB of JSON, ms of CPU", 1000 * cost["held"], 250)


@pytest.mark.parametrize(("body", "error"), ODD.values(), ids=ODD)
async def test_odd_json(trial: Trial, body: bytes, error: type[Exception]) -> None:
    """What is against the rules of JSON or UTF-8 is an error for that task alone."""
    async with RawServer(say(http(body)), good()) as server, server.client(attempts=1) as client:
        (end,) = await trial.ends(client.get, REF)
        assert type(end) is error
        await trial.ends(client.get, REF, status="success")
    trial.wire(server, exactly=2)


GOOD: dict[str, Callable[[], bytes]] = {
    "a byte order mark": lambda: b"\xef\xbb\xbf" + BODY,
    "doubled keys": lambda: inside(b'"status":"failed","status":"success"'),
    "whole surrogate pairs": lambda: inside(rb'"errorMessage":"\ud83d\ude00"'),
    "a NUL in a text": lambda: inside(rb'"errorMessage":"\u0000"'),
    "brackets in texts": lambda: inside(b'"errorMessage":"' + b"[{" * 100_000 + b'"'),
    "60 levels": lambda: inside(b'"request":{"x":' + nested(b"[", b"]", 60) + b"}"),
    "99,000 lists": lambda: inside(b'"request":{"x":[' + b"[]," * 99_000 + b"1]}"),
    "a large number": lambda: inside(b'"x":' + b"9" * 5_000),
}


@pytest.mark.parametrize("make", GOOD.values(), ids=GOOD)
async def test_what_only_looks_bad(trial: Trial, make: Callable[[], bytes]) -> None:
    """It is taken: what protects from bombs does not cost anybody a finished task."""
    async with RawServer(say(http(make()))) as server, server.client(attempts=1) as client:
        await trial.ends(client.get, REF, status="success")
    trial.wire(server, exactly=1)
