#!/usr/bin/env bash
# With httpx-aiohttp, a cookie that the httpx client has dropped or replaced is sent all the same.
#
# Promised: its README: a transport for httpx on top of aiohttp, to be put in its place. httpx, "Cookie
#   Instances" and "Client Instances": the client's `cookies` are what it sends, and are kept between
#   requests there; they can be set, and cleared.
# Seen: the transport makes an aiohttp session with a cookie jar of its own, which takes each Set-Cookie too,
#   and which nothing of httpx can reach. After `client.cookies.clear()` the old cookie goes out; after
#   `client.cookies.set()` the old value goes out in place of the new one; and a `Cookie` header of a
#   single request is changed in the same way. aiohttp's jar takes none from hosts that are addresses, so
#   with a test server on 127.0.0.1 all is well.
# Costs: who leaves an account, or a backend that a balancer sticks to by its cookie, stays there, and
#   `client.cookies` says otherwise. The extras [aiohttp] of openai and others put this transport below a
#   program that never named it.
# Known: of another transport between the two, BerriAI/litellm#36149, repaired; of this one not found.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --no-compile --disable-pip-version-check \
    httpx-aiohttp==0.2.0 httpx==0.28.1 aiohttp==3.14.5
"$place/venv/bin/python" - <<'EOF'
import asyncio
import sys
from importlib.metadata import version

import httpx
from httpx_aiohttp import HttpxAiohttpClient

STEPS = ("as it was set", "after clear()", "after set()", "with a header of its own")


async def serve(reader, writer):
    """Answer with the cookies that came; set one if asked to."""
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            lines = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:-2])
            body = lines.get("cookie", "none").encode()
            cookie = b"Set-Cookie: node=one; Path=/\r\n" if "/set" in head else b""
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%b\r\n%b" % (len(body), cookie, body)
            )
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def sent(make, host):
    """Return the cookies that a client sends, step by step."""
    async with make(base_url=host) as client:
        await client.get("/set")
        seen = [(await client.get("/")).text]
        client.cookies.clear()
        seen.append((await client.get("/")).text)
        client.cookies.set("node", "two")
        seen.append((await client.get("/")).text)
        client.cookies.clear()
        seen.append((await client.get("/", headers={"Cookie": "node=three"})).text)
        return dict(zip(STEPS, seen))


async def main():
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        return (
            await sent(httpx.AsyncClient, f"http://localhost:{port}"),
            await sent(HttpxAiohttpClient, f"http://127.0.0.1:{port}"),
            await sent(HttpxAiohttpClient, f"http://localhost:{port}"),
        )


for name in ("httpx-aiohttp", "httpx", "aiohttp"):
    print(name, version(name))
plain, address, named = asyncio.run(main())
print(f"expected, and seen with httpx alone: {plain}")
print(f"seen with httpx-aiohttp, to 127.0.0.1: {address}")
print(f"seen with httpx-aiohttp, to localhost: {named}")
right = dict(zip(STEPS, ("node=one", "none", "node=two", "node=three")))
if not (plain == address == right and set(named.values()) == {"node=one"}):
    sys.exit("the behaviour has changed")
EOF
