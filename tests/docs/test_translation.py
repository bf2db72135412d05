"""The Chinese pages are in step with the English ones, and each names what the other lacks."""

from __future__ import annotations

import re
import runpy

import pytest
import yaml

from .pages import ROOT
from .translation import (
    Pair,
    code,
    links,
    links_to_files,
    names_of_sections,
    pairs,
    rows,
    sections,
    sections_led_to,
    stale,
)

SITE = runpy.run_path(str(ROOT / ".ci/site.py"))

each_pair = pytest.mark.parametrize("pair", pairs(), ids=lambda pair: pair.name)


@each_pair
def test_both_have_the_same_headings_in_number_and_depth(pair: Pair) -> None:
    english, chinese = ([one.depth for one in sections(page)] for page in pair)
    assert chinese == english


@each_pair
def test_both_have_the_same_code(pair: Pair) -> None:
    assert code(pair.chinese) == code(pair.english)


@each_pair
def test_both_lead_to_the_same_places(pair: Pair) -> None:
    assert links(pair.chinese) == links(pair.english)


@each_pair
def test_a_link_leads_to_the_translation_or_else_to_the_english_page(pair: Pair) -> None:
    """In a checkout. The site has both in one place."""
    translated = {other.english for other in pairs()[1:]}
    for target in links_to_files(pair.chinese):
        page = (pair.chinese.parent / target).resolve()
        assert page.is_file(), target
        assert page not in translated, f"{target} is there in Chinese"


@each_pair
def test_a_section_that_is_led_to_is_called_the_same_in_both(pair: Pair) -> None:
    """English pages are on the site in Chinese too, beside the translations."""
    led_to = {name for page, name in sections_led_to() if page == pair.english}
    assert led_to <= names_of_sections(pair.english)
    assert led_to <= names_of_sections(pair.chinese)


def test_the_site_has_the_translation_in_the_place_of_the_english_page() -> None:
    text = "[one](save.md) [two](../faq.md) [three](../../how-to/many.md#x) [four](#y)"
    at_home = SITE["at_home"]
    assert at_home(text, depth=1) == text.replace("../../how-to", "../how-to")
    assert at_home("[one](../how-to/many.md)", depth=0) == "[one](how-to/many.md)"


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md"])
def test_what_the_site_takes_from_the_readme_leads_to_its_pages(name: str) -> None:
    text = SITE["among_the_pages"]((ROOT / name).read_text(encoding="utf-8"))
    shown = "".join(re.findall(r"\[start:(\w+)\](.*?)\[end:\1\]", text, re.S)[-1])
    targets = [target for target in re.findall(r"\]\(([^)#]+)", shown) if ":" not in target]
    assert targets
    assert all((ROOT / "docs" / target).is_file() for target in targets)


@each_pair
def test_both_have_the_same_tables(pair: Pair) -> None:
    assert rows(pair.chinese) == rows(pair.english)


@each_pair
def test_the_translation_is_one(pair: Pair) -> None:
    assert len(re.findall(r"[\u4e00-\u9fff]", pair.chinese.read_text(encoding="utf-8"))) > 100


def test_neither_language_is_stale() -> None:
    found = list(stale())
    advice = "when both say the same: python -m tests.docs.translation"
    assert not found, "\n".join([*found, advice])


def test_both_sites_have_the_same_pages_in_the_same_order() -> None:
    english, chinese = (
        re.findall(r": (\S+\.md)$", (ROOT / name).read_text(encoding="utf-8"), re.M)
        for name in (".mkdocs.yml", ".mkdocs.zh.yml")
    )
    assert chinese == english
    config = yaml.safe_load((ROOT / ".mkdocs.zh.yml").read_text(encoding="utf-8"))
    assert config["theme"]["language"] == "zh"
