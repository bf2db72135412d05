"""One request on the wire: every way the exchange itself can go wrong."""

from __future__ import annotations

import asyncio
import zlib

import pytest

from aitoearn_async import ConnectionFailedError, RequestTimeoutError, UnexpectedResponseError
from tests.support.answers import (
    BARE,
    BODY,
    CHUNK,
    CHUNKED,
    HEAD,
    WHOLE,
    ZIPPED,
    encoded,
    failure_of,
)
from tests.support.raw_server import (
    FIN,
    ID,
    REF,
    RST,
    STALL,
    Part,
    RawServer,
    drip,
    envelope,
    good,
    http,
    say,
    task,
)

NO_MATTER: dict[str, tuple[Part, ...]] = {
    "as usual": (WHOLE,),
    "a reset after the body": (WHOLE, RST),
    "hung up after the body": (WHOLE, FIN),
    "byte by byte": tuple(drip(WHOLE, 0.01)),
    "chunked": (CHUNKED + CHUNK + b"0\r\n\r\n",),
    "chunked, with extensions and trailers": (
        CHUNKED + CHUNK.replace(b"\r\n", b";a=b\r\n", 1) + b"0\r\nX-Sum: 1\r\n\r\n",
    ),
    "ended by the connection's end": (BARE + b"\r\n" + BODY, FIN),
    "HTTP/1.0": (WHOLE.replace(b"1.1", b"1.0", 1), FIN),
    "gzip": (encoded(ZIPPED, "gzip"),),
    "deflate": (encoded(zlib.compress(BODY), "deflate"),),
    "gzip, chunked, in small pieces": (
        CHUNKED.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n"),
        *drip(b"%x\r\n%b\r\n0\r\n\r\n" % (len(ZIPPED), ZIPPED), 0.01, 7),
    ),
    "interim answers": (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 500 + WHOLE,),
    "called HTML": (http(BODY, headers={"Content-Type": "text/html"}),),
    "a charset that is none": (http(BODY, headers={"Content-Type": "text/x; charset=base64"}),),
    "a header that is not UTF-8": (http(BODY, headers={"X-Name": "caf\xe9"}),),
    "white space around it": (http(b"\r\n " + BODY + b"\n\n"),),
    "an id in capitals": (http(envelope(task(id=ID.upper()))),),
    "201": (http(BODY, 201),),
    "a code that contradicts nothing": (http(BODY.replace(b'"code": 0', b'"code":0')),),
}

CONNECTION: dict[str, tuple[Part, ...]] = {
    "a reset in place of an answer": (RST,),
    "hung up in place of an answer": (FIN,),
    "hung up in the status line": (HEAD[:7], FIN),
    "hung up in the head": (HEAD[:40], 0.1, FIN),
    "a reset in the head": (HEAD[:40], 0.1, RST),
    "a reset after the head": (HEAD, 0.1, RST),
    "hung up after the head": (HEAD, 0.1, FIN),
    "a reset in the body": (HEAD + BODY[:10], 0.1, RST),
    "hung up in the body": (HEAD + BODY[:10], 0.1, FIN),
    "hung up at once in the body": (HEAD + BODY[:10], FIN),
    "hung up in a chunk": (CHUNKED + CHUNK[:10], FIN),
    "hung up between chunks": (CHUNKED + CHUNK, FIN),
    "more announced than sent": (http(BODY, length=len(BODY) + 1), FIN),
    "gzip that is none": (encoded(BODY, "gzip"),),
    "gzip with a wrong sum": (encoded(ZIPPED[:-8] + b"\0" * 8, "gzip"),),
}

TIMEOUT: dict[str, tuple[Part, ...]] = {
    "no answer": (STALL,),
    "a stall in the head": (HEAD[:40], STALL),
    "a stall after the head": (HEAD, STALL),
    "a stall in the body": (HEAD + BODY[:10], STALL),
    "a stall in the last chunk": (CHUNKED + CHUNK, STALL),
    "more announced than comes": (http(BODY, length=len(BODY) + 1), STALL),
    "a head that drips": tuple(drip(HEAD, 0.5)),
    "a body that drips": (HEAD, *drip(BODY, 0.5)),
    "interim answers without end": tuple(drip(b"HTTP/1.1 102 Wait\r\n\r\n" * 40, 0.5, 21)),
    "chunks without end": (CHUNKED, *drip(b"1\r\n \r\n" * 40, 0.5, 6)),
    "too late": (10.1, WHOLE),
}

