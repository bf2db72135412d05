"""The table of what went wrong, row by row: a pure function, so no server is needed."""

from __future__ import annotations

import ssl
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import pytest
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from aitoearn_async import (
    ApiError,
    AuthenticationError,
    ConnectionFailedError,
    InvalidRequestError,
    RateLimitError,
    RequestTimeoutError,
    ServerError,
    TaskNotFoundError,
    TransportError,
    UnexpectedResponseError,
)
from aitoearn_async.session.classify import Phase, classify, is_a_mistake, said_by

URL_ = URL("https://example.org/")
KEY_ = cast("Any", SimpleNamespace(host="example.org", port=443, ssl=True, is_ssl=True))
INFO = aiohttp.RequestInfo(URL_, "GET", CIMultiDictProxy(CIMultiDict[str]()), URL_)


def caused(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = cause
    return error


LOST = (ConnectionFailedError, True, "lost connection")
NO_CONNECTION = (ConnectionFailedError, True, "no connection")
CUT = (ConnectionFailedError, True, "cut answer")
NOT_HTTP = (UnexpectedResponseError, True, "not HTTP")
LATE = (RequestTimeoutError, True, "no answer in time")
BAD_CERTIFICATE = (ConnectionFailedError, False, "bad certificate")

EXCEPTIONS: list[tuple[BaseException, tuple[type[TransportError], bool, str]]] = [
    (
        aiohttp.ClientConnectorCertificateError(KEY_, ssl.SSLCertVerificationError(1, "x")),
        BAD_CERTIFICATE,
    ),
    (aiohttp.ServerFingerprintMismatch(b"a", b"b", "example.org", 443), BAD_CERTIFICATE),
    (
        aiohttp.ClientConnectorSSLError(KEY_, ssl.SSLError(1, "wrong version")),
        (ConnectionFailedError, False, "no TLS"),
    ),
    (
        caused(
            aiohttp.ClientConnectorSSLError(KEY_, ssl.SSLError(1, "eof")), ssl.SSLEOFError(8, "eof")
        ),
        NO_CONNECTION,
    ),
    (
        caused(
            aiohttp.ClientConnectorSSLError(KEY_, ssl.SSLError(1, "eof")),
            ssl.SSLZeroReturnError(6, "closed"),
        ),
        NO_CONNECTION,
    ),
    (
        aiohttp.ClientConnectorDNSError(KEY_, OSError(-2, "unknown")),
        (ConnectionFailedError, True, "no DNS answer"),
    ),
    (aiohttp.ClientConnectorError(KEY_, ConnectionRefusedError(111, "refused")), NO_CONNECTION),
    (aiohttp.ClientProxyConnectionError(KEY_, OSError(111, "refused")), NO_CONNECTION),
    (aiohttp.ClientPayloadError("not completed"), CUT),
    (
        aiohttp.ClientHttpProxyError(INFO, (), status=407),
        (ConnectionFailedError, True, "proxy refusal"),
    ),
    (aiohttp.ClientResponseError(INFO, (), status=400), NOT_HTTP),
    (aiohttp.ClientResponseError(INFO, (), status=200), NOT_HTTP),
    (aiohttp.WSServerHandshakeError(INFO, (), status=401), NOT_HTTP),
    (aiohttp.ContentTypeError(INFO, ()), NOT_HTTP),
    (TimeoutError(), LATE),
    (TimeoutError(), LATE),
    (aiohttp.ServerTimeoutError(), LATE),
    (aiohttp.ConnectionTimeoutError(), LATE),
    (aiohttp.SocketTimeoutError(), LATE),
    (aiohttp.ServerDisconnectedError(), LOST),
    (aiohttp.ServerConnectionError(), LOST),
    (aiohttp.ClientOSError(104, "reset"), LOST),
    (aiohttp.ClientConnectionResetError("closing"), LOST),
    (aiohttp.ClientConnectionError("closed"), LOST),
    (aiohttp.ClientError("?"), LOST),
    (ConnectionResetError(104, "reset"), LOST),
    (BrokenPipeError(32, "pipe"), LOST),
    (ssl.SSLError(1, "bad record"), LOST),
    (OSError(24, "too many open files"), LOST),
    (RuntimeError("can't start new thread"), (ConnectionFailedError, True, "no DNS answer")),
    (ValueError("?"), NOT_HTTP),
    (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "?"), NOT_HTTP),
    (LookupError("unknown encoding"), NOT_HTTP),
]


@pytest.mark.parametrize(
    ("exception", "expected"), EXCEPTIONS, ids=[type(error).__name__ for error, _ in EXCEPTIONS]
)
def test_exceptions(
    exception: BaseException, expected: tuple[type[TransportError], bool, str]
) -> None:
    """Each exception of the exchange has its verdict, whatever status it claims."""
    verdict = classify(Phase.EXCHANGE, exception=exception)
    assert (verdict.error, verdict.transient, verdict.label) == expected
    assert verdict.text


