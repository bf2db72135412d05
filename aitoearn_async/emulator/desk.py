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
from dataclasses import dataclass
from typing import Final

from multidict import CIMultiDict, CIMultiDictProxy

from aitoearn_async import AnyRef, ImageRef, VideoRef

from . import dialects, shelf, wire
from .dialects import Dialect, Row
from .faults import Fault

_ROUTES: Final[dict[str, type[ImageRef] | type[VideoRef]]] = {
    "/api/ai/image/task/": ImageRef,
    "/api/ai/video/generations/": VideoRef,
}
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
    media: bool = False
    """Whether it asks for a file that the task has made, and not for the task."""


@dataclass(slots=True)
class _Pending:
    """A fault that requests have yet to meet."""

    fault: Fault
    times: int | None


class Desk:
    """The service without its sockets."""

    def __init__(self, dialect: Dialect, api_key: str) -> None:
        self.dialect = dialect
        self.api_key = api_key
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
        request_id = request.headers.get("x-request-id") or self._fresh_request_id()
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
        code, message = self._refusal(request)
        if fault is not None and fault.code is not None:
            code, message = fault.code, fault.message
        if code:
            language = request.headers.get("Accept-Language", "")
            words = dialects.message_for(code, language) if message is None else message
            return dialects.error(code, words, request_id)
        assert request.ref is not None
        row = self._rows[_key(request.ref)]
        if fault is not None and fault.echo is not None:
            return dialects.success(dialects.task_json(row, now, echo=fault.echo), request_id)
        return dialects.success(dialects.task_json(row, now), request_id)

    def _refusal(self, request: Request) -> tuple[int, str | None]:
        """The code to refuse with, 0 if there is no reason to, and words of its own if any.

        The order of the questions is the service's: route, key, form of the id, task.
        """
        path = request.path.partition("?")[0]
        kind = _split(path)[0]
        if kind is None or request.method not in ("GET", "HEAD"):
            route = request.path.removeprefix("/api")
            return dialects.NOT_FOUND, f"Cannot {request.method} {route}"
        # The service joins repeated headers, and two keys joined are not a key.
        if request.headers.getall("X-Api-Key", []) != [self.api_key]:
            return dialects.UNAUTHORIZED, None
        ref = request.ref
        if ref is not None and _key(ref) in self._rows:
            return 0, None
        if ref is None or not _OBJECT_ID.fullmatch(ref.id):
            return dialects.MALFORMED_ID, None
        return self.dialect.unknown[ref.kind], None

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
