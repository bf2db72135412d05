#!/usr/bin/env bash
# pyrate-limiter's async calls wait for each other, whatever their key, and blocking=False waits too.
#
# Promised: the docstring of `try_acquire_async`: with blocking=False it returns at once; `name` is the key
#   of the bucket to acquire from. vutran1710/PyrateLimiter#301, on a lock that is held while one waits:
#   the async path is not affected.
# Seen: `try_acquire_async` holds one asyncio.Lock of the whole limiter for as long as it waits for a permit.
#   Whoever comes meanwhile stands behind it: another key whose bucket is empty, and the caller that asked
#   for an answer at once. Where one caller waits for 3 seconds, both of them get theirs after 3 too.
#   The blocking `try_acquire`, in threads, does as promised since #304.
# Costs: one customer who has used up his limit of the minute stops all others for that minute, and the
#   fallback that blocking=False is for is not reached; with limits of a day it is a day.
# Known: the lock came with vutran1710/PyrateLimiter#208; that it is held while waiting was not found.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --no-compile --disable-pip-version-check pyrate-limiter==4.5.1
"$place/venv/bin/python" - <<'EOF'
import asyncio
import sys
import time
from importlib.metadata import version

from pyrate_limiter import BucketFactory, Duration, InMemoryBucket, Limiter, MonotonicClock, Rate, RateItem


class OfEachName(BucketFactory):
    """A bucket for each customer, as the README shows it."""

    def __init__(self):
        self.clock = MonotonicClock()
        self.kept = {}

    def wrap_item(self, name, weight=1):
        return RateItem(name, self.clock.now(), weight=weight)

    def get(self, item):
        if item.name not in self.kept:
            self.kept[item.name] = self.create(InMemoryBucket, [Rate(1, Duration.SECOND * 3)])
        return self.kept[item.name]


async def timed(call):
    start = time.monotonic()
    return await call, time.monotonic() - start


async def waited(acquire):
    """Return what two get, and after what time, while Ann waits for her second permit."""
    await acquire("Ann")
    ann = asyncio.create_task(acquire("Ann"))
    await asyncio.sleep(0.1)
    bob = asyncio.create_task(timed(acquire("Bob")))
    await asyncio.sleep(0)
    at_once = await timed(acquire("Ann", blocking=False))
    await ann
    return await bob, at_once


async def main():
    limiter = Limiter(OfEachName())
    threads = Limiter(OfEachName())

    def in_thread(*arguments, **options):
        return asyncio.to_thread(threads.try_acquire, *arguments, **options)

    seen = await waited(limiter.try_acquire_async), await waited(in_thread)
    limiter.close()
    threads.close()
    return seen


print("pyrate-limiter", version("pyrate-limiter"), "python", sys.version.split()[0])
seen = asyncio.run(main())
print("expected: Bob True, and blocking=False False, both after 0.0 s")
for name, ((bob, bob_after), (ann, ann_after)) in zip(("async", "in threads"), seen):
    print(f"seen, {name}: Bob {bob} after {bob_after:.1f} s, blocking=False {ann} after {ann_after:.1f} s")
(bob, at_once), (thread_bob, thread_at_once) = seen
if not (bob[1] > 2 and at_once[1] > 2 and thread_bob[1] < 1 and thread_at_once[1] < 1):
    sys.exit("the behaviour has changed")
EOF
