#!/usr/bin/env bash
# runwayml submits one task twice, for one call, in the second asyncio.run of a program.
#
# Promised: the package's README: connection errors, 408, 409, 429 and 5xx are tried again, twice.
#   RFC 9110, 9.2.2: a POST is not to be sent again unless the client knows that the first was not
#   applied. asyncio, for its part, says of a closed loop that it must not be used any more.
# Seen: the connection in the client's pool belongs to the first, closed loop. A transport of asyncio
#   writes to its socket at once, without asking its loop, so the whole POST leaves; only waiting for
#   the answer fails ("Event loop is closed"). The client takes that for a connection that never
#   was, sends the POST again over a new one, and hands out the second task. Plain httpx shows the
#   first half of it: the call raises, and the server has the request.
# Costs: two videos made and paid for, of which one is never heard of, and no error or log line.
#   Scripts, notebooks, Celery and Flask run one asyncio.run after another over a global client.
# Known: that httpx raises there is (encode/httpx#2473); that the request arrives all the same, and
#   so is doubled, was not found anywhere.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --no-compile --disable-pip-version-check \
    runwayml==5.24.0 httpx==0.28.1 httpcore==1.0.9 anyio==4.16.0
"$place/venv/bin/python" - <<'EOF'
import asyncio
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version

import httpx
from runwayml import AsyncRunwayML

submitted = []


class Service(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        submitted.append(f"{len(submitted) + 1:08d}-0000-4000-8000-000000000000")
        body = json.dumps({"id": submitted[-1]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
threading.Thread(target=server.serve_forever, daemon=True).start()
host = f"http://127.0.0.1:{server.server_port}"
for name in ("runwayml", "httpx", "httpcore", "anyio"):
    print(name, version(name))
print("python", sys.version.split()[0])

client = AsyncRunwayML(api_key="none", base_url=host)


async def submit():
    task = await client.image_to_video.create(
        model="gen4_turbo", prompt_image="https://example.com/picture.png",
        ratio="1280:720", duration=5,
    )
    return task.id


first, second = asyncio.run(submit()), asyncio.run(submit())
by_runwayml = len(submitted)
print("expected: 2 calls, 2 tasks (or an error in the second)")
print(f"seen:     2 calls, {by_runwayml} tasks; handed out:", first[:8], second[:8])

submitted.clear()
plain = httpx.AsyncClient()


async def post():
    try:
        return (await plain.post(host, json={})).status_code
    except RuntimeError as error:
        return str(error)


answers = [asyncio.run(post()), asyncio.run(post())]
print("plain httpx:", answers, f"and the server has {len(submitted)} requests")
if (by_runwayml, answers, len(submitted)) != (3, [200, "Event loop is closed"], 2):
    sys.exit("the behaviour has changed")
EOF
