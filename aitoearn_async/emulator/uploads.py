"""The files that clients upload, as the service's storage keeps them.

The storage speaks as S3 does to signed addresses: no key, a signature in the query, and XML
when it says no. Plain functions on plain data, without sockets.
"""

from __future__ import annotations

import hashlib
import mimetypes
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Final, Literal
from urllib.parse import parse_qsl, quote, unquote, urlencode

import msgspec
from multidict import CIMultiDict

from . import media, wire
from .request import Request

BUCKET: Final = "/aitoearn/"
SIGNED_FOR: Final = timedelta(hours=1)
_DATE: Final = "%Y%m%dT%H%M%SZ"
_UNKNOWN_TYPE: Final = "application/octet-stream"


class SignBody(msgspec.Struct):
    """The body of `POST /api/assets/uploadSign`."""

    filename: str
    type: Literal["temp"] = "temp"
    size: Annotated[float, msgspec.Meta(ge=0)] | None = None


@dataclass(slots=True)
class Asset:
    """One file as the service knows it."""

    id: str
    account: str
    path: str
    filename: str
    created: float
    content: bytes | None = None
    confirmed: float | None = None

    @property
    def media_type(self) -> str:
        """Return the media type that goes with its name."""
        return mimetypes.guess_type(self.filename)[0] or _UNKNOWN_TYPE


def signed_url(origin: str, path: str, date: datetime, size: int | None) -> str:
    """Return the address to which a file can be put for an hour: of that size, if one is given."""
    signed = "host" if size is None else "content-length;host"
    query = {
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD",
        "X-Amz-Credential": f"emulator/{date:%Y%m%d}/us-east-1/s3/aws4_request",
        "X-Amz-Date": date.strftime(_DATE),
        "X-Amz-Expires": str(int(SIGNED_FOR.total_seconds())),
        "X-Amz-Signature": _signature(path, date.strftime(_DATE), size),
        "X-Amz-SignedHeaders": signed,
    }
    return f"{address_of(origin, quote(path, safe='/'))}?{urlencode(query)}"


def _signature(path: str, date: str, size: int | None) -> str:
    return hashlib.sha256(f"{path}\n{date}\n{size}".encode()).hexdigest()


def address_of(origin: str, path: str) -> str:
    """Return the address at which a file can be read."""
    return f"{origin}{BUCKET}{path}"


def confirmed_json(asset: Asset, origin: str, moment: Callable[[float], str]) -> bytes:
    """Return the JSON (`data`) of a confirmed upload."""
    return msgspec.json.encode(
        {
            "id": asset.id,
            "userId": asset.account,
            "userType": "user",
            "path": asset.path,
            "url": address_of(origin, asset.path),
            "type": "temp",
            "status": "confirmed",
            "size": len(asset.content or b""),
            "mimeType": asset.media_type,
            "filename": asset.filename,
            "createdAt": moment(asset.created),
            "updatedAt": moment(asset.confirmed or asset.created),
        }
    )


def answer(assets: Mapping[str, Asset], request: Request, date: datetime) -> wire.HttpResponse:
    """Return the storage's answer to a request, and keep the file that it puts."""
    target, _, query = request.path.partition("?")
    path = unquote(target).removeprefix(BUCKET)
    asset = assets.get(path)
    if request.method in ("GET", "HEAD"):
        if asset is None or asset.content is None:
            return _refusal(404, "NoSuchKey", "The specified key does not exist.")
        return media.answer(asset.content, asset.media_type, request.headers)
    if request.method != "PUT":
        return _refusal(405, "MethodNotAllowed", "The method is not allowed.")
    signed = dict(parse_qsl(query))
    if asset is None or "X-Amz-Signature" not in signed:
        return _refusal(403, "AccessDenied", "Access Denied.")
    if (refusal := _judge(asset, request, signed, date)) is not None:
        return refusal
    asset.content = request.body
    etag = hashlib.md5(request.body, usedforsecurity=False).hexdigest()
    return wire.HttpResponse(b"", 200, CIMultiDict({"ETag": f'"{etag}"'}))


def _judge(
    asset: Asset, request: Request, signed: Mapping[str, str], date: datetime
) -> wire.HttpResponse | None:
    """Return the refusal that a file meets, or `None` if it may be put."""
    given = request.headers.get("Content-Length")
    if given is None:
        return _refusal(411, "MissingContentLength", "Content-Length is missing.")
    with_size = "content-length" in signed.get("X-Amz-SignedHeaders", "")
    size = int(given) if with_size else None
    if _signature(asset.path, signed.get("X-Amz-Date", ""), size) != signed["X-Amz-Signature"]:
        return _refusal(403, "SignatureDoesNotMatch", "The signature does not match.")
    since = datetime.strptime(signed["X-Amz-Date"], _DATE).replace(tzinfo=date.tzinfo)
    if date - since > SIGNED_FOR:
        return _refusal(403, "AccessDenied", "Request has expired")
    return None


def _refusal(status: int, code: str, message: str) -> wire.HttpResponse:
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    )
    return wire.HttpResponse(
        body.encode(), status, CIMultiDict({"Content-Type": "application/xml"})
    )
