"""The words of the answering server: a row for each API it speaks, ours and those of the peers.

The peers' bodies have the fields that their own clients declare. When a task is over, and how
it gets onto the socket, is in `server`.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Times(NamedTuple):
    """The times of a task, as answers tell them."""

    created: bytes = b"2026-06-01T10:00:00.000Z"
    updated: bytes = b"2026-06-01T10:00:42.000Z"
    milliseconds: int = 42_000
    """From the one to the other."""


class Dialect(NamedTuple):
    """One kind of task of one API."""

    path: re.Pattern[bytes]
    """The path of a poll; its group is the task's id."""
    body: bytes
    """With places for the id, the status word, what comes with that word, the task's times, the
    request's id."""
    running: tuple[bytes, bytes]
    """The word while it runs, and what comes with it: here too there may be times."""
    succeeded: tuple[bytes, bytes]
    failed: tuple[bytes, bytes] | None = None
    """The same of a failure, in dialects whose tasks are made to fail."""

    def answer(self, task_id: bytes, request_id: bytes, *, end: bool | None, times: Times) -> bytes:
        """Return the answer about a task. `end`: None while it runs, then whether it succeeded."""
        if end is None:
            word, more = self.running
        else:
            word, more = self.succeeded if end or self.failed is None else self.failed
        told = {
            b"id": task_id,
            b"word": word,
            b"request": request_id,
            b"created": times.created,
            b"updated": times.updated,
            b"milliseconds": times.milliseconds,
        }
        return self.body % {**told, b"more": more % told}


_ENVELOPE = b'"code":0,"message":"\xe8\xaf\xb7\xe6\xb1\x82\xe6\x88\x90\xe5\x8a\x9f","requestId":'
_PROMPT = b"A lighthouse on a cliff at dusk, long exposure, oil on canvas"
_LONG_PROMPT = _PROMPT + b", and below it the waves of an autumn storm, seen from a small boat"

DIALECTS = {
    "image": Dialect(
        re.compile(rb"/api/ai/image/task/([\w-]+)"),
        b'{"data":{"logId":"%(id)s","status":"%(word)s","startedAt":"%(created)s",'
        b'%(more)s"request":{"model":"gpt-image-2","prompt":"' + _PROMPT + b'","size":"1024x1024",'
        b'"n":1},"createdAt":"%(created)s","updatedAt":"%(updated)s"},'
        + _ENVELOPE
        + b'"%(request)s"}',
        (b"generating", b""),
        (
            b"success",
            b'"duration":%(milliseconds)d,"images":[{"url":"https://cdn.example/a.png"}],',
        ),
        (
            b"failed",
            b'"duration":%(milliseconds)d,"errorMessage":"The provider refused the prompt.",',
        ),
    ),
    "video": Dialect(
        re.compile(rb"/api/ai/video/generations/([\w-]+)"),
        b'{"data":{"id":"%(id)s","model":"seedance-2-fast","status":"%(word)s",%(more)s"input":'
        b'{"prompt":"' + _PROMPT + b'","duration":6,"aspectRatio":"16:9","resolution":"720p"},'
        b'"submittedAt":"%(created)s","startedAt":"%(created)s"},' + _ENVELOPE + b'"%(request)s"}',
        (b"InProgress", b""),
        (b"SUCCESS", b'"videoUrl":"https://cdn.example/v.mp4","finishedAt":"%(updated)s",'),
        (
            b"FAILURE",
            b'"error":{"message":"The provider refused the prompt."},"finishedAt":"%(updated)s",',
        ),
    ),
    "openai": Dialect(
        re.compile(rb"/v1/videos/([\w-]+)"),
        b'{"id":"%(id)s","object":"video","created_at":1780308000,"completed_at":null,'
        b'"expires_at":null,"error":null,"model":"sora-2","status":"%(word)s",%(more)s'
        b'"prompt":"' + _LONG_PROMPT + b'","remixed_from_video_id":null,"seconds":"8",'
        b'"size":"1280x720"}',
        (b"in_progress", b'"progress":33,'),
        (b"completed", b'"progress":100,'),
    ),
    "runwayml": Dialect(
        re.compile(rb"/v1/tasks/([\w-]+)"),
        b'{"id":"%(id)s","createdAt":"2026-06-01T10:00:00.000Z","status":"%(word)s",%(more)s}',
        (b"RUNNING", b'"progress":0.33,"estimatedCost":{"credits":25}'),
        (b"SUCCEEDED", b'"cost":{"credits":25},"output":["https://cdn.example/v.mp4"]'),
    ),
    "replicate": Dialect(
        re.compile(rb"/v1/predictions/([\w-]+)"),
        b'{"id":"%(id)s","model":"stability-ai/sdxl","version":"39ed52f2a78e934b3ba6e2a89f5b1c71",'
        b'"status":"%(word)s",%(more)s"input":{"prompt":"' + _PROMPT + b'"},"logs":"","error":null,'
        b'"metrics":null,"created_at":"2026-06-01T10:00:00.000Z",'
        b'"started_at":"2026-06-01T10:00:01.000Z",'
        b'"urls":{"get":"https://api.example/v1/predictions/%(id)s"}}',
        (b"processing", b'"output":null,"completed_at":null,'),
        (b"succeeded", b'"output":["https://cdn.example/a.png"],"completed_at":null,'),
    ),
    "fal": Dialect(
        re.compile(rb"/fal-ai/flux/requests/([\w-]+)/status(?:\?\S*)?"),
        b'{"status":"%(word)s","request_id":"%(id)s",%(more)s'
        b'"response_url":"https://queue.example/fal-ai/flux/requests/%(id)s",'
        b'"status_url":"https://queue.example/fal-ai/flux/requests/%(id)s/status",'
        b'"cancel_url":"https://queue.example/fal-ai/flux/requests/%(id)s/cancel"}',
        (b"IN_PROGRESS", b'"logs":null,'),
        (b"COMPLETED", b'"logs":null,"metrics":{"inference_time":42.0},'),
    ),
}


def dialect_of(path: bytes) -> tuple[Dialect, bytes] | None:
    """Return the dialect of a path, and the id of the task that it asks for."""
    for dialect in DIALECTS.values():
        if asked := dialect.path.fullmatch(path):
            return dialect, asked[1]
    return None
