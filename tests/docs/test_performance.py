"""The pages with published figures say what the committed results say, and so do the charts."""

from __future__ import annotations

import html
import re
from collections import Counter

import msgspec
import pytest

from benchmarks import charts
from benchmarks.__main__ import PUBLISHED
from benchmarks.page import PAGES, filled, results
from benchmarks.report import Expectation

TEXTS = [page.read_text(encoding="utf-8") for page in PAGES]
TEXT = "".join(TEXTS)
RESULTS = results()


def test_every_result_has_a_place_in_a_page() -> None:
    assert set(PUBLISHED) <= set(RESULTS)
    assert sorted(re.findall(r"<!-- (?:figures|table): (\w+) -->", TEXT)) == sorted(RESULTS)


def test_no_published_result_is_of_a_smoke_run() -> None:
    assert [name for name, result in RESULTS.items() if result.smoke] == []


@pytest.mark.parametrize("text", TEXTS, ids=[page.stem for page in PAGES])
def test_the_pages_have_the_figures_of_the_results(text: str) -> None:
    assert filled(text, RESULTS) == text


@pytest.mark.parametrize(("number", "rows"), [(20, 20), (21, 1)])
def test_of_many_expectations_those_that_were_missed_are_shown(number: int, rows: int) -> None:
    expected = [Expectation(f"figure {n}", float(n), number - 1.5) for n in range(number)]
    result = msgspec.structs.replace(RESULTS["import"], expectations=expected)
    page = filled("<!-- figures: import -->\n<!-- end -->", {"import": result})
    assert page.count("| figure") == rows
    assert f"| figure {number - 1} | {number - 1} | {number - 1.5} | **no** |" in page
    assert (f"Of {number} figures {number - 1} were" in page) == (rows == 1)


@pytest.mark.parametrize("name", charts.CHARTS)
def test_a_chart_has_the_figures_of_the_results(name: str) -> None:
    assert f"](charts/{name}.svg)" in TEXT
    svg = (charts.FOLDER / f"{name}.svg").read_text(encoding="utf-8")
    written = [html.unescape(text) for text in re.findall(r"<text[^>]*>([^<]+)</text>", svg)]
    chart = charts.CHARTS[name](RESULTS[name])
    shown = [chart.title, f"{chart.unit}; less is better"]
    shown += [text for bar in chart.bars for text in (bar.label, charts.short(bar.length))]
    assert Counter(shown) <= Counter(written)


@pytest.mark.parametrize("name", charts.CHARTS)
def test_a_chart_has_our_bars_in_a_colour_of_their_own(name: str) -> None:
    svg = (charts.FOLDER / f"{name}.svg").read_text(encoding="utf-8")
    bars = charts.CHARTS[name](RESULTS[name]).bars
    colours = [charts.OURS if bar.ours else charts.OTHERS for bar in bars]
    assert [colour for colour in re.findall(r"fill: (#\w{6})", svg) if colour in colours] == colours
