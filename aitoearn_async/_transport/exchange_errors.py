"""The errors of exchanges that brought no whole response.

An exception of the HTTP library comes in, and an error of this package goes out, fit to be shown.
What becomes of it is decided elsewhere.
"""

from __future__ import annotations

import logging
import math

import aiohttp

from .._net.body import ResponseTooLargeError
from .._net.connection import CLOSED_SESSION, waited_for_a_connection
from .._net.failures import OF_A_STRANGER, failure_of, is_a_mistake, said_by
from .._net.resources import LACKS_FOR, exhausted_resource, is_out_of_descriptors, lack_of
from .._runtime.lifetime import Lifetime, is_cancelled
from .._verdict import TOO_LARGE
from ..errors import (
    NotAskedError,
    RequestTimeoutError,
    TransportError,
    UnexpectedResponseError,
)
from .credentials import Credentials
from .request import OutgoingRequest
from .sessions import Sessions

logger: logging.Logger = logging.getLogger("aitoearn_async")

_TOLD_EVERY = 60.0
"""Seconds for which one line in the log about a lack is enough."""
NEARLY_ALL = 0.99
"""The share of its time after which a request has had all of it: sums of floats are rounded."""
_CANCELLED = "something was cancelled that the aiohttp session given to the Client had waited for"
_NO_CONNECTION = (
    "not sent, because no connection of the session given to the Client was free in time"
)
_UNREACHABLE = frozenset({"no DNS answer", "no connection"})
_PROXY_UNUSED = "; HTTPS_PROXY is set, and is obeyed with trust_env=True only"


class ExchangeErrors:
    """Makes the errors of one client.

    Args:
        sessions: Are told of failed requests.
        host: The service's.
        credentials: The key, which no message may hold.
        most_bytes: The largest response.
        lifetime: The client's, for its clock.
        leaves_proxy: Whether the environment names a proxy, and this client goes without one.
    """

    def __init__(
        self,
        sessions: Sessions,
        host: str,
        credentials: Credentials,
        most_bytes: int,
        lifetime: Lifetime,
        *,
        leaves_proxy: bool,
    ) -> None:
        self._sessions = sessions
        self._host = host
        self._leaves_proxy = leaves_proxy
        self._credentials = credentials
        self._most_bytes = most_bytes
        self._lifetime = lifetime
        self._told_of_lack = -math.inf

    def error_of(
        self, exc: BaseException, request: OutgoingRequest, waited: float
    ) -> TransportError | None:
        """Return the error that an exception comes to; None if it is to be raised as it is.

        Args:
            exc: Raised on the way to a response.
            request: The request.
            waited: Seconds since it went out.

        Raises:
            RuntimeError: Something was cancelled, and not the call.
        """
        if not isinstance(exc, Exception):
            if is_cancelled():
                return None
            closed = self._sessions.are_closed
            raise RuntimeError(CLOSED_SESSION if closed else _CANCELLED) from None
        # A deadline of the caller's that came first says nothing of the connection.
        if not isinstance(exc, TimeoutError) or waited >= NEARLY_ALL * request.seconds:
            self._sessions.note_failure(request.path, exc)
        return self._of_exception(exc, request.request_id, waited)

    def _of_exception(
        self, exc: Exception, request_id: str, waited: float
    ) -> TransportError | None:
        if isinstance(exc, ResponseTooLargeError):
            return UnexpectedResponseError(
                f"the answer is larger than {self._most_bytes:,} bytes (max_response_bytes=)",
                request_id,
                label=TOO_LARGE,
                transient=False,
            )
        if (lack := _exhausted_resource(exc)) is not None:
            return self._not_sent(lack_of(lack), request_id)
        if is_a_mistake(exc):
            return None
        failure = failure_of(exc)
        if failure.error is RequestTimeoutError:
            if waited_for_a_connection(exc):
                return self._not_sent(_NO_CONNECTION, request_id)
            text = f"no answer from {self._host} within {waited:.1f} s"
        elif isinstance(exc, aiohttp.ConnectionTimeoutError):
            text = f"no connection to {self._host} within {waited:.1f} s"
        else:
            said = self._credentials.shown(" ".join(said_by(exc).split())) or type(exc).__name__
            text = f"{failure.text}: {said}"
        if self._leaves_proxy and failure.label in _UNREACHABLE:
            text += _PROXY_UNUSED
        error = failure.error(text, request_id, label=failure.label, transient=failure.transient)
        if failure is OF_A_STRANGER:  # only its own type tells what it is
            error.__cause__ = exc.with_traceback(None)
        return error

    def _not_sent(self, text: str, request_id: str) -> NotAskedError:
        """Return the error of a lack on this side, and log it: it is no outage."""
        now = self._lifetime.time()
        if now >= self._told_of_lack + _TOLD_EVERY:
            self._told_of_lack = now
            logger.warning("a request to %s is %s", self._host, text)
        return NotAskedError(text, request_id, retry_after=LACKS_FOR)


def _exhausted_resource(exc: Exception) -> str | None:
    lack = exhausted_resource(exc)
    if lack is None and isinstance(exc, aiohttp.ClientConnectorDNSError):
        return "file descriptor" if is_out_of_descriptors() else None
    return lack
