#!/usr/bin/env bash
# With volcengine, the films of all customers are made and paid with the keys of the client that was made last.
#
# Promised: the README: "Set AK/SK on the client (recommended)", by set_ak and set_sk of a service that was made.
#   That there can be only one of it in a program is not said.
# Seen: `VisualService()` returns the one object there is, and makes it anew: its keys, its host and its timeouts
#   are gone for everybody who holds it, and then become those of whoever came last. A film of customer A
#   is signed with the key of B, without an error. The services for VOD, SMS, live streams,
#   content security and twenty others are made in the same way.
# Costs: one customer pays for the films of another, who looks for them in his account in vain. A web server
#   that makes a client for each request signs with the key of whichever request came in between.
# Known: no report was found.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --no-compile --disable-pip-version-check volcengine==1.0.229
HOME="$place" "$place/venv/bin/python" - <<'EOF'
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version

from volcengine.visual.VisualService import VisualService

paid = []


class Service(BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        key = self.headers["Authorization"].partition("Credential=")[2].partition("/")[0]
        paid.append((asked["prompt"], key))
        body = json.dumps({"code": 10000, "data": {"task_id": str(len(paid))}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
threading.Thread(target=server.serve_forever, daemon=True).start()


def client(key):
    made = VisualService()
    made.set_ak(key)
    made.set_sk(f"the secret of {key}")
    made.set_scheme("http")
    made.set_host(f"127.0.0.1:{server.server_port}")
    return made


def film(client, prompt):
    client.cv_sync2async_submit_task({"req_key": "jimeng_t2v_v30", "prompt": prompt})


print("volcengine", version("volcengine"))
first = client("A")
film(first, "a cat for A")
second = client("B")
film(second, "a dog for B")
film(first, "a cow for A")
expected = [("a cat for A", "A"), ("a dog for B", "B"), ("a cow for A", "A")]
for (prompt, key), (_, payer) in zip(expected, paid, strict=True):
    print(f"{prompt}: expected to be paid by {key}, seen {payer}")
print("expected of A's client: two clients, and its key; seen:", end=" ")
VisualService()
left = first.service_info.credentials.ak
print("one client" if first is second else "two clients", "and, once a third was made, the key", repr(left))
if paid != [*expected[:2], ("a cow for A", "B")] or first is not second or left:
    sys.exit("the behaviour has changed")
EOF
