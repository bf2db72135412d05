"""A function that gives the key: when it is called, and what comes of what it does."""

from __future__ import annotations

import asyncio
import gc
import json
import weakref
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterator
from traceback import walk_tb
from typing import Any
from urllib.parse import quote

import pytest

from aitoearn_async import (
    AuthenticationError,
    Client,
    ClientClosedError,
    GenerateImage,
    RequestTimeoutError,
    WaitTimeoutError,
)
from aitoearn_async.emulator import VirtualTimeLoop
from tests.api.taker import Plan, Taker
from tests.polling.model import now
from tests.support.raw_server import (
    KEY,
    REF,
    Heard,
    RawServer,
    Script,
    envelope,
    good,
    http,
    refuse,
    say,
    task,
    unused_url,
)


class Provider:
    """Gives what it is told to, one after the other, the last one again and again."""

    def __init__(self, *credentials: object, takes: float = 0.0) -> None:
        self.credentials = credentials
        self.takes = takes
        self.calls = 0

    async def __call__(self) -> str:
        key = self.credentials[min(self.calls, len(self.credentials) - 1)]
        self.calls += 1
        await asyncio.sleep(self.takes)
        if isinstance(key, BaseException):
            raise key
        return key  # type: ignore[return-value]


def opened_by(*credentials: str) -> Callable[[Heard], Script]:
    """The answers of a server that takes these keys."""
    return lambda heard: good() if heard.header("X-Api-Key") in credentials else refuse(401, "no")


def server_of_changing_keys(valid: Iterator[str]) -> RawServer:
    """A server that takes each key once, and then the next one."""
    current = [next(valid)]

    def choose(heard: Heard) -> Script:
        if heard.header("X-Api-Key") != current[0]:
            return refuse(401, "no")
        current[0] = next(valid, "")
        return good()

    return RawServer(choose=choose)


def keys_of(server: RawServer) -> list[str | None]:
    return [heard.header("X-Api-Key") for heard in server.heard]


async def test_it_is_called_before_the_first_request_and_no_more() -> None:
    """Many that begin at once wait for the one call."""
    provide = Provider("one", "two", takes=5)
    async with RawServer() as server, server.client(api_key=provide) as client:
        assert provide.calls == 0
        await asyncio.gather(*(client.get(REF) for _ in range(100)))
        await client.get(REF)
    assert provide.calls == 1
    assert keys_of(server) == ["one"] * 101


async def test_a_call_goes_on_with_the_next_key() -> None:
    """Each of them, submits included: a refused one was not taken."""
    provide = Provider("one", "two")
    async with (
        RawServer(choose=opened_by("two")) as server,
        server.client(api_key=provide) as client,
    ):
        assert (await client.get(REF)).status == "success"
    assert keys_of(server) == ["one", "two"]

    refusal = http(envelope(code=401, message="no"))
    provide = Provider("one", "two")
    async with Taker([Plan("no", (refusal,))]) as taker, taker.client(api_key=provide) as client:
        await client.submit(GenerateImage(model="m", prompt="p"))
    assert len(taker.created) == 1
    assert [b"X-Api-Key: one" in head for head in taker.heads] == [True, False]
    assert provide.calls == 2

    models = envelope([{}]).replace(b"[{}]", b"[]")
    provide = Provider("one", "two")
    async with (
        RawServer(lambda _: (refusal,), lambda _: (http(models),)) as server,
        server.client(api_key=provide) as client,
    ):
        await client.image_models()
    assert keys_of(server) == ["one", "two"]


async def test_a_key_that_comes_back_is_another_one() -> None:
    """Keys may be given in turn: the one before the present one is as good as any."""
    provide = Provider("one", "two", "one")
    valid = iter(["one", "two", "one"])
    async with server_of_changing_keys(valid) as server, server.client(api_key=provide) as client:
        for _ in range(3):
            assert (await client.get(REF)).status == "success"
    assert keys_of(server) == ["one", "one", "two", "two", "one"]


