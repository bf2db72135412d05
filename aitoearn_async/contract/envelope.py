"""From the bytes of an answer to a Struct, or to the service's refusal.

    {"code": 0, "data": {...}, "message": ..., "requestId": ...}     Envelope, in one decode
    {"code": N, "data": {}, "message": ..., "requestId": ...}        Refusal
    anything else                                                    Broken

Nothing here raises: what an answer comes to is a value. What a refusal's code means is in
`codes`. What an HTTP status means is not known here.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

if TYPE_CHECKING:
    from .endpoints import Endpoint
    from .models import Task

T = TypeVar("T")
TaskT = TypeVar("TaskT", bound="Task")


class Envelope(msgspec.Struct, Generic[T], frozen=True, rename="camel"):
    """A good answer."""

    code: int
    data: T
    request_id: str | None = None


class Glance(msgspec.Struct, frozen=True):
    """As much of a task as tells whether it has changed."""

    id: str
    status: str


class Refusal(msgspec.Struct, frozen=True):
    """The service's no."""

    code: int
    message: str
    request_id: str | None


class Broken(msgspec.Struct, frozen=True):
    """Neither. JSON that breaks the contract; or no JSON: a proxy's page, half an answer."""

    reason: str
    is_json: bool


def read(body: bytes, endpoint: Endpoint[TaskT]) -> Envelope[TaskT] | Refusal | Broken:
    """Decode an answer to a poll."""
    deep = _too_deep(body)
    if deep:
        return Broken(deep, is_json=True)
    try:
        envelope = endpoint.decoder.decode(body)
    except msgspec.ValidationError as exc:
        return _read_again(body, endpoint, exc)
    except (ValueError, RecursionError) as exc:
        return _not_decodable(body, exc)
    # Code and data in contradiction: the code is the one the service says to go by.
    return envelope if envelope.code == 0 else _refusal(body)


def read_plain(
    body: bytes, decoder: msgspec.json.Decoder[Envelope[T]]
) -> Envelope[T] | Refusal | Broken:
    """Decode an answer that is no task: nothing in it is worth mending."""
    deep = _too_deep(body)
    if deep:
        return Broken(deep, is_json=True)
    try:
        envelope = decoder.decode(body)
        return envelope if envelope.code == 0 else _refusal(body)
    except msgspec.ValidationError as exc:
        return _no_json(body) or refusal(body) or Broken(_brief(exc), is_json=True)
    except (ValueError, RecursionError) as exc:
        return _not_decodable(body, exc)


def read_row(row: bytes, endpoint: Endpoint[TaskT]) -> TaskT | Broken:
    """Decode a task that stands in a list, as it would be read if it stood alone."""
    result = read(b'{"code":0,"data":%b}' % row, endpoint)
    if isinstance(result, Envelope):
        return result.data
    return result if isinstance(result, Broken) else Broken("no task", is_json=True)


def glance(body: bytes, endpoint: Endpoint[Any]) -> Glance | None:
    """Decode id and status of a good answer; None where there is more to be said of it.

    Costs the same whatever the size of what the service echoes.
    """
    if _too_deep(body):
        return None
    try:
        envelope = endpoint.glance.decode(body)
    except (ValueError, RecursionError):
        return None
    return envelope.data if envelope.code == 0 else None


def refusal(body: bytes) -> Refusal | None:
    """The service's no, if the body is one; None for every other body."""
    if _too_deep(body):
        return None
    try:
        found = _refusal(body)
    except (ValueError, RecursionError):
        return None
    return found if found.code != 0 else None


class _RefusalWire(msgspec.Struct, rename="camel"):
    # No `data`: it is `{}` here, and of no interest.
    code: int
    message: msgspec.Raw = msgspec.Raw()
    request_id: str | None = None


class _MendableWire(msgspec.Struct):
    data: dict[str, Any]


_mendable_decoder = msgspec.json.Decoder(_MendableWire)
_refusal_decoder = msgspec.json.Decoder(_RefusalWire)
_text_decoder = msgspec.json.Decoder(str)
_any_decoder = msgspec.json.Decoder(msgspec.Raw)


def _refusal(body: bytes) -> Refusal:
    wire = _refusal_decoder.decode(body)
    return Refusal(wire.code, _text(wire.message), wire.request_id)


def _text(raw: msgspec.Raw) -> str:
    if bytes(raw) in (b"", b"null"):
        return ""
    try:
        text = _text_decoder.decode(raw)
    except ValueError:
        # A list or an object, as some frameworks send: better as it is than not at all.
        text = bytes(raw).decode("utf-8", "replace")
    return text[:500]


