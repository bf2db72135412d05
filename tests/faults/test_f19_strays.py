"""Answers that belong to somebody else: never believed, and their connection is dropped."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable

import aiohttp
import pytest

from aitoearn_async import (
    AnyRef,
    ImageRef,
    TaskNotFoundError,
    TaskState,
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
)

from .harness import Row, Trial

ROW = Row(
    19,
    "An answer comes that nobody asked for: on an idle connection, twice, or for another task",
    "Bytes on an idle connection end it before it is used. An answer is believed only if it "
    "names the task that was asked for; otherwise its connection is dropped, and another poll "
    "brings the right one.",
)

OTHER = ID[::-1]
EXTRA = http(envelope(task("failed", id=OTHER)))


def extra(delay: float, *more: Part) -> Script:
    """The right answer, and after a while one nobody asked for, on the same connection."""

    def script(heard: Heard) -> Iterable[Part]:
        return [*good()(heard), delay, *(more or (EXTRA,))]

    return script


async def test_an_answer_for_another_task_is_not_believed(trial: Trial) -> None:
    """An echo of another id is an unexpected response, and worth another try."""
    async with RawServer(good(id=OTHER), good()) as server, server.client(attempts=1) as client:
        (error,) = await trial.ends(client.get, REF)
        assert type(error) is UnexpectedResponseError
        assert error.transient
        assert error.label == "stray answer"
        assert OTHER in str(error)
        await trial.ends(client.get, REF, status="success")
    trial.wire(server, exactly=2)


async def test_the_connection_of_a_stray_answer_is_dropped(trial: Trial) -> None:
    """The next request goes out on another connection."""
    async with RawServer(good(id=OTHER), good()) as server, server.client(attempts=2) as client:
        await trial.ends(client.get, REF, status="success")
        assert [heard.connection for heard in server.heard] == [0, 1]
        assert [line.open for line in server.lines] == [False, True]
    trial.wire(server, exactly=2)


async def test_an_answer_for_the_other_kind_is_not_believed(trial: Trial) -> None:
    """A video's answer to a question for another video, or for an image."""
    script = say(http(envelope(task(kind="video"))))
    async with RawServer(script) as server, server.client(attempts=1) as client:
        (error,) = await trial.ends(client.get, VideoRef(OTHER))
        assert error.label == "stray answer"
        (error,) = await trial.ends(client.get, REF)
        assert error.label == "broken answer"
    trial.wire(server, exactly=2)


async def test_the_id_is_compared_without_case(trial: Trial) -> None:
    """The service may write an id in capitals; it is the same id."""
    ref = ImageRef("66F0c0ffee0123456789abCD")
    scripts = good(id=ID), good(id=ID.upper())
    async with RawServer(*scripts) as server, server.client(attempts=1) as client:
        ends = [end for _ in scripts for end in await trial.ends(client.get, ref)]
    assert [end.log_id for end in ends] == [ID, ID.upper()]
    trial.wire(server, exactly=2)


@pytest.mark.parametrize("delay", [0.0, 0.001, 0.02, 0.2, 4.0])
async def test_an_extra_answer_on_an_idle_connection(trial: Trial, delay: float) -> None:
    """Bytes that came while a connection lay idle are not taken for the next answer."""
    async with RawServer(extra(delay), good()) as server, server.client(attempts=1) as client:
        await trial.ends(client.get, REF, status="success")
        await asyncio.sleep(delay + 0.01)
        for letter in "abc":
            await trial.ends(client.get, ImageRef(letter), status="success")
        assert server.heard[0].connection == 0
        assert 0 not in {heard.connection for heard in server.heard[1:]}
        assert client.statistics().failures == 0
    trial.wire(server, exactly=4)


async def test_an_extra_answer_that_comes_with_the_request(trial: Trial) -> None:
    """What arrives between the look at the connection and the answer is found by its id."""

    def shifted(heard: Heard) -> Iterable[Part]:
        return [EXTRA, *good()(heard)] if heard.connection == 0 else good()(heard)

    async with RawServer(shifted) as server, server.client(attempts=3) as client:
        for letter in "abcdef":
            await trial.ends(client.get, ImageRef(letter), status="success")
    trial.wire(server, exactly=7)


