"""One request on the wire: whole answers of every form. What is not whole is in `tests/faults`."""

from __future__ import annotations

import asyncio
import gc

import pytest

from aitoearn_async import (
    ConnectionFailedError,
    GenerateVideo,
    ImageRef,
    SubmitUncertainError,
    VideoRef,
    WaitTimeoutError,
)
from tests.support.answers import BODY, CHUNK, CHUNKED, WHOLE, ZIPPED
from tests.support.raw_server import (
    ID,
    REF,
    STALL,
    Part,
    RawServer,
    drip,
    envelope,
    good,
    http,
    say,
    task,
    together,
)

NO_MATTER: dict[str, tuple[Part, ...]] = {
    "as usual": (WHOLE,),
    "chunked": (CHUNKED + CHUNK + b"0\r\n\r\n",),
    "gzip, chunked, in small pieces": (
        CHUNKED.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n"),
        *drip(b"%x\r\n%b\r\n0\r\n\r\n" % (len(ZIPPED), ZIPPED), 0.01, 7),
    ),
    "white space around it": (http(b"\r\n " + BODY + b"\n\n"),),
    "an id in capitals": (http(envelope(task(id=ID.upper()))),),
    "a code that contradicts nothing": (http(BODY.replace(b'"code": 0', b'"code":0')),),
}


@pytest.mark.parametrize("parts", NO_MATTER.values(), ids=NO_MATTER)
async def test_an_odd_but_whole_answer_is_good(parts: tuple[Part, ...]) -> None:
    """What HTTP allows, or does no harm, is no failure."""
    async with RawServer(say(*parts)) as server, server.client(attempts=1) as client:
        assert (await client.get(REF)).status == "success"
        assert (await client.get(REF)).status == "success"
        assert server.count >= 2


async def test_nobody_listens() -> None:
    """A refused connection is a failed one, and costs no more than `attempts` tries."""
    async with RawServer(good()) as server:
        client = server.client(attempts=2)
    async with client:
        with pytest.raises(ConnectionFailedError) as caught:
            await client.get(REF)
    assert caught.value.label == "no connection"
    assert "ssl" not in str(caught.value)  # aiohttp names it for an address without TLS, too
    assert client.statistics().requests == 2


@pytest.mark.parametrize(("size", "arrives"), [(1000, False), (900_000, True)])
async def test_a_large_body_has_more_time(size: int, arrives: bool) -> None:
    """A second for each 128 KiB, on top of `request_timeout`."""
    receipt = http(envelope({"id": "film", "status": "queued"}))
    film = GenerateVideo(model="m", prompt="a cat", image="data:image/png;base64," + "A" * size)
    async with RawServer(say(10.0, receipt)) as server, server.client(request_timeout=5) as client:
        submit = client.submit(film, upload="never")
        if arrives:
            assert await submit == VideoRef("film")
        else:
            with pytest.raises(SubmitUncertainError):
                await submit


async def test_what_the_callers_deadline_cuts_short_is_no_sign_of_an_outage() -> None:
    """A service that takes five seconds is well, however short the waits are that ask it."""
    scripts = good("generating"), say(STALL)
    async with RawServer(*scripts) as server, server.client() as client:
        await client.get(REF)
        refs = [ImageRef(f"task-{number}") for number in range(60)]
        ends = await together(*(client.wait_for(ref, timeout=2) for ref in refs))
        assert {type(end) for end in ends} == {WaitTimeoutError}
        assert client.statistics().outages == 0


@pytest.mark.parametrize("length", [b"", b"Content-Length: 4\r\n"], ids=["no length", "a length"])
async def test_a_connection_that_goes_on_in_another_protocol_is_closed(length: bytes) -> None:
    """asyncio's debug mode would tell of a response that nobody has closed."""
    asyncio.get_running_loop().set_debug(True)
    head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: upgrade\r\n"
    switches = head + length + b"\r\n"
    async with RawServer(say(switches, STALL), good()) as server, server.client() as client:
        assert (await client.get(REF)).status == "success"
        assert server.count == 2
    gc.collect()
