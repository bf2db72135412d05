"""What each recorded answer has to come to. Written out, so that nothing under test says it."""

from __future__ import annotations

from typing import NamedTuple

from aitoearn_async import (
    AiToEarnError,
    AuthenticationError,
    InvalidRequestError,
    ServerError,
    TaskNotFoundError,
    TaskState,
    UnexpectedResponseError,
)


class No(NamedTuple):
    """An error: its class, and what it says."""

    error: type[AiToEarnError]
    code: int | None
    message: str
    http_status: int = 200


Outcome = TaskState | No
"""A task that stands like this, or an error."""

RUNNING, SUCCEEDED, FAILED = TaskState.RUNNING, TaskState.SUCCEEDED, TaskState.FAILED

UNAUTHORIZED = No(AuthenticationError, 401, "Unauthorized")
BAD_ID = No(InvalidRequestError, 10002, "Validation failed")
BAD_ID_ZH = No(InvalidRequestError, 10002, "参数验证失败")
BAD_REQUEST = No(InvalidRequestError, 400, "Bad request")
NO_IMAGE = No(TaskNotFoundError, 404, "任务不存在")
NO_VIDEO = No(TaskNotFoundError, 12302, "Invalid AI task ID")
NO_VIDEO_ZH = No(TaskNotFoundError, 12302, "无效的 AI 任务 ID")
TROUBLE = No(ServerError, 500, "Internal server error")
UNCHANGED = No(UnexpectedResponseError, None, "HTTP 304: unchanged, which was not asked", 304)
PROXY = No(UnexpectedResponseError, None, "HTTP 400: refused by something before the service", 400)

NO_IDS = {
    "http-percent-encoded-id",
    "http-percent-malformed",
    "image-id-12-bytes-utf8",
    "nginx-percent-encoded-id",
    "nginx-percent-malformed",
    "video-id-12-bytes-utf8",
}
"""Samples whose path holds an id that no ref takes. Their answers are given to another ref."""

