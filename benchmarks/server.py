"""A server that answers polls and does nothing else, in a process of its own.

    with answering() as base_url: ...

HTTP/1.1 with keep-alive on a bare asyncio protocol: it is to be cheaper than what is
measured against it. It ends with the process that started it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import re
import subprocess
import sys
import threading
from collections.abc import Iterator

KEY = "benchmark-key"

_REQUEST = re.compile(rb"GET /api/ai/(image/task|video/generations)/([\w-]+) HTTP/1\.[01]\r\n")
_REQUEST_ID = re.compile(rb"\r\nx-request-id: ([!-~]+)\r\n", re.IGNORECASE)

_IMAGE = (
    b'{"data":{"logId":"%s","status":"%s","startedAt":"2026-06-01T10:00:00.000Z",'
    b'%s"request":{"model":"gpt-image-2","prompt":"A lighthouse on a cliff at dusk, long '
    b'exposure, oil on canvas","size":"1024x1024","n":1},'
    b'"createdAt":"2026-06-01T10:00:00.000Z","updatedAt":"2026-06-01T10:00:42.000Z"},'
    b'"code":0,"message":"\xe8\xaf\xb7\xe6\xb1\x82\xe6\x88\x90\xe5\x8a\x9f","requestId":"%s"}'
)
_VIDEO = (
    b'{"data":{"id":"%s","model":"seedance-2-fast","status":"%s",%s"input":{"prompt":'
    b'"A lighthouse on a cliff at dusk, waves below","duration":6,"aspectRatio":"16:9",'
    b'"resolution":"720p"},"submittedAt":"2026-06-01T10:00:00.000Z",'
    b'"startedAt":"2026-06-01T10:00:00.000Z"},'
    b'"code":0,"message":"\xe8\xaf\xb7\xe6\xb1\x82\xe6\x88\x90\xe5\x8a\x9f","requestId":"%s"}'
)
_KINDS = {
    b"image/task": (
        _IMAGE,
        (b"generating", b""),
        (b"success", b'"duration":42000,"images":[{"url":"https://cdn.example/a.png"}],'),
    ),
    b"video/generations": (
        _VIDEO,
        (b"InProgress", b""),
        (b"SUCCESS", b'"videoUrl":"https://cdn.example/v.mp4",'),
    ),
}
_HEAD = (
    b"HTTP/1.1 200 OK\r\n"
    b"Access-Control-Allow-Origin: *\r\n"
    b"x-request-id: %s\r\n"
    b"Content-Type: application/json; charset=utf-8\r\n"
    b"Content-Length: %d\r\n"
    b'ETag: W/"1aa-+lznBE+d1LFnOvqv+Jt7SPqzZi0"\r\n'
    b"Date: Mon, 01 Jun 2026 10:00:42 GMT\r\n"
    b"Connection: keep-alive\r\n"
    b"Keep-Alive: timeout=5\r\n\r\n"
)
_NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


class _Answering(asyncio.Protocol):
    def __init__(self, polls_to_end: int, polls: dict[bytes, int]) -> None:
        self._polls_to_end = polls_to_end
        self._polls = polls
        self._unread = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        *requests, self._unread = (self._unread + data).split(b"\r\n\r\n")
        for request in requests:
            self._transport.write(self._answer(request + b"\r\n"))

    def _answer(self, request: bytes) -> bytes:
        asked = _REQUEST.match(request)
        if asked is None:
            return _NOT_FOUND
        kind, task_id = asked.groups()
        template, running, ended = _KINDS[kind]
        word, more = ended if self._is_over(task_id) else running
        sent = _REQUEST_ID.search(request)
        request_id = sent[1] if sent else b"j9ut5nsyjzbr00eeacek6"
        body = template % (task_id, word, more, request_id)
        return _HEAD % (request_id, len(body)) + body

    def _is_over(self, task_id: bytes) -> bool:
        if not self._polls_to_end:
            return False
        polls = self._polls.get(task_id, 0) + 1
        self._polls[task_id] = polls % self._polls_to_end
        return polls == self._polls_to_end


@contextlib.contextmanager
def answering(*, polls_to_end: int = 0) -> Iterator[str]:
    """Start the server; its address. It is gone when the block is left.

    Args:
        polls_to_end: After so many polls a task has succeeded; the next poll begins its life
            anew. 0: tasks run for ever.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.server", "--polls-to-end", str(polls_to_end)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            port = process.stdout.readline().strip()
            if not port:
                raise RuntimeError("the answering server did not start")
            yield f"http://127.0.0.1:{int(port)}"
        finally:
            process.stdin.close()


async def _serve(polls_to_end: int) -> None:
    loop = asyncio.get_running_loop()
    polls: dict[bytes, int] = {}
    server = await loop.create_server(
        lambda: _Answering(polls_to_end, polls), "127.0.0.1", 0, backlog=4096
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    over = asyncio.Event()

    def wait_for_parent() -> None:
        # Its end of the pipe closes with it, however it ends. Daemonic: no business of exit's.
        sys.stdin.buffer.read()
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(over.set)

    threading.Thread(target=wait_for_parent, daemon=True).start()
    await over.wait()
    server.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--polls-to-end", type=int, default=0)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(parser.parse_args().polls_to_end))
