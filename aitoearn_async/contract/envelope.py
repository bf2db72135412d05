"""Decodes the bytes of an answer: to a Struct, or to the service's refusal.

    {"code": 0, "data": {...}, "message": ..., "requestId": ...}     Envelope, in one decode
    {"code": N, "data": {}, "message": ..., "requestId": ...}        Refusal
    anything else                                                    Malformed

Nothing here raises: the result is a value. The shapes of a refusal are in `refusal`.
What an HTTP status means is not known here.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec

from .json_limits import LateDecoder, bad_text, too_deep
from .refusal import Refusal, members_of, refusal
from .task_times import moment_of
from .tasks import Task

T = TypeVar("T")
TaskT = TypeVar("TaskT", bound=Task)


class Envelope(msgspec.Struct, Generic[T], frozen=True, rename="camel"):
    """A good answer."""

    code: int
    data: T
    request_id: Any = None
    """A text. Nothing is lost where it is something else."""


class TaskHead(msgspec.Struct, frozen=True):
    """As much of a task as tells whether it has changed."""

    id: str
    status: str


class Malformed(msgspec.Struct, frozen=True):
    """A body that is neither: JSON that breaks the contract, or no JSON, such as a proxy's page."""

    reason: str
    is_json: bool
    has_code: bool = True
    """False for JSON without a `code`: most likely somebody else's."""
    has_data: bool = True
    """False for JSON in which nothing is said of a task."""


class Codec(msgspec.Struct, Generic[TaskT], frozen=True, kw_only=True):
    """The decoders of one kind of task."""

    task: type[TaskT]
    """The Struct of a whole response."""
    id_field: str
    """The attribute that holds its id."""
    id_name: str
    """The name of that field in JSON."""
    whole: LateDecoder[Envelope[TaskT]]
    """Decodes whole responses."""
    head: LateDecoder[Envelope[TaskHead]]
    """Decodes only id and status, whatever else is there."""

    def decode(self, body: bytes) -> Envelope[TaskT] | Refusal | Malformed:
        """Decode an answer to a poll."""
        return decode(body, self.whole, self)


def codec_for(task: type[TaskT], id_field: str) -> Codec[TaskT]:
    """Return the decoders of a kind of task, by the attribute that holds its id."""
    id_name = next(f.encode_name for f in msgspec.structs.fields(task) if f.name == id_field)
    head = msgspec.defstruct(
        f"{task.__name__}Head",
        [("id", str, msgspec.field(name=id_name)), ("status", str)],
        bases=(TaskHead,),
        frozen=True,
    )
    return Codec(
        task=task,
        id_field=id_field,
        id_name=id_name,
        whole=LateDecoder(Envelope[task]),  # type: ignore[valid-type]
        head=LateDecoder(Envelope[head]),  # type: ignore[valid-type]
    )


def decode(
    body: bytes, decoder: LateDecoder[Envelope[T]], codec: Codec[Any] | None = None
) -> Envelope[T] | Refusal | Malformed:
    """Decode an answer. Where it is a task, its codec tells what can be mended in it."""
    deep = too_deep(body)
    if deep:
        return Malformed(deep, is_json=True)
    try:
        envelope = decoder.decode(body)
    except msgspec.ValidationError as exc:
        return _no_json(body) or refusal(body) or _repaired(body, codec) or _broken(body, exc)
    except (ValueError, RecursionError) as exc:
        return _not_decodable(body, exc)
    # If code and data contradict each other, the code counts, as the service's pages say.
    return envelope if envelope.code == 0 else _refused(body)


def decode_row(row: bytes, codec: Codec[TaskT]) -> TaskT | Malformed:
    """Decode a task in a list, in the same way as one in an answer of its own."""
    deep = too_deep(row)
    if deep:
        return Malformed(deep, is_json=True)
    try:
        return msgspec.json.decode(row, type=codec.task)
    except msgspec.ValidationError as exc:
        try:
            return msgspec.convert(_mended(_row_decoder.decode(row), codec), codec.task)
        except msgspec.ValidationError:
            return Malformed(_brief(exc), is_json=True)
        except (ValueError, RecursionError) as again:
            return _not_decodable(row, again)
    except (ValueError, RecursionError) as exc:
        return _not_decodable(row, exc)


def decode_head(body: bytes, codec: Codec[Any]) -> TaskHead | None:
    """Decode id and status of a good answer; None for any other.

    It costs the same whatever the size of what the service echoes.
    """
    if too_deep(body):  # as `codec.head.read()`, without its call: most polls come here
        return None
    try:
        envelope = codec.head.decode(body)
    except (ValueError, RecursionError):
        return None
    return envelope.data if envelope.code == 0 else None


class _MendableWire(msgspec.Struct, rename="camel"):
    code: int
    data: dict[str, Any]
    request_id: Any = None


_row_decoder = msgspec.json.Decoder(dict[str, Any])
_mendable_decoder = LateDecoder(_MendableWire)
_any_decoder = msgspec.json.Decoder(msgspec.Raw)


def _repaired(body: bytes, codec: Codec[Any] | None) -> Envelope[Any] | Malformed | None:
    """Return an answer about a task with what can be mended in it; None if it cannot be."""
    if codec is None:
        return None
    try:
        found = _mendable_decoder.decode(body)
        data = msgspec.convert(_mended(found.data, codec), codec.task)
    except msgspec.ValidationError:
        return None
    except (ValueError, RecursionError) as exc:
        return _not_decodable(body, exc)
    return Envelope(0, data, found.request_id)


def _broken(body: bytes, why: msgspec.ValidationError) -> Malformed:
    """Return what is wrong with JSON that is neither a good answer nor a refusal."""
    found = members_of(body)
    return Malformed(_brief(why), is_json=True, has_code="code" in found, has_data="data" in found)


def _refused(body: bytes) -> Refusal | Malformed:
    """Decode a body whose code is not 0."""
    return refusal(body) or Malformed("a code that is no number", is_json=True)


def _no_json(body: bytes) -> Malformed | None:
    """Return what is wrong with a body that is not JSON up to its end; None if it is.

    The typed decoder may stop earlier: `503 Service Unavailable` begins like a number, and an
    answer that was cut off like one of a wrong type. Both pass, and do not break the contract.
    """
    try:
        _any_decoder.decode(body)
    except (ValueError, RecursionError) as exc:
        return _not_decodable(body, exc)
    return None


def _mended(data: dict[str, Any], codec: Codec[Any]) -> dict[str, Any]:
    # In the contract all moments are called `...At`, and nothing else is. A moment that cannot be
    # read, or an id that is a number, must not cost the user a finished task.
    mended = {
        name: moment_of(value) if name.endswith("At") else value for name, value in data.items()
    }
    id = mended.get(codec.id_name)
    if isinstance(id, int) and not isinstance(id, bool):
        mended[codec.id_name] = str(id)
    return mended


def _not_decodable(body: bytes, exc: Exception) -> Malformed:
    if isinstance(exc, RecursionError):
        return Malformed("nested too deeply", is_json=True)
    if (reason := bad_text(body)) is not None:
        return Malformed(reason, is_json=True)
    return Malformed(_brief(exc), is_json=False)


def _brief(exc: Exception) -> str:
    # The decoder quotes hostile values in full.
    return str(exc)[:200]
