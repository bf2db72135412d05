"""What every ledger does: each arrow of its diagram, and each refused for whoever may not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from aitoearn_async.fleet import Fleet
from aitoearn_async.fleet.errors import LeaseLostError
from aitoearn_async.fleet.ledger import Kind, Ledger, Member, Origin, Taken
from tests.fleet.engines import Engine, engine_of

WORKER, READER = Kind.WORKER, Kind.READER


def refs(count: int, first: int = 0) -> list[str]:
    return [f"image:{number:024x}" for number in range(first, first + count)]


async def worker(ledger: Ledger) -> int:
    return await ledger.join(WORKER, "a worker")


async def reader(ledger: Ledger) -> int:
    return await ledger.join(READER, "a reader")


async def take(ledger: Ledger, member: int, most: int = 1_000, call: int = 1) -> list[Taken]:
    return await ledger.take(member, call, lambda _, free: most)


async def took(ledger: Ledger, member: int, most: int = 1_000, call: int = 1) -> list[str]:
    return [taken.ref for taken in await take(ledger, member, most, call)]


async def free(ledger: Ledger, member: int, call: int) -> int:
    """The number of refs that nobody holds, as one is told who would take some and takes none."""
    told = [0]

    def allow(_: Sequence[Member], free: int) -> int:
        told.append(free)
        return 0

    await ledger.take(member, call, allow)
    return told[-1]


async def record(ledger: Ledger, member: int, some: Sequence[str]) -> int:
    return await ledger.record(member, [(ref, f"outcome of {ref}".encode()) for ref in some])


async def read(
    ledger: Ledger, member: int, done: Sequence[str] = (), most: int = 1_000
) -> list[str]:
    return [ref for ref, _ in await ledger.read(member, done, most)]


async def states(ledger: Ledger) -> list[int]:
    counts = await ledger.counts()
    return [counts.waiting, counts.held, counts.ended, counts.reading, counts.done]


async def test_a_ref_goes_through_all_states(ledger: Ledger) -> None:
    """Added, taken, recorded, read, done, forgotten; each shows in the counts."""
    (ref,) = refs(1)
    assert await states(ledger) == [0, 0, 0, 0, 0]
    assert await ledger.add([ref]) == 1
    assert await states(ledger) == [1, 0, 0, 0, 0]
    mine, theirs = await worker(ledger), await reader(ledger)
    assert await took(ledger, mine) == [ref]
    assert await states(ledger) == [0, 1, 0, 0, 0]
    assert await record(ledger, mine, [ref]) == 1
    assert await states(ledger) == [0, 0, 1, 0, 0]
    assert await ledger.read(theirs, [], 10) == [(ref, f"outcome of {ref}".encode())]
    assert await states(ledger) == [0, 0, 0, 1, 0]
    assert not await ledger.finished()
    assert await read(ledger, theirs, [ref]) == []
    assert await states(ledger) == [0, 0, 0, 0, 1]
    assert await ledger.finished()
    assert await ledger.forget(0.0, 10) == 1
    assert await states(ledger) == [0, 0, 0, 0, 0]


async def test_added_again_is_nothing_new(ledger: Ledger) -> None:
    """In one call, in another, and in every state that the ref may be in."""
    some = refs(3)
    assert await ledger.add([*some, *some]) == 3
    assert await ledger.add(some) == 0
    mine, theirs = await worker(ledger), await reader(ledger)
    await take(ledger, mine)
    assert await ledger.add(some) == 0
    await record(ledger, mine, some)
    assert await ledger.add(some) == 0
    await read(ledger, theirs)
    assert await ledger.add(some) == 0
    await read(ledger, theirs, some)
    assert await ledger.add([*some, *refs(1, 3)]) == 1
    assert await took(ledger, mine, call=2) == refs(1, 3)


async def test_a_ref_is_remembered_as_long_as_it_should(engine: Engine, ledger: Ledger) -> None:
    """Refs that are not done are not forgotten, however old they are."""
    mine, theirs = await worker(ledger), await reader(ledger)
    await ledger.add(refs(4))
    await take(ledger, mine, 3)
    await record(ledger, mine, refs(2))
    await read(ledger, theirs, most=1)
    await read(ledger, theirs, refs(1), most=0)
    assert await ledger.forget(100.0, 10) == 0
    await engine.make_older(101.0)
    assert await ledger.forget(100.0, 10) == 1
    assert await ledger.add(refs(4)) == 1
    assert await states(ledger) == [2, 1, 1, 0, 0]


async def test_the_oldest_are_taken_first(ledger: Ledger) -> None:
    """And no more than are wanted."""
    await ledger.add(refs(5))
    await asyncio.sleep(0)
    await ledger.add(refs(5, 5))
    mine = await worker(ledger)
    assert sorted(await took(ledger, mine, 5)) == refs(5)
    assert await took(ledger, mine, 0, call=2) == []
    assert sorted(await took(ledger, mine, 100, call=3)) == refs(5, 5)


async def test_ages_count_from_when_a_ref_was_added(engine: Engine, ledger: Ledger) -> None:
    """By the engine's clock, and over all who held it."""
    await ledger.add(refs(1))
    await engine.make_older(50.0)
    first, second = await worker(ledger), await worker(ledger)
    (taken,) = await take(ledger, first)
    assert 50 <= taken.age < 80
    assert taken.origin is Origin.NEW
    await engine.make_older(50.0)
    await ledger.leave(first)
    (taken,) = await take(ledger, second)
    assert 100 <= taken.age < 130
    oldest = (await ledger.counts()).oldest
    assert oldest is not None
    assert 100 <= oldest < 130


