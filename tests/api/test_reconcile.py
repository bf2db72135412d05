"""A submit whose fate is open is settled by the service's own logs, and never sent again."""

from __future__ import annotations

import asyncio
import contextlib
import json
import pickle
import time
from dataclasses import replace
from typing import Any

import pytest

from aitoearn_async import (
    Client,
    EditImage,
    GenerateImage,
    GenerateVideo,
    ServerError,
    SubmitUncertainError,
    TaskRequest,
)
from aitoearn_async._api import reconcile
from aitoearn_async._runtime.bounded_dict import BoundedDict
from aitoearn_async.emulator import Emulator, Fault, lists
from tests.support.loops import BlockableLoop, run

IMAGE = GenerateImage(model="gpt-image-2", prompt="a cat", n=2)
VIDEO = GenerateVideo(model="sora-2", prompt="rain")
EDIT = EditImage(model="gpt-image-2", prompt="a hat", image="https://example.org/cat.png")
LOST = [Fault(truncate=10), Fault(garbage=True), Fault(stall="body")]

REQUESTS: list[TaskRequest[Any]] = [IMAGE, VIDEO, EDIT]
each_request = pytest.mark.parametrize("request_", REQUESTS, ids=["image", "video", "edit"])


def submits(service: Emulator) -> int:
    return sum(request.method == "POST" for request in service.requests)


@each_request
@pytest.mark.parametrize("fault", LOST, ids=["cut", "garbage", "stalled"])
async def test_a_task_without_a_receipt_is_found(
    request_: TaskRequest[Any],
    fault: Fault,
    aitoearn_service: Emulator,
    aitoearn_client: Client,
) -> None:
    """It was made and the answer was lost: the call ends with it all the same."""
    earlier = await aitoearn_client.submit(request_)
    aitoearn_service.fault(fault, route="submits")
    found = await aitoearn_client.submit(request_)
    assert found != earlier
    assert submits(aitoearn_service) == 2
    assert (await aitoearn_client.get(found)).id == found.id


@each_request
async def test_a_refusal_without_a_reason_is_told_as_one(
    request_: TaskRequest[Any], aitoearn_service: Emulator, aitoearn_client: Client
) -> None:
    """Code 500 and no row: the provider refused, or a group, or a body is too large."""
    aitoearn_service.fault(Fault(code=500, creates=False), route="submits")
    with pytest.raises(ServerError, match="no task was made") as caught:
        await aitoearn_client.submit(request_)
    assert not caught.value.transient
    assert submits(aitoearn_service) == 1


async def test_two_that_look_alike_stay_uncertain(aitoearn_service: Emulator) -> None:
    """Another client has asked for the very same at the same time."""
    key, url = aitoearn_service.api_key, aitoearn_service.url
    async with Client(key, base_url=url) as one, Client(key, base_url=url) as other:
        aitoearn_service.fault(Fault(truncate=10), route="submits")
        aitoearn_service.fault(Fault(truncate=10), route="submits")
        ends = await asyncio.gather(one.submit(VIDEO), other.submit(VIDEO), return_exceptions=True)
        assert all(isinstance(end, SubmitUncertainError) for end in ends)
        assert "2 since then could be this one" in str(ends[0])
        assert submits(aitoearn_service) == 2


async def test_no_more_than_three_are_named(aitoearn_service: Emulator) -> None:
    """An account can have many that look alike."""
    key, url = aitoearn_service.api_key, aitoearn_service.url
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(Client(key, base_url=url)) for _ in range(5)]
        aitoearn_service.fault(Fault(truncate=10), times=5, route="submits")
        calls = (client.submit(VIDEO) for client in clients)
        ends = await asyncio.gather(*calls, return_exceptions=True)
    for end in ends:
        assert isinstance(end, SubmitUncertainError)
        assert "5 since then could be this one" in str(end)
        assert str(end).count("video:") == 3


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (500, {"code": 500, "message": "upstream", "data": {}}),
        (200, {"status": 500, "error": "upstream"}),
        (200, {"error": {"code": 504, "message": "upstream"}}),
    ],
)
async def test_a_gateways_500_is_not_the_services(
    aitoearn_service: Emulator, aitoearn_client: Client, status: int, said: object
) -> None:
    """It may give up on a service that goes on: so the task may show later, as after silence."""
    body, headers = json.dumps(said), {"Content-Type": "application/json"}
    gone = Fault(status=status, body=body, headers=headers, creates=False)
    aitoearn_service.fault(gone, route="submits")
    began = asyncio.get_running_loop().time()
    with pytest.raises(SubmitUncertainError, match="upstream"):
        await aitoearn_client.submit(VIDEO)
    assert asyncio.get_running_loop().time() - began > 10, "it was looked for several times"
    assert submits(aitoearn_service) == 1


