"""Reads a refusal out of JSON, whatever its shape.

The service sends `{"code": 401, "message": ...}`. Gateways before it have shapes of their own:

    {"error": {"message": ...}}                {"code": "insufficient_quota", "message": ...}
    {"success": false, "message": ...}         {"code": 1, "msg": ...}
    {"detail": ...}                            {"title": ..., "status": 402}
    {"errors": [{"message": ...}]}             {"errcode": 1, "errmsg": ...}
    {"Response": {"Error": {"Code": ...}}}     {"base_resp": {"status_code": 1, ...}}

So members are recognised by their names, without regard to case, underscores and hyphens. What a
code means is in `_api/refusals`.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from typing import Any, cast

import msgspec

from .json_limits import LateDecoder


class Refusal(msgspec.Struct, frozen=True):
    """A refusal of the service, or of a gateway before it."""

    code: int | None
    """The business code; None where a gateway gives none, or one that is no number."""
    message: str
    request_id: str | None
    timestamp: bytes = b""
    """The moment of the refusal, as JSON. Two refusals with the same one are copies."""
    status: int | None = None
    """The HTTP status that a gateway names beside its words. Some answer 200 all the same."""


Members = Mapping[str, bytes]
"""The members of an object that are not empty: plain names -> values as undecoded JSON. Plain names
are in lower case, without underscores and hyphens."""

_EMPTY = frozenset([b"null", b"{}", b"[]", b'""', b"false"])
"""Values of members that are left out."""
_SEPARATORS = str.maketrans("", "", "_-")

# Names of members, as they are in plain names.
_SUCCESS = "success"
_ERRORS = "error", "errors", "err", "fault"
"""Members that make a refusal of an answer without a code."""
_WRAPPERS = "response", "baseresp"
"""Members that hold a refusal, or a good answer."""
_CODES = "errcode", "errorcode", "errno", "ret", "retcode"
"""Codes that gateways have in place of `code`; 0 means success."""
_STATUSES = "status", "statuscode"
_MESSAGES = "message", "msg", "detail"
"""Messages that make a refusal of an answer with neither a code nor data."""
_TEXTS = (
    *(*_MESSAGES, "errordescription", "errmsg", "errormsg", "errormessage", "statusmsg"),
    *("faultstring", "title", "reason", "description"),
)
"""Members that may hold the message of a refusal, the likeliest first."""

ERROR_STATUSES = range(400, 600)
"""The HTTP statuses of errors."""
_BAD_STATUSES = frozenset([b'"error"', b'"fail"', b'"failed"', b'"failure"'])
_NUMBER = re.compile(rb'"?(-?[0-9]{1,4300})(?:\.0*)?"?')
_MOST_LEVELS = 3
_MOST_QUOTED = 10_000

_Object = dict[str, msgspec.Raw]
_decoder: LateDecoder[_Object | list[_Object]] = LateDecoder(cast("Any", _Object | list[_Object]))
_text_decoder = msgspec.json.Decoder(str)
_any_decoder: LateDecoder[object] = LateDecoder(object)


def refusal(body: bytes) -> Refusal | None:
    """Return the refusal in a body, whatever its shape; None for every other body."""
    members = members_of(body)
    code = _code(members.get("code"))
    if not _is_refusal(members, code):
        return None
    return Refusal(
        code=code or None,
        message=_message(members)[:500],
        request_id=id_text(_any_decoder.read(members.get("requestid", b"null"))),
        timestamp=members.get("timestamp", b""),
        status=None if code else _status(members),
    )


def members_of(body: bytes) -> Members:
    """Return the members of an object, or of the first one of a list; else an empty mapping."""
    found = _decoder.read(body) or {}
    members = found[0] if isinstance(found, list) else found
    plain = {name.lower().translate(_SEPARATORS): bytes(raw) for name, raw in members.items()}
    return {name: raw for name, raw in plain.items() if name == _SUCCESS or raw not in _EMPTY}


def _is_refusal(members: Members, code: int | None) -> bool:
    if code:
        return True
    if members.get(_SUCCESS) == b"false" and (code is None or "data" not in members):
        return True
    if code == 0:
        return False
    if any(members.get(name, b"0") != b"0" for name in _ERRORS):
        return True
    # An answer with neither a code nor data: each of these is the sign of a refusal.
    return "data" not in members and (
        any(name in members for name in _MESSAGES)
        or any(_code(members[name]) != 0 for name in _CODES if name in members)
        or any(_is_bad(members[name]) for name in _STATUSES if name in members)
        or any(
            _is_refusal(members_of(members[name]), None) for name in _WRAPPERS if name in members
        )
    )


def _is_bad(status: bytes) -> bool:
    return status in _BAD_STATUSES or (_code(status) or 0) >= ERROR_STATUSES.start


def _status(members: Members) -> int | None:
    """Return the HTTP status that a refusal names, at its top or one level below."""
    inside = (members_of(members[name]) for name in (*_ERRORS, *_WRAPPERS) if name in members)
    for level in (members, *inside):
        for name in (*_STATUSES, "code", *_CODES):
            if (code := _code(level.get(name))) in ERROR_STATUSES:
                return code
    return None


def _code(raw: bytes | None) -> int | None:
    """Return a code; None where there is none, or one that is no number."""
    found = _NUMBER.fullmatch(raw or b"")
    return int(found[1]) if found else None


def _message(members: Members, levels: int = _MOST_LEVELS) -> str:
    """Return the message of a refusal, wherever it stands."""
    for name in (*_ERRORS, *_WRAPPERS) if levels else ():
        inner = _message(members_of(members[name]), levels - 1) if name in members else ""
        if inner:
            return inner
    found = [members[name] for name in (*_TEXTS, *_ERRORS) if name in members]
    if found:
        return _text(next((raw for raw in found if raw[:1] == b'"'), found[0]))
    return _message(members_of(members["data"]), levels - 1) if levels and "data" in members else ""


def _text(raw: bytes) -> str:
    """Return a text as it is, and any other value as JSON."""
    try:
        return _text_decoder.decode(decoded(raw))
    except ValueError:
        value = _any_decoder.read(raw[:_MOST_QUOTED])
    return msgspec.json.encode(value).decode() if value else decoded(raw[:_MOST_QUOTED])


def decoded(raw: bytes) -> str:
    """Return bytes as text: UTF-8, or the GB 18030 of old gateways in China.

    The bytes may end in the middle of a character.
    """
    for encoding in ("utf-8", "gb18030"):
        try:
            return codecs.getincrementaldecoder(encoding)().decode(raw)
        except ValueError:
            pass
    return raw.decode(errors="replace")


def id_text(value: object) -> str | None:
    """Return an id as text: JSON may have it as a text or as a number. None for anything else."""
    is_one = isinstance(value, str | int) and not isinstance(value, bool) and value != ""
    return str(value) if is_one else None
