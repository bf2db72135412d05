"""Text that is safe and short enough for a line of a terminal. Pure."""

from __future__ import annotations

import re
import unicodedata

# Possessive: nothing of it is tried twice, however long the service's words are.
_DATA_URI = re.compile(r"data:([\w.+-]*+/?+[\w.+-]*+)[\w;=.+-]*+,[\w%+/=-]{100,}+", re.ASCII)


def shown(text: str) -> str:
    """Return text on one line, with nothing in it that a terminal would obey.

    Of a data URI no more is left than its media type and its length.
    """
    if "data:" in text:
        text = _DATA_URI.sub(_shortened, text)
    return "".join(char if char.isprintable() else " " for char in text).strip()


def shown_path(path: object) -> str:
    """Return a path on one line. It names the file, whatever encoding its name is in."""
    return "".join(
        char if char.isprintable() or "\udc80" <= char <= "\udcff" else " " for char in str(path)
    )


def number(value: float) -> str:
    """Return a number with all digits that count: `{:g}` rounds to six."""
    return f"{value:.12g}"


def _shortened(match: re.Match[str]) -> str:
    return f"data:{match[1]},… ({len(match[0]):,} characters)"


def columns(text: str) -> int:
    """Return the columns of a terminal that a text takes: Chinese characters have two."""
    if text.isascii():
        return len(text)
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def padded(text: str, width: int) -> str:
    """Return a text with blanks up to so many columns."""
    return text + " " * (width - columns(text))
