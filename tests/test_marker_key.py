"""The search for the API key finds it, wherever it is put."""

from __future__ import annotations

from pathlib import Path

import pytest

TESTS = """
import asyncio, logging, sys
import pytest
from aitoearn_async import Client, ServerError
from tests.support.raw_server import KEY, REF, RawServer, envelope, good, http, say, task

def test_clean():
    pass

def test_log():
    logging.getLogger("aiohttp.client").debug("sent %s", KEY)

def test_output(capfd):
    print(KEY)
    capfd.readouterr()

def test_error_log():
    try:
        raise ServerError(500, KEY)
    except ServerError:
        logging.getLogger("a").exception("oh")

@pytest.mark.asyncio
async def test_pickle():
    # Without its first letter; whole, the client would take it out.
    body = envelope(task(KEY[1:]))
    async with RawServer(say(http(body))) as server, server.client() as client:
        await client.get(REF)

@pytest.mark.asyncio
async def test_error():
    class Telling(Exception):
        pass
    def strategy(state):
        raise Telling(KEY)
    async with RawServer(good("generating")) as server, server.client() as client:
        with pytest.raises(Telling):
            await client.wait_for(REF, wait=strategy)

@pytest.mark.asyncio
async def test_another_origin():
    async with RawServer() as other, RawServer() as server, server.client() as client:
        _, writer = await asyncio.open_connection("127.0.0.1", other.port)
        writer.write(b"GET / HTTP/1.1\\r\\nX-Api-Key: " + KEY.encode() + b"\\r\\n\\r\\n")
        await client.get(REF)
        await asyncio.sleep(0.1)
        writer.close()

@pytest.mark.shows_key
def test_on_purpose():
    print(KEY)
"""


@pytest.mark.slow
@pytest.mark.shows_key
def test_a_sighting_fails_the_test(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a log, the output, an error, a pickle or at another origin: named, and a failure."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    pytester.makepyfile(TESTS)
    arguments = "-p", "no:aitoearn_async", "-p", "tests.marker_key", "--marker-key"
    result = pytester.runpytest_subprocess(*arguments, "-p", "no:cacheprovider", "-q")
    result.assert_outcomes(passed=2, failed=6)
    text = result.stdout.str()
    for where in ("the log of aiohttp.client", "the output", "Telling of", "another origin heard"):
        assert where in text, where