OUTCOMES: dict[str, Outcome] = {
    "callback-dashscope-RUNNING": RUNNING,
    "callback-dashscope-SUCCEEDED": SUCCEEDED,
    "callback-dashscope-SUSPENDED": FAILED,
    "callback-grok-done-nourl": FAILED,
    "callback-grok-done": SUCCEEDED,
    "callback-openai-completed-url": SUCCEEDED,
    "callback-openai-completed": SUCCEEDED,
    "callback-relay-FAILURE-noerr": FAILED,
    "callback-relay-FAILURE": FAILED,
    "callback-relay-InProgress": RUNNING,
    "callback-relay-SUBMITTED": RUNNING,
    "callback-relay-SUCCESS": SUCCEEDED,
    "callback-relay-weird": RUNNING,
    "callback-volcengine-expired": FAILED,
    "callback-volcengine-failed": FAILED,
    "callback-volcengine-queued": RUNNING,
    "callback-volcengine-running": RUNNING,
    "callback-volcengine-succeeded": SUCCEEDED,
    "http-1.0": RUNNING,
    "http-accept-encoding-gzip-direct": SUCCEEDED,
    "http-accept-text-html": SUCCEEDED,
    "http-get-with-body": RUNNING,
    "http-get-with-malformed-json-body": BAD_REQUEST,
    "http-if-none-match-fixed-request-id": UNCHANGED,
    "http-percent-encoded-id": RUNNING,
    "http-percent-malformed": BAD_REQUEST,
    "image-edit-request-echoes-data-uri": RUNNING,
    "image-empty-key": UNAUTHORIZED,
    "image-failed-with-message": FAILED,
    "image-failed-without-message": FAILED,
    "image-generating-with-partial-response": RUNNING,
    "image-generating": RUNNING,
    "image-id-12-bytes-utf8": BAD_ID,
    "image-id-12-char": BAD_ID,
    "image-id-12-digits": BAD_ID,
    "image-id-malformed": BAD_ID,
    "image-id-short-digits": BAD_ID,
    "image-internal-error-db": TROUBLE,
    "image-internal-error-in-guard": TROUBLE,
    "image-internal-token": RUNNING,
    "image-invalid-key": UNAUTHORIZED,
    "image-missing-key-and-malformed-id": UNAUTHORIZED,
    "image-missing-key": UNAUTHORIZED,
    "image-missing-task": NO_IMAGE,
    "image-null-response": TROUBLE,
    "image-other-users-task": RUNNING,
    "image-success-b64": SUCCEEDED,
    "image-success-empty-list": SUCCEEDED,
    "image-success-empty-url": SUCCEEDED,
    "image-success-list-absolute-urls": SUCCEEDED,
    "image-success-list-relative-urls": SUCCEEDED,
    "image-success-no-response": SUCCEEDED,
    "image-success-null-revised-prompt": TROUBLE,
    "image-success-null-url": SUCCEEDED,
    "image-video-id-on-image-endpoint": NO_IMAGE,
    "lang-en-US-image-missing-404": NO_IMAGE,
    "lang-en-US-video-invalid-key-401": UNAUTHORIZED,
    "lang-en-US-video-missing-12302": NO_VIDEO,
    "lang-fr-image-malformed-10002": BAD_ID,
    "lang-fr-video-missing-12302": NO_VIDEO,
    "lang-list-image-missing-404": NO_IMAGE,
    "lang-list-image-success": RUNNING,
    "lang-none-image-malformed-10002": BAD_ID,
    "lang-none-image-missing-404": NO_IMAGE,
    "lang-none-image-success": RUNNING,
    "lang-none-video-invalid-key-401": UNAUTHORIZED,
    "lang-star-image-malformed-10002": BAD_ID,
    "lang-star-video-missing-12302": NO_VIDEO,
    "lang-zh-CN-image-missing-404": NO_IMAGE,
    "lang-zh-CN-internal-error-500": TROUBLE,
    "lang-zh-CN-video-invalid-key-401": UNAUTHORIZED,
    "lang-zh-CN-video-missing-12302": NO_VIDEO_ZH,
    "lang-zh-TW-image-malformed-10002": BAD_ID_ZH,
    "lang-zh-TW-image-missing-404": NO_IMAGE,
    "lang-zh-TW-video-invalid-key-401": UNAUTHORIZED,
    "lang-zh-video-invalid-key-401": UNAUTHORIZED,
    "nginx-if-none-match-fixed-request-id": UNCHANGED,
    "nginx-image-gzip": RUNNING,
    "nginx-no-key": UNAUTHORIZED,
    "nginx-percent-encoded-id": RUNNING,
    "nginx-percent-malformed": PROXY,
    "post-image-edit-async-then-get": RUNNING,
    "post-image-generate-async-consumed": SUCCEEDED,
    "request-id-client-supplied-error": BAD_ID,
    "request-id-client-supplied-ok": RUNNING,
    "request-id-long-500": RUNNING,
    "video-channel-gemini": NO_VIDEO,
    "video-channel-kling-legacy": NO_VIDEO,
    "video-closed-user": UNAUTHORIZED,
    "video-dashscope-failed-with-message": FAILED,
    "video-dashscope-logsuccess-provider-PENDING": RUNNING,
    "video-dashscope-logsuccess-provider-RUNNING": RUNNING,
    "video-dashscope-logsuccess-provider-absent": TROUBLE,
    "video-duplicate-key-header": UNAUTHORIZED,
    "video-empty-key": UNAUTHORIZED,
    "video-failed-object-message": TROUBLE,
    "video-failed-with-cover-and-media": FAILED,
    "video-grok-logsuccess-provider-absent": TROUBLE,
    "video-grok-logsuccess-provider-done": SUCCEEDED,
    "video-grok-reference-images": RUNNING,
    "video-id-12-bytes-utf8": BAD_ID,
    "video-id-12-char": BAD_ID,
    "video-id-12-digits": BAD_ID,
    "video-id-23-hex": BAD_ID,
    "video-id-24-nonhex": BAD_ID,
    "video-id-malformed": BAD_ID,
    "video-image-id-on-video-endpoint": NO_VIDEO,
    "video-input-image-null": TROUBLE,
    "video-input-null-duration": TROUBLE,
    "video-internal-error-db": TROUBLE,
    "video-internal-token": TROUBLE,
    "video-key-as-bearer": UNAUTHORIZED,
    "video-missing-key": UNAUTHORIZED,
    "video-openai-logsuccess-provider-completed": SUCCEEDED,
    "video-openai-logsuccess-provider-failed": FAILED,
    "video-relay-full-input": RUNNING,
    "video-relay-logsuccess-provider-FAILURE": FAILED,
    "video-relay-logsuccess-provider-SUBMITTED": RUNNING,
    "video-relay-logsuccess-provider-failed": FAILED,
    "video-relay-logsuccess-provider-succeeded": SUCCEEDED,
    "video-success-absolute-videourl": SUCCEEDED,
    "video-success-cover-only": SUCCEEDED,
    "video-success-duration-zero": SUCCEEDED,
    "video-success-with-provider-error": SUCCEEDED,
    "video-volcengine-failed-with-message": FAILED,
    "video-volcengine-logsuccess-provider-absent": TROUBLE,
    "video-volcengine-logsuccess-provider-expired": FAILED,
    "video-volcengine-logsuccess-provider-running": RUNNING,
    "video-volcengine-logsuccess-provider-succeeded": SUCCEEDED,
}
