"""The status of a task over time, as data: which word holds at which age.

No event loop, no JSON and no HTTP in here. Ages are seconds since the task was created.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence

Stage = tuple[str, float | Callable[[], float]]
"""A status word and the seconds it stays; a function is called anew for each task."""

# The service's words, written down a second time on purpose: a mistake in the client's own
# table would go unnoticed if the emulator shared it.
SUCCESS_WORDS = frozenset(["success", "succeeded", "succeed", "completed", "done"])
FAILURE_WORDS = frozenset(
    ["failed", "failure", "fail", "error", "cancelled", "canceled", "expired"]
)
LOG_STATUSES = frozenset(["generating", "success", "failed"])
"""The status words of the logs, for both kinds, and of images in the published contract."""
_SLACK = 1e-6
"""Sums of floats, and timers that fire early, land just before a change that is due."""


class StatusTimeline:
    """The words of one task, in order, each with the age at which it begins.

    Args:
        stages: Any number of `(word, seconds)`, then the word that stays for ever.

    Raises:
        ValueError: The stages are not of that form.
    """

    __slots__ = ("begins", "words")

    def __init__(self, stages: Sequence[str | Stage]) -> None:
        if not stages or not isinstance(stages[-1], str):
            raise ValueError("the last word stays for ever: give it without seconds")
        self.begins: list[float] = [0.0]
        self.words: list[str] = []
        for stage in stages[:-1]:
            word, seconds = _checked(stage)
            self.words.append(word)
            self.begins.append(self.begins[-1] + seconds)
        self.words.append(stages[-1])

    def stage(self, age: float) -> int:
        """Return the number of the stage that holds at this age."""
        return bisect_right(self.begins, age + _SLACK) - 1

    def next_change(self, age: float) -> float:
        """Return the age of the next change after this age; infinity if there is none."""
        later = self.stage(age) + 1
        return self.begins[later] if later < len(self.begins) else math.inf

    def cut(self, age: float, word: str) -> None:
        """Replace all that comes after this age by a word that stays for ever."""
        kept = self.stage(age) + 1
        self.begins[kept:] = [age]
        self.words[kept:] = [word]

    def restart(self, age: float) -> None:
        """Run all stages once more from this age on; the first word holds until then."""
        self.begins[1:] = [age + begin for begin in self.begins[1:]]


def log_status(word: str) -> str:
    """Return the status of a log row for a status word: one of three for both kinds."""
    plain = word.lower()
    if plain in SUCCESS_WORDS:
        return "success"
    return "failed" if plain in FAILURE_WORDS else "generating"


def _checked(stage: str | Stage) -> tuple[str, float]:
    if isinstance(stage, str) or len(stage) != 2 or not isinstance(stage[0], str):
        raise ValueError(f"every word but the last is a pair (word, seconds), not {stage!r}")
    word, given = stage
    seconds = given() if callable(given) else given
    if not (math.isfinite(seconds) and seconds >= 0):
        raise ValueError(f"a word stays 0 seconds or more, not {seconds!r}")
    return word, float(seconds)
