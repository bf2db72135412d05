"""A fleet's address, and the ledger behind it. Optional packages are imported here, late."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Generator
from pathlib import Path
from urllib.parse import unquote

from .errors import FleetError
from .ledger import Ledger

VARIABLE = "AITOEARN_FLEET"
"""The environment variable that holds the default address."""
DEFAULT_FILE = "aitoearn-fleet.db"
_NO_LIBPQ = "no pq wrapper available"
"""psycopg's words where it is installed without its binary part, and the system has none for it."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,30}", re.ASCII)
_WORD = re.compile(r"[\w+.-]*")
_EXAMPLES = "postgresql://user@host/database, redis://host:6379/0 or sqlite:///path/to/file.db"


def ledger_at(url: str | None, name: str, lease: float) -> Ledger:
    """Return the ledger at an address.

    Raises:
        ValueError: The address or the name cannot be used.
        FleetError: The package that the engine needs is not installed.
        ImportError: It is, and something else cannot be imported.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(
            f"name={name!r:.60}: a fleet's name is 1-31 characters of a-z 0-9 _, a letter first"
        )
    source = "the fleet's url" if url is not None else VARIABLE
    url = url if url is not None else os.environ.get(VARIABLE) or f"sqlite:///{DEFAULT_FILE}"
    if not isinstance(url, str):
        raise ValueError(f"{source} is a str, not {type(url).__name__}: give {_EXAMPLES}")
    scheme = url.partition("://")[0].lower()
    if scheme == "sqlite":
        from .sqlite import SqliteLedger

        return SqliteLedger(_path(url, source), name, lease)
    if scheme in ("postgresql", "postgres"):
        with _needing("psycopg", "postgres"):
            from .postgres import PostgresLedger
        return PostgresLedger(url, name, lease)
    if scheme in ("redis", "rediss", "unix", "valkey", "valkeys"):
        with _needing("redis", "redis"):
            from .redis import RedisLedger
        # redis-py knows no scheme of Valkey's, and none in capitals.
        known = scheme.replace("valkey", "redis") + url[len(scheme) :]
        return RedisLedger(known, name, lease)
    # The address may hold a password, so no more of it is shown.
    begin = scheme[:20] if _WORD.fullmatch(scheme) else "..."
    raise ValueError(f"{source} begins with {begin!r}: give {_EXAMPLES}")


def _path(url: str, source: str) -> Path:
    rest = url.partition("://")[2].partition("?")[0]
    host, slash, path = rest.partition("/")
    if host or not slash or not path:
        raise ValueError(
            f"{source} is {url!r:.80}: give sqlite:///relative.db or sqlite:////absolute/path.db"
        )
    return Path(unquote(path))


@contextlib.contextmanager
def _needing(package: str, extra: str) -> Generator[None]:
    """Name what is to be installed, where that is why an import fails in the block."""
    install = f"pip install 'aitoearn-async[{extra}]'"
    try:
        yield
    except ImportError as error:
        if error.name == package:
            raise FleetError(f"this fleet's engine needs {package}: {install}") from error
        if _NO_LIBPQ in str(error):
            raise FleetError(
                f"{package} finds no libpq, the client library of Postgres: {install} brings it "
                "along, or install the system's, on Debian with apt-get install libpq5"
            ) from error
        raise
