"""A reset anywhere in an exchange."""

from __future__ import annotations

import pytest

from aitoearn_async import ConnectionFailedError
from tests.support.answers import BODY, CHUNK, CHUNKED, HEAD, WHOLE
from tests.support.raw_server import RST, Part

from .harness import Row, Trial
from .shared import costs_a_poll, is_no_matter

ROW = Row(
    2,
    "The connection is reset: before the answer, in its head, in its body, after it",
    "Half an answer is a lost poll, and is asked for again on another connection. "
    "An answer that was whole before the reset is good.",
)

EARLY: dict[str, tuple[Part, ...]] = {
    "before the head": (RST,),
    "in the status line": (HEAD[:7], 0.1, RST),
    "in the head": (HEAD[:40], 0.1, RST),
    "after the head": (HEAD, 0.1, RST),
    "in the body": (HEAD + BODY[:10], 0.1, RST),
    "before the last byte": (WHOLE[:-1], 0.1, RST),
    "in a chunk": (CHUNKED + CHUNK[:10], 0.1, RST),
    "before the last chunk": (CHUNKED + CHUNK, 0.1, RST),
}


@pytest.mark.parametrize("parts", EARLY.values(), ids=EARLY)
async def test_a_reset_before_the_end(trial: Trial, parts: tuple[Part, ...]) -> None:
    """One request more for each reset, none of them hidden."""
    await costs_a_poll(trial, *parts, error=ConnectionFailedError)


@pytest.mark.parametrize("pause", [0.0, 0.1])
async def test_a_reset_after_the_body(trial: Trial, pause: float) -> None:
    """The answer is whole: it is taken, and the next request has a connection of its own."""
    await is_no_matter(trial, WHOLE, pause, RST)
