#!/usr/bin/env bash
# With persist-queue, all async queues in a file are one queue, and a job whose taker is cancelled is nobody's.
#
# Promised: "name: Queue name", in the docstring of AsyncSQLiteQueue; in that of SQLiteQueue, which it stands in for,
#   "the suffix for the table name". The README: the queue "is persistent: items survive" a restart.
# Seen: the async one keeps the name and uses it nowhere: its table is "queue" for all. A worker for mails gets
#   a film, and the worker for films the mail. `get` deletes the row, commits, and returns the item only then;
#   whoever is cancelled in between, by asyncio.timeout or wait_for, has taken it out for good. Of 200 jobs, taken with
#   timeouts of 0.2 to 2 ms, some dozens were lost. Its own timeout= waits safely.
# Costs: the jobs of one kind are done by the code for another, and a service that is stopped loses those it was just
#   taking, which is what the file is there for.
# Known: not found.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --no-compile --disable-pip-version-check \
    persist-queue==1.1.0 aiofiles==25.1.0 aiosqlite==0.22.1
"$place/venv/bin/python" - "$place" <<'EOF'
import asyncio
import contextlib
import sqlite3
import sys
import time
from importlib.metadata import version
from pathlib import Path

from persistqueue import AsyncSQLiteQueue, SQLiteQueue

place = Path(sys.argv[1])


def with_names():
    films = SQLiteQueue(str(place / "plain"), name="films", auto_commit=True)
    mails = SQLiteQueue(str(place / "plain"), name="mails", auto_commit=True)
    films.put("a film")
    mails.put("a mail")
    came = mails.get(), films.get()
    films.close()
    mails.close()
    return came


async def with_names_async():
    path = str(place / "named.db")
    async with AsyncSQLiteQueue(path, name="films") as films, AsyncSQLiteQueue(path, name="mails") as mails:
        await films.put("a film")
        await mails.put("a mail")
        return await mails.get(), await films.get()


def rows(path):
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute("select count(*) from queue").fetchone()[0]


async def cancelled():
    """Return what a taker got who was cancelled when the row had gone, and what is left for others."""
    path = str(place / "taken.db")
    async with AsyncSQLiteQueue(path) as queue:
        await queue.put("a film")
        taker = asyncio.create_task(queue.get())
        end = time.monotonic() + 10
        while rows(path) and time.monotonic() < end:
            await asyncio.sleep(0)
            time.sleep(0.02)  # other work of the loop, while the thread of the file commits
        taker.cancel()
        got, = await asyncio.gather(taker, return_exceptions=True)
    async with AsyncSQLiteQueue(path) as queue:
        return type(got).__name__, await queue.qsize()


for name in ("persist-queue", "aiosqlite"):
    print(name, version(name))
seen = with_names(), asyncio.run(with_names_async()), asyncio.run(cancelled())
print("expected by the worker for mails and the one for films: a mail, a film")
print("seen with SQLiteQueue:     ", ", ".join(seen[0]))
print("seen with AsyncSQLiteQueue:", ", ".join(seen[1]))
print("expected of a get that is cancelled: the film, or 1 left for others; seen:", *seen[2])
if seen != (("a mail", "a film"), ("a film", "a mail"), ("CancelledError", 0)):
    sys.exit("the behaviour has changed")
EOF
