#!/usr/bin/env bash
# A few videos awaited with huggingface_hub, and no other part of the program can look up a host name.
#
# Promised: "Run Inference on servers", "Async client": AsyncInferenceClient is asyncio's version of the
#   client, whose calls are awaited, and can run at once. asyncio, for its part: a task that is cancelled ends.
# Seen: submitting is asynchronous; the wait that follows, minutes for a video, is the blocking client's
#   loop of time.sleep and requests in a thread of asyncio's default executor. That has processors + 4
#   threads, six on a small server, and getaddrinfo waits for one of them too: with as many videos on
#   their way, every new connection by name of aiohttp, asyncpg and the rest stands still. Cancelling
#   the wait, or its timeout, frees nothing: the thread polls on to the end of the task.
# Costs: the whole program's network, for as long as the slowest of six videos takes, with time-outs that
#   blame the other hosts; and asyncio.run, at its end, waits for tasks that were given up long ago.
# Known: the loop that was blocked itself, in huggingface/huggingface_hub#2672, which led to the threads;
#   of these no report was found.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --no-compile --disable-pip-version-check \
    huggingface_hub==2.4.0 httpx2==2.16.2
"$place/venv/bin/python" - <<'EOF'
import asyncio
import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version

from huggingface_hub import AsyncInferenceClient
from huggingface_hub.hf_api import InferenceProviderMapping
from huggingface_hub.inference._providers import PROVIDERS
from huggingface_hub.inference._providers._common import HARDCODED_MODEL_INFERENCE_MAPPING

THREADS = min(32, (os.cpu_count() or 1) + 4)
MODEL = "owner/model"
polls, status = 0, "IN_PROGRESS"


class Service(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        global polls
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        polls += self.path.endswith("/status")
        link = f"{host}/fal-ai/video/requests/task"
        body = json.dumps({"request_id": "task", "status": status, "response_url": link}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = answer

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
threading.Thread(target=server.serve_forever, daemon=True).start()
host = f"http://127.0.0.1:{server.server_port}"
PROVIDERS["fal-ai"]["text-to-video"].base_url = host  # in place of fal's own, and of asking for it
HARDCODED_MODEL_INFERENCE_MAPPING["fal-ai"][MODEL] = InferenceProviderMapping(
    provider="fal-ai", hf_model_id=MODEL, providerId="fal-ai/video", status="live",
    task="text-to-video",
)


async def looked_up():
    """Tell whether localhost is found within three seconds."""
    try:
        async with asyncio.timeout(3):
            await asyncio.get_running_loop().getaddrinfo("localhost", 80)
    except TimeoutError:
        return False
    return True


async def main():
    global status
    client = AsyncInferenceClient(provider="fal-ai", api_key="none")
    before = await looked_up()
    waits = [
        asyncio.create_task(client.text_to_video("a cat", model=MODEL)) for _ in range(THREADS)
    ]
    while polls < THREADS:
        await asyncio.sleep(0.1)
    during = await looked_up()
    for wait in waits:
        wait.cancel()
    await asyncio.wait(waits)
    given_up = polls
    after = await looked_up()
    polled_on = polls - given_up
    status = "COMPLETED"  # now the threads end
    return before, during, after, all(wait.cancelled() for wait in waits), polled_on


print("huggingface_hub", version("huggingface_hub"), "python", sys.version.split()[0])
before, during, after, cancelled, polled_on = asyncio.run(main())
found = {True: "found", False: "not within 3 s"}
print("expected of localhost: found, found, found; polls after all waits are cancelled: 0")
print(f"seen before, while {THREADS} videos are awaited, and after they are given up:",
      f"{found[before]}, {found[during]}, {found[after]}; polls: {polled_on}")
if (before, during, after, cancelled) != (True, False, False, True) or polled_on < THREADS:
    sys.exit("the behaviour has changed")
EOF
