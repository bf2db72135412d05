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
    ConnectionFailedError,
    RequestTimeoutError,
    TransportError,
    UnexpectedResponseError,
)
from aitoearn_async._net.failures import failure_of, is_a_mistake, said_by

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
        (ConnectionFailedError, True, "no TLS"),
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
    (aiohttp.ConnectionTimeoutError(), NO_CONNECTION),
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
    """Each exception of the exchange has its failure, whatever status it claims."""
    failure = failure_of(exception)
    assert (failure.error, failure.transient, failure.label) == expected
    assert failure.text


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


def test_every_exception_of_aiohttp_has_a_failure_of_its_own() -> None:
    """None falls through to the last row, which is for what nobody thought of."""
    last = failure_of(Exception())
    for name in aiohttp.__all__:
        kind = getattr(aiohttp, name)
        if isinstance(kind, type) and issubclass(kind, aiohttp.ClientError):
            failure = failure_of(kind.__new__(kind))
            assert failure is not last, name
            assert issubclass(failure.error, TransportError)


def test_a_handshake_that_broke_off_is_said_so() -> None:
    """The other side hung up: that is no disagreement about TLS."""
    broken_off = caused(aiohttp.ClientConnectorSSLError(KEY_, OSError()), ssl.SSLEOFError())
    assert failure_of(broken_off).text == "the TLS handshake broke off"
