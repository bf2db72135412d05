"""The exit statuses of the command line. Which error makes which of them is in `snapshot`."""

from __future__ import annotations

import enum
from collections.abc import Iterable


class ExitStatus(enum.IntEnum):
    """An exit status. Of several ends of waits, the one with the highest status counts."""

    SUCCEEDED = 0
    FAILED = 1
    USAGE = 2
    GAVE_UP = 3
    SERVICE = 4
    UNCERTAIN = 5
    NOT_SAVED = 6
    INTERRUPTED = 130
    BROKEN_PIPE = 141


def worst(statuses: Iterable[ExitStatus]) -> ExitStatus:
    """Return the exit status of a command that met all of these ends."""
    return max(statuses, default=ExitStatus.SUCCEEDED)