async def test_what_is_taken_in_parallel_is_disjoint(engine: Engine) -> None:
    """Four workers on connections of their own take all there is, each ref once."""
    async with engine.opened() as one:
        await one.add(refs(2_000))
    taken: list[str] = []

    async def work() -> None:
        async with engine.opened() as ledger:
            mine = await worker(ledger)
            call = 1
            while some := await took(ledger, mine, 50, call):
                taken.extend(some)
                call += 1

    await asyncio.gather(*(work() for _ in range(4)))
    assert sorted(taken) == refs(2_000)


async def test_a_call_that_is_repeated_takes_the_same(ledger: Ledger) -> None:
    """Its reply may have been lost; a call with another number takes others."""
    await ledger.add(refs(20))
    mine = await worker(ledger)
    some = await took(ledger, mine, 5, call=7)
    assert sorted(await took(ledger, mine, 5, call=7)) == sorted(some)
    others = await took(ledger, mine, 5, call=8)
    assert not set(some) & set(others)
    assert sorted(await took(ledger, mine, 5, call=8)) == sorted(others)
    assert await states(ledger) == [10, 10, 0, 0, 0]


async def test_who_takes_is_told_how_many_nobody_holds(engine: Engine, ledger: Ledger) -> None:
    """Those that wait, and those that somebody who is gone has left."""
    mine, theirs = await worker(ledger), await worker(ledger)
    assert await free(ledger, mine, 1) == 0
    await ledger.add(refs(10))
    assert await free(ledger, mine, 2) == 10
    given = await took(ledger, theirs, 4)
    assert await free(ledger, mine, 3) == 6
    await ledger.give(theirs, given[:1])
    assert await free(ledger, mine, 4) == 7
    await ledger.leave(theirs)
    assert await free(ledger, mine, 5) == 10
    assert len(await took(ledger, mine, call=6)) == 10
    await ledger.add(refs(1, 10))
    assert await free(ledger, mine, 7) == 1


@pytest.mark.parametrize(
    ("graceful", "origin"), [(True, Origin.HANDED_OVER), (False, Origin.ORPHAN)]
)
async def test_what_a_worker_leaves_is_taken_over(
    engine: Engine, ledger: Ledger, graceful: bool, origin: Origin
) -> None:
    """Before what waits, all of it, and with how it was left; the leaver is no member then."""
    await ledger.add(refs(10))
    gone, mine = await worker(ledger), await worker(ledger)
    left = await took(ledger, gone, 6)
    await (ledger.leave(gone) if graceful else engine.end_lease(gone))
    first = await take(ledger, mine, 4, call=1)
    rest = await take(ledger, mine, 100, call=2)
    assert sorted(taken.ref for taken in [*first, *rest]) == refs(10)
    over = [taken for taken in [*first, *rest] if taken.ref in left]
    assert {taken.origin for taken in over} == {origin}
    assert {taken.origin for taken in rest if taken.ref not in left} == {Origin.NEW}
    assert [member.id for member in (await ledger.counts()).members] == [mine]


