#!/usr/bin/env bash
# replicate obeys a Retry-After with a date only if the date is in a form that HTTP does not have.
#
# Promised: RFC 9110, 10.2.3: Retry-After is a number of seconds or an HTTP-date, and says how long
#   to wait before the next request. The client means to read both: its code for the header has a
#   branch for each.
# Seen: the second branch reads ISO 8601, which no server may send here. An HTTP-date is dropped in
#   silence, and the next request comes after 0.1 s, then 0.2 s and so on, ten in all.
# Costs: a service or gateway that asks its clients by date to stay away for a minute gets ten
#   requests of every waiting task instead, and the waits that use theirs up end in an error.
# Known: the same slip in other clients (hashgraph-online/hol-guard#1103); of replicate not found.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --no-compile --disable-pip-version-check \
    replicate==1.0.7 httpx==0.28.1
"$place/venv/bin/python" - <<'EOF'
import asyncio
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version

import replicate

came, wanted = [], ""


class Service(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        came.append(time.monotonic())
        body = b'{"type": "organization", "username": "name", "name": "Name"}'
        self.send_response(429 if len(came) == 1 else 200)
        if len(came) == 1:
            self.send_header("Retry-After", wanted)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
threading.Thread(target=server.serve_forever, daemon=True).start()
host = f"http://127.0.0.1:{server.server_port}"


async def pause(value):
    """Return the seconds between the 429 and the next request."""
    global wanted
    came.clear()
    wanted = value
    client = replicate.Client(api_token="none", base_url=host)
    await client.accounts.async_current()
    return came[1] - came[0]


def soon():
    return datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=5)


print("replicate", version("replicate"), "httpx", version("httpx"))
print("expected: 4 to 5 s")
cases = {
    "seconds": lambda: "4",
    "an HTTP-date": lambda: format_datetime(soon(), usegmt=True),
    "an ISO date": lambda: soon().isoformat(),
}
seen = {}
for name, value in cases.items():
    seen[name] = asyncio.run(pause(value()))
    print(f"seen with {name} ({wanted}): {seen[name]:.1f} s")
if not (min(seen["seconds"], seen["an ISO date"]) > 3.5 and seen["an HTTP-date"] < 2):
    sys.exit("the behaviour has changed")
EOF
