"""A reset anywhere in an exchange."""

from __future__ import annotations

import pytest

from aitoearn_async import ConnectionFailedError
from tests.support.answers import BODY, CHUNK, CHUNKED, HEAD, WHOLE
from tests.support.raw_server import REF, RST, Part, RawServer, good, say

from .harness import Row, Trial

ROW = Row(
    2,
    "The connection is reset: before the answer, in its head, in its body, after it",
    "Half an answer is a lost poll and is asked for again, `attempts` times in all. "
    "An answer that was whole before the reset is good.",
)

EARLY: dict[str, tuple[Part, ...]] = {
    "before the head": (RST,),
    "in the head": (HEAD[:40], 0.1, RST),
    "after the head": (HEAD, 0.1, RST),
    "in the body": (HEAD + BODY[:10], 0.1, RST),
    "before the last byte": (WHOLE[:-1], 0.1, RST),
    "in a chunk": (CHUNKED + CHUNK[:10], 0.1, RST),
    "before the last chunk": (CHUNKED + CHUNK, 0.1, RST),
}


@pytest.mark.parametrize("parts", EARLY.values(), ids=EARLY)
async def test_a_reset_before_the_end(trial: Trial, parts: tuple[Part, ...]) -> None:
    """One request more, on a connection of its own, and the right answer."""
    async with RawServer(say(*parts), good()) as server, server.client(attempts=2) as client:
        await trial.ends(client.get, REF, status="success")
        assert [heard.connection for heard in server.heard] == [0, 1]
    trial.wire(server, exactly=2)


@pytest.mark.parametrize("parts", EARLY.values(), ids=EARLY)
async def test_resets_without_end(trial: Trial, parts: tuple[Part, ...]) -> None:
    """As many requests as `attempts` allows, none of them hidden, and one clear error."""
    async with RawServer(say(*parts)) as server, server.client(attempts=3) as client:
        (error,) = await trial.ends(client.get, REF)
        assert type(error) is ConnectionFailedError
        assert error.transient
    trial.wire(server, exactly=3)


async def test_a_reset_after_the_body(trial: Trial) -> None:
    """The answer is whole: it is taken, and the next request has a fresh connection."""
    async with RawServer(say(WHOLE, RST)) as server, server.client(attempts=1) as client:
        for _ in range(3):
            await trial.ends(client.get, REF, status="success")
    trial.wire(server, exactly=3)
