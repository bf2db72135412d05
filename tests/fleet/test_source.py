"""The looks of a worker for refs: how many there are, and how soon they find some."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aitoearn_async.emulator import Emulator
from aitoearn_async.fleet import Fleet
from aitoearn_async.fleet.sqlite import SqliteLedger
from tests.fleet.workers import Workers, images


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The moments at which a worker has asked for refs."""
    moments: list[float] = []
    take: Any = SqliteLedger.take

    async def noted(*args: Any) -> Any:
        moments.append(asyncio.get_running_loop().time())
        return await take(*args)

    monkeypatch.setattr(SqliteLedger, "take", noted)
    return moments


async def test_a_worker_does_not_look_for_what_its_other_calls_see(
    fleet: Fleet, crew: Workers, aitoearn_service: Emulator, looks: list[float]
) -> None:
    """Of each beat, and of each time it writes down outcomes. New refs are found as soon."""
    some = [aitoearn_service.add_image(("generating", 10 + n / 4), "success") for n in range(80)]
    await fleet.add(some)
    crew.join()
    await asyncio.sleep(10)
    looks.clear()
    await asyncio.sleep(20)
    assert len(looks) <= 21  # and 25 without beats and outcomes
    await fleet.add(images(aitoearn_service, 1, 1e6))
    await asyncio.sleep(0.9)
    assert not (await fleet.status()).waiting
