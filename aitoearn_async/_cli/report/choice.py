"""The reporter that suits stdout.

Those for a terminal are imported only for one: their library takes long to import.
"""

from __future__ import annotations

from .echo import on_terminal
from .reporters import GetProgress, GetSnapshots, JsonReporter, LineReporter, LogReporter, Reporter


def reporter_for(
    get_snapshots: GetSnapshots, *, as_json: bool = False, erase: bool = False
) -> Reporter:
    """Return the reporter for a handful of tasks that suits stdout.

    Args:
        get_snapshots: Returns how all waits stand now.
        as_json: Write outcomes as JSON.
        erase: Erase the table at its end: what is written after it says more.
    """
    if as_json:
        return JsonReporter()
    if not on_terminal():
        return LineReporter()
    from .live import LiveTable

    return LiveTable(get_snapshots, erase=erase)


def list_reporter_for(get_progress: GetProgress, *, as_json: bool, recorded: bool) -> Reporter:
    """Return the reporter for a long list that suits stdout; `recorded`: a file has outcomes."""
    if on_terminal() and (recorded or not as_json):
        from .live import LiveBar

        return LiveBar(get_progress, bare=recorded)
    if recorded:
        return LogReporter(get_progress, Reporter())
    return LogReporter(get_progress, JsonReporter() if as_json else LineReporter())
