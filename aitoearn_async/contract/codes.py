"""The service's business codes: which error each of them is.

The service says no with HTTP 200 and one of these; numbers like 502 come from proxies that
speak JSON. A code not listed is an `ApiError`, and not worth another try.
"""

from __future__ import annotations

from ..errors import (
    ApiError,
    AuthenticationError,
    InvalidRequestError,
    RateLimitError,
    ServerError,
    TaskNotFoundError,
)

_CODES: dict[int, type[ApiError]] = {
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


def error_for(code: int) -> type[ApiError]:
    """The error a business code stands for."""
    return _CODES.get(code) or (ServerError if 500 <= code <= 599 else ApiError)
