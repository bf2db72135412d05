#!/usr/bin/env bash
# magic-hour saves each film over the one before, and the program stands still while its async client waits.
#
# Promised: the README of the SDK: `generate` can "Download files automatically", and one gets "downloaded file paths".
#   A docstring: the async client is to "integrate with async frameworks like FastAPI or aiohttp".
# Seen: the name is the last part of the URL, which in the SDK's own documentation of the service is
#   https://videos.magichour.ai/id/output.mp4: of two films of one folder the first is gone, both answers name the
#   same path, and nothing is said. Between two polls the async client calls `time.sleep`: nothing else of the program
#   runs for half a second each time, and with more films at once, for one sleep after another. A film that failed is
#   returned like one that was made, with `status` "error" and no paths.
# Costs: all films but the last, after they were paid for, and whose links expire; and whoever else is served by the
#   same process, for as long as a film takes.
# Known: not found.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --no-compile --disable-pip-version-check magic-hour==0.90.0 httpx==0.28.1
"$place/venv/bin/python" - "$place" <<'EOF'
import asyncio
import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path

from magic_hour import AsyncClient

place = Path(sys.argv[1])
POLLS = 4


class Service(BaseHTTPRequestHandler):
    """A service that answers as the SDK's README has it, and has made a film after some polls."""

    films = {}

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        film = f"film-{len(self.films) + 1}"
        self.films[film] = 0
        self.answer(json.dumps({"id": film, "credits_charged": 450, "estimated_frame_cost": 450}).encode())

    def do_GET(self):
        *_, film, last = self.path.split("/")
        if last == "output.mp4":
            return self.answer(film.encode())
        self.films[last] += 1
        made = self.films[last] > POLLS
        status = "rendering" if not made else "error" if last == "film-3" else "complete"
        link = {"expires_at": "2026-12-02T05:16:19.027Z", "url": f"{url}/{last}/output.mp4"}
        self.answer(json.dumps({
            "created_at": "2026-12-01T00:00:00Z", "credits_charged": 450, "downloads": [link] * (status == "complete"),
            "download": None, "enabled": True, "end_seconds": 5.0, "fps": 30.0, "height": 960, "id": last,
            "error": {"code": "unknown_error", "message": "Please try again"} if status == "error" else None,
            "name": "A film", "start_seconds": 0.0, "status": status, "total_frame_cost": 123,
            "type": "TEXT_TO_VIDEO", "width": 512,
        }).encode())

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


async def ticks(gaps):
    """Keep how late each turn of a task is that wants to run every 10 ms."""
    while True:
        begun = time.monotonic()
        await asyncio.sleep(0.01)
        gaps.append(time.monotonic() - begun)


async def main():
    client = AsyncClient(token="key", base_url=url)
    gaps = []
    ticking = asyncio.create_task(ticks(gaps))

    def generated():
        return client.v1.text_to_video.generate(
            end_seconds=5.0, style={"prompt": "a dog running"}, download_directory=str(place)
        )

    first, second = await asyncio.gather(generated(), generated())
    third = await generated()
    ticking.cancel()
    return first.downloaded_paths + second.downloaded_paths, third.status, third.downloaded_paths, gaps


server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}"
print("magic-hour", version("magic-hour"))
paths, status, none, gaps = asyncio.run(main())
server.shutdown()
files = {path.name: path.read_text() for path in place.glob("*.mp4")}
still = sum(gap for gap in gaps if gap > 0.4)
print("expected: two files, an error for the third film, and nothing that stands still")
print("seen of the paths:", *(Path(path).name for path in paths), "and of the files:", files)
print(f"seen of the film that failed: no error, status {status}, paths {none}")
print(f"seen of another task: it stood still for {still:.1f} of {sum(gaps):.1f} s")
if len(set(paths)) != 1 or len(paths) != 2 or len(files) != 1:
    sys.exit("the behaviour has changed")
if status != "error" or none or still < sum(gaps) / 2:
    sys.exit("the behaviour has changed")
EOF
