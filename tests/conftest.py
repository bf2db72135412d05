"""What every test gets: virtual time, and a look at what it leaves behind.

Async tests run on a loop that jumps to the next timer, so none of them really waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import importlib
import inspect
import logging
import os
import random
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import hypothesis
import hypothesis.strategies
import pytest

from aitoearn_async.emulator import VirtualTimeLoop
from tests.fleet import servers

# A slow machine is no fault of an example's; and a failure is to be the commit's doing, so that
# chance has no part in it but where many examples are asked for.
hypothesis.settings.register_profile("unhurried", deadline=None, max_examples=10, derandomize=True)
hypothesis.settings.register_profile("large", deadline=None, max_examples=150, derandomize=False)

pytest_plugins = ["aitoearn_async.pytest_plugin", "pytester", "tests.marker_key"]


TESTS = Path(__file__).parent

# What one process has compiled, all others of a run need not, and nor those that tests start:
# that is half of what an interpreter does until a command line is there, and two thirds of the
# collection. A container often says that nothing is to be kept.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


# Ctrl-C is part of what is tested, and a shell has what it starts in the background ignore it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# So is a terminal that is closed, which `nohup` has them ignore.
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--clock-start",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="what loop.time() says when an async test begins",
    )
    parser.addoption(
        "--proxies",
        default="",
        metavar="NAMES",
        help="run the tests of tests/proxies/ through these: pypi, debian, all, or names",
    )
    parser.addoption(
        "--large",
        action="store_true",
        help="crowds of ten thousand, and examples by the hundred: the nox session `large`",
    )
    parser.addoption(
        "--slow",
        action="store_true",
        help="with those tests that a run of all leaves out",
    )


def pytest_configure(config: pytest.Config) -> None:
    hypothesis.settings.load_profile("large" if config.getoption("--large") else "unhurried")
    if not hasattr(config, "workerinput"):
        shared = Path(tempfile.gettempdir()) / f"aitoearn-tests-{os.getpid()}"
        os.environ[servers.SHARED] = str(shared)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """End the servers that the processes of this run have shared, when all of these are over."""
    if not hasattr(session.config, "workerinput"):
        servers.end_shared(Path(os.environ[servers.SHARED]))


def pytest_asyncio_loop_factories(
    config: pytest.Config,
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    start = config.getoption("--clock-start")
    return {"virtual": functools.partial(VirtualTimeLoop, start=start)}


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are processors.

    Tests on virtual time, and those with processes of their own, wait a good deal: for bytes
    that may be under way, for an interpreter that starts. Others compute meanwhile.
    """
    return (os.cpu_count() or 1) + 1


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Have each process compile a share of all tests before it reads what others have compiled.

    In a new checkout each would compile all of them, in the same order, at the same time.
    """
    gc.disable()  # hardly anything is dropped before all tests are there
    own = getattr(session.config, "workerinput", None)
    if own is None or session.config.args_source is not pytest.Config.ArgsSource.TESTPATHS:
        return
    files = sorted(TESTS.rglob("test_*.py"))
    for file in files[int(own["workerid"][2:]) :: own["workercount"]]:
        name = ".".join(file.relative_to(TESTS.parent).with_suffix("").parts)
        with contextlib.suppress(Exception, pytest.skip.Exception):  # the collection says so
            importlib.import_module(name)


_CASES = pytest.StashKey[Counter[str]]()


def pytest_itemcollected(item: pytest.Item) -> None:
    """Make all cases of a test that is sampled slow, but for each so many."""
    sampled = item.get_closest_marker("sampled")
    if sampled is None or not isinstance(item, pytest.Function):
        return
    cases = item.config.stash.setdefault(_CASES, Counter())
    test = f"{item.path}::{item.originalname}"
    if cases[test] % sampled.args[0]:
        item.add_marker("slow")
    cases[test] += 1


def _leave_out_slow(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What is named is run, slow or not: a file that was changed is tested in full."""
    is_all = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    if not is_all or any(
        config.getoption(name, None) for name in ("slow", "markexpr", "keyword", "lf")
    ):
        return
    slow = [item for item in items if item.get_closest_marker("slow")]
    config.hook.pytest_deselected(items=slow)
    items[:] = [item for item in items if not item.get_closest_marker("slow")]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    _leave_out_slow(config, items)
    for item in items:
        if not isinstance(item, pytest.Function):
            continue
        # Not by a mark: those are looked at when a test is collected, which is over. As the
        # first, to be the last to look. Items made of one function share the list.
        is_async = inspect.iscoroutinefunction(item.function)
        if is_async and "nothing_left" not in item.fixturenames:
            item.fixturenames.insert(0, "nothing_left")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Have each test draw the same on every run: other chance is left than the order of answers."""
    random.seed(item.nodeid)


def pytest_collection_finish() -> None:
    """Have the collector pass over all that pytest has collected, which is there to stay."""
    _meet_hypothesis()
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="module", autouse=True)
def small_heap_to_collect() -> None:
    """Have the collector pass over what the files before this one have imported and kept.

    A full collection costs a fifth of a second otherwise, and many tests ask for one.
    """
    gc.collect()
    gc.freeze()


@hypothesis.settings(max_examples=1, database=None)
@hypothesis.given(hypothesis.strategies.none())
def _meet_hypothesis(_: None) -> None:
    """It makes its source of chance, and asks the collector who holds it, while that still sees."""


@pytest.fixture
def crowd(request: pytest.FixtureRequest) -> int:
    """How many are many: more than any bound inside, and ten thousand with `--large`."""
    return 10_000 if request.config.getoption("--large") else 2_000


@pytest.fixture
def untraced() -> Iterator[None]:
    """No coverage is measured meanwhile, which makes pure computation four times as fast.

    For tests that go, a thousand times over, where others have gone. pytest-cov's own mark for
    this is of no use in worker processes, where it has begun twice and pauses once.
    """
    tracer = sys.gettrace()
    sys.settrace(None)
    yield
    sys.settrace(tracer)


@pytest.fixture
async def nothing_left() -> AsyncIterator[None]:
    """No task outlives its test."""
    before = asyncio.all_tasks()
    yield
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    assert not left, f"left running: {left}"


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """No test has those after it log more, or less."""
    logger = logging.getLogger("aitoearn_async")
    before = (logger.level, logger.handlers[:], logging.getLogger().level)
    yield
    assert (logger.level, logger.handlers, logging.getLogger().level) == before
