#!/usr/bin/env bash
# runwayml's blocking wait polls a cancelled task until its timeout; the async one sees the end at once.
#
# Promised: the docstring of `wait_for_task_output`, of both clients: if the task fails or is
#   cancelled, it raises TaskFailedError.
# Seen: the blocking client looks for FAILED alone. It goes on asking for a task that says CANCELLED
#   and raises TaskTimeoutError in the end; without a timeout it never returns.
# Costs: ten minutes of a thread and about a hundred requests, by default, for a task that somebody
#   cancelled; then the wrong error, which reads as if the task were still worth waiting for.
# Known: no report was found.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --no-compile --disable-pip-version-check runwayml==5.24.0 httpx==0.28.1
"$place/venv/bin/python" - <<'EOF'
import asyncio
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version

import runwayml.lib.polling
from runwayml import AsyncRunwayML, RunwayML

TASK = {"id": "00000001-0000-4000-8000-000000000000", "createdAt": "2026-01-01T00:00:00Z"}
REQUEST = {
    "model": "gen4_turbo", "prompt_image": "https://example.com/picture.png",
    "ratio": "1280:720", "duration": 5,
}
polls = 0


class Service(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, body):
        body = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer({"id": TASK["id"]})

    def do_GET(self):
        global polls
        polls += 1
        self.answer(TASK | {"status": "CANCELLED"})

    def log_message(self, *_):
        pass


def told(error):
    return f"{type(error).__name__} ({error.task_details.status}) after {polls} polls"


server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
threading.Thread(target=server.serve_forever, daemon=True).start()
where = {"api_key": "none", "base_url": f"http://127.0.0.1:{server.server_port}"}
print("runwayml", version("runwayml"))
runwayml.lib.polling.POLL_TIME, runwayml.lib.polling.POLL_JITTER = 0.2, 0  # else six seconds each

task = RunwayML(**where).image_to_video.create(**REQUEST)
try:
    task.wait_for_task_output(timeout=3)
except Exception as error:
    blocking = told(error)


async def wait():
    async with AsyncRunwayML(**where) as client:
        task = await client.image_to_video.create(**REQUEST)
        try:
            await task.wait_for_task_output(timeout=3)
        except Exception as error:
            return told(error)


polls = 0
awaited = asyncio.run(wait())
print("expected: TaskFailedError (CANCELLED) after 1 polls, from both")
print("seen:    ", blocking, "from RunwayML;", awaited, "from AsyncRunwayML")
if not blocking.startswith("TaskTimeoutError (CANCELLED)") or not awaited.startswith("TaskFailed"):
    sys.exit("the behaviour has changed")
EOF
