"""`pytest --marker-key`: whatever the suite does, nobody gets to see the API key.

Every client of the suite has a marked key then, every logger is at DEBUG, and each test fails
if the key is seen in anything that came of it:

- a log record: its message, its arguments, its traceback;
- a warning, the output of the test and of processes it started;
- an exception that came out of a public call, or an outcome's: text, repr, attributes, notes,
  causes and contexts, the locals of its frames, its pickle;
- the `repr` or the pickle of a client, a waiter, a batch, or of what they bring;
- the bytes that reached a raw server which is no client's service or proxy.

Without the option nothing of this is there. Tests that show a key on purpose have the mark
`shows_key`.
"""

from __future__ import annotations

import functools
import io
import logging
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import pytest

from aitoearn_async import AiToEarnError, Batch, Client, Waiter
from aitoearn_async._transport.http import Http
from aitoearn_async.emulator import Emulator
from tests.support import raw_server
from tests.support.sightings import is_seen, stored_by, told_by

MOST_ERRORS = 40
"""Looked at in a test. Some tests have ten thousand, which are all alike."""

LOGGERS = ("", "aitoearn_async", "aiohttp", "aiohttp.client", "aiohttp.internal", "asyncio")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--marker-key", action="store_true", help="look for the API key everywhere")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "shows_key: shows a key on purpose; no sighting")
    if config.getoption("--marker-key"):
        config.pluginmanager.register(Watch(config), "marker-key-watch")


