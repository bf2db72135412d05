#!/usr/bin/env bash
# Behind granian, Starlette's FileResponse deletes a film before it is sent, and answers 404.
#
# Promised: Starlette, "Background Tasks": "A background task should be attached to a response, and will run only once
#   the response has been sent." It is how a file that was made for one answer is taken away again.
# Seen: granian offers `http.response.pathsend`, an ASGI extension by which an application names a file and the server
#   sends it; FileResponse uses it wherever it is there. With granian the application goes on as soon as the path is
#   handed over, and the file is opened after that: often it is gone by then, and the answer is a 404 with nine bytes
#   of text. With uvicorn, which has no such extension, each film comes whole.
# Costs: the film was paid for, is not sent, and is deleted. A change of the server is all it takes.
# Known: emmett-framework/granian#670, closed as a limit of the extension.
set -euo pipefail
place=$(mktemp -d)
finish() {
    if [ -f "$place/pid" ]; then kill -TERM "$(cat "$place/pid")" 2>/dev/null || true; fi
    rm -rf "$place"
}
trap finish EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --no-compile --disable-pip-version-check \
    granian==2.8.9 uvicorn==0.54.0 starlette==1.10.0 httpx==0.28.1
cat >"$place/app.py" <<'EOF'
import os
import tempfile

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.responses import FileResponse
from starlette.routing import Route


async def removed(path):
    os.unlink(path)


async def film(request):
    """Make a film, and take it away again once it has been sent."""
    with tempfile.NamedTemporaryFile(dir="films", suffix=".mp4", delete=False) as file:
        file.write(bytes(5_000_000))
    return FileResponse(file.name, background=BackgroundTask(removed, file.name))


app = Starlette(routes=[Route("/film", film)])
EOF
cat >"$place/run.py" <<'EOF'
import socket
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import httpx

place = Path(sys.argv[1])
(place / "films").mkdir()
FILMS = 40


def fetched(*command):
    """Return the statuses and the sizes of some films that a server sends, one after another."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    with (place / "log").open("w") as log:
        server = subprocess.Popen([*command, "--port", str(port)], cwd=place, stdout=log, stderr=log)
    (place / "pid").write_text(str(server.pid))
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as client:
            for _ in range(200):
                with suppress(httpx.TransportError):
                    client.get("/")
                    break
                time.sleep(0.1)
            answers = [client.get("/film") for _ in range(FILMS)]
    finally:
        server.terminate()
        server.wait()
        (place / "pid").unlink()
    return dict(Counter((answer.status_code, len(answer.content)) for answer in answers))


for name in ("granian", "uvicorn", "starlette"):
    print(name, version(name))
bin = place / "venv/bin"
uvicorn = fetched(bin / "uvicorn", "app:app")
granian = fetched(bin / "granian", "--interface", "asgi", "app:app")
left = list((place / "films").iterdir())
print(f"expected: {FILMS} films with status 200 and 5000000 bytes")
print("seen with uvicorn, by status and size:", uvicorn)
print("seen with granian, by status and size:", granian)
print("films that are left:", len(left))
if uvicorn != {(200, 5_000_000): FILMS} or granian.get((404, 9), 0) < FILMS // 10 or left:
    sys.exit("the behaviour has changed")
EOF
"$place/venv/bin/python" "$place/run.py" "$place"