NOT_HTTP: dict[str, tuple[Part, ...]] = {
    "garbage": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20 + b"\r\n\r\n", FIN),
    "HTTP/0.9": (BODY + b"\r\n\r\n", FIN),
    "a length and chunks": (
        WHOLE.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n"),
        FIN,
    ),
    "a negative length": (http(BODY, length=-1), FIN),
    "a length that is none": (BARE + b"Content-Length: 1e3\r\n\r\n" + BODY, FIN),
    "a NUL in a header": (http(BODY, headers={"X-Name": "a\0b"}), FIN),
    "a header of 9 kB": (http(BODY, headers={"X-Name": "x" * 9000}), FIN),
    "200 headers": (http(BODY, headers={f"X-{n}": "x" for n in range(200)}), FIN),
    "a status of two digits": (WHOLE.replace(b"200", b"20", 1), FIN),
}

# Of these aiohttp's parsers, the one in C and the one in Python, think differently.
DOUBTFUL: dict[str, tuple[Part, ...]] = {
    "two lengths": (WHOLE.replace(b"\r\n\r\n", b"\r\nContent-Length: 5\r\n\r\n"),),
    "less announced than sent": (http(BODY, length=len(BODY) - 1), FIN),
}


@pytest.mark.parametrize("parts", NO_MATTER.values(), ids=NO_MATTER)
async def test_an_odd_but_whole_answer_is_good(parts: tuple[Part, ...]) -> None:
    """What HTTP allows, or does no harm, is no failure."""
    async with RawServer(say(*parts)) as server, server.client(attempts=1) as client:
        assert (await client.get(REF)).status == "success"
        assert (await client.get(REF)).status == "success"
        assert server.count >= 2


@pytest.mark.parametrize("parts", CONNECTION.values(), ids=CONNECTION)
async def test_a_broken_connection(parts: tuple[Part, ...]) -> None:
    """An answer that breaks off is a lost connection, and worth another try."""
    error = await failure_of(*parts)
    assert type(error) is ConnectionFailedError
    assert error.transient
    assert error.http_status is None


@pytest.mark.parametrize("parts", TIMEOUT.values(), ids=TIMEOUT)
async def test_an_answer_that_takes_too_long(parts: tuple[Part, ...]) -> None:
    """The bound of a request is one moment, however busily bytes trickle in."""
    loop = asyncio.get_running_loop()
    async with (
        RawServer(say(*parts), good()) as server,
        server.client(attempts=1, request_timeout=10) as client,
    ):
        began = loop.time()
        with pytest.raises(RequestTimeoutError, match=r"within 10\.0 s") as caught:
            await client.get(REF)
        assert loop.time() - began == pytest.approx(10, abs=0.01)
        assert isinstance(caught.value, TimeoutError)
        assert caught.value.transient
        await asyncio.sleep(0.01)
        assert server.open == 0, "the connection is given up"
        assert (await client.get(REF)).done
        assert server.count == 2


@pytest.mark.parametrize("parts", NOT_HTTP.values(), ids=NOT_HTTP)
async def test_what_is_not_http(parts: tuple[Part, ...]) -> None:
    """Bytes that break HTTP are a transport's fault, never taken for an HTTP 400."""
    error = await failure_of(*parts)
    assert type(error) is UnexpectedResponseError
    assert error.transient
    assert error.http_status is None
    assert error.label == "not HTTP"


@pytest.mark.parametrize("parts", DOUBTFUL.values(), ids=DOUBTFUL)
async def test_what_is_http_to_some(parts: tuple[Part, ...]) -> None:
    """An answer of doubtful length is the right one or worth another try, never a wrong one."""
    async with RawServer(say(*parts), good()) as server, server.client(attempts=2) as client:
        assert (await client.get(REF)).log_id == ID
        assert server.count <= 2


async def test_nobody_listens() -> None:
    """A refused connection is a failed one, and costs no more than `attempts` tries."""
    async with RawServer(good()) as server:
        client = server.client(attempts=2)
    async with client:
        with pytest.raises(ConnectionFailedError) as caught:
            await client.get(REF)
    assert caught.value.label == "no connection"
    assert client.statistics().requests == 2
