#!/usr/bin/env bash
# With taskiq, a dependency that is not cached gets the message of another task, and works on that.
#
# Promised: the guide "State and Dependencies": a dependency gets the Context of its task, with the message it was sent
#   with, and dependencies are cached within one execution of a task; `use_cache=False` is for those that are to be
#   calculated anew wherever they are asked for. Of other tasks nothing is said.
# Seen: the receiver writes each task's Context into one dict of the broker. A task's own dependencies get a copy of it
#   when they begin to be resolved; a dependency without cache gets one only when its turn comes. If one before
#   it has awaited something, such as a connection, the dict has the Context of whichever task came last
#   by then: of three tasks at a time all three act on the message of the third. With the
#   cache, and wherever tasks come one by one, each has its own.
# Costs: a film is made with the name or the prompt of another order, with no error, and the more often, the busier the
#   worker is; a test of one task at a time does not show it.
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
ORDERS = ["A", "B", "C"]


async def connection():
    await asyncio.sleep(0.1)
    return "a connection"


def order(context: Context = TaskiqDepends()):
    return context.message.labels["order"]


@broker.task
async def cached(number, store=TaskiqDepends(connection), made=TaskiqDepends(order)):
    return number, made


@broker.task
async def anew(number, store=TaskiqDepends(connection), made=TaskiqDepends(order, use_cache=False)):
    return number, made


async def send(film, name):
    return await film.kicker().with_labels(order=name).kiq(name)


async def together(film):
    """Return the number of each film's order, and of the order it was made for."""
    tasks = [await send(film, name) for name in ORDERS]
    return [(await task.wait_result()).return_value for task in tasks]


async def one_by_one(film):
    return [(await (await send(film, name)).wait_result()).return_value for name in ORDERS]


async def main():
    await broker.startup()
    seen = await together(cached), await one_by_one(anew), await together(anew)
    await broker.shutdown()
    return seen


for name in ("taskiq", "taskiq-dependencies"):
    print(name, version(name))
with_cache, alone, without = (list(map(tuple, films)) for films in asyncio.run(main()))
print("expected: each film is made for its own order")
print("seen with the cache:                ", *with_cache)
print("seen with use_cache=False, one by one:", *alone)
print("seen with use_cache=False, together:  ", *without)
own = [(name, name) for name in ORDERS]
if with_cache != own or alone != own or without != [(name, "C") for name in ORDERS]:
    sys.exit("the behaviour has changed")
EOF
