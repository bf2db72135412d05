"""The rules for fields of requests: each is a function of a value, and returns advice or None.

Pure. Which field has which rule is in `requests`.
"""

from __future__ import annotations

import inspect
import io
import json
import re
import sys
from collections.abc import AsyncIterable, Callable
from pathlib import Path
from typing import Any, cast

import msgspec

Rule = Callable[[object], str | None]
"""Takes a value, and returns advice: what to give instead. None if the value can be used."""

_ADDRESS = re.compile(r"(?:https?|asset)://[^\s/]", re.IGNORECASE)
_STORED = re.compile(r"[0-9a-f]{24}/[^\s\\]+", re.IGNORECASE)
"""A path in the service's own storage. It begins with the id of the account, unlike any path of
a file that was meant to be a `Path`."""


def text(most: int | None = None) -> Rule:
    """Return the rule for text of so many characters at most, as JavaScript counts them."""
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
    """Return the rule for a whole number within limits."""
    form = f"give {low}" if low == high else f"give a whole number from {low:,} to {high:,}"

    def rule(value: object) -> str | None:
        fits = isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
        return None if fits else form

    return rule


def one_of(*words: str) -> Rule:
    """Return the rule for one of a few words."""
    form = f"give {' or '.join(map(repr, words))}"
    return lambda value: None if value in words else form


def number(value: object) -> str | None:
    """Refuse what is no number that JSON can hold."""
    fits = isinstance(value, int | float) and not isinstance(value, bool)
    if fits and abs(value) <= sys.float_info.max:  # type: ignore[arg-type]
        return None
    return "give a finite number"


def tool(value: object) -> str | None:
    """Refuse a tool that the service's schema does not know."""
    given: Any = value
    if isinstance(value, dict) and given.get("type") == "web_search":
        return json_object(given)
    return 'give {"type": "web_search"}: the service takes no other tool'


def flag(value: object) -> str | None:
    """Refuse what is neither True nor False."""
    return None if isinstance(value, bool) else "give True or False"


def media(value: object) -> str | None:
    """Refuse what is no file: no address, data URI, path, bytes, binary file or stream of bytes."""
    if isinstance(value, str):
        return _media_text(value)
    if isinstance(value, bytes):
        return None if value else "there are no bytes in it"
    return None if isinstance(value, Path | AsyncIterable) else _media_file(value)


def _media_file(value: object) -> str | None:
    read = getattr(value, "read", None)
    if isinstance(value, io.TextIOBase):
        return "open the file in binary mode ('rb')"
    if inspect.iscoroutinefunction(read):
        return "its read() is async: give what that returns, or an async iterable of bytes"
    if callable(read):
        return None
    return (
        "give an address, a data: URI, a pathlib.Path, bytes, a file opened in binary mode, or an "
        "async iterable of bytes"
    )


def _media_text(value: str) -> str | None:
    if value.startswith("data:"):
        return None if value.isascii() and "," in value else "this is no data: URI"
    if _ADDRESS.match(value) or _STORED.fullmatch(value):
        return text()(value)
    return (
        "text is an address, a data: URI, or a path in the service's own storage; a file is "
        f"Path({value[:60]!r})"
    )


def json_object(value: object) -> str | None:
    """Refuse what is no object of JSON."""
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
    """Return the rule for a list, not empty, of what another rule is for."""

    def each(value: object) -> str | None:
        values = listed(value)
        if values is None:
            return "give a list"
        if not values:
            return "the list is empty; leave it out"
        return next(filter(None, map(rule, values)), None)

    return each


def one_or_more(rule: Rule) -> Rule:
    """Return the rule for what another rule is for, or for a list of it."""
    each = several(rule)
    return lambda value: rule(value) if listed(value) is None else each(value)


def listed(value: object) -> list[Any] | None:
    """Return what is in a list or a tuple; None for anything else, text included."""
    return list(cast("list[Any]", value)) if isinstance(value, list | tuple) else None
