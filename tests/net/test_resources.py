"""What this machine has none left of is told by its name, and is no outage of the service."""

from __future__ import annotations

import asyncio
import errno
import importlib
import itertools
import logging
import os
import resource
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tenacity import wait_fixed

from aitoearn_async import Client, ImageTask, NotAskedError
from aitoearn_async._net.resources import exhausted_resource, is_out_of_descriptors
from aitoearn_async.emulator import Emulator


@contextmanager
def no_descriptors() -> Iterator[None]:
    """Nothing can be opened meanwhile."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.open(os.devnull, os.O_RDONLY)
    os.close(free)
    # What is open stays so; the lowest free number is the first that is too high.
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def caused(*chain: BaseException) -> BaseException:
    for error, cause in itertools.pairwise(chain):
        error.__cause__ = cause
    return chain[0]


LACKS = [
    (OSError(errno.EMFILE, "?"), "file descriptor"),
    (OSError(errno.ENOBUFS, "?"), "memory"),
    (RuntimeError("can't start new thread"), "thread"),
    (caused(ValueError(), OSError(errno.ENOMEM, "?")), "memory"),
    (OSError(errno.ECONNREFUSED, "?"), None),
    (RuntimeError("?"), None),
    (caused(*(ValueError() for _ in range(12)), OSError(errno.EMFILE, "?")), None),
    (None, None),
]


@pytest.mark.parametrize(("error", "lack"), LACKS)
def test_a_lack_is_found_behind_what_was_raised(
    error: BaseException | None, lack: str | None
) -> None:
    assert exhausted_resource(error) == lack


def test_descriptors_are_asked_for() -> None:
    assert not is_out_of_descriptors()
    with no_descriptors():
        assert is_out_of_descriptors()
    assert not is_out_of_descriptors()


async def test_no_descriptor_while_polling_is_waited_out_and_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """For minutes, with a patience of seconds: nobody asked the service, so it cannot be down."""
    loop = asyncio.get_running_loop()
    async with Emulator() as service, Client(service.api_key, base_url=service.url) as client:
        refs = [service.add_image(("generating", 100), "success") for _ in range(3)]
        with caplog.at_level(logging.INFO, "aitoearn_async"):
            waits = asyncio.ensure_future(client.wait_all(refs, timeout=900, patience=30))
            with no_descriptors():
                await asyncio.sleep(200)
                assert not waits.done()
            outcomes = await waits
        assert [outcome.ok for outcome in outcomes] == [True] * 3
        assert client.statistics().outages == 0
        assert loop.time() < 400
    lines = [record.getMessage() for record in caplog.records]
    assert any("this machine has no file descriptor left" in line for line in lines)
    assert not any("is down" in line for line in lines)
    assert len(lines) < 10


async def test_a_poll_that_was_not_sent_is_tried_again_a_second_later() -> None:
    """Whatever the wait's own pace is."""
    loop = asyncio.get_running_loop()
    async with Emulator() as service, Client(service.api_key, base_url=service.url) as client:
        refs = [service.add_image("success") for _ in range(8)]
        waits = [client.wait_for(ref, wait=wait_fixed(1000)) for ref in refs]
        ends = asyncio.gather(*waits)
        with no_descriptors():
            await asyncio.sleep(10)
        began = loop.time()
        await ends
        assert loop.time() - began < 1.3


async def test_a_call_names_the_lack() -> None:
    async with (
        Emulator() as service,
        Client(service.api_key, base_url=service.url, attempts=2) as client,
    ):
        ref = service.add_image("success")
        with no_descriptors(), pytest.raises(Exception, match="has no file descriptor left"):
            await client.get(ref)
        assert (await client.get(ref)).done
        assert len(service.requests) == 1
        assert client.statistics().requests == 1


LATE = {
    "aitoearn_async._downloads.downloader": lambda client, task: client.download(task, "."),
    "aitoearn_async._polling.batch.batch": lambda client, task: client.wait_all([task.ref]),
    "aitoearn_async._api.model_catalog": lambda client, _: client.image_models(),
}


@pytest.mark.parametrize(("module", "call"), LATE.items(), ids=LATE)
async def test_a_first_call_names_the_lack(
    module: str,
    call: Callable[[Client, ImageTask], Awaitable[object]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """It is imported with the first call, which takes a descriptor too. The next one is well."""
    monkeypatch.chdir(tmp_path)
    importlib.import_module(module)
    package, _, name = module.rpartition(".")
    monkeypatch.delitem(sys.modules, module)
    monkeypatch.delattr(sys.modules[package], name)  # so that it is put back
    async with (
        Emulator() as service,
        Client(service.api_key, base_url=service.url, private_media=True) as client,
    ):
        task = await client.get(service.add_image("success"))
        with no_descriptors(), pytest.raises(NotAskedError, match="has no file descriptor left"):
            await call(client, task)
        assert await call(client, task)
