"""For users' own tests: the emulator and a client as fixtures, and a mark for virtual time.

pytest loads this file in every run where the package is installed. So it imports nothing
beyond the package, changes nothing for tests that do not ask, and does without pytest-asyncio
until one does.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Generator
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from aitoearn_async import Client
    from aitoearn_async.emulator import Emulator, VirtualTimeLoop

_NOT_RUN: Final = (
    "virtual_time is for tests that pytest-asyncio runs: mark it with pytest.mark.asyncio, in"
    " place of pytest.mark.anyio or another plugin's mark"
)
_INSTALL: Final = 'install "aitoearn-async[testing]"'


def _async_fixture(make: Callable[..., AsyncIterator[Any]]) -> Any:
    if find_spec("pytest_asyncio") is not None:
        import pytest_asyncio

        return pytest_asyncio.fixture(make)

    def unavailable() -> None:
        pytest.fail(f"{make.__name__} needs pytest-asyncio: {_INSTALL}", pytrace=False)

    return pytest.fixture(name=make.__name__)(unavailable)


@_async_fixture
async def aitoearn_service() -> AsyncIterator[Emulator]:
    """A running `aitoearn_async.emulator.Emulator`, new for each test."""
    from aitoearn_async.emulator import Emulator

    async with Emulator() as service:
        yield service


@_async_fixture
async def aitoearn_client(aitoearn_service: Emulator) -> AsyncIterator[Client]:
    """An `aitoearn_async.Client` of `aitoearn_service`."""
    from aitoearn_async import Client

    key, url = aitoearn_service.api_key, aitoearn_service.url
    async with Client(key, base_url=url, private_media=True) as client:
        yield client


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known to `--strict-markers`."""
    config.addinivalue_line(
        "markers",
        "virtual_time: run this async test, and its fixtures, on an event loop that jumps to"
        " the next timer instead of waiting for it (aitoearn_async.emulator.VirtualTimeLoop).",
    )


class _VirtualTime:
    is_asked = False

    def pytest_asyncio_loop_factories(self) -> dict[str, type[VirtualTimeLoop]]:
        from aitoearn_async.emulator import VirtualTimeLoop

        self.is_asked = True
        return {"virtual": VirtualTimeLoop}


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> Generator[None]:
    """Give tests with the mark their event loop."""
    if metafunc.definition.get_closest_marker("virtual_time") is None:
        return (yield)
    plugins = metafunc.config.pluginmanager
    if not hasattr(metafunc.config.hook, "pytest_asyncio_loop_factories"):
        pytest.fail(f"virtual_time needs pytest-asyncio 1.4 or later: {_INSTALL}", pytrace=False)
    # One plugin that answers this hook makes pytest-asyncio parametrize every async test of
    # the run. Hence it answers only while pytest-asyncio looks at a test with the mark.
    virtual_time = _VirtualTime()
    plugins.register(virtual_time)
    try:
        yield
    finally:
        plugins.unregister(virtual_time)
    if inspect.iscoroutinefunction(metafunc.function) and not virtual_time.is_asked:
        pytest.fail(f"{metafunc.definition.nodeid}: {_NOT_RUN}", pytrace=False)
