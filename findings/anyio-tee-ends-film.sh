#!/usr/bin/env bash
# With anyio's tee, one reader who gives up ends the film for all others, and they take it for the end.
#
# Promised: anyio.itertools is the asynchronous side of itertools, whose tee returns "n independent iterators from a
#   single iterable". httpx raises where a download breaks off.
# Seen: whoever is first at the source waits in it. When that one is cancelled, by a timeout or move_on_after,
#   the cancellation goes through the source: an async generator, as httpx's aiter_bytes, is over then, and its response
#   closed. The next reader asks the finished generator, hears that there is nothing more, and tee hands that on
#   as the end, to all. With asyncio and with trio it is the same. If the one who is behind gives up, all is well.
# Costs: a film is kept and hashed at once; the hash is given up after some seconds, and the file is a part of the film,
#   written to its end, closed and renamed, with no error.
# Known: not found. Of overlapping readers, in maxfischer2781/asyncstdlib#86, and anyio has a lock for that.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --no-compile --disable-pip-version-check anyio==4.16.0 httpx==0.28.1 trio==0.35.0
"$place/venv/bin/python" - <<'EOF'
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version

import anyio
import httpx
from anyio.itertools import tee

PARTS, PART = 10, bytes(1000)


class Store(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(PARTS * len(PART)))
        self.end_headers()
        try:
            for _ in range(PARTS):
                time.sleep(0.1)
                self.wfile.write(PART)
        except OSError:
            pass  # the reader has gone

    def log_message(self, *_):
        pass


async def kept(patience, slowness=0):
    """Return the size of the film that is written while another reader has so many seconds."""
    film = bytearray()

    async def hashed(parts):
        with anyio.move_on_after(patience):
            async for _ in parts:
                await anyio.sleep(slowness)

    async def written(parts):
        async for part in parts:
            await anyio.sleep(0.02)  # a disk
            film.extend(part)

    async with httpx.AsyncClient(trust_env=False) as client, client.stream("GET", url) as response:
        one, other = tee(response.aiter_bytes())
        async with anyio.create_task_group() as group:
            group.start_soon(hashed, one)
            group.start_soon(written, other)
        return len(film), int(response.headers["Content-Length"])


server = ThreadingHTTPServer(("127.0.0.1", 0), Store)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}/film"
for name in ("anyio", "httpx", "trio"):
    print(name, version(name))
print(f"expected: {PARTS * len(PART)} bytes, or an error")
whole = anyio.run(kept, 60)
behind = anyio.run(kept, 0.45, 1)
print("seen when both read to the end:           ", *whole)
print("seen when the other is behind, cancelled: ", *behind)
cut = {backend: anyio.run(kept, 0.45, backend=backend) for backend in ("asyncio", "trio")}
for backend, sizes in cut.items():
    print(f"seen when it is ahead, cancelled ({backend}):", *sizes)
server.shutdown()
if whole != behind or whole[0] != whole[1] or not all(0 < size < length for size, length in cut.values()):
    sys.exit("the behaviour has changed")
EOF
