"""The table of routes, and the routes that answer about one task.

Plain functions on plain data: no await, no socket, and the time is handed in.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

import msgspec

from aitoearn_async import AnyRef, ImageRef, VideoRef

from . import codes, creating, lists, tasks
from .codes import Answer, ErrorAnswer
from .identifiers import OBJECT_ID
from .models import MODELS
from .request import Call
from .service import Service
from .submits import EditImageBody, GenerateImageBody, GenerateVideoBody


@dataclass(frozen=True, slots=True)
class Route:
    """One route of the API."""

    name: str
    """The name by which it is switched off, together with others of that name."""
    method: str
    path: re.Pattern[str]
    answer: Callable[[Service, Call], Answer]
    kind: type[AnyRef] | None = None
    """The kind of the task that it answers about, if it is one."""
    page: lists.PageReader | None = None
    """Gives the page, if it answers with one of a list."""
    public: bool = False
    """It asks for no key."""


def find(method: str, path: str) -> tuple[Route, str] | None:
    """Return the route of a method and a path (as sent, no query), and what the path names."""
    method = "GET" if method == "HEAD" else method
    for route in _ROUTES:
        if route.method == method and (found := route.path.fullmatch(path)):
            return route, unquote(found[1]) if found.re.groups else ""
    return None


def ref_of(route: Route, id: str) -> AnyRef | None:
    """Return the task that a request to a route asks for; `None` if it names none."""
    try:
        return None if route.kind is None else route.kind(id)
    except ValueError:
        return None


def _models(service: Service, call: Call) -> Answer:
    return msgspec.json.encode(service.models[call.request.path.partition("?")[0]])


def _task(service: Service, call: Call) -> Answer:
    ref = call.request.ref
    task = None if ref is None else service.tasks.get(ref)
    if task is not None:
        if task.failing_code is not None:
            return ErrorAnswer(task.failing_code)
        echo = call.fault.echo if call.fault is not None else None
        return tasks.task_json(task, call.now, service.moment, echo=echo)
    if ref is None or not OBJECT_ID.fullmatch(ref.id):
        return ErrorAnswer(codes.MALFORMED_ID)
    no_image = isinstance(ref, ImageRef) and not service.is_published
    return ErrorAnswer(codes.NOT_FOUND if no_image else codes.UNKNOWN_TASK)


def _volcengine(service: Service, call: Call) -> Answer:
    """Answer with the provider's own words, and store them at once."""
    if not OBJECT_ID.fullmatch(call.id):
        return ErrorAnswer(codes.SERVER_ERROR)
    task = service.tasks.get(VideoRef(call.id))
    if task is None or task.account != call.account or task.channel != "volcengine":
        return ErrorAnswer(codes.UNKNOWN_TASK)
    if task.looked_at is not None and task.running(call.now):
        task.looked_at = call.now
    shown = tasks.provider_document(task, call.now, lambda at: int(service.date(at).timestamp()))
    return msgspec.json.encode(shown)


_VIDEOS: Final = r"/api/ai/video/generations"


def _route(
    name: str, method: str, path: str, answer: Callable[[Service, Call], Answer], **more: Any
) -> Route:
    return Route(name, method, re.compile(path), answer, **more)


_ROUTES: Final = (
    *(_route("models", "GET", path, _models, public=True) for path in MODELS),
    _route("image", "GET", r"/api/ai/image/task/([^/]+)", _task, kind=ImageRef),
    _route("video", "GET", _VIDEOS + r"/([^/]+)", _task, kind=VideoRef),
    _route("videos", "GET", _VIDEOS, lists.videos, page=lists.video_page),
    _route("logs", "GET", r"/api/ai/logs", lists.logs, page=lists.log_page),
    _route("drafts", "POST", r"/api/ai/draft-generation/query", lists.drafts),
    _route("drafts", "GET", r"/api/ai/draft-generation/([^/]+)", lists.draft),
    _route("volcengine", "GET", r"/api/ai/volcengine/video/([^/]+)", _volcengine),
    _route("submits", "POST", r"/api/ai/image/generate/async", creating.submit(GenerateImageBody)),
    _route("submits", "POST", r"/api/ai/image/edit/async", creating.submit(EditImageBody)),
    _route("submits", "POST", _VIDEOS, creating.submit(GenerateVideoBody)),
    _route("uploads", "POST", r"/api/assets/uploadSign", creating.sign),
    _route("uploads", "POST", r"/api/assets/([^/]+)/confirm", creating.confirm),
)
