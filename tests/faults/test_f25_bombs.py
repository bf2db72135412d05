"""Answers that are much more than they seem, or that never end."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from typing import NamedTuple

import pytest
from aiohttp.compression_utils import HAS_ZSTD

from aitoearn_async import ConnectionFailedError, RequestTimeoutError, UnexpectedResponseError
from aitoearn_async.emulator import VirtualTimeLoop
from tests.support.answers import BARE, BODY, CHUNK, CHUNKED, HEAD, WHOLE, encoded, failure_of
from tests.support.raw_server import (
    REF,
    STALL,
    Flood,
    Heard,
    Part,
    RawServer,
    Script,
    envelope,
    http,
    say,
    task,
)

from .harness import Row, Trial, child

ROW = Row(
    25,
    "A bomb: 256 MiB in a few bytes of gzip, 1 GB, chunks or headers without end",
    "Reading stops at `max_response_bytes` of decoded size, whichever way the size was hidden, "
    "and nothing holds up the event loop meanwhile.",
)

CAP = 64 * 1024 * 1024
"""The default of `max_response_bytes`."""
MB = 1_000_000

BLANKS = b" " * 65_536
_MAKER = zlib.compressobj(wbits=-15)
MEBIBYTE = _MAKER.compress(b" " * 2**20) + _MAKER.flush(zlib.Z_FULL_FLUSH)
BOMB = b"\x1f\x8b\x08" + bytes(7) + MEBIBYTE * 256
DEFLATED = b"\x78\x9c" + MEBIBYTE * 256
# A frame of blocks that each stand for 128 KiB of one byte: 256 MiB in 8 kB.
ZSTD = b"\x28\xb5\x2f\xfd\x00\x38" + b"\x02\x00\x10\x20" * 2047 + b"\x03\x00\x10\x20"
MEMBERS = gzip.compress(b" ") * 10_000
CHUNKED_GZIP = CHUNKED.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n")
LONG_GZIP = HEAD.replace(b"Content-Length: ", b"Content-Encoding: gzip\r\nContent-Length: 9999")

TOO_LARGE: dict[str, tuple[Part, ...]] = {
    "gzip": (encoded(BOMB, "gzip"),),
    "deflate": (encoded(DEFLATED, "deflate"),),
    "gzip by its old name": (encoded(BOMB, "x-gzip"),),
    "gzip, chunked": (CHUNKED_GZIP + b"%x\r\n%b\r\n" % (len(BOMB), BOMB),),
    "1 GB, announced": (BARE + b"Content-Length: 1000000000\r\n\r\n", Flood(BLANKS)),
    "without end": (BARE + b"\r\n", Flood(BLANKS)),
    "chunks without end": (CHUNKED, Flood(b"10000\r\n" + BLANKS + b"\r\n")),
}
REFUSED: dict[str, tuple[Part, ...]] = {
    "brotli, which was not asked for": (encoded(BODY, "br"),),
    "a million gzip members": (LONG_GZIP, Flood(MEMBERS, 100)),
    "headers without end": (HEAD[:-2], Flood(b"X-Sum: 12345\r\n" * 4_000)),
    "a header without end": (HEAD[:-2] + b"X: ", Flood(b"y" * 65_536)),
    "a status line without end": (b"HTTP/1.1 200 ", Flood(BLANKS)),
    "trailers without end": (CHUNKED + CHUNK + b"0\r\n", Flood(b"X-Sum: 12345\r\n" * 4_000)),
    "an answer and no end": (WHOLE, Flood(BLANKS)),
}
# Never asked for, and read where Python can: it has zstd since 3.14.
(TOO_LARGE if HAS_ZSTD else REFUSED)["zstd"] = (encoded(ZSTD, "zstd"),)
ENDLESS: dict[str, tuple[Part, ...]] = {
    "an extension of a chunk": (CHUNKED + b"5;x=", Flood(b"y" * 65_536)),
    "zeros before a chunk's size": (CHUNKED, Flood(b"0" * 65_536)),
    "blanks in a header": (HEAD[:-2] + b"X: ", Flood(BLANKS)),
    "a trailer": (CHUNKED + CHUNK + b"0\r\nX: ", Flood(b"y" * 65_536)),
    "blank lines": (Flood(b"\r\n" * 30_000),),
}
TINY: dict[str, tuple[Part, ...]] = {
    "chunks of a byte": (CHUNKED, Flood(b"1\r\n \r\n" * 10_000)),
    "interim answers": (Flood(b"HTTP/1.1 102 Wait\r\n\r\n" * 4_000),),
}


class Cost(NamedTuple):
    """What a process of its own tells of one request."""

    end: str
    seconds: float
    peak: float
    held: float


async def costs(
    trial: Trial, bombs: dict[str, tuple[Part, ...]], **options: object
) -> dict[str, Cost]:
    """What each of these answers costs a client in a process of its own."""
    script = list(bombs.values())

    def choose(heard: Heard) -> Script:
        return say(*script[heard.number])

    options = {"attempts": 1, "request_timeout": 200, **options}
    async with RawServer(choose=choose) as server:
        found = await child("tests.faults.victim", server.url, len(bombs), 0, json.dumps(options))
    trial.wire(server, exactly=len(bombs))
    assert len(found) == len(bombs)
    return {name: Cost(**cost) for name, cost in zip(bombs, found, strict=True)}


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("names", "cap"), [(["gzip"], CAP), (list(TOO_LARGE), CAP // 4)], ids=["default", "all"]
)
@pytest.mark.shows_key  # to the server of a client that lives in another process
async def test_what_is_too_large(trial: Trial, names: list[str], cap: int) -> None:
    """Memory stays within the cap and 8 MB; the event loop is never held up for 50 ms."""
    bombs = {name: TOO_LARGE[name] for name in names}
    options = {} if cap == CAP else {"max_response_bytes": cap}
    for name, cost in (await costs(trial, bombs, **options)).items():
        said = f"UnexpectedResponseError: {REF}: the answer is larger than {cap:,} bytes"
        assert cost.end.startswith(said), (name, cost.end)
        trial.figure("peak of memory over the cap, MB", (cost.peak - cap) / MB, 8)
        trial.figure("event loop held up at a stretch, ms of CPU", cost.held * 1000, 50)


@pytest.mark.slow
@pytest.mark.shows_key  # to the server of a client that lives in another process
async def test_what_is_refused(trial: Trial) -> None:
    """What no parser takes is given up after a few kilobytes of it."""
    for name, cost in (await costs(trial, REFUSED)).items():
        known = UnexpectedResponseError, ConnectionFailedError
        assert cost.end.startswith(tuple(kind.__name__ for kind in known)) or (
            # The answer was whole, and what came after it is nobody's.
            name == "an answer and no end" and cost.end == "success"
        ), (name, cost.end)
        trial.figure("peak of memory for what is refused, MB", cost.peak / MB, 8)
        trial.figure("event loop held up at a stretch, ms of CPU", cost.held * 1000, 50)


@pytest.mark.slow
@pytest.mark.shows_key  # to the server of a client that lives in another process
async def test_what_never_gets_anywhere(trial: Trial) -> None:
    """It is over when its time is, and was kept nowhere."""
    for name, cost in (await costs(trial, ENDLESS, request_timeout=0.3)).items():
        # Or sooner: aiohttp's parser in Python has limits that the one in C has not.
        assert cost.end.startswith(
            ("RequestTimeoutError", "UnexpectedResponseError", "ConnectionFailedError")
        ), (name, cost.end)
        trial.figure("peak of memory for what never ends, MB", cost.peak / MB, 8)
        trial.figure("event loop held up at a stretch, ms of CPU", cost.held * 1000, 50)


@pytest.mark.slow
@pytest.mark.shows_key  # to the server of a client that lives in another process
async def test_what_comes_in_a_million_pieces(trial: Trial) -> None:
    """Each costs the parser something; the time is kept all the same."""
    for name, cost in (await costs(trial, TINY, request_timeout=0.3)).items():
        assert cost.end.startswith("RequestTimeoutError"), (name, cost.end)
        trial.figure("peak of memory for what never ends, MB", cost.peak / MB, 20)
        trial.figure("event loop held up by a flood of tiny pieces, ms of CPU", cost.held * 1000)


TURN = 0.0055
"""Seconds."""


class BusyLoop(VirtualTimeLoop):
    """A loop of which each turn takes its time, as while a flood comes in."""

    worked = 0.0

    def time(self) -> float:
        return super().time() + self.worked

    def _run_once(self) -> None:
        self.worked += TURN
        super()._run_once()  # type: ignore[misc]


def test_a_busy_loop_does_not_move_the_end(trial: Trial) -> None:
    """Where each turn takes long, few are waited for: an answer is not there yet, or never."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        options = {"attempts": 1, "request_timeout": 5}
        async with RawServer(say(CHUNKED, STALL)) as server, server.client(**options) as client:
            with trial.on_time(loop.time() + 5):
                (error,) = await trial.ends(client.get, REF)
            assert type(error) is RequestTimeoutError
        trial.wire(server, exactly=1)

    with asyncio.Runner(loop_factory=BusyLoop) as runner:
        runner.run(main())