async def test_tasks_of_other_submits_are_none_of_it(
    aitoearn_service: Emulator, aitoearn_client: Client
) -> None:
    """Made beside it with another prompt, by another model, or by this client with a receipt."""
    aitoearn_service.fault(Fault(code=500, creates=False), route="submits")
    other = GenerateImage(model="gpt-image-2", prompt="a dog", n=2)
    more = GenerateImage(model="gpt-image-2", prompt="a cat", n=3)
    first = asyncio.ensure_future(aitoearn_client.submit(IMAGE))
    await asyncio.sleep(0)
    await aitoearn_client.submit(other)
    await aitoearn_client.submit(more)
    with pytest.raises(ServerError, match="no task was made"):
        await first


async def test_without_logs_it_stays_uncertain() -> None:
    """An older service lacks the route; it is asked for once in vain, and the error says so."""
    async with Emulator(routes=["image", "video", "videos", "models", "submits"]) as service:
        async with Client(service.api_key, base_url=service.url) as client:
            service.fault(Fault(truncate=10), route="submits")
            with pytest.raises(SubmitUncertainError, match="logs could not be read"):
                await client.submit(IMAGE)
        assert len(service.requests) == 2


async def test_it_can_be_searched_for_later(
    aitoearn_service: Emulator, aitoearn_client: Client
) -> None:
    """Whoever has the error can look again, while the client is there."""
    aitoearn_service.fault(Fault(truncate=10), route="submits")
    aitoearn_service.fault(Fault(status=502), route="logs", times=None)
    with pytest.raises(SubmitUncertainError) as caught:
        await aitoearn_client.submit(VIDEO)
    with pytest.raises(SubmitUncertainError, match="could not be read"):
        await caught.value.search()
    aitoearn_service.clear_faults()
    await asyncio.sleep(60)
    ref = await caught.value.search()
    assert ref is not None
    assert ref.kind == "video"
    assert submits(aitoearn_service) == 1


def test_it_can_be_searched_for_after_a_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's clock stood still for an hour; the service's, and the wall's, did not."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, BlockableLoop)
        began = time.time() - loop.time()
        monkeypatch.setattr(time, "time", lambda: began + loop.time())
        async with Emulator() as service, Client(service.api_key, base_url=service.url) as client:
            service.fault(Fault(truncate=10), route="submits")
            service.fault(Fault(status=502), route="logs", times=None)
            with pytest.raises(SubmitUncertainError) as caught:
                await client.submit(VIDEO)
            service.clear_faults()
            loop.call_later(3, loop.hold, 3600)
            await client.wait_for(service.add_image(("generating", 20), "success"))
            assert await caught.value.search() is not None

    run(BlockableLoop, main())


async def test_a_task_is_found_for_one_submit_alone(
    aitoearn_service: Emulator, aitoearn_client: Client
) -> None:
    """Two of the same were lost, and one was made: whoever searches second finds nothing."""
    aitoearn_service.fault(Fault(status=502), route="logs", times=None)
    errors: list[SubmitUncertainError] = []
    for creates in (False, True):
        aitoearn_service.fault(Fault(status=504, creates=creates), route="submits")
        with pytest.raises(SubmitUncertainError) as caught:
            await aitoearn_client.submit(VIDEO)
        errors.append(caught.value)
    aitoearn_service.clear_faults()
    await asyncio.sleep(60)
    (made,) = aitoearn_service.created
    assert [await error.search() for error in reversed(errors)] == [made, None]