@pytest.mark.parametrize("graceful", [True, False])
async def test_one_without_a_lease_can_do_nothing(
    engine: Engine, ledger: Ledger, graceful: bool
) -> None:
    """Not even before others have taken over: not beat, not take, not record."""
    await ledger.add(refs(2))
    gone, mine = await worker(ledger), await worker(ledger)
    await take(ledger, gone, 1)
    await (ledger.leave(gone) if graceful else engine.end_lease(gone))
    with pytest.raises(LeaseLostError, match=f"member {gone} "):
        await ledger.beat(gone, lambda members: Member(id=gone, kind=WORKER))
    with pytest.raises(LeaseLostError):
        await ledger.renew(gone, lambda: Member(id=gone, kind=WORKER))
    with pytest.raises(LeaseLostError, match=f"member {gone} "):
        await take(ledger, gone, call=2)
    with pytest.raises(LeaseLostError):
        await record(ledger, gone, refs(1))
    assert sorted(await took(ledger, mine)) == refs(2)
    with pytest.raises(LeaseLostError):
        await record(ledger, gone, refs(1))
    await ledger.leave(gone)
    assert await states(ledger) == [0, 2, 0, 0, 0]


@pytest.mark.parametrize("graceful", [True, False])
async def test_one_without_a_lease_is_told_where_there_is_nothing_to_do(
    engine: Engine, ledger: Ledger, graceful: bool
) -> None:
    """It would look for tasks and outcomes without end, and be a member no more."""
    for joined, call in ((await worker(ledger), take), (await reader(ledger), read)):
        assert await call(ledger, joined) == []
        await (ledger.leave(joined) if graceful else engine.end_lease(joined))
        with pytest.raises(LeaseLostError, match=f"member {joined} "):
            await call(ledger, joined)


async def test_only_the_holder_records(ledger: Ledger) -> None:
    """Not another worker, not before it is taken, and not a second time."""
    await ledger.add(refs(3))
    mine, other = await worker(ledger), await worker(ledger)
    held = await took(ledger, mine, 2)
    assert await record(ledger, other, refs(3)) == 0
    assert await record(ledger, mine, refs(3)) == 2
    assert await record(ledger, mine, held) == 0
    assert await states(ledger) == [1, 0, 2, 0, 0]


async def test_the_first_outcome_stays(ledger: Ledger) -> None:
    """One who tries again changes nothing."""
    await ledger.add(refs(1))
    mine, theirs = await worker(ledger), await reader(ledger)
    await take(ledger, mine)
    await ledger.record(mine, [(refs(1)[0], b"first")])
    assert await ledger.record(mine, [(refs(1)[0], b"second")]) == 0
    assert await ledger.read(theirs, [], 1) == [(refs(1)[0], b"first")]


async def test_refs_are_handed_over(ledger: Ledger) -> None:
    """By their holder alone; whoever is next takes them, and they count as looked after."""
    await ledger.add(refs(6))
    mine, other = await worker(ledger), await worker(ledger)
    held = await took(ledger, mine, 4)
    assert set(await ledger.held(mine, 3)) < set(held)
    assert sorted(await ledger.held(mine, 100)) == sorted(held)
    await ledger.give(other, held)
    assert sorted(await ledger.held(mine, 100)) == sorted(held)
    for _ in range(2):  # a repetition changes nothing
        await ledger.give(mine, [*held[:2], *set(refs(6)) - set(held)])
    assert sorted(await ledger.held(mine, 100)) == sorted(held[2:])
    assert await record(ledger, mine, held) == 2
    taken = await take(ledger, other)
    given = {each.ref for each in taken if each.origin is Origin.HANDED_OVER}
    assert given == set(held[:2])
    assert len(taken) == 4


async def test_an_outcome_goes_to_one_reader(ledger: Ledger) -> None:
    """Others get others. It is done by its reader alone, and then gone."""
    await ledger.add(refs(4))
    mine = await worker(ledger)
    await take(ledger, mine)
    await record(ledger, mine, refs(4))
    first, second = await reader(ledger), await reader(ledger)
    some = await read(ledger, first, most=2)
    others = await read(ledger, second, most=10)
    assert sorted([*some, *others]) == refs(4)
    assert await read(ledger, second, some, most=2) == others
    assert await states(ledger) == [0, 0, 0, 4, 0]
    assert await read(ledger, first, some[:1], most=1) == some[1:]
    assert await read(ledger, first, some, most=1) == []
    assert await states(ledger) == [0, 0, 0, 2, 2]


async def test_a_read_that_is_repeated_gives_the_same(ledger: Ledger) -> None:
    """Its reply may have been lost: what is not done comes again, up to the most."""
    await ledger.add(refs(4))
    mine, theirs = await worker(ledger), await reader(ledger)
    await take(ledger, mine)
    await record(ledger, mine, refs(4))
    some = await ledger.read(theirs, [], 2)
    assert sorted(await ledger.read(theirs, [], 2)) == sorted(some)
    assert await states(ledger) == [0, 0, 2, 2, 0]


