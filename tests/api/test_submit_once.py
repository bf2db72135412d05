"""A submit spends credits: it is sent once, and no task is made that nobody is told of."""

from __future__ import annotations

import asyncio
import re
import traceback
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aitoearn_async import (
    AiToEarnError,
    ApiError,
    Client,
    ClientClosedError,
    ConnectionFailedError,
    GenerateImage,
    GenerateVideo,
    ImageRef,
    RateLimitError,
    SubmitUncertainError,
    TransportError,
    UnexpectedResponseError,
    VideoRef,
)
from aitoearn_async.emulator import Emulator, Fault, VirtualTimeLoop
from tests.support.answers import PAGE
from tests.support.raw_server import (
    FIN,
    KEY,
    RST,
    STALL,
    Heard,
    RawServer,
    Script,
    envelope,
    http,
    say,
    unused_url,
)

from .taker import ENDS, TAKEN, Plan, Taker, receipt

IMAGE = GenerateImage(model="m", prompt="a cat")
VIDEO = GenerateVideo(model="m", prompt="a cat")
URI = "data:image/png;base64,"
BIG = GenerateVideo(model="m", prompt="a cat", image=URI + "A" * 900_000)
HUGE = GenerateVideo(model="m", prompt="a cat", image=URI + "A" * 15_000_000)
"""More than the buffers of two sockets hold, so what nobody reads does not leave."""
PATIENT: dict[str, Any] = {"request_timeout": 5.0}

ends = st.sampled_from(ENDS)
pauses = st.floats(0, 12)
good = receipt()
statuses = st.sampled_from([200, 204, 304, 408, 425, 500, 502, 503, 504, 999])
refusals = st.sampled_from([307, 308, 400, 401, 403, 404, 405, 413, 414, 429, 431])
no_answers = st.sampled_from(
    [
        envelope({"id": None, "logId": None, "status": "x"}),
        envelope({"status": "x"}),
        envelope({"id": "", "logId": "", "status": "x"}),
        envelope({"id": "../../x", "logId": "../../x", "status": "x"}),
        envelope({}),
        b'{"code":0,"data":null}',
        b"",
        b"{",
        b"[" * 100_000,
        PAGE,
        *(envelope(code=code) for code in (500, 502, 599, 408)),
    ]
)
# After the service has read it all and made a task: nothing that is said can undo it.
open_fate = st.one_of(
    st.builds(lambda end, pause: Plan("whole", (pause, end)), ends, pauses),
    st.builds(
        lambda cut, end: Plan("whole", (good[:cut], end)), st.integers(0, len(good) - 1), ends
    ),
    st.builds(lambda status: Plan("whole", (http(PAGE, status),)), statuses),
    st.builds(lambda body: Plan("whole", (http(body),)), no_answers),
    st.builds(lambda status: Plan("whole", (receipt(status),)), refusals),
    st.builds(
        lambda status, code: Plan("whole", (receipt(status, code),)),
        st.sampled_from([200, 400, 429]),
        st.sampled_from([1, 200, 201, 400, 429, 12300]),
    ),
)
not_taken = st.one_of(
    st.builds(lambda end, pause: Plan("accept", (pause, end)), ends, pauses),
    st.builds(lambda end: Plan("accept", (b"HTTP/1.1 200 OK\r\n\r\n", end)), ends),
    st.builds(lambda read, end: Plan("body", (end,), read), st.integers(0, 10**6), ends),
    st.builds(lambda end: Plan("head", (end,)), ends),
    st.builds(
        lambda code: Plan("no", (http(envelope(code=code)),)),
        st.sampled_from([400, 401, 403, 404, 429, 10002, 12001, 12300, 12301, 12801, 19000]),
    ),
    st.builds(
        lambda status: Plan("no", (http(PAGE, status),)),
        refusals,
    ),
)
plans = st.lists(st.one_of(not_taken, open_fate, st.just(TAKEN)), max_size=4)


def run(coroutine: Any) -> Any:
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(coroutine)


async def submit(server: Taker, request: GenerateImage | GenerateVideo) -> object:
    async with server.client(**PATIENT) as client:
        try:
            return await client.submit(request, upload="never")
        except AiToEarnError as error:
            return error


