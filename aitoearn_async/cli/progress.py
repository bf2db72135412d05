"""How a long list stands, and what is shown of it: numbers in, lines and renderables out.

As `view` is, pure: moments come in as arguments. One task is `view`'s, and so are the words.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from typing import NamedTuple

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from aitoearn_async import BatchStatistics

from .standing import Exit
from .view import NOTHING_LEFT, duration, shown, summary

_WINDOW = 60
"""Seconds that an estimate looks back."""
_SHORTEST = 10.0
"""Seconds, and"""
_FEWEST = 20
"""ends that it takes to tell how fast tasks end."""
_STEADY = 3
"""How much faster the one half of that time may have been than the other."""
_LATE = 1.0
"""Seconds from which it is worth a word that polls go out late."""


class Progress(NamedTuple):
    """A long list at one moment."""

    total: int
    ends: Counter[Exit]
    """What has ended, in earlier runs too."""
    statistics: BatchStatistics
    elapsed: float
    """Seconds since this run began."""
    time_left: float | None
    """Seconds, if there is anything to say about it."""
    failures: Sequence[str] = ()
    """The latest complaints."""

    @property
    def left(self) -> int:
        """How many have not ended."""
        return self.total - self.ends.total()


class Pace:
    """Remembers, for a minute, how many had ended at each second."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque(maxlen=_WINDOW + 1)

    def note(self, moment: float, ended: int) -> None:
        """So many had ended by now."""
        if not self._samples or moment >= self._samples[-1][0] + 1.0:
            self._samples.append((moment, ended))

    def time_left(self, left: int) -> float | None:
        """Seconds until the rest has ended; None if nobody can tell."""
        return time_left(self._samples, left)


def time_left(samples: Sequence[tuple[float, int]], left: int) -> float | None:
    """Seconds until the rest has ended, if tasks go on ending as they have of late.

    None where that is too little to go by, or too uneven: many tasks that have long ended
    when a run begins say nothing about those that have not.

    Args:
        samples: Moments, and how many had ended by then.
        left: How many have not ended.
    """
    if len(samples) < 3:
        return None
    (began, before), (now, ended) = samples[0], samples[-1]
    seconds, ends = now - began, ended - before
    if seconds < _SHORTEST or ends < _FEWEST:
        return None
    early = next(count for moment, count in samples if moment >= began + seconds / 2) - before
    late = ends - early
    if max(early, late) > _STEADY * min(early, late):
        return None
    return left * seconds / ends


def roughly(seconds: float | None) -> str:
    """`about 40 s`, `about 12 min`, `about 3 h`; `-` for what nobody knows."""
    if seconds is None:
        return "-"
    for most, unit, word in ((90.0, 10, "s"), (5400.0, 60, "min")):
        if seconds < most:
            step = 10 if word == "s" else 1
            return f"about {max(round(seconds / unit), 1) * step} {word}"
    return f"about {round(seconds / 3600)} h"


def line(progress: Progress) -> str:
    """The whole of it in a line, for a log."""
    parts = [summary(progress.ends, progress.total).plain, *_effort(progress)]
    if progress.left:
        parts.append(f"time left: {roughly(progress.time_left)}")
    return " · ".join(parts)


def frame(progress: Progress) -> RenderableType:
    """One frame of the live view."""
    parts: list[RenderableType] = [
        _bar(progress),
        summary(progress.ends, progress.total),
        _one_line(" · ".join([*_effort(progress), duration(progress.elapsed)]), "dim"),
        _one_line(f"time left: {roughly(progress.time_left)}" if progress.left else "", "dim"),
    ]
    if progress.failures:
        parts.append(_one_line("latest failures", "dim"))
        parts += [_one_line(f"  {shown(failure)}", "red") for failure in progress.failures]
    return Group(*parts)


def left(progress: Progress, path: str | None) -> str:
    """What a run leaves behind that ends early.

    Args:
        progress: How it stood.
        path: The results file, if there is one.
    """
    if not progress.left:
        return NOTHING_LEFT
    words = f"{progress.left:,} of {progress.total:,} not known to have ended"
    return f"{words}; start again to go on with {path}" if path else words


def share(progress: Progress) -> float:
    """How much has ended, from 0 to 1. All of nothing has."""
    return progress.ends.total() / progress.total if progress.total else 1.0


def _bar(progress: Progress) -> Table:
    bar = Table.grid(padding=(0, 1, 0, 0), expand=True)
    bar.add_column(ratio=1)
    # Rounded down: 100 % is when there is nothing left.
    bar.add_row(ProgressBar(total=1, completed=share(progress)), f"{int(share(progress) * 100)} %")
    return bar


def _effort(progress: Progress) -> list[str]:
    statistics = progress.statistics
    parts = [f"{statistics.polls_per_second:,.0f} polls/s"]
    if statistics.lag >= _LATE:
        parts.append(f"polls go out {duration(statistics.lag)} late")
    return parts


def _one_line(words: str, style: str) -> Text:
    return Text(words, style, no_wrap=True, overflow="ellipsis")
