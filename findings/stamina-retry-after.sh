#!/usr/bin/env bash
# stamina sleeps as long as a server says, whatever timeout and wait_max are, and then fails all the same.
#
# Promised: the docstring of `retry`: timeout is the maximum total time for all retries, wait_max the
#   maximum time between them at any time. A hook may return the seconds of a Retry-After header; that the
#   other parameters of the backoff do not apply then is said, of timeout and attempts nothing.
# Seen: whether the time is over is asked before each sleep and not with it. With timeout=1 and a
#   Retry-After of 6, the caller is held for 6 seconds and a second call is made 5 seconds after the end,
#   as retry number 1, whose failure is then let through. Of a backoff of one's own it is the same:
#   with wait_initial=4 the last error comes after 4 seconds.
# Costs: with the default of 45 seconds, a service that says "come back in an hour" holds each request,
#   worker and connection for an hour, in the one case that the timeout is there for.
# Known: that the timeout spans all attempts has surprised others (bcgov/bcdata_py#243); that a sleep
#   goes past it was not found. tenacity, below, has stop_before_delay for it.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --no-compile --disable-pip-version-check stamina==26.1.0
"$place/venv/bin/python" - <<'EOF'
import asyncio
import sys
import time
from importlib.metadata import version

import stamina

stamina.instrumentation.set_on_retry_hooks([])


class Busy(Exception):
    """A 429 or 503, with what its Retry-After says."""

    retry_after = 6.0


async def tried(**options):
    """Return how many calls were made, and after how many seconds their error came."""
    calls = 0

    @stamina.retry(timeout=1, **options)
    async def call():
        nonlocal calls
        calls += 1
        raise Busy

    start = time.monotonic()
    try:
        await call()
    except Busy:
        return calls, time.monotonic() - start


async def main():
    return (
        await tried(on=lambda error: error.retry_after, wait_max=0.5),
        await tried(on=Busy, wait_initial=4, wait_jitter=0),
        await tried(on=Busy),
    )


for name in ("stamina", "tenacity"):
    print(name, version(name))
header, own, default = seen = asyncio.run(main())
print("expected with timeout=1: the error within 1 second")
for name, (calls, after) in zip(("Retry-After: 6, wait_max=0.5", "wait_initial=4", "defaults"), seen):
    print(f"seen with {name}: {calls} calls, the error after {after:.1f} s")
if not (header[0] == own[0] == 2 and 5.9 < header[1] and 3.9 < own[1]):
    sys.exit("the behaviour has changed")
EOF
