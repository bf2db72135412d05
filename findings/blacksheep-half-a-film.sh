#!/usr/bin/env bash
# BlackSheep's client hands out the half of a film that came as the film, whichever way it is read.
#
# Promised: RFC 9112, 8: a response is incomplete if fewer bytes came than Content-Length says, or if the connection
#   ended before the last chunk; a client must not take it for whole. The client has an error for this,
#   ConnectionClosedError, and keeps it in the response's content as `exc`, "if any occurred".
# Seen: the error is put there, and the content is marked as complete in the same step. `read()` waits for that mark
#   and returns what there is, without a look at `exc`; `stream()` looks at it after the mark, and has ended by then.
#   Status 200, 100,000 bytes of 200,000, and no error: with a Content-Length, between two chunks and within one.
#   A body that is sent whole is read whole; httpx raises in all three cases.
# Costs: a store that is restarted, or a proxy that gives up, and the film is kept cut off, and its hash with it.
# Known: not found.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --no-compile --disable-pip-version-check \
    blacksheep==2.6.4 h11==0.16.0 httpx==0.28.1
"$place/venv/bin/python" - <<'EOF'
import asyncio
import sys
from importlib.metadata import version

import httpx
from blacksheep.client import ClientSession

HALF = b"f" * 100_000
LENGTH = b"content-length: 200000\r\n\r\n"
CHUNKED = b"transfer-encoding: chunked\r\n\r\n"
BODIES = {
    "whole": LENGTH + HALF + HALF,
    "length": LENGTH + HALF,
    "chunks": CHUNKED + b"%x\r\n" % len(HALF) + HALF + b"\r\n",
    "a chunk": CHUNKED + b"%x\r\n" % (2 * len(HALF)) + HALF,
}


async def serve(reader, writer):
    """Answer with the body that the path numbers, and hang up."""
    request = await reader.readuntil(b"\r\n\r\n")
    body = list(BODIES.values())[int(request.split()[1][1:])]
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: video/mp4\r\n" + body)
    await writer.drain()
    writer.close()


async def read(url):
    async with ClientSession() as client:
        response = await client.get(url)
        return response.status, len(await response.read())


async def stream(url):
    async with ClientSession() as client:
        response = await client.get(url)
        return response.status, sum([len(part) async for part in response.stream()])


async def with_httpx(url):
    async with httpx.AsyncClient() as client:
        response = await client.get(url)
        return response.status_code, len(response.content)


async def outcome(call, url):
    try:
        return await asyncio.wait_for(call(url), 20)
    except Exception as error:
        return type(error).__name__


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1")
    base = "http://127.0.0.1:{}/".format(server.sockets[0].getsockname()[1])
    async with server:
        return {
            name: [await outcome(call, f"{base}{number}") for call in (read, stream, with_httpx)]
            for number, name in enumerate(BODIES)
        }


for name in ("blacksheep", "h11", "httpx"):
    print(name, version(name))
seen = asyncio.run(main())
print("expected: status 200 and 200000 bytes, or an error")
for name, (whole, parts, other) in seen.items():
    print(f"seen of {name}: read {whole}, stream {parts}, httpx {other}")
half, error = (200, 100_000), "RemoteProtocolError"
cut = {name: [half, half, error] for name in BODIES if name != "whole"}
if seen != {"whole": [(200, 200_000)] * 3, **cut}:
    sys.exit("the behaviour has changed")
EOF
