"""What a field of a request may hold: one function a rule, from a value to advice or None.

Pure, and without the names of fields: those stand in `requests`.
"""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import msgspec

Rule = Callable[[object], str | None]
"""From a value to what to give instead; None if the value can be used."""

_ADDRESS = re.compile(r"https?://[^\s/]", re.IGNORECASE)


def text(most: int | None = None) -> Rule:
    """Some text; at most so many characters, as JavaScript counts them."""
    form = "1 character or more" if most is None else f"1 to {most:,} characters"

    def rule(value: object) -> str | None:
        if not isinstance(value, str) or not value:
            return f"give text of {form}"
        try:
            value.encode()
        except UnicodeEncodeError:
            return "half a surrogate pair cannot be sent; take it out"
        # The service counts in units of 16 bits: an emoji is two.
        length = len(value.encode("utf-16-le")) // 2
        if most is not None and length > most:
            return f"give text of {form}; this has {length:,}"
        return None

    return rule


def whole(low: int, high: int) -> Rule:
    """A whole number within limits."""
    form = f"give {low}" if low == high else f"give a whole number from {low:,} to {high:,}"

    def rule(value: object) -> str | None:
        fits = isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
        return None if fits else form

    return rule


def one_of(*words: str) -> Rule:
    """One of a few words."""
    form = f"give {' or '.join(map(repr, words))}"
    return lambda value: None if value in words else form


def seconds(value: object) -> str | None:
    """A length of time that is one."""
    fits = isinstance(value, int | float) and not isinstance(value, bool)
    if fits and 0 < float(value) < math.inf:  # type: ignore[arg-type]
        return None
    return "give seconds, more than 0"


def flag(value: object) -> str | None:
    """Yes or no."""
    return None if isinstance(value, bool) else "give True or False"


def address(value: object) -> str | None:
    """A URL that the service can fetch."""
    if isinstance(value, str) and _ADDRESS.match(value):
        return text()(value)
    return "give an address that begins with https:// or http://"


def media(value: object) -> str | None:
    """A picture or a sound: an address, a data URI, a path, bytes, or a binary file."""
    if isinstance(value, str):
        if value.startswith("data:"):
            return None if value.isascii() and "," in value else "this is no data: URI"
        if _ADDRESS.match(value):
            return text()(value)
        return f"text is an address or a data: URI; a file is Path({value[:60]!r})"
    if isinstance(value, bytes):
        return None if value else "there are no bytes in it"
    if isinstance(value, io.TextIOBase):
        return "open the file in binary mode ('rb')"
    if isinstance(value, Path) or callable(getattr(value, "read", None)):
        return None
    return "give an address, a data: URI, a pathlib.Path, bytes, or a file opened in binary mode"


def json_object(value: object) -> str | None:
    """An object of JSON."""
    if not isinstance(value, dict):
        return "give a dict"
    try:
        # NaN and infinity would go out as null.
        json.dumps(msgspec.to_builtins(value, str_keys=True), allow_nan=False)
        msgspec.json.encode(value)
    except (TypeError, ValueError, RecursionError, OverflowError) as exc:
        return f"give what JSON can hold: {str(exc)[:100]}"
    return None


def several(rule: Rule) -> Rule:
    """A list, not empty, of what a rule is for."""

    def each(value: object) -> str | None:
        values = listed(value)
        if values is None:
            return "give a list"
        if not values:
            return "the list is empty; leave it out"
        return next(filter(None, map(rule, values)), None)

    return each


def one_or_more(rule: Rule) -> Rule:
    """What a rule is for, or a list of it."""
    each = several(rule)
    return lambda value: rule(value) if listed(value) is None else each(value)


def listed(value: object) -> list[Any] | None:
    """What is in a list or a tuple; None for anything else, text included."""
    return list(cast("list[Any]", value)) if isinstance(value, list | tuple) else None
