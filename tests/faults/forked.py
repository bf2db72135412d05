"""A process that forks with a client in use, and says what either side can do with it.

Its server is elsewhere: `python -m tests.faults.forked URL`.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from aitoearn_async import Client
from tests.support.raw_server import KEY, REF

from .calls import CALLS, get

Tell = dict[str, str]


def told(run: Callable[[Coroutine[Any, Any, object]], object], client: Client) -> Tell:
    """What each call comes to, by this way of running it."""

    async def outcome(call: Callable[[Client], Any]) -> str:
        try:
            await call(client)
        except Exception as exc:
            return f"{type(exc).__name__}: {exc}"
        return "done"

    calls: dict[str, Callable[[Client], Any]] = {**CALLS, "aclose": Client.aclose}
    return {name: str(run(outcome(call))) for name, call in calls.items()}


def in_the_child(runner: asyncio.Runner, client: Client, url: str) -> dict[str, Tell]:
    async def another() -> str:
        async with Client(KEY, base_url=url) as own:
            await own.get(REF)
        return "done"

    return {
        "the same loop": told(runner.run, client),
        "another loop": told(asyncio.run, client),
        "a client of its own": {"get": asyncio.run(another())},
    }


def main(url: str) -> None:
    with asyncio.Runner() as runner:
        client = Client(KEY, base_url=url)
        runner.run(get(client))
        mine, childs = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(childs, json.dumps(in_the_child(runner, client, url)).encode())
            os._exit(0)
        os.close(childs)
        with open(mine, encoding="utf-8") as pipe:
            found: dict[str, Any] = {"child": json.load(pipe)}
        found["exit"] = os.waitpid(child, 0)[1]
        found["parent"] = told(runner.run, client)
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
