"""The answer to one request, before a fault below the service spoils it.

Plain functions on plain data: no await, no socket, and the time is handed in.
"""

from __future__ import annotations

import re
from email.utils import format_datetime
from typing import Final
from urllib.parse import unquote

import msgspec
from multidict import CIMultiDict

from aitoearn_async import VideoRef

from . import codes, identifiers, media, pictures, routes, uploads, wire
from .codes import Answer, ErrorAnswer
from .creating import MOST_BYTES
from .faults import Fault
from .request import Call, Request
from .routes import Route
from .service import Service
from .tasks import StoredTask

_ROWS_PER_ANSWER: Final = 150
_ANSWERS_PER_MEGABYTE: Final = 8
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_UNREADABLE: Final = ErrorAnswer(codes.BAD_REQUEST)
"""The answer to a body or a path that cannot be decoded. It has no request id yet."""
_TOO_LARGE: Final = ErrorAnswer(codes.SERVER_ERROR)
"""The answer to a body that is not read to its end. It has no request id yet."""


def _routed(
    service: Service, request: Request, fault: Fault | None = None
) -> tuple[Route, Call] | None:
    """Return the route of a request, and what it names; `None` if no such route is on."""
    path, _, query = request.path.partition("?")
    found = routes.find(request.method, path)
    if found is None or found[0].name not in service.routes:
        return None
    # The service joins repeated headers, and two keys joined are not a key.
    account = service.accounts.get(", ".join(request.headers.getall("X-Api-Key", [])), "")
    return found[0], Call(request, found[1], query, account, fault, service.now())


def weight(service: Service, request: Request) -> float:
    """Return the time that the answer takes, as a number of plain answers.

    The service loads whole rows, with the files in their requests, whatever a page shows.
    """
    found = _routed(service, request)
    rows = _page_rows(service, *found) if found is not None else []
    megabytes = sum(task.request_bytes for task in rows) / 2**20
    return 1.0 + len(rows) / _ROWS_PER_ANSWER + megabytes * _ANSWERS_PER_MEGABYTE


def videos_without_media_row(service: Service, request: Request) -> list[StoredTask]:
    """Return the finished videos of a group for which this request makes a media row."""
    found = _routed(service, request) if request.route in ("video", "videos") else None
    if found is None or not found[1].account:
        return []
    task = None if request.ref is None else service.tasks.get(request.ref)
    shown = _page_rows(service, *found) if task is None else [task]
    now = service.now()
    return [
        task
        for task in shown
        if task.request.get("groupId") and not task.media and task.succeeded(now)
    ]


def _page_rows(service: Service, route: Route, call: Call) -> list[StoredTask]:
    """Return the rows on the page of a list that a request asks for; none for other routes."""
    page = None if route.page is None else route.page(service, call)
    return [] if page is None else page.rows


def make_media_row(service: Service, task: StoredTask) -> None:
    """Make the media row of a finished video, and its cover, even if it has both already."""
    assert isinstance(task.ref, VideoRef)
    service.media_rows.append(task.ref)
    name = f"{task.ref.id}.png"
    id, path, picture = service.fresh_id(), f"covers/{name}", pictures.png(name)
    service.assets[path] = uploads.Asset(id, task.account, path, name, service.now(), picture)
    task.media = {
        "coverUrl": uploads.address_of(service.storage_url, path),
        "mediaId": service.fresh_id(),
        "groupId": task.request["groupId"],
    }


def answer(service: Service, request: Request, fault: Fault | None) -> wire.HttpResponse:
    """Return the service's own answer."""
    now = service.now()
    date = {"Date": format_datetime(service.date(now), usegmt=True)}
    if request.media:
        file = _file(service, request, now)
        file.headers.extend(date)
        return file
    request_id = request.headers.get("x-request-id", "")
    if not request_id or not request_id.isascii():
        request_id = identifiers.request_id()
    decided = _decide(service, request, fault)
    has_request_id = decided is not _UNREADABLE and decided is not _TOO_LARGE
    body = _body(service, request, decided, request_id if has_request_id else None)
    headers = CIMultiDict(date)
    if has_request_id:
        headers["x-request-id"] = request_id
    headers["Content-Type"] = wire.JSON
    if service.is_published:
        return wire.HttpResponse(body, 200, headers)
    headers["Access-Control-Allow-Origin"] = "*"
    headers["Keep-Alive"] = f"timeout={wire.KEEP_ALIVE:.0f}"
    headers["ETag"] = wire.etag_of(body)
    is_read = request.method in ("GET", "HEAD")
    if is_read and wire.is_fresh(headers["ETag"], request.headers):
        del headers["Content-Type"]
        return wire.HttpResponse(b"", 304, headers)
    return wire.HttpResponse(body, 200, headers)


def _file(service: Service, request: Request, now: float) -> wire.HttpResponse:
    """Return a file of a task, or one that was uploaded. No key is needed for it."""
    path = request.path.partition("?")[0]
    if not path.startswith(media.PREFIX):
        return uploads.answer(service.assets, request, service.date(now))
    place = media.place_of(path)
    task = service.tasks.get(place[0]) if place else None
    if place is None or task is None or not task.succeeded(now):
        return media.missing()
    content = task.files.get(place[1])
    if content is None:
        content = media.made(task.ref, place[1])
    return media.answer(content, media.TYPES[task.ref.kind], request.headers)


def _body(service: Service, request: Request, decided: Answer, request_id: str | None) -> bytes:
    if isinstance(decided, bytes):
        return codes.success(decided, request_id or "")
    code, message = decided
    if message is None:
        message = codes.message_for(code, request.headers.get("Accept-Language", ""))
    timestamp = int(service.date(service.now()).timestamp() * 1000)
    return codes.error(code, message, request_id, timestamp)


def _decide(service: Service, request: Request, fault: Fault | None) -> Answer:
    """Return the data to answer with, or the code to refuse with.

    The order of the questions is the service's: body, path, route, key, form, content.
    """
    if len(request.body) > MOST_BYTES:
        return _TOO_LARGE
    if not _decodes(request):
        return _UNREADABLE
    found = _routed(service, request, fault)
    if found is None:
        where = f"{request.method} {request.path.removeprefix('/api')}"
        decided: Answer = ErrorAnswer(codes.NOT_FOUND, f"Cannot {where}")
    else:
        route, call = found
        if not call.account and not (route.public and "X-Api-Key" not in request.headers):
            decided = ErrorAnswer(codes.UNAUTHORIZED)
        else:
            decided = route.answer(service, call)
    if fault is not None and fault.code is not None:
        return ErrorAnswer(fault.code, fault.message)
    return decided


def _decodes(request: Request) -> bool:
    """Return whether the path and a body of JSON can be decoded."""
    path = request.path.partition("?")[0]
    try:
        unquote(path, errors="strict")
        if request.body and "json" in request.headers.get("Content-Type", ""):
            msgspec.json.decode(request.body)
    except (ValueError, RecursionError):  # also for bytes that are no characters
        return False
    return not _BAD_ESCAPE.search(path)
