"""The routes that create something: submits, and uploads of files for them.

Plain functions on plain data: no await, no socket, and the time is handed in.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import msgspec

from aitoearn_async import AnyRef, ImageRef, VideoRef

from . import codes, submits, uploads
from .codes import Answer, ErrorAnswer
from .identifiers import OBJECT_ID
from .models import VIDEO_MODELS, channel_of
from .request import Call
from .service import REFUSED, Service

MOST_BYTES: Final = 50 * 1024 * 1024
"""Size of a body that the service reads at most."""
_ROW_BYTES: Final = 16 * 1024 * 1024
"""Size of a database document at most; a row holds the body of its submit."""
_ANSWERS_PER_INLINE_MEGABYTE: Final = 130
"""The time that the worker holds the process for a file in a data URI, in plain answers."""
_LOST: Final = (("InProgress", 2.0), "FAILURE")
"""The timeline of a video whose source file the provider cannot fetch."""


def submit(kind: type[submits.Body]) -> Callable[[Service, Call], Answer]:
    """Return the function that answers a submit with this schema."""

    def answer(service: Service, call: Call) -> Answer:
        body = call.request.body
        read = submits.read_body(kind, body)
        if read is None:
            return ErrorAnswer(codes.BAD_REQUEST)
        request: dict[str, Any] = msgspec.to_builtins(read)
        refusal = _video_refusal(service, request) if read.kind is VideoRef else None
        if refusal is not None:
            return refusal
        if len(body) > _ROW_BYTES:
            if read.kind is VideoRef:  # its provider is called before the row is written
                service.provider_calls[None] += 1
            return ErrorAnswer(codes.SERVER_ERROR)
        if call.fault is not None and not call.fault.loses_only_the_answer:
            return b"null"  # which nobody gets to see
        if kind is submits.EditImageBody:
            megabytes = submits.inline_bytes(request) / 2**20
            service.process.run(call.now, megabytes * _ANSWERS_PER_INLINE_MEGABYTE)
        return submits.receipt(_create(service, read.kind, request, call))

    return answer


def _video_refusal(service: Service, request: dict[str, Any]) -> ErrorAnswer | None:
    group = request.get("groupId")
    if group and group not in service.groups:
        well_formed = OBJECT_ID.fullmatch(group)
        return ErrorAnswer(codes.UNKNOWN_GROUP if well_formed else codes.SERVER_ERROR)
    if submits.refused_by_model(request, service.models[VIDEO_MODELS]):
        return ErrorAnswer(codes.INVALID_MODEL)
    data_uris = [path for path in submits.paths_in(request) if path.startswith("data:")]
    if data_uris and channel_of(request["model"], service.models) == submits.FETCHED_SOURCES:
        return ErrorAnswer(codes.FILE_NOT_FETCHED)
    return None


def _stored_sources(
    service: Service, request: dict[str, Any], now: float
) -> tuple[dict[str, Any], bool]:
    """Return the request as the provider gets it, and whether a source of it is lost.

    Some channels take whatever is no address for a path in the service's own storage. A data
    URI becomes the signed address of a file that is not there.
    """
    if channel_of(request["model"], service.models) not in submits.STORED_SOURCES:
        return request, False
    origin, date = service.storage_url, service.date(now)
    paths = submits.paths_in(request)
    signed = {path: uploads.signed_url(origin, path, date, None) for path in paths}
    stored = {path for path, asset in service.assets.items() if asset.content is not None}
    lost = not stored.issuperset(paths)
    return submits.with_sources(request, signed), lost


def _create(service: Service, kind: type[AnyRef], request: dict[str, Any], call: Call) -> AnyRef:
    api_key = call.request.headers["X-Api-Key"]
    timeline = service.scripted("image" if kind is ImageRef else "video", request["model"])
    ref: AnyRef
    if kind is ImageRef:
        ref = service.add_image(*timeline, request=request, api_key=api_key)
    else:
        sent, lost = _stored_sources(service, request, call.now)
        ref = service.add_video(
            *(_LOST if lost else timeline),
            model=request["model"],
            input=submits.video_input(sent),
            request=sent,
            api_key=api_key,
            error_message="The provider cannot fetch a source file." if lost else REFUSED,
        )
    service.created.append(ref)
    return ref


def sign(service: Service, call: Call) -> Answer:
    """Answer `POST /api/assets/uploadSign`: the address that a file may be put to."""
    try:
        body = msgspec.json.decode(call.request.body, type=uploads.SignBody)
    except (ValueError, RecursionError):
        return ErrorAnswer(codes.BAD_REQUEST)
    limit = math.inf if service.upload_limit is None else service.upload_limit
    if body.size is not None and body.size > limit:
        return ErrorAnswer(codes.ASSET_TOO_LARGE)
    id, now, origin = service.fresh_id(), call.now, service.storage_url
    suffix = body.filename.rpartition(".")[2] if "." in body.filename else "bin"
    path = f"{call.account}/temp/{service.date(now):%Y%m}/{id}.{suffix}"
    size = None if body.size is None else int(body.size)
    service.assets[path] = uploads.Asset(id, call.account, path, body.filename, now)
    return msgspec.json.encode(
        {
            "id": id,
            "path": path,
            "url": uploads.address_of(origin, path),
            "uploadUrl": uploads.signed_url(origin, path, service.date(now), size),
        }
    )


def confirm(service: Service, call: Call) -> Answer:
    """Answer `POST /api/assets/{id}/confirm`: the address of a file that was put."""
    if not OBJECT_ID.fullmatch(call.id):
        return ErrorAnswer(codes.SERVER_ERROR)
    own = (asset for asset in service.assets.values() if asset.account == call.account)
    asset = next((asset for asset in own if asset.id == call.id), None)
    if asset is None:
        return ErrorAnswer(codes.UNKNOWN_ASSET)
    if asset.content is None:
        return ErrorAnswer(codes.SERVER_ERROR)
    if asset.confirmed is None:
        asset.confirmed = call.now
    return uploads.confirmed_json(asset, service.storage_url, service.moment)
