"""Charts of the published results, as SVG. The same results give the same bytes.

Text and lines take the colour of the page's text, light or dark; the bars' colours are readable
on both. Nothing is measured here.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from .page import ROOT, Result
from .peers import late
from .throughput import SIZES

FOLDER = ROOT / "docs" / "explanation" / "charts"

_TEXT = "#010203"  # stands for the colour of the page's text
_STYLE = "<style>svg{color:#24292f}@media(prefers-color-scheme:dark){svg{color:#e6edf3}}</style>"
_COLOURS = ("#3b82c4", "#d9822b", "#4a9d6f")
_LOOKS = {
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
    "legend.frameon": False,
}

Series = dict[str, list[float]]
"""Lengths of bars by the name of their colour, one for each label."""


def draw(kept: dict[str, Result]) -> list[Path]:
    """Draw what there are results for; the files."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    drawn: list[Path] = []
    for name, chart in CHARTS.items():
        if name in kept:
            drawn.append(FOLDER / f"{name}.svg")
            drawn[-1].write_text(_svg(*chart(kept[name])), encoding="utf-8")
    return drawn


def _throughput(result: Result) -> tuple[str, list[str], Series]:
    names = list(dict.fromkeys(str(row[0]) for row in result.tables[0].rows if row[1]))
    plain = {n: n.replace(",", "").replace(" ", "_").replace(".", "_") for n in names}
    series = {
        f"{size:,} tasks": [result.figures[f"{plain[name]}_{size}_us"] for name in names]
        for size in SIZES
    }
    return "client CPU of a poll, µs", names, series


def _memory(result: Result) -> tuple[str, list[str], Series]:
    rows = [row for row in result.tables[0].rows if row[2] == "once"]
    labels = [f"{way}, {count} waiting" for way, count, *_ in rows]
    return "bytes a waiting task", labels, {"": [float(str(r[3]).replace(",", "")) for r in rows]}


def _lag(result: Result) -> tuple[str, list[str], Series]:
    names = [str(row[0]) for row in result.tables[0].rows]
    plain = {name: name.replace(" ", "_").replace("%", "percent") for name in names}
    series = {
        words: [result.figures[f"{plain[name]}_loop_{word}_ms"] for name in names]
        for word, words in (("p50", "median"), ("p99", "99th percentile"), ("max", "longest"))
    }
    return "lag of the event loop, ms", names, series


def _batch(result: Result) -> tuple[str, list[str], Series]:
    kinds = ["image", "video"]
    series = {
        words: [result.figures[f"{kind}_delay_{word}_seconds"] for kind in kinds]
        for word, words in (("p50", "median"), ("p99", "99th percentile"))
    }
    return "from the end of a task to its outcome, s", kinds, series


CHARTS = {"throughput": _throughput, "memory": _memory, "lag": _lag, "batch": _batch}


def _svg(what: str, labels: list[str], series: Series) -> str:
    plots: Any = late("matplotlib.pyplot")
    plots.switch_backend("svg")
    height = 0.8 / len(series)
    with plots.rc_context(_LOOKS):
        bars_high = 0.9 + 0.28 * len(labels) * max(len(series), 1.6)
        figure, axes = plots.subplots(figsize=(7.2, bars_high), layout="constrained")
        for number, (name, lengths) in enumerate(series.items()):
            places = [place + number * height for place in range(len(labels))]
            colour = _COLOURS[number]
            bars = axes.barh(places, lengths, height * 0.9, color=colour, label=name)
            axes.bar_label(bars, fmt=short, padding=3, fontsize=9)
        axes.set_yticks([place + 0.4 - height / 2 for place in range(len(labels))], labels)
        axes.invert_yaxis()
        axes.set_xlabel(what)
        axes.margins(x=0.12)
        if len(series) > 1:
            figure.legend(loc="outside upper center", ncols=len(series))
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
        plots.close(figure)
    svg = buffer.getvalue().replace(_TEXT, "currentColor")
    opening, ending, rest = svg.partition("<defs>")
    svg = opening + _STYLE + "\n " + ending + rest
    return "\n".join(line.rstrip() for line in svg.splitlines()) + "\n"


def short(figure: float) -> str:
    """A figure as it stands beside its bar."""
    return f"{figure:,.0f}" if figure >= 10 else f"{figure:.1f}"
