"""Waiting, as a user sees it: real requests to the emulator, in virtual time."""

from __future__ import annotations

import asyncio
import math
import traceback
from typing import Any

import pytest
import tenacity

from aitoearn_async import (
    AuthenticationError,
    Client,
    ClientClosedError,
    ImageRef,
    ImageTask,
    ServerError,
    ServiceUnreachableError,
    TaskFailedError,
    TaskNotFoundError,
    TaskState,
    VideoRef,
    VideoTask,
    WaitTimeoutError,
)
from aitoearn_async.emulator import Emulator, Fault
from tests.support.clock import ROUNDING
from tests.support.raw_server import REF, Heard, RawServer, Script, envelope, http, say

HOUR = 3600.0


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_await_gives_the_finished_task(
    aitoearn_service: Emulator, aitoearn_client: Client
) -> None:
    """Awaiting a wait gives the task, typed by its ref, once it has succeeded."""
    image = await aitoearn_client.wait_for(
        aitoearn_service.add_image(("generating", 30), "success")
    )
    assert isinstance(image, ImageTask)
    assert image.state is TaskState.SUCCEEDED
    video = await aitoearn_client.wait_for(
        aitoearn_service.add_video(("InProgress", 30), "SUCCESS")
    )
    assert isinstance(video, VideoTask)
    assert video.done


@pytest.mark.parametrize("word", ["SUCCESS", "Success", "succeeded", "success", "completed"])
async def test_every_word_of_success_ends_it(
    word: str, aitoearn_service: Emulator, aitoearn_client: Client
) -> None:
    """Whatever word and case the service uses, success is success."""
    video = await aitoearn_client.wait_for(aitoearn_service.add_video(word))
    assert (video.status, video.state) == (word, TaskState.SUCCEEDED)
    assert len(aitoearn_service.requests) == 1


async def test_a_failed_task_raises(aitoearn_service: Emulator, aitoearn_client: Client) -> None:
    """A task that failed is an error that carries it and the service's reason."""
    ref = aitoearn_service.add_video(("InProgress", 5), "FAILURE", error_message="no cats")
    with pytest.raises(TaskFailedError, match="no cats") as caught:
        await aitoearn_client.wait_for(ref)
    assert caught.value.task.ref == ref


async def test_a_failed_task_can_be_returned(
    aitoearn_service: Emulator, aitoearn_client: Client
) -> None:
    """With raise_on_failure=False the failed task is the result."""
    ref = aitoearn_service.add_image("failed")
    task = await aitoearn_client.wait_for(ref, raise_on_failure=False)
    assert task.state is TaskState.FAILED


async def test_iterating_gives_the_changes(
    aitoearn_service: Emulator, aitoearn_client: Client
) -> None:
    """The first poll, then each new status, the final one last; far fewer than polls."""
    ref = aitoearn_service.add_video(("queued", 60), ("InProgress", 300), "FAILURE")
    waiter = aitoearn_client.wait_for(ref)
    assert [task.status async for task in waiter] == ["queued", "InProgress", "FAILURE"]
    assert waiter.polls == len(aitoearn_service.requests) > 10


async def test_leaving_the_loop_stops_the_polling(
    aitoearn_service: Emulator, aitoearn_client: Client
) -> None:
    """After a break nothing is sent any more."""
    async for task in aitoearn_client.wait_for(
        aitoearn_service.add_image(("generating", HOUR), "success")
    ):
        assert task.status == "generating"
        break
    await asyncio.sleep(HOUR)
    assert len(aitoearn_service.requests) == 1


@pytest.mark.slow
async def test_an_hour_of_polling(aitoearn_service: Emulator, aitoearn_client: Client) -> None:
    """A long wait settles at the longest delay, with jitter, and sees the end soon after."""
    ref = aitoearn_service.add_image(("generating", HOUR), "success")
    begun = now()
    await aitoearn_client.wait_for(ref, timeout=None)
    assert HOUR - ROUNDING <= now() - begun <= HOUR + 10.5
    gaps = [
        b.at - a.at
        for a, b in zip(aitoearn_service.requests, aitoearn_service.requests[1:], strict=False)
    ]
    late = gaps[10:]
    assert 8 <= min(late) < max(late) <= 10.5
    assert len({round(gap, 2) for gap in late}) > 50, "jitter at the cap too"


