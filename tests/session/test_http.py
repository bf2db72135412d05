"""One request on the wire: whole answers of every form. What is not whole is in `tests/faults`."""

from __future__ import annotations

import pytest

from aitoearn_async import ConnectionFailedError
from tests.support.answers import BODY, CHUNK, CHUNKED, WHOLE, ZIPPED
from tests.support.raw_server import ID, REF, Part, RawServer, drip, envelope, good, http, say, task

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
    assert client.statistics().requests == 2
