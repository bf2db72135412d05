"""The page of published figures says what the committed results say, and so do its charts."""

from __future__ import annotations

import html
import re
from collections import Counter

import pytest

from benchmarks import charts
from benchmarks.__main__ import PUBLISHED
from benchmarks.page import PAGE, filled, results

TEXT = PAGE.read_text(encoding="utf-8")
RESULTS = results()


def test_every_benchmark_has_a_published_result_and_a_place_in_the_page() -> None:
    assert set(RESULTS) == set(PUBLISHED)
    assert sorted(re.findall(r"<!-- figures: (\w+) -->", TEXT)) == sorted(PUBLISHED)


def test_no_published_result_is_of_a_smoke_run() -> None:
    assert [name for name, result in RESULTS.items() if result.smoke] == []


def test_the_page_has_the_figures_of_the_results() -> None:
    assert filled(TEXT, RESULTS) == TEXT


@pytest.mark.parametrize("name", charts.CHARTS)
def test_a_chart_has_the_figures_of_the_results(name: str) -> None:
    assert f"](charts/{name}.svg)" in TEXT
    svg = (charts.FOLDER / f"{name}.svg").read_text(encoding="utf-8")
    written = [html.unescape(text) for text in re.findall(r"<text[^>]*>([^<]+)</text>", svg)]
    what, labels, series = charts.CHARTS[name](RESULTS[name])
    figures = [charts.short(figure) for lengths in series.values() for figure in lengths]
    assert Counter([what, *labels, *filter(None, series), *figures]) <= Counter(written)
