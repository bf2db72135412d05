"""The service's status words, and what they mean.

The service speaks two vocabularies (images `generating success failed`, videos
`InProgress SUCCESS FAILURE`) and passes on words of the providers behind it, so the set is
open: a word nobody has heard of means the task is still running.
"""

from __future__ import annotations

import enum


class TaskState(enum.StrEnum):
    """The state of a task, whatever word the service used for it; equal to its word below."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


_WORDS = {
    TaskState.SUCCEEDED: "success succeeded succeed completed done",
    TaskState.FAILED: "failed failure fail error cancelled canceled expired",
    TaskState.RUNNING: (
        "generating submitted inprogress notstart notstarted queued queueing running"
        " pending processing unknown"
    ),
}
_STATES = {word: state for state, words in _WORDS.items() for word in words.split()}
_SEPARATORS = str.maketrans("", "", " _-")


def state_of(word: str) -> TaskState:
    """Return the state that a status word stands for; `RUNNING` for words that are not known."""
    return _STATES.get(word) or _STATES.get(_plain(word), TaskState.RUNNING)


def is_known(word: str) -> bool:
    """Return whether the word is one this version has heard of."""
    return word in _STATES or _plain(word) in _STATES


def _plain(word: str) -> str:
    return word.translate(_SEPARATORS).strip().lower()
