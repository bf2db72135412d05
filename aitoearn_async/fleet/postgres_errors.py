"""The errors of Postgres, as those of a fleet: which of them pass, and which do not."""

from __future__ import annotations

import psycopg

from .errors import FleetError, unusable

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
_HOPELESS_WORDS = (
    *("password authentication failed", "no password supplied", "no pg_hba.conf entry"),
    *("does not exist", "no such database", "no such user", "SASL authentication failed"),
    "ProactorEventLoop",
)
"""The words of failed connections that no repetition mends, by Postgres, by PgBouncer, and by
psycopg on Windows: they have no codes."""


def translated(error: psycopg.Error, where: str) -> FleetError:
    """Return the fleet's error for one of psycopg's."""
    text = " ".join(str(error).split())
    hopeless = isinstance(error, _HOPELESS) or any(words in text for words in _HOPELESS_WORDS)
    return unusable(where, text, passing=isinstance(error, _PASSING) and not hopeless)