@pytest.mark.parametrize("answer", [http(b" " * 1_000_001), encoded(BOMB, "gzip")])
async def test_too_large_is_final(trial: Trial, answer: bytes) -> None:
    """It will not be smaller the next time: `get` asks once."""
    async with (
        RawServer(say(answer)) as server,
        server.client(attempts=3, max_response_bytes=1_000_000) as client,
    ):
        (error,) = await trial.ends(client.get, REF)
        assert type(error) is UnexpectedResponseError
        assert not error.transient
        assert "1,000,000 bytes" in str(error)
    trial.wire(server, exactly=1)


async def test_the_cap_is_the_decoded_size(trial: Trial) -> None:
    """An answer of exactly the cap is read, one byte more is not, compressed or plain."""
    for answer, fits in [
        (http(BODY), True),
        (http(BODY + b" "), False),
        (encoded(gzip.compress(BODY), "gzip"), True),
        (encoded(gzip.compress(BODY + b" "), "gzip"), False),
        (CHUNKED + CHUNK + b"0\r\n\r\n", True),
        (CHUNKED + CHUNK + b"1\r\n \r\n0\r\n\r\n", False),
    ]:
        async with (
            RawServer(say(answer)) as server,
            server.client(max_response_bytes=len(BODY)) as client,
        ):
            (end,) = await trial.ends(client.get, REF)
            assert isinstance(end, UnexpectedResponseError) is not fits
            # A bomb of the others is a thousand times tighter, so they are not asked for.
            assert server.heard[0].header("Accept-Encoding") == "gzip"
        trial.wire(server, exactly=1)


async def test_a_large_answer_is_read(trial: Trial) -> None:
    """The service echoes submitted images, so megabytes are nothing unusual."""
    body = envelope(task(request={"image": "x" * 5_000_000}))
    scripts = say(http(body)), say(encoded(gzip.compress(body, 1), "gzip"))
    async with RawServer(*scripts) as server, server.client() as client:
        for _ in scripts:
            (end,) = await trial.ends(client.get, REF, status="success")
            assert len(end.request["image"]) == 5_000_000
    trial.wire(server, exactly=2)


async def test_a_bomb_leaves_the_client_whole(trial: Trial) -> None:
    """The next request is undisturbed."""
    error = await failure_of(encoded(BOMB, "gzip"), max_response_bytes=1_000_000)
    assert isinstance(error, UnexpectedResponseError)
    trial.book([REF], [error])
