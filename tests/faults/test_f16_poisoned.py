"""One task answers code 500 for ever; all others are fine."""

from __future__ import annotations

import pytest

from aitoearn_async import (
    BreakerState,
    ImageRef,
    RequestTimeoutError,
    ServerError,
    ServiceUnreachableError,
)
from tests.support.raw_server import STALL, Heard, RawServer, Script, good, http, refuse, say

from .harness import Row, Trial

ROW = Row(
    16,
    "The service fails for one task, for ever, and is fine for all others",
    "That task is given up when its patience has run out. Nobody else notices, and the service "
    "does not count as down.",
)

TROUBLE = {"code 500": refuse(500), "504": say(http(b"", 504)), "silence": say(STALL)}


@pytest.mark.sampled(5)
@pytest.mark.parametrize("trouble", TROUBLE.values(), ids=TROUBLE)
@pytest.mark.parametrize("others", [0, 20])
async def test_only_that_task_is_given_up(trial: Trial, trouble: Script, others: int) -> None:
    """Four of them alone at it are not enough to hold anybody back; nor are four among others."""
    poisoned = [ImageRef(f"poisoned-{number}") for number in range(4)]
    fine = [ImageRef(f"fine-{number}") for number in range(others)]

    def choose(heard: Heard) -> Script:
        if "poisoned" in heard.path:
            return trouble
        return good("success" if heard.number > 20 * others else "generating")

    async with RawServer(choose=choose) as server, server.client(request_timeout=1) as client:
        outcomes = await client.wait_all([*poisoned, *fine], patience=120)
        statistics = client.statistics()
    trial.book([*poisoned, *fine], outcomes)
    assert all(outcome.ok for outcome in outcomes[4:])
    for outcome in outcomes[:4]:
        assert isinstance(outcome.error, ServiceUnreachableError)
        assert isinstance(outcome.error.__cause__, ServerError | RequestTimeoutError)
        assert outcome.elapsed == pytest.approx(120, abs=0.05)
        assert outcome.polls > 10, "it was asked about to the end"
    assert (statistics.breaker, statistics.outages, statistics.held) == (BreakerState.CLOSED, 0, 0)
    trial.wire(server, at_most=25 * (others + 4))