@pytest.mark.parametrize("graceful", [True, False])
async def test_what_a_reader_leaves_is_read_by_another(
    engine: Engine, ledger: Ledger, graceful: bool
) -> None:
    """And can no longer be done by the one who left."""
    await ledger.add(refs(2))
    mine = await worker(ledger)
    await take(ledger, mine)
    await record(ledger, mine, refs(2))
    gone, theirs = await reader(ledger), await reader(ledger)
    some = await ledger.read(gone, [], 1)
    await (ledger.leave(gone) if graceful else engine.end_lease(gone))
    with pytest.raises(LeaseLostError):
        await read(ledger, gone, [some[0][0]])
    assert sorted(await read(ledger, theirs)) == refs(2)
    assert await states(ledger) == [0, 0, 0, 2, 0]


@pytest.mark.parametrize("graceful", [True, False])
async def test_what_several_leave_is_taken_over_bit_by_bit(
    engine: Engine, ledger: Ledger, graceful: bool
) -> None:
    """By workers and by readers, who take no more than they asked for."""

    async def gone(member: int) -> None:
        await (ledger.leave(member) if graceful else engine.end_lease(member))

    await ledger.add(refs(6))
    for number in range(3):
        leaver = await worker(ledger)
        await take(ledger, leaver, 2, call=number)
        await gone(leaver)
    mine = await worker(ledger)
    taken = [await took(ledger, mine, 1, call=call) for call in range(1, 7)]
    assert sorted(ref for some in taken for ref in some) == refs(6)
    assert await record(ledger, mine, refs(6)) == 6
    for _ in range(3):
        leaver = await reader(ledger)
        await read(ledger, leaver, most=2)
        await gone(leaver)
    theirs = await reader(ledger)
    got: list[str] = []
    done: list[str] = []
    while done := await read(ledger, theirs, done, most=1):
        assert len(done) == 1
        got += done
    assert sorted(got) == refs(6)
    assert await states(ledger) == [0, 0, 0, 0, 6]


async def test_each_beat_sees_the_reports_of_all(ledger: Ledger) -> None:
    """With what they hold now, and without those who are gone."""
    await ledger.add(refs(5))
    first, second, third = await worker(ledger), await worker(ledger), await reader(ledger)
    await ledger.beat(
        first, lambda _: Member(id=first, kind=WORKER, name="first", rate=5.0, grant=2.0)
    )
    await take(ledger, first, 3)
    await record(ledger, first, (await ledger.held(first, 1)))
    seen: list[Member] = []

    def decide(members: Sequence[Member]) -> Member:
        seen[:] = members
        return Member(id=second, kind=WORKER, open=True)

    assert await ledger.beat(second, decide) is True
    assert [member.id for member in seen] == [first, second, third]
    assert (seen[0].name, seen[0].rate, seen[0].grant, seen[0].held) == ("first", 5.0, 2.0, 2)
    assert seen[2].kind is READER
    await ledger.leave(first)
    await take(ledger, second)
    assert await ledger.beat(second, decide) is False
    assert [member.id for member in seen] == [second, third]


async def test_a_report_that_nobody_has_to_decide_on_is_seen_by_all(ledger: Ledger) -> None:
    """It renews as a beat does, and tells the same; what it says is in the next answers."""
    await ledger.add(refs(2))
    mine, other = await worker(ledger), await worker(ledger)
    report = Member(id=mine, kind=WORKER, name="mine", held=7, open=True, rate=5.0, grant=2.0)
    members, waiting = await ledger.renew(mine, lambda: report)
    assert ([member.id for member in members], waiting) == ([mine, other], True)
    await take(ledger, other)
    members, waiting = await ledger.renew(other, lambda: Member(id=other, kind=WORKER))
    assert (members[0], waiting) == (report, False)
    await ledger.leave(other)
    members, waiting = await ledger.renew(mine, lambda: report)
    assert ([member.id for member in members], waiting) == ([mine], True)


async def test_a_report_says_what_is_held_when_it_is_sent(ledger: Ledger) -> None:
    """Not what was held before a take that it had to wait for."""
    await ledger.add(refs(5))
    mine, held = await worker(ledger), 0

    async def take_some() -> None:
        nonlocal held
        held += len(await take(ledger, mine))

    async def renew() -> None:
        await ledger.renew(mine, lambda: Member(id=mine, kind=WORKER, held=held))

    async with asyncio.TaskGroup() as group:
        taking = group.create_task(take_some())
        while not taking.done():
            group.create_task(renew())
            await asyncio.sleep(0.0005)
    assert [member.held for member in (await ledger.counts()).members] == [5]


