"""What stands in a page of the documentation: its code blocks, in order.

Fences of Markdown, and two HTML comments that add nothing to what is run:

    <!-- prints -->          the next block is what the Python block before it prints;
                             `...` stands for anything
    <!-- not run: why -->    the next block is not run, for this reason

Nothing is run here, and nothing is skipped here: whatever looks like a block is one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import NamedTuple

ROOT = Path(__file__).parents[2]

_FENCE = re.compile(r"(?P<indent> *)(?P<marks>```+|~~~+)(?P<info>.*)")
_COMMENT = re.compile(r"<!-- (?P<what>prints|not run)(?P<rest>.*)")
_TITLE = re.compile(r'title="(?P<title>[^"]+)"')


class Block(NamedTuple):
    """A code block."""

    page: Path
    line: int
    """The number of its first line of code."""
    language: str
    title: str | None
    code: str
    prints: bool = False
    not_run: str | None = None

    @property
    def where(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """Every page with words of ours in it; translations have the same code, and a test of it."""
    docs = [page for page in (ROOT / "docs").rglob("*.md") if "zh" not in page.parts]
    return [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(docs)]


def blocks(page: Path) -> Iterator[Block]:
    """The blocks of a page, in order."""
    lines = enumerate(page.read_text(encoding="utf-8").splitlines(), start=1)
    marks: dict[str, str] = {}
    for number, line in lines:
        if comment := _COMMENT.fullmatch(line.strip()):
            rest = comment["rest"].removeprefix(":").removesuffix("-->").strip()
            marks[comment["what"]] = rest
        elif fence := _FENCE.fullmatch(line):
            language, _, rest = fence["info"].strip().partition(" ")
            title = _TITLE.search(rest)
            yield Block(
                page,
                number + 1,
                language,
                title["title"] if title else None,
                _until(lines, fence["marks"]),
                prints="prints" in marks,
                not_run=marks.get("not run"),
            )
            marks = {}
        elif line.strip() and marks:
            raise AssertionError(f"{page}:{number}: a comment for a block that does not follow")


def file_of(page: Path, title: str) -> str:
    """The file of that name, as a reader pastes it."""
    return next(block.code for block in blocks(page) if block.title == title)


def _until(lines: Iterator[tuple[int, str]], end: str) -> str:
    code: list[str] = []
    for _, line in lines:
        if line.strip() == end:
            return dedent("\n".join(code)) + "\n"
        code.append(line)
    raise AssertionError(f"no {end} to the block that begins {code[:1]}")