async def test_the_caller_brings_the_delays(
    aitoearn_service: Emulator, aitoearn_client: Client
) -> None:
    """`wait=` takes a tenacity strategy, and the polls come as it says."""
    ref = aitoearn_service.add_image(("generating", 59), "success")
    await aitoearn_client.wait_for(ref, wait=tenacity.wait_fixed(20))
    assert [round(r.at - aitoearn_service.requests[0].at) for r in aitoearn_service.requests] == [
        0,
        20,
        40,
        60,
    ]


async def test_the_deadline_is_exact(aitoearn_service: Emulator, aitoearn_client: Client) -> None:
    """It is met within 50 ms, after one last poll just before, and tells the story."""
    ref = aitoearn_service.add_image(("generating", HOUR), "success")
    begun = now()
    with pytest.raises(WaitTimeoutError) as caught:
        await aitoearn_client.wait_for(ref, timeout=95)
    assert 95 - ROUNDING <= now() - begun <= 95.05
    assert 94.5 < aitoearn_service.requests[-1].at - begun < 95
    error = caught.value
    assert isinstance(error, TimeoutError)
    assert error.ref == ref
    assert error.latest is not None
    assert error.latest.status == "generating"
    assert error.polls == len(aitoearn_service.requests) == error.seen["generating"]
    assert str(error) == (
        f"{ref} had not ended after 95.0 s: asked {error.polls} times and saw "
        f"generating ×{error.polls}. The task may still be running."
    )


async def test_the_last_poll_is_read_whole() -> None:
    """The error of a wait that is given up has all that was last said of its task."""

    def choose(heard: Heard) -> Script:
        task = {"logId": REF.id, "status": "generating", "duration": heard.number}
        return say(http(envelope(task)))

    async with RawServer(choose=choose) as server, server.client() as client:
        with pytest.raises(WaitTimeoutError) as caught:
            await client.wait_for(REF, timeout=95)
    latest = caught.value.latest
    assert isinstance(latest, ImageTask)
    assert latest.duration_ms == server.heard[-1].number > 1


async def test_a_wait_that_was_given_up_lasts_no_longer(
    aitoearn_service: Emulator, aitoearn_client: Client
) -> None:
    """It tells how long it lasted until its deadline, whenever it is asked."""
    ref = aitoearn_service.add_image(("generating", HOUR), "success")
    waiter = aitoearn_client.wait_for(ref, timeout=95)
    with pytest.raises(WaitTimeoutError):
        await waiter
    await asyncio.sleep(50)
    assert 95 - ROUNDING <= waiter.elapsed <= 95.05


async def test_the_last_poll_catches_a_late_end(
    aitoearn_service: Emulator, aitoearn_client: Client
) -> None:
    """A task that ends between the last regular poll and the deadline is not missed."""
    ref = aitoearn_service.add_video(("InProgress", 99.5), "SUCCESS")
    task = await aitoearn_client.wait_for(ref, timeout=100, wait=tenacity.wait_fixed(45))
    assert task.done


async def test_a_hanging_poll_does_not_move_the_deadline(
    aitoearn_service: Emulator, aitoearn_client: Client
) -> None:
    """A request under way at the deadline is given up."""
    ref = aitoearn_service.add_image(("generating", HOUR), "success")
    aitoearn_service.fault(Fault(stall="head"), times=None)
    begun = now()
    with pytest.raises(WaitTimeoutError) as caught:
        await aitoearn_client.wait_for(ref, timeout=12)
    assert 12 - ROUNDING <= now() - begun <= 12.05
    assert caught.value.latest is None
    assert caught.value.seen == {"no answer in time": 1}


async def test_the_final_word_wins_at_the_deadline(
    aitoearn_service: Emulator, aitoearn_client: Client
) -> None:
    """An answer that arrives at the instant of the deadline still counts."""
    ref = aitoearn_service.add_image("success")
    aitoearn_service.fault(Fault(delay=10.0))
    task = await aitoearn_client.wait_for(ref, timeout=10.0)
    assert task.done


