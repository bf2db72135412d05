#!/usr/bin/env bash
# tripo3d, as it is installed, keeps "Moved" as the 3D model, and the half of a model as the model.
#
# Promised: `download_file` downloads a file, and `download_task_models` tells one "whose download failed". aiohttp is an
#   extra; without it there is "HTTP/1.1 over asyncio streams". RFC 9112, 8: a response of fewer bytes than
#   Content-Length says, or without its last chunk, is incomplete. RFC 9110, 15.4: a redirect is no file.
# Seen: without aiohttp everything until the end of the connection is the body, and whatever has a status below 400 is
#   saved: the text of a 302, which is not followed, and as much as had come of a model when the store hung up.
#   Nothing raises. With aiohttp in the same environment the redirect is followed, and a model that is cut
#   off raises TripoRequestError.
# Costs: a model.glb of some bytes or a half, taken for the one that was paid for, until its signed address has
#   expired; on the developer's machine, where some other package has brought aiohttp along, all is well.
# Known: not found.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
pip() { "$place/venv/bin/pip" install -qq --no-compile --disable-pip-version-check "$@"; }
cat >"$place/run.py" <<'EOF'
import asyncio
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tripo3d import TripoClient

place = Path(sys.argv[1])
MODEL = b"glTF" + bytes(100_000)
PATHS = ["whole", "moved", "cut", "cut-chunk"]


def answer(path):
    if path == "/moved":
        return b"HTTP/1.1 302 Found\r\nLocation: /whole\r\nContent-Length: 5\r\n\r\nMoved"
    length = b"Content-Length: %d\r\n\r\n" % len(MODEL)
    half = MODEL[: len(MODEL) // 2]
    chunk = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(MODEL)
    bodies = {"/whole": length + MODEL, "/cut": length + half, "/cut-chunk": chunk + half}
    return b"HTTP/1.1 200 OK\r\nContent-Type: model/gltf-binary\r\n" + bodies[path]


async def serve(reader, writer):
    request = await reader.readuntil(b"\r\n\r\n")
    writer.write(answer(request.split()[1].decode()))
    await writer.drain()
    writer.close()


async def outcome(client, url):
    """Return the bytes of what was saved, or what was raised."""
    file = place / "model.glb"
    try:
        await client.download_file(url, file)
    except Exception as error:
        return type(error).__name__
    return file.read_bytes()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1")
    base = "http://127.0.0.1:{}/".format(server.sockets[0].getsockname()[1])
    async with server, TripoClient(api_key="tsk_key") as client:
        return [await outcome(client, base + path) for path in PATHS]


try:
    print("with aiohttp", version("aiohttp"))
    error = "TripoRequestError"
    expected = [MODEL, MODEL, error, error]
except PackageNotFoundError:
    print("tripo3d", version("tripo3d"), "without aiohttp")
    half = MODEL[: len(MODEL) // 2]
    expected = [MODEL, b"Moved", half, half]
seen = asyncio.run(main())
for path, saved in zip(PATHS, seen):
    print(f"seen of {path}:", saved if len(saved) < 99 else f"saved, {len(saved)} bytes of {len(MODEL)}")
if seen != expected:
    sys.exit("the behaviour has changed")
EOF
pip tripo3d==1.0.0
echo "expected: the model, twice, and two errors"
"$place/venv/bin/python" "$place/run.py" "$place"
pip aiohttp==3.14.5
"$place/venv/bin/python" "$place/run.py" "$place"
