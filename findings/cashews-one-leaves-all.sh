#!/usr/bin/env bash
# With cashews, one caller who gives up cancels everybody who waits for the same value.
#
# Promised: the README: `protected`, which is on by default, has one call executed where several come at
#   the same time, so that a cold cache does not bring down what stands behind it.
# Seen: all of them await one task, without asyncio.shield. Whoever is cancelled, by asyncio.timeout,
#   wait_for, a task group, or a web server whose client has gone away, cancels that task, and with it
#   the call and all who wait: each gets a CancelledError that nobody meant for it. asyncio.gather and
#   web servers take that as their own end, and it is no Exception, so `except Exception` lets it by.
#   With protected=False each has its own call, and only the one who gave up is cancelled.
# Costs: the impatient user, of ten at a cold cache, ends the requests of the nine others without an answer
#   or a line in the log, and a paid answer that was on its way is thrown away with them.
# Known: not found. async-lru 2.4.0, which does the same work, has asyncio.shield in this place.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --no-compile --disable-pip-version-check cashews==7.6.0
"$place/venv/bin/python" - <<'EOF'
import asyncio
import sys
from collections import Counter
from importlib.metadata import version

from cashews import Cache

cache = Cache()
cache.setup("mem://")


def end_of(task):
    if task.cancelled():
        return "CancelledError"
    return type(task.exception()).__name__ if task.exception() else task.result()


async def ten_callers(name, **options):
    """Return how the calls of ten end, of whom one has no patience, and how many calls were made."""
    made = []

    @cache(ttl="1m", key=name + ":{prompt}", **options)
    async def ask(prompt):
        made.append(prompt)
        await asyncio.sleep(0.5)
        return "answer"

    async def caller(patience):
        async with asyncio.timeout(patience):
            return await ask("a cat")

    tasks = [asyncio.create_task(caller(0.1 if number == 3 else 60)) for number in range(10)]
    await asyncio.wait(tasks)
    return dict(Counter(map(end_of, tasks))), len(made)


async def main():
    return await ten_callers("default"), await ten_callers("unprotected", protected=False)


print("cashews", version("cashews"), "python", sys.version.split()[0])
default, unprotected = asyncio.run(main())
print("expected: 1 TimeoutError, 9 answers, of 1 call")
print("seen:", *default)
print("seen with protected=False:", *unprotected)
if default != ({"CancelledError": 9, "TimeoutError": 1}, 1):
    sys.exit("the behaviour has changed")
if unprotected != ({"answer": 9, "TimeoutError": 1}, 10):
    sys.exit("the behaviour has changed")
EOF
