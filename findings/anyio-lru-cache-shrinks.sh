#!/usr/bin/env bash
# With anyio, a cache of any size shrinks to one value as calls fail, and stays so for the rest of the program.
#
# Promised: anyio.functools.lru_cache is "an asynchronous version of functools.lru_cache", which keeps `maxsize`
#   results, and neither keeps nor counts a call that raised. "Caches and locks are managed on a per-event loop basis."
# Seen: a call is counted before it is made, and stays counted when it raises or is cancelled. Once the count is that of
#   the size, the cache is taken for full: it does not grow any more, and each further failure throws out one of
#   the values that it has, down to one. `cache_info` says that it is full. The count is that of the
#   function, and the values are those of the loop: in the second anyio.run, with a new cache,
#   the old count holds, and no key that is asked for in turn is ever found.
#   A caller who waits for a call under way gets a KeyError, if that call fails after others have filled the cache.
# Costs: a few hundred timeouts in a month, and from then on each request asks the slow or paid service again, until a
#   restart; what is meant to protect a service that is in trouble leaves it as it is.
# Known: that the order of keyword arguments matters, in the review of agronholm/anyio#1001; of this nothing was found.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --no-compile --disable-pip-version-check anyio==4.16.0 async-lru==2.4.0
"$place/venv/bin/python" - <<'EOF'
import sys
from importlib.metadata import version

import anyio
from anyio.functools import lru_cache
from async_lru import alru_cache

SIZE = 128  # as by default
MODELS = range(20)


class Service:
    def __init__(self, cache):
        self.calls, self.down = 0, False
        self.price = cache(maxsize=SIZE)(self.asked)

    async def asked(self, model):
        self.calls += 1
        await anyio.sleep(0)
        if self.down:
            raise OSError("down")
        return model

    async def thrice(self):
        """Return how many calls are made when each price is asked for three times."""
        before = self.calls
        for _ in range(3):
            for model in MODELS:
                await self.price(model)
        return self.calls - before

    async def in_trouble(self):
        """Return the calls before and after as many failures as the cache is large."""
        before, self.down = await self.thrice(), True
        for _ in range(SIZE):
            try:
                await self.price("new")
            except OSError:
                pass
        self.down = False
        return before, await self.thrice()

    async def filled(self):
        for model in range(SIZE):
            await self.price(model)


def in_two_loops(cache):
    service = Service(cache)
    anyio.run(service.filled)
    return anyio.run(service.thrice)


async def waiting():
    """Return what comes of two who ask for one price, of which the first call fails, while others ask for others."""
    came = []

    @lru_cache(maxsize=SIZE)
    async def price(model):
        await anyio.sleep(0.1)
        if model == "new":
            raise OSError("down")

    async def ask(model):
        try:
            await price(model)
        except (OSError, KeyError) as error:
            came.append(type(error).__name__)

    async with anyio.create_task_group() as group:
        for model in ("new", "new", *range(SIZE)):
            group.start_soon(ask, model)
    return came


for name in ("anyio", "async-lru"):
    print(name, version(name))
service = Service(lru_cache)
seen = anyio.run(service.in_trouble), in_two_loops(lru_cache), anyio.run(waiting)
info = service.price.cache_info()
print(f"{len(MODELS)} prices, each asked for three times, with a cache for {SIZE}:")
print(f"expected: {len(MODELS)} calls; after {SIZE} failures none; in the program's second loop {len(MODELS)}")
print("async-lru:", *anyio.run(Service(alru_cache).in_trouble))
print("seen, before and after the failures:", *seen[0])
print("seen in the second loop:", seen[1])
print("what the cache says of itself:", info.currsize, "of", info.maxsize)
print("expected of two who wait for a call that fails: OSError twice; seen:", *seen[2])
every = 3 * len(MODELS)
if seen != ((len(MODELS), every), every, ["OSError", "KeyError"]) or info.currsize != SIZE:
    sys.exit("the behaviour has changed")
EOF
