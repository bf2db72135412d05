"""The service says no: HTTP 200 and a business code."""

from __future__ import annotations

import asyncio
import gc
import logging
import weakref
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from aitoearn_async import (
    AiToEarnError,
    AnyRef,
    ApiError,
    AuthenticationError,
    ImageRef,
    InvalidRequestError,
    Outcome,
    RateLimitError,
    ServerError,
    ServiceUnreachableError,
    TaskNotFoundError,
    wait_backoff,
)
from tests.support.raw_server import (
    REF,
    Heard,
    RawServer,
    Script,
    good,
    http,
    refuse,
    say,
    together,
)

from .calls import CALLS, Call, about_ref
from .harness import Row, Trial

ROW = Row(
    12,
    "The service refuses with a business code, known or unknown",
    "Each known code is one error; an unknown one is an `ApiError` with its number and words. "
    "What may pass is asked for again, what is final is not.",
)


class Case(NamedTuple):
    """What a code is."""

    error: type[ApiError]
    transient: bool = False


KNOWN: dict[int, Case] = {
    400: Case(InvalidRequestError),
    401: Case(AuthenticationError),
    403: Case(AuthenticationError),
    404: Case(TaskNotFoundError),
    408: Case(ServerError, transient=True),
    429: Case(RateLimitError, transient=True),
    500: Case(ServerError, transient=True),
    502: Case(ServerError, transient=True),
    503: Case(ServerError, transient=True),
    504: Case(ServerError, transient=True),
    10002: Case(InvalidRequestError),
    12302: Case(TaskNotFoundError),
    19000: Case(AuthenticationError),
}
UNKNOWN = [1, -1, -500, 200, 402, 499, 600, 10001, 12300, 12801, 19001, 2**31, 2**64, 10**300]
CASES = KNOWN | dict.fromkeys(UNKNOWN, Case(ApiError))


def no(code: int) -> Script:
    """Written by hand: no JSON library need like such numbers."""
    return say(http(b'{"data":{},"code":%d,"message":"why","timestamp":5}' % code))


@pytest.mark.sampled(3)
@pytest.mark.parametrize(("code", "case"), CASES.items(), ids=lambda value: str(value)[:12])
async def test_get(trial: Trial, code: int, case: Case) -> None:
    """One error each, after one request if it is final, after `attempts` if it may pass.

    A refusal of the key is final, and takes two witnesses.
    """
    async with RawServer(no(code)) as server, server.client(attempts=3) as client:
        (error,) = await trial.ends(client.get, REF)
    assert type(error) is case.error
    assert (error.code, error.message, error.http_status) == (code, "why", 200)
    assert error.transient is case.transient
    assert error.request_id == server.heard[-1].header("X-Request-Id")
    final = 2 if case.error is AuthenticationError else 1
    trial.wire(server, exactly=3 if case.transient else final)


@pytest.mark.parametrize("power", [20, 4000])
async def test_a_number_as_long_as_a_page(trial: Trial, power: int) -> None:
    """It is an attribute like any other, and not written out wherever the error is told of."""
    code = -(10**power)
    async with RawServer(no(code)) as server, server.client() as client:
        (error,) = await trial.ends(client.get, REF)
    assert error.code == code
    assert len(str(error)) < 100
    trial.wire(server, exactly=1)


@pytest.mark.sampled(3)
@pytest.mark.parametrize(("code", "case"), CASES.items(), ids=lambda value: str(value)[:12])
async def test_the_first_poll_of_a_wait(trial: Trial, code: int, case: Case) -> None:
    """A final no ends it at once, of the key the second one; one that may pass costs a poll."""
    takes = 2 if case.error is AuthenticationError else 1
    async with RawServer(*[no(code)] * takes, good()) as server, server.client() as client:
        (end,) = await trial.ends(client.wait_for, REF)
    if case.transient:
        assert end.status == "success"
    else:
        assert type(end) is case.error
    trial.wire(server, exactly=2 if case.transient else takes)


DOUBTED = {code for code, case in CASES.items() if case.error in (ApiError, AuthenticationError)}