@pytest.mark.parametrize(
    ("exception", "mistake"),
    [
        (RuntimeError("Session is closed"), True),
        (RuntimeError("can't start new thread"), False),
        (ValueError("can't start new thread"), False),
        (ValueError("Session is closed"), False),
    ],
)
def test_what_says_nothing_of_the_exchange(exception: Exception, mistake: bool) -> None:
    assert is_a_mistake(exception) is mistake


def test_no_made_up_status_is_passed_on() -> None:
    """aiohttp has a number for what nobody has sent."""
    broken = aiohttp.http.HttpProcessingError(code=400, message="bad bytes")
    packed = aiohttp.ClientPayloadError("400, message: ...")
    packed.__cause__ = broken
    assert said_by(broken) == said_by(packed) == "bad bytes"
    assert said_by(aiohttp.ClientPayloadError("cut off")) == "cut off"


def test_an_exchange_without_an_exception_is_a_mistake() -> None:
    """There is nothing to judge then."""
    with pytest.raises(TypeError, match="exception"):
        classify(Phase.EXCHANGE)


def test_every_exception_of_aiohttp_has_a_verdict_of_its_own() -> None:
    """None falls through to the last row, which is for what nobody thought of."""
    last = classify(Phase.EXCHANGE, exception=Exception())
    for name in aiohttp.__all__:
        kind = getattr(aiohttp, name)
        if isinstance(kind, type) and issubclass(kind, aiohttp.ClientError):
            verdict = classify(Phase.EXCHANGE, exception=kind.__new__(kind))
            assert verdict is not last, name
            assert issubclass(verdict.error, TransportError)


def expected_for(status: int) -> tuple[type[ApiError | TransportError], bool]:
    """The table once more, in other words."""
    if status == 401:
        return AuthenticationError, False
    if status == 429:
        return RateLimitError, True
    if 500 <= status <= 599:
        return ServerError, True
    if 300 <= status <= 499 and status not in (304, 408, 425):
        return UnexpectedResponseError, False
    return UnexpectedResponseError, True


def test_statuses() -> None:
    """Every status has one verdict; refusals before the service are not asked twice."""
    for status in [*range(1000), -1, 1000, 99999]:
        verdict = classify(Phase.ANSWER, status=status)
        assert (verdict.error, verdict.transient) == expected_for(status), status
        assert verdict.text


CODES: dict[int, type[ApiError]] = {
    400: InvalidRequestError,
    401: AuthenticationError,
    403: AuthenticationError,
    404: TaskNotFoundError,
    408: ServerError,
    429: RateLimitError,
    500: ServerError,
    502: ServerError,
    599: ServerError,
    600: ApiError,
    10002: InvalidRequestError,
    12300: ApiError,
    12302: TaskNotFoundError,
    12801: ApiError,
    19000: AuthenticationError,
    -1: ApiError,
    1: ApiError,
    2**70: ApiError,
}


@pytest.mark.parametrize("status", [200, 201, 204, 206, 302, 404, 999])
@pytest.mark.parametrize(("code", "error"), CODES.items())
def test_codes(code: int, error: type[ApiError], status: int) -> None:
    """The service's own code counts, whatever status it came under."""
    verdict = classify(Phase.ANSWER, status=status, code=code)
    assert verdict.error is error
    assert verdict.transient is (error in (RateLimitError, ServerError))
    assert verdict.label == f"code {code}"


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, AuthenticationError), (429, RateLimitError), (500, ServerError), (503, ServerError)],
)
def test_an_unknown_code_under_a_status_that_says_enough(
    status: int, error: type[ApiError]
) -> None:
    """A code nobody knows leaves the word to the status."""
    verdict = classify(Phase.ANSWER, status=status, code=77777)
    assert verdict.error is error
    assert verdict.transient is error.transient


def test_how_it_is_said() -> None:
    """The words of what is no row of a table."""
    said = classify(Phase.ANSWER, status=503)
    assert (said.label, said.text) == ("HTTP 503", "a proxy before the service has no answer")
    said = classify(Phase.ANSWER, status=1000)
    assert (said.label, said.text) == ("not HTTP", "a status that is no status")
    assert classify(Phase.ANSWER).label == "HTTP 200"
    assert classify(Phase.ANSWER, code=401).text == ""
    broken_off = caused(aiohttp.ClientConnectorSSLError(KEY_, OSError()), ssl.SSLEOFError())
    assert classify(Phase.EXCHANGE, exception=broken_off).text == "the TLS handshake broke off"
    with pytest.raises(TypeError, match=r"^the phase EXCHANGE needs the exception$"):
        classify(Phase.EXCHANGE)
