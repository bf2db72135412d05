"""What becomes of a task, as data: which status word holds at which age.

No event loop, no JSON and no HTTP in here. Ages are seconds since the task was added.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence

Stage = tuple[str, float]
"""A status word, and the seconds it stays."""

SUCCESS_WORDS = frozenset(["success", "succeeded", "succeed", "completed", "done"])
FAILURE_WORDS = frozenset(
    ["failed", "failure", "fail", "error", "cancelled", "canceled", "expired"]
)


class Life:
    """The words of one task, in order, each with the age at which it begins.

    Args:
        stages: Any number of `(word, seconds)`, then the word that stays for ever.

    Raises:
        ValueError: The stages are not of that form.
    """

    __slots__ = ("begins", "words")

    def __init__(self, stages: Sequence[str | Stage]) -> None:
        if not stages or not isinstance(stages[-1], str):
            raise ValueError("the last word of a life stays for ever: give it without seconds")
        self.begins: list[float] = [0.0]
        self.words: list[str] = []
        for stage in stages[:-1]:
            word, seconds = _checked(stage)
            self.words.append(word)
            self.begins.append(self.begins[-1] + seconds)
        self.words.append(stages[-1])

    def stage(self, age: float) -> int:
        """The number of the stage that holds at this age."""
        # Sums of floats, and timers that fire a nanosecond early, land just before a change
        # that is due at that very moment.
        return bisect_right(self.begins, age + 1e-6) - 1

    def cut(self, age: float, word: str) -> None:
        """Forget what was to come after this age: from here on it is `word` for ever."""
        kept = self.stage(age) + 1
        self.begins[kept:] = [age]
        self.words[kept:] = [word]


def _checked(stage: str | Stage) -> Stage:
    if isinstance(stage, str) or len(stage) != 2 or not isinstance(stage[0], str):
        raise ValueError(f"every word but the last is a pair (word, seconds), not {stage!r}")
    word, seconds = stage
    if not (math.isfinite(seconds) and seconds >= 0):
        raise ValueError(f"a word stays 0 seconds or more, not {seconds!r}")
    return word, float(seconds)
