#!/usr/bin/env bash
# fsspec raises when a download breaks off, and from then on hands out the part that came as the file.
#
# Promised: fsspec, "Caching Files Locally": a remote file is copied on first access, and used from there after that;
#   only simplecache "is guaranteed thread/process-safe".
# Seen: the file is downloaded to the very path of the copy. When the connection breaks, the first call raises as it
#   should, and the part stays where it is. Each later call finds it, asks the server nothing, and returns the part with
#   no error: with simplecache in every process that shares the folder, for ever; with filecache as long as the process
#   lives. With simplecache, whoever opens a film while another process downloads it gets what has come so far.
# Costs: the retry that every caller has around a download is what makes it a success: the half of a film that was paid
#   for is measured, published and archived, and the links to the whole one expire in the meantime.
# Known: not found.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --no-compile --disable-pip-version-check 'fsspec[http]==2026.9.0' aiohttp==3.14.5
cat >"$place/run.py" <<'EOF'
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path

import fsspec

place = Path(sys.argv[1])
FILM, PART = 20_000_000, 12_000_000


class Store(BaseHTTPRequestHandler):
    """A store that is slow, or whose connections break, after a part of the film."""

    breaks = False
    slow = False
    go = threading.Event()

    def do_HEAD(self):
        self.send_response(200)
        self.send_header("Content-Length", str(FILM))
        self.end_headers()

    def do_GET(self):
        with suppress(OSError):  # fsspec asks whether the film is there, and does not read it
            self.do_HEAD()
            self.wfile.write(bytes(PART))
            if self.slow:
                self.go.wait(60)
            if not self.breaks:
                self.wfile.write(bytes(FILM - PART))

    def log_message(self, *_):
        pass


def size(cache, url):
    """Return the size of a film that is read by way of a cache, or the error."""
    try:
        with fsspec.open(f"{cache}::{url}", **{cache: {"cache_storage": str(place / cache)}}) as file:
            return len(file.read())
    except Exception as error:
        return type(error).__name__


def elsewhere(cache, url):
    """Return the same in another process, which comes later."""
    command = [sys.executable, __file__, place, cache, url]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    return int(said) if said.isdigit() else said


def main():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Store)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    for name in ("fsspec", "aiohttp"):
        print(name, version(name))
    print(f"expected: {FILM} bytes, or an error")
    seen = {}
    for cache in ("simplecache", "filecache"):
        Store.breaks = True
        sizes = [size(cache, f"{url}/one.mp4")]
        Store.breaks = False
        sizes += [size(cache, f"{url}/one.mp4"), size(cache, f"{url}/one.mp4"), elsewhere(cache, f"{url}/one.mp4")]
        seen[cache] = *sizes, size(cache, f"{url}/another.mp4")
        print(f"seen with {cache}, when the connection breaks, two times after that, in another process, "
              "and of another film:", *seen[cache])
    Store.slow = True
    folder = place / "simplecache"
    known = set(folder.iterdir())
    with ThreadPoolExecutor() as threads:
        first = threads.submit(size, "simplecache", f"{url}/slow.mp4")
        while not any(path.stat().st_size for path in set(folder.iterdir()) - known):
            time.sleep(0.1)
        second = elsewhere("simplecache", f"{url}/slow.mp4")
        Store.go.set()
        print("seen with simplecache, while another process downloads:", second, "and by that one:", first.result())
        if first.result() != FILM or not 0 < second < FILM:
            sys.exit("the behaviour has changed")
    server.shutdown()
    broken = "ClientPayloadError"
    if seen["simplecache"] != (broken, PART, PART, PART, FILM):
        sys.exit("the behaviour has changed")
    if seen["filecache"] != (broken, PART, PART, FILM, FILM):
        sys.exit("the behaviour has changed")


if len(sys.argv) == 4:
    print(size(*sys.argv[2:]))
else:
    main()
EOF
"$place/venv/bin/python" "$place/run.py" "$place"
