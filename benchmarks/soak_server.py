"""The emulator as a process, with every kind of trouble mixed in. Its orders come on stdin.

    add FIRST COUNT LEAST MOST     so many tasks begin now, from this number on; answers "done"

What becomes of a task is in its number, so whoever waits for it knows how it must end.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
from collections import deque
from typing import NamedTuple

from aitoearn_async import ImageRef
from aitoearn_async.emulator import Emulator, Fault

SHARE = 0.05
"""The share of all requests that meet trouble."""
FAILING, ENDLESS = 10, 2
"""The tasks that fail, and that never end, of a hundred."""
_KEPT = 600.0
"""Seconds after which nobody asks for a task any more."""
_BETWEEN = 0.02

_PAGE = Fault(status=502)
TROUBLE: dict[str, Fault] = {
    "slow": Fault(delay=2.0),
    "HTTP 500": Fault(status=500),
    "HTTP 502": _PAGE,
    "HTTP 503, Retry-After": Fault(status=503, headers={"Retry-After": "1"}),
    "HTTP 429, Retry-After": Fault(status=429, headers={"Retry-After": "1"}),
    "a page with status 200": Fault(status=200, body="<html>busy</html>"),
    "HTTP 403": Fault(status=403),
    "code 500": Fault(code=500),
    "redirect": Fault(redirect="https://example.org/"),
    "garbage": Fault(garbage=True),
    "cut in the body": Fault(truncate=20),
    "empty body": Fault(truncate=0),
    "another task's answer": Fault(echo="0" * 24),
    "never an answer": Fault(stall="head"),
    "half an answer": Fault(stall="body"),
    "reset": Fault(reset=True),
    "hung up": Fault(close=True),
    "two answers": Fault(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}" * 2),
    "not HTTP": Fault(raw=b"\x16\x03\x01\x00\xa5\x01\x00"),
}


class Fate(NamedTuple):
    """The fate of a task."""

    ref: ImageRef
    word: str
    """The last one."""
    share: float
    """The place of its end between the least and the most seconds, from 0 to 1."""


def fate_of(number: int) -> Fate:
    """Return the fate of the n-th task; always the same one."""
    chance = random.Random(number)
    drawn = chance.random() * 100
    word = "failed" if drawn < FAILING else "generating" if drawn < FAILING + ENDLESS else "success"
    return Fate(ImageRef(f"66{number:022x}"), word, chance.random())


async def _trouble(service: Emulator) -> None:
    """Queue up trouble for one request in twenty, of each kind as often as of others."""
    owed = 0.0
    while True:
        await asyncio.sleep(_BETWEEN)
        owed += SHARE * len(service.requests)
        service.requests.clear()
        while owed >= random.random() and owed > 0:
            service.fault(random.choice(list(TROUBLE.values())))
            owed -= 1


async def _obey(service: Emulator) -> None:
    loop = asyncio.get_running_loop()
    orders = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    there: deque[tuple[float, ImageRef]] = deque()
    while line := await orders.readline():
        _, first, count, *seconds = line.split()
        least, most = map(float, seconds)
        for number in range(int(first), int(first) + int(count)):
            ref, word, share = fate_of(number)
            service.add_image(("generating", least + share * (most - least)), word, id=ref.id)
            there.append((loop.time() + _KEPT, ref))
        while there and there[0][0] < loop.time():
            service.remove(there.popleft()[1])
        print("done", flush=True)


async def main() -> None:
    async with Emulator() as service:
        print(service.url, service.api_key, flush=True)
        troubling = asyncio.create_task(_trouble(service))
        await _obey(service)
        troubling.cancel()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