def test_it_is_called_on_the_next_loop_too() -> None:
    """`asyncio.run` twice with one client, while several calls want a key at the same time."""
    provide = Provider("one", "two", takes=1)
    url = unused_url()
    client = Client(provide, base_url=url)

    async def main(key: str) -> None:
        server = RawServer(choose=opened_by(key))
        server.port = int(url.rpartition(":")[2])
        async with server:
            await asyncio.gather(client.get(REF), client.get(REF))

    for key in ("one", "two"):
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            runner.run(main(key))
            if key == "two":
                runner.run(client.aclose())
    assert provide.calls == 2


async def test_attempts_hold_for_keys_too() -> None:
    """A function that gives one wrong key after another is not called for ever."""
    provide = Provider(*map(str, range(100)))
    async with (
        RawServer(refuse(401, "no")) as server,
        server.client(api_key=provide, attempts=4) as client,
    ):
        with pytest.raises(AuthenticationError):
            await client.get(REF)
    assert keys_of(server) == ["0", "1", "2", "3"]


@pytest.mark.parametrize("call", ["get", "wait_for", "wait_all"])
async def test_the_first_key_cannot_be_had(call: str) -> None:
    """What the function raised comes out as it is, nothing is sent; the next call tries again."""
    provide = Provider(OSError("the vault is closed"), "one")
    async with RawServer() as server, server.client(api_key=provide) as client:
        argument: Any = [REF] if call == "wait_all" else REF
        with pytest.raises(OSError, match="the vault is closed"):
            await getattr(client, call)(argument)
        assert server.count == 0
        assert (await client.get(REF)).status == "success"
        assert client.statistics().in_flight == 0
    assert provide.calls == 2


@pytest.mark.parametrize("bad", ["", "new\n", None, b"bytes", "k\u00e4y"], ids=repr)
async def test_what_is_no_key(bad: object) -> None:
    """It is said as of an argument; where there was a good one before, it is a failed call."""
    async with RawServer() as server, server.client(api_key=Provider(bad)) as client:
        with pytest.raises(ValueError, match="the API key"):
            await client.get(REF)
        assert server.count == 0
    async with (
        RawServer(choose=opened_by("new")) as server,
        server.client(api_key=Provider("old", bad), attempts=1) as client,
    ):
        with pytest.raises(AuthenticationError) as caught:
            await client.get(REF)
    assert isinstance(caught.value.__cause__, ValueError)


async def test_a_function_that_is_not_async() -> None:
    """The error says what to do, and has no key among its locals."""
    async with RawServer() as server:
        provide: Any = lambda: "sk-not-async"  # noqa: E731 - as users would
        async with server.client(api_key=provide) as client:
            with pytest.raises(TypeError, match="use `async def`") as caught:
                await client.get(REF)
    for frame, _ in walk_tb(caught.value.__traceback__):
        if "aitoearn_async" in frame.f_code.co_filename:
            assert "sk-not-async" not in repr(frame.f_locals)
    assert server.count == 0


@pytest.mark.parametrize(
    "wrong", [{"request_timeout": 0}, {"attempts": 0}, {"key": "sk-among-locals"}]
)
def test_a_wrong_argument_of_the_client_shows_no_key(wrong: dict[str, Any]) -> None:
    """Reporters of errors send the locals of each frame, also of the one that makes the client."""
    with pytest.raises((TypeError, ValueError)) as caught:
        Client("sk-among-locals", proxy="http://me:sk-among-locals@127.0.0.1:1", **wrong)
    frames = [frame for frame, _ in walk_tb(caught.value.__traceback__)]
    assert len(frames) > 1  # the first is this one
    for frame in frames[1:]:
        assert "sk-among-locals" not in repr(frame.f_locals)


async def test_it_hangs() -> None:
    """A call ends in time, and so does a wait, to the moment."""
    provide = Provider("one", takes=3600)
    async with RawServer() as server, server.client(api_key=provide, attempts=1) as client:
        began = now()
        with pytest.raises(RequestTimeoutError, match=r"no key came .* within 30"):
            await client.get(REF)
        assert now() - began == pytest.approx(30, abs=0.05)
        began = now()
        with pytest.raises(WaitTimeoutError):
            await client.wait_for(REF, timeout=100)
        assert now() - began == pytest.approx(100, abs=0.05)
        assert (client.statistics().requests, client.statistics().in_flight) == (0, 0)
    assert server.count == 0