async def test_a_timeout_of_nothing_looks_once(
    aitoearn_service: Emulator, aitoearn_client: Client
) -> None:
    """timeout=0 returns a finished task, however long the answer takes; or ends after one poll."""
    done, running = aitoearn_service.add_image("success"), aitoearn_service.add_image("generating")
    aitoearn_service.fault(Fault(delay=5), done)
    assert (await aitoearn_client.wait_for(done, timeout=0)).done
    with pytest.raises(WaitTimeoutError, match="asked once and saw generating"):
        await aitoearn_client.wait_for(running, timeout=0)
    assert len(aitoearn_service.requests) == 2
    outcomes = await aitoearn_client.wait_all([done, running], timeout=0)
    assert [outcome.ok for outcome in outcomes] == [True, False]
    assert isinstance(outcomes[1].error, WaitTimeoutError)
    assert outcomes[1].polls == 1


async def test_a_look_takes_the_time_of_one_request_from_its_turn_on(
    aitoearn_service: Emulator,
) -> None:
    """It waits for its turn as long as that takes: without a request it would have seen nothing."""
    service = aitoearn_service
    service.fault(Fault(stall="head"), times=None)
    ends: list[float] = []
    began = now()

    async def look(client: Client) -> None:
        with pytest.raises(WaitTimeoutError, match="asked once and saw no answer in time"):
            await client.wait_for(service.add_image("success"), timeout=0)
        ends.append(now() - began)

    async with Client(
        service.api_key, base_url=service.url, request_timeout=2, requests_per_second=0.1
    ) as client:
        await asyncio.gather(look(client), look(client))
    assert ends == pytest.approx([2, 12], abs=ROUNDING)


TROUBLE = [
    Fault(status=502),
    Fault(status=503, headers={"Retry-After": "2"}),
    Fault(code=500),
    Fault(reset=True),
    Fault(close=True),
    Fault(garbage=True),
    Fault(truncate=20),
    Fault(stall="body"),
    Fault(status=200, body="<html>hello</html>"),
    Fault(status=429),
    Fault(redirect="http://127.0.0.1:1/elsewhere"),
    Fault(echo="f" * 24),
    Fault(raw=b"not http at all\r\n\r\n"),
]


@pytest.mark.parametrize("fault", TROUBLE, ids=lambda fault: str(fault.ending))
async def test_a_failed_poll_is_not_a_failed_task(
    fault: Fault, aitoearn_service: Emulator, aitoearn_client: Client
) -> None:
    """Trouble at the start, in the middle and in a row costs polls, never the wait."""
    ref = aitoearn_service.add_image(("generating", 60), "success")
    aitoearn_service.fault(fault, times=3)
    async for task in aitoearn_client.wait_for(ref):
        if not task.done:
            aitoearn_service.fault(fault, times=2)
    assert task.state is TaskState.SUCCEEDED


async def test_patience_runs_out(aitoearn_service: Emulator, aitoearn_client: Client) -> None:
    """A service that stays in trouble ends the wait exactly when the patience does."""
    ref = aitoearn_service.add_image(("generating", HOUR), "success")
    waiter = aitoearn_client.wait_for(ref, patience=120)
    begun = now()
    async for _ in waiter:
        aitoearn_service.fault(Fault(status=502), times=None)
        break
    with pytest.raises(ServiceUnreachableError) as caught:
        await waiter
    error = caught.value
    since = next(r.at for r in aitoearn_service.requests[1:])
    assert 120 - ROUNDING <= now() - since <= 120.05
    assert error.latest is not None
    assert error.seen == {"generating": 1, "HTTP 502": error.polls - 1}
    assert isinstance(error.__cause__, ServerError)
    assert error.elapsed == pytest.approx(now() - begun, abs=0.1)
    assert "×" in str(error)


