"""Who is asked for, and what is answered: the tasks, the pending faults, the decision.

Plain functions on plain data: no await, no socket, and the time is handed in. There is no
timer per task, so ten thousand of them cost nothing until somebody asks.
"""

from __future__ import annotations

import itertools
import random
import re
import string
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
from multidict import CIMultiDict, CIMultiDictProxy

from aitoearn_async import AnyRef, ImageRef, VideoRef

from . import dialects, shelf, wire
from .dialects import Dialect, Row
from .faults import Fault
from .models import MODELS
from .submits import BAD_REQUEST, SUBMITS, receipt

_ROUTES: Final[dict[str, type[ImageRef] | type[VideoRef]]] = {
    "/api/ai/image/task/": ImageRef,
    "/api/ai/video/generations/": VideoRef,
}
VIDEO_LIST: Final = "/api/ai/video/generations"
MOST_BYTES: Final = 50 * 1024 * 1024
"""What the service reads of a body; past it, it fails."""

_Refusal = tuple[int, str | None]
_OBJECT_ID: Final = re.compile(r"[0-9a-fA-F]{24}")
_REQUEST_ID_ALPHABET: Final = string.digits + string.ascii_lowercase


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came in."""

    method: str
    path: str
    """The target as sent, with its query."""
    headers: CIMultiDictProxy[str]
    """Names compare without case, and can occur twice."""
    at: float
    """When it came, in seconds on the event loop's clock."""
    ref: AnyRef | None
    """The task it asks for, whether or not there is one; `None` if that is no valid id."""
    body: bytes = field(default=b"", repr=False)
    """What came with it, as far as it was read."""
    media: bool = False
    """Whether it asks for a file that the task has made, and not for the task."""


@dataclass(slots=True)
class _Pending:
    """A fault that requests have yet to meet."""

    fault: Fault
    times: int | None


Create = Callable[[type[AnyRef], Mapping[str, Any]], AnyRef]
"""Makes a task of this kind, from the body of a submit."""


