#!/usr/bin/env bash
# While dashscope's async client uploads a picture for a video, nothing else of the program runs.
#
# Promised: AioVideoSynthesis is the asynchronous version of VideoSynthesis: `call` and `async_call` are
#   coroutines; a local file is given as file://, and uploaded. asyncio, "Developing with asyncio": blocking
#   code is not to be called directly, or all concurrent tasks and I/O are delayed.
# Seen: the file goes to the store in threads, by `requests`, with a limit of 3,600 seconds; but the coroutine
#   waits for them with concurrent.futures, on the event loop itself. From its first step to the end of the
#   upload no other task gets a turn, no timer fires and no connection is read. The submit and the polls
#   after it are asynchronous indeed, so with an address in place of a file it does not show.
# Costs: a bot or a web server that animates one user's picture over a slow line is deaf for all others,
#   health checks included; asyncio.timeout around the call does not end it, because its timer is one of
#   those that do not fire.
# Known: not found.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --no-compile --disable-pip-version-check \
    dashscope==2.0.2 aiohttp==3.14.5
"$place/venv/bin/python" - "$place" <<'EOF'
import asyncio
import json
import logging
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path

import dashscope
from dashscope.aigc.video_synthesis import AioVideoSynthesis

UPLOAD_SECONDS = 2.0
picture = Path(sys.argv[1]) / "cat.png"
picture.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(1000))


class Service(BaseHTTPRequestHandler):
    """The service and its store, which takes two seconds for a file."""

    def log_message(self, *_):
        pass

    def say(self, answer):
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if "/uploads" in self.path:
            names = "oss_access_key_id signature policy upload_dir x_oss_object_acl x_oss_forbid_overwrite"
            certificate = dict.fromkeys(names.split(), "x")
            self.say({"data": {**certificate, "upload_host": f"{host}/store"}})
        else:
            self.say({"output": {"task_id": "1", "task_status": "SUCCEEDED", "video_url": "x"}})

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/store":
            time.sleep(UPLOAD_SECONDS)
        self.say({"output": {"task_id": "1", "task_status": "PENDING"}})


async def still(image):
    """Return for how long the loop ran nothing during a call, and when a timeout of 0.5 s ended it."""
    longest, last = 0.0, time.monotonic()

    async def tick():
        nonlocal longest, last
        while True:
            await asyncio.sleep(0.01)
            now = time.monotonic()
            longest, last = max(longest, now - last), now

    ticking = asyncio.create_task(tick())
    await asyncio.sleep(0.05)
    began = time.monotonic()
    try:
        async with asyncio.timeout(0.5):
            await AioVideoSynthesis.call(
                model="wan2.2-i2v-plus", prompt="it runs", img_url=image, api_key="none"
            )
    except TimeoutError:
        pass
    seconds = time.monotonic() - began
    await asyncio.sleep(0.05)
    ticking.cancel()
    return longest, seconds


server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
threading.Thread(target=server.serve_forever, daemon=True).start()
host = f"http://127.0.0.1:{server.server_port}"
dashscope.base_http_api_url = f"{host}/api/v1"
logging.disable()  # a line for each unclosed session of dashscope
for name in ("dashscope", "aiohttp"):
    print(name, version(name))
by_address = asyncio.run(still(f"{host}/cat.png"))
by_file = asyncio.run(still(picture.as_uri()))
print("expected with a timeout of 0.5 s: over within 0.5 s, and the loop runs")
for what, (longest, seconds) in (("an address", by_address), ("a file", by_file)):
    print(f"seen with {what}: over after {seconds:.1f} s; the loop stood still for {longest:.1f} s")
if not (by_address[0] < 1 and UPLOAD_SECONDS <= by_file[0] <= by_file[1] + 1):
    sys.exit("the behaviour has changed")
EOF