async def test_a_server_that_is_gone(aitoearn_service: Emulator, aitoearn_client: Client) -> None:
    """Refused connections are trouble too, and pass when the server is back."""
    ref = aitoearn_service.add_image(("generating", 200), "success")
    waiter = aitoearn_client.wait_for(ref)
    async for _ in waiter:
        break
    await aitoearn_service.aclose()
    task = asyncio.create_task(waiter)
    await asyncio.sleep(100)
    assert waiter.trouble is not None
    assert waiter.trouble.label == "no connection"
    await aitoearn_service.start()
    assert (await task).done


@pytest.mark.parametrize(
    ("ref", "error"),
    [
        (ImageRef("f" * 24), TaskNotFoundError),
        (VideoRef("f" * 24), TaskNotFoundError),
    ],
)
async def test_a_definite_no_ends_it_at_once(
    ref: ImageRef, error: type[Exception], aitoearn_service: Emulator, aitoearn_client: Client
) -> None:
    """A task that does not exist is not waited for."""
    with pytest.raises(error):
        await aitoearn_client.wait_for(ref)
    # Of a video the service says the same where its result was not stored: that is looked up.
    routes = [request.route for request in aitoearn_service.requests]
    assert routes == (["image"] if isinstance(ref, ImageRef) else ["video", "drafts"])


@pytest.mark.parametrize("code", [500, 12302])
async def test_a_row_that_fails_for_good_is_settled(
    code: int, aitoearn_service: Emulator, aitoearn_client: Client
) -> None:
    """Its own route fails for ever; the service's own client looks elsewhere."""
    ref = aitoearn_service.add_video("SUCCESS")
    aitoearn_service.fault(Fault(code=code), route="video", times=None)
    task = await aitoearn_client.wait_for(ref)
    assert (task.ref, task.state) == (ref, TaskState.SUCCEEDED)
    routes = [request.route for request in aitoearn_service.requests]
    assert routes == ["video"] * (3 if code == 500 else 1) + ["drafts"]


async def test_a_wrong_key_is_told_at_once(aitoearn_service: Emulator) -> None:
    """A key that never worked ends the wait with its second poll, after a second or two."""
    ref = aitoearn_service.add_image()
    async with Client("wrong", base_url=aitoearn_service.url) as client:
        with pytest.raises(AuthenticationError):
            await client.wait_for(ref, wait=tenacity.wait_fixed(3600))
    assert len(aitoearn_service.requests) == 2
    assert aitoearn_service.requests[1].at - aitoearn_service.requests[0].at <= 2 + ROUNDING


async def test_one_401_among_good_answers_is_doubted(
    aitoearn_service: Emulator, aitoearn_client: Client
) -> None:
    """The key is given up only when a second poll says the same."""
    ref = aitoearn_service.add_image(("generating", 60), "success")
    waiter = aitoearn_client.wait_for(ref)
    async for _ in waiter:
        aitoearn_service.fault(Fault(code=401, message="Unauthorized"))
        break
    assert (await waiter).done
    other = aitoearn_client.wait_for(aitoearn_service.add_image(("generating", 60), "success"))
    async for _ in other:
        aitoearn_service.fault(Fault(code=401, message="Unauthorized"), times=2)
        break
    with pytest.raises(AuthenticationError):
        await other
    assert other.polls == 3


async def test_the_end_stays_the_end(aitoearn_service: Emulator, aitoearn_client: Client) -> None:
    """After the end every further use gives the same, without a request."""
    waiter = aitoearn_client.wait_for(aitoearn_service.add_image("success"))
    task = await waiter
    assert await waiter is task
    assert [t async for t in waiter] == [task]
    assert [t async for t in waiter] == []
    assert len(aitoearn_service.requests) == 1
    failing = aitoearn_client.wait_for(aitoearn_service.add_image("failed"))
    for _ in range(2):
        with pytest.raises(TaskFailedError):
            await failing
    late = aitoearn_client.wait_for(aitoearn_service.add_image(), timeout=0)
    with pytest.raises(WaitTimeoutError) as first:
        await late
    with pytest.raises(WaitTimeoutError) as second:
        await late
    assert first.value is second.value


