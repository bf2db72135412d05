"""The error of a response that is not a good one: the tables of codes and statuses.

The service says no with HTTP 200 and a business code; numbers like 502 come from proxies that
speak JSON. Whether a request is worth repeating stands in the table, beside the error. What is
done about an error is decided elsewhere.
"""

from __future__ import annotations

from typing import TypeGuard

import msgspec

from .._error_base import is_of_the_service
from .._net.headers import reason_in
from .._net.urls import origin_of
from .._transport.http import Http
from .._transport.response import Response
from ..contract.envelope import Malformed
from ..contract.refusal import ERROR_STATUSES, Refusal, decoded
from ..errors import (
    AiToEarnError,
    ApiError,
    AuthenticationError,
    ContractError,
    InvalidRequestError,
    RateLimitError,
    ServerError,
    TaskNotFoundError,
    TransportError,
    UnexpectedResponseError,
)

CODES: dict[int, type[ApiError]] = {
    400: InvalidRequestError,  # body or query invalid
    401: AuthenticationError,  # key missing, wrong, sent twice; account closed
    403: AuthenticationError,
    404: TaskNotFoundError,  # an image the server does not have; also an unknown route
    408: ServerError,
    429: RateLimitError,
    10002: InvalidRequestError,  # an id that is not 24 hex digits
    12302: TaskNotFoundError,  # a video the server does not have
    19000: AuthenticationError,  # key invalid, another family of routes
}
"""The error of each business code that has a class of its own."""


class Meaning(msgspec.Struct, frozen=True):
    """The error that HTTP statuses come to, where the response is not in the service's words."""

    statuses: range
    error: type[ApiError] | type[TransportError]
    transient: bool
    text: str


_REFUSED = "refused by something before the service"
_TOO_LARGE = (
    "the request is too large for a proxy before the service (nginx allows 1 MB unless "
    "client_max_body_size says more)"
)
_MEANINGS = (
    Meaning(range(304, 305), UnexpectedResponseError, True, "unchanged, which was not asked"),
    Meaning(range(300, 400), UnexpectedResponseError, False, "a redirect, which is not followed"),
    Meaning(range(401, 402), AuthenticationError, False, _REFUSED),
    Meaning(range(408, 409), UnexpectedResponseError, True, "the request came too slowly"),
    Meaning(range(413, 414), UnexpectedResponseError, False, _TOO_LARGE),
    Meaning(range(425, 426), UnexpectedResponseError, True, "too early"),
    Meaning(range(429, 430), RateLimitError, True, "too many requests"),
    Meaning(range(400, 500), UnexpectedResponseError, False, _REFUSED),
    Meaning(
        range(511, 512), UnexpectedResponseError, True, "a network on the way wants a login first"
    ),
    Meaning(range(500, 600), ServerError, True, "a proxy before the service has no answer"),
    Meaning(range(1000), UnexpectedResponseError, True, "not an answer of the service"),
)
"""The first that has a status counts."""
_NO_MEANING = Meaning(range(0), UnexpectedResponseError, True, "a status that is no status")
_FAILED = 500
"""The business code of a failure without a name of its own."""

_NOT_TAKEN = frozenset(
    [
        *(307, 308, 400, 401, 402, 403, 404, 405, 406, 407, 410, 411, 412, 413, 414, 415, 417),
        *(421, 422, 424, 426, 428, 429, 431, 451, 511),
    ]
)
"""The HTTP statuses that say for certain that a request was not acted on. All others but 2xx can
come after it was: 303 leads to what was made, and 409 may mean that it exists already."""


def error_for(code: int, status: int = 200) -> type[ApiError]:
    """Return the error that a business code stands for.

    Args:
        code: The service's `code`.
        status: The HTTP status. It counts where nobody knows the code.
    """
    error = CODES.get(code) or (ServerError if 500 <= code <= 599 else ApiError)
    by_status = meaning_of(status).error
    if error is ApiError and issubclass(by_status, ApiError):
        return by_status
    return error


