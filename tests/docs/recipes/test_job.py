"""The job of the page on many tasks: it dies, loses answers, and pays for no picture twice."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from aitoearn_async import AiToEarnError, Client
from aitoearn_async.emulator import Emulator, Fault

from .conftest import Recipe

Work = Callable[[], Awaitable[list[str]]]
PROMPTS = [f"a cat, number {number}" for number in range(12)]


@pytest.fixture
async def work(service: Emulator, recipe: Recipe, tmp_path: Path) -> Work:
    service.script("image", ("generating", 20.0), "success")
    program = recipe("how-to/many.md", "job")

    async def work() -> list[str]:
        async with Client() as client:
            result: list[str] = await program.work(client, PROMPTS, tmp_path / "pictures")
            return result

    return work


async def test_a_run_that_was_refused_is_gone_on_with(
    service: Emulator, work: Work, tmp_path: Path
) -> None:
    service.fault(Fault(delay=0.01), times=4)
    service.fault(Fault(code=401), times=9)
    with pytest.raises(AiToEarnError):
        await work()
    assert 0 < len(service.created) < 12
    service.clear_faults()
    assert await work() == []
    assert len(service.created) == 12
    assert len(list((tmp_path / "pictures").glob("*.png"))) == 12


async def test_what_may_have_been_submitted_is_named_and_not_submitted_again(
    service: Emulator, work: Work, tmp_path: Path
) -> None:
    """Where the service's logs do not tell what became of it."""
    service.routes = service.routes - {"logs"}
    service.fault(Fault(reset=True, creates=True), times=3)
    lost = await work()
    assert lost
    assert set(lost) <= set(PROMPTS)
    assert await work() == lost
    assert len(service.created) == 12
    assert len(list((tmp_path / "pictures").glob("*.png"))) == 12 - len(lost)
