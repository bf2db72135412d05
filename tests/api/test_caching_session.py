"""A session of the caller's that answers out of a cache of its own: it is seen, and gone past."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from aitoearn_async import Client
from aitoearn_async.emulator import Emulator


@pytest.fixture
async def client(aitoearn_service: Emulator) -> AsyncIterator[Client]:
    # Here, since all processes of a run read this file, and it brings a package of some weight.
    from aiohttp_client_cache.backends.base import CacheBackend
    from aiohttp_client_cache.session import CachedSession

    key, url = aitoearn_service.api_key, aitoearn_service.url
    backend = CacheBackend(allowed_codes=(200, 304))
    async with (
        CachedSession(cache=backend) as session,
        Client(key, base_url=url, session=session) as client,
    ):
        yield client


async def test_a_wait_ends_when_its_task_does(
    aitoearn_service: Emulator, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    """One poll is answered from the cache; the next ones reach the service, and that is told."""
    ref = aitoearn_service.add_image(("generating", 20), "success")
    waiter = client.wait_for(ref, timeout=3600)
    assert (await waiter).images
    assert waiter.elapsed < 40
    assert waiter.seen["generating from a cache"] == 1
    assert len(aitoearn_service.requests) == waiter.polls - 1
    (warning,) = caplog.messages
    assert warning.startswith("the session given to the Client answers polls out of a cache")


async def test_a_look_is_a_look_at_the_service(aitoearn_service: Emulator, client: Client) -> None:
    """`get` does not tell how a task stood when it was asked for last."""
    ref = aitoearn_service.add_image(("generating", 20), "success")
    assert (await client.get(ref)).status == "generating"
    aitoearn_service.set_status(ref, "success")
    assert (await client.get(ref)).status == "success"
    batch = await client.wait_all([aitoearn_service.add_image(("generating", 20), "success")])
    assert batch[0].ok