async def test_shifted_answers_among_many_calls(trial: Trial) -> None:
    """A server that answers every tenth request twice makes no task wrong."""

    def sloppy(heard: Heard) -> Iterable[Part]:
        answer = list(good(delay=0.01)(heard))
        return answer * 2 if heard.number % 10 == 3 else answer

    refs = [ImageRef(f"task-{number}") for number in range(300)]
    async with RawServer(sloppy) as server, server.client(attempts=10, concurrency=20) as client:
        await trial.ends(client.get, *refs, status="success")
    trial.wire(server, at_most=400)


@pytest.mark.slow
async def test_shifted_answers_among_many_waits(trial: Trial) -> None:
    """Half of the tasks fail, half succeed, all answers may be swapped: none is mistaken."""

    def sloppy(heard: Heard) -> Iterable[Part]:
        number = int(heard.path.rpartition("/")[2])
        word = "generating" if heard.at < began + 20 else ("failed", "success")[number % 2]
        answer = list(good(word, delay=0.01)(heard))
        return answer * 2 if heard.number % 7 == 3 else answer

    refs: list[AnyRef] = [ImageRef(str(number)) for number in range(100)]
    async with RawServer(sloppy) as server, server.client(concurrency=20) as client:
        began = asyncio.get_running_loop().time()
        outcomes = await client.wait_all(refs, wait=wait_backoff(5))
        for number, outcome in enumerate(outcomes):
            trial.book([refs[number]], [outcome.task], status=("failed", "success")[number % 2])
    assert [outcome.ref for outcome in outcomes] == refs
    assert {outcome.task and outcome.task.state for outcome in outcomes} == {
        TaskState.SUCCEEDED,
        TaskState.FAILED,
    }
    trial.wire(server, at_most=1000)


@pytest.mark.parametrize("more", [(), (0.001, FIN)], ids=["left open", "hung up"])
async def test_a_408_on_an_idle_connection(trial: Trial, more: tuple[Part, ...]) -> None:
    """Proxies send one when nothing comes; it is no answer to what is asked next."""
    late = http(b"", 408, {"Connection": "close"})
    scripts = extra(0.5, late, *more), good()
    async with RawServer(*scripts) as server, server.client(attempts=1) as client:
        await trial.ends(client.get, REF, status="success")
        await asyncio.sleep(1)
        await trial.ends(client.get, REF, status="success")
    trial.wire(server, exactly=2)


async def test_stray_answers_do_not_disturb_a_wait(trial: Trial) -> None:
    """A wait goes on over a stray answer, whatever end that one tells of."""
    scripts = good("generating"), good("failed", id=OTHER), extra(0.5), good("success")
    async with RawServer(*scripts) as server, server.client(wait=wait_backoff(1)) as client:
        await trial.ends(client.wait_for, REF, status="success")
    trial.wire(server, exactly=3)


@pytest.mark.parametrize("calls", ["wait_for", "wait_all"])
async def test_a_stray_answer_without_news(trial: Trial, calls: str) -> None:
    """One that says nothing new, but of another task, is no good poll and keeps no connection."""
    scripts = good("generating"), good("generating", id=OTHER), good("generating"), good()
    async with RawServer(*scripts) as server, server.client(wait=wait_backoff(1)) as client:
        if calls == "wait_for":
            await trial.ends(client.wait_for, REF, status="success")
        else:
            trial.book([REF], await client.wait_all([REF]), status="success")
        assert client.statistics().failures == 1
        assert [heard.connection for heard in server.heard] == [0, 0, 1, 1]
    trial.wire(server, exactly=4)


async def test_a_refusal_of_another_request_is_not_believed(trial: Trial) -> None:
    """Where request ids are echoed, a refusal with another one is somebody else's."""
    scripts = good(), refuse(404, request_id="somebody-else"), good()
    async with RawServer(*scripts) as server, server.client(attempts=2) as client:
        await trial.ends(client.get, REF, status="success")
        await trial.ends(client.get, REF, status="success")
        assert [heard.connection for heard in server.heard] == [0, 0, 1]
    trial.wire(server, exactly=3)