async def test_two_uses_at_once_are_refused(
    aitoearn_service: Emulator, aitoearn_client: Client
) -> None:
    """A second await while the first is under way is a clear error, and harms nothing."""
    waiter = aitoearn_client.wait_for(aitoearn_service.add_image(("generating", 30), "success"))
    first = asyncio.create_task(waiter)
    await asyncio.sleep(5)
    with pytest.raises(RuntimeError, match="already under way"):
        async for _ in waiter:
            pass
    assert (await first).done


async def test_a_cancelled_wait_can_go_on(
    aitoearn_service: Emulator, aitoearn_client: Client
) -> None:
    """A wait cut short by the caller's own timeout continues where it was."""
    waiter = aitoearn_client.wait_for(aitoearn_service.add_image(("generating", 30), "success"))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(10):
            await waiter
    polls = waiter.polls
    assert polls > 2
    assert (await waiter).done
    assert waiter.polls > polls


async def test_what_a_waiter_tells(aitoearn_service: Emulator, aitoearn_client: Client) -> None:
    """Its attributes and its repr say how the wait stands, before, during and after."""
    ref = aitoearn_service.add_image(("generating", 30), "success", id="a1")
    waiter = aitoearn_client.wait_for(ref)
    assert (waiter.ref, waiter.latest, waiter.polls, waiter.elapsed) == (ref, None, 0, 0.0)
    assert repr(waiter) == "<Waiter image:a1 RUNNING polls=0>"
    async for _ in waiter:
        break
    await asyncio.sleep(4)
    assert waiter.elapsed == pytest.approx(4, abs=0.1)
    assert repr(waiter) == "<Waiter image:a1 RUNNING 'generating' polls=1>"
    task = await waiter
    assert waiter.latest is task
    elapsed = waiter.elapsed
    await asyncio.sleep(100)
    assert waiter.elapsed == elapsed
    assert repr(waiter) == f"<Waiter image:a1 SUCCEEDED 'success' over polls={waiter.polls}>"


async def test_closing_the_client_ends_its_waits(aitoearn_service: Emulator) -> None:
    """A wait that sleeps, and one that asks, end at once when the client closes."""
    asleep, asking = (
        aitoearn_service.add_image(("generating", HOUR), "success"),
        aitoearn_service.add_image(),
    )
    aitoearn_service.fault(Fault(stall="head"), ref=asking, times=None)
    client = Client(aitoearn_service.api_key, base_url=aitoearn_service.url)
    tasks = [asyncio.create_task(client.wait_for(ref)) for ref in (asleep, asking)]
    await asyncio.sleep(5)
    begun = now()
    await client.aclose()
    for ended in await asyncio.gather(*tasks, return_exceptions=True):
        assert isinstance(ended, ClientClosedError)
    assert now() - begun < 0.05


@pytest.mark.parametrize("name", ["timeout", "patience"])
@pytest.mark.parametrize("value", [-1, math.nan, -math.inf, "60", True])
async def test_times_that_are_none_are_refused(
    name: str, value: Any, aitoearn_service: Emulator, aitoearn_client: Client
) -> None:
    """A wrong time is refused at the call, by name, and nothing is sent."""
    with pytest.raises(ValueError, match=name):
        aitoearn_client.wait_for(ImageRef("a"), **{name: value})
    assert not aitoearn_service.requests


async def test_other_wrong_arguments_are_refused(aitoearn_client: Client) -> None:
    """What is not a ref, or not a strategy, is refused at the call."""
    with pytest.raises(TypeError, match="parse_ref"):
        aitoearn_client.wait_for(66)  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="write image:ID or video:ID"):
        aitoearn_client.wait_for("66f0c0ffee0123456789abcd")
    with pytest.raises(ValueError, match="tenacity"):
        aitoearn_client.wait_for(ImageRef("a"), wait=5)  # type: ignore[call-overload]


async def test_a_strategy_that_is_async_is_refused() -> None:
    """At the call: nobody would await it."""

    async def strategy(state: tenacity.RetryCallState) -> float:
        return 5.0

    with pytest.raises(ValueError, match=r"wait=.* not async"):
        Client("key", wait=strategy)  # type: ignore[arg-type]


