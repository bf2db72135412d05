#!/usr/bin/env bash
# hishel fetches a new answer when told to, keeps it, and gives the old one to whoever asks next.
#
# Promised: with `rfc=True` the client follows RFC 9111. Its section 4: of several stored responses
#   the most recent one is to be used. RFC 9110, 6.6.1: a response without Date gets the time at
#   which it came.
# Seen: a request with `Cache-Control: no-cache` is sent on, and its answer is stored beside the
#   first. Both are then candidates, sorted by their Date in whole seconds, the older first among
#   equals: within one second of the first answer a refresh is undone by the next plain request, for
#   all of max-age. Without a Date both count as of now, at every look, so there it is undone
#   always; and such an answer never gets older either.
# Costs: a poller that asks again with no-cache sees its task end, and all others that share the
#   cache see it running, for as long as the first answer is fresh.
# Known: that an answer without Date never ages, in msqd/harp#963, which uses hishel; the refresh
#   that is undone was not found.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --no-compile --disable-pip-version-check \
    'hishel[httpx]==2.0.0' httpx==0.28.1
cat >"$place/run.py" <<'EOF'
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path

from hishel import SqliteStorage
from hishel.httpx import CacheClient

answers = 0


class Service(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        global answers
        answers += 1
        body = (b"running", b"ended")[answers - 1]
        self.send_response_only(200)
        if self.path == "/dated":
            self.send_header("Date", self.date_time_string())
        self.send_header("Cache-Control", "max-age=60")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
threading.Thread(target=server.serve_forever, daemon=True).start()
host = f"http://127.0.0.1:{server.server_port}"
place = Path(sys.argv[1])
for name in ("hishel", "httpx"):
    print(name, version(name))


def states(path, pause):
    global answers
    answers = 0
    storage = SqliteStorage(database_path=place / f"{path}-{pause}.db")
    with CacheClient(storage=storage, rfc=True) as client:
        client.get(f"{host}/warm-up", headers={"Cache-Control": "no-store"})
        answers = 0
        time.sleep(1 - time.time() % 1)  # what follows is of one second
        first = client.get(f"{host}/{path}")
        time.sleep(pause)
        forced = client.get(f"{host}/{path}", headers={"Cache-Control": "no-cache"})
        plain = client.get(f"{host}/{path}")
    return [first.text, forced.text, plain.text]


print("expected: ['running', 'ended', 'ended'] at first, with no-cache, and then plainly")
seen = {
    "within a second": states("dated", 0),
    "after a second": states("dated", 1.2),
    "without Date": states("undated", 1.2),
}
for case, texts in seen.items():
    print(f"seen {case}: {texts}")
undone, kept = ["running", "ended", "running"], ["running", "ended", "ended"]
if list(seen.values()) != [undone, kept, undone]:
    sys.exit("the behaviour has changed")
EOF
"$place/venv/bin/python" "$place/run.py" "$place"
