"""The errors of Postgres, as those of a fleet: which of them pass, and which do not."""

from __future__ import annotations

import psycopg

from .errors import FleetError, FleetUnavailableError, shown

_PASSING = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.errors.ReadOnlySqlTransaction,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.IdleInTransactionSessionTimeout,
    psycopg.errors.SerializationFailure,
)
_HOPELESS = (
    psycopg.errors.InvalidPassword,
    psycopg.errors.InvalidAuthorizationSpecification,
    psycopg.errors.InvalidCatalogName,
    psycopg.errors.InsufficientPrivilege,
)


_SETUP = (
    *("password authentication failed", "no password supplied", "no pg_hba.conf entry"),
    *("does not exist", "no such database", "no such user", "SASL authentication failed"),
    "ProactorEventLoop",
)
"""The words of failed connections that no repetition mends, by Postgres, by PgBouncer, and by
psycopg on Windows: they have no codes."""


def translated(error: psycopg.Error, url: str) -> FleetError:
    """Return the fleet's error for one of psycopg's."""
    where = shown(url) if "://" in url else url
    text = " ".join(str(error).split())
    if isinstance(error, _PASSING) and not isinstance(error, _HOPELESS) and not _is_setup(text):
        return FleetUnavailableError(f"{where} cannot be used now: {text}")
    return FleetError(f"{where} cannot be used: {text}")


def _is_setup(text: str) -> bool:
    """Return whether a failed connection is one that no repetition mends."""
    return any(hint in text for hint in _SETUP)
