"""The counts of what a wait's polls came to. They take no memory while all came to the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .step import WaitState

_MOST_KINDS_SEEN = 12
_MOST_OF_A_WORD = 200
"""Characters of a status that are counted by, and kept in each wait. No real one has as many."""


def seen_by(wait: WaitState[Any]) -> dict[str, int]:
    """Return what the polls came to, and how often."""
    if wait.counts is not None:
        return wait.counts
    return {wait.status[:_MOST_OF_A_WORD]: wait.polls} if wait.status is not None else {}


def count_poll(wait: WaitState[Any], what: str) -> None:
    """Count a poll that did not come to the same as all before it.

    Args:
        wait: The wait.
        what: The status it brought, or the label of its error.
    """
    counts = wait.counts = seen_by(wait)
    what = what[:_MOST_OF_A_WORD]
    if what not in counts and len(counts) >= _MOST_KINDS_SEEN:
        what = "other"
    counts[what] = counts.get(what, 0) + 1
    wait.polls += 1
