"""The pages with published figures: what stands between two marks is made from the results.

    <!-- figures: NAME -->      the tables of that benchmark, and what was expected of it
    <!-- table: NAME -->        its method and its first table, and no more
    <!-- summary -->            the three sentences for those who read no more
    <!-- machine -->            where and with what they were measured
    <!-- end -->                up to here

Nothing is measured here, and no word is written but what the results hold.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from .report import Cell, Expectation, Result, Table, text_of

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGES = tuple(ROOT / "docs" / "explanation" / name for name in ("performance.md", "survives.md"))

_MANY = 20
"""More expectations than anybody reads: they repeat what stands in the tables."""

_MARKED = re.compile(
    r"(?P<mark><!-- (?:(?P<what>figures|table): (?P<name>\w+)|summary|machine) -->\n)"
    r".*?(?P<end><!-- end -->)",
    re.DOTALL,
)


def results() -> dict[str, Result]:
    """Return the published results, by benchmark."""
    found = [
        msgspec.json.decode(path.read_bytes(), type=Result)
        for path in sorted(RESULTS.glob("*.json"))
    ]
    return {result.name: result for result in found}


def filled(text: str, kept: dict[str, Result]) -> str:
    """Return a page with the figures of these results."""

    def fill(marked: re.Match[str]) -> str:
        if marked["what"] is None:
            text = _summary(kept) if "summary" in marked["mark"] else _machines(kept)
        else:
            result = kept[marked["name"]]
            text = _figures(result) if marked["what"] == "figures" else _first_table(result)
        return marked["mark"] + text + marked["end"]

    return _MARKED.sub(fill, text)


def update() -> None:
    """Bring the pages up to date."""
    kept = results()
    for page in PAGES:
        page.write_text(filled(page.read_text(encoding="utf-8"), kept), encoding="utf-8")


def _figures(result: Result) -> str:
    parts = [f"{result.method}\n", *map(_table, result.tables), *_expected(result.expectations)]
    return "\n" + "\n".join(parts) + "\n"


def _expected(expectations: list[Expectation]) -> Iterator[str]:
    """Say what was expected of the figures; of many, which were missed."""
    shown = expectations
    if len(expectations) > _MANY:
        shown = [one for one in expectations if not one.met]
        met = len(expectations) - len(shown)
        yield f"Of {len(expectations)} figures {met} were at most what was expected.\n"
    rows: list[list[Cell]] = [
        [one.what, f"{one.figure:.3g}", f"{one.at_most:.3g}", "yes" if one.met else "**no**"]
        for one in shown
    ]
    if rows:
        yield _table(Table(["expected", "found", "at most", "met"], rows))


def _first_table(result: Result) -> str:
    return f"\n{result.method}\n\n{_table(result.tables[0])}\n"


def _summary(kept: dict[str, Result]) -> str:
    """Return how fast, how small and how little in the way it is: a sentence each."""
    polls, memory, lag = (kept[name].figures for name in ("throughput", "memory", "lag"))
    ours = {name: us for name, us in polls.items() if re.fullmatch(r"batch_\d+_us", name)}
    peers = re.compile(r"(?!batch|by_hand|client_get).*_(\d+)_us")
    times = [
        us / ours[f"batch_{size[1]}_us"]
        for name, us in polls.items()
        if (size := peers.fullmatch(name))
    ]
    by_hand = [polls[name.replace("_us", "_ratio")] for name in ours]
    weight = memory["batch_100000_polled_once"]
    return f"""
- **Fast**: a poll takes {min(by_hand):.1f} to {max(by_hand):.1f} times the CPU time
  of one written by hand with aiohttp;
  other SDKs take {min(times):.0f} to {max(times):.0f} times as much as this one.
- **Small**: a waiting task takes about {weight:.0f} bytes,
  so 100,000 of them take {weight / 10:.0f} MB.
- **Out of the way**: with 100,000 tasks waiting and 1,000 polls a second,
  the event loop is {lag["steady_loop_p99_ms"]:.1f} ms late at the 99th percentile.

"""


def _machines(kept: dict[str, Result]) -> str:
    """Return each fact once if all results agree, else with the benchmarks it is of."""
    facts: dict[str, dict[str, list[str]]] = {}
    for name, result in kept.items():
        for key, value in result.machine.items():
            facts.setdefault(key, {}).setdefault(value, []).append(name)
    rows: list[list[Cell]] = []
    for key, values in facts.items():
        for value, names in values.items():
            rows.append([key, value if len(values) == 1 else f"{value} ({', '.join(names)})"])
    return "\n" + _table(Table(["", "measured with"], rows)) + "\n"


def _table(table: Table) -> str:
    ruler = ["---", *["--:"] * (len(table.columns) - 1)]
    cells = [table.columns, ruler, *(map(text_of, row) for row in table.rows)]
    return "".join(f"| {' | '.join(row)} |\n" for row in cells)
