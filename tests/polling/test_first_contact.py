"""First contact is loud, and then patient."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import tenacity

from aitoearn_async import (
    Client,
    ConnectionFailedError,
    ImageRef,
    ServiceUnreachableError,
    VideoRef,
    WaitTimeoutError,
)
from tests.support.raw_server import (
    FIN,
    KEY,
    REF,
    RST,
    RawServer,
    Script,
    good,
    http,
    say,
    unused_url,
)

CERTIFICATE = Path(__file__).parents[1] / "support" / "certificates" / "valid.pem"
HTML = {"Content-Type": "text/html"}
STRANGERS: dict[str, Script] = {
    "a redirect": say(http(b"", 301, {"Location": "https://example.org/"})),
    "a welcome page": say(http(b"<html>It works!</html>", 200, HTML)),
    "an HTML 404": say(http(b"<html>not found</html>", 404, HTML)),
    "an HTML 403": say(http(b"<html>forbidden</html>", 403, HTML)),
    "JSON of another service": say(http(b'{"status":"ok","version":"1.2"}')),
    "another protocol": say(b"SSH-2.0-OpenSSH_9.2\r\n\r\n", FIN),
    "one that hangs up": say(FIN),
    "one that resets": say(RST),
}
"""What is at a wrong address."""


@asynccontextmanager
async def nobody() -> AsyncIterator[str]:
    yield unused_url()


@asynccontextmanager
async def no_tls() -> AsyncIterator[str]:
    async with RawServer(greet=[b"HTTP/1.1 400 Bad Request\r\n\r\n", FIN]) as server:
        yield server.url.replace("http:", "https:")


@asynccontextmanager
async def black_hole() -> AsyncIterator[str]:
    """An address from which nothing comes back: its queue of connections is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, contextlib.ExitStack() as held:
        for _ in range(4):
            waiting = held.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        yield f"http://127.0.0.1:{full.getsockname()[1]}"


