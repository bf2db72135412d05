"""Every fault, as it arrives at the client's end of a real socket."""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import Any, Literal

import pytest

from aitoearn_async import VideoRef
from aitoearn_async.emulator import Emulator, Fault

from .talk import UNKNOWN, ask, now, talk


async def test_faults_count_down(service: Emulator) -> None:
    """The next `times` requests meet it, in the order the faults were given."""
    ref = service.add_image()
    service.fault(Fault(status=503), times=2)
    service.fault(Fault(status=500))
    assert [(await ask(service, ref)).status for _ in range(4)] == [503, 503, 500, 200]


async def test_a_fault_can_be_for_one_task(service: Emulator) -> None:
    """Others do not meet it, and it comes before the faults of everyone."""
    ref, other = service.add_image(), service.add_video()
    service.fault(Fault(status=500))
    service.fault(Fault(status=503), ref)
    statuses = [(await ask(service, which)).status for which in (ref, other, ref, other)]
    assert statuses == [503, 500, 200, 200]


async def test_a_fault_can_stay(service: Emulator) -> None:
    """`times=None` lasts until the faults are cleared."""
    ref = service.add_image()
    service.fault(Fault(code=500), ref, times=None)
    assert {(await ask(service, ref)).json["code"] for _ in range(5)} == {500}
    service.clear_faults()
    assert (await ask(service, ref)).json["code"] == 0


async def test_http_errors_look_like_a_proxys(service: Emulator) -> None:
    """An HTTP status comes with headers and an HTML page, or the body given."""
    ref = service.add_image()
    service.fault(Fault(status=503, headers={"Retry-After": "2"}))
    service.fault(Fault(status=200, body=b"", headers={"Content-Type": "text/plain"}))
    service.fault(Fault(status=999, body="odd"))
    service.fault(Fault(status=204))
    reply = await ask(service, ref)
    assert (reply.status, reply.headers["Retry-After"]) == (503, "2")
    assert reply.headers["Content-Type"] == "text/html"
    assert b"<h1>503 Service Unavailable</h1>" in reply.body
    reply = await ask(service, ref)
    assert (reply.status, reply.body, reply.headers["Content-Type"]) == (200, b"", "text/plain")
    assert (await ask(service, ref))[::2] == (999, b"odd")
    assert (await ask(service, ref))[::2] == (204, b"")


async def test_a_status_without_a_name(service: Emulator) -> None:
    """Proxies make up numbers of their own."""
    ref = service.add_image()
    service.fault(Fault(status=599), ref)
    reply = await ask(service, ref)
    assert (reply.status, b"<title>599</title>" in reply.body) == (599, True)


async def test_business_codes_come_in_an_envelope(service: Emulator) -> None:
    """A business code is HTTP 200, with the service's words or the test's."""
    ref = service.add_image()
    faults = [Fault(code=500), Fault(code=12302), Fault(code=429), Fault(code=77777)]
    for fault in [*faults, Fault(code=1, message="own words", headers={"Retry-After": "7"})]:
        service.fault(fault)
    replies = [await ask(service, ref, Accept_Language="zh") for _ in range(5)]
    assert [reply.status for reply in replies] == [200] * 5
    assert [(reply.json["code"], reply.json["message"]) for reply in replies] == [
        (500, "Internal server error"),
        (12302, "无效的 AI 任务 ID"),
        (429, "Too Many Requests"),
        (77777, "Error 77777"),
        (1, "own words"),
    ]
    assert replies[-1].headers["Retry-After"] == "7"


async def test_delay(service: Emulator) -> None:
    """A delay comes before the answer, which tells how the task stands after it."""
    ref, began = service.add_image(("generating", 2.0), "success"), now()
    service.fault(Fault(delay=3.0))
    assert (await ask(service, ref)).data["status"] == "success"
    assert now() - began == pytest.approx(3.0)
    service.fault(Fault(delay=3.0, status=502))
    assert (await ask(service, ref)).status == 502
    assert now() - began == pytest.approx(6.0)


async def test_redirect(service: Emulator) -> None:
    """A redirect is a 302 that names the URL."""
    service.fault(Fault(redirect="https://elsewhere.example/x"))
    reply = await ask(service, service.add_image())
    assert (reply.status, reply.headers["Location"]) == (302, "https://elsewhere.example/x")


async def test_garbage(service: Emulator) -> None:
    """Garbage claims to be JSON and is not."""
    service.fault(Fault(garbage=True))
    reply = await ask(service, service.add_image())
    assert reply.headers["Content-Type"] == "application/json; charset=utf-8"
    with pytest.raises(ValueError, match="codec"):
        _ = reply.json


async def test_echo(service: Emulator) -> None:
    """The answer is right in all but the id, and the next one is right."""
    image, video = service.add_image("success"), service.add_video("SUCCESS")
    for ref, field in ((image, "logId"), (video, "id")):
        service.fault(Fault(echo=UNKNOWN), ref)
        wrong, right = (await ask(service, ref)).data, (await ask(service, ref)).data
        assert wrong == {**right, field: UNKNOWN}