class Watch(logging.Handler):
    """Looks at everything, and remembers what it saw since the last look."""

    def __init__(self, config: pytest.Config) -> None:
        super().__init__(logging.DEBUG)
        self._sightings: list[str] = []
        self._errors = 0
        self._origins: set[int | None] = set()
        self.looks = 0
        Emulator.__init__.__kwdefaults__["api_key"] = raw_server.KEY  # type: ignore[index]
        for owner, names in CALLS.items():
            for name in names:
                _put(owner, name, self._watched(getattr(owner, name), f"{owner.__name__}.{name}"))
        self._watch_clients()
        self._watch_output()
        self._watch_servers()

    # What pytest tells.

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        self._sightings.clear()
        self._errors = 0
        self._origins.clear()
        for name in LOGGERS:
            logging.getLogger(name).setLevel(logging.DEBUG)
        logging.getLogger().addHandler(self)
        try:
            return (yield)
        finally:
            logging.getLogger().removeHandler(self)

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        for name, text in report.sections:
            if name.endswith(report.when or ""):  # each phase's report has the earlier ones' too
                self.look(name, text)
        if self._sightings and item.get_closest_marker("shows_key") is None:
            report.outcome = "failed"
            report.longrepr = "The API key was seen in\n" + "\n".join(self._sightings[:20])
        if report.when != "setup":
            self._sightings.clear()
        return report

    def pytest_warning_recorded(self, warning_message: Any) -> None:
        self.look("a warning", str(warning_message.message))

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        terminalreporter.write_line(f"--marker-key: {self.looks:,} texts were searched for the key")

    # What is looked at.

    def look(self, where: str, *texts: str | bytes) -> None:
        """Search texts for the key."""
        for text in texts:
            self.looks += 1
            if is_seen(text):
                self._sightings.append(f"{where}: {text[:300]!r}")

    def look_at_error(self, where: str, error: BaseException) -> None:
        """Search all that an error says, if it is not one of too many."""
        self._errors += 1
        if self._errors <= MOST_ERRORS and not isinstance(error, StopAsyncIteration):
            self.look(f"{type(error).__name__} of {where}", *told_by(error))

    def look_at(self, where: str, thing: object) -> None:
        """Search how a thing shows itself and what it is stored as."""
        if self._errors <= MOST_ERRORS:
            self.look(where, repr(thing), str(thing), *stored_by(thing))
        if isinstance(error := getattr(thing, "error", None), AiToEarnError):
            self.look_at_error(where, error)

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(TypeError, ValueError):  # a test's own broken record
            self.look(f"the log of {record.name}", record.getMessage(), repr(record.args))
        if record.exc_info and (error := record.exc_info[1]) is not None:
            self.look_at_error(f"the log of {record.name}", error)

    # How it gets to see it: around public calls, the output, the raw servers.

    def _watched(self, call: Callable[..., Any], name: str) -> Callable[..., Any]:
        if name in PLAIN:

            @functools.wraps(call)
            def plain(one: Any, *args: Any, **kwargs: Any) -> Any:
                try:
                    made = call(one, *args, **kwargs)
                except BaseException as error:
                    self.look_at_error(name, error)
                    raise
                self.look_at(name, made)
                return made

            return plain

        @functools.wraps(call)
        async def awaited(*args: Any, **kwargs: Any) -> Any:
            try:
                found = await call(*args, **kwargs)
            except BaseException as error:
                self.look_at_error(name, error)
                raise
            self.look(name, repr(args[0]))
            self.look_at(name, found)
            return found

        return awaited

    def _watch_clients(self) -> None:
        # Not Client's own: one frame more, and its warnings would name the wrong line.
        make = Http.__init__

        def made(http: Http, **options: Any) -> None:
            make(http, **options)
            proxy = options["proxy_for"](http.base_url)
            for address in (str(http.base_url), proxy):
                if address is not None:
                    self._origins.add(urlsplit(address).port)

        _put(Http, "__init__", made)

    def _watch_output(self) -> None:
        read = pytest.CaptureFixture.readouterr
        watch, communicate, start = self, subprocess.Popen.communicate, subprocess.Popen.__init__

        def readouterr(fixture: Any) -> Any:
            captured = read(fixture)
            watch.look("the output", *captured)
            return captured

        def communicated(process: Any, *args: Any, **kwargs: Any) -> Any:
            streams = communicate(process, *args, **kwargs)
            watch.look("a process's output", *(text for text in streams if text))
            return streams

        def started(process: Any, *args: Any, **kwargs: Any) -> None:
            start(process, *args, **kwargs)
            process.stdout = process.stdout and Read(process.stdout, watch)
            process.stderr = process.stderr and Read(process.stderr, watch)

        _put(pytest.CaptureFixture, "readouterr", readouterr)
        _put(subprocess.Popen, "communicate", communicated)
        _put(subprocess.Popen, "__init__", started)

    def pytest_collection_finish(self) -> None:
        module: Any = sys.modules.get("tests.cli.conftest")
        if module is None:
            return
        for name in ("_text", "everything"):
            setattr(module, name, self._looking(getattr(module, name)))

    def _looking(self, read: Callable[..., Any]) -> Callable[..., Any]:
        def text(*args: Any) -> Any:
            found = read(*args)
            self.look("the command's output", found)
            return found

        return text

    def _watch_servers(self) -> None:
        leave = raw_server.RawServer.__aexit__

        async def left(server: raw_server.RawServer, *exc: Any) -> None:
            await leave(server, *exc)
            if server.port not in self._origins:
                self.look("what another origin heard", server.raw)

        _put(raw_server.RawServer, "__aexit__", left)


def _put(owner: type, name: str, call: Callable[..., Any]) -> None:
    setattr(owner, name, call)


class Read:
    """A process's output, looked at as it is read."""

    def __init__(self, stream: io.TextIOWrapper, watch: Watch) -> None:
        self._stream = stream
        self._watch = watch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __iter__(self) -> Iterator[str]:
        for line in self._stream:
            self._watch.look("a process's output", line)
            yield line

    def read(self, *args: int) -> str:
        text = self._stream.read(*args)
        self._watch.look("a process's output", text)
        return text

    def readline(self) -> str:
        line = self._stream.readline()
        self._watch.look("a process's output", line)
        return line

    def __enter__(self) -> Read:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()


PLAIN = {"Client.wait_for", "Client.as_completed", "Client.statistics"}
CALLS: dict[type, tuple[str, ...]] = {
    Client: ("get", "wait_for", "as_completed", "wait_all", "aclose", "statistics"),
    Waiter: ("_run", "__anext__"),
    Batch: ("__anext__", "__aexit__"),
}
