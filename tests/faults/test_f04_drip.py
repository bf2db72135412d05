"""Answers that come a byte at a time, and never to an end."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.answers import BODY, CHUNK, CHUNKED, HEAD, WHOLE, ZIPPED, encoded
from tests.support.raw_server import REF, STALL, Part, RawServer, drip, http, say

from .harness import Row, Trial
from .shared import TIMEOUT, ends_at_its_bound, ends_on_time, is_no_matter

ROW = Row(
    4,
    "The answer drips in, a byte now and then, in the head or in the body, perhaps without end",
    "The bound of a request is one moment, however busily bytes trickle in. "
    "A slow answer that makes it in time is good.",
)

# Each of these still drips when the time is over.
TOO_SLOW: dict[str, tuple[Part, ...]] = {
    "the status line": tuple(drip(WHOLE, 1.5)),
    "the head": tuple(drip(HEAD, 0.5)),
    "the body": (HEAD, *drip(BODY, 0.5)),
    "a compressed body": (encoded(ZIPPED, "gzip")[: -len(ZIPPED)], *drip(ZIPPED, 0.5)),
    "a chunk": (CHUNKED, *drip(CHUNK, 0.5)),
    "one-byte chunks without end": (CHUNKED, *drip(b"1\r\n \r\n" * 40, 0.5, 6)),
    "the extension of a chunk": (CHUNKED + b"5;x=", *drip(b"y" * 40, 0.5)),
    "trailers": (CHUNKED + CHUNK + b"0\r\n", *drip(b"X-Sum: 1\r\n" * 9, 0.5)),
    "headers without end": (HEAD[:-2], *drip(b"X: y\r\n" * 40, 0.5, 6)),
    "interim answers without end": tuple(drip(b"HTTP/1.1 102 Wait\r\n\r\n" * 40, 0.5, 21)),
    "all but the last byte": (*drip(WHOLE[:-1], 0.01), STALL),
    "more announced than comes": (http(BODY, length=len(BODY) + 1), STALL),
    "one byte too late": (WHOLE[:-1], TIMEOUT + 0.1, WHOLE[-1:]),
}


@pytest.mark.parametrize("parts", TOO_SLOW.values(), ids=TOO_SLOW)
async def test_a_drip_does_not_move_the_end(trial: Trial, parts: tuple[Part, ...]) -> None:
    """The request ends on time; its connection, with more to come on it, is given up."""
    await ends_on_time(trial, *parts)


@pytest.mark.parametrize("what", ["the head", "the body", "interim answers without end"])
async def test_a_drip_in_a_wait(trial: Trial, what: str) -> None:
    """Long before the wait does, and the next poll has an answer."""
    await ends_at_its_bound(trial, *TOO_SLOW[what])


async def test_a_drip_does_not_move_a_deadline(trial: Trial) -> None:
    """Nor does it move the end of a wait that is over sooner than the request would be."""
    loop = asyncio.get_running_loop()
    async with (
        RawServer(say(HEAD, *drip(BODY, 0.5))) as server,
        server.client(request_timeout=TIMEOUT) as client,
    ):
        with trial.on_time(loop.time() + 3.3, early=0):
            await trial.ends(lambda ref: client.wait_for(ref, timeout=3.3), REF)
    trial.wire(server, exactly=1)


@pytest.mark.parametrize("size", [1, 7])
async def test_a_drip_that_makes_it(trial: Trial, size: int) -> None:
    """All there in time, so nothing is wrong with it."""
    await is_no_matter(trial, *drip(WHOLE, 0.01, size))
