"""Charts of the published results, as SVG. The same results give the same bytes.

Each has a title, says that less is better, and has our bars in a colour of their own. Text and
lines take the colour of the page's text, light or dark; the bars' colours are readable on both.
Nothing is measured here.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from .page import ROOT
from .peers import late
from .report import Result, plain

FOLDER = ROOT / "docs" / "explanation" / "charts"

_TEXT = "#010203"  # stands for the colour of the page's text
_STYLE = "<style>svg{color:#24292f}@media(prefers-color-scheme:dark){svg{color:#e6edf3}}</style>"
OURS, OTHERS = "#0f8a7e", "#9aa7b4"
LOOKS = {
    "svg.hashsalt": "aitoearn-async",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 11,
    "text.color": _TEXT,
    "axes.labelcolor": _TEXT,
    "axes.edgecolor": _TEXT,
    "xtick.color": _TEXT,
    "ytick.color": _TEXT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 13,
    "axes.titleweight": "bold",
}

SHOWN_TASKS = 500
"""The size in the chart of polls, of those that were measured."""


class Bar(NamedTuple):
    """One line of a chart."""

    label: str
    length: float
    ours: bool = True


class Chart(NamedTuple):
    """A drawing whose shortest bar is the best one."""

    title: str
    unit: str
    bars: list[Bar]


def draw(kept: dict[str, Result]) -> list[Path]:
    """Draw what there are results for, and return the files."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    drawn: list[Path] = []
    for name, chart in CHARTS.items():
        if name in kept:
            drawn.append(FOLDER / f"{name}.svg")
            drawn[-1].write_text(_svg(chart(kept[name])), encoding="utf-8")
    return drawn


def _throughput(result: Result) -> Chart:
    """Draw one bar a library, ours first."""
    ours = {"batch": "aitoearn-async, as_completed", "client.get": "aitoearn-async, get"}
    names = list(dict.fromkeys(str(row[0]) for row in result.tables[0].rows if row[1]))
    bars = [
        Bar(ours.get(name, name), result.figures[f"{plain(name)}_{SHOWN_TASKS}_us"], name in ours)
        for name in names
    ]
    bars.sort(key=lambda bar: (not bar.ours, bar.length))
    return Chart("CPU time of one poll", f"µs, {SHOWN_TASKS} tasks waiting", bars)


def _memory(result: Result) -> Chart:
    words = {"batch": "as_completed", "gather": "asyncio.gather of wait_for"}
    bars = [
        Bar(
            f"{words[str(way)]}, {count} tasks",
            float(str(size).replace(",", "")),
            way == "batch",
        )
        for way, count, polled, size in (row[:4] for row in result.tables[0].rows)
        if polled == "once"
    ]
    return Chart("Memory of one waiting task", "bytes, after its first poll", bars)


def _lag(result: Result) -> Chart:
    words = {
        "nothing to do": "an idle loop on the same machine",
        "steady": "1,000 polls a second",
        "first polls": "100,000 first polls, at once",
        "60 % end": "60,000 tasks end at once",
    }
    bars = [
        Bar(
            label,
            result.figures[f"{plain(name)}_loop_p99_ms"],
            name != "nothing to do",
        )
        for name, label in words.items()
    ]
    return Chart("How late the event loop is", "ms, 99th percentile, 100,000 tasks waiting", bars)


def _batch(result: Result) -> Chart:
    bars = [
        Bar(f"{kind}, {words}", result.figures[f"{kind}_delay_{word}_seconds"])
        for kind in ("image", "video")
        for word, words in (("p50", "median"), ("p99", "99th percentile"))
    ]
    return Chart("From the end of a task to its outcome", "seconds", bars)


def _cadence(result: Result) -> Chart:
    bars = [
        Bar(f"{row[0]}, {what}", 100 * float(str(row[place])))
        for row in result.tables[0].rows[:6]
        for what, place in (("requests", 3), ("delay", 6))
    ]
    return Chart("The default cadence, over the plain backoff", "percent", bars)


CHARTS = {
    "throughput": _throughput,
    "memory": _memory,
    "lag": _lag,
    "batch": _batch,
    "cadence": _cadence,
}


def _svg(chart: Chart) -> str:
    size = (7.2, 1.1 + 0.34 * len(chart.bars))
    with drawing(figsize=size) as (figure, axes, drawn):
        bars = axes.barh(
            range(len(chart.bars)),
            [bar.length for bar in chart.bars],
            0.72,
            color=[OURS if bar.ours else OTHERS for bar in chart.bars],
        )
        axes.bar_label(bars, fmt=short, padding=4)
        axes.set_yticks(range(len(chart.bars)), [bar.label for bar in chart.bars])
        axes.tick_params(axis="y", length=0)
        axes.invert_yaxis()
        figure.suptitle(chart.title, x=0.01, ha="left", size="large", weight="bold")
        axes.set_xlabel(f"{chart.unit}; less is better")
        axes.margins(x=0.12)
    return finished(drawn.getvalue())


@contextlib.contextmanager
def drawing(*rows: int, **options: Any) -> Iterator[tuple[Any, Any, io.StringIO]]:
    """Give a figure, its axes, and what has the drawing after the block."""
    plots: Any = late("matplotlib.pyplot")
    plots.switch_backend("svg")
    drawn = io.StringIO()
    with plots.rc_context(LOOKS):
        figure, axes = plots.subplots(*rows, layout="constrained", **options)
        yield figure, axes, drawn
        figure.savefig(drawn, format="svg", transparent=True, metadata={"Date": None})
        plots.close(figure)


def finished(svg: str) -> str:
    """Return a drawing whose text has the colour of text, on light and on dark pages."""
    svg = svg.replace(_TEXT, "currentColor")
    opening, ending, rest = svg.partition("<defs>")
    svg = opening + _STYLE + "\n " + ending + rest
    return "\n".join(line.rstrip() for line in svg.splitlines()) + "\n"


def short(figure: float) -> str:
    """Return a figure as it stands beside its bar."""
    return f"{figure:,.0f}" if figure >= 10 else f"{figure:.1f}"
