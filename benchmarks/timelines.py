"""The times at which tasks begin and end, and how: invented, but shaped like real ones.

Known to the server, which answers by it, and to the client, which can say how late it heard of
an end. All moments are seconds after the first task was submitted.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from typing import NamedTuple

PER_SECOND = 400
"""Tasks submitted in a second, one after another."""
VIDEOS = 30  # of a hundred
FAILING = 5  # of a hundred
SWEEP = 30.0
"""Seconds between two looks of the service at its videos: what ended meanwhile shows then."""

_SHARES = (0.0, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0)
SECONDS = {
    "image": (6.0, 14.0, 22.0, 38.0, 65.0, 140.0, 200.0),
    "video": (35.0, 75.0, 110.0, 160.0, 220.0, 280.0, 330.0),
}
"""From submission to the end: so many seconds or less, for that share of the tasks."""


class Timeline(NamedTuple):
    """The beginning and the end of one task."""

    kind: str
    submitted: float
    ended: float
    """The moment at which the service can tell that it has ended."""
    fails: bool


def timeline_of(number: int) -> Timeline:
    """Return the life of the n-th task; always the same one."""
    chance = random.Random(number)
    kind = "video" if chance.random() * 100 < VIDEOS else "image"
    submitted = number / PER_SECOND
    ended = submitted + _seconds(kind, chance.random())
    if kind == "video":
        ended = math.ceil(ended / SWEEP) * SWEEP
    return Timeline(kind, submitted, ended, chance.random() * 100 < FAILING)


def _seconds(kind: str, share: float) -> float:
    row = bisect_right(_SHARES, share) - 1
    low, high = SECONDS[kind][row : row + 2]
    return low + (high - low) * (share - _SHARES[row]) / (_SHARES[row + 1] - _SHARES[row])
