"""The names of options in messages: the package says `n=0`, and people write `--n 0`."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass

from . import groups

_NAMES: dict[str, str] = {
    each.name: groups.names_of(each)[0].partition("/")[0]
    for group in filter(is_dataclass, vars(groups).values())
    for each in fields(group)
} | {
    "requests_per_second": "--rate",
    "max_response_bytes": "max_response_bytes",
    "prompt": "PROMPT",
}
_ARGUMENT = re.compile(
    r"(?<![?&\w])([a-z_]{1,30})=(True\b|(?:Posix|Windows)Path\((['\"])(.*?)\3\))?"
)
_NETWORK = re.compile(r'private_media=\["(.*?)"\]')
"""An argument whose value no option takes, but a variable of the environment."""
_CALLS = {
    "error.search() or client.list_videos()": "`aitoearn-async videos`",
    "error.search() or client.list_images()": "`client.list_images()` in Python",
}
"""Calls that a message advises a program to make -> the words for people."""


def in_option_names(text: str) -> str:
    """Put a message of the package's into the words of the command line.

    `n=0: give a number` becomes `--n 0: give a number`.
    """

    def named(match: re.Match[str]) -> str:
        name, value, _, path = match.groups()
        if name not in _NAMES:
            return match[0]
        shown = "" if value == "True" else path or ""
        after = match.string[match.end() : match.end() + 1]
        blank = " " if shown or after not in ("", " ", ":", ",", ")") else ""
        return f"{_NAMES[name]}{blank}{shown}"

    for call, command in _CALLS.items():
        text = text.replace(call, command)
    return _ARGUMENT.sub(named, _NETWORK.sub(r"AITOEARN_PRIVATE_MEDIA=\1", text))