@pytest.mark.parametrize("fault", [Fault(truncate=10), Fault(code=500)], ids=["cut", "500"])
@pytest.mark.parametrize("clients", [1, 2])
async def test_a_task_is_found_for_one_of_two_submits_at_the_same_time(
    clients: int, fault: Fault, aitoearn_service: Emulator
) -> None:
    """Both look at the same moment, and both see it: it cannot have come of both.

    Nobody can tell of which one it came, so of none it is said that it made no task.
    """
    key, url = aitoearn_service.api_key, aitoearn_service.url
    for creates in (True, False):
        aitoearn_service.fault(replace(fault, creates=creates), route="submits")
    async with Client(key, base_url=url) as one, Client(key, base_url=url) as other:
        calls = (client.submit(VIDEO) for client in (one, one if clients == 1 else other))
        ends = await asyncio.gather(*calls, return_exceptions=True)
    (made,) = aitoearn_service.created
    assert made in ends
    assert sum(isinstance(end, SubmitUncertainError) for end in ends) == 1
    assert submits(aitoearn_service) == 2


@pytest.mark.parametrize("clients", [1, 2])
async def test_the_task_of_a_submit_that_has_no_answer_yet_is_not_taken(
    clients: int, aitoearn_service: Emulator
) -> None:
    """It looks alike, and its receipt is on the way: the one that was lost made none."""
    key, url = aitoearn_service.api_key, aitoearn_service.url
    aitoearn_service.fault(Fault(status=502, creates=False), route="submits")
    aitoearn_service.fault(Fault(delay=25.0), route="submits")
    async with Client(key, base_url=url) as one, Client(key, base_url=url) as other:
        calls = (client.submit(IMAGE) for client in (one, one if clients == 1 else other))
        ends = asyncio.gather(*calls, return_exceptions=True)
        await asyncio.sleep(1)
        made = aitoearn_service.add_image(request={"model": IMAGE.model, "prompt": IMAGE.prompt})
        lost, _ = await ends
    assert isinstance(lost, SubmitUncertainError)
    assert f"({made}), or that of another submit" in lost.reason


async def test_an_error_out_of_a_pickle_cannot_search(
    aitoearn_service: Emulator, aitoearn_client: Client
) -> None:
    """It has left the client behind, and says where to look instead."""
    aitoearn_service.routes = {"image", "video", "submits"}
    aitoearn_service.fault(Fault(truncate=10), route="submits")
    with pytest.raises(SubmitUncertainError) as caught:
        await aitoearn_client.submit(IMAGE)
    copy = pickle.loads(pickle.dumps(caught.value))
    with pytest.raises(RuntimeError, match="list_images"):
        await copy.search()


async def test_a_cancelled_search_says_what_may_be_paid(
    aitoearn_service: Emulator, aitoearn_client: Client
) -> None:
    """The cancellation goes its way, and its note tells that a task may have been made."""
    aitoearn_service.fault(Fault(truncate=10), route="submits")
    aitoearn_service.fault(Fault(stall="head"), route="logs", times=None)
    call = asyncio.ensure_future(aitoearn_client.submit(IMAGE))
    await asyncio.sleep(5)
    call.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await call
    assert "may have made a task" in caught.value.__notes__[0]


async def test_an_answer_is_settled_sooner_than_none(
    aitoearn_service: Emulator, aitoearn_client: Client
) -> None:
    """The service is done with what it has answered, and may still be at what it has not."""
    clock = asyncio.get_running_loop()
    seconds = []
    for fault in (Fault(code=500, creates=False), Fault(reset=True, creates=True)):
        aitoearn_service.fault(fault, route="submits")
        began = clock.time()
        with contextlib.suppress(ServerError):
            await aitoearn_client.submit(VIDEO)
        seconds.append(clock.time() - began)
    assert seconds[0] < 3
    aitoearn_service.fault(Fault(stall="head"), route="submits")
    began = clock.time()
    with pytest.raises(SubmitUncertainError, match="0 since then"):
        await aitoearn_client.submit(VIDEO)
    assert clock.time() - began > 30 + 10


