"""Charges: the part of the service that each error is charged to. No state is kept here."""

from __future__ import annotations

import enum

from .._verdict import HOSTS_OWN
from ..errors import (
    AiToEarnError,
    AuthenticationError,
    ConnectionFailedError,
    NotAskedError,
    RateLimitError,
    RequestTimeoutError,
    ServerError,
    UnexpectedResponseError,
)


class Charge(enum.Enum):
    """The part of the service that an error is charged to."""

    NOBODY = enum.auto()
    """The error says nothing of the service's health."""
    SIGN_OF_LIFE = enum.auto()
    """The service said no: it is well."""
    ROUTE = enum.auto()
    HOST = enum.auto()


def charge_of(error: AiToEarnError) -> Charge:
    """Return the part of the service that an error is charged to."""
    if isinstance(error, ConnectionFailedError):
        if not error.transient:
            return Charge.NOBODY
        return Charge.HOST if error.label in HOSTS_OWN else Charge.ROUTE
    if isinstance(error, RequestTimeoutError | ServerError):
        return Charge.ROUTE
    # Proxies' pages, and what the service says when it cannot look the key up.
    if isinstance(
        error, UnexpectedResponseError | RateLimitError | AuthenticationError | NotAskedError
    ):
        return Charge.NOBODY
    return Charge.SIGN_OF_LIFE


def may_be_the_hosts(error: AiToEarnError) -> bool:
    """Return whether trouble with a route is of a kind that a host in trouble shows on all."""
    return not isinstance(error, ServerError) or (error.http_status or 0) >= 500


def is_trouble(error: AiToEarnError) -> bool:
    """Return whether an error says that the service is in trouble, or that it was not asked."""
    return isinstance(error, NotAskedError) or charge_of(error) in (Charge.ROUTE, Charge.HOST)