async def test_a_strategy_may_be_false(aitoearn_service: Emulator, aitoearn_client: Client) -> None:
    """It is called as any other: a list of delays is false where it is empty."""

    class Delays(list[float]):
        def __call__(self, state: tenacity.RetryCallState) -> float:
            return 20.0

    ref = aitoearn_service.add_image(("generating", 30), "success")
    begun = now()
    await aitoearn_client.wait_for(ref, wait=Delays())
    asked = [request.at - begun for request in aitoearn_service.requests]
    assert asked == pytest.approx([0, 20, 40], abs=ROUNDING)


async def test_unchanged_polls_are_cheap(
    aitoearn_service: Emulator, aitoearn_client: Client
) -> None:
    """While nothing changes the service answers 304, and the same task comes out in the end."""
    ref = aitoearn_service.add_image(("generating", 60), "success")
    await aitoearn_client.wait_for(ref)
    sent = [request.headers for request in aitoearn_service.requests]
    assert len({headers["X-Request-Id"] for headers in sent}) == 1
    assert "If-None-Match" not in sent[0]
    assert all("If-None-Match" in headers for headers in sent[1:])


async def test_no_reminder_after_an_error(
    aitoearn_service: Emulator, aitoearn_client: Client
) -> None:
    """The poll after an error answer asks unconditionally."""
    ref = aitoearn_service.add_image(("generating", 20), "success")
    async for task in aitoearn_client.wait_for(ref):
        if not task.done:
            aitoearn_service.fault(Fault(code=500))
    assert "If-None-Match" in aitoearn_service.requests[1].headers
    assert "If-None-Match" not in aitoearn_service.requests[2].headers


async def test_a_304_for_something_else_is_not_believed(
    aitoearn_service: Emulator, aitoearn_client: Client
) -> None:
    """A 304 that names another ETag, or none, is asked again without condition."""
    ref = aitoearn_service.add_image(("generating", 2), "success")
    async for task in aitoearn_client.wait_for(ref):
        if not task.done:
            aitoearn_service.fault(Fault(status=304, headers={"ETag": 'W/"other"'}), times=None)
            asyncio.get_running_loop().call_later(30, aitoearn_service.clear_faults)
    assert task.done


@pytest.mark.parametrize("header", [{}, {"ETag": '"other"'}], ids=["no ETag", "another"])
async def test_304s_that_are_never_of_use_are_not_asked_for(header: dict[str, str]) -> None:
    """Each costs a second request. One that is of use again has the next ones asked for."""

    def choose(heard: Heard) -> Script:
        if heard.header("If-None-Match") is None:
            body = envelope({"logId": REF.id, "status": "generating"})
            return say(http(body, headers={"ETag": '"one"'}))
        return say(http(b"", 304, header if heard.at < began + 605 else {"ETag": '"one"'}))

    began = now()
    async with RawServer(choose=choose) as server, server.client() as client:
        with pytest.raises(WaitTimeoutError) as caught:
            await client.wait_for(REF, timeout=1000, wait=tenacity.wait_fixed(10))
    assert caught.value.polls == pytest.approx(101, abs=1)
    # The polls 2, 4, 8, 16 and 32 were asked again; 64 was good, and all after it but the last.
    assert server.count - caught.value.polls == 5
    conditional = [heard.header("If-None-Match") is not None for heard in server.heard]
    checks = 1000 // 120  # that ask for no 304
    assert sum(conditional) == 5 + 100 - 64 + 1 - checks


async def test_an_end_that_is_asked_for_again_does_not_grow(
    aitoearn_service: Emulator, aitoearn_client: Client
) -> None:
    """It is one and the same error, with the frames of the last time alone."""
    wait = aitoearn_client.wait_for(aitoearn_service.add_image("generating"), timeout=5)
    ends: list[BaseException] = []
    frames: list[int] = []
    for _ in range(4):
        try:
            await wait
        except WaitTimeoutError as error:
            ends.append(error)
            frames.append(len(traceback.extract_tb(error.__traceback__)))
    assert len(set(map(id, ends))) == 1
    assert len(frames) == 4
    assert len(set(frames[1:])) == 1
