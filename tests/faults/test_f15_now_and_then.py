"""Some answers are errors, at random: one in a hundred, or every second one."""

from __future__ import annotations

import asyncio
import itertools
import random

import pytest
import tenacity

from aitoearn_async import AiToEarnError, BreakerState, ImageRef, VideoRef
from tests.support.raw_server import Heard, RawServer, Script, good, http, say

from .harness import Row, Trial

ROW = Row(
    15,
    "One answer in a hundred is an error, for minutes; or every second one",
    "The tasks go on, and the service does not count as down. Single calls repeat one failure in "
    "a hundred as it comes, and when most fail, one call in ten at the most.",
)


def failing(share: float) -> RawServer:
    draw = random.Random(15)

    def choose(heard: Heard) -> Script:
        return say(http(b"", 503)) if draw.random() < share else good("generating")

    return RawServer(choose=choose)


@pytest.mark.slow
@pytest.mark.usefixtures("untraced")
async def test_one_in_a_hundred_for_ten_minutes(trial: Trial) -> None:
    """It never counts as down, and a failed poll is not repeated before its time."""
    refs = [ImageRef(f"{number:024x}") for number in range(40)]
    async with (
        failing(0.01) as server,
        server.client() as client,
        client.as_completed(refs, wait=tenacity.wait_random(9, 11), timeout=None) as batch,
    ):
        await asyncio.sleep(600)
        statistics = client.statistics()
        assert (statistics.breaker, statistics.outages) == (BreakerState.CLOSED, 0)
        assert statistics.failures > 8
        assert statistics.held == 0
        standing = batch.statistics()
        assert standing.pending + standing.in_flight == 40
        trial.figure("requests, of those without errors", server.count / (40 * 61), 1.02)
    moments: dict[str, list[float]] = {}
    for heard in server.heard:
        moments.setdefault(heard.path, []).append(heard.at)
    pauses = [b - a for each in moments.values() for a, b in itertools.pairwise(each)]
    assert min(pauses) >= 9 - 0.001


@pytest.mark.sampled(2)
@pytest.mark.usefixtures("untraced")
@pytest.mark.parametrize(("share", "most"), [(0.01, 0.02), (0.5, 0.11)])
async def test_single_calls_repeat_little(trial: Trial, share: float, most: float) -> None:
    """Of three thousand, those repeated, after what is put by at first has been used up."""
    lost = 0
    async with failing(share) as server, server.client(attempts=3) as client:
        for batch in range(31):
            refs = [VideoRef(f"{batch}-{number}") for number in range(100)]
            ends = await trial.ends(client.get, *refs)
            lost += sum(isinstance(end, AiToEarnError) for end in ends)
            if batch == 0:
                before, lost = server.count, 0
        calls = 30 * 100
        repeats = server.count - before - calls
        assert repeats >= 0.8 * share * calls or repeats >= 0.08 * calls, "what it can, it does"
        if share == 0.01:
            assert lost <= 3, "two failures in a row of one call are rare"
        trial.figure(f"repeats, of calls ({share:.0%} fail)", repeats / calls, most)
        assert client.statistics().outages == 0
    trial.wire(server, at_most=int(31 * 100 * (1 + most)) + 50)