def _read_again(
    body: bytes, endpoint: Endpoint[TaskT], why: msgspec.ValidationError
) -> Envelope[TaskT] | Refusal | Broken:
    """The rare path: the answer begins like JSON, but not like a good one."""
    if (broken := _no_json(body)) is not None:
        return broken
    try:
        found = _refusal(body)
        if found.code != 0:
            return found
        data = msgspec.convert(_mended(_mendable_decoder.decode(body).data), endpoint.task)
    except msgspec.ValidationError:
        return Broken(_brief(why), is_json=True)
    except (ValueError, RecursionError) as exc:
        # What is wrong with half an answer is that it is half: the rest of it was not seen.
        return _not_decodable(body, exc)
    return Envelope(0, data, found.request_id)


def _no_json(body: bytes) -> Broken | None:
    """What is wrong with a body that is no JSON, past where a decoder of something looked.

    `503 Service Unavailable` begins like a number, and an answer cut in two like one of a
    wrong type: both are trouble that passes, and nothing the service could be blamed for.
    """
    try:
        _any_decoder.decode(body)
    except (ValueError, RecursionError) as exc:
        return _not_decodable(body, exc)
    return None


def _mended(data: dict[str, Any]) -> dict[str, Any]:
    # All of the contract's points in time, and nothing else of it, are called `...At`. One
    # that cannot be read must not cost the user a finished task.
    return {name: _moment(value) if name.endswith("At") else value for name, value in data.items()}


def _moment(value: object) -> datetime | None:
    try:
        if isinstance(value, str):
            moment = datetime.fromisoformat(value)
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        pass
    return None


# The decoder recurses in C: on a thread with a small stack (musl's default is 128 KiB) some
# 400 levels end the process. So an answer with many brackets is flattened first, a pass a
# level or two, to see how deep it is. Ordinary answers have too few brackets to get there.
_SAFE_DEPTH = 64
_MOST_BRACKETS = 100_000
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_NEITHER = bytes(set(_NO_BRACKETS) - set(b'"'))


def _too_deep(body: bytes) -> str | None:
    if body.count(b"[") + body.count(b"{") <= _SAFE_DEPTH:
        return None
    brackets = _brackets(body)
    if brackets is None or _opened(brackets) > _MOST_BRACKETS:
        return f"more than {_MOST_BRACKETS:,} lists and objects"
    for _ in range(_SAFE_DEPTH):
        if not brackets:
            return None
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
    # What is left is deep, or does not close; the decoder dives into both.
    return "nested too deeply" if _opened(brackets) > _SAFE_DEPTH // 2 else None


def _brackets(body: bytes) -> bytes | None:
    """The brackets of an answer without those in its texts; None if they are too many by far."""
    outside = body.replace(b"\\\\", b"").replace(b'\\"', b"").translate(None, _NEITHER)
    # A text that ends where the next one begins is as good as one, and one with nothing in it
    # as good as none. Then every text but the first has a bracket before it.
    outside = outside.replace(b'""', b"")
    if outside.count(b'"') > 4 * _MOST_BRACKETS + 2:
        return None
    return b"".join(outside.split(b'"')[::2])


def _opened(text: bytes) -> int:
    return text.count(b"[") + text.count(b"{")


# The first half of a pair that is alone, past all text that is in order. An answer cut between
# the halves of a pair is half an answer, not one with half a pair in it.
_HALF_A_PAIR = re.compile(
    rb"""
    (?: [^\\]++
      | \\ [^u]
      | \\u (?! [dD][89a-fA-F])
      | \\u [dD][89abAB] [0-9a-fA-F]{2} \\u [dD][c-fC-F] [0-9a-fA-F]{2}
    )*+
    \\u [dD] (?:
        [c-fC-F]
      | [89abAB] [0-9a-fA-F]{2}
        (?! (?: \\ (?: u (?: [dD] (?: [c-fC-F] [0-9a-fA-F]? )? )? )? )? \Z )
    )
    """,
    re.DOTALL | re.VERBOSE,
)


def _not_decodable(body: bytes, exc: Exception) -> Broken:
    if isinstance(exc, UnicodeDecodeError):
        return Broken("invalid UTF-8 in a text field", is_json=True)
    if isinstance(exc, RecursionError):
        return Broken("nested too deeply", is_json=True)
    if _HALF_A_PAIR.match(body):
        return Broken("half a surrogate pair in a text field", is_json=True)
    return Broken(_brief(exc), is_json=False)


def _brief(exc: Exception) -> str:
    # The decoder quotes hostile values in full.
    return str(exc)[:200]
