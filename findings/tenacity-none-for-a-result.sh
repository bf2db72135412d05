#!/usr/bin/env bash
# With one AsyncRetrying for many calls and a predicate that awaits, tenacity returns None for calls that failed.
#
# Promised: the documentation calls a `Retrying` with a function and its arguments, and has asynchronous predicates
#   and callbacks. A call returns what its function returns, is tried again, or raises.
# Seen: what is to be done after an attempt is kept in the object, once for each thread, and not in the call. Where
#   a predicate or `after` awaits something, each call that is overtaken by another stops where it is: its
#   function has raised once, is not called again, and the caller gets None. The last one alone is served
#   as it should be. Calls that succeed get None too, in place of what was returned.
#   With plain functions, or with `retry` as a decorator, each is retried, and gets its result.
# Costs: five of six submits are lost without an error, and those that went well have no id:
#   what they have made is paid for, and asked for by nobody.
# Known: that `async for` over one object mixes the counts of attempts, in jd/tenacity#93; of calls,
#   and that they return None, nothing was found.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --no-compile --disable-pip-version-check tenacity==9.2.1
"$place/venv/bin/python" - <<'EOF'
import asyncio
import sys
from importlib.metadata import version

from tenacity import AsyncRetrying, retry, stop_after_attempt, wait_fixed


class Service:
    """It refuses each of six submits so many times, and then gives it an id."""

    def __init__(self, refusals):
        self.refusals = dict.fromkeys(range(6), refusals)

    async def submit(self, number):
        await asyncio.sleep(0.001 * number)
        if self.refusals[number]:
            self.refusals[number] -= 1
            raise ConnectionError("busy")
        return f"task {number}"


def failed(state):
    return state.outcome.failed


async def failed_by_a_look_elsewhere(state):
    await asyncio.sleep(0.05)  # as of a table in a database that says which errors pass
    return state.outcome.failed


async def written_down(state):
    await asyncio.sleep(0.05)


def options(**more):
    return {"stop": stop_after_attempt(4), "wait": wait_fixed(0.01), "retry": failed} | more


async def called(refusals, **more):
    retrying, service = AsyncRetrying(**options(**more)), Service(refusals)
    return await asyncio.gather(*(retrying(service.submit, number) for number in range(6)))


async def decorated(refusals, **more):
    service = Service(refusals)
    submit = retry(**options(**more))(service.submit)
    return await asyncio.gather(*(submit(number) for number in range(6)))


async def main():
    look = {"retry": failed_by_a_look_elsewhere}
    return {
        "called, all plain": await called(2),
        "decorated, with a predicate that awaits": await decorated(2, **look),
        "called, with a predicate that awaits": await called(2, **look),
        "called, with an `after` that awaits": await called(2, after=written_down),
        "called, with such a predicate, and never refused": await called(0, **look),
    }


print("tenacity", version("tenacity"), "python", sys.version.split()[0])
seen = asyncio.run(main())
tasks = [f"task {number}" for number in range(6)]
print("expected:", tasks)
for what, results in seen.items():
    print(f"seen {what}: {results}")
lost = [None] * 5 + ["task 5"]
if list(seen.values()) != [tasks, tasks, lost, lost, lost]:
    sys.exit("the behaviour has changed")
EOF
