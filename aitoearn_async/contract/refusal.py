"""Reads the no out of JSON, in whatever shape it is said.

The service says `{"code": 401, "message": ...}`. Gateways before it have shapes of their own:

    {"error": {"message": ...}}                {"code": "insufficient_quota", "message": ...}
    {"success": false, "message": ...}         {"code": 1, "msg": ...}
    {"detail": ...}                            {"title": ..., "status": 402}
    {"errors": [{"message": ...}]}             {"errcode": 1, "errmsg": ...}
    {"Response": {"Error": {"Code": ...}}}     {"base_resp": {"status_code": 1, ...}}

So members are known by their names, in any case and with any underscores. What a code means is
in `_api/refusals`.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from typing import Any, cast

import msgspec

from .json_limits import LateDecoder


class Refusal(msgspec.Struct, frozen=True):
    """The service's no, or that of a gateway before it."""

    code: int | None
    """The business code; None where a gateway gives none, or one that is no number."""
    message: str
    request_id: str | None
    timestamp: bytes = b""
    """The moment when the service said so, as JSON. Two refusals with the same one are copies."""
    status: int | None = None
    """The HTTP status that a gateway names beside its words. Some answer 200 all the same."""


Members = Mapping[str, bytes]
"""The members of an object that hold something, by their plain names, undecoded."""

_NOTHING = frozenset([b"null", b"{}", b"[]", b'""', b"false"])
_FAULTS = "error", "errors", "err", "fault"
"""Members that stand in a no alone."""
_WRAPPERS = "response", "baseresp"
"""Members that hold a no, or a good answer."""
_CODES = "errcode", "errorcode", "errno", "ret", "retcode"
"""Codes that gateways have in place of `code`; 0 for all is well."""
_STATUSES = "status", "statuscode"
ERROR_STATUSES = range(400, 600)
"""The HTTP statuses of errors."""
_BAD_STATUSES = frozenset([b'"error"', b'"fail"', b'"failed"', b'"failure"'])
_PLAIN = "message", "msg", "detail"
"""Words that are a no where there is nothing else."""
_WORDS = (
    *(*_PLAIN, "errordescription", "errmsg", "errormsg", "errormessage", "statusmsg"),
    *("faultstring", "title", "reason", "description"),
)
_MOST_LEVELS = 3
_MOST_QUOTED = 10_000


def refusal(body: bytes) -> Refusal | None:
    """Return the no that a body says, in whatever shape; None for every other body."""
    said = members_of(body)
    code = _code(said.get("code"))
    if not _is_no(said, code):
        return None
    id = id_text(_any_decoder.read(said.get("requestid", b"null")))
    timestamp = said.get("timestamp", b"")
    return Refusal(code or None, _words(said)[:500], id, timestamp, None if code else _status(said))


def members_of(body: bytes) -> Members:
    """Return the members of an object, or of the first one of a list; none of anything else."""
    found = _decoder.read(body) or {}
    members = found[0] if isinstance(found, list) else found
    plain = {name.lower().translate(_SEPARATORS): bytes(raw) for name, raw in members.items()}
    return {name: raw for name, raw in plain.items() if name == _SUCCESS or raw not in _NOTHING}


def _is_no(said: Members, code: int | None) -> bool:
    if code:
        return True
    if said.get(_SUCCESS) == b"false" and (code is None or "data" not in said):
        return True
    if code == 0:
        return False
    if any(said.get(name, b"0") != b"0" for name in _FAULTS):
        return True
    # Without a code and without data, there is nothing else that these can be.
    return "data" not in said and (
        any(name in said for name in _PLAIN)
        or any(_code(said[name]) != 0 for name in _CODES if name in said)
        or any(_is_bad(said[name]) for name in _STATUSES if name in said)
        or any(_is_no(members_of(said[name]), None) for name in _WRAPPERS if name in said)
    )


def _is_bad(status: bytes) -> bool:
    return status in _BAD_STATUSES or (_code(status) or 0) >= ERROR_STATUSES.start


def _status(said: Members) -> int | None:
    """Return the HTTP status that a no names, at its top or beside the words in it."""
    inside = (members_of(said[name]) for name in (*_FAULTS, *_WRAPPERS) if name in said)
    for members in (said, *inside):
        for name in (*_STATUSES, "code", *_CODES):
            if (code := _code(members.get(name))) in ERROR_STATUSES:
                return code
    return None


def _code(raw: bytes | None) -> int | None:
    """Return a code; None where there is none, or one that is no number."""
    found = _NUMBER.fullmatch(raw or b"")
    return int(found[1]) if found else None


def _words(said: Members, levels: int = _MOST_LEVELS) -> str:
    """Return the words of a no, wherever they stand."""
    for name in (*_FAULTS, *_WRAPPERS):
        if levels and name in said and (words := _words(members_of(said[name]), levels - 1)):
            return words
    found = [said[name] for name in (*_WORDS, *_FAULTS) if name in said]
    if found:
        return _text(next((raw for raw in found if raw[:1] == b'"'), found[0]))
    return _words(members_of(said["data"]), levels - 1) if levels and "data" in said else ""


def _text(raw: bytes) -> str:
    """Return a text; of anything else its JSON, which is better than nothing."""
    try:
        return _text_decoder.decode(decoded(raw))
    except ValueError:
        value = _any_decoder.read(raw[:_MOST_QUOTED])
    return msgspec.json.encode(value).decode() if value else decoded(raw[:_MOST_QUOTED])


def decoded(raw: bytes) -> str:
    """Return bytes as text, also those of old gateways in China; they may end in a character."""
    for encoding in ("utf-8", "gb18030"):
        try:
            return codecs.getincrementaldecoder(encoding)().decode(raw)
        except ValueError:
            pass
    return raw.decode(errors="replace")


def id_text(value: object) -> str | None:
    """Return an id as text, of whatever kind JSON has it."""
    is_one = isinstance(value, str | int) and not isinstance(value, bool) and value != ""
    return str(value) if is_one else None


_SUCCESS = "success"
_SEPARATORS = str.maketrans("", "", "_-")
_NUMBER = re.compile(rb'"?(-?[0-9]{1,4300})(?:\.0*)?"?')
_Object = dict[str, msgspec.Raw]
_decoder: LateDecoder[_Object | list[_Object]] = LateDecoder(cast("Any", _Object | list[_Object]))
_text_decoder = msgspec.json.Decoder(str)
_any_decoder: LateDecoder[object] = LateDecoder(object)