class Desk:
    """The service without its sockets."""

    def __init__(self, dialect: Dialect, api_key: str, create: Create) -> None:
        self.dialect = dialect
        self.api_key = api_key
        self.groups: set[str] = set()
        self._create = create
        self._rows: dict[AnyRef, Row] = {}
        self._shelf = shelf.Shelf()
        self._faults: dict[tuple[AnyRef | None, bool], deque[_Pending]] = {}
        self._random = random.Random()
        self._counter = itertools.count()

    def __len__(self) -> int:
        return len(self._rows)

    def fresh_id(self) -> str:
        """24 hex digits in the manner of the service's database: time, noise, a counter."""
        noise = self._random.getrandbits(40)
        return f"{int(time.time()):08x}{noise:010x}{next(self._counter) % (1 << 24):06x}"

    def add(self, row: Row) -> None:
        """Take in a task."""
        if _key(row.ref) in self._rows:
            raise ValueError(f"there is a task {row.ref} already")
        for word in row.life.words:
            self._check_word(row.ref, word)
        self._rows[_key(row.ref)] = row

    def set_status(self, ref: AnyRef, word: str, now: float) -> None:
        """Let a task have this status from now on."""
        row = self._rows[_key(ref)]
        self._check_word(ref, word)
        row.life.cut(now - row.born, word)

    def spoil_row(self, ref: AnyRef, code: int | None) -> None:
        """Let a task fail whatever it stands in."""
        self._rows[_key(ref)].broken = code

    def remove(self, ref: AnyRef) -> None:
        """Forget a task."""
        del self._rows[_key(ref)]

    def set_media(self, ref: AnyRef, number: int, content: bytes) -> None:
        """Let a task's file be this from now on."""
        self._shelf.put(self._rows[_key(ref)].ref, number, content)

    def add_fault(
        self, fault: Fault, ref: AnyRef | None, times: int | None, *, media: bool
    ) -> None:
        """Queue a fault up, for a task or for all; for asking how it stands, or for its files."""
        key = None if ref is None else _key(ref)
        self._faults.setdefault((key, media), deque()).append(_Pending(fault, times))

    def clear_faults(self) -> None:
        """Forget all faults."""
        self._faults.clear()

    def take_fault(self, request: Request) -> Fault | None:
        """The fault this request meets, now met once more."""
        if not self._faults:
            return None
        ref = request.ref
        for key in (None,) if ref is None else (_key(ref), None):
            if queue := self._faults.get((key, request.media)):
                return _count_down(queue)
        return None

    def answer(self, request: Request, fault: Fault | None, now: float) -> wire.Answer:
        """What the service itself says, before a fault below it spoils the answer."""
        if request.media:
            return self._file(request, now)
        request_id = request.headers.get("x-request-id", "")
        if not request_id or not request_id.isascii():
            request_id = self._fresh_request_id()
        body = self._body(request, request_id, fault, now)
        headers = CIMultiDict({"x-request-id": request_id, "Content-Type": wire.JSON})
        if not self.dialect.validators:
            return wire.Answer(body, 200, headers)
        headers["Keep-Alive"] = f"timeout={wire.KEEP_ALIVE:.0f}"
        headers["ETag"] = wire.etag_of(body)
        if wire.is_fresh(headers["ETag"], request.headers.get("If-None-Match", "")):
            del headers["Content-Type"]
            return wire.Answer(b"", 304, headers)
        return wire.Answer(body, 200, headers)

    def _file(self, request: Request, now: float) -> wire.Answer:
        """A file of a task's: no key is asked for, and there is none before it has succeeded."""
        place = shelf.place_of(request.path.partition("?")[0])
        row = self._rows.get(_key(place[0])) if place else None
        if place is None or row is None or not dialects.has_succeeded(row, now):
            return shelf.missing()
        return shelf.answer(self._shelf.get(row.ref, place[1]), row.ref, request.headers)

    def _body(self, request: Request, request_id: str, fault: Fault | None, now: float) -> bytes:
        said = self._say(request, fault, now)
        if fault is not None and fault.code is not None:
            said = fault.code, fault.message
        if isinstance(said, bytes):
            return dialects.success(said, request_id)
        code, message = said
        language = request.headers.get("Accept-Language", "")
        words = dialects.message_for(code, language) if message is None else message
        return dialects.error(code, words, request_id)

    def _say(self, request: Request, fault: Fault | None, now: float) -> bytes | _Refusal:
        """The data to answer with; or the code to refuse with, and words of its own if any.

        The order of the questions is the service's: route, key, form, content.
        """
        path, _, query = request.path.partition("?")
        reads = request.method in ("GET", "HEAD")
        if reads and path in MODELS:
            return msgspec.json.encode(MODELS[path])
        lists = reads and path == VIDEO_LIST
        submits = request.method == "POST" and path in SUBMITS
        if not (lists or submits or (reads and _split(path)[0] is not None)):
            route = request.path.removeprefix("/api")
            return dialects.NOT_FOUND, f"Cannot {request.method} {route}"
        # The service joins repeated headers, and two keys joined are not a key.
        if request.headers.getall("X-Api-Key", []) != [self.api_key]:
            return dialects.UNAUTHORIZED, None
        if submits:
            return self._submit(path, request.body, fault)
        return self._list(query, now) if lists else self._one(request.ref, fault, now)

    def _one(self, ref: AnyRef | None, fault: Fault | None, now: float) -> bytes | _Refusal:
        row = None if ref is None else self._rows.get(_key(ref))
        if row is not None:
            if row.broken is not None:
                return row.broken, None
            return dialects.task_json(row, now, echo=fault.echo if fault is not None else None)
        if ref is None or not _OBJECT_ID.fullmatch(ref.id):
            return dialects.MALFORMED_ID, None
        return self.dialect.unknown[ref.kind], None

    def _submit(self, path: str, body: bytes, fault: Fault | None) -> bytes | _Refusal:
        if len(body) > MOST_BYTES:
            return 500, None
        fields = SUBMITS[path].judge(body, self.groups)
        if isinstance(fields, int):
            return fields, None
        if fault is not None and not fault.loses_only_the_answer:
            return b"null"  # which nobody gets to see
        return receipt(self._create(SUBMITS[path].kind, fields))

    def _list(self, query: str, now: float) -> bytes | _Refusal:
        asked = _pagination(query)
        if asked is None:
            return BAD_REQUEST, None
        page, size = asked
        rows = [row for row in self._rows.values() if isinstance(row.ref, VideoRef)][::-1]
        shown = rows[(page - 1) * size : page * size]
        for row in shown:
            if row.broken is not None:
                return row.broken, None
        return msgspec.json.encode(
            {
                "page": page,
                "pageSize": size,
                "totalPages": -(-len(rows) // size),
                "total": len(rows),
                "list": [msgspec.Raw(dialects.task_json(row, now)) for row in shown],
            }
        )

    def _check_word(self, ref: AnyRef, word: str) -> None:
        words = self.dialect.image_words
        if words is not None and isinstance(ref, ImageRef) and word not in words:
            raise ValueError(f"the contract has no image status {word!r}: {sorted(words)}")

    def _fresh_request_id(self) -> str:
        return "".join(self._random.choices(_REQUEST_ID_ALPHABET, k=21))


def asked_for(path: str) -> tuple[AnyRef | None, bool]:
    """The task a path (decoded, no query) names, if any, and whether a file of it is asked for."""
    if path.startswith(shelf.PATH):
        place = shelf.place_of(path)
        return place[0] if place else None, True
    return _ref_of(path), False


def _ref_of(path: str) -> AnyRef | None:
    kind, id = _split(path)
    try:
        return kind(id) if kind is not None else None
    except ValueError:
        return None


def _pagination(query: str) -> tuple[int, int] | None:
    """Page and page size; `None` if the service finds them invalid."""
    pairs = parse_qsl(query, keep_blank_values=True)
    fields = {"page": "1", "pageSize": "10", **dict(pairs)}
    numbers = [fields["page"], fields["pageSize"]]
    if len(dict(pairs)) != len(pairs) or not all(re.fullmatch(r"[0-9]{1,9}", n) for n in numbers):
        return None
    page, size = map(int, numbers)
    return (page, size) if page >= 1 and 1 <= size <= 1000 else None


def _split(path: str) -> tuple[type[ImageRef] | type[VideoRef] | None, str]:
    head, slash, id = path.rpartition("/")
    return (_ROUTES.get(head + slash) if id else None), id


def _key(ref: AnyRef) -> AnyRef:
    """The ref in the spelling it is stored under: hex digits are the same in either case."""
    lower = ref.id.lower()
    return type(ref)(lower) if lower != ref.id and _OBJECT_ID.fullmatch(lower) else ref


def _count_down(queue: deque[_Pending]) -> Fault:
    pending = queue[0]
    if pending.times is not None:
        pending.times -= 1
        if pending.times == 0:
            queue.popleft()
    return pending.fault
