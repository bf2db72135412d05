"""What went wrong, and whether it is worth another try: one table, no I/O.

It reads from the top: what was raised while connecting, sending or reading; then what the
HTTP status says of an answer that is not the service's. What the service's own codes say is
the contract's to know, and asked from here so that there is one place to ask.

`ClientResponseError.status` is never looked at: aiohttp puts a 400 there for answers that it
could not parse, whatever the server sent.
"""

from __future__ import annotations

import enum
import ssl
from typing import NamedTuple

import aiohttp
from aiohttp.http import HttpProcessingError

from ..contract.codes import error_for
from ..errors import (
    ApiError,
    AuthenticationError,
    ConnectionFailedError,
    RateLimitError,
    RequestTimeoutError,
    ServerError,
    TransportError,
    UnexpectedResponseError,
)


class Phase(enum.Enum):
    """Where a request had got to."""

    EXCHANGE = enum.auto()
    """Connecting, sending, reading: an exception came, no whole answer did."""
    ANSWER = enum.auto()
    """A whole answer came."""


class Verdict(NamedTuple):
    """What it is (`error`), whether it is worth another try, and how to say it."""

    error: type[ApiError] | type[TransportError]
    transient: bool
    label: str
    text: str


_EXCEPTIONS: tuple[tuple[type[BaseException], Verdict], ...] = (
    (
        aiohttp.ClientConnectorCertificateError,
        Verdict(ConnectionFailedError, False, "bad certificate", "the certificate is not valid"),
    ),
    (
        aiohttp.ServerFingerprintMismatch,
        Verdict(ConnectionFailedError, False, "bad certificate", "the fingerprint is another"),
    ),
    (
        aiohttp.ClientConnectorSSLError,
        Verdict(ConnectionFailedError, False, "no TLS", "no common way to encrypt"),
    ),
    (
        aiohttp.ClientConnectorDNSError,
        Verdict(ConnectionFailedError, True, "no DNS answer", "the host's name was not resolved"),
    ),
    (
        aiohttp.ClientConnectorError,
        Verdict(ConnectionFailedError, True, "no connection", "no connection could be made"),
    ),
    (
        aiohttp.ClientPayloadError,
        Verdict(ConnectionFailedError, True, "cut answer", "the answer broke off"),
    ),
    (
        aiohttp.ClientHttpProxyError,
        Verdict(ConnectionFailedError, True, "proxy refusal", "the proxy refused"),
    ),
    (
        aiohttp.ClientResponseError,
        Verdict(UnexpectedResponseError, True, "not HTTP", "the answer is not HTTP"),
    ),
    (
        TimeoutError,
        Verdict(RequestTimeoutError, True, "no answer in time", "no answer came in time"),
    ),
    (
        aiohttp.ClientError,
        Verdict(ConnectionFailedError, True, "lost connection", "the connection was lost"),
    ),
    (
        OSError,
        Verdict(ConnectionFailedError, True, "lost connection", "the connection was lost"),
    ),
    (
        RuntimeError,
        Verdict(ConnectionFailedError, True, "no DNS answer", "the host's name was not looked up"),
    ),
    (
        Exception,
        Verdict(UnexpectedResponseError, True, "not HTTP", "the answer could not be read"),
    ),
)

_NO_THREAD = "can't start new thread"
"""What Python says, in a `RuntimeError`, where names are looked up in threads and none is to be
had any more."""

_STATUSES: tuple[tuple[range, type[ApiError] | type[TransportError], bool, str], ...] = (
    (range(304, 305), UnexpectedResponseError, True, "unchanged, which was not asked"),
    (range(300, 400), UnexpectedResponseError, False, "a redirect, which is not followed"),
    (range(401, 402), AuthenticationError, False, "refused by something before the service"),
    (range(408, 409), UnexpectedResponseError, True, "the request came too slowly"),
    (range(425, 426), UnexpectedResponseError, True, "too early"),
    (range(429, 430), RateLimitError, True, "too many requests"),
    (range(400, 500), UnexpectedResponseError, False, "refused by something before the service"),
    (range(500, 600), ServerError, True, "a proxy before the service has no answer"),
    (range(1000), UnexpectedResponseError, True, "not an answer of the service"),
)


def said_by(exc: BaseException) -> str:
    """The words of an exception, as far as they can be trusted.

    Not the status in those of a `ClientResponseError`, or of what the parser raised: it is made
    up, and the URL nothing new.
    """
    told = exc.__cause__ if isinstance(exc, aiohttp.ClientPayloadError) else exc
    if isinstance(told, aiohttp.ClientResponseError | HttpProcessingError):
        return told.message
    return str(exc)


def is_a_mistake(exc: Exception) -> bool:
    """Whether what was raised says nothing of the exchange, but of how aiohttp was used.

    Or that the client has been closed, which is a `RuntimeError` too.
    """
    return isinstance(exc, RuntimeError) and str(exc) != _NO_THREAD


def classify(
    phase: Phase,
    *,
    exception: BaseException | None = None,
    status: int = 200,
    code: int | None = None,
) -> Verdict:
    """What a call came to, if not to a good answer.

    Args:
        phase: Where the request had got to.
        exception: What was raised, in the phase `EXCHANGE`.
        status: The real HTTP status, in the phase `ANSWER`.
        code: The service's business code, if the answer had one.
    """
    if phase is Phase.EXCHANGE:
        return _for_exception(exception)
    by_status = _for_status(status)
    if code is None:
        return by_status
    error = error_for(code)
    if error is ApiError and issubclass(by_status.error, ApiError):
        error = by_status.error  # a code nobody knows, under a status that says enough
    return Verdict(error, error.transient, f"code {code}", "")


def _for_exception(exception: BaseException | None) -> Verdict:
    if exception is None:
        raise TypeError("the phase EXCHANGE needs the exception")
    verdict = next(verdict for kind, verdict in _EXCEPTIONS if isinstance(exception, kind))
    cause = exception.__cause__
    if isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        # The other side hung up in the handshake: trouble, not a disagreement.
        return Verdict(ConnectionFailedError, True, "no connection", "the TLS handshake broke off")
    return verdict


def _for_status(status: int) -> Verdict:
    for statuses, error, transient, text in _STATUSES:
        if status in statuses:
            return Verdict(error, transient, f"HTTP {status}", text)
    return Verdict(UnexpectedResponseError, True, "not HTTP", "a status that is no status")
