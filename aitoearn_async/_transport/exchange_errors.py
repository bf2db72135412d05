"""The errors of exchanges that brought no whole response.

An exception of the HTTP library comes in, and an error of this package goes out, fit to be shown.
What becomes of it is decided elsewhere.
"""

from __future__ import annotations

import logging
import math

import aiohttp

from .._net.body import ResponseTooLargeError
from .._net.connection import waited_for_a_connection
from .._net.failures import OF_A_STRANGER, failure_of, is_a_mistake, said_by
from .._net.resources import LACKS_FOR, exhausted_resource, is_out_of_descriptors, lack_of
from .._runtime.lifetime import Lifetime
from .._verdict import TOO_LARGE
from ..errors import (
    NotAskedError,
    RequestTimeoutError,
    TransportError,
    UnexpectedResponseError,
)
from .credentials import Credentials

logger: logging.Logger = logging.getLogger("aitoearn_async")

_TOLD_EVERY = 60.0
"""Seconds for which one line in the log about a lack is enough."""
_NO_CONNECTION = (
    "not sent, because no connection of the session given to the Client was free in time"
)


_UNREACHABLE = frozenset({"no DNS answer", "no connection"})
_PROXY_UNUSED = "; HTTPS_PROXY is set, and is obeyed with trust_env=True only"


class ExchangeErrors:
    """Makes the errors of one client.

    Args:
        host: The service's.
        leaves_proxy: Whether the environment names a proxy, and this client goes without one.
        credentials: The key, which no message may hold.
        most_bytes: The largest response.
        lifetime: The client's, for its clock.
    """

    def __init__(
        self,
        host: str,
        credentials: Credentials,
        most_bytes: int,
        lifetime: Lifetime,
        *,
        leaves_proxy: bool,
    ) -> None:
        self._host = host
        self._leaves_proxy = leaves_proxy
        self._credentials = credentials
        self._most_bytes = most_bytes
        self._lifetime = lifetime
        self._told_of_lack = -math.inf

    def error_of(self, exc: Exception, request_id: str, waited: float) -> TransportError | None:
        """Return the error that an exception comes to; None if it is to be raised as it is.

        Args:
            exc: Raised on the way to a response.
            request_id: The request's.
            waited: Seconds since it went out.
        """
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