async def test_truncate(service: Emulator) -> None:
    """The announced length is the whole body's, then the connection ends early."""
    ref = service.add_image()
    whole = len((await ask(service, ref)).body)
    service.fault(Fault(truncate=10))
    head, _, body = (await talk(service, ref)).partition(b"\r\n\r\n")
    assert b"Content-Length: %d" % whole in head
    assert len(body) == 10
    service.fault(Fault(truncate=10, headers={"Content-Length": "9999"}))
    head, _, _ = (await talk(service, ref)).partition(b"\r\n\r\n")
    assert re.findall(rb"Content-Length: (\d+)", head) == [b"9999"]


@pytest.mark.parametrize("fault", [Fault(truncate=10), Fault(stall="body")], ids=repr)
async def test_a_head_that_breaks_off_has_no_body(service: Emulator, fault: Fault) -> None:
    """The length that is announced is that of an answer to GET (RFC 9110, 9.3.2)."""
    ref = service.add_image()
    whole = len((await ask(service, ref)).body)
    service.fault(fault)
    got = bytearray()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(talk(service, ref, "HEAD", into=got), 1)
    head, end, body = bytes(got).partition(b"\r\n\r\n")
    assert b"Content-Length: %d" % whole in head
    assert (end, body) == (b"\r\n\r\n", b"")


@pytest.mark.parametrize("stall", ["head", "body"])
async def test_a_stall_lasts_as_long_as_the_client(
    service: Emulator, stall: Literal["head", "body"]
) -> None:
    """A stalled answer never ends; with `"body"` its beginning comes."""
    ref, began = service.add_image(), now()
    service.fault(Fault(stall=stall))
    got = bytearray()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(talk(service, ref, into=got), 600)
    assert now() - began == pytest.approx(600)
    assert got.startswith(b"HTTP/1.1 200 OK") if stall == "body" else not got
    assert not got.endswith(b"}")


async def test_close(service: Emulator) -> None:
    """The connection ends in good order, without a byte."""
    service.fault(Fault(close=True))
    assert await talk(service, service.add_image()) == b""


async def test_reset(service: Emulator) -> None:
    """The connection ends with a reset."""
    service.fault(Fault(reset=True))
    with pytest.raises(ConnectionResetError):
        await talk(service, service.add_image())


@pytest.mark.parametrize(
    "fault", [Fault(delay=5.0, stall="body"), Fault(delay=5.0, reset=True), Fault(delay=5.0)]
)
async def test_a_fault_for_a_client_that_has_left(service: Emulator, fault: Fault) -> None:
    """Whoever it was for is gone by then: nothing is sent, and nothing breaks."""
    service.fault(fault)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(talk(service, service.add_image()), 1)
    await asyncio.sleep(10)
    assert (await ask(service, service.add_image())).status == 200


async def test_raw(service: Emulator) -> None:
    """What comes back is the bytes given and nothing else."""
    service.fault(Fault(raw=b"HTTP/1.1 banana\r\n\r\n"))
    assert await talk(service, service.add_image()) == b"HTTP/1.1 banana\r\n\r\n"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({}, "nothing"),
        ({"delay": -1.0}, "delay"),
        ({"delay": float("nan")}, "delay"),
        ({"status": 500, "code": 500}, "one ending, not status and code"),
        ({"reset": True, "close": True}, "one ending, not reset and close"),
        ({"status": 101}, "final HTTP status"),
        ({"status": 1000}, "final HTTP status"),
        ({"body": "x"}, "body goes with status"),
        ({"message": "x"}, "message goes with code"),
        ({"code": 0}, "success"),
        ({"truncate": -1}, "truncate"),
        ({"stall": "tail"}, "stall"),
        ({"status": 429, "headers": {"Retry-After": 30}}, "Retry-After is a line of text, not 30"),
        ({"headers": {"a": "b\nc"}}, "a is a line of text"),
        ({"reset": True, "headers": {"a": "b"}}, "headers do not go with reset"),
        ({"stall": "head", "headers": {"a": "b"}}, "headers do not go with stall"),
    ],
    ids=str,
)
def test_a_fault_that_makes_no_sense_is_refused(arguments: dict[str, Any], reason: str) -> None:
    """Wrong arguments are a ValueError where the fault is written, and it says why."""
    with pytest.raises(ValueError, match=reason):
        Fault(**arguments)


def test_an_ending_of_nothing_is_an_ending() -> None:
    """Cutting at zero bytes is not the same as not cutting."""
    assert Fault(truncate=0).ending == "truncate"
    assert Fault(delay=1).ending is None


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ({"times": 0}, "times"),
        ({"media": True, "route": "uploads"}, "files"),
        ({"ref": VideoRef(UNKNOWN), "route": "image"}, "'image'"),
        ({"ref": VideoRef(UNKNOWN), "route": "logs"}, "'logs'"),
    ],
    ids=str,
)
async def test_a_fault_that_nobody_would_meet_is_refused(
    service: Emulator, target: dict[str, Any], reason: str
) -> None:
    """Since it is a mistake."""
    with pytest.raises(ValueError, match=reason):
        service.fault(Fault(code=500), **target)