async def test_a_wait_calls_it_again_when_it_has_taken_too_long() -> None:
    """It may take as long as a request: whatever it hung at may be over at the next poll."""
    provide = Provider("new", takes=3600)
    async with RawServer() as server, server.client(api_key=provide, request_timeout=8) as client:
        waiting = asyncio.create_task(client.wait_for(REF, timeout=1000))
        await asyncio.sleep(4)
        provide.takes = 0.0
        began = now()
        assert (await waiting).done
        assert now() - began < 15
        assert provide.calls == 2
    assert keys_of(server) == ["new"]


async def test_it_hangs_when_it_is_called_again() -> None:
    """The refusal is what the call ends with; why it stood is its cause."""
    provide = Provider("old", "new")
    async with (
        RawServer(choose=opened_by("new")) as server,
        server.client(api_key=provide, attempts=1) as client,
    ):
        getting = asyncio.create_task(client.get(REF))
        await asyncio.sleep(0)
        provide.takes = 3600
        with pytest.raises(AuthenticationError) as caught:
            await getting
    assert isinstance(caught.value.__cause__, TimeoutError)


async def test_nothing_is_sent_while_it_hangs() -> None:
    """With the old key least of all: a call that comes meanwhile ends in time, and says why."""
    provide = Provider("old", "new")
    async with (
        RawServer(refuse(401, "no")) as server,
        server.client(api_key=provide, attempts=1, request_timeout=10) as client,
    ):
        first = asyncio.create_task(client.get(REF))
        await asyncio.sleep(0)
        provide.takes = 3600
        await asyncio.sleep(5)
        began = now()
        with pytest.raises(RequestTimeoutError, match="not sent: no key came"):
            await client.get(REF)
        assert now() - began == pytest.approx(10, abs=0.05)
        with pytest.raises(AuthenticationError):
            await first
        assert client.statistics().in_flight == 0
    assert keys_of(server) == ["old"]


@pytest.mark.parametrize("end", ["cancel", "close"])
@pytest.mark.parametrize("credentials", [("new",), ("old", "new")], ids=["the first", "another"])
async def test_it_is_left_in_the_middle(credentials: tuple[str, ...], end: str) -> None:
    """Who went for the key is cancelled: the next one goes. The client closes: all end."""
    provide = Provider(*credentials, "new", takes=10)
    async with (
        RawServer(choose=opened_by("new")) as server,
        server.client(api_key=provide) as client,
    ):
        calls = [asyncio.create_task(client.get(REF)) for _ in range(3)]
        await asyncio.sleep(10 * len(credentials) - 5)
        if end == "close":
            await client.aclose()
            for one in calls:
                with pytest.raises(ClientClosedError):
                    await one
            return
        calls[0].cancel()
        first, *others = await asyncio.gather(*calls, return_exceptions=True)
        assert isinstance(first, asyncio.CancelledError)
        assert [getattr(other, "status", other) for other in others] == ["success"] * 2
        assert client.statistics().in_flight == 0
    assert provide.calls == len(credentials) + 1


@pytest.mark.parametrize("call", ["get", "wait_for", "wait_all"])
async def test_it_closes_the_client(call: str) -> None:
    """The call that went for the key ends like all others, and its task goes on undisturbed."""

    async def provide() -> str:
        await client.aclose()
        return "new"

    async with RawServer() as server:
        client = server.client(api_key=provide)
        argument: Any = [REF] if call == "wait_all" else REF
        with pytest.raises(ClientClosedError):
            await getattr(client, call)(argument)
        await asyncio.sleep(1)
        assert client.statistics().in_flight == 0
    assert server.count == 0


@pytest.mark.parametrize("call", ["get", "wait_for", "wait_all"])
async def test_what_it_waits_for_is_cancelled(call: str) -> None:
    """That is the function's failure, and not an end that the caller of the client asked for."""
    inner: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    inner.cancel()

    async def provide() -> str:
        return await inner

    async with RawServer() as server, server.client(api_key=provide) as client:
        argument: Any = [REF] if call == "wait_all" else REF
        with pytest.raises(RuntimeError, match="api_key= was cancelled"):
            await getattr(client, call)(argument)
        assert client.statistics().in_flight == 0
    assert server.count == 0


