"""The places of a limit: who gets one, and when."""

from __future__ import annotations

import asyncio

from aitoearn_async._runtime.concurrency_limit import ConcurrencyLimit


async def test_places_are_given_in_the_order_of_the_queue() -> None:
    """Nobody goes past those who wait, though he waits for nothing himself."""
    places, came = ConcurrencyLimit(1), list[int]()

    async def work(number: int) -> None:
        await places.take()
        came.append(number)
        await asyncio.sleep(1)
        places.give_back()

    assert places.try_take()
    waiting = [asyncio.ensure_future(work(number)) for number in range(3)]
    await asyncio.sleep(0)
    places.give_back()
    assert not places.try_take()
    await asyncio.gather(*waiting)
    assert came == [0, 1, 2]
    assert places.taken == 0


async def test_a_place_is_not_lost_with_whoever_is_cancelled_as_he_gets_it() -> None:
    places = ConcurrencyLimit(1)
    assert places.try_take()
    first, second = (asyncio.ensure_future(places.take()) for _ in range(2))
    await asyncio.sleep(0)
    places.give_back()
    first.cancel()
    await second
    assert first.cancelled()
    assert places.taken == 1
