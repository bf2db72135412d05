"""A proxy for each test, of those that `--proxies` asks for, with an origin behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from aitoearn_async.emulator import VirtualTimeLoop
from tests.proxies.origin import Origin
from tests.proxies.programs import DEBIAN, KINDS, PYPI, Proxy

_GROUPS = {"pypi": list(PYPI), "debian": list(DEBIAN), "all": list(KINDS)}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "running" not in metafunc.fixturenames:
        return
    asked: str = metafunc.config.getoption("--proxies")
    names = [name for word in asked.split(",") if word for name in _GROUPS.get(word, [word])]
    for name in names:
        if name not in KINDS:
            raise pytest.UsageError(f"--proxies: no {name}; there are {', '.join(KINDS)}")
    metafunc.parametrize("running", names, indirect=True, scope="session")


@pytest.fixture(scope="session")
def running(request: pytest.FixtureRequest) -> Iterator[tuple[Proxy, Origin]]:
    """A proxy with an origin behind it, for all tests of a process."""
    origin = Origin()
    proxy = Proxy(request.param, origin.port)
    yield proxy, origin
    proxy.close()
    origin.close()


@pytest.fixture
async def proxy(running: tuple[Proxy, Origin]) -> AsyncIterator[Proxy]:
    """The proxy. It is another process: its answers take real time."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    with loop.real_time():
        yield running[0]


@pytest.fixture
def origin(running: tuple[Proxy, Origin]) -> Iterator[Origin]:
    """The service behind it, with nothing in it."""
    origin = running[1]
    origin.videos.clear()
    origin.seen.clear()
    yield origin
    origin.strong_tags = False