async def test_a_failure_passes_and_the_call_goes_on_with_the_next_key() -> None:
    """Where no other key came, the next attempt may have better luck."""
    down = OSError("the vault is down")
    provider = Provider("old", down, down, "new")
    async with (
        RawServer(choose=opened_by("new")) as server,
        server.client(api_key=provider, attempts=4) as client,
    ):
        assert (await client.get(REF)).done
        assert [heard.header("X-Api-Key") for heard in server.heard] == ["old"] * 3 + ["new"]
        assert provider.calls == 4


async def test_its_failure_is_forgotten() -> None:
    """When all who wanted the key have been told of it; with it go the frames it came through."""

    class Closed(Exception):
        pass

    async def provide() -> str:
        await asyncio.sleep(1)
        raise Closed

    async def call() -> weakref.ref[BaseException]:
        ends = await asyncio.gather(client.get(REF), client.get(REF), return_exceptions=True)
        assert isinstance(ends[0], Closed)
        assert ends[0] is ends[1], "it was called once"
        return weakref.ref(ends[0])

    async with RawServer() as server, server.client(api_key=provide) as client:
        gone = await asyncio.create_task(call())
        gc.collect()
        assert gone() is None
    assert server.count == 0


@pytest.mark.parametrize("begin", ["sk-0123456789-", "sk-01-"], ids=["long", "short"])
async def test_neither_key_is_shown(begin: str) -> None:
    """What the service says of the old one, after there is a new one, is fit to be seen."""
    old, new = f"{begin}old", f"{begin}new"
    answers: list[Callable[[Heard], Script]] = [
        lambda _: refuse(401, f"{old} is out of date"),
        lambda _: refuse(400, f"{new} follows {old}"),
    ]
    async with (
        RawServer(choose=lambda heard: answers[heard.number](heard)) as server,
        server.client(api_key=Provider(old, new)) as client,
    ):
        with pytest.raises(Exception, match="<API key> follows <API key>") as caught:
            await client.get(REF)
        assert old not in repr(caught.value)
        assert new not in repr(client.__dict__)


async def test_types_fit() -> None:
    """A plain async function will do, to a type checker as well."""

    async def provide() -> str:
        return "one"

    function: Callable[[], Awaitable[str]] = provide
    async with RawServer() as server, server.client(api_key=function) as client:
        await client.get(REF)


WRITERS: dict[str, Callable[[str], str]] = {
    "as it is": lambda key: json.dumps(key)[1:-1],
    "PHP": lambda key: json.dumps(key)[1:-1].replace("/", "\\/"),
    ".NET": lambda key: "".join(c if c.isalnum() else f"\\u{ord(c):04X}" for c in key),
    "lower case": lambda key: "".join(c if c.isalnum() else f"\\u{ord(c):04x}" for c in key),
    "an address": lambda key: quote(key, safe=""),
}


@pytest.mark.parametrize("key", ["sk-AbCd/EfGh+IjKl/MnOp==", 'sk-AbCd"EfGh\\IjKlMnOp', "a" * 20])
@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)
async def test_the_key_in_escapes(key: str, writer: Callable[[str], str]) -> None:
    """A key that the service repeats is cut out, in whichever escapes it is written."""
    said = f"key {writer(key)} is wrong\\n".encode()
    body = envelope(task("failed", errorMessage="SAID")).replace(b"SAID", said)
    async with RawServer(say(http(body))) as server, server.client(api_key=key) as client:
        assert (await client.get(REF)).error_message == "key <API key> is wrong\n"


async def test_a_proxys_login_is_apart_from_its_address() -> None:
    """aiohttp shows the addresses of proxies; a login goes beside them, and still goes out."""
    async with RawServer() as proxy:
        address = proxy.url.replace("http://", "http://us%40er:p%3Aw@")
        async with Client(KEY, base_url="http://10.1.2.3", proxy=address) as client:
            await client.get(REF)
            options = client._parts.http._options
    assert str(options["proxy"]) == proxy.url.rstrip("/")
    sent = proxy.heard[0].header("Proxy-Authorization")
    assert sent == "Basic " + b64encode(b"us@er:p:w").decode()
