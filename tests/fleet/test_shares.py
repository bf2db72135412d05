"""Shares of refs and of the rate, as workers come and go."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter

import pytest

from aitoearn_async import (
    Client,
)
from aitoearn_async.emulator import Emulator
from aitoearn_async.fleet import Fleet
from aitoearn_async.fleet.ledger import Kind, Member
from tests.fleet.chaos import most_in_a_second
from tests.fleet.engines import SqliteEngine
from tests.fleet.workers import (
    Workers,
    held,
    images,
    taken,
    until_held,
)
from tests.support.clock import ROUNDING


async def test_a_newcomer_gets_its_share(
    fleet: Fleet, crew: Workers, aitoearn_service: Emulator
) -> None:
    """Though nothing waits: the others hand some over, and each ref stays with one of them."""
    await taken(fleet, crew, 300, 1e6)
    for count in (2, 3, 4):
        crew.join()
        async with asyncio.timeout(20):
            while not _is_even(await held(fleet), 300, count):  # noqa: ASYNC110 - virtual time
                await asyncio.sleep(1)
    assert (await fleet.status()).held == 300


async def test_only_what_stays_too_much_is_handed_over(
    file: SqliteEngine, fleet: Fleet, crew: Workers, aitoearn_service: Emulator
) -> None:
    """Another one that wants some in one beat, and has its share in the next, is given none."""
    await taken(fleet, crew, 100, 1e6)
    async with file.opened() as ledger:
        other = Member(id=await ledger.join(Kind.WORKER, "other"), kind=Kind.WORKER, open=True)
        shares: list[list[int]] = []
        for reported in (0, 100, 0, 100, 0, 0, 0):
            other.held = reported
            await ledger.beat(other.id, lambda _: other)
            await asyncio.sleep(5)  # the worker beats once in this time
            shares.append(await held(fleet))
    assert shares == [[100, 0], [100, 100], [100, 0], [100, 100], [100, 0], [50, 0], [50, 0]]


@pytest.mark.parametrize(
    ("count", "apart"),
    [(2_000, 0.2), (300, 0.05), (300, 0.4), (100, 0.3)],
    ids=["a bulk", "a small one", "a small one, and slow workers", "a smaller one"],
)
async def test_workers_that_start_together_share_from_the_beginning(
    fleet: Fleet, crew: Workers, aitoearn_service: Emulator, count: int, apart: float
) -> None:
    """The first of them has not taken all before the last one is there: nothing is handed over."""
    await fleet.add(images(aitoearn_service, count, 1e6))
    for _ in range(3):
        crew.join()
        await asyncio.sleep(apart)
    await asyncio.sleep(3)  # and nobody has beaten a second time
    assert _is_even(await held(fleet), count, 3), await held(fleet)


async def test_workers_that_start_together_wait_for_neighbours(
    file: SqliteEngine, fleet: Fleet, crew: Workers, aitoearn_service: Emulator
) -> None:
    """Their shares are even in two seconds, and each is a few stretches of the service's lists."""
    refs = images(aitoearn_service, 3_000, 1e6)
    await fleet.add(refs)
    for _ in range(3):
        crew.join()
    await asyncio.sleep(2.5)
    shares = await held(fleet)
    assert _is_even(shares, 3_000, 3), shares
    places = {str(ref): place for place, ref in enumerate(refs)}
    async with file.opened() as ledger:
        for member in (await ledger.counts()).members:
            pages = Counter(places[ref] // 1_000 for ref in await ledger.held(member.id, 3_000))
            assert sum(count >= 100 for count in pages.values()) <= 2


@pytest.mark.sampled(2)
@pytest.mark.parametrize("moment", [0.0, 0.2, 0.4, 0.6])
async def test_a_rolling_deploy_hands_over_within_a_second(
    fleet: Fleet, crew: Workers, aitoearn_service: Emulator, moment: float
) -> None:
    """Whenever the others look, and though a newcomer is there before they have."""
    await fleet.add(images(aitoearn_service, 1_500, 1e6))
    for _ in range(3):
        crew.join()
    await until_held(fleet, 1_500)
    await asyncio.sleep(10 + moment)
    leaving = asyncio.create_task(crew.leave(crew.workers[0]))
    await asyncio.sleep(0.3)
    crew.join()
    await leaving
    await asyncio.sleep(0.7 - ROUNDING)
    assert sum(await held(fleet)) == 1_500


@pytest.mark.slow
async def test_parts_of_a_bulk_cost_no_more_polls_than_the_whole(
    fleet: Fleet, crew: Workers, aitoearn_service: Emulator
) -> None:
    """Each worker finds its own on pages, though newer tasks fill the first four of them."""
    service = aitoearn_service
    await fleet.add(images(service, 400, 20.0))
    images(service, 4_000, 1e6)
    for _ in range(3):
        crew.join()
    while (await fleet.status()).ended < 400:  # noqa: ASYNC110 - virtual time passes
        await asyncio.sleep(1)
    asked = Counter(request.route for request in service.requests)
    # 427 and 120; one worker alone that found none of its own would add 200.
    assert asked["image"] <= 500
    assert asked["logs"] <= 160


def _is_even(shares: list[int], total: int, count: int) -> bool:
    even = max(shares) <= 1.3 * total / count
    return even and len(shares) == count and sum(shares) == total


async def test_no_more_than_max_pending_is_held(
    fleet: Fleet, crew: Workers, aitoearn_service: Emulator
) -> None:
    """One that is full does not hold the other back."""
    await fleet.add(images(aitoearn_service, 200, 1e6))
    crew.join(max_pending=20)
    crew.join(max_pending=100)
    await until_held(fleet, 120)
    await asyncio.sleep(8)
    assert sorted(await held(fleet)) == [20, 100]


@pytest.mark.sampled(2)
@pytest.mark.usefixtures("untraced")
@pytest.mark.parametrize("rate", [3, 20])
async def test_the_fleets_rate_is_never_exceeded(
    fleet: Fleet, crew: Workers, aitoearn_service: Emulator, rate: int
) -> None:
    """In any second, while workers join and leave."""
    await fleet.add(images(aitoearn_service, 200, 1e6))
    for step in range(4):
        crew.join(requests_per_second=rate)
        if step == 2:
            await crew.leave(random.choice(crew.workers))
        await asyncio.sleep(random.uniform(0, 7))
    await asyncio.sleep(14)
    moments = [request.at for request in aitoearn_service.requests]
    assert most_in_a_second(moments) <= rate
    # Asked by pages, many tasks need few requests; most of the rate may be left.
    assert len([at for at in moments if at > moments[-1] - 8]) >= 2
    status = await fleet.status()
    assert status.requests_per_second == rate
    assert sum(each.requests_per_second or 0 for each in status.members) <= rate


@pytest.mark.parametrize("named_first", [False, True])
async def test_a_worker_that_names_no_rate_keeps_to_that_of_the_fleet(
    fleet: Fleet, crew: Workers, aitoearn_service: Emulator, named_first: bool
) -> None:
    """Whoever came first. It holds its share of the refs."""
    await fleet.add(images(aitoearn_service, 100, 1e6))
    for rate in (4, None) if named_first else (None, 4):
        crew.join(requests_per_second=rate)
        await asyncio.sleep(8)
    aitoearn_service.requests.clear()
    await asyncio.sleep(30)
    assert len(aitoearn_service.requests) > 10
    assert most_in_a_second([request.at for request in aitoearn_service.requests]) <= 4
    assert min(await held(fleet)) >= 40
    assert [each.requests_per_second for each in (await fleet.status()).members] == [2, 2]


async def test_a_worker_that_rests_still_names_its_rate(
    fleet: Fleet, crew: Workers, aitoearn_service: Emulator
) -> None:
    """It has not left. Its share is that of the others."""
    await fleet.add(images(aitoearn_service, 10, 1e6))
    crew.join(key="wrong-key", requests_per_second=4)
    await asyncio.sleep(20)
    assert (await fleet.status()).requests_per_second == 4


@pytest.mark.parametrize(("rate", "used"), [(20, 19), (0.001, 0.00095)])
async def test_five_percent_of_a_rate_are_left_unused(
    fleet: Fleet, aitoearn_service: Emulator, rate: float, used: float
) -> None:
    """Requests that leave evenly spaced do not arrive so."""
    async with Client(aitoearn_service.api_key, base_url=aitoearn_service.url) as client:
        working = asyncio.create_task(fleet.work(client, requests_per_second=rate))
        await asyncio.sleep(20)
        assert client.requests_per_second == pytest.approx(used)
        working.cancel()
        await asyncio.wait([working])
        assert client.requests_per_second is None


async def test_a_worker_alone_has_the_whole_rate_from_the_first_beat(
    fleet: Fleet, crew: Workers, aitoearn_service: Emulator
) -> None:
    """It does not take itself for another one."""
    crew.join(requests_per_second=20)
    await asyncio.sleep(0.5)
    (member,) = (await fleet.status()).members
    assert member.requests_per_second == 20


async def test_more_workers_than_requests_a_second(
    fleet: Fleet, crew: Workers, aitoearn_service: Emulator
) -> None:
    """The last to join hold nothing, and step in when another leaves."""
    await fleet.add(images(aitoearn_service, 30, 1e6))
    for _ in range(4):
        crew.join(requests_per_second=2)
        await asyncio.sleep(8)
    assert sorted(await held(fleet))[:2] == [0, 0]
    await crew.leave(crew.workers[0])
    await asyncio.sleep(15)
    assert sorted(await held(fleet))[0] == 0
    assert sum(await held(fleet)) == 30
    moments = [request.at for request in aitoearn_service.requests]
    assert most_in_a_second(moments) <= 2


async def test_the_clients_own_rate_is_put_back(
    file: SqliteEngine, fleet: Fleet, aitoearn_service: Emulator
) -> None:
    """It is an upper bound meanwhile."""
    await fleet.add(images(aitoearn_service, 50, 1e6))
    service = aitoearn_service
    async with Client(service.api_key, base_url=service.url, requests_per_second=2) as client:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(30):
                await fleet.work(client, requests_per_second=100)
        assert client.requests_per_second == 2
    assert most_in_a_second([request.at for request in service.requests]) <= 2


async def test_a_client_works_for_one_call_alone(
    fleet: Fleet, file: SqliteEngine, aitoearn_service: Emulator
) -> None:
    """Each sets its rate, and would put back what it found."""
    key, url = aitoearn_service.api_key, aitoearn_service.url
    async with Client(key, base_url=url) as client, Fleet(file.url, name="other") as other:
        working = asyncio.create_task(fleet.work(client, requests_per_second=10))
        await asyncio.sleep(5)
        with pytest.raises(RuntimeError, match="in use by another"):
            await other.work(client, requests_per_second=10)
        assert client.requests_per_second == 9.5
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        assert client.requests_per_second is None
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await other.work(client)


@pytest.mark.usefixtures("untraced")
async def test_the_clients_own_rate_is_put_back_for_good(
    fleet: Fleet, aitoearn_service: Emulator
) -> None:
    """Though a worker is cancelled as it gets its share, which it uses a second later."""
    await fleet.add(images(aitoearn_service, 50, 1e6))
    key, url = aitoearn_service.api_key, aitoearn_service.url
    for steps in range(20):
        async with Client(key, base_url=url, requests_per_second=30) as client:
            working = asyncio.create_task(fleet.work(client, requests_per_second=10))
            for _ in range(steps):
                await asyncio.sleep(0)
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
            await asyncio.sleep(2)
            assert client.requests_per_second == 30
