"""Answers that belong to somebody else: never believed, and their connection is dropped."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import aiohttp
import pytest

from aitoearn_async import (
    ImageRef,
    TaskNotFoundError,
    UnexpectedResponseError,
    VideoRef,
    wait_backoff,
)
from tests.support.raw_server import (
    FIN,
    ID,
    REF,
    Heard,
    Part,
    RawServer,
    Script,
    envelope,
    good,
    http,
    refuse,
    say,
    task,
    together,
)

OTHER = ID[::-1]
EXTRA = http(envelope(task("failed", id=OTHER)))


def extra(delay: float, *more: Part) -> Script:
    """The right answer, and after a while one nobody asked for, on the same connection."""

    def script(heard: Heard) -> Iterable[Part]:
        return [*good()(heard), delay, *(more or (EXTRA,))]

    return script


async def test_an_answer_for_another_task_is_not_believed() -> None:
    """An echo of another id is an unexpected response, and worth another try."""
    async with RawServer(good(id=OTHER), good()) as server, server.client(attempts=1) as client:
        with pytest.raises(UnexpectedResponseError, match="not ours") as caught:
            await client.get(REF)
        assert caught.value.transient
        assert caught.value.label == "stray answer"
        assert OTHER in str(caught.value)
        assert (await client.get(REF)).log_id == ID


async def test_the_connection_of_a_stray_answer_is_dropped() -> None:
    """The next request goes out on another connection."""
    async with RawServer(good(id=OTHER), good()) as server, server.client(attempts=2) as client:
        assert (await client.get(REF)).log_id == ID
        assert [heard.connection for heard in server.heard] == [0, 1]
        assert [line.open for line in server.lines] == [False, True]


async def test_an_answer_for_the_other_kind_is_not_believed() -> None:
    """A video's answer to a question for an image breaks the contract, or is a stray one."""
    async with (
        RawServer(say(http(envelope(task(kind="video"))))) as server,
        server.client(attempts=1) as client,
    ):
        with pytest.raises((UnexpectedResponseError,)) as caught:
            await client.get(VideoRef(OTHER))
        assert caught.value.label == "stray answer"


async def test_the_id_is_compared_without_case() -> None:
    """The service may write an id in capitals; it is the same id."""
    ref = ImageRef("66F0c0ffee0123456789abCD")
    async with (
        RawServer(good(id=ID), good(id=ID.upper())) as server,
        server.client(attempts=1) as client,
    ):
        assert (await client.get(ref)).log_id == ID
        assert (await client.get(ref)).log_id == ID.upper()


@pytest.mark.parametrize("delay", [0.0, 0.001, 0.02, 0.2, 4.0])
async def test_an_extra_answer_on_an_idle_connection(delay: float) -> None:
    """Bytes that came while a connection lay idle are not taken for the next answer."""
    async with RawServer(extra(delay), good()) as server, server.client(attempts=1) as client:
        assert (await client.get(REF)).log_id == ID
        await asyncio.sleep(delay + 0.01)
        for letter in "abc":
            assert (await client.get(ImageRef(letter))).log_id == letter
        assert server.count == 4, "an unusable connection costs no request"
        assert server.heard[0].connection == 0
        assert {heard.connection for heard in server.heard[1:]} == {1}


async def test_an_extra_answer_that_comes_with_the_request() -> None:
    """What arrives between the look at the connection and the answer is found by its id."""

    def shifted(heard: Heard) -> Iterable[Part]:
        return [EXTRA, *good()(heard)] if heard.connection == 0 else good()(heard)

    async with RawServer(shifted) as server, server.client(attempts=3) as client:
        for letter in "abcdef":
            assert (await client.get(ImageRef(letter))).log_id == letter
        assert server.count == 7, "one request was answered by a stranger"


async def test_shifted_answers_among_many_calls() -> None:
    """A server that answers every tenth request twice makes no task wrong."""

    def sloppy(heard: Heard) -> Iterable[Part]:
        answer = list(good(delay=0.01)(heard))
        return answer * 2 if heard.number % 10 == 3 else answer

    refs = [ImageRef(f"task-{number}") for number in range(300)]
    async with RawServer(sloppy) as server, server.client(attempts=10, concurrency=20) as client:
        tasks = await together(*map(client.get, refs))
        assert [getattr(task, "log_id", task) for task in tasks] == [ref.id for ref in refs]


@pytest.mark.parametrize("more", [(), (0.001, FIN)], ids=["left open", "hung up"])
async def test_a_408_on_an_idle_connection(more: tuple[Part, ...]) -> None:
    """Proxies send one when nothing comes; it is no answer to what is asked next."""
    late = http(b"", 408, {"Connection": "close"})
    async with (
        RawServer(extra(0.5, late, *more), good()) as server,
        server.client(attempts=1) as client,
    ):
        await client.get(REF)
        await asyncio.sleep(1)
        assert (await client.get(REF)).done
        assert server.count == 2


async def test_stray_answers_do_not_disturb_a_wait() -> None:
    """A wait goes on over a stray answer, whatever end that one tells of."""
    scripts = good("generating"), good("failed", id=OTHER), extra(0.5), good("success")
    async with RawServer(*scripts) as server, server.client() as client:
        waiter = client.wait_for(REF, wait=wait_backoff(1))
        assert (await waiter).status == "success"
        assert server.count >= 3


async def test_a_refusal_of_another_request_is_not_believed() -> None:
    """Where request ids are echoed, a refusal with another one is somebody else's."""
    scripts = good(), refuse(404, request_id="somebody-else"), good()
    async with RawServer(*scripts) as server, server.client(attempts=2) as client:
        await client.get(REF)
        assert (await client.get(REF)).done
        assert [heard.connection for heard in server.heard] == [0, 0, 1]


@pytest.mark.parametrize("first", [good(), refuse(500)], ids=["echoed before", "not known"])
async def test_a_refusal_of_ours_is_believed(first: Script) -> None:
    """A refusal that echoes our request id, or none, is the service's answer."""
    plain = say(http(envelope(code=404)))
    async with RawServer(first, refuse(404), plain) as server, server.client() as client:
        await together(client.get(REF))
        with pytest.raises(TaskNotFoundError):
            await client.get(REF)
        with pytest.raises(TaskNotFoundError):
            await client.get(REF)


async def test_request_ids_that_are_never_echoed() -> None:
    """A service that makes up its own request ids is believed."""
    plain = say(http(envelope(task(), request_id="0123456789abcdefghijk")))
    async with RawServer(plain, refuse(404, request_id="own")) as server, server.client() as client:
        await client.get(REF)
        with pytest.raises(TaskNotFoundError):
            await client.get(REF)


@pytest.mark.parametrize("delay", [0.0, 0.02])
async def test_strays_on_a_session_of_the_callers(delay: float) -> None:
    """On a caller's session a stray answer costs tries, and is not believed either."""
    async with (
        RawServer(extra(delay), good()) as server,
        aiohttp.ClientSession() as session,
        server.client(session=session, attempts=3) as client,
    ):
        await client.get(REF)
        await asyncio.sleep(delay + 0.01)
        for letter in "abcdefgh":
            assert (await client.get(ImageRef(letter))).log_id == letter