@pytest.mark.sampled(3)
@pytest.mark.parametrize(("code", "case"), CASES.items(), ids=lambda value: str(value)[:12])
async def test_a_later_poll_of_a_wait(trial: Trial, code: int, case: Case) -> None:
    """After good answers, a no that contradicts them is believed the second time."""
    scripts = good("generating"), no(code), good("generating"), no(code), no(code)
    async with RawServer(*scripts, good()) as server, server.client() as client:
        (end,) = await trial.ends(client.wait_for, REF)
    if case.transient:
        assert end.status == "success"
        trial.wire(server, exactly=6)
    else:
        assert type(end) is case.error
        trial.wire(server, exactly=5 if code in DOUBTED else 2)


async def test_a_refusal_ends_one_task_alone(trial: Trial) -> None:
    """Each of these in a batch fails its own task; the others end as they would have."""
    # A wrong key is everybody's; and so are 429 and the codes of a proxy, elsewhere in the table.
    shared = AuthenticationError, RateLimitError, ServerError
    codes = [500, *(code for code, case in CASES.items() if case.error not in shared)]
    refs: list[AnyRef] = [ImageRef(str(number)) for number in range(3 * len(codes))]

    def choose(heard: Heard) -> Script:
        index, rest = divmod(int(heard.path.rpartition("/")[2]), 3)
        return good() if rest else no(codes[index])

    async with (
        RawServer(choose=choose) as server,
        server.client(wait=wait_backoff(10)) as client,
    ):
        outcomes = await client.wait_all(refs, patience=30)
        trial.book(refs, outcomes)
    for number, outcome in enumerate(outcomes):
        index, rest = divmod(number, 3)
        if rest:
            assert outcome.ok
            assert outcome.polls == 1
        elif CASES[codes[index]].transient:
            assert isinstance(outcome.error, ServiceUnreachableError)
            assert getattr(outcome.error.__cause__, "code", None) == codes[index]
        else:
            assert type(outcome.error) is CASES[codes[index]].error
            assert outcome.polls == 1
    # Of a task with code 500 another route is asked too, once.
    trial.wire(server, exactly=sum(outcome.polls for outcome in outcomes) + codes.count(500))


@pytest.mark.parametrize("code", [401, 403, 19000])
async def test_a_wrong_key_ends_a_batch(trial: Trial, code: int) -> None:
    """No other task would fare better: the batch says so after its first answers."""
    refs = [ImageRef(str(number)) for number in range(500)]
    async with RawServer(refuse(code)) as server, server.client(concurrency=8) as client:
        (error,) = await trial.ends(lambda _: client.wait_all(refs), refs[0])
    assert type(error) is AuthenticationError
    trial.wire(server, at_most=8)


class Large:
    """Something in a caller's frame that is better not kept."""


@pytest.fixture
def few_logs(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing of an error is held by what is logged."""
    with caplog.at_level(logging.WARNING, "aitoearn_async"):
        yield


@pytest.mark.sampled(3)
@pytest.mark.usefixtures("few_logs")
@pytest.mark.parametrize("code", [401, 404])
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_what_an_error_was_raised_through_is_let_go_of(
    trial: Trial, call: Call, code: int
) -> None:
    """Nobody but the caller holds on to an error, nor is it a ring that is never broken."""

    async def handle() -> weakref.ref[Large]:
        large = Large()
        (end,) = await together(call(client))
        end = about_ref(end)
        trial.book([REF], [end])
        error = end.error if isinstance(end, Outcome) else end
        assert isinstance(error, AiToEarnError)
        try:
            raise error
        except AiToEarnError:
            return weakref.ref(large)

    async with RawServer(refuse(code)) as server, server.client() as client:
        gone = await asyncio.create_task(handle())
        gc.collect()
        assert gone() is None
    trial.wire(server)


@pytest.mark.usefixtures("few_logs")
async def test_so_it_is_of_trouble_that_was_looked_at(trial: Trial) -> None:
    """Whoever raises what a wait has met has the wait in his frame, and the wait has the error."""

    async def handle() -> weakref.ref[Large]:
        large, waiter = Large(), client.wait_for(REF)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(waiter), 0.5)
        trial.book([REF], [waiter.trouble])
        try:
            raise waiter.trouble or ValueError
        except ServerError:
            return weakref.ref(large)

    async with RawServer(refuse(500)) as server, server.client() as client:
        gone = await asyncio.create_task(handle())
        gc.collect()
        assert gone() is None
    trial.wire(server, exactly=1)
