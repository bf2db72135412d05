"""The key is withdrawn while thousands wait; or the service only fails to look it up."""

from __future__ import annotations

import asyncio

import pytest

from aitoearn_async import AuthenticationError, ImageRef, NotAskedError
from tests.polling.model import now, until_error
from tests.support.raw_server import Heard, RawServer, Script, good, refuse

from .harness import Row, Trial

ROW = Row(
    22,
    "The key is withdrawn in the middle; or the service fails to look it up, which looks alike",
    "A 401 after good answers is doubted once. The second ends the batch at once, with the "
    "outcomes so far; a 401 that passes costs each task a poll.",
)


def refs(count: int) -> list[ImageRef]:
    return [ImageRef(f"{number:024x}") for number in range(count)]


async def test_it_ends_all_at_once(trial: Trial) -> None:
    """The outcomes so far come first; no more is asked than was under way."""
    began = now()

    def choose(heard: Heard) -> Script:
        if heard.at >= began + 30:
            return refuse(401, "Unauthorized")
        done = int(heard.path[-24:], 16) % 2 == 0
        return good("success" if done else "generating", delay=0.1)

    async with (
        RawServer(choose=choose) as server,
        server.client(concurrency=16) as client,
        client.as_completed(refs(200)) as batch,
    ):
        outcomes, error = await until_error(batch)
        asked = server.count
        await asyncio.sleep(3600)
        assert server.count - asked <= 16
    assert isinstance(error, AuthenticationError)
    assert not isinstance(error, NotAskedError)
    assert sorted(outcome.ref for outcome in outcomes) == refs(200)[::2]
    trial.book(refs(200)[::2], sorted(outcomes, key=str), status="success")
    refused = sum(heard.at >= began + 30 for heard in server.heard)
    trial.figure("401s until it ends, of the tasks left", refused / 100, 2.0)
    trial.wire(server)


@pytest.mark.parametrize("share", [3, 10])
async def test_one_that_passes_costs_a_poll(trial: Trial, share: int) -> None:
    """Some get it, once each, and all end well."""
    seen: dict[str, int] = {}

    def choose(heard: Heard) -> Script:
        times = seen[heard.path] = seen.get(heard.path, 0) + 1
        if times == 3 and int(heard.path[-24:], 16) % share == 0:
            return refuse(401, "Unauthorized")
        return good("success" if times > 5 else "generating")

    async with RawServer(choose=choose) as server, server.client() as client:
        trial.book(refs(60), await client.wait_all(refs(60)), status="success")
        assert client.statistics().outages == 0
    trial.wire(server, exactly=60 * 6)


async def test_a_key_that_was_never_valid(trial: Trial) -> None:
    """One answer for each place there is, and the end."""
    async with (
        RawServer(refuse(401, "Unauthorized")) as server,
        server.client(concurrency=8) as client,
    ):
        with pytest.raises(AuthenticationError):
            await client.wait_all(refs(1000))
    trial.wire(server, at_most=16)
