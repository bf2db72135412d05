"""The commands in another language: texts of help from the catalog, lines by the width they have.

Imported where the language is not English. A Chinese character takes two columns, and a line
may end after each of them.
"""

from __future__ import annotations

import copy
import inspect
import re
from collections.abc import Iterable, Iterator

import click

from ..language import tr
from ..report.text import columns
from .group import all_of

_WIDE = "\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\uff00-\uff60"
_OPENING, _CLOSING = "（《「", "，。、；：！？）》」"
_UNIT = re.compile(
    rf"\s+|[{_OPENING}]*(?:[^\s{_WIDE}{_OPENING}]+|[{_WIDE}])[{_CLOSING}]*", re.ASCII
)
"""A blank, or what no line may end within."""
_AS_IT_IS = "\b"
"""The mark of click for a paragraph whose lines are kept."""


def translated(group: click.Group) -> click.Group:
    """Return a copy of a group and its commands whose texts are in the language of this run."""
    program = copy.deepcopy(group)
    for command in all_of(program):
        command.context_class = _Context
        vars(command)["_help_option"] = None  # kept by click once it has been shown
        command.help = _text(command.help)
        command.short_help = (command.help or "").partition("。")[0] + "。"
        command.epilog = _text(command.epilog)
        command.options_metavar = tr(command.options_metavar or "")
        if isinstance(command, click.Group):
            command.subcommand_metavar = tr(command.subcommand_metavar)
        for option in command.params:
            if isinstance(option, click.Option):
                option.help = _text(option.help)
    return program


def messages(text: str | None) -> Iterator[str]:
    """Yield the messages that a text of help consists of: paragraphs, and lines that are kept."""
    for paragraph in _paragraphs(text):
        first, *others = paragraph
        yield first
        if not first.startswith("Example"):  # below that word there are commands
            yield from others


def _text(text: str | None) -> str | None:
    """Return a text of help in the language of this run."""
    if text is None:
        return None
    said: list[str] = []
    for first, *others in _paragraphs(text):
        lines = [tr(first), *(tr(line) for line in others)]
        said.append("\n".join([_AS_IT_IS, *lines] if others else lines))
    return "\n\n".join(said)


def _paragraphs(text: str | None) -> Iterator[list[str]]:
    """Yield paragraphs: one line, or the lines that are kept."""
    for paragraph in re.split(r"\n{2,}", inspect.cleandoc(text or "")):
        mark, _, kept = paragraph.partition("\n")
        if mark == _AS_IT_IS:
            yield kept.split("\n")
        elif paragraph:
            yield [" ".join(paragraph.split())]


class _Formatter(click.HelpFormatter):
    """A formatter that counts the columns of a terminal, not characters."""

    def write_text(self, text: str) -> None:
        width = max(self.width - self.current_indent, 11)
        indent = " " * self.current_indent
        parts: list[str] = []
        for paragraph in text.split("\n\n"):
            mark, _, kept = paragraph.partition("\n")
            lines = kept.split("\n") if mark == _AS_IT_IS else wrapped(paragraph, width)
            parts.append("\n".join(indent + line for line in lines))
        self.write("\n\n".join(parts) + "\n")

    def write_dl(
        self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2
    ) -> None:
        rows = list(rows)
        first = min(max(columns(term) for term, _ in rows), col_max) + col_spacing
        indent = " " * self.current_indent
        for term, text in rows:
            fits = columns(term) <= first - col_spacing
            below = "\n" + indent + " " * first
            gap = " " * (first - columns(term)) if fits else below
            lines = wrapped(text, max(self.width - first - 2, 10))
            self.write(f"{indent}{term}{gap}{below.join(lines)}\n")


class _Context(click.Context):
    formatter_class = _Formatter


def wrapped(text: str, width: int) -> list[str]:
    """Break a text into lines of so many columns at most, where a line may end."""
    lines = [""]
    for unit in _UNIT.findall(text):
        if lines[-1] and columns(lines[-1] + unit.rstrip()) > width:
            lines[-1] = lines[-1].rstrip()
            lines.append("")
        lines[-1] += unit if lines[-1] else unit.lstrip()
    return lines
