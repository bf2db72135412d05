#!/usr/bin/env bash
# aiolimiter lets small amounts past a large one for ever, though the large one came first.
#
# Promised: the docstring of `AsyncLimiter.acquire`: it blocks until enough capacity has been freed for the
#   amount, which may be anything up to max_rate. Which of those that wait comes first is not said;
#   mjpieters/aiolimiter#217 has it that the wait should be no longer than needed.
# Seen: those who wait are in a heap by their amount, and whoever comes anew and fits in takes
#   the capacity without a look at those that wait. As long as there are two small callers, the bucket never
#   gets empty enough: one acquire(10) of 10 a second waits through 60 others, and gets its turn when they
#   stop. asyncio.Semaphore and Lock, beside it, are first come, first served.
# Costs: where requests are weighed by their tokens or credits, the large and dear ones are never sent, while
#   the cheap ones flow at the full rate, so that no figure of the limiter shows it.
# Known: the heap is described in mjpieters/aiolimiter#290 as a matter of speed; that anything starves
#   was not found.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --no-compile --disable-pip-version-check aiolimiter==1.3.0
"$place/venv/bin/python" - <<'EOF'
import asyncio
import sys
import time
from importlib.metadata import version

from aiolimiter import AsyncLimiter

PERIODS = 6


async def main():
    """Return the small and large acquisitions while there were small ones, and the large ones after."""
    limiter = AsyncLimiter(10, 1)
    until = time.monotonic() + PERIODS
    small, large = [], []

    async def small_ones():
        while time.monotonic() < until:
            await limiter.acquire(1)
            small.append(1)

    async def large_one():
        await limiter.acquire(10)
        large.append(10)

    await limiter.acquire(10)
    waiting = asyncio.create_task(large_one())
    await asyncio.sleep(0.01)  # the large one waits before any of the small ones comes
    await asyncio.gather(small_ones(), small_ones())
    meanwhile = len(large)
    await waiting
    return len(small), meanwhile, len(large)


print("aiolimiter", version("aiolimiter"), "python", sys.version.split()[0])
small, meanwhile, large = asyncio.run(main())
print("expected of 10 in a second: acquire(10), asked for first, after 1 second")
print(f"seen in {PERIODS} seconds: acquire(1) {small} times, acquire(10) {meanwhile} times; after them {large}")
if small < 20 or meanwhile or large != 1:
    sys.exit("the behaviour has changed")
EOF
