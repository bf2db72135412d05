"""A process that asks a server, and tells what that cost: run by tests, with `child`.

    python -m tests.faults.victim URL TIMES STACK OPTIONS CALL

Asks so many times, each time with a client made with OPTIONS (JSON) and by the CALL of that
name, on a thread with a stack of so many bytes (0 for the main thread), and prints a JSON list
with an object for each: what came of it, the peak of memory over what was there before, and the
most CPU time for which the event loop was held up at a stretch. CPU time, since the machine has
other things to do.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import tenacity

from aitoearn_async import AiToEarnError, Client, ImageTask
from tests.support.raw_server import ID, KEY, REF, RawServer, good

from .harness import memory


class Stopwatch:
    """Ticks every millisecond, and notes what the thread did between two ticks."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._last = 0.0

    async def tick(self) -> None:
        self._last = time.thread_time()
        while True:
            await asyncio.sleep(0.001)
            self.look()

    def look(self) -> None:
        now = time.thread_time()
        self.longest = max(self.longest, now - self._last)
        self._last = now


async def models(client: Client) -> ImageTask:
    """Ask for something that is no task, and say how it went as if it were one."""
    await client.image_models()
    return ImageTask(log_id=ID, status="success")


CALLS: dict[str, Callable[[Client], Awaitable[ImageTask]]] = {
    "get": lambda client: client.get(REF),
    "wait_for": lambda client: client.wait_for(REF, timeout=20, wait=tenacity.wait_fixed(0.01)),
    "models": models,
}


async def ask(client: Client, call: str) -> str:
    """What came of a call, in a word."""
    try:
        task = await CALLS[call](client)
    except AiToEarnError as error:
        return f"{type(error).__name__}: {error}"
    return task.status if task.log_id == ID else "wrong"


async def cost(url: str, options: dict[str, Any], call: str) -> dict[str, object]:
    """What one call comes to, and what it takes."""
    watch = Stopwatch()
    async with Client(KEY, base_url=url, **options) as client:
        ticking = asyncio.ensure_future(watch.tick())
        await asyncio.sleep(0.005)
        start_peak_anew()
        before, began = memory(), time.monotonic()
        end = await ask(client, call)
        seconds = time.monotonic() - began
        watch.look()
        peak = memory(peak=True) - before
        ticking.cancel()
    return {"end": end, "seconds": seconds, "peak": peak, "held": watch.longest}


def start_peak_anew() -> None:
    """Linux forgets how much memory there was at most so far."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


async def main(url: str, times: int, options: dict[str, Any], call: str) -> list[dict[str, object]]:
    """The costs, after a request that brings with it all that is imported late."""
    # In debug mode a loop tells of slow callbacks by the wall's clock; here they are measured.
    asyncio.get_running_loop().slow_callback_duration = math.inf
    async with RawServer(good()) as server, server.client() as client:
        await ask(client, "get")
    return [await cost(url, options, call) for _ in range(times)]


def run(url: str, times: str, stack: str, options: str, call: str = "get") -> None:
    """Print the costs."""
    # A wait warns of its first lost poll; without a handler that would go to stderr.
    logging.getLogger("aitoearn_async").addHandler(logging.NullHandler())

    def go() -> None:
        found = asyncio.run(main(url, int(times), json.loads(options), call))
        sys.stdout.write(json.dumps(found))

    if stack == "0":
        return go()
    threading.stack_size(int(stack))
    thread = threading.Thread(target=go)
    thread.start()
    thread.join()
    return None


if __name__ == "__main__":
    run(*sys.argv[1:])
