"""Other event loops than the tests' own: each in real time, with a service that is in trouble."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
import tenacity
import uvloop

from aitoearn_async import AnyRef, Client, TaskNotFoundError, WaitTimeoutError
from aitoearn_async.emulator import Emulator, Fault

SOON = tenacity.wait_fixed(0.01)
TROUBLE = [Fault(status=502), Fault(reset=True), Fault(status=429, headers={"Retry-After": "0"})]


async def one(client: Client, service: Emulator) -> None:
    """A wait over trouble, to its end."""
    ref = service.add_image(("generating", 0.1), "success")
    for fault in TROUBLE:
        service.fault(fault)
    assert (await client.wait_for(ref, wait=SOON)).done


async def many(client: Client, service: Emulator) -> None:
    """A batch over trouble, every ref with its own end.

    Only so many, since a client that was asked to be slow is so: in real time, here.
    """
    good: list[AnyRef] = [service.add_video(("InProgress", 0.1), "SUCCESS") for _ in range(20)]
    bad: AnyRef = service.add_image("failed")
    for fault in TROUBLE * 3:
        service.fault(fault)
    outcomes = await client.wait_all([*good, bad], wait=SOON)
    assert [outcome.ok for outcome in outcomes] == [True] * 20 + [False]


async def ends(client: Client, service: Emulator) -> None:
    """A deadline, a refusal, a cancellation and a close: each ends what it is to end."""
    slow = service.add_image(("generating", 600.0), "success")
    with pytest.raises(WaitTimeoutError):
        await client.wait_for(slow, timeout=0.1, wait=SOON)
    service.fault(Fault(code=404, message="gone"))
    with pytest.raises(TaskNotFoundError):
        await client.get(slow)
    service.fault(Fault(stall="head"))
    call = asyncio.ensure_future(client.get(slow))
    await asyncio.sleep(0.05)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


def eager_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    # Since Python 3.12. Without it, this is asyncio's loop once more.
    factory = getattr(asyncio, "eager_task_factory", None)
    loop.set_task_factory(factory)
    return loop


LOOPS: list[Callable[[], asyncio.AbstractEventLoop]] = [
    asyncio.new_event_loop,
    eager_loop,
    uvloop.new_event_loop,
]


@pytest.mark.parametrize("story", [one, many, ends])
@pytest.mark.parametrize("loop_factory", LOOPS)
def test_loops(
    loop_factory: Callable[[], asyncio.AbstractEventLoop],
    story: Callable[[Client, Emulator], Awaitable[None]],
) -> None:
    """The same happens on each loop, and nothing is left running and nothing complained of."""
    complaints: list[dict[str, object]] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, about: complaints.append(about))
        async with (
            Emulator() as service,
            Client(service.api_key, base_url=service.url, attempts=10) as client,
        ):
            await story(client, service)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())
    assert not complaints
