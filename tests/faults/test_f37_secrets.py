"""The API key: sent to one origin, and to be seen nowhere else.

A key with a marker in it goes through everything that can succeed or fail; then all that
came of it is searched for the marker.
"""

from __future__ import annotations

import asyncio
import copy
import gzip
import logging
import pickle
import traceback
from asyncio import constants
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any

import aiohttp
import pytest

from aitoearn_async import (
    AiToEarnError,
    Client,
    ClientClosedError,
    GenerateImage,
    RequestTimeoutError,
    wait_backoff,
)
from tests.support.raw_server import (
    FIN,
    KEY,
    REF,
    RST,
    STALL,
    RawServer,
    Script,
    envelope,
    good,
    http,
    refuse,
    say,
    together,
    unused_url,
)
from tests.support.sightings import is_seen, told_by

from .calls import OTHER
from .harness import Row, Trial

ROW = Row(
    37,
    "The key in logs, reprs, errors with their causes and locals, pickles, other origins' ears",
    "It is in none of them, also when the other side says it aloud, in debug mode, on a session "
    "of the caller's; nor can anything that holds it be pickled.",
)


@pytest.fixture(autouse=True)
async def nothing_logged(
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[None]:
    """With every logger at DEBUG and the loop in debug mode, no log and no output has it.

    The root logger is at DEBUG by `trial`, and would be left there if it were set twice.
    """
    for name in ("aitoearn_async", "aiohttp", "aiohttp.client", "asyncio"):
        caplog.set_level(logging.DEBUG, name)
    loop = asyncio.get_running_loop()
    # Where a future was made is most of what debug mode costs. One frame shows it as ten do.
    monkeypatch.setattr(constants, "DEBUG_STACK_DEPTH", 1)
    loop.set_debug(True)
    told: list[str] = []
    loop.set_exception_handler(lambda _, context: told.append(repr(context)))
    yield
    for record in caplog.records:
        assert_clean(record.getMessage(), repr(record.args), str(record.exc_text))
        assert_clean(logging.Formatter("%(message)s").format(record))
    assert_clean(*told, *capfd.readouterr())


def assert_clean(*texts: str | bytes) -> None:
    for text in texts:
        assert not is_seen(text), text


def assert_error_clean(error: BaseException) -> None:
    """No way of showing or storing an error has the key."""
    assert_clean(*told_by(error))
    if isinstance(error, AiToEarnError):
        assert str(pickle.loads(pickle.dumps(error))) == str(error)
        assert str(copy.copy(error)) == str(error)


ECHO = f"you sent {KEY}".encode()

TROUBLE: dict[str, tuple[Script, ...]] = {
    "wrong key": (refuse(401),),
    "wrong key, echoed": (refuse(401, f"the key {KEY} is not valid"),),
    "key echoed late": (refuse(12300, "x" * 190 + KEY),),
    "unknown": (refuse(404),),
    "trouble": (refuse(500, f"trouble with {KEY}"),),
    "a page": (say(http(b"<html>", 502)),),
    "a page that echoes": (say(http(ECHO, 502)),),
    "a page that echoes late": (say(http(b" " * 985 + ECHO, 502)),),
    "a page that echoes most of it": (say(http(b" " * 970 + ECHO, 502)),),
    "JSON that echoes": (say(http(b'{"code": "' + KEY.encode() + b'"}')),),
    "no JSON": (say(http(ECHO)),),
    "a redirect that echoes": (say(http(b"", 302, {"Location": f"https://{KEY}.org/{KEY}"})),),
    "a redirect": (say(http(b"", 307, {"Location": f"https://example.org/?key={KEY}"})),),
    "not HTTP": (say(ECHO, FIN),),
    "a header that echoes": (say(http(b"", headers={"X": f"{KEY}\0"})),),
    "two lengths": (say(http(b"", headers={"Content-Length": KEY})),),
    "reset": (say(RST),),
    "cut": (say(http(ECHO, length=1000), FIN),),
    "bad gzip": (say(http(ECHO, headers={"Content-Encoding": "gzip"})),),
    "too large": (say(http(gzip.compress(b" " * 2000), headers={"Content-Encoding": "gzip"})),),
    "stray": (good(id="another"),),
    "stray that echoes": (good(id=KEY),),
    "stall": (say(STALL),),
    "half a stall": (say(http(ECHO, length=1000), STALL),),
}

USES: dict[str, Callable[[Client], Awaitable[object]]] = {
    "get": lambda client: client.get(REF),
    "wait": lambda client: _wait(client),
    "batch": lambda client: _batch(client),
}


async def _wait(client: Client) -> object:
    return await client.wait_for(REF, timeout=20, patience=10, wait=wait_backoff(1))


async def _batch(client: Client) -> object:
    outcomes = await client.wait_all([REF, OTHER], timeout=20, patience=10, wait=wait_backoff(1))
    assert_clean(repr(outcomes))
    raise next(outcome.error for outcome in outcomes if outcome.error)


REPEATED: dict[str, dict[str, object]] = {
    "status": {"status": f"x {KEY}"},
    "reason": {"status": "failed", "errorMessage": f"{KEY} is not valid"},
    "request": {"status": "success", "request": {KEY: KEY}},
}


@pytest.mark.parametrize("data", REPEATED.values(), ids=REPEATED)
async def test_a_task_that_repeats_it(trial: Trial, data: dict[str, object]) -> None:
    """What is shown and stored of a task has it no more, nor has what is said of the wait."""
    async with RawServer(say(http(envelope({"logId": REF.id, **data})))) as server:
        async with server.client() as client:
            task = await client.get(REF)
            waiter = client.wait_for(REF, timeout=20)
            (end,) = await together(waiter)
            said = (repr(task), repr(waiter), repr(waiter.seen), repr(end), str(end))
            trial.no_key_in(*said, pickle.dumps((task, end)))
        assert "<API key>" in "".join(said)
    trial.wire(server)


@pytest.mark.sampled(7)
@pytest.mark.parametrize("own_session", [True, False], ids=["own session", "caller's session"])
@pytest.mark.parametrize("use", USES.values(), ids=USES)
@pytest.mark.parametrize("scripts", TROUBLE.values(), ids=TROUBLE)
async def test_errors(
    trial: Trial,
    scripts: tuple[Script, ...],
    use: Callable[[Client], Awaitable[object]],
    own_session: bool,
) -> None:
    """No error has the key, not even when the other side says it."""
    async with RawServer(*scripts) as server, aiohttp.ClientSession() as session:
        async with server.client(
            session=None if own_session else session, request_timeout=2, max_response_bytes=1500
        ) as client:
            (error,) = await trial.ends(lambda _: use(client), REF)
            assert isinstance(error, AiToEarnError)
            assert_clean(repr(client), str(client), repr(client.statistics()))
        assert KEY.encode() in server.raw, "the key was sent"
    assert_error_clean(error)
    trial.wire(server)


async def test_nobody_there() -> None:
    """A refused connection shows the address, and no key."""
    async with Client(KEY, base_url=unused_url(), attempts=2) as client:
        for use in USES.values():
            with pytest.raises(AiToEarnError) as caught:
                await use(client)
            assert_error_clean(caught.value)


async def test_success() -> None:
    """Nor has anything of a call that went well."""
    async with (
        RawServer(good("generating"), good("Dreaming"), good()) as server,
        server.client() as client,
    ):
        waiter = client.wait_for(REF, wait=wait_backoff(1))
        found = [task async for task in waiter]
        assert len(found) == 3
        assert_clean(repr(found), repr(waiter), str(waiter), repr(client), repr(vars(waiter)))
        assert_clean(repr(asyncio.ensure_future(_nothing(client))))
        await asyncio.sleep(0)


async def _nothing(client: Client) -> Client:
    return client


async def test_a_failed_task() -> None:
    """A task's failure knows the task, and no key."""
    async with RawServer(good("failed")) as server, server.client() as client:
        with pytest.raises(AiToEarnError) as caught:
            await client.wait_for(REF)
        assert_error_clean(caught.value)


STALLS: dict[str, Script] = {
    "before the head": say(STALL),
    "in the head": say(b"HTTP/1.1 200", STALL),
    "in the body": say(http(b"{", length=100), STALL),
    "between polls": good("generating"),
    "between tries": refuse(500),
}


@pytest.mark.sampled(4)
@pytest.mark.parametrize("script", STALLS.values(), ids=STALLS)
@pytest.mark.parametrize("use", USES.values(), ids=USES)
async def test_cancelled(use: Callable[[Client], Awaitable[object]], script: Script) -> None:
    """A cancellation passes through the frames of the request, which hold no readable key."""
    async with RawServer(script) as server, server.client(attempts=50) as client:
        running = asyncio.ensure_future(use(client))
        await asyncio.sleep(0.2)
        assert_clean(repr(running), repr(running.get_stack()))
        if running.done():
            return
        running.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await running
        assert_error_clean(caught.value)


@pytest.mark.sampled(4)
@pytest.mark.parametrize("script", STALLS.values(), ids=STALLS)
@pytest.mark.parametrize("use", USES.values(), ids=USES)
async def test_timed_out_by_the_caller(
    use: Callable[[Client], Awaitable[object]], script: Script
) -> None:
    """Nor has the `TimeoutError` of `asyncio.timeout`, with the cancellation it came of."""
    async with RawServer(script) as server, server.client(attempts=50) as client:
        try:
            async with asyncio.timeout(0.2):
                await use(client)
        except TimeoutError as exc:
            assert_error_clean(exc)


@pytest.mark.parametrize("script", STALLS.values(), ids=STALLS)
async def test_closed(script: Script) -> None:
    """Nor has the error of a client that was closed under a call."""
    async with RawServer(script) as server:
        async with server.client(attempts=50) as client:
            running = asyncio.ensure_future(_wait(client))
            await asyncio.sleep(0.2)
        with pytest.raises(ClientClosedError) as caught:
            await running
        assert_error_clean(caught.value)


async def _group(client: Client) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(client.get(REF))


async def test_in_a_group() -> None:
    """Nor has a group of errors."""
    async with (
        RawServer(say(STALL)) as server,
        server.client(request_timeout=1, attempts=1) as client,
    ):
        with pytest.raises(ExceptionGroup) as caught:
            await _group(client)
        assert caught.group_contains(RequestTimeoutError)
        assert_error_clean(caught.value)


async def test_misuse() -> None:
    """Nor has a mistake of the caller's."""
    async with RawServer() as server, aiohttp.ClientSession() as session:
        client = server.client(session=session)
        await session.close()
        with pytest.raises(RuntimeError) as caught:
            await client.get(REF)
        assert_error_clean(caught.value)
        await client.aclose()
        with pytest.raises(ClientClosedError) as closed:
            await client.get(REF)
        assert_error_clean(closed.value)


def values_in(error: BaseException | None) -> Iterator[object]:
    """The values of all locals of this package's frames, down to what dicts and lists hold."""
    while error is not None:
        for frame, _ in traceback.walk_tb(error.__traceback__):
            if "aitoearn_async" in str(frame.f_globals.get("__name__")):
                todo: list[object] = [*frame.f_locals.values()]
                for value in todo:
                    yield value
                    if isinstance(value, Mapping):
                        todo += value.values()
                    elif isinstance(value, list | tuple):
                        todo += value
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize("how", ["get", "wait_for", "submit", "list_videos"])
@pytest.mark.parametrize("trouble", ["a closed session", "a hook", "nobody there", "a no"])
async def test_no_frame_of_a_traceback_holds_the_key(how: str, trouble: str) -> None:
    """Reporters of errors send the values of locals, not what these say of themselves."""
    hooks = aiohttp.TraceConfig()

    async def hook(*_: object) -> None:
        raise RuntimeError("a typo in a hook")

    if trouble == "a hook":
        hooks.on_request_start.append(hook)
    async with (
        RawServer(*[refuse(401)] * 3) as server,
        aiohttp.ClientSession(trace_configs=[hooks]) as session,
    ):
        address = "http://127.0.0.1:1" if trouble == "nobody there" else server.url
        client = Client(KEY, base_url=address, session=session, attempts=1)
        if trouble == "a closed session":
            await session.close()
        calls: dict[str, Callable[[], Awaitable[object]]] = {
            "get": lambda: client.get(REF),
            "wait_for": lambda: client.wait_for(REF, patience=0),
            "submit": lambda: client.submit(GenerateImage(model="m", prompt="p")),
            "list_videos": lambda: anext(client.list_videos()),
        }
        with pytest.raises((AiToEarnError, RuntimeError)) as caught:
            await calls[how]()
        held = [value for value in values_in(caught.value) if isinstance(value, str | bytes)]
        assert [value for value in held if KEY in str(value)] == []
        await client.aclose()


async def test_the_key_itself_is_not_shown_by_what_holds_it() -> None:
    """Digging through a client's attributes shows no key."""
    async with RawServer() as server, server.client() as client:
        await client.get(REF)
        seen: list[object] = [client]
        for one in seen:
            assert_clean(repr(one), str(one) if not isinstance(one, str) else "")
            if isinstance(one, tuple):
                seen += one
            elif type(one).__module__.startswith("aitoearn_async"):
                slots = (getattr(one, name, None) for name in getattr(one, "__slots__", ()))
                held = [*getattr(one, "__dict__", {}).values(), *slots]
                seen += [more for more in held if not any(more is other for other in seen)]
        assert len(seen) > 10


async def test_nothing_that_holds_the_key_can_be_stored() -> None:
    """A client, a wait, a batch and the key itself: not pickled, not copied whole; one says why."""
    client = Client(KEY, base_url="http://127.0.0.1:1")
    waiter = client.wait_for(REF)
    waiter.close()
    for made in (
        client,
        waiter,
        client.as_completed([REF]),
        client._parts.http.credentials,
    ):
        for store in (pickle.dumps, copy.deepcopy):
            with pytest.raises((TypeError, AttributeError, pickle.PicklingError)) as caught:
                store(made)
            assert_clean(str(caught.value))
    with pytest.raises(TypeError, match="make a Client where it is needed"):
        pickle.dumps(client)


async def test_a_client_that_was_used_says_the_same() -> None:
    """It says why it cannot be stored at every stage of its life, and so does the key."""
    async with RawServer() as server, server.client() as client:
        await client.get(REF)
        for made in (client, client._parts.http.credentials.keys[0]):
            with pytest.raises(TypeError, match="make a Client where it is needed"):
                pickle.dumps(made)
    with pytest.raises(TypeError, match="make a Client where it is needed"):
        pickle.dumps(client)


def test_a_copy_of_the_key_is_the_key() -> None:
    """Recorders copy the headers they are given; the copy is as well hidden."""
    key = Client(KEY)._parts.http.credentials.keys[0]
    for again in (copy.copy(key), copy.deepcopy(key), copy.deepcopy({"X-Api-Key": key})):
        assert_clean(repr(again))
    assert copy.deepcopy(key) is key


@pytest.mark.parametrize(
    "arguments",
    [
        {"proxy": f"http://user:{KEY}@127.0.0.1:1", "attempts": 0},
        {"proxy": f"http://user:{KEY}@127.0.0.1:1", "base_url": "ftp://x"},
        {"proxy": f"http://user:{KEY}@127.0.0.1:1", "session": 5},
        {"proxy": f"http://user:{KEY}@127.0.0.1:1", "ssl": "no"},
        {"proxy": f"socks5://user:{KEY}@127.0.0.1:1"},
    ],
)
def test_a_mistake_beside_a_proxy_shows_no_password(arguments: dict[str, Any]) -> None:
    """No local of the package's frames holds the proxy's address, when a client is refused."""
    with pytest.raises((ValueError, TypeError)) as caught:
        Client("sk-test", **arguments)
    frames = [*traceback.walk_tb(caught.value.__traceback__)]
    ours = [frame for frame, _ in frames if "aitoearn_async" in frame.f_code.co_filename]
    assert ours
    for frame in ours:
        if frame.f_code.co_filename != __file__:
            assert_clean(repr({**frame.f_locals}))


@pytest.mark.parametrize(
    "arguments",
    [
        {"base_url": "ftp://x"},
        {"attempts": 0},
        {"language": ""},
        {"api_key": f"{KEY}\n"},
        {"api_key": f"{KEY} {KEY}"},
        {"api_key": KEY.encode()},
        {"api_key": [KEY]},
    ],
    ids=repr,
)
def test_a_client_that_could_not_be_made(arguments: dict[str, Any]) -> None:
    """Its traceback can be shown with all locals, the half-made client among them."""
    with pytest.raises(ValueError, match=r"=|key") as caught:
        Client(**{"api_key": KEY, **arguments})
    told = [*told_by(caught.value)]
    assert "<Client that was refused an argument>" in "".join(map(str, told))
    assert_clean(*told)
