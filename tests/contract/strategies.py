"""Answers made up after the schemas: valid ones, nearly valid ones, and bytes gone wrong."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from tests.support.texts import CHARACTERS

from .schema import MOMENT_PATTERN, Dialect, Kind, Schema, answer, good
from .schema import TASKS as SCHEMAS

Strategy = st.SearchStrategy[Any]

moderate = settings(
    derandomize=True,  # the same examples on every run: a failure is the commit's doing
    suppress_health_check=[HealthCheck.too_slow],
)

# Beyond this, a float no longer says which integer was sent.
INTEGERS = st.integers(-(2**53), 2**53)
NUMBERS = INTEGERS | st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(CHARACTERS, max_size=20)
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
MOMENTS = st.datetimes(datetime(1970, 1, 1), datetime(2999, 12, 31)).map(
    lambda moment: moment.isoformat(timespec="milliseconds") + "Z"
)


def like(schema: Schema) -> Strategy:
    """Values that a schema of `schema` describes."""
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "anyOf" in schema:
        return st.one_of([like(choice) for choice in schema["anyOf"]])
    return _OF_TYPE[schema["type"]](schema)


def _string(schema: Schema) -> Strategy:
    pattern = schema.get("pattern")
    if pattern == MOMENT_PATTERN:
        return MOMENTS
    return (
        TEXTS
        if pattern is None
        else st.from_regex(pattern.replace("$", r"\Z"), alphabet=CHARACTERS)
    )


def _array(schema: Schema) -> Strategy:
    return st.lists(like(schema["items"]), max_size=3)


def _object(schema: Schema) -> Strategy:
    if "properties" not in schema:
        return st.dictionaries(TEXTS, JSON, max_size=3)
    fields = {name: like(field) for name, field in schema["properties"].items()}
    required = {name: fields.pop(name) for name in schema["required"]}
    return st.fixed_dictionaries(required, optional=fields)


_OF_TYPE: dict[str, Callable[[Schema], Strategy]] = {
    "string": _string,
    "array": _array,
    "object": _object,
    "number": lambda _: NUMBERS,
    "integer": lambda schema: st.integers(schema.get("minimum", 0), 2**53),
    "boolean": lambda _: st.booleans(),
    "null": lambda _: st.none(),
}


def successes(kind: Kind, dialect: Dialect) -> Strategy:
    """Good answers about a task."""
    return like(good(SCHEMAS[kind, dialect], dialect))


def answers(kind: Kind, dialect: Dialect) -> Strategy:
    """Answers of any kind."""
    return like(answer(kind, dialect))


def encoded(value: object) -> bytes:
    """JSON as the standard library writes it, with NaN and lone surrogates where they are."""
    return json.dumps(value, ensure_ascii=True).encode()


# Of every type, near to and far from what might stand there.
WRONG: list[Any] = [
    *(None, True, False, 0, 1, -1, 0.0, 1.5, 2**63, 2**64, 2**99),
    *("", "x", "0", "null", [], [None], ["x"], [5], [{}], {}, {"x": 1}, {"message": 5}),
    *({"message": None}, {"prompt": None}, {"url": 5}, [{"url": 5}], [[]]),
]


@st.composite
def nearly_valid(draw: st.DrawFn, kind: Kind) -> Any:
    """A good answer with one to three places gone wrong: dropped, replaced, or added to."""
    found = copy.deepcopy(draw(successes(kind, "observed")))
    for _ in range(draw(st.integers(1, 3))):
        spots = list(_spots(found))
        holder, key = draw(st.sampled_from(spots))
        deed = draw(st.sampled_from(["drop", "replace", "replace", "add"]))
        if deed == "drop":
            del holder[key]
        elif deed == "replace":
            holder[key] = draw(st.sampled_from(WRONG) | JSON)
        elif isinstance(holder, dict):
            holder[draw(TEXTS)] = draw(JSON)
        if not found:
            break
    return found


def _spots(value: Any) -> list[tuple[Any, Any]]:
    """Every place in JSON at which there is a value: its holder, and its key there."""
    if isinstance(value, dict):
        keys: list[Any] = list(value)
    elif isinstance(value, list):
        keys = list(range(len(value)))
    else:
        return []
    return [(value, key) for key in keys] + [s for key in keys for s in _spots(value[key])]


@st.composite
def spoilt(draw: st.DrawFn, kind: Kind) -> bytes:
    """The bytes of an answer with some of them cut, doubled, or overwritten."""
    body = bytearray(encoded(draw(answers(kind, "observed"))))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(body)))
        end = draw(st.integers(start, min(len(body), start + 8)))
        body[start:end] = draw(
            st.sampled_from([b"", b"\x00", b"\xff", b'"', b"\\", b"{", b"]", b"NaN", b"1e999"])
            | st.sampled_from([b"\\ud800", b"\xed\xa0\x80", b"\xef\xbb\xbf", b",", b"0", b"-"])
            | st.binary(max_size=8)
        )
    return bytes(body)