@pytest.mark.parametrize("first", [good(), refuse(500)], ids=["echoed before", "not known"])
async def test_a_refusal_of_ours_is_believed(trial: Trial, first: Script) -> None:
    """A refusal that echoes our request id, or none, is the service's answer."""
    plain = say(http(envelope(code=404)))
    scripts = first, refuse(404), plain
    async with RawServer(*scripts) as server, server.client(attempts=1) as client:
        ends = [end for _ in scripts for end in await trial.ends(client.get, REF)]
    assert [type(end) for end in ends[1:]] == [TaskNotFoundError] * 2
    trial.wire(server, exactly=3)


async def test_unchanged_since_another_answer(trial: Trial) -> None:
    """A 304 that names another ETag is about another answer: the task is asked for anew."""
    first = http(envelope(task("generating")), headers={"ETag": '"1"'})
    other = b'HTTP/1.1 304 Not Modified\r\nETag: "2"\r\n\r\n'
    scripts = say(first), say(other), good()
    async with RawServer(*scripts) as server, server.client(wait=wait_backoff(1)) as client:
        await trial.ends(client.wait_for, REF, status="success")
        _, second, third = server.heard
        assert second.header("If-None-Match") == '"1"'
        assert third.header("If-None-Match") is None
        assert third.at - second.at < 0.1, "at once, not with the next poll"
    trial.wire(server, exactly=3)


async def test_an_answer_to_another_request_of_ours(trial: Trial) -> None:
    """What is no task names none; but it echoes a request id, and that is looked at too."""
    ids: list[str | None] = []

    def late(heard: Heard) -> Iterable[Part]:
        ids.append(heard.header("X-Request-Id"))
        model = {"name": "old" if heard.number == 1 else "right"}
        echoed = ids[0] if heard.number == 1 else ids[-1]
        body = json.dumps({"code": 0, "data": [model], "requestId": echoed})
        return (http(body.encode()),)

    async with RawServer(late) as server, server.client(attempts=2) as client:
        for _ in range(2):
            assert [model.name for model in await client.image_models()] == ["right"]
        assert client.statistics().failures == 1
        assert [heard.connection for heard in server.heard] == [0, 0, 1]
    trial.wire(server, exactly=3)


async def test_request_ids_that_are_never_echoed(trial: Trial) -> None:
    """A service that makes up its own request ids is believed."""
    plain = say(http(envelope(task(), request_id="0123456789abcdefghijk")))
    async with RawServer(plain, refuse(404, request_id="own")) as server, server.client() as client:
        await trial.ends(client.get, REF, status="success")
        (error,) = await trial.ends(client.get, REF)
        assert type(error) is TaskNotFoundError
    trial.wire(server, exactly=2)


async def test_a_session_of_the_callers_is_rid_of_the_connection_of_a_stray(trial: Trial) -> None:
    """Its connections are not ours to close: the server is asked to close one, and only one."""
    async with (
        RawServer(good(id="b" * 24), good()) as server,
        aiohttp.ClientSession() as session,
        server.client(session=session, attempts=1) as client,
    ):
        for _ in range(3):
            await trial.ends(client.get, REF)
        asked = [heard.header("Connection") for heard in server.heard]
    assert asked == [None, "close", None]
    trial.wire(server, exactly=3)


@pytest.mark.parametrize("delay", [0.0, 0.02])
async def test_strays_on_a_session_of_the_callers(trial: Trial, delay: float) -> None:
    """On a caller's session a stray answer costs tries, and is not believed either."""

    def polite(heard: Heard) -> Iterable[Part]:
        first = extra(delay) if heard.number == 0 else good()
        closes = heard.header("Connection") == "close"
        return [*first(heard), *([FIN] if closes else [])]

    async with (
        RawServer(polite) as server,
        aiohttp.ClientSession() as session,
        server.client(session=session, attempts=3) as client,
    ):
        await trial.ends(client.get, REF, status="success")
        await asyncio.sleep(delay + 0.01)
        for letter in "abcdefgh":
            await trial.ends(client.get, ImageRef(letter), status="success")
    trial.wire(server, at_most=11)