def meaning_of(status: int) -> Meaning:
    """Return what an HTTP status comes to."""
    return next((found for found in _MEANINGS if status in found.statuses), _NO_MEANING)


def refused(no: Refusal, response: Response, request_id: str, http: Http) -> ApiError:
    """Return the error of a response in which the service says no, in its own words."""
    if no.code is None:  # a gateway's
        says = no.status if 200 <= response.status < 300 else None
        code = says or response.status
        kind = _gateway_error(code)
    else:
        kind, code = error_for(no.code, response.status), no.code
    error = kind(
        code,
        http.credentials.shown(no.message),
        no.request_id or response.headers.get("X-Request-Id") or request_id,
        response.status,
        retry_after=response.retry_after,
        sent_request_id=request_id,
    )
    if no.code is None or kind is AuthenticationError:
        _name_host(error, http)
    return error


def _name_host(error: ApiError, http: Http) -> None:
    error.host = http.monitor.address
    # A gateway's 404 is about a route, and who has never answered well may be somebody else.
    error.host_is_doubtful = 404 in (error.code, error.http_status) or not http.monitor.answered


def _gateway_error(status: int) -> type[ApiError]:
    # A gateway's 404 is about its routes, and its 403 about whom it lets through: a plain no.
    return ApiError if status in (403, 404) else error_for(status, status)


def rejected(response: Response, request_id: str, http: Http) -> ApiError | TransportError:
    """Return the error of a response that is not in the service's own words."""
    found = meaning_of(response.status)
    text = f"HTTP {response.status}: {_reason(found, response, http)}"
    wait = response.retry_after
    if issubclass(found.error, ApiError):
        error = found.error(response.status, text, request_id, response.status, retry_after=wait)
        _name_host(error, http)
        return error
    return found.error(
        text,
        request_id,
        response.status,
        label="no JSON" if response.status == 200 else _label(response.status),
        retry_after=wait,
        transient=found.transient,
    )


def broken(why: Malformed, response: Response, request_id: str, http: Http) -> ContractError:
    """Return the error of JSON that breaks the contract."""
    text = http.credentials.shown(why.reason)
    if not (why.has_code and why.has_data):  # nothing of a task, whose addresses may be signed
        text = f"{text}; {_quote(response, http)}"
    error = ContractError(text, request_id)
    error.is_foreign = not why.has_code
    return error


def _label(status: int) -> str:
    return f"HTTP {status}" if status in range(1000) else "not HTTP"


def _reason(found: Meaning, response: Response, http: Http) -> str:
    if 300 <= response.status < 400 and response.status != 304:
        target = origin_of(response.headers.get("Location", ""), http.base_url)
        return f"{found.text}, to {http.credentials.shown(target)}; is base_url= right?"
    return f"{found.text}; {_quote(response, http)}"


def _quote(response: Response, http: Http) -> str:
    begin = " ".join(decoded(response.body[:1000]).split())
    told = reason_in(response.headers) if not begin else None
    return f"it {'begins' if told is None else 'says'} {http.credentials.shown(told or begin)!r}"


def is_failure_of_the_service(error: AiToEarnError) -> TypeGuard[ServerError]:
    """Return whether the service itself has failed: it is done with the request then."""
    is_failure = isinstance(error, ServerError) and error.code == _FAILED
    return is_failure and is_of_the_service(error)


def is_not_taken(error: AiToEarnError, response: Response | TransportError) -> bool:
    """Return whether an answer says for certain that the request was not acted on.

    Args:
        error: The error of the answer.
        response: The answer, if there was one.
    """
    if not isinstance(response, Response) or isinstance(error, ServerError):
        return False
    status = response.status
    if 200 <= status < 300:
        if not isinstance(error, ApiError):
            return False
        if error.host is None or error.code not in ERROR_STATUSES:
            return True
        status = error.code  # a gateway's, which stands in its words
    return status in _NOT_TAKEN
