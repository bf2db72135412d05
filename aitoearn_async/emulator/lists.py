"""The routes that answer with several tasks: the video list, the logs and the drafts.

Plain functions on plain data: no await, no socket, and the time is handed in.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final
from urllib.parse import parse_qsl

import msgspec

from aitoearn_async import ImageRef, VideoRef

from . import dialects, tasks
from .dialects import Answer, ErrorAnswer
from .identifiers import OBJECT_ID
from .names import OTHER_TYPES
from .request import Call
from .service import Service
from .tasks import StoredTask
from .timeline import log_status

_TYPES: Final = OTHER_TYPES | {"image", "video"}
_STATUSES: Final = frozenset(["generating", "success", "failed"])

RowSource = Callable[[Service, Call], list[StoredTask]]
"""Gives all rows of a list that a request asks for pages of."""


@dataclass(frozen=True, slots=True)
class _Page:
    """A part of a list, as a query asks for it."""

    number: int
    size: int

    def of(self, rows: list[StoredTask]) -> list[StoredTask]:
        """Return the rows on this page."""
        return rows[(self.number - 1) * self.size : self.number * self.size]

    def encode(self, rows: list[Any], total: int) -> bytes:
        """Return the JSON of a page with these rows."""
        return msgspec.json.encode(
            {
                "page": self.number,
                "pageSize": self.size,
                "totalPages": -(-total // self.size),
                "total": total,
                "list": rows,
            }
        )


def _page(query: dict[str, str] | None) -> _Page | None:
    if query is None:
        return None
    fields = {"page": "1", "pageSize": "10", **query}
    if not all(re.fullmatch(r"[0-9]{1,9}", fields[name]) for name in ("page", "pageSize")):
        return None
    number, size = int(fields["page"]), int(fields["pageSize"])
    return _Page(number, size) if number >= 1 and 1 <= size <= 1000 else None


def _query(text: str) -> dict[str, str] | None:
    """Return the fields of a query; `None` if one is given twice, which makes it a list."""
    pairs = parse_qsl(text, keep_blank_values=True)
    return dict(pairs) if len(dict(pairs)) == len(pairs) else None


def rows_on_page(rows: RowSource, service: Service, call: Call) -> list[StoredTask]:
    """Return the rows of a list that a page of it loads."""
    page = _page(_query(call.query))
    return [] if page is None else page.of(rows(service, call))


def own_videos(service: Service, call: Call) -> list[StoredTask]:
    """Return the own videos, newest first."""
    return [task for task in service.tasks.newest(call.account) if isinstance(task.ref, VideoRef)]


def videos(service: Service, call: Call) -> Answer:
    """Answer `GET /api/ai/video/generations`: own videos, as their own answers show them."""
    page, rows = _page(_query(call.query)), own_videos(service, call)
    if page is None:
        return ErrorAnswer(dialects.BAD_REQUEST)
    shown = page.of(rows)
    for task in shown:
        if task.failing_code is not None:
            return ErrorAnswer(task.failing_code)
    return page.encode(
        [msgspec.Raw(tasks.task_json(task, call.now, service.moment)) for task in shown],
        len(rows),
    )


def own_logs(service: Service, call: Call) -> list[StoredTask]:
    """Return the rows of the logs that a query asks for, newest first."""
    query = _query(call.query) or {}
    shown: dict[str, Callable[[StoredTask], str]] = {
        "type": lambda task: task.type or task.ref.kind,
        "status": lambda task: log_status(task.word(call.now)),
        "channel": lambda task: task.channel,
        "model": lambda task: task.model,
    }
    rows = list(service.tasks.logged(call.account))
    for name, show in shown.items():
        if name in query:
            wanted = query[name]
            rows = [task for task in rows if show(task) == wanted]
    return rows


def logs(service: Service, call: Call) -> Answer:
    """Answer `GET /api/ai/logs`: own tasks of all kinds, with their statuses."""
    query = _query(call.query)
    page = _page(query)
    if query is None or page is None:
        return ErrorAnswer(dialects.BAD_REQUEST)
    if query.get("type", "image") not in _TYPES:
        return ErrorAnswer(dialects.BAD_REQUEST)
    if query.get("status", "success") not in _STATUSES:
        return ErrorAnswer(dialects.BAD_REQUEST)
    rows = own_logs(service, call)
    shown = page.of(rows)
    if any(task.failing_in_logs for task in shown):
        return ErrorAnswer(dialects.SERVER_ERROR)
    return page.encode(
        [msgspec.Raw(tasks.log_json(task, call.now, service.moment)) for task in shown], len(rows)
    )


# Drafts, whose routes show plain tasks too.


class _DraftQuery(msgspec.Struct):
    ids: Annotated[list[str], msgspec.Meta(min_length=1, max_length=10)] = msgspec.field(
        name="taskIds"
    )


def _any_task(service: Service, id: str, account: str) -> StoredTask | None:
    found = (service.tasks.get(kind(id)) for kind in (ImageRef, VideoRef))
    return next((task for task in found if task is not None and task.account == account), None)


def drafts(service: Service, call: Call) -> Answer:
    """Answer `POST /api/ai/draft-generation/query`: up to ten own tasks, by their ids."""
    try:
        ids = msgspec.json.decode(call.request.body, type=_DraftQuery).ids
    except ValueError:
        return ErrorAnswer(dialects.BAD_REQUEST)
    if not all(OBJECT_ID.fullmatch(id) for id in ids):
        return ErrorAnswer(dialects.SERVER_ERROR)
    found = [_any_task(service, id, call.account) for id in ids]
    rows = {task.ref: task for task in found if task is not None}
    newest = [task for task in service.tasks.newest(call.account) if task.ref in rows]
    return msgspec.json.encode([tasks.draft_row(task, call.now, service.moment) for task in newest])


def draft(service: Service, call: Call) -> Answer:
    """Answer `GET /api/ai/draft-generation/{id}`: one own task of any kind."""
    if not OBJECT_ID.fullmatch(call.id):
        return ErrorAnswer(dialects.SERVER_ERROR)
    task = _any_task(service, call.id, call.account)
    if task is None:
        return ErrorAnswer(dialects.UNKNOWN_LOG)
    return msgspec.json.encode(tasks.draft_row(task, call.now, service.moment))
