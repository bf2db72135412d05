"""Answers recorded from a real server, and a server that gives them once more.

`tests/data/samples.jsonl` holds one exchange a line. What they should come to is not said
here but in `outcomes`.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from aitoearn_async import AnyRef, ImageRef, VideoRef

PATHS: dict[str, type[AnyRef]] = {
    "/api/ai/image/task/": ImageRef,
    "/api/ai/video/generations/": VideoRef,
}
VALID_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")

# The server that replays says these itself.
_OF_THE_WIRE = {
    "connection",
    "content-encoding",
    "content-length",
    "date",
    "keep-alive",
    "server",
    "transfer-encoding",
}
_PIXELS = "{PIXELS}"


class Sample(msgspec.Struct, frozen=True):
    """One recorded exchange."""

    name: str
    path: str
    request_headers: list[tuple[str, str]]
    status: int
    headers: list[tuple[str, str]]
    body: str
    note: str

    @property
    def kind(self) -> type[AnyRef]:
        """Which endpoint was asked."""
        return PATHS[self.path.rpartition("/")[0] + "/"]

    @property
    def id(self) -> str:
        """The id as it stood in the path."""
        return self.path.rpartition("/")[2]

    @property
    def ref(self) -> AnyRef:
        """The task that was asked for; some task where the id in the path was none."""
        return self.kind(self.id if VALID_ID.fullmatch(self.id) else "660000000000000000000088")

    @property
    def json(self) -> Any:
        """The body, read with the decoder that is not under test."""
        return msgspec.json.decode(self.content)

    @property
    def content(self) -> bytes:
        """The body as it was on the wire, the large one blown up again to its size."""
        body = self.body.encode()
        missing = int(dict(self.headers).get("Content-Length", 0)) - len(body)
        if _PIXELS not in self.body:
            return body
        return body.replace(_PIXELS.encode(), b"Pixels+/" * ((missing + len(_PIXELS)) // 8))


def load() -> list[Sample]:
    """All samples, in the order recorded."""
    path = Path(__file__).parents[1] / "data" / "samples.jsonl"
    return msgspec.json.decode(
        b"[" + b",".join(path.read_bytes().splitlines()) + b"]", type=list[Sample]
    )


SAMPLES = {sample.name: sample for sample in load()}


class Reply(msgspec.Struct, frozen=True):
    """What the replaying server answers to every request."""

    body: bytes
    status: int = 200
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "application/json; charset=utf-8"),)
    gzip: bool = False
    close: bool = False

    @staticmethod
    def of(sample: Sample) -> Reply:
        """The answer of a sample, with its headers."""
        headers = dict(sample.headers)
        return Reply(
            body=sample.content,
            status=sample.status,
            headers=tuple((n, v) for n, v in sample.headers if n.lower() not in _OF_THE_WIRE),
            gzip=headers.get("Content-Encoding") == "gzip",
            close=headers.get("Connection") == "close",
        )


class Replay:
    """A server on this machine that gives the same answer to every request."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self.requests: list[web.BaseRequest] = []
        self.url = ""

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests.append(request)
        response = web.Response(body=self.reply.body or None, status=self.reply.status)
        response.headers.popall("Content-Type", None)
        response.headers.extend(self.reply.headers)
        if self.reply.gzip:
            response.enable_compression(web.ContentCoding.gzip)
        if self.reply.close:
            response.force_close()
        return response


@contextlib.asynccontextmanager
async def replaying(reply: Reply) -> AsyncIterator[Replay]:
    """A running server. Its `reply` can be exchanged at any time."""
    replay = Replay(reply)
    runner = web.ServerRunner(web.Server(replay.answer), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    replay.url = "http://{}:{}".format(*runner.addresses[0])
    try:
        yield replay
    finally:
        await runner.cleanup()
