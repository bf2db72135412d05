"""The errors of SQLite, as those of a fleet: which of them pass, and which do not."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from .errors import FleetError, FleetUnavailableError

_HOPELESS = {
    "SQLITE_READONLY": "it cannot be written to",
    "SQLITE_CANTOPEN": "it cannot be opened; is its directory there, and may it be written to?",
    "SQLITE_NOTADB": "it is no SQLite database",
    "SQLITE_CORRUPT": "it is damaged",
    "SQLITE_PERM": "it may not be used by this user",
    "SQLITE_ERROR": "its tables are not those of a fleet of this version",
}
_PASSING = {
    "SQLITE_BUSY": "another process keeps it locked",
    "SQLITE_PROTOCOL": "another process keeps it locked",
    "SQLITE_FULL": "its disk is full",
    "SQLITE_IOERR_SHMSIZE": "its disk is full",
    "SQLITE_IOERR": "its disk fails",
}

_FULL = ("SQLITE_FULL", "SQLITE_IOERR_WRITE")


def is_full(error: sqlite3.Error) -> bool:
    """Return whether there was no room on the disk."""
    return _name(error).startswith(_FULL)


def _name(error: sqlite3.Error) -> str:
    return getattr(error, "sqlite_errorname", "SQLITE_ERROR")


def translated(error: sqlite3.Error, path: Path) -> FleetError:
    """Return the fleet's error for one of SQLite's."""
    name = _name(error)
    for code, reason in _PASSING.items():
        if name.startswith(code):
            return FleetUnavailableError(f"the fleet's file {path}: {reason} ({error})")
    reason = next((text for code, text in _HOPELESS.items() if name.startswith(code)), "failed")
    if os.path.isdir(path):  # which takes a name that is too long for none
        reason = "it is a directory; give the path of a file in it"
    return FleetError(f"the fleet's file {path}: {reason} ({error})")
