"""Other event loops than the tests' own: each in real time, with a service that is in trouble."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import tenacity
import uvloop

from aitoearn_async import (
    AnyRef,
    Client,
    GenerateImage,
    ImageRef,
    TaskNotFoundError,
    WaitTimeoutError,
)
from aitoearn_async.emulator import Emulator, Fault, VirtualTimeLoop
from aitoearn_async.emulator.pictures import png
from tests.support.ports import free_port

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


def test_what_calls_queue_up_for_moves_along(tmp_path: Path) -> None:
    """Locks and places belong to a loop once somebody has waited for them: the next has others."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    options: dict[str, Any] = {"concurrency": 2, "requests_per_second": 50}
    client = Client("emulator-key", base_url=url, private_media=True, **options)

    async def work(turn: int) -> None:
        async with Emulator(port=port):
            assert [video async for video in client.list_videos()] == []  # here it moves
            await asyncio.sleep(600)  # what it remembers of models is old then
            wanted = [GenerateImage(model="gpt-image-2", prompt=f"{turn} {n}") for n in range(12)]
            refs = await asyncio.gather(*(client.submit(each, check=True) for each in wanted))
            await asyncio.gather(*(client.upload(png(f"{turn} {n}")) for n in range(12)))
            tasks = await asyncio.gather(*map(client.wait_for, refs))
            folder = tmp_path / str(turn)
            await asyncio.gather(*(client.download(task, folder) for task in tasks))
            assert len(list(folder.iterdir())) == 12

    for turn in range(2):
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            runner.run(work(turn))
            if turn:
                runner.run(client.aclose())


def test_a_round_that_ends_with_its_loop_is_left_there() -> None:
    """A loop that is closed as soon as the last wait is over calls nobody back any more."""
    url = f"http://127.0.0.1:{free_port()}"
    client = Client("key", base_url=url, requests_per_second=0.01)  # a page waits for its turn
    loop = VirtualTimeLoop()
    *others, last = [
        loop.create_task(client.wait_for(ImageRef(f"{number:024x}"))) for number in range(12)
    ]
    loop.run_until_complete(asyncio.sleep(2))
    for wait in others:
        wait.cancel()
    loop.run_until_complete(asyncio.wait(others))
    last.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        loop.run_until_complete(last)
    loop.close()
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(client.aclose())
