#!/usr/bin/env bash
# runpod's output(), which is to block until a job is complete, says None at once, and its asyncio twin "Job timed out".
#
# Promised: the README: "Get the output of the endpoint run request, blocking until the endpoint run is complete", with
#   `run_request.output()`. The docstring of the asyncio Job: "Waits for serverless API job to complete or fail".
#   Both have timeout=0; of `stream` it is said that it yields the output of the job.
# Seen: of a job that runs, the blocking one makes one request and returns None, as it does of one that failed. The
#   asyncio one gives its wait 0 seconds, and raises TimeoutError before the job was asked for.
#   With a timeout both wait. `stream` knows three of the four ends that `status` knows: of a
#   job that was cancelled it asks once a second, in both clients, for ever.
# Costs: the paid film runs on while the program has dealt with None or an error; whoever retries pays twice. A reader
#   of the stream of a cancelled job never comes back.
# Known: not found.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --no-compile --disable-pip-version-check runpod==1.12.0 aiohttp==3.14.5
HOME=$place "$place/venv/bin/python" - <<'EOF'
import asyncio
import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version

import aiohttp
import runpod

SECONDS = 3
asked = []
begun = {}


class Service(BaseHTTPRequestHandler):
    """A service whose jobs run for some seconds and then have an output; jobs on "cancelled" are cancelled."""

    protocol_version = "HTTP/1.1"

    def answer(self, **fields):
        body = json.dumps(fields).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        name = f"job-{len(begun)}"
        begun[name] = time.monotonic()
        self.answer(id=name, status="IN_QUEUE")

    def do_GET(self):
        _, endpoint, source, job = self.path.split("/")
        asked.append(source)
        if endpoint == "cancelled":
            self.answer(id=job, status="CANCELLED", stream=[])
        elif time.monotonic() - begun[job] < SECONDS:
            self.answer(id=job, status="IN_PROGRESS")
        else:
            self.answer(id=job, status="COMPLETED", output="film.mp4")

    def log_message(self, *_):
        pass


def blocking(**timeout):
    return runpod.Endpoint("film").run({"prompt": "a cat"}).output(**timeout)


async def with_asyncio(**timeout):
    async with aiohttp.ClientSession() as session:
        job = await runpod.AsyncioEndpoint("film", session).run({"prompt": "a cat"})
        return await job.output(**timeout)


async def cancelled():
    """Return the status of a cancelled job, unless its stream has to be left after six seconds."""
    async with aiohttp.ClientSession() as session:
        job = await runpod.AsyncioEndpoint("cancelled", session).run({"prompt": "a cat"})
        status = await job.status()
        async with asyncio.timeout(6):
            async for _ in job.stream():
                pass
        return status


def outcome(call):
    """Return what came of a call, and how many requests for a job it made."""
    asked.clear()
    try:
        result = call()
    except TimeoutError:
        result = "TimeoutError"
    return result, len(asked)


server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
threading.Thread(target=server.serve_forever, daemon=True).start()
runpod.api_key = "key"
runpod.endpoint_url_base = f"http://127.0.0.1:{server.server_port}"
for name in ("runpod", "aiohttp"):
    print(name, version(name))
print("expected: film.mp4 from all four, after some requests, and the end of the stream after one")
calls = {
    "output() of the blocking client": blocking,
    "output(timeout=9) of the same": lambda: blocking(timeout=9),
    "output() of the asyncio client": lambda: asyncio.run(with_asyncio()),
    "output(timeout=9) of that one": lambda: asyncio.run(with_asyncio(timeout=9)),
    "the stream of a cancelled job": lambda: asyncio.run(cancelled()),
}
seen = {name: outcome(call) for name, call in calls.items()}
for name, (result, requests) in seen.items():
    print(f"seen of {name}: {result} after {requests} requests")
now, waited, at_once, waited_too, stream = seen.values()
well = all(result == "film.mp4" and requests > 2 for result, requests in (waited, waited_too))
if now != (None, 1) or at_once[0] != "TimeoutError" or at_once[1] > 1 or not well:
    sys.exit("the behaviour has changed")
if stream[0] != "TimeoutError" or stream[1] < 5:
    sys.exit("the behaviour has changed")
EOF
