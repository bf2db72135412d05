"""The routes that answer with several tasks: the video list, the logs and the drafts.

Plain functions on plain data: no await, no socket, and the time is handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, Literal, TypeVar
from urllib.parse import parse_qsl

import msgspec
from msgspec import UNSET, Meta, UnsetType, field

from aitoearn_async import ImageRef, VideoRef

from . import codes, tasks
from .codes import Answer, ErrorAnswer
from .identifiers import OBJECT_ID
from .names import OtherType
from .request import Call
from .service import Service
from .tasks import StoredTask


class _Query(msgspec.Struct):
    """A query that asks for a page of a list."""

    page: Annotated[int, Meta(ge=1)] = 1
    size: Annotated[int, Meta(ge=1, le=1000)] = field(name="pageSize", default=10)


class _LogQuery(_Query):
    """A query for the logs, or for those rows that are alike in something."""

    type: OtherType | Literal["image", "video"] | UnsetType = UNSET
    status: Literal["generating", "success", "failed"] | UnsetType = UNSET
    channel: str | UnsetType = UNSET
    model: str | UnsetType = UNSET


@dataclass(frozen=True)
class ListPage:
    """The rows on a page of a list, and how many the list has in all."""

    query: _Query
    rows: list[StoredTask]
    total: int

    def encode(self, rows: Iterable[bytes]) -> bytes:
        """Return the JSON of the page, given that of its rows."""
        return msgspec.json.encode(
            {
                "page": self.query.page,
                "pageSize": self.query.size,
                "totalPages": -(-self.total // self.query.size),
                "total": self.total,
                "list": [msgspec.Raw(row) for row in rows],
            }
        )


PageReader = Callable[[Service, Call], ListPage | None]
"""Gives the page of a list that a request asks for; `None` if its schema rejects the query."""


def _page(query: _Query, rows: list[StoredTask]) -> ListPage:
    first = (query.page - 1) * query.size
    return ListPage(query, rows[first : first + query.size], len(rows))


QueryT = TypeVar("QueryT", bound=_Query)


def _read(text: str, kind: type[QueryT]) -> QueryT | None:
    """Return what a query says; `None` if its schema rejects it."""
    pairs = parse_qsl(text, keep_blank_values=True)
    fields: dict[str, float | str] = dict(pairs)
    if len(fields) < len(pairs):  # a field that is given twice is a list
        return None
    for name in fields.keys() & {"page", "pageSize"}:
        fields[name] = _number(str(fields[name]))
    try:
        return msgspec.convert(fields, kind, strict=False)
    except msgspec.ValidationError:
        return None


def _number(text: str) -> float | str:
    """Return the number that a text is to JavaScript's `Number()`, `02` and `2.0` alike."""
    try:
        return float(text) if text.isascii() and "_" not in text else text
    except ValueError:
        return text


def video_page(service: Service, call: Call) -> ListPage | None:
    """Return a page of the own videos, newest first."""
    query = _read(call.query, _Query)
    if query is None:
        return None
    own = service.tasks.newest(call.account)
    return _page(query, [task for task in own if isinstance(task.ref, VideoRef)])


def videos(service: Service, call: Call) -> Answer:
    """Answer `GET /api/ai/video/generations`: own videos, as their own answers show them."""
    page = video_page(service, call)
    if page is None:
        return ErrorAnswer(codes.BAD_REQUEST)
    for task in page.rows:
        if task.failing_code is not None:
            return ErrorAnswer(task.failing_code)
    return page.encode(tasks.task_json(task, call.now, service.moment) for task in page.rows)


def log_page(service: Service, call: Call) -> ListPage | None:
    """Return a page of the rows of the logs that a query asks for, newest first."""
    query = _read(call.query, _LogQuery)
    if query is None:
        return None
    shown: dict[str, Callable[[StoredTask], str]] = {
        "type": lambda task: task.type or task.ref.kind,
        "status": lambda task: task.status(task.stage(call.now)),
        "channel": lambda task: task.channel,
        "model": lambda task: task.model,
    }
    rows = list(service.tasks.logged(call.account))
    for name, show in shown.items():
        if (wanted := getattr(query, name)) is not UNSET:
            rows = [task for task in rows if show(task) == wanted]
    return _page(query, rows)


def logs(service: Service, call: Call) -> Answer:
    """Answer `GET /api/ai/logs`: own tasks of all kinds, with their statuses."""
    page = log_page(service, call)
    if page is None:
        return ErrorAnswer(codes.BAD_REQUEST)
    if any(task.failing_in_logs for task in page.rows):
        return ErrorAnswer(codes.SERVER_ERROR)
    return page.encode(tasks.log_json(task, call.now, service.moment) for task in page.rows)


# Drafts, whose routes show plain tasks too.


class _DraftQuery(msgspec.Struct):
    ids: Annotated[list[str], Meta(min_length=1, max_length=10)] = field(name="taskIds")


def _any_task(service: Service, id: str, account: str) -> StoredTask | None:
    found = (service.tasks.get(kind(id)) for kind in (ImageRef, VideoRef))
    return next((task for task in found if task is not None and task.account == account), None)


def drafts(service: Service, call: Call) -> Answer:
    """Answer `POST /api/ai/draft-generation/query`: up to ten own tasks, by their ids."""
    try:
        ids = msgspec.json.decode(call.request.body, type=_DraftQuery).ids
    except (ValueError, RecursionError):
        return ErrorAnswer(codes.BAD_REQUEST)
    if not all(OBJECT_ID.fullmatch(id) for id in ids):
        return ErrorAnswer(codes.SERVER_ERROR)
    found = [_any_task(service, id, call.account) for id in ids]
    rows = {task.ref: task for task in found if task is not None}
    newest = [task for task in service.tasks.newest(call.account) if task.ref in rows]
    return msgspec.json.encode([tasks.draft_row(task, call.now, service.moment) for task in newest])


def draft(service: Service, call: Call) -> Answer:
    """Answer `GET /api/ai/draft-generation/{id}`: one own task of any kind."""
    if not OBJECT_ID.fullmatch(call.id):
        return ErrorAnswer(codes.SERVER_ERROR)
    task = _any_task(service, call.id, call.account)
    if task is None:
        return ErrorAnswer(codes.UNKNOWN_LOG)
    return msgspec.json.encode(tasks.draft_row(task, call.now, service.moment))