async def test_calls_that_are_made_anyway_see_that_there_is_nothing_to_take(
    ledger: Ledger,
) -> None:
    """A worker need not look for that itself."""
    mine, other = await worker(ledger), await worker(ledger)
    report = Member(id=mine, kind=WORKER)
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "beat": lambda: ledger.beat(mine, lambda _: report),
        "renew": lambda: ledger.renew(mine, lambda: report),
        "record": lambda: record(ledger, mine, refs(1)),
        "take": lambda: take(ledger, mine, 0),
    }

    async def seen() -> list[str]:
        quiet: list[str] = []
        for name, call in calls.items():
            ledger.quiet_at = -1.0
            await call()
            quiet += [name] * (ledger.quiet_at >= 0)
        return quiet

    assert await seen() == [*calls]
    await ledger.add(refs(1))
    assert await seen() == []
    await take(ledger, other)
    assert await seen() == [*calls]
    await ledger.leave(other)
    assert await seen() == []


async def test_refs_and_members_are_counted_at_one_moment(engine: Engine, ledger: Ledger) -> None:
    """What is counted adds up while a worker takes and records, and so does what members hold."""
    await ledger.add(refs(60))
    mine = await worker(ledger)
    wrong: list[str] = []

    async def count() -> None:
        async with engine.opened() as other:
            while True:
                counts = await other.counts()
                held = sum(member.held for member in counts.members)
                total = counts.waiting + counts.held + counts.ended
                if (held, total) != (counts.held, 60):
                    wrong.append(f"{held} of {counts.held} held, {total} in all")

    counting = [asyncio.create_task(count()) for _ in range(2)]
    for call in range(60):
        assert await record(ledger, mine, await took(ledger, mine, 1, call)) == 1
    for each in counting:
        each.cancel()
    ends = await asyncio.gather(*counting, return_exceptions=True)
    assert [type(end) for end in ends] == [asyncio.CancelledError] * 2
    assert wrong == []


async def test_members_numbers_are_never_given_again(engine: Engine, ledger: Ledger) -> None:
    """One who was away for a year cannot be mistaken for another."""
    numbers = []
    for _ in range(3):
        numbers.append(await worker(ledger))
        await ledger.leave(numbers[-1])
        last = await worker(ledger)
        await take(ledger, last)
        numbers.append(last)
        await engine.end_lease(last)
    assert len(set(numbers)) == 6


async def test_two_fleets_in_one_database_do_not_meet(engine: Engine, ledger: Ledger) -> None:
    """The same ref in both is two."""
    await ledger.add(refs(2))
    async with engine.opened("other") as other:
        assert await other.add(refs(3)) == 3
        mine, theirs = await worker(ledger), await worker(other)
        assert sorted(await took(other, theirs)) == refs(3)
        assert sorted(await took(ledger, mine)) == refs(2)
        assert len((await other.counts()).members) == 1


async def test_a_ledger_is_kept_when_all_have_closed_it(engine: Engine) -> None:
    """Opening it again changes nothing."""
    async with engine.opened() as ledger:
        await ledger.add(refs(3))
    async with engine.opened() as ledger, engine.opened() as same:
        assert await states(ledger) == await states(same) == [3, 0, 0, 0, 0]


async def test_refs_and_outcomes_of_any_kind_are_kept(ledger: Ledger) -> None:
    """The longest id, and every byte."""
    ref = f"video:{'Z_-9' * 32}"
    await ledger.add([ref])
    mine, theirs = await worker(ledger), await reader(ledger)
    assert await took(ledger, mine) == [ref]
    outcome = bytes(range(256)) * 40
    await ledger.record(mine, [(ref, outcome)])
    assert await ledger.read(theirs, [], 1) == [(ref, outcome)]


@pytest.mark.parametrize("kind", ["sqlite", "postgres", "valkey"])
def test_a_fleet_is_opened_again_in_another_loop(kind: str, request: pytest.FixtureRequest) -> None:
    """Also where calls had to wait for each other in the first one."""
    fleet = Fleet(engine_of(kind, request).url)

    async def use(first: int) -> None:
        async with fleet:
            new = await asyncio.gather(*(fleet.add(refs(1, first + n)) for n in range(3)))
        assert new == [1, 1, 1]

    asyncio.run(use(0))
    asyncio.run(use(3))
