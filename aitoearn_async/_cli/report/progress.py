"""The progress of a long list, and its estimate: numbers in, lines of text out.

Pure, as `words` is: moments come in as arguments.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from aitoearn_async import BatchStatistics

from ..language import tr
from .exit_status import ExitStatus
from .words import NOTHING_LEFT, duration, summary_line

_WINDOW = 60
"""Seconds that an estimate looks back."""
_SHORTEST_SECONDS = 10.0
"""The shortest time that an estimate is made from."""
_FEWEST_ENDS = 20
"""The fewest ends that an estimate is made from."""
_STEADY = 3
"""The most by which one half of that time may have been faster than the other."""
_LATE_SECONDS = 1.0
"""The delay of polls from which it is worth a word."""


class Progress(NamedTuple):
    """A long list at one moment."""

    total: int
    ends: Counter[ExitStatus]
    """The tasks that have ended, in earlier runs too."""
    statistics: BatchStatistics
    elapsed: float
    """Seconds since this run began."""
    time_left: tuple[float, float] | None
    """Seconds, at the earliest and at the latest, if there is anything to say about it."""
    failures: Sequence[str] = ()
    """The errors of tasks, a line each, the latest last."""

    @property
    def left(self) -> int:
        """The number of tasks that have not ended."""
        return self.total - self.ends.total()


class Throughput:
    """Remembers, for a minute, how many had ended at each second."""

    def __init__(self) -> None:
        self.samples: deque[tuple[float, int]] = deque(maxlen=_WINDOW + 1)

    def note(self, moment: float, ended: int) -> None:
        """Remember that so many had ended by now."""
        if not self.samples or moment >= self.samples[-1][0] + 1.0:
            self.samples.append((moment, ended))


def time_left(samples: Sequence[tuple[float, int]], left: int) -> float | None:
    """Return the seconds until the rest has ended, if tasks end as fast as in the last minute.

    Return None if too few have ended, or at an uneven speed: tasks that had ended before the
    run began say nothing about the others.

    Args:
        samples: Moments, and the number of tasks that had ended by then.
        left: The number of tasks that have not ended.
    """
    if len(samples) < 3:
        return None
    (began, before), (now, ended) = samples[0], samples[-1]
    seconds, ends = now - began, ended - before
    if seconds < _SHORTEST_SECONDS or ends < _FEWEST_ENDS:
        return None
    early = next(count for moment, count in samples if moment >= began + seconds / 2) - before
    late = ends - early
    if max(early, late) > _STEADY * min(early, late):
        return None
    return left * seconds / ends


def roughly(low: float, high: float) -> str:
    """Return `about 40 s`, `about 2–4 min`, `about 3 h`."""
    if high < 90:
        return tr("about {number} s").format(number=_between(low, high, 10, 10))
    if high < 5400:
        return tr("about {number} min").format(number=_between(low, high, 60, 1))
    return tr("about {number} h").format(number=_between(low, high, 3600, 1))


def _between(low: float, high: float, seconds: int, worth: int) -> str:
    least, most = (max(round(value / seconds), 1) * worth for value in (low, high))
    return f"{most}" if least == most else f"{least}–{most}"


def latest_end(ranges: Iterable[tuple[float, float] | None]) -> tuple[float, float] | None:
    """Return when the last of several waits is likely to end; None if that is not known of all."""
    known = list(ranges)
    lows, highs = zip(*filter(None, known), strict=True) if known and all(known) else ((), ())
    return (max(lows), max(highs)) if lows else None


def progress_line(progress: Progress) -> str:
    """Return all of it in a line, for a log."""
    parts = [summary_line(progress.ends, progress.total), *effort(progress)]
    return " · ".join(filter(None, [*parts, estimate(progress)]))


def effort(progress: Progress) -> list[str]:
    """Return how fast polls go out, and that they are late if they are."""
    statistics = progress.statistics
    rate = f"{statistics.polls_per_second:,.0f}"
    one, many = tr("1 poll/s"), tr("{rate} polls/s")
    parts = [one if rate == "1" else many.format(rate=rate)]
    if statistics.lag >= _LATE_SECONDS:
        parts.append(tr("polls go out {seconds} late").format(seconds=duration(statistics.lag)))
    return parts


def estimate(progress: Progress) -> str:
    """Return how long the rest will take; nothing if nobody can tell."""
    return time_left_words(progress.time_left) if progress.left else ""


def time_left_words(seconds: tuple[float, float] | None) -> str:
    """Return how long something will take; nothing if nobody can tell."""
    if seconds is None:
        return ""
    return tr("time left: {roughly}").format(roughly=roughly(*seconds))


def unfinished_text(progress: Progress, path: str | None) -> str:
    """Return what a run leaves behind that ends early, with its results file if there is one."""
    if not progress.left:
        return tr(NOTHING_LEFT)
    words = tr("{left:,} of {total:,} not known to have ended").format(
        left=progress.left, total=progress.total
    )
    if path is None:
        return words + tr("; with --out FILE the same command can go on where it was")
    return words + tr("; start the same command again to go on with {path}").format(path=path)
