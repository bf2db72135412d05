"""The meaning of each exception of an exchange, and whether it passes: one table, no I/O.

It is read from the top, and holds what is raised while connecting, sending or reading, with the
service or with a media host. What a whole response means is told elsewhere.

`ClientResponseError.status` is never looked at: aiohttp puts a 400 there for answers that it
could not parse, whatever the server sent.
"""

from __future__ import annotations

import ssl
import sys

import aiohttp
import msgspec
from aiohttp.http import HttpProcessingError

from ..errors import (
    ConnectionFailedError,
    RequestTimeoutError,
    TransportError,
    UnexpectedResponseError,
)
from .resources import exhausted_resource


class Failure(msgspec.Struct, frozen=True):
    """The error that an exception comes to, and the words for it."""

    error: type[TransportError]
    label: str
    text: str
    transient: bool = True
    """The same exchange may well succeed a little later."""


_LINE, _ANSWER = ConnectionFailedError, UnexpectedResponseError

_FAILURES: dict[type[BaseException], Failure] = {
    aiohttp.ClientConnectorCertificateError: Failure(
        _LINE, "bad certificate", "the certificate is not valid", transient=False
    ),
    aiohttp.ServerFingerprintMismatch: Failure(
        _LINE, "bad certificate", "the fingerprint is another", transient=False
    ),
    # An alert, or no TLS at all: a node that restarts says so, too. It is no word on trust.
    aiohttp.ClientConnectorSSLError: Failure(_LINE, "no TLS", "no common way to encrypt"),
    aiohttp.ClientConnectorDNSError: Failure(
        _LINE, "no DNS answer", "the host's name was not resolved"
    ),
    aiohttp.ClientConnectorError: Failure(_LINE, "no connection", "no connection could be made"),
    aiohttp.ClientPayloadError: Failure(_LINE, "cut answer", "the answer broke off"),
    aiohttp.ClientHttpProxyError: Failure(_LINE, "proxy refusal", "the proxy refused"),
    aiohttp.ClientResponseError: Failure(_ANSWER, "not HTTP", "the answer is not HTTP"),
    aiohttp.ConnectionTimeoutError: Failure(
        _LINE, "no connection", "no connection was made in time"
    ),
    TimeoutError: Failure(RequestTimeoutError, "no answer in time", "no answer came in time"),
    aiohttp.ClientError: Failure(_LINE, "lost connection", "the connection was lost"),
    OSError: Failure(_LINE, "lost connection", "the connection was lost"),
    RuntimeError: Failure(_LINE, "no DNS answer", "the host's name was not looked up"),
    MemoryError: Failure(_ANSWER, "no memory", "there is no memory for the answer"),
    Exception: Failure(_ANSWER, "not HTTP", "the answer could not be read"),
}
"""The first class that an exception is an instance of counts."""
OF_A_STRANGER = Failure(_LINE, "lost connection", "the session given to the Client failed")
"""The failure for exceptions of other packages, such as that of a proxy of another kind."""

_EXPECTED_MODULES = frozenset(
    [
        *sys.stdlib_module_names,
        *("aiohttp", "aiohappyeyeballs", "aiosignal", "frozenlist", "multidict", "propcache"),
        *("uvloop", "yarl", __name__.partition(".")[0]),
    ]
)
"""The modules that take part in every exchange: Python's, those of aiohttp, and ours."""
_SSL_DEFAULT = " ssl:default"
"""A word of aiohttp on each connection that could not be made, also on one without TLS."""
_PASSING = OSError, EOFError, MemoryError, RecursionError
"""Builtin exceptions that are no sign of a mistake."""


def said_by(exc: BaseException) -> str:
    """Return the words of an exception, as far as they can be trusted.

    The status and the URL in those of a `ClientResponseError`, or of an error of the parser, are
    left out: the status is made up, and the URL is known. A proxy's status is its own.
    """
    told = exc.__cause__ if isinstance(exc, aiohttp.ClientPayloadError) else exc
    if isinstance(told, aiohttp.ClientHttpProxyError):
        return f"HTTP {told.status} {told.message}".strip()
    if isinstance(told, aiohttp.ClientResponseError | HttpProcessingError):
        return told.message
    return str(exc).replace(_SSL_DEFAULT, "")


def is_a_mistake(exc: Exception) -> bool:
    """Return whether an exception shows a mistake in code, and says nothing of the exchange.

    These are: a `RuntimeError` of aiohttp that was used in a wrong way; that the client has been
    closed, which is a `RuntimeError` too; an error of the language in the caller's code, such as a
    trace hook of the session.
    """
    if isinstance(exc, RuntimeError):
        return exhausted_resource(exc) is None
    is_builtin = type(exc).__module__ == "builtins" and not isinstance(exc, _PASSING)
    return is_builtin and _came_through_others(exc)


def _came_through_others(exc: BaseException) -> bool:
    """Return whether other code was involved, such as a trace hook or a proxy's connector."""
    trace = exc.__traceback__
    while trace is not None:
        module = str(trace.tb_frame.f_globals.get("__name__", ""))
        if module.partition(".")[0] not in _EXPECTED_MODULES:
            return True
        trace = trace.tb_next
    return False


def failure_of(exc: BaseException) -> Failure:
    """Return what an exception of an exchange comes to."""
    if isinstance(exc.__cause__, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        # The other side hung up in the handshake: trouble, not a disagreement.
        return Failure(_LINE, "no connection", "the TLS handshake broke off")
    found = next(failure for kind, failure in _FAILURES.items() if isinstance(exc, kind))
    if found is _FAILURES[Exception] and _came_through_others(exc):
        return OF_A_STRANGER
    return found
