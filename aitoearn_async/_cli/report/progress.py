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
_MOST_UNEVENNESS = 3
"""The most times as many ends that one half of that time may have had as the other."""
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
    if max(early, late) > _MOST_UNEVENNESS * min(early, late):
        return None
    return left * seconds / ends


def rough_duration(low: float, high: float) -> str:
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
    """Return when the last of several waits is likely to end; None if one of them is not known."""
    found = list(ranges)
    known = [each for each in found if each is not None]
    if not known or len(known) < len(found):
        return None
    return max(low for low, _ in known), max(high for _, high in known)


def progress_line(progress: Progress) -> str:
    """Return the whole progress as one line, for a log."""
    parts = [summary_line(progress.ends, progress.total), *poll_rate(progress)]
    return " · ".join(filter(None, [*parts, estimate(progress)]))


def poll_rate(progress: Progress) -> list[str]:
    """Return how fast polls go out, and a note if they are late."""
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
    return tr("time left: {roughly}").format(roughly=rough_duration(*seconds))


def unfinished_text(progress: Progress, path: str | None) -> str:
    """Return the message about a run that ends early: how many tasks may still run, and what to do.

    Args:
        progress: How the list stands.
        path: The results file, if there is one.
    """
    if not progress.left:
        return tr(NOTHING_LEFT)
    words = tr("{left:,} of {total:,} not known to have ended").format(
        left=progress.left, total=progress.total
    )
    if path is None:
        return words + tr("; with --out FILE the same command can go on where it was")
    return words + tr("; start the same command again to go on with {path}").format(path=path)
