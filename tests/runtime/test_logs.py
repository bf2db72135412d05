"""`AITOEARN_LOG`: what is logged, and where, without a line of set-up."""

from __future__ import annotations

import asyncio
import io
import logging
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from aitoearn_async import Client
from aitoearn_async.emulator import Emulator, Fault

PROGRAM = """
import asyncio, logging
{setup}
from aitoearn_async import AiToEarnError, Client
async def main():
    key, nobody = "sk-a-key-that-is-not-shown", "http://127.0.0.1:1"
    async with Client(key, base_url=nobody, attempts=1) as client:
        try:
            await client.get("image:66")
        except AiToEarnError:
            pass
asyncio.run(main())
"""


def said(level: str | None, setup: str = "") -> tuple[str, str]:
    environment = {**os.environ, **({} if level is None else {"AITOEARN_LOG": level})}
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(setup=setup)],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    return run.stdout, run.stderr


def test_a_level_logs_to_standard_error() -> None:
    """One line a failure, with time, level and name, and no key."""
    out, err = said("debug")
    assert out == ""
    assert " DEBUG aitoearn_async: " in err
    assert "sk-a-key" not in err


async def test_each_request_is_a_line(
    aitoearn_service: Emulator, aitoearn_client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    """Method, path, status, size, time and id; also of one that got no answer, or no time."""
    service, client = aitoearn_service, aitoearn_client
    ref = service.add_image(("generating", 8), "success")
    with caplog.at_level(logging.DEBUG, "aitoearn_async"):
        service.fault(Fault(reset=True))
        await client.wait_for(ref)
        service.fault(Fault(delay=60))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.get(ref), 1)
    lines = [record.getMessage() for record in caplog.records if "GET " in record.getMessage()]
    assert len(lines) == len(service.requests)
    assert all(line.startswith(f"GET /api/ai/image/task/{ref.id}: ") for line in lines)
    shapes = [
        re.sub(r"[0-9.,]+ (bytes|s)|request \S+", "", line).split(": ", 1)[1] for line in lines
    ]
    ends = [shape.partition(",")[0].strip() for shape in shapes]
    assert ends[0] != "HTTP 200"
    assert "HTTP 304" in ends
    assert ends[-2:] == ["HTTP 200", "broken off"]
    for request, line in zip(service.requests, lines, strict=True):
        assert line.endswith(f" s, request {request.headers['X-Request-Id']}")
    assert service.api_key not in caplog.text


@pytest.mark.sampled(3)
@pytest.mark.parametrize("level", [None, "", "error"])
def test_less_says_less(level: str | None) -> None:
    """Without the variable, and at a higher level, failures of single requests are not logged."""
    assert "DEBUG" not in said(level)[1]


def test_the_programs_own_handlers_are_used() -> None:
    """Where the program has set up logging, a line comes once, and in its form."""
    setup = 'logging.basicConfig(format="mine: %(message)s")'
    err = said("DEBUG", setup)[1]
    assert err.startswith("mine: ")
    assert "aitoearn_async: " not in err


def test_no_level(monkeypatch: pytest.MonkeyPatch) -> None:
    """A word that is none is refused when a client is made, and nothing is set."""
    before = logging.getLogger("aitoearn_async").level
    monkeypatch.setenv("AITOEARN_LOG", "loud")
    with pytest.raises(ValueError, match="AITOEARN_LOG='loud': set it to debug"):
        Client("k")
    assert logging.getLogger("aitoearn_async").level == before


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """The package's, which is put back as it was."""
    logger = logging.getLogger("aitoearn_async")
    level, propagate, handlers = logger.level, logger.propagate, logger.handlers[:]
    yield logger
    logger.setLevel(level)
    logger.propagate, logger.handlers = propagate, handlers


def test_the_level_is_set_by_the_first_client(
    logger: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has a handler keeps it, and gets no other one."""
    monkeypatch.setenv("AITOEARN_LOG", " Info ")
    Client("k", base_url="http://127.0.0.1:1")
    assert logger.level == logging.INFO
    assert logger.handlers == []


def test_a_handler_is_added_once_where_there_is_none(
    logger: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It writes to standard error, also where a view on a terminal has taken its place since."""
    monkeypatch.setenv("AITOEARN_LOG", "warning")
    err = io.StringIO()
    logger.propagate = False
    for _ in range(2):
        Client("k", base_url="http://127.0.0.1:1")
    monkeypatch.setattr(sys, "stderr", err)
    logger.warning("seen")
    logger.info("not seen")
    (line,) = err.getvalue().splitlines()
    assert line.endswith(" WARNING aitoearn_async: seen")


def test_clients_of_several_threads_log_each_line_once(
    logger: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever of them finds no handler yet."""
    monkeypatch.setenv("AITOEARN_LOG", "warning")
    logger.propagate = False
    first, second = threading.Event(), threading.Thread(target=Client, args=["k"])

    def none_yet() -> bool:
        if not first.is_set():
            first.set()
            second.start()
            second.join()
        return False

    monkeypatch.setattr(logger, "hasHandlers", none_yet)
    Client("k")
    assert len(logger.handlers) == 1
