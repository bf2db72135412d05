#!/usr/bin/env bash
# With filelock, all tasks of a program are inside of an AsyncFileLock at once, used as its documentation shows.
#
# Promised: filelock, "Use async locks": one AsyncFileLock for the module, and a coroutine that each caller enters by
#   `async with lock`. "Concepts": of a StrictSoftFileLock that it is "Cooperative, never overlaps".
# Seen: the locks are reentrant, and whoever has the lock object is taken for the one who holds it: a second task goes
#   straight in, and so does every other one, while other processes wait. So do the four locks of AsyncFileLock's kind;
#   the two for readers and writers know which task holds them, and let one writer in. An object for each call, or an
#   asyncio.Lock around it, helps.
# Costs: a web server that looks under the lock whether a film is there, and orders it where it is not, orders it once
#   for each visitor who comes in the meantime, and is safe in every test with two processes.
# Known: in a program that uses it, rsalesc/rbx#661; for filelock itself tox-dev/filelock#78 has a word of it.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --no-compile --disable-pip-version-check filelock==4.3.1
cat >"$place/run.py" <<'EOF'
import asyncio
import sys
from importlib.metadata import version
from pathlib import Path

import filelock

place = Path(sys.argv[1])
KINDS = (
    "AsyncFileLock", "AsyncSoftFileLock", "AsyncStrictSoftFileLock", "AsyncSoftFileLease",
    "AsyncReadWriteLock", "AsyncSoftReadWriteLock",
)


def made(kind, path):
    """Return a lock, and what enters it."""
    lock = getattr(filelock, kind)(str(path))
    return lock.write_lock if kind.endswith("WriteLock") else lambda: lock


async def orders(kind, *, own):
    """Return how often a film is ordered by five visitors who look under the lock whether it is there."""
    path, ordered = place / f"{kind}-{own}", []
    film = path.with_suffix(".mp4")
    shared = made(kind, path)

    async def visited():
        async with (made(kind, path) if own else shared)():
            if not film.exists():
                ordered.append("film")
                await asyncio.sleep(0.2)
                film.touch()

    await asyncio.gather(*(visited() for _ in range(5)))
    return len(ordered)


async def elsewhere(kind):
    """Return whether another process gets the lock that a task holds."""
    path = place / f"{kind}-processes"
    async with made(kind, path)():
        program = f"import filelock; filelock.{kind.removeprefix('Async')}({str(path)!r}).acquire(timeout=0.5)"
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stderr=asyncio.subprocess.DEVNULL)
        return await process.wait() == 0


async def main():
    seen = {kind: (await orders(kind, own=False), await orders(kind, own=True)) for kind in KINDS}
    return seen, await elsewhere("AsyncFileLock")


print("filelock", version("filelock"))
print("expected: one order, with one lock object and with one for each visitor")
seen, gets = asyncio.run(main())
for kind, counts in seen.items():
    print(f"seen with {kind}:", *counts)
print("seen of another process, which tries to get an AsyncFileLock that is held:", "gets it" if gets else "waits")
surprise = dict.fromkeys(KINDS[:4], (5, 1)) | dict.fromkeys(KINDS[4:], (1, 1))
if seen != surprise or gets:
    sys.exit("the behaviour has changed")
EOF
"$place/venv/bin/python" "$place/run.py" "$place"
