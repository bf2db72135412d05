"""Every public call of a client, to be made under each fault. What befalls them is elsewhere."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import tenacity

from aitoearn_async import AnyRef, Client, ImageRef, ImageTask, Outcome
from tests.support.raw_server import REF

Call = Callable[[Client], Awaitable[object]]

OTHER = ImageRef("66f0c0ffee0123456789abce")
SOON = tenacity.wait_fixed(1)


async def get(client: Client) -> ImageTask:
    return await client.get(REF)


async def wait_for(client: Client) -> ImageTask:
    return await client.wait_for(REF, wait=SOON)


async def watch(client: Client) -> list[ImageTask]:
    return [task async for task in client.wait_for(REF, wait=SOON)]


async def as_completed(client: Client) -> list[Outcome[ImageTask]]:
    async with client.as_completed([REF, OTHER], wait=SOON) as batch:
        return [outcome async for outcome in batch]


async def wait_all(client: Client) -> list[Outcome[ImageTask]]:
    return await client.wait_all([REF, OTHER], wait=SOON)


CALLS: dict[str, Call] = {
    "get": get,
    "wait_for": wait_for,
    "watch": watch,
    "as_completed": as_completed,
    "wait_all": wait_all,
}


def words(found: object) -> list[str]:
    """The status of each task that a call came to."""
    several: list[Any] = found if isinstance(found, list) else [found]
    tasks = [one.unwrap() if isinstance(one, Outcome) else one for one in several]
    return [task.status for task in tasks]


def about_ref(found: object) -> object:
    """What a call came to for `REF` alone, at last."""
    if not isinstance(found, list):
        return found
    return [one for one in found if one.ref == REF][-1]


def ref_of(outcome: Outcome[Any]) -> AnyRef:
    """Whose outcome it is."""
    assert isinstance(outcome.ref, AnyRef)
    return outcome.ref
