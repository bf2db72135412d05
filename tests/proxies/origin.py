"""A service as a proxy sees it: as much of Express as the tests need, in threads of its own.

It says nothing of caching, makes weak tags of its bodies, answers 304 to `If-None-Match` save
where the request says `Cache-Control: no-cache`, and echoes request ids.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aitoearn_async import ImageRef

_PADDING = "x" * 2000
"""Makes an answer worth compressing."""


@dataclass(frozen=True)
class Seen:
    """One request that came as far as this."""

    method: str
    path: str
    status: int


class Origin(ThreadingHTTPServer):
    """The service behind a proxy. A test changes what it says while it runs."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.tasks: dict[str, str] = {}
        self.videos: list[str] = []
        self.seen: list[Seen] = []
        self.strong_tags = False
        self.released = threading.Event()
        self._numbers = 0
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return self.server_port

    def new_task(self, status: str = "generating") -> ImageRef:
        """Make a task that no cache knows."""
        self._numbers += 1
        id = f"{time.time_ns():018x}{self._numbers:06x}"[-24:]
        self.tasks[id] = status
        return ImageRef(id)

    def of(self, ref: ImageRef) -> list[Seen]:
        """Return the requests for a task, oldest first."""
        return [seen for seen in list(self.seen) if ref.id in seen.path]

    def close(self) -> None:
        """Stop it."""
        self.released.set()
        self.shutdown()
        self._thread.join()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of connections that proxies reset."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Origin

    def log_message(self, format: str, *args: Any) -> None:
        """Write no log."""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path.startswith("/slow/"):
            self.server.released.wait()
            self.close_connection = True
        elif path.startswith("/dead/"):
            self.close_connection = True
        elif path == "/api/ai/video/generations":
            rows = [{"id": id, "status": "InProgress"} for id in self.server.videos]
            self._answer({"list": rows, "total": len(rows)})
        elif (status := self.server.tasks.get(path.rpartition("/")[2])) is not None:
            self._answer({"logId": path.rpartition("/")[2], "status": status, "note": _PADDING})
        else:
            self._answer({}, code=404, message="no such thing")

    def do_POST(self) -> None:
        """Take a submit and hang up: the receipt is lost."""
        length = int(self.headers["Content-Length"])
        if len(self.rfile.read(length)) == length:
            self.server.videos.insert(0, self.server.new_task().id)
        self.close_connection = True

    def _answer(self, data: object, code: int = 0, message: str = "ok") -> None:
        id = self.headers.get("X-Request-Id")
        whole = {"data": data, "code": code, "message": message, "requestId": id}
        body = json.dumps(whole).encode()
        tag = f'"{hashlib.sha256(body).hexdigest()[:20]}"'
        etag = tag if self.server.strong_tags else f"W/{tag}"
        asked = self.headers.get("If-None-Match", "")
        is_same = tag in asked and "no-cache" not in self.headers.get("Cache-Control", "")
        self._note(304 if is_same else 200)
        self.send_response(304 if is_same else 200)
        self.send_header("ETag", etag)
        if not is_same:
            self.send_header("Content-Type", "application/json; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if not is_same:
            self.wfile.write(body)

    def _note(self, status: int) -> None:
        self.server.seen.append(Seen(self.command, self.path, status))
