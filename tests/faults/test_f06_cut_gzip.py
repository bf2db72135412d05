"""Compressed answers of the length announced, but cut or spoilt inside."""

from __future__ import annotations

import gzip
import json
import zlib

import pytest

from aitoearn_async import ConnectionFailedError, TransportError, UnexpectedResponseError
from tests.support.answers import BODY, CHUNKED, ZIPPED, encoded
from tests.support.raw_server import REF, Heard, Part, RawServer, Script, http, say

from .harness import Row, Trial
from .shared import costs_a_poll, is_no_matter

ROW = Row(
    6,
    "A compressed answer is cut or spoilt, though its length is the one announced",
    "HTTP calls it whole; the JSON, or the checksum inside, says that it is not. "
    "It costs a poll, and never becomes a wrong result.",
)

DEFLATED = zlib.compress(BODY)
TWICE = gzip.compress(ZIPPED)
LZW = b"\x1f\x9d\x90" + BODY
"""It begins as files of `compress` do."""
SPOILT = {
    "flipped": [
        ZIPPED[:n] + bytes([ZIPPED[n] ^ 0x55]) + ZIPPED[n + 1 :] for n in range(len(ZIPPED))
    ],
    "dropped": [ZIPPED[:n] + ZIPPED[n + 1 :] for n in range(len(ZIPPED))],
    "doubled": [ZIPPED[:n] + ZIPPED[n : n + 1] + ZIPPED[n:] for n in range(len(ZIPPED))],
}


async def take(trial: Trial, answers: list[bytes], how: str) -> list[object]:
    """What each of these bodies comes to, one after the other."""

    def choose(heard: Heard) -> Script:
        return say(encoded(answers[heard.number], how))

    async with RawServer(choose=choose) as server:
        ends: list[object] = []
        for _ in answers:
            # A client each: one would soon hold such a service for down, and not ask.
            async with server.client(attempts=1) as client:
                ends += await trial.ends(client.get, REF, status="success", or_error=True)
    trial.wire(server, exactly=len(answers))
    return ends


def unpacked(body: bytes) -> bytes:
    """As much as is there of it, in either encoding."""
    return zlib.decompressobj(47).decompress(body)


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("how", "body"), [("gzip", ZIPPED), ("deflate", DEFLATED)], ids=["gzip", "deflate"]
)
async def test_cut_at_every_byte(trial: Trial, how: str, body: bytes) -> None:
    """Transient, wherever the cut is; only with all of the JSON there is it an answer."""
    ends = await take(trial, [body[:cut] for cut in range(len(body))], how)
    for cut, end in enumerate(ends):
        if unpacked(body[:cut]) != BODY:
            assert isinstance(end, UnexpectedResponseError | ConnectionFailedError), cut
        assert getattr(end, "transient", True)


@pytest.mark.sampled(3)
@pytest.mark.parametrize("bodies", SPOILT.values(), ids=SPOILT)
async def test_spoilt_at_every_byte(trial: Trial, bodies: list[bytes]) -> None:
    """A changed byte is noticed, or changes nothing: never another task, never another status."""
    for body, end in zip(bodies, await take(trial, bodies, "gzip"), strict=True):
        if isinstance(end, TransportError):
            assert end.transient
        else:
            assert json.loads(unpacked(body)) == json.loads(BODY)


SHORT: dict[str, tuple[type[TransportError], int | None, bytes]] = {
    "half of it": (UnexpectedResponseError, 200, encoded(ZIPPED[: len(ZIPPED) // 2], "gzip")),
    "nothing of it": (UnexpectedResponseError, 200, encoded(b"", "gzip")),
    "in a whole chunk": (
        UnexpectedResponseError,
        200,
        CHUNKED.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n")
        + b"%x\r\n%b\r\n0\r\n\r\n" % (len(ZIPPED) - 20, ZIPPED[:-20]),
    ),
    "not compressed at all": (ConnectionFailedError, None, encoded(BODY, "gzip")),
    "a wrong checksum": (ConnectionFailedError, None, encoded(ZIPPED[:-8] + bytes(8), "gzip")),
    "an encoding nobody knows": (UnexpectedResponseError, 200, encoded(DEFLATED, "br-9")),
    "an encoding that nobody uses": (UnexpectedResponseError, 200, encoded(LZW, "x-compress")),
    "half of it, called x-gzip": (UnexpectedResponseError, 200, encoded(ZIPPED[:-30], "x-gzip")),
    "a wrong checksum, called x-gzip": (
        UnexpectedResponseError,
        200,
        encoded(ZIPPED[:-8] + bytes(8), "x-gzip"),
    ),
}


@pytest.mark.parametrize(("error", "status", "answer"), SHORT.values(), ids=SHORT)
async def test_it_costs_a_poll(
    trial: Trial, error: type[TransportError], status: int | None, answer: bytes
) -> None:
    """To `get` and to a wait alike. The error tells of no status that nobody has sent."""
    found = await costs_a_poll(trial, answer, error=error, status=status)
    assert isinstance(found, TransportError)
    assert "400" not in found.message


WHOLE: dict[str, tuple[Part, ...]] = {
    "gzip": (encoded(ZIPPED, "gzip"),),
    "deflate": (encoded(DEFLATED, "deflate"),),
    "in two members": (encoded(gzip.compress(BODY[:9]) + gzip.compress(BODY[9:]), "gzip"),),
    "in two, by its old name": (
        encoded(gzip.compress(BODY[:9]) + gzip.compress(BODY[9:]), "x-gzip"),
    ),
    "in capitals, with blanks": (encoded(ZIPPED, "  GZip "),),
    "by its old name": (encoded(ZIPPED, "x-gzip"),),
    "and nothing else": (encoded(ZIPPED, "gzip, identity"),),
    "not said so": (http(ZIPPED),),
    "said otherwise": (encoded(ZIPPED, "br-9"),),
    "twice": (encoded(TWICE, "gzip, gzip"),),
    "twice, said once": (encoded(TWICE, "gzip"),),
    "twice, in two headers": (
        encoded(TWICE, "gzip").replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n", 1),
    ),
    "none": (encoded(BODY, "identity"),),
    "none, by an empty header": (encoded(BODY, ""),),
    "none, by a name": (encoded(BODY, "utf-8"),),
}


@pytest.mark.parametrize("parts", WHOLE.values(), ids=WHOLE)
async def test_whole_ones_are_good(trial: Trial, parts: tuple[Part, ...]) -> None:
    """So that what fails above fails for its fault. No JSON begins as gzip does."""
    await is_no_matter(trial, *parts)
