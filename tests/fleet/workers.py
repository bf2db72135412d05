"""Workers in this process, on virtual time, and what tests ask and add."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

from aitoearn_async import AnyRef, AnyTask, Client, ImageRef, Outcome
from aitoearn_async.emulator import Emulator
from aitoearn_async.fleet import Fleet
from aitoearn_async.fleet.one_thread import OneThread
from tests.fleet.engines import SqliteEngine


class AtOnce(OneThread):
    """Does at once, where it was asked, what it is given: real time takes no part in a test."""

    def submit(self, call: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(call(*args, **kwargs))
        except BaseException as error:
            future.set_exception(error)
        return future


class Workers:
    """Workers, each with a fleet and a client of its own."""

    def __init__(self, file: SqliteEngine, service: Emulator) -> None:
        self.engine = file
        self.service = service
        self.workers: list[asyncio.Task[None]] = []

    def join(self, *, key: str | None = None, **options: Any) -> asyncio.Task[None]:
        worker = asyncio.create_task(self._work(key or self.service.api_key, options))
        self.workers.append(worker)
        return worker

    async def _work(self, key: str, options: dict[str, Any]) -> None:
        async with (
            Fleet(self.engine.url) as fleet,
            Client(key, base_url=self.service.url) as client,
        ):
            await fleet.work(client, **options)

    async def leave(self, worker: asyncio.Task[None]) -> None:
        self.workers.remove(worker)
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)


def images(service: Emulator, count: int, seconds: float = 30.0) -> list[AnyRef]:
    return [service.add_image(("generating", seconds), "success") for _ in range(count)]


async def all_outcomes(fleet: Fleet, prefetch: int = 100) -> list[Outcome[AnyTask]]:
    async with fleet.outcomes(follow=False, prefetch=prefetch) as outcomes:
        return [outcome async for outcome in outcomes]


async def held(fleet: Fleet) -> list[int]:
    return [each.held for each in (await fleet.status()).members if each.kind == "worker"]


async def troubles(fleet: Fleet) -> list[str]:
    return [each.trouble for each in (await fleet.status()).members if each.trouble]


async def until_held(fleet: Fleet, count: int) -> None:
    while sum(await held(fleet)) < count:  # noqa: ASYNC110 - virtual time passes
        await asyncio.sleep(0.1)


async def taken(fleet: Fleet, crew: Workers, count: int, seconds: float) -> list[AnyRef]:
    """Refs of tasks that run for so long, all of them held by one worker."""
    refs = images(crew.service, count, seconds)
    await fleet.add(refs)
    crew.join()
    await until_held(fleet, count)
    return refs


def endless_ids(count: int) -> Iterator[ImageRef]:
    return (ImageRef(f"{number:024x}") for number in range(count))


async def ended(fleet: Fleet, crew: Workers, service: Emulator, count: int) -> list[AnyRef]:
    """Refs with outcomes that nobody has read."""
    refs = images(service, count, 0.5)
    await fleet.add(refs)
    worker = crew.join()
    while (await fleet.status()).ended < count:  # noqa: ASYNC110 - virtual time passes
        await asyncio.sleep(0.5)
    await crew.leave(worker)
    return refs
