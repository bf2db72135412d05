#!/usr/bin/env bash
# While valkey-glide's async client connects, nothing else of the program runs, and no timeout can end it.
#
# Promised: the README has an "Async Client", for asyncio and trio, made with `await GlideClient.create(config)`;
#   connection_timeout is how long to wait for a connection. asyncio.timeout cancels what takes too long.
# Seen: `create` connects in the thread of the loop, and comes back when it has done so. To a server that accepts and
#   says nothing, as a machine that hangs, the loop stands still for connection_timeout, which is 2 seconds
#   by default; a timeout of half a second ends after those. With trio it is the same. With lazy_connect
#   the first command connects in a thread, and nothing stands still, as with redis-py.
# Costs: a web server that makes its client at the first request, or anew after an error, stops all its requests,
#   heartbeats and health checks with it, in just the minute in which the store is in trouble.
# Known: not found. Of replies that stall with several loops, since the same rework, in valkey-io/valkey-glide#7122.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --no-compile --disable-pip-version-check \
    valkey-glide==2.6.0 redis==8.1.0 anyio==4.16.0 trio==0.35.0
"$place/venv/bin/python" - <<'EOF'
import socket
import sys
import time
from importlib.metadata import version

import anyio
from glide import AdvancedGlideClientConfiguration, GlideClient, GlideClientConfiguration, Logger, LogLevel, NodeAddress
from redis.asyncio import Redis


def configuration(port, seconds=None, **options):
    if seconds is not None:
        options["advanced_config"] = AdvancedGlideClientConfiguration(connection_timeout=1000 * seconds)
    return GlideClientConfiguration([NodeAddress("127.0.0.1", port)], **options)


async def with_glide(port):
    await GlideClient.create(configuration(port))


async def with_glide_and_5_seconds(port):
    await GlideClient.create(configuration(port, 5))


async def with_glide_lazily(port):
    client = await GlideClient.create(configuration(port, lazy_connect=True))
    await client.ping()


async def with_redis(port):
    async with Redis(port=port) as client:
        await client.ping()


async def stood_still(connect):
    """Return for how many seconds nothing else ran while something connected for half a second."""
    ran = []

    async def other_work():
        while True:
            ran.append(time.monotonic())
            await anyio.sleep(0.01)

    with socket.create_server(("127.0.0.1", 0)) as silent:
        async with anyio.create_task_group() as group:
            group.start_soon(other_work)
            await anyio.sleep(0.1)
            with anyio.move_on_after(0.5):
                try:
                    await connect(silent.getsockname()[1])
                except Exception as error:
                    print(f"({type(error).__name__}: {str(error).strip()[-9:]})")
            await anyio.sleep(0.1)
            group.cancel_scope.cancel()
    return round(max(later - earlier for earlier, later in zip(ran, ran[1:])))


Logger.set_logger_config(LogLevel.OFF)
for name in ("valkey-glide", "redis", "anyio", "trio"):
    print(name, version(name))
seen = {
    "redis-py": anyio.run(stood_still, with_redis),
    "glide": anyio.run(stood_still, with_glide),
    "glide, trio": anyio.run(stood_still, with_glide, backend="trio"),
    "glide, connection_timeout of 5 s": anyio.run(stood_still, with_glide_and_5_seconds),
    "glide, lazy_connect": anyio.run(stood_still, with_glide_lazily),
}
print("expected: nothing stands still for a second, and all are cancelled after half of one")
for what, seconds in seen.items():
    print(f"seen with {what}: {seconds} s")
if list(seen.values()) != [0, 2, 2, 5, 0]:
    sys.exit("the behaviour has changed")
EOF
