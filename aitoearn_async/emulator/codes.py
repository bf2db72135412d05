"""The codes of the service's answers, their messages, and the envelopes around both.

Bytes out of plain data: no sockets, no clock.
"""

from __future__ import annotations

import http
from typing import Any, Final, NamedTuple

import msgspec

BAD_REQUEST: Final = 400
UNAUTHORIZED: Final = 401
NOT_FOUND: Final = 404
SERVER_ERROR: Final = 500
MALFORMED_ID: Final = 10002
FILE_NOT_FETCHED: Final = 10100
INVALID_MODEL: Final = 12300
UNKNOWN_TASK: Final = 12302
UNKNOWN_LOG: Final = 12303
UNKNOWN_ASSET: Final = 12750
ASSET_TOO_LARGE: Final = 12752
UNKNOWN_GROUP: Final = 12801

# code -> English, and Chinese where the service translates.
_MESSAGES: Final = {
    BAD_REQUEST: ("Bad request",),
    UNAUTHORIZED: ("Unauthorized",),
    NOT_FOUND: ("任务不存在",),
    SERVER_ERROR: ("Internal server error",),
    MALFORMED_ID: ("Validation failed", "参数验证失败"),
    FILE_NOT_FETCHED: ("Failed to download file from S3", "S3 文件下载失败"),
    INVALID_MODEL: ("Invalid AI model", "无效的 AI 模型"),
    UNKNOWN_TASK: ("Invalid AI task ID", "无效的 AI 任务 ID"),
    UNKNOWN_LOG: ("AI log not found", "AI 日志未找到"),
    UNKNOWN_ASSET: ("Asset not found", "资源未找到"),
    ASSET_TOO_LARGE: ("Asset too large", "资源过大"),
    UNKNOWN_GROUP: ("Material group not found", "素材分组未找到"),
}


PHRASES: Final = {int(status): status.phrase for status in http.HTTPStatus}
"""HTTP status -> its words."""


class ErrorAnswer(NamedTuple):
    """A business code to refuse with, and words of its own if any."""

    code: int
    message: str | None = None


Answer = bytes | ErrorAnswer
"""The JSON (`data`) to answer with, or the code to refuse with."""


def message_for(code: int, language: str) -> str:
    """Return the service's words for a business code, as `Accept-Language` asks for them."""
    if code in _MESSAGES:
        return _MESSAGES[code][-1 if language.strip().lower().startswith("zh") else 0]
    return PHRASES.get(code, f"Error {code}")


def success(data: bytes, request_id: str) -> bytes:
    """Return the envelope of a good answer around JSON that is encoded already."""
    return msgspec.json.encode(
        {"data": msgspec.Raw(data), "code": 0, "message": "请求成功", "requestId": request_id}
    )


def error(code: int, message: str, request_id: str | None, timestamp: int) -> bytes:
    """Return the envelope of a refusal; it has no request id if it precedes routing.

    The timestamp is in milliseconds since 1970, so that no two refusals are alike.
    """
    fields: dict[str, Any] = {"data": {}, "code": code, "message": message, "timestamp": timestamp}
    if request_id is not None:
        fields["requestId"] = request_id
    return msgspec.json.encode(fields)