@given(plans, st.sampled_from([IMAGE, VIDEO, BIG]))
@example([Plan("accept", (RST,)), Plan("whole", (RST,)), TAKEN], VIDEO)
@example([Plan("no", (http(envelope(code=429)),)), Plan("whole", (PAGE,)), TAKEN], IMAGE)
@example([Plan("body", (RST,), 500_000), TAKEN], BIG)
@example([Plan("whole", (receipt(200, 429),)), TAKEN], VIDEO)
@example([Plan("whole", (receipt(200, 200),)), TAKEN], IMAGE)
def test_at_most_one_task_a_call_and_each_is_told_of(
    plans: list[Plan], request: GenerateImage | GenerateVideo
) -> None:
    async def main() -> None:
        async with Taker(plans) as server:
            end = await submit(server, request)
            assert len(server.created) <= 1
            if isinstance(end, ImageRef | VideoRef):
                assert [end.id] == server.created
                assert isinstance(end, request.ref_type)
            elif server.created:
                assert isinstance(end, SubmitUncertainError)
                assert end.request == request
            refused = server.wholes - len(server.created)
            assert refused <= 3, "429s, and the last one definite"

    run(main())


@given(open_fate, st.sampled_from([IMAGE, VIDEO, BIG]))
def test_an_open_fate_is_said_to_be_open(
    plan: Plan, request: GenerateImage | GenerateVideo
) -> None:
    async def main() -> None:
        async with Taker([plan, TAKEN]) as server:
            end = await submit(server, request)
            assert server.submits == 1
            assert isinstance(end, SubmitUncertainError)
            assert not end.transient
            assert isinstance(end.__cause__, AiToEarnError)
            assert end.ref is None
            assert end.request_id is not None
            assert end.sent_at is not None
            said = str(end)
            assert "may have made a task" in said
            assert "not sent again" in said
            assert ("list_videos()" in said) is isinstance(request, GenerateVideo)
            assert "a cat" in said
            assert len(said) < 2000

    run(main())


@given(not_taken)
def test_what_was_not_taken_is_not_said_to_be_open(plan: Plan) -> None:
    """As long as the end of the body has not left, the submit is repeated, or refused."""

    async def main() -> None:
        async with Taker([plan]) as server:
            end = await submit(server, HUGE)
            assert isinstance(end, VideoRef | ApiError | TransportError)
            if plan.point in ("accept", "head", "body"):
                assert isinstance(end, VideoRef)
                assert (server.submits, server.created) == (2, [end.id])

    run(main())


@given(plans, st.sampled_from([IMAGE, BIG]), st.floats(0, 20), st.booleans())
def test_cancelled_or_closed_at_any_moment(
    plans: list[Plan], request: GenerateImage | GenerateVideo, after: float, close: bool
) -> None:
    """Whatever ends the call, a task that was made is returned, or said to be possible."""

    async def main() -> None:
        async with Taker(plans) as server, server.client(**PATIENT) as client:
            task = asyncio.ensure_future(client.submit(request, upload="never"))
            await asyncio.wait([task], timeout=after)
            if close:
                await client.aclose()
            elif not task.done():
                task.cancel()
            await asyncio.wait([task])
            error = None if task.cancelled() else task.exception()
            await asyncio.sleep(0.1)
            assert len(server.created) <= 1
            if not server.created:
                return
            if task.cancelled():
                said = "".join(await notes(task))
                assert "may have made a task" in said
            elif error is not None:
                assert isinstance(error, SubmitUncertainError)
            else:
                assert [task.result().id] == server.created

    run(main())


async def notes(task: asyncio.Future[Any]) -> list[str]:
    try:
        await task
    except asyncio.CancelledError as exc:
        return getattr(exc, "__notes__", [])
    raise AssertionError("not cancelled")


async def test_a_cancelled_submit_is_noted() -> None:
    async with Taker([Plan("whole", (STALL,))]) as server, server.client() as client:
        task = asyncio.ensure_future(client.submit(VIDEO))
        await asyncio.sleep(1)
        task.cancel()
        (note,) = await notes(task)
        assert "may have made a task" in note
        assert KEY not in note
    async with Taker([Plan("accept", (STALL,))]) as server, server.client() as client:
        task = asyncio.ensure_future(client.submit(HUGE, upload="never"))
        await asyncio.sleep(1)
        task.cancel()
        assert await notes(task) == [], "the body never left whole"


