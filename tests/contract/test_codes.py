"""The service's business codes, each with the error it stands for."""

from __future__ import annotations

import re
from typing import Any, NoReturn

import msgspec
import pytest

from aitoearn_async import (
    ApiError,
    AuthenticationError,
    Client,
    GenerateImage,
    ImageRef,
    ImageTask,
    InvalidRequestError,
    RateLimitError,
    ServerError,
    TaskNotFoundError,
)
from aitoearn_async.contract.endpoints import endpoint_of

from .samples import Reply, replaying

CODES: dict[int, type[ApiError]] = {
    400: InvalidRequestError,
    401: AuthenticationError,
    403: AuthenticationError,
    404: TaskNotFoundError,
    408: ServerError,
    429: RateLimitError,
    500: ServerError,
    502: ServerError,
    503: ServerError,
    599: ServerError,
    10002: InvalidRequestError,
    12302: TaskNotFoundError,
    19000: AuthenticationError,
    # Nobody has heard of these, or they are the neighbours of those above.
    **dict.fromkeys((1, -1, -500, 200, 402, 405, 499, 600, 5000, 10001, 10003), ApiError),
    **dict.fromkeys((12300, 12301, 12303, 12801, 19001, 2**31, 2**64, 10**300), ApiError),
}


@pytest.mark.parametrize(("code", "error"), CODES.items(), ids=lambda value: str(value)[:20])
async def test_codes(code: int, error: type[ApiError]) -> None:
    """A code in an HTTP 200 is the error of the table, with its words, and only that."""
    # Written by hand: msgspec encodes no integer of more than 64 bits.
    said = msgspec.json.encode({"data": {}, "message": "no", "timestamp": 1, "requestId": "r"})
    body = said[:-1] + b',"code":' + str(code).encode() + b"}"
    async with (
        replaying(Reply(body)) as server,
        Client("k", base_url=server.url, attempts=1) as client,
    ):
        with pytest.raises(ApiError) as caught:
            await client.get(ImageRef("66"))
    found = caught.value
    assert type(found) is error
    assert (found.code, found.message, found.http_status) == (code, "no", 200)
    assert found.transient is issubclass(error, ServerError | RateLimitError)
    assert len(server.requests) == 1


@pytest.mark.parametrize("ref", [None, "image:66", "66", 66, ImageRef, object()])
def test_only_refs_have_endpoints(ref: object) -> None:
    """What is no ref is a TypeError that says how to make one."""
    with pytest.raises(TypeError, match=r"expected an ImageRef or a VideoRef.*parse_ref"):
        endpoint_of(ref)  # type: ignore[arg-type]


class Later:
    """What was not awaited."""

    def __await__(self) -> NoReturn:
        raise AssertionError("nobody awaits it")


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        (ImageTask(log_id="66", status="success"), "give the ref of the task, task.ref"),
        (GenerateImage(model="m", prompt="a cat"), "submit() makes a task of it"),
        (Later(), "await it first"),
        ([ImageRef("66")], "wait_all() and as_completed() take several"),
        ((ImageRef(id) for id in ["66"]), "wait_all() and as_completed() take several"),
    ],
    ids=["task", "request", "coroutine", "list", "generator"],
)
def test_what_is_given_in_place_of_a_ref(given: Any, hint: str) -> None:
    """The error says what to do about it."""
    with pytest.raises(TypeError, match=f"; {re.escape(hint)}"):
        endpoint_of(given)
