"""The reporter that suits stdout.

Those for a terminal are imported only for one: their library takes long to import.
"""

from __future__ import annotations

from .echo import on_terminal
from .reporters import JsonReporter, LineReporter, ListLook, LogReporter, Look, Reporter


def reporter_for(look: Look, *, as_json: bool = False, passing: bool = False) -> Reporter:
    """Return the reporter for a handful of tasks that suits stdout.

    Args:
        look: Returns how all waits stand now.
        as_json: Write outcomes as JSON.
        passing: Remove the table at its end: what comes afterwards says more.
    """
    if as_json:
        return JsonReporter()
    if not on_terminal():
        return LineReporter()
    from .live import LiveTable

    return LiveTable(look, passing=passing)


def list_reporter_for(look: ListLook, *, as_json: bool, recorded: bool) -> Reporter:
    """Return the reporter for a long list that suits stdout; `recorded`: a file has outcomes."""
    if on_terminal() and (recorded or not as_json):
        from .live import LiveBar

        return LiveBar(look, bare=recorded)
    if recorded:
        return LogReporter(look, Reporter())
    return LogReporter(look, JsonReporter() if as_json else LineReporter())