async def test_no_connection_is_tried_again() -> None:
    async with Client(KEY, base_url=unused_url()) as client:
        with pytest.raises(ConnectionFailedError, match="no connection"):
            await client.submit(IMAGE)
        assert client.statistics().requests == 3
        assert client.statistics().failures == 3


async def test_a_broken_handshake_is_no_submit() -> None:
    plans = [Plan("accept", (FIN,))] * 3
    async with Taker(plans) as server:
        async with Client(KEY, base_url=server.url.replace("http:", "https:")) as client:
            with pytest.raises(ConnectionFailedError):
                await client.submit(IMAGE)
        assert (server.submits, server.wholes) == (3, 0)


async def test_an_upload_that_breaks_off_is_sent_again() -> None:
    async with Taker([Plan("body", (RST,), 10), TAKEN]) as server, server.client() as client:
        assert (await client.submit(HUGE, upload="never")).id == server.created[0]
        assert (server.submits, server.wholes) == (2, 1)


@pytest.mark.parametrize("how", ["status", "code"])
async def test_429_is_obeyed_and_sent_again(how: str) -> None:
    body, status = (PAGE, 429) if how == "status" else (envelope(code=429), 200)
    plan = Plan("no", (http(body, status, {"Retry-After": "7"}),))
    loop = asyncio.get_running_loop()
    async with Taker([plan, plan]) as server, server.client() as client:
        began = loop.time()
        assert await client.submit(IMAGE) == ImageRef(server.created[0])
        assert 13.9 < loop.time() - began < 17.5
    async with Taker([plan] * 3) as server, server.client() as client:
        with pytest.raises(RateLimitError):
            await client.submit(IMAGE)
        assert (server.wholes, server.created) == (3, [])


SENT = {
    *("host", "x-api-key", "x-request-id", "user-agent", "accept", "accept-encoding"),
    *("content-type", "content-length", "connection"),
}
"""The headers of a submit: no cache has a say in it, and no condition."""


def header_names(head: bytes) -> set[str]:
    return {line.partition(":")[0].lower() for line in head.decode().split("\r\n")[1:] if line}


CERTAIN = {
    *(307, 308, *range(400, 408), *range(410, 416), 417),
    *(421, 422, 424, 426, 428, 429, 431, 451, 511),
}


async def test_which_statuses_say_that_nothing_was_made() -> None:
    """Who asks for a login or for money has made nothing; a conflict may be the task itself."""
    for status in (*CERTAIN, 201, *range(300, 307), 408, 409, 416, 418, 423, 425, 499):
        assert await is_uncertain(http(PAGE, status)) is (status not in CERTAIN), status


async def test_a_status_in_a_gateways_words_says_as_much() -> None:
    """Under a 200, which says nothing; a no without a status is a plain one."""
    for status in (400, 401, 402, 404, 408, 409, 425, 429, 499, 500, 503, 504):
        body = b'{"status":%d,"error":"no"}' % status
        assert await is_uncertain(http(body)) is (status not in CERTAIN), status
    assert not await is_uncertain(http(b'{"success":false,"message":"no"}'))


async def is_uncertain(answer: bytes) -> bool:
    taker = Taker([Plan("no", (answer,))])
    async with taker as server, server.client(attempts=1, **PATIENT) as client:
        with pytest.raises(AiToEarnError) as caught:
            await client.submit(IMAGE)
    return isinstance(caught.value, SubmitUncertainError)


@pytest.mark.parametrize("end", ["cancel", "close"])
async def test_a_refused_submit_is_not_uncertain_while_another_key_is_awaited(end: str) -> None:
    asked = asyncio.Event()

    async def provide() -> str:
        if asked.is_set():
            await asyncio.sleep(3600)
        asked.set()
        return KEY

    refusal = http(envelope(code=401, message="no"))
    async with (
        Taker([Plan("no", (refusal,)), Plan("no", (refusal,))]) as server,
        server.client(api_key=provide) as client,
    ):
        task = asyncio.ensure_future(client.submit(IMAGE))
        await asyncio.sleep(5)
        if end == "close":
            await client.aclose()
            with pytest.raises(ClientClosedError):
                await task
        else:
            task.cancel()
            assert await notes(task) == [], "it was refused"
    assert server.created == []


