#!/usr/bin/env bash
# With taskiq, a dependency that is not cached gets the message of another task, and works for another customer.
#
# Promised: the guide "State and Dependencies": a dependency gets the Context of its task, with the message it was sent
#   with, and dependencies are cached within one execution of a task; `use_cache=False` is for those that are to be
#   calculated anew wherever they are asked for. Of other tasks nothing is said.
# Seen: the receiver writes each task's Context into one dict of the broker. A task's own dependencies get a copy of it
#   when they begin to be resolved; a dependency without cache gets one only when its turn comes. If one before
#   it has awaited something, such as a connection, the dict has the Context of whichever task came last
#   by then: of three tasks at a time all three act on the message of the third. With the
#   cache, and wherever tasks come one by one, each has its own.
# Costs: the film of customer A is made with the name, the budget or the key of customer C, with no error, and the more
#   often, the busier the worker is; a test of one task at a time does not show it.
# Known: not found.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --no-compile --disable-pip-version-check taskiq==0.13.0 taskiq-dependencies==1.5.7
"$place/venv/bin/python" - <<'EOF'
import asyncio
import sys
from importlib.metadata import version

from taskiq import Context, InMemoryBroker, TaskiqDepends

broker = InMemoryBroker()
CUSTOMERS = ["A", "B", "C"]


async def connection():
    await asyncio.sleep(0.1)
    return "a connection"


def customer(context: Context = TaskiqDepends()):
    return context.message.labels["customer"]


@broker.task
async def cached(ordered_by, store=TaskiqDepends(connection), who=TaskiqDepends(customer)):
    return ordered_by, who


@broker.task
async def anew(ordered_by, store=TaskiqDepends(connection), who=TaskiqDepends(customer, use_cache=False)):
    return ordered_by, who


async def send(film, name):
    return await film.kicker().with_labels(customer=name).kiq(name)


async def together(film):
    """Return by whom each film was ordered, and for whom it was made."""
    tasks = [await send(film, name) for name in CUSTOMERS]
    return [(await task.wait_result()).return_value for task in tasks]


async def one_by_one(film):
    return [(await (await send(film, name)).wait_result()).return_value for name in CUSTOMERS]


async def main():
    await broker.startup()
    seen = await together(cached), await one_by_one(anew), await together(anew)
    await broker.shutdown()
    return seen


for name in ("taskiq", "taskiq-dependencies"):
    print(name, version(name))
with_cache, alone, without = (list(map(tuple, films)) for films in asyncio.run(main()))
print("expected: each film is made for the customer by whom it was ordered")
print("seen with the cache:                ", *with_cache)
print("seen with use_cache=False, one by one:", *alone)
print("seen with use_cache=False, together:  ", *without)
own = [(name, name) for name in CUSTOMERS]
if with_cache != own or alone != own or without != [(name, "C") for name in CUSTOMERS]:
    sys.exit("the behaviour has changed")
EOF
