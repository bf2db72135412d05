"""The key is withdrawn while thousands wait, with or without another to be had; or the service
only fails to look it up."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Sequence

import pytest

from aitoearn_async import (
    AuthenticationError,
    ImageRef,
    NotAskedError,
    ServiceUnreachableError,
    VideoRef,
)
from tests.polling.model import now, until_error
from tests.support.raw_server import Heard, RawServer, Script, good, refuse

from .harness import Row, Trial

ROW = Row(
    22,
    "The key is withdrawn in the middle; or the service fails to look it up, which looks alike",
    "A 401 is doubted once. The second ends the batch at once, with the "
    "outcomes so far, unless another task has had a good answer since: then it is trouble of that "
    "task alone. A 401 that passes costs each task a poll. Where a function gives the key, it is "
    "asked for another, once for all, and the tasks go on.",
)


LIST = "/api/ai/logs?"
"""Where many are asked for at once. Here the service has no such route, and all are polled."""


def refs(count: int) -> list[ImageRef]:
    return [ImageRef(f"{number:024x}") for number in range(count)]


def poll(status: str, heard: Heard, *, delay: float = 0.0) -> Script:
    """A good answer to a poll; no such route for a list of tasks."""
    if heard.path.startswith(LIST):
        return refuse(404, "Cannot GET /ai/logs")
    return good(status, delay=delay)


@pytest.mark.sampled(2)
@pytest.mark.parametrize("busy", [0, 100])
async def test_it_ends_all_at_once(trial: Trial, busy: float) -> None:
    """The outcomes so far come first, also those that lay there unread; no more is asked than
    was under way, and the service does not count as down."""
    began = now()

    def choose(heard: Heard) -> Script:
        if heard.at >= began + 30:
            return refuse(401, "Unauthorized")
        done = heard.path[-1] in "02468ace"
        return poll("success" if done else "generating", heard, delay=0.1)

    async with (
        RawServer(choose=choose) as server,
        server.client(concurrency=16) as client,
        client.as_completed(refs(40)) as batch,
    ):
        await asyncio.sleep(busy)
        outcomes, error = await until_error(batch)
        asked = server.count
        await asyncio.sleep(3600)
        assert server.count - asked <= 16
        assert client.statistics().outages == 0
    assert isinstance(error, AuthenticationError)
    assert not isinstance(error, NotAskedError)
    assert sorted(outcome.ref for outcome in outcomes) == refs(40)[::2]
    trial.book(refs(40)[::2], sorted(outcomes, key=str), status="success")
    refused = sum(heard.at >= began + 30 for heard in server.heard)
    trial.figure("401s until it ends, of the tasks left", refused / 20, 2.0)
    trial.wire(server)


@pytest.mark.sampled(2)
@pytest.mark.parametrize("share", [3, 10])
async def test_one_that_passes_costs_a_poll(trial: Trial, share: int) -> None:
    """Some get it, now and then with good answers between, and all end well."""
    seen: dict[str, int] = {}

    def choose(heard: Heard) -> Script:
        if heard.path.startswith(LIST):
            return refuse(404, "Cannot GET /ai/logs")
        times = seen[heard.path] = seen.get(heard.path, 0) + 1
        if times in (3, 5) and int(heard.path[-24:], 16) % share == 0:
            return refuse(401, "Unauthorized")
        return good("success" if times > 7 else "generating")

    async with RawServer(choose=choose) as server, server.client() as client:
        trial.book(refs(30), await client.wait_all(refs(30)), status="success")
        assert client.statistics().outages == 0
    assert list(seen.values()) == [8] * 30
    trial.wire(server, exactly=30 * 8 + 1)  # the list, which is not there, is asked for once


async def test_one_task_is_refused_for_ever(trial: Trial) -> None:
    """While others have good answers, it is not for want of a key: it uses up its own patience."""
    began = now()

    def choose(heard: Heard) -> Script:
        if heard.at > began + 2 and heard.path.endswith(refs(16)[7].id):
            return refuse(401, "Unauthorized")
        return poll("success" if heard.at > began + 20 else "generating", heard)

    async with RawServer(choose=choose) as server, server.client() as client:
        outcomes = await client.wait_all(refs(16), patience=60)
        trial.book(refs(16), outcomes)
    assert [outcome.ref for outcome in outcomes if not outcome.ok] == [refs(16)[7]]
    assert isinstance(outcomes[7].error, ServiceUnreachableError)
    assert isinstance(outcomes[7].error.__cause__, AuthenticationError)
    trial.wire(server)


async def test_one_on_the_first_task_of_another_kind(trial: Trial) -> None:
    """The key is the same for images and videos: good answers about either speak for it."""
    video = VideoRef(refs(1)[0].id)

    async def mixed() -> AsyncIterator[ImageRef | VideoRef]:
        yield refs(1)[0]
        await asyncio.sleep(5)
        yield video

    def choose(heard: Heard) -> Script:
        if "/video/" in heard.path and "/video/" not in "".join(h.path for h in server.heard[:-1]):
            return refuse(401, "Unauthorized")
        return good("success" if heard.at > began + 10 else "generating")

    began = now()
    async with RawServer(choose=choose) as server, server.client() as client:
        outcomes = await client.wait_all(mixed())
        trial.book([refs(1)[0], video], outcomes, status="success")
    trial.wire(server)


async def test_a_key_that_was_never_valid(trial: Trial) -> None:
    """One answer for each place there is, and the end."""
    async with (
        RawServer(refuse(401, "Unauthorized")) as server,
        server.client(concurrency=8) as client,
    ):
        with pytest.raises(AuthenticationError):
            await client.wait_all(refs(1000))
    trial.wire(server, at_most=16)


class Locks:
    """A server whose lock is changed: from a moment on it takes the new key and no other."""

    def __init__(self, *, changed_at: float, ended_at: float) -> None:
        self.changed_at = changed_at
        self.ended_at = ended_at
        self.refused: list[Heard] = []

    def __call__(self, heard: Heard) -> Script:
        right = "new" if heard.at >= self.changed_at else "old"
        if heard.header("X-Api-Key") != right:
            self.refused.append(heard)
            return refuse(401, "Unauthorized")
        status = "success" if heard.at >= self.ended_at else "generating"
        return poll(status, heard, delay=0.1)


@pytest.mark.sampled(3)
@pytest.mark.parametrize("takes", [0.0, 3.0], ids="provider takes {} s".format)
@pytest.mark.parametrize("many", ["a batch", "waits"])
async def test_another_key_is_to_be_had(trial: Trial, many: str, takes: float) -> None:
    """It is asked for once; what was under way meets the old lock, and nothing after it does."""
    locks = Locks(changed_at=now() + 12, ended_at=now() + 24)
    calls: list[float] = []

    async def provide() -> str:
        calls.append(now())
        await asyncio.sleep(takes)
        return "new" if now() >= locks.changed_at else "old"

    async with (
        RawServer(choose=locks) as server,
        server.client(api_key=provide, concurrency=16) as client,
    ):
        if many == "a batch":
            ends: Sequence[object] = await client.wait_all(refs(40))
        else:
            ends = await asyncio.gather(*map(client.wait_for, refs(40)))
        trial.book(refs(40), ends, status="success")
    assert len(calls) == 2
    known_at = locks.refused[0].at + takes
    assert not [heard for heard in server.heard if locks.refused[0].at < heard.at < known_at]
    trial.figure("401s to an old key, of the requests under way", len(locks.refused) / 16, 1.0)
    trial.wire(server)


@pytest.mark.slow
async def test_a_provider_that_lags_behind(trial: Trial) -> None:
    """It gives the old key once more, then fails for a minute: the tasks outlast that."""
    locks = Locks(changed_at=now() + 30, ended_at=now() + 200)
    calls: list[float] = []

    async def provide() -> str:
        calls.append(now())
        if now() < locks.changed_at + 1:
            return "old"
        if now() < locks.changed_at + 60:
            raise OSError("the vault is closed")
        return "new"

    async with (
        RawServer(choose=locks) as server,
        server.client(api_key=provide, concurrency=4) as client,
    ):
        trial.book(refs(20), await client.wait_all(refs(20)), status="success")
    assert len(calls) <= 1 + len(locks.refused)
    trial.wire(server)


async def test_a_provider_that_fails_for_good(trial: Trial) -> None:
    """Patience ends it, and says what was the matter."""
    locks = Locks(changed_at=now() + 30, ended_at=math.inf)

    async def provide() -> str:
        if now() < locks.changed_at:
            return "old"
        raise OSError("the vault is closed")

    async with RawServer(choose=locks) as server, server.client(api_key=provide) as client:
        (error,) = await trial.ends(client.wait_for, refs(1)[0])
    assert isinstance(error, ServiceUnreachableError)
    assert isinstance(error.__cause__, AuthenticationError)
    assert str(error.__cause__.__cause__) == "the vault is closed"
    trial.wire(server)


async def test_no_other_key_is_to_be_had(trial: Trial) -> None:
    """The function gives the same again: it ends as with a key that was given as it is."""
    locks = Locks(changed_at=now() + 30, ended_at=math.inf)

    async def provide() -> str:
        return "old"

    async with (
        RawServer(choose=locks) as server,
        server.client(api_key=provide, concurrency=8) as client,
        client.as_completed(refs(40)) as batch,
    ):
        outcomes, error = await until_error(batch)
    assert not outcomes
    assert isinstance(error, AuthenticationError)
    assert error.__cause__ is None
    assert len(locks.refused) <= 80
    trial.wire(server)