async def test_each_submit_has_a_connection_of_its_own() -> None:
    """So none can have gone stale, and nobody else's answer can come in on it."""
    async with Taker() as server, server.client() as client:
        refs = [await client.submit(VIDEO) for _ in range(3)]
        assert [ref.id for ref in refs] == server.created
        assert server.submits == 3
        assert all(b"connection: close" in head.lower() for head in server.heads)
        assert all(header_names(head) == SENT for head in server.heads)
        ids = [re.search(rb"x-request-id: (\S+)", head, re.IGNORECASE) for head in server.heads]
        assert len({found[1] for found in ids if found}) == 3


async def test_a_redirect_is_no_submit_and_is_not_followed() -> None:
    async with (
        Taker() as other,
        Taker([Plan("no", (http(b"", 307, {"Location": f"{other.url}/x"}),))]) as server,
        server.client() as client,
    ):
        with pytest.raises(UnexpectedResponseError, match="redirect"):
            await client.submit(IMAGE)
        assert (server.submits, other.submits) == (1, 0)


async def test_nothing_secret_in_it() -> None:
    async with (
        Taker([Plan("whole", (http(KEY.encode() * 3, 502),))]) as server,
        server.client() as client,
    ):
        with pytest.raises(SubmitUncertainError) as caught:
            await client.submit(VIDEO)
    error = caught.value
    said = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert KEY not in said
    assert KEY not in repr(error) + str(error) + repr(error.__cause__)


async def test_it_says_when_the_submit_was_sent() -> None:
    """Not when the trouble came: whoever looks for the task looks from that moment on."""
    heard: list[datetime] = []

    def choose(_: Heard) -> Script:
        heard.append(datetime.now(UTC))
        return say(FIN)

    async with RawServer(choose=choose) as server, server.client() as client:
        before = datetime.now(UTC)
        with pytest.raises(SubmitUncertainError) as caught:
            await client.submit(IMAGE, check=False)
    sent = caught.value.sent_at
    assert sent is not None
    assert before <= sent <= heard[0]


async def test_the_callers_session_is_used_and_once() -> None:
    async with aiohttp.ClientSession() as session:
        for plan in (TAKEN, Plan("whole", (RST,)), Plan("whole", (FIN,))):
            async with Taker([plan, TAKEN]) as server, server.client(session=session) as client:
                try:
                    assert (await client.submit(IMAGE)).id == server.created[0]
                except SubmitUncertainError:
                    assert plan is not TAKEN
                assert server.wholes == 1


FAULTS = [
    (Fault(status=502, creates=True), True),
    (Fault(status=504, creates=False), False),
    (Fault(code=500, creates=True), True),
    (Fault(reset=True, creates=True), True),
    (Fault(close=True, creates=True), True),
    (Fault(stall="head", creates=True), True),
    (Fault(stall="body"), True),
    (Fault(truncate=30), True),
    (Fault(garbage=True), True),
    (Fault(raw=b"HTTP/1.1 200 OK\r\n\r\n", creates=True), True),
    (Fault(stall="head"), False),
]


@pytest.mark.parametrize(("fault", "created"), FAULTS, ids=str)
async def test_faults_of_the_emulator(fault: Fault, created: bool) -> None:
    """Without logs the fate stays open."""
    request = GenerateVideo(model="sora-2", prompt="a cat")
    async with (
        Emulator(routes=["video", "videos", "submits"]) as service,
        Client(service.api_key, base_url=service.url) as client,
    ):
        service.fault(fault)
        with pytest.raises(SubmitUncertainError):
            await client.submit(request)
        assert len(service.created) == created
        assert [request.method for request in service.requests].count("POST") == 1
        found = [task.ref async for task in client.list_videos()]
        assert found == service.created, "what was made can be found"
