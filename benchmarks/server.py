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
import sys
import threading
from collections.abc import Iterator

from .children import Child
from .dialects import Times, dialect_of

KEY = "benchmark-key"

_REQUEST = re.compile(rb"GET (\S+) HTTP/1\.[01]\r\n")
_REQUEST_ID = re.compile(rb"\r\nx-request-id: ([!-~]+)\r\n", re.IGNORECASE)

_HEAD = (
    b"HTTP/1.1 200 OK\r\n"
    b"Access-Control-Allow-Origin: *\r\n"
    b"x-request-id: %s\r\n"
    b"Content-Type: application/json; charset=utf-8\r\n"
    b"Content-Length: %d\r\n"
    b'ETag: W/"1aa-+lznBE+d1LFnOvqv+Jt7SPqzZi0"\r\n'
    b"Date: %s\r\n"
    b"Connection: keep-alive\r\n"
    b"Keep-Alive: timeout=5\r\n\r\n"
)
_NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


_TIMES = Times()


class Tasks:
    """The ends of tasks: after so many polls, for so many of a hundred ids; the rest run on.

    All their times are the same ones, and the server's clock stands still.
    """

    def __init__(self, polls_to_end: int, ending: int) -> None:
        self._polls_to_end = polls_to_end
        self._ending = ending
        self._polls: dict[bytes, int] = {}

    def look(self, task_id: bytes) -> tuple[bool | None, Times]:
        """Count a poll. Return whether the task succeeded (None while it runs), and its times."""
        if not self._polls_to_end or int(task_id[-6:], 16) % 100 >= self._ending:
            return None, _TIMES
        polls = self._polls.get(task_id, 0) + 1
        self._polls[task_id] = polls % self._polls_to_end
        return True if polls == self._polls_to_end else None, _TIMES

    def date(self) -> bytes:
        """Return the server's time, as its `Date` headers tell it."""
        return b"Mon, 01 Jun 2026 10:00:42 GMT"


class _Answering(asyncio.Protocol):
    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks
        self._unread = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        *requests, self._unread = (self._unread + data).split(b"\r\n\r\n")
        for request in requests:
            self._transport.write(self._answer(request + b"\r\n"))

    def _answer(self, request: bytes) -> bytes:
        line = _REQUEST.match(request)
        asked = dialect_of(line[1]) if line else None
        if asked is None:
            return _NOT_FOUND
        dialect, task_id = asked
        sent = _REQUEST_ID.search(request)
        request_id = sent[1] if sent else b"j9ut5nsyjzbr00eeacek6"
        tasks = self._tasks
        end, times = tasks.look(task_id)
        body = dialect.answer(task_id, request_id, end=end, times=times)
        return _HEAD % (request_id, len(body), tasks.date()) + body


@contextlib.contextmanager
def answering(*, polls_to_end: int = 0, ending: int = 100) -> Iterator[str]:
    """Start the server, and give its address. It is gone when the block is left.

    Args:
        polls_to_end: After so many polls a task has succeeded; the next poll begins its life
            anew. 0: tasks run for ever.
        ending: So many of a hundred tasks end at all: those whose id, modulo 100, is less.
    """
    with started("server", "--polls-to-end", polls_to_end, "--ending", ending) as base_url:
        yield base_url


@contextlib.contextmanager
def started(module: str, *arguments: object) -> Iterator[str]:
    """Run a module that serves, and give its address. It ends with the block."""
    child = Child(module, *arguments)
    try:
        port = child.line()
        if not port:
            raise RuntimeError(f"benchmarks.{module} did not start")
        yield f"http://127.0.0.1:{port}"
    finally:
        child.close()


def task_id(number: int) -> str:
    """Return the id of the n-th task."""
    return f"66{number:022x}"


async def serve(tasks: Tasks) -> None:
    """Answer, on a free port that is printed, until standard input is closed."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Answering(tasks), "127.0.0.1", 0, backlog=4096)
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
    parser.add_argument("--ending", type=int, default=100)
    options = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(Tasks(options.polls_to_end, options.ending)))
