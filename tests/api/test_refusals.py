"""The tables of codes and statuses: which error each comes to, and whether it passes."""

from __future__ import annotations

import itertools
from types import ModuleType
from typing import Any

import pytest
from tenacity import wait_fixed

from aitoearn_async import (
    ApiError,
    AuthenticationError,
    ContractError,
    InvalidRequestError,
    RateLimitError,
    ServerError,
    TransportError,
    UnexpectedResponseError,
)
from aitoearn_async._api import poll
from aitoearn_async._api.refusals import error_for, meaning_of
from aitoearn_async.contract import envelope
from tests.contract.test_codes import CODES
from tests.support.cases import case
from tests.support.raw_server import KEY, REF, RawServer, Script, good, http, refuse, say, together


def expected_for(status: int) -> tuple[type[ApiError | TransportError], bool]:
    """The table once more, in other words."""
    if status == 401:
        return AuthenticationError, False
    if status == 429:
        return RateLimitError, True
    if 500 <= status <= 599 and status != 511:
        return ServerError, True
    if 300 <= status <= 499 and status not in (304, 408, 425):
        return UnexpectedResponseError, False
    return UnexpectedResponseError, True


def test_statuses() -> None:
    """Every status has one found; refusals before the service are not asked twice."""
    for status in [*range(1000), -1, 1000, 99999]:
        found = meaning_of(status)
        assert (found.error, found.transient) == expected_for(status), status
        assert found.text


def test_codes() -> None:
    """The service's own code counts, whatever status it came under."""
    for code, error in CODES.items():
        with case(code):
            for status in (200, 201, 204, 206, 302, 404, 999):
                assert error_for(code, status) is error, status
            assert error.transient is (error in (RateLimitError, ServerError))


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, AuthenticationError), (429, RateLimitError), (500, ServerError), (503, ServerError)],
)
def test_an_unknown_code_under_a_status_that_says_enough(
    status: int, error: type[ApiError]
) -> None:
    """A code nobody knows leaves the word to the status."""
    assert error_for(77777, status) is error


def test_a_status_is_put_into_words() -> None:
    """The words of a proxy's status, and of what is no status."""
    assert meaning_of(503).text == "a proxy before the service has no answer"
    assert meaning_of(1000).text == "a status that is no status"


@pytest.mark.parametrize(
    ("status", "body", "error", "message"),
    [
        (403, b'{"message":"no access"}', ApiError, "no access"),
        (404, b'{"error":{"message":"no route"}}', ApiError, "no route"),
        (401, b'{"error":"unauthorized"}', AuthenticationError, "unauthorized"),
        (400, b'{"success":false,"message":"bad"}', InvalidRequestError, "bad"),
    ],
)
async def test_a_gateway_speaks_in_words_of_its_own(
    status: int, body: bytes, error: type[ApiError], message: str
) -> None:
    """They have no code of the service: the status stands for one, and 404 is about a route."""
    async with RawServer(say(http(body, status))) as server, server.client() as client:
        with pytest.raises(ApiError) as caught:
            await client.get(REF)
        assert type(caught.value) is error
        assert (caught.value.code, caught.value.message) == (status, message)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b'{"statusCode":429,"message":"slow down"}', RateLimitError),
        (b'{"status":503,"error":"Service Unavailable"}', ServerError),
        (b'{"error":{"code":401,"message":"a bad key"}}', AuthenticationError),
        (b'{"error":{"code":404,"message":"no route"}}', ApiError),
    ],
)
async def test_a_gateway_names_the_status_under_a_200(body: bytes, error: type[ApiError]) -> None:
    """Then that is what it says: a wait goes on where the status is one that passes."""
    scripts = good("generating"), say(http(body)), good()
    async with RawServer(*scripts) as server, server.client(attempts=1) as client:
        await client.get(REF)
        (end,) = await together(client.get(REF))
        assert type(end) is error
        assert "the service failed" not in str(end)
        assert (f"at {server.url}" in str(end)) is not end.transient
        assert ("is base_url= right?" in str(end)) is (end.code == 404)
    if not end.transient:
        return
    troubles = [say(http(body))] * 3
    async with (
        RawServer(good("generating"), *troubles, good()) as server,
        server.client() as client,
    ):
        assert (await client.wait_for(REF)).status == "success"


