"""A server that hangs up, in good order, before the answer is whole."""

from __future__ import annotations

import pytest

from aitoearn_async import ConnectionFailedError, UnexpectedResponseError
from tests.support.answers import BARE, BODY, CHUNK, CHUNKED, HEAD, WHOLE
from tests.support.raw_server import FIN, Part, http

from .harness import Row, Trial
from .shared import costs_a_poll, is_no_matter

ROW = Row(
    5,
    "The server hangs up in the middle of an answer, with a length, in chunks, or with neither",
    "What is known to be short is a lost connection. Where the connection's end is the answer's "
    "only end, the JSON is found to be half. Either costs a poll.",
)

SHORT: dict[str, tuple[Part, ...]] = {
    "in place of an answer": (FIN,),
    "in the status line": (HEAD[:7], FIN),
    "in the head": (HEAD[:40], 0.1, FIN),
    "after the head": (HEAD, 0.1, FIN),
    "at once in the body": (HEAD + BODY[:10], FIN),
    "in the body": (HEAD + BODY[:10], 0.1, FIN),
    "one byte short": (http(BODY, length=len(BODY) + 1), FIN),
    "in a chunk": (CHUNKED + CHUNK[:10], FIN),
    "between chunks": (CHUNKED + CHUNK, FIN),
}
UNNOTICED: dict[str, tuple[Part, ...]] = {
    "no length": (BARE + b"\r\n" + BODY[:-3], FIN),
    "no length, no body": (BARE + b"\r\n", FIN),
    "HTTP/1.0": (BARE.replace(b"1.1", b"1.0") + b"\r\n" + BODY[:20], FIN),
}
WHOLE_ANYWAY: dict[str, tuple[Part, ...]] = {
    "a length": (WHOLE, FIN),
    "chunks": (CHUNKED + CHUNK + b"0\r\n\r\n", FIN),
    "no length": (BARE + b"\r\n" + BODY, FIN),
    "HTTP/1.0": (WHOLE.replace(b"1.1", b"1.0", 1), FIN),
}


@pytest.mark.parametrize("parts", SHORT.values(), ids=SHORT)
async def test_hung_up_too_early(trial: Trial, parts: tuple[Part, ...]) -> None:
    """A lost connection, whichever way the answer's end was to be known."""
    await costs_a_poll(trial, *parts, error=ConnectionFailedError)


@pytest.mark.parametrize("parts", UNNOTICED.values(), ids=UNNOTICED)
async def test_hung_up_where_only_the_json_tells(trial: Trial, parts: tuple[Part, ...]) -> None:
    """HTTP takes it for a whole answer; the reader of the JSON does not."""
    await costs_a_poll(trial, *parts, error=UnexpectedResponseError, status=200)


@pytest.mark.parametrize("parts", WHOLE_ANYWAY.values(), ids=WHOLE_ANYWAY)
async def test_hung_up_after_the_end(trial: Trial, parts: tuple[Part, ...]) -> None:
    """The answer was whole."""
    await is_no_matter(trial, *parts)