async def test_the_receipts_of_all_clients_of_a_process_are_known(
    aitoearn_service: Emulator,
) -> None:
    """What another one was given is no outcome of this one's submit, though it looks alike."""
    key, url = aitoearn_service.api_key, aitoearn_service.url
    async with Client(key, base_url=url) as one, Client(key, base_url=url) as other:
        aitoearn_service.fault(Fault(code=500, creates=False, delay=1.0), route="submits")
        lost = asyncio.ensure_future(one.submit(IMAGE))
        await asyncio.sleep(0.1)
        given = await other.submit(IMAGE)
        with pytest.raises(ServerError, match="no task was made"):
            await lost
        assert aitoearn_service.created == [given]


async def test_a_look_that_is_refused_asks_for_a_key(aitoearn_service: Emulator) -> None:
    """A key that is withdrawn meanwhile costs one look, and not the task."""
    given: list[str] = []

    async def give() -> str:
        given.append(aitoearn_service.api_key)
        return given[-1]

    async with Client(give, base_url=aitoearn_service.url) as client:
        aitoearn_service.fault(Fault(code=500, creates=True), route="submits")
        aitoearn_service.fault(Fault(code=401), route="logs")
        assert [await client.submit(IMAGE)] == aitoearn_service.created
    assert len(given) == 2


async def test_a_task_that_shows_late_is_no_look_alikes(aitoearn_service: Emulator) -> None:
    """Where no answer came, what fits is looked at twice: the submit's own may only follow."""
    key, url = aitoearn_service.api_key, aitoearn_service.url
    body = json.loads(IMAGE.to_json())
    async with Client(key, base_url=url) as client:
        aitoearn_service.fault(Fault(close=True, creates=True), route="submits")
        aitoearn_service.fault(Fault(delay=0.5), route="logs")
        call = asyncio.ensure_future(client.submit(IMAGE))
        await asyncio.sleep(0.1)
        own = aitoearn_service.created[0]
        aitoearn_service.remove(own)
        other = aitoearn_service.add_image(request=body)  # another program's, made beside it
        await asyncio.sleep(1)
        assert not call.done()
        aitoearn_service.add_image(id=own.id, request=body)
        with pytest.raises(SubmitUncertainError, match="2 since then could be this one") as caught:
            await call
        assert str(own) in str(caught.value)
        assert str(other) in str(caught.value)


async def test_a_busy_account_is_looked_through(
    aitoearn_service: Emulator, aitoearn_client: Client
) -> None:
    """Twenty rows are read first, and a thousand where all of those were made since."""
    aitoearn_service.fault(Fault(truncate=10), route="submits")
    aitoearn_service.fault(Fault(delay=0.5), route="logs")
    call = asyncio.ensure_future(aitoearn_client.submit(IMAGE))
    await asyncio.sleep(0.1)
    for _ in range(30):
        aitoearn_service.add_image(request={"model": "another", "prompt": "a cat"})
    assert await call == aitoearn_service.created[0]
    pages = [each.path for each in aitoearn_service.requests if each.route == "logs"]
    assert any("pageSize=20&" in path for path in pages)
    assert any("pageSize=1000&" in path for path in pages)