@asynccontextmanager
async def tls() -> AsyncIterator[str]:
    """A port of TLS, which is asked in plain HTTP."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    async with RawServer(good(), tls=context) as server:
        yield server.url.replace("https:", "http:")


def stranger(script: Script) -> Callable[[], object]:
    @asynccontextmanager
    async def serve() -> AsyncIterator[str]:
        async with RawServer(script) as server:
            yield server.url

    return serve


ADDRESSES = {
    "nobody": nobody,
    "a black hole": black_hole,
    "no TLS": no_tls,
    "TLS": tls,
    **{name: stranger(script) for name, script in STRANGERS.items()},
}


@pytest.mark.parametrize("serve", ADDRESSES.values(), ids=ADDRESSES)
@pytest.mark.parametrize("ref", [REF, VideoRef("film")], ids=["image", "video"])
async def test_a_wrong_address_is_told_within_ten_seconds(
    serve: Callable[[], object], ref: ImageRef | VideoRef, caplog: pytest.LogCaptureFixture
) -> None:
    """After a few tries, by an error that names the address and what was seen there."""
    loop = asyncio.get_running_loop()
    async with serve() as url, Client(KEY, base_url=url) as client:  # type: ignore[attr-defined]
        began = loop.time()
        with pytest.raises(ServiceUnreachableError) as caught:
            await client.wait_for(ref)
        assert loop.time() - began < 10
    error = caught.value
    assert 2 <= error.polls <= 10
    assert error.address == url
    assert url in str(error)
    assert str(error).endswith("Is base_url= right?")
    assert str(error.__cause__)[:60] in str(error)
    told = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(told) == 1
    assert told[0].getMessage().startswith(f"a poll of {ref} failed, and is repeated: ")
    assert told[0].getMessage().count(str(ref)) == 1


@pytest.mark.parametrize("status", [403, 407, 502, 504])
async def test_a_proxy_that_refuses_is_told_too(status: int) -> None:
    """It is as good as nobody: the address of the service, or that of the proxy, is wrong."""
    loop = asyncio.get_running_loop()
    async with (
        RawServer(say(http(b"", status))) as proxy,
        Client(KEY, base_url="https://service.example", proxy=proxy.url) as client,
    ):
        began = loop.time()
        with pytest.raises(ServiceUnreachableError, match=f"the proxy refused.* {status}"):
            await client.wait_for(REF)
        assert loop.time() - began < 10


async def test_the_delays_of_a_wait_do_not_hold_it_up() -> None:
    """Nor does a patience that is shorter become longer."""
    loop = asyncio.get_running_loop()
    async with Client(KEY, base_url=unused_url()) as client:
        for patience, most in ((300, 10), (2, 2.1)):
            began = loop.time()
            with pytest.raises(ServiceUnreachableError):
                await client.wait_for(REF, wait=tenacity.wait_fixed(3600), patience=patience)
            assert loop.time() - began < most


async def test_a_batch_is_told_too(caplog: pytest.LogCaptureFixture) -> None:
    """Each ref has its outcome, also those that were never asked for since nobody is there."""
    loop = asyncio.get_running_loop()
    async with Client(KEY, base_url=unused_url()) as client:
        began = loop.time()
        outcomes = await client.wait_all([ImageRef(f"task-{n}") for n in range(100)])
        assert loop.time() - began < 15
    errors = [outcome.error for outcome in outcomes]
    assert all(isinstance(error, ServiceUnreachableError) for error in errors)
    assert all("Is base_url= right?" in str(error) for error in errors)
    failed = [message for message in caplog.messages if message.startswith("a poll of")]
    assert len(failed) == 1


async def test_a_service_that_is_started_with_its_client_is_waited_for() -> None:
    """It has some seconds."""
    server = RawServer(good("success"))
    url = unused_url()
    server.port = int(url.rpartition(":")[2])
    async with Client(KEY, base_url=url) as client:
        wait = asyncio.create_task(client.wait_for(REF))
        await asyncio.sleep(5)
        async with server:
            assert (await wait).done


async def test_a_call_of_an_address_that_is_silent_ends_too() -> None:
    """Each of its attempts has seconds, and not `request_timeout`."""
    loop = asyncio.get_running_loop()
    async with black_hole() as url, Client(KEY, base_url=url) as client:
        began = loop.time()
        with pytest.raises(
            ConnectionFailedError, match=r"no connection to 127\.0\.0\.1 within 3\.0 s"
        ):
            await client.get(REF)
        assert loop.time() - began < 16


async def test_after_a_good_answer_there_is_patience() -> None:
    """The address is known to be right: of any call, and for all waits to come."""
    loop = asyncio.get_running_loop()
    async with RawServer(good("generating")) as server, server.client() as client:
        await client.get(REF)
        server.hang_up()
        server._server.close()
        began = loop.time()
        with pytest.raises(ServiceUnreachableError) as caught:
            await client.wait_for(REF, patience=100)
        assert loop.time() - began == pytest.approx(100, abs=1)
        assert caught.value.address is None
        assert "base_url" not in str(caught.value)


@pytest.mark.parametrize("status", [500, 502, 503])
async def test_a_server_in_trouble_is_no_wrong_address(status: int) -> None:
    """It is there, and may be starting: it is met with patience from the beginning."""
    scripts = [say(http(b"<html>starting</html>", status, HTML))] * 8
    async with RawServer(*scripts, good("success")) as server, server.client() as client:
        assert (await client.wait_for(REF)).done
        assert server.heard[-1].at - server.heard[0].at > 20


async def test_a_deadline_that_is_sooner_is_kept() -> None:
    async with Client(KEY, base_url=unused_url()) as client:
        with pytest.raises(WaitTimeoutError, match="no connection"):
            await client.wait_for(REF, timeout=3)


@pytest.mark.parametrize("calm", [True, False])
async def test_the_first_failure_of_each_wait_is_one_warning(
    calm: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Also after good answers; and none where nothing fails."""
    trouble = [good("generating")] if calm else [say(http(b"", 502)), say(http(b"", 502))]
    scripts = good("generating"), *trouble, good("success")
    async with RawServer(*scripts) as server, server.client() as client:
        await client.wait_for(REF)
    warnings = [record for record in caplog.records if record.levelno > logging.DEBUG]
    assert len(warnings) == (0 if calm else 1)
