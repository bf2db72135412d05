"""Which page is in step with which: the English ones, and their translations into Chinese.

    python -m tests.docs.translation        note that both languages say the same now

A page and its translation have the same headings, in number and depth. `translated.json` holds
what each section was when somebody last saw that both say the same: where only one of the two
is different now, the other one is stale.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from .pages import ROOT, blocks, pages

RECORD = Path(__file__).with_name("translated.json")
DOCS = ROOT / "docs"

_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^(#+) (.+?)(?: \{ #([\w-]+) \})?$", re.MULTILINE)
_LINK = re.compile(r"\]\(([^)]+)\)")


class Pair(NamedTuple):
    """A page and its translation."""

    english: Path
    chinese: Path

    @property
    def name(self) -> str:
        return self.english.relative_to(ROOT).as_posix()


class Section(NamedTuple):
    """What stands below a heading, down to the next one."""

    depth: int
    heading: str
    digest: str


def pairs() -> list[Pair]:
    """All that is translated."""
    folder = DOCS / "zh"
    pages = [Pair(DOCS / page.relative_to(folder), page) for page in sorted(folder.rglob("*.md"))]
    return [Pair(ROOT / "README.md", ROOT / "README.zh-CN.md"), *pages]


def sections(page: Path) -> list[Section]:
    """The sections of a page, in order."""
    text = page.read_text(encoding="utf-8")
    # A comment in a block of code begins as a heading does.
    headings = list(_HEADING.finditer(_FENCED.sub(lambda block: "`" * len(block[0]), text)))
    ends = [found.start() for found in headings[1:]] + [len(text)]
    return [
        Section(len(found[1]), found[2], _digest(text[found.start() : end]))
        for found, end in zip(headings, ends, strict=True)
    ]


def code(page: Path) -> list[tuple[str, str | None, str]]:
    """The blocks of code of a page, in order."""
    return [(block.language, block.title, block.code) for block in blocks(page)]


def links(page: Path) -> list[str]:
    """Where a page leads to, in order; the switch between the languages aside.

    An address as it is, a file from the top of the checkout, in whichever language.
    """
    targets = [_from_the_top(page, target) for target in _targets(page)]
    return [target for target in targets if not target.startswith("README")]


def links_to_files(page: Path) -> list[str]:
    """The files that a page leads to, as they stand there, but for their sections."""
    return [target.partition("#")[0] for target in _targets(page) if _is_a_file(target)]


def sections_led_to() -> set[tuple[Path, str]]:
    """The sections that English pages lead to: a page, and the name of one in an address."""
    ways = ((page, target) for page in pages() for target in _targets(page) if _is_a_file(target))
    named = ((page, *target.partition("#")) for page, target in ways)
    return {((page.parent / file).resolve(), name) for page, file, _, name in named if name}


def names_of_sections(page: Path) -> set[str]:
    """What the sections of a page are called in addresses: by their headings, or as these say."""
    text = _FENCED.sub("", page.read_text(encoding="utf-8"))
    return {_name_of(found) for found in _HEADING.finditer(text)}


def _name_of(heading: re.Match[str]) -> str:
    plain = re.sub(r"[^a-z0-9 -]", "", heading[2].lower()).replace(" ", "-")
    return heading[3] or plain


def _targets(page: Path) -> list[str]:
    return _LINK.findall(_FENCED.sub("", page.read_text(encoding="utf-8")))


def _is_a_file(target: str) -> bool:
    return not target.startswith(("https://", "#"))


def _from_the_top(page: Path, target: str) -> str:
    if not _is_a_file(target):
        return target
    path = os.path.normpath(page.parent / target)
    return os.path.relpath(path, ROOT).replace("docs/zh/", "docs/")


def rows(page: Path) -> list[int]:
    """The cells of each row of each table, counted."""
    lines = _FENCED.sub("", page.read_text(encoding="utf-8")).splitlines()
    return [line.count("|") for line in lines if line.startswith("|")]


def now() -> dict[str, list[list[str]]]:
    """The digests of both languages, section by section."""
    return {
        pair.name: [
            [english.digest, chinese.digest]
            for english, chinese in zip(
                sections(pair.english), sections(pair.chinese), strict=False
            )
        ]
        for pair in pairs()
    }


def stale() -> Iterator[str]:
    """What is to be looked at, as a person would say it."""
    seen = json.loads(RECORD.read_text(encoding="utf-8"))
    for pair in pairs():
        both = zip(sections(pair.english), sections(pair.chinese), strict=False)
        known = seen.get(pair.name, [])
        for place, (english, chinese) in enumerate(both):
            before = known[place] if place < len(known) else ["", ""]
            changed = [english.digest != before[0], chinese.digest != before[1]]
            there = f"{pair.chinese.relative_to(ROOT)}, {chinese.heading!r}"
            here = f"{pair.name}, {english.heading!r}"
            if changed == [True, False]:
                yield f"{there} is stale: {here} was changed"
            elif changed == [False, True]:
                yield f"{here} may be stale: {there} was changed"
            elif all(changed):
                yield f"{here} and {there} were both changed: do they say the same?"


def _digest(text: str) -> str:
    return hashlib.sha256(text.strip().encode()).hexdigest()[:12]


if __name__ == "__main__":
    RECORD.write_text(json.dumps(now(), indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(f"{RECORD.relative_to(ROOT)} is up to date\n")