@pytest.mark.parametrize(
    "how",
    [
        "more candidates than are asked for",
        "more rows than are read",
        "more rows than the service gives at a time",
    ],
)
async def test_an_account_that_is_too_busy_leaves_it_uncertain(
    how: str, aitoearn_service: Emulator, aitoearn_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That none of those fits says nothing of the others."""
    model = IMAGE.model if "candidates" in how else "another"
    monkeypatch.setattr(reconcile, "_MOST_CANDIDATES", 5)
    if "gives" in how:
        monkeypatch.setattr(
            lists, "_page", lambda of, rows: lists.ListPage(of, rows[:4], len(rows))
        )
    else:
        monkeypatch.setattr(reconcile, "_PAGE_SIZES", (5, 8))
    aitoearn_service.fault(Fault(code=500, creates=False), route="submits")
    aitoearn_service.fault(Fault(delay=0.5), route="logs")
    call = asyncio.ensure_future(aitoearn_client.submit(IMAGE))
    await asyncio.sleep(0.1)
    for _ in range(7 if "candidates" in how else 9):
        aitoearn_service.add_image(request={"model": model, "prompt": "a dog"})
    with pytest.raises(SubmitUncertainError, match="0 since then could be this one"):
        await call


@pytest.mark.parametrize("why", ["it fails", "it says nothing of its request"])
async def test_a_task_that_cannot_be_compared_is_not_taken_for_it(
    why: str, aitoearn_service: Emulator, aitoearn_client: Client
) -> None:
    """It may be anybody's. It is named, so that somebody can look."""
    aitoearn_service.fault(Fault(truncate=10), route="submits")
    aitoearn_service.fault(Fault(delay=0.5), route="logs")
    call = asyncio.ensure_future(aitoearn_client.submit(IMAGE))
    await asyncio.sleep(0.1)
    own = aitoearn_service.created[0]
    if why == "it fails":
        aitoearn_service.spoil_row(own, 500)
    else:
        aitoearn_service.remove(own)
        aitoearn_service.add_image(id=own.id, request={"model": IMAGE.model})
    with pytest.raises(SubmitUncertainError, match="1 since then could be this one") as caught:
        await call
    assert str(own) in str(caught.value)


async def test_logs_that_come_back_are_read_as_often_as_ever(
    aitoearn_service: Emulator, aitoearn_client: Client
) -> None:
    """A route that was missing once, for a moment, is not given up."""
    aitoearn_service.fault(Fault(truncate=10), route="submits")
    aitoearn_service.fault(Fault(code=404), route="logs")
    with pytest.raises(SubmitUncertainError, match="could not be read"):
        await aitoearn_client.submit(IMAGE)
    aitoearn_service.fault(Fault(code=500, creates=False), route="submits")
    looks = sum(each.route == "logs" for each in aitoearn_service.requests)
    with pytest.raises(ServerError, match="no task was made"):
        await aitoearn_client.submit(VIDEO)
    assert sum(each.route == "logs" for each in aitoearn_service.requests) == looks + 2


async def test_a_search_ends_with_the_time_of_a_request(aitoearn_service: Emulator) -> None:
    """Looks that would come after it are left out."""
    async with Client(
        aitoearn_service.api_key, base_url=aitoearn_service.url, request_timeout=3.0
    ) as client:
        aitoearn_service.fault(Fault(raw=b"HTTP/1.1 banana\r\n\r\n"), route="submits")
        with pytest.raises(SubmitUncertainError, match="0 since then"):
            await client.submit(IMAGE)
    assert sum(each.route == "logs" for each in aitoearn_service.requests) == 2


async def test_the_oldest_receipts_are_forgotten(
    aitoearn_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that submits for years holds no more of them than some."""
    receipts: BoundedDict[Any, None] = BoundedDict(2)
    monkeypatch.setattr(reconcile, "_receipts", receipts)
    made = [await aitoearn_client.submit(IMAGE) for _ in range(4)]
    assert [ref for _, ref in receipts] == made[2:]


async def test_what_shows_after_an_answer_is_somebody_elses(
    aitoearn_service: Emulator, aitoearn_client: Client
) -> None:
    """The service had made the task before it answered, or never: this one came between looks."""
    aitoearn_service.fault(Fault(code=500, creates=False), route="submits")
    call = asyncio.ensure_future(aitoearn_client.submit(IMAGE))
    await asyncio.sleep(0.5)
    other = aitoearn_service.add_image(request=json.loads(IMAGE.to_json()))
    with pytest.raises(SubmitUncertainError, match="1 since then could be this one") as caught:
        await call
    assert str(other) in str(caught.value)
    assert submits(aitoearn_service) == 1


async def test_a_user_of_ones_own_keeps_tasks_apart(
    aitoearn_service: Emulator, aitoearn_client: Client
) -> None:
    """Another program asks for the same picture, and this one was never made: none is taken."""
    mine = GenerateImage(model="gpt-image-2", prompt="a cat", user="shop-1")
    aitoearn_service.fault(Fault(reset=True, creates=False), route="submits")
    aitoearn_service.fault(Fault(delay=0.5), route="logs")
    call = asyncio.ensure_future(aitoearn_client.submit(mine))
    await asyncio.sleep(0.1)
    aitoearn_service.add_image(request=json.loads(mine.to_json()) | {"user": "shop-2"})
    with pytest.raises(SubmitUncertainError, match="0 since then could be this one"):
        await call
