"""The routes that answer with several tasks: the video list, the logs and the drafts.

Plain functions on plain data: no await, no socket, and the time is handed in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import parse_qsl

import msgspec
from msgspec import UNSET, Meta, UnsetType, field

from aitoearn_async import ImageRef, VideoRef

from . import dialects, tasks
from .dialects import Answer, ErrorAnswer
from .identifiers import OBJECT_ID
from .names import OtherType
from .request import Call
from .service import Service
from .tasks import StoredTask
from .timeline import log_status

RowSource = Callable[[Service, Call], list[StoredTask]]
"""Gives all rows of a list that a request asks for pages of."""


class _Page(msgspec.Struct):
    """A part of a list, as a query asks for it."""

    number: Annotated[int, Meta(ge=1)] = field(name="page", default=1)
    size: Annotated[int, Meta(ge=1, le=1000)] = field(name="pageSize", default=10)

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


class _LogPage(_Page):
    """A part of the logs, or of those rows that are alike in something."""

    type: OtherType | Literal["image", "video"] | UnsetType = UNSET
    status: Literal["generating", "success", "failed"] | UnsetType = UNSET
    channel: str | UnsetType = UNSET
    model: str | UnsetType = UNSET


PageT = TypeVar("PageT", bound=_Page)


def _page(query: str, kind: type[PageT]) -> PageT | None:
    """Return the page that a query asks for; `None` if its schema rejects it."""
    pairs = parse_qsl(query, keep_blank_values=True)
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


def rows_on_page(rows: RowSource, service: Service, call: Call) -> list[StoredTask]:
    """Return the rows of a list that a page of it loads."""
    page = _page(call.query, _Page)
    return [] if page is None else page.of(rows(service, call))


def own_videos(service: Service, call: Call) -> list[StoredTask]:
    """Return the own videos, newest first."""
    return [task for task in service.tasks.newest(call.account) if isinstance(task.ref, VideoRef)]


def videos(service: Service, call: Call) -> Answer:
    """Answer `GET /api/ai/video/generations`: own videos, as their own answers show them."""
    page, rows = _page(call.query, _Page), own_videos(service, call)
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
    query = _page(call.query, _LogPage)
    shown: dict[str, Callable[[StoredTask], str]] = {
        "type": lambda task: task.type or task.ref.kind,
        "status": lambda task: log_status(task.word(call.now)),
        "channel": lambda task: task.channel,
        "model": lambda task: task.model,
    }
    rows = list(service.tasks.logged(call.account))
    for name, show in shown.items():
        wanted = getattr(query, name, UNSET)
        rows = [task for task in rows if wanted is UNSET or show(task) == wanted]
    return rows


def logs(service: Service, call: Call) -> Answer:
    """Answer `GET /api/ai/logs`: own tasks of all kinds, with their statuses."""
    page = _page(call.query, _LogPage)
    if page is None:
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
    ids: Annotated[list[str], Meta(min_length=1, max_length=10)] = field(name="taskIds")


def _any_task(service: Service, id: str, account: str) -> StoredTask | None:
    found = (service.tasks.get(kind(id)) for kind in (ImageRef, VideoRef))
    return next((task for task in found if task is not None and task.account == account), None)


def drafts(service: Service, call: Call) -> Answer:
    """Answer `POST /api/ai/draft-generation/query`: up to ten own tasks, by their ids."""
    try:
        ids = msgspec.json.decode(call.request.body, type=_DraftQuery).ids
    except (ValueError, RecursionError):
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