@pytest.mark.parametrize("answer", [refuse(401, "未授权"), say(http(b"<html>no</html>", 401))])
async def test_a_refused_key_says_where_and_what_to_check(answer: Script) -> None:
    """The service's words may be in Chinese, and say nothing of the other site."""
    async with RawServer(answer) as server, server.client() as client:
        with pytest.raises(AuthenticationError) as caught:
            await client.get(REF)
        for words in (server.url, "AITOEARN_API_KEY", "aitoearn.ai and aitoearn.cn have separate"):
            assert words in str(caught.value)


async def test_a_gateways_no_names_the_address() -> None:
    """And asks for it, until something good has come from there, and where it has no such route."""
    money, route = (http(b'{"message":"no"}', status) for status in (403, 404))
    scripts = say(money), say(money), good(), say(money), say(route)
    async with RawServer(*scripts) as server, server.client() as client:
        for asks in (True, True, None, False, True):
            (end,) = await together(client.get(REF))
            if asks is not None:
                assert f"refused at {server.url}" in str(end)
                assert ("is base_url= right?" in str(end)) is asks


@pytest.mark.parametrize(
    ("body", "quoted"),
    [
        (b'{"status":0,"info":"no money"}', True),
        (b'{"data":{"error":"no money"}}', True),
        (b'["no money"]', True),
        (b'{"code":0,"message":"no money","data":null}', True),
        (
            b'{"code":0,"data":{"logId":"66","status":5,"url":"https://a.example/x?sig=secret"}}',
            False,
        ),
    ],
)
async def test_json_of_any_other_shape_is_quoted(body: bytes, quoted: bool) -> None:
    """As a page would be; but nothing of a task, whose addresses may be signed."""
    async with RawServer(say(http(body))) as server, server.client() as client:
        with pytest.raises(ContractError) as caught:
            await client.get(REF)
        assert ("; it begins " in str(caught.value)) is quoted
        assert ("no money" in str(caught.value)) is quoted
        assert "secret" not in str(caught.value)
        assert caught.value.is_foreign is (b'"code"' not in body)


GB18030 = "<title>405</title>很抱歉，您的访问被阻断".encode("gb18030")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (http(GB18030, 405), "您的访问被阻断"),
        (http(b"x" * 999 + "访".encode(), 405), "xxx"),
        (http(b"<h1>\xff\xff", 405), "�"),
        (
            http(b"", 403, {"X-Ca-Error-Message": "Invalid Signature"}),
            "'X-Ca-Error-Message: Invalid Signature'",
        ),
        (
            http(b"", 200, {"grpc-status": "14", "grpc-message": "no upstream"}),
            "'Grpc-Message: no upstream'",
        ),
        (http(b"", 403, {"X-Ca-Error-Message": KEY}), ": <API key>'"),
        (http(b"", 403), "it begins ''"),
    ],
)
async def test_what_a_gateway_says_can_be_read(answer: bytes, words: str) -> None:
    """In the encoding of old ones in China too, and where it stands in a header alone."""
    async with RawServer(say(answer)) as server, server.client(attempts=1) as client:
        with pytest.raises(UnexpectedResponseError) as caught:
            await client.get(REF)
        assert words in str(caught.value)


@pytest.mark.parametrize(("what", "user"), [("decode", envelope), ("decode_head", poll)])
async def test_an_answer_for_which_there_is_no_memory(
    what: str, user: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is trouble with this one answer: the next one is read."""
    decode, calls = getattr(user, what), itertools.count()

    def decode_or_not(*args: Any) -> Any:
        if next(calls) == 0:
            raise MemoryError
        return decode(*args)

    monkeypatch.setattr(user, what, decode_or_not)
    async with (
        RawServer(good("generating"), good("generating"), good("success")) as server,
        server.client(attempts=1) as client,
    ):
        if what == "decode":
            with pytest.raises(UnexpectedResponseError, match="no memory for the answer"):
                await client.get(REF)
        assert (await client.wait_for(REF, wait=wait_fixed(5))).status == "success"
        assert server.count == 3
